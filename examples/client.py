#!/usr/bin/env python3
"""Stream a microphone to a server: the client of audiostream as a script.

    python examples/server.py                           # on one machine, or in one terminal
    python examples/client.py --host 192.168.1.20       # on another
    python examples/client.py --help                    # all options, with examples

What it comes to without options, in four lines of your own:

    from audiostream import AudioClient

    with AudioClient(host="192.168.1.20") as client:    # opens the microphone, streams by UDP as RTP
        client.start_recording(10)                      # 10 s, to the frame, beside the streaming
        client.wait()                                   # until Ctrl-C
"""

import sys

from audiostream import AudioClient, cli
from audiostream.script import Script


def main() -> int:
    """Reads the options, streams until the end, returns the exit status."""
    args = cli.client_parser().parse_args()
    if args.list_devices:
        return cli.run_devices(args)

    # Script brings what a program needs around the class: Ctrl-C and SIGTERM that end in order, log lines or live
    # figures, and errors told in one line. Every option is a keyword of AudioClient by the same name.
    with Script(args) as script, AudioClient(**cli.client_options(args)) as client:
        script.follow(client)
    return script.status


if __name__ == "__main__":
    sys.exit(main())
