"""`audiostream hop`: a bad network between any two programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..script import Script
from .options import add_link, add_running, add_verbosity

if TYPE_CHECKING:
    import argparse

TEXT = "Stand between any two programs that speak UDP, and be a bad network: loss, delay, jitter, a narrow link."

EXAMPLES = """\
examples:
  %(prog)s 5004 127.0.0.1:12345 --network loss=5,burst=3,delay=40,jitter=15,seed=1
      what is sent to port 5004 goes on to port 12345, badly; answers come back the same way:
      audiostream server --port 12345    and    audiostream client --port 5004
  %(prog)s 5004 192.168.1.20:12345 --network wifi
      to another machine, as over a busy wireless network (lan, cellular, satellite, congested)
  %(prog)s 127.0.0.1:5004 127.0.0.1:5006 --network rate=256k,queue=100
      a narrow link for two other programs, ffmpeg and ffplay for instance
  %(prog)s 5004 127.0.0.1:12345 --network trace=lte.up --stats-json -
      a recorded link (Mahimahi's format); what was injected, exactly, as JSON at the end

LISTEN is PORT, or ADDRESS:PORT for one interface; FORWARD is HOST:PORT. IPv6 addresses in brackets: [::1]:5004. Both
ways have the same settings and chances of their own; the same seed loses the same packets of sound as --network of
client and lab. Settings of --network: loss burst density scatter delay jitter spike spike_delay reorder reorder_delay
duplicate rate queue trace seed. RTP and RTCP on two ports need two hops. Ctrl-C ends it, with the figures.
"""


def run_hop(args: argparse.Namespace) -> int:
    """Passes packets as parsed options say; returns the exit status."""
    from ..lab.hop import Hop

    with (
        Script(args) as script,
        Hop(args.listen, args.forward, network=args.network, duration=args.duration) as hop,
    ):
        script.follow(hop)
    return script.status


def add_hop(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Gives a parser the hop's options."""
    parser.set_defaults(main=run_hop, prog=parser.prog, log_file=None)
    parser.add_argument("listen", metavar="LISTEN", help="where one program sends to: PORT or ADDRESS:PORT")
    parser.add_argument("forward", metavar="FORWARD", help="where the other listens: HOST:PORT")
    add_link(parser, "what happens on the way (nothing)")
    add_verbosity(add_running(parser))
    return parser
