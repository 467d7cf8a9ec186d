"""`audiostream server`: receives streams, plays and records them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..logs import LOG_FILE
from ..script import Script
from ..server import EACH, AdvancedAudioServer
from .devices import run_devices
from .options import add_common, add_key, add_network, add_recording, add_sound, parser_for, rtp_url, with_url

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


TEXT = "Receive streams, play them mixed, count what is lost, log, and record if you like."

EXAMPLES = """\
examples:
  %(prog)s
      play what arrives by UDP on port 12345
  %(prog)s --tcp
      the same by TCP; ends when its last client has left
  %(prog)s --protocol both
      by UDP and TCP, as each client likes
  %(prog)s --output null --record
      no speaker needed: record what arrives
  %(prog)s --output null --max-sources 100 --record-each
      a conference of many: a file each
  %(prog)s --sdp stream.sdp
      what a session description says, as ffmpeg and GStreamer write them
  %(prog)s rtp://@239.1.2.3:5004
      a multicast group
  %(prog)s --key-file studio.key
      hear only what is sealed with this key
  %(prog)s --talk --conference
      a conversation: everybody hears everybody else (clients: --output default; wear headphones)
  %(prog)s --output - | aplay -f S16_LE -r 44100
      PCM on standard output
  %(prog)s --duration 60 --stats-json stats.json --quiet
      a minute's figures, nothing else
  %(prog)s --watch
      live charts of level, loss, jitter and delay

Ctrl-C ends it; a running recording is finished. Every packet is in the log file (--log-file).
"""

SERVER_KEYWORDS = (
    *("protocol", "port", "size", "rate", "channels", "bind", "interface", "sdp", "wire", "output", "host_api"),
    *("latency", "delay"),
    *("min_delay", "max_delay", "record", "recordings", "max_sources", "forward", "allow", "key_file"),
    *("keep_listening", "duration", "network", "name", "quality", "talk", "conference", "pcap", "packet_log"),
)


def server_main(argv: Sequence[str] | None = None) -> int:
    """What `audiostream server` does; returns the exit status."""
    return run_server(server_parser().parse_args(argv))


def server_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The parser of the server's options."""
    return add_server(parser_for(prog, TEXT, EXAMPLES))


def server_options(args: argparse.Namespace) -> dict[str, Any]:
    """The keywords of `AdvancedAudioServer` among parsed options: they have the same names."""
    options = {name: getattr(args, name) for name in SERVER_KEYWORDS}
    if options["sdp"] == "-":
        options["sdp"] = sys.stdin.read()
    return with_url(options, args.url, "bind", None)


def run_server(args: argparse.Namespace) -> int:
    """Receives as parsed options say; returns the exit status."""
    if args.list_devices:
        return run_devices(args)
    with Script(args) as script, AdvancedAudioServer(**server_options(args)) as server:
        script.follow(server)
    return script.status


def add_server(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Gives a parser the server's options."""
    parser.set_defaults(main=run_server, prog=parser.prog)
    parser.add_argument(
        "url", nargs="?", type=rtp_url, metavar="rtp://@[ADDRESS]:PORT", help="in place of --bind and --port"
    )
    network = parser.add_argument_group("network")
    network.add_argument(
        "--sdp",
        metavar="FILE",
        help="listen for what a session description says; - for one on standard input",
    )
    network.add_argument(
        "--bind", metavar="ADDRESS", help="address to listen on, or a multicast group (every interface)"
    )
    network.add_argument(
        "--interface", metavar="NAME", help="network interface of the group: name, index or address (every interface)"
    )
    add_network(network, listens=True)
    network.add_argument(
        "--wire",
        choices=["auto", "rtp", "classic"],
        default="auto",
        help="packet format (auto: found out for each sender)",
    )
    network.add_argument("--max-sources", type=int, default=32, metavar="N", help="senders heard at once (32)")
    network.add_argument(
        "--allow",
        action="append",
        metavar="NET",
        help="a network to listen to, such as 192.168.0.0/16 or fd00::/8; may be given several times (everybody)",
    )
    network.add_argument(
        "--forward",
        action="append",
        metavar="HOST:PORT",
        help="send all RTP senders' packets on to this receiver, as they came; may be given several times",
    )
    add_key(network)
    network.add_argument("--quality", action="store_true", help="judge senders by ITU-T G.107: r_factor, mos")
    network.add_argument("--keep-listening", action="store_true", help="TCP: go on when the last client has left")
    sound = parser.add_argument_group("sound")
    sound.add_argument(
        "--output",
        metavar="{DEVICE,null,-,file:PATH}",
        help="a device by name, part of it or index; null for nowhere; - for PCM on standard output; a WAV file "
        "(the default speaker)",
    )
    sound.add_argument(
        "--talk",
        nargs="?",
        const=True,
        default=False,
        metavar="INPUT",
        help="send sound of our own to clients that listen: the default microphone's, or as of the client's --input",
    )
    sound.add_argument("--conference", action="store_true", help="send each client the mix of all others")
    sound.add_argument(
        "--delay", type=float, metavar="MS", help="how long a packet is kept before it is played (follows the network)"
    )
    sound.add_argument("--min-delay", type=float, default=0.0, metavar="MS", help="at least, where it follows (0)")
    sound.add_argument("--max-delay", type=float, default=500.0, metavar="MS", help="at most, where it follows (500)")
    add_sound(sound, told=False)
    recording = add_recording(parser, "--record", metavar="NAME", help="record what arrives, under this name if given")
    recording.add_argument(
        "--record-each",
        action="store_const",
        const=EACH,
        dest="record",
        help="record each sender to a file of its own, at most 128 at once",
    )
    running = add_common(parser)
    running.add_argument(
        "--watch", action="store_true", help="show level, loss, jitter, delay and concealment as live charts"
    )
    running.add_argument(
        "--log-file",
        default=LOG_FILE,
        metavar="PATH",
        help="log of every packet, 5 MiB and 3 older ones (%(default)s)",
    )
    return parser
