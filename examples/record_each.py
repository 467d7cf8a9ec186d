#!/usr/bin/env python3
"""Record each speaker to a file of its own, and tell who comes and goes.

    python examples/record_each.py                      # then start clients, by UDP or TCP
    python examples/client.py --input voice             # in another terminal

Beside each file lies a sidecar that says who it is, when the first frame came, and what was lost: enough to line the
files up in an editor.
"""

import argparse
import contextlib
import json

from audiostream import AdvancedAudioServer, Event, Recording, Source


def told(event: Event) -> str:
    """An event as a line."""
    source: Source = event.source
    return f"{event.kind:8} {source.name} ({source.address}): {event.detail}"


def main() -> None:
    """Records until Ctrl-C, or until nobody has come or gone for so many seconds."""
    parser = argparse.ArgumentParser(description="Record each speaker to a file of its own.")
    parser.add_argument("--port", type=int, default=12345)
    parser.add_argument("--recordings", default="Recording")
    parser.add_argument("--quiet-for", type=float, metavar="SECONDS", help="end when nothing has happened for so long")
    args = parser.parse_args()

    # UDP and TCP at one port; no speaker needed.
    server = AdvancedAudioServer("both", args.port, output="null", record="each", recordings=args.recordings)
    with server, contextlib.suppress(KeyboardInterrupt):
        print(f"listening on {server.local_address}", flush=True)
        for event in server.events(timeout=args.quiet_for):
            print(told(event), flush=True)
            if event.kind == "joined" and event.source.is_recording:
                print(f"{server.stats.recordings} being recorded", flush=True)

    # Whoever still spoke had their files finished by the server's end.
    for source in server.sources:
        recording: Recording | None = source.stop_recording()
        if recording is not None:
            notes = json.loads(recording.path.with_suffix(".json").read_text())
            print(f"{source.name}: {recording}, {notes['packets']['lost']} packets lost", flush=True)


if __name__ == "__main__":
    main()
