#!/usr/bin/env python3
"""Measure a stream over a bad network: figures at both ends, over time, and packet by packet.

    python examples/measure.py                          # both ends here, five seconds of wifi
    python examples/measure.py --network loss=5,delay=40,jitter=15,seed=1

Writes history.csv (a row a second) and packets.csv (a line a packet); pandas reads either, and so do `to_pandas()`.
"""

import argparse
from pathlib import Path

from audiostream import (
    AdvancedAudioServer,
    AudioClient,
    ClientStats,
    RemoteStats,
    Table,
    __version__,
    read_packet_log,
    setup_logging,
)


def main() -> None:
    """Streams for the seconds given and prints what came of it."""
    parser = argparse.ArgumentParser(description="Measure a stream over a bad network.")
    parser.add_argument("--network", default="wifi,seed=1")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--folder", type=Path, default=Path())
    args = parser.parse_args()

    setup_logging()  # audio_stream.log and the console, as in the original
    log = args.folder / "packets.csv"
    with (
        AdvancedAudioServer(port=0, bind="127.0.0.1", output="null", quality=True, packet_log=log) as server,
        AudioClient(port=server.port, input="voice", network=args.network, duration=args.seconds) as client,
    ):
        client.wait()
        sent: ClientStats = client.stats
        said: RemoteStats | None = sent.remote
    history: Table = server.stats.history
    history.to_csv(args.folder / "history.csv")
    packets: Table = read_packet_log(log)

    print(f"audiostream {__version__} over {args.network}")
    heard = server.stats
    print(f"{sent.packets_sent} packets sent, {heard.packets_received} received, {heard.loss_rate:.1%} lost")
    if said is not None and said.round_trip_ms is not None:
        print(f"the server told of {said.packets_lost} lost; {said.round_trip_ms:.1f} ms there and back")
    print(f"jitter by the second, ms: {[round(value, 1) for value in history.column('jitter_ms')]}")
    print(f"verdicts: {sorted(set(packets.column('verdict')))}")


if __name__ == "__main__":
    main()
