"""`audiostream keygen`: makes a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..keys import ENVIRONMENT, FOREIGN_SUITES, generate_key, write_key
from ..script import Script

if TYPE_CHECKING:
    import argparse


TEXT = "Make a key for streams that nobody else can hear or forge (SRTP)."

EXAMPLES = f"""\
examples:
  %(prog)s studio.key
      a new file that only you can read; then --key-file studio.key at both ends
  %(prog)s
      the key itself, for {ENVIRONMENT} or for key= in Python
  %(prog)s --suite AES_CM_128_HMAC_SHA1_80
      for ffmpeg or GStreamer at the other end

Whoever has the key can hear the streams and speak in them: carry it over by ssh or scp, not by mail.
"""


def run_keygen(args: argparse.Namespace) -> int:
    """Makes a key; returns the exit status."""
    with Script(args) as script:
        key = generate_key(args.suite)
        if args.file is None:
            print(key)
        else:
            write_key(args.file, key)
            script.say(f"A new key is in {args.file}, for your eyes only; give both ends --key-file {args.file}")
    return script.status


def add_keygen(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Gives a parser the options."""
    parser.set_defaults(main=run_keygen, prog=parser.prog)
    parser.add_argument("file", nargs="?", metavar="FILE", help="a file to make for it (prints it)")
    parser.add_argument("--suite", choices=[*FOREIGN_SUITES], help="a key for other programs (one of our own)")
    return parser
