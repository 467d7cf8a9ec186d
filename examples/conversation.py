#!/usr/bin/env python3
"""Talk with somebody: one starts the room, everybody else calls it. Wear headphones.

    python examples/conversation.py                     # the room, which talks and listens itself
    python examples/conversation.py 192.168.1.20        # on each of the other machines
    python examples/conversation.py --help              # without a microphone, for so many seconds, sealed with a key

Everybody hears everybody else and not themselves. Who calls keeps a recording: left what was said, right
what was heard.
"""

import argparse
import sys

from audiostream import AdvancedAudioServer, AudioClient
from audiostream.script import Script


def main() -> int:
    """Opens a room or calls one, until the end; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host", nargs="?", help="the room to call; none opens one")
    parser.add_argument("--port", type=int, default=12345)
    parser.add_argument("--input", default="default", help="microphone, or voice, tone, file:PATH")
    parser.add_argument("--output", default="default", help="headphones, or null")
    parser.add_argument("--key-file", help="a key of 'audiostream keygen': nobody else hears it")
    parser.add_argument("--duration", type=float, metavar="SECONDS")
    args = parser.parse_args()
    args.prog, args.record = parser.prog, True

    common = {"port": args.port, "output": args.output, "key_file": args.key_file, "duration": args.duration}
    with Script(args) as script:
        if args.host is None:
            # talk: our microphone goes to the callers; conference: each hears the other callers, too.
            with AdvancedAudioServer(talk=args.input, conference=True, **common) as room:
                script.follow(room)
        else:
            with AudioClient(host=args.host, input=args.input, **common) as call:
                call.start_recording(what="both")
                script.follow(call)
    return script.status


if __name__ == "__main__":
    sys.exit(main())
