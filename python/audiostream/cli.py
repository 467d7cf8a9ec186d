"""The script `audiostream`, and the parsers that `examples/*.py` share. What a command does stands in `commands`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from . import __version__, standard
from .commands import client, demo, devices, hop, keygen, lab, listen, probe, server
from .commands.client import client_main, client_options, client_parser, run_client
from .commands.devices import run_devices
from .commands.server import run_server, server_main, server_options, server_parser

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "client_main",
    "client_options",
    "client_parser",
    "main",
    "run_client",
    "run_devices",
    "run_server",
    "server_main",
    "server_options",
    "server_parser",
]

# Name, text, examples, and what gives a parser its options.
COMMANDS = (
    ("client", client.TEXT, client.EXAMPLES, client.add_client),
    ("server", server.TEXT, server.EXAMPLES, server.add_server),
    ("listen", listen.TEXT, listen.EXAMPLES, listen.add_listen),
    ("devices", devices.TEXT, None, devices.add_devices),
    ("keygen", keygen.TEXT, keygen.EXAMPLES, keygen.add_keygen),
    ("demo", demo.TEXT, demo.EXAMPLES, demo.add_demo),
    ("probe", probe.TEXT, probe.EXAMPLES, probe.add_probe),
    ("lab", lab.TEXT, lab.EXAMPLES, lab.add_lab),
    ("hop", hop.TEXT, hop.EXAMPLES, hop.add_hop),
)


def main(argv: Sequence[str] | None = None) -> int:
    """The console script `audiostream`; returns its exit status."""
    standard.open_missing()
    try:
        return _main(argv)
    finally:
        standard.settle()


def _main(argv: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog="audiostream",
        description="Live sound over a network, measured.",
        epilog="Start with 'audiostream demo'. 'audiostream COMMAND --help' says more, with examples.",
    )
    parser.add_argument("--version", action="version", version=f"audiostream {__version__}")
    parser.set_defaults(main=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, text, examples, add in COMMANDS:
        add(
            commands.add_parser(
                name,
                help=text,
                description=text,
                epilog=examples,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
        )
    args = parser.parse_args(argv)
    if args.main is None:
        parser.print_help(sys.stderr)
        return 2
    return args.main(args)


if __name__ == "__main__":
    sys.exit(main())
