#!/usr/bin/env python3
"""Measure a path to a server, through a network as bad as you like; or this machine from mouth to ear.

    python examples/path.py studio.local                # a server somewhere
    python examples/path.py --bad loss=5,delay=40,seed=1    # a server here, behind a bad hop
    python examples/path.py --chirps                    # speaker and microphone of this machine

Each figure comes with the interval that holds the true one in 95 of 100 measurements.
"""

import argparse

from audiostream import AdvancedAudioServer
from audiostream.lab import Figure, Hop, MouthToEar, PathFigures, mouth_to_ear, probe


def told(figure: Figure | None) -> str:
    """A figure in words."""
    return "not told" if figure is None else f"{figure.value:.2f} ± {figure.plus_minus:.2f} {figure.unit}"


def show(path: PathFigures) -> None:
    """What was measured of a path."""
    print(f"round trip   {told(path.round_trip_ms)}")
    print(f"lost         {told(path.lost_percent)} ({path.packets_lost} of {path.packets} packets)")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="Measure a path to a server.")
    parser.add_argument("host", nargs="?", help="a server; none starts one here")
    parser.add_argument("--port", type=int, default=12345)
    parser.add_argument("--bad", default="wifi,seed=1", metavar="LINK", help="the network in front of a server here")
    parser.add_argument("--chirps", action="store_true", help="measure speaker and microphone instead")
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()

    if args.chirps:
        ear: MouthToEar = mouth_to_ear()
        print(f"mouth to ear {told(ear.delay_ms)}")
    elif args.host is not None:
        show(probe(args.host, args.port, duration=args.seconds))
    else:
        # The hop passes on what comes to its port, late or not at all; both programs know nothing of it.
        with (
            AdvancedAudioServer(port=0, bind="127.0.0.1", output="null") as server,
            Hop("127.0.0.1:0", f"127.0.0.1:{server.port}", network=args.bad) as hop,
        ):
            show(probe("127.0.0.1", hop.port, duration=args.seconds))
        print(f"the hop lost {hop.stats.up.packets_lost} packets on their way there")


if __name__ == "__main__":
    main()
