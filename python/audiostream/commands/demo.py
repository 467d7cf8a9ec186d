"""`audiostream demo`: both ends on one machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .options import add_common, add_network, add_sound

if TYPE_CHECKING:
    import argparse


TEXT = "Client and server over loopback, for ten seconds, with live figures."

EXAMPLES = """\
examples:
  %(prog)s
      microphone to speaker if the machine has them (wear headphones), else the built-in voice to a file
  %(prog)s --tcp --duration 5
      by TCP
  %(prog)s --wire classic --size 50
      the original's packets, 50 ms each
  %(prog)s --input tone --output null
      no sound card needed
"""


def run_demo(args: argparse.Namespace) -> int:
    """Runs the demonstration; returns the exit status."""
    from ..demo import run

    return run(args)


def add_demo(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Gives a parser the options."""
    parser.set_defaults(main=run_demo, prog=parser.prog, log_file=None)
    add_network(parser, port=0)
    parser.add_argument("--wire", choices=["rtp", "classic"], default="rtp", help="packet format (rtp)")
    parser.add_argument("--input", metavar="INPUT", help="as of 'audiostream client' (microphone, else voice)")
    parser.add_argument("--output", metavar="OUTPUT", help="as of 'audiostream server' (speaker, else a file)")
    add_sound(parser)
    parser.add_argument(
        "--recordings", default="Recording", metavar="FOLDER", help="folder for recordings (%(default)s)"
    )
    add_common(parser, duration=10.0)
    return parser
