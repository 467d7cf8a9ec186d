#!/usr/bin/env python3
"""Send on what arrives, unchanged, to others: one microphone, many listeners.

    audiostream listen rtp://@:5004                     # on each listener's machine
    python examples/relay.py 192.168.1.30:5004 192.168.1.31:5004
    python examples/client.py --input voice             # the speaker

The relay plays nothing and needs no speaker; sealed packets go on sealed, the relay needs no key to pass on what it
cannot hear.
"""

import argparse
import contextlib

from audiostream import AdvancedAudioServer, ServerStats, SourceStats


def line(stats: ServerStats) -> str:
    """What has passed, and how it arrived."""
    sources: tuple[SourceStats, ...] = stats.sources
    worst = max((source.loss_rate for source in sources), default=0.0)
    went = f"{stats.packets_forwarded} out, {stats.packets_forward_dropped} dropped"
    return f"{stats.packets_received} packets in, {went}; {len(sources)} speakers, {worst:.1%} lost at worst"


def main() -> None:
    """Relays until Ctrl-C, or for the seconds given."""
    parser = argparse.ArgumentParser(description="Send on what arrives to others.")
    parser.add_argument("listeners", nargs="+", metavar="HOST:PORT")
    parser.add_argument("--port", type=int, default=12345)
    parser.add_argument("--seconds", type=float)
    args = parser.parse_args()

    with AdvancedAudioServer(port=args.port, output="none", forward=args.listeners, duration=args.seconds) as relay:
        while not relay.wait(0.5):
            print(line(relay.stats), flush=True)
    print(line(relay.stats), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
