#!/usr/bin/env python3
"""Play what clients stream here, and count what is lost: the server of audiostream as a script.

    python examples/server.py                           # to the speaker, from UDP port 12345
    python examples/server.py --output null --record    # no speaker needed: record it
    python examples/server.py --help                    # all options, with examples

What it comes to without options, in a few lines of your own:

    from audiostream import AdvancedAudioServer, setup_logging

    setup_logging()                                     # audio_stream.log and the console, every packet
    with AdvancedAudioServer() as server:               # binds the port, opens the speaker, plays
        server.wait()                                   # until Ctrl-C
    print(server.stats)
"""

import sys

from audiostream import AdvancedAudioServer, cli
from audiostream.script import Script


def main() -> int:
    """Reads the options, plays until the end, returns the exit status."""
    args = cli.server_parser().parse_args()
    if args.list_devices:
        return cli.run_devices(args)

    # Script brings what a program needs around the class: Ctrl-C and SIGTERM that end in order, log lines or live
    # figures, and errors told in one line. Every option is a keyword of AdvancedAudioServer by the same name.
    with Script(args) as script, AdvancedAudioServer(**cli.server_options(args)) as server:
        script.follow(server)
    return script.status


if __name__ == "__main__":
    sys.exit(main())
