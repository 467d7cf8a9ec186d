"""`audiostream client`: streams a microphone, a file or a built-in sound."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..client import AudioClient
from ..errors import ConfigError
from ..script import Script
from .devices import run_devices
from .options import (
    add_common,
    add_key,
    add_network,
    add_recording,
    add_sound,
    copies,
    milliseconds,
    parser_for,
    rtp_url,
    with_url,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


TEXT = "Stream a microphone, a file or a built-in sound to a server, and record it if you like."

EXAMPLES = """\
examples:
  %(prog)s --host 192.168.1.20
      the default microphone by UDP; asks whether to record
  %(prog)s --tcp --record 10
      by TCP, recording the first 10 s into the folder Recording
  %(prog)s --input voice --duration 5
      a built-in voice for 5 s; no microphone needed
  %(prog)s --input file:speech.wav --size 20 --stats-json -
      a file in blocks of 20 ms, figures as JSON at the end
  %(prog)s 'rtp://239.1.2.3:5004?ttl=4' --sdp stream.sdp
      to a multicast group, and its description for other programs (ffplay, VLC)
  %(prog)s --codec opus --bitrate 24000 --ptime 20
      a twentieth of the bits, and single losses repaired
  %(prog)s --redundancy auto
      copies while the server reports losses, and only then
  %(prog)s --redundancy 1 --spacing 4
      every packet again 4 packets later: bursts of up to 4 lost packets are repaired
  %(prog)s --redundancy opus
      low-rate Opus beside the PCM: single losses repaired for 24 kbit/s more
  %(prog)s --key-file studio.key
      sealed (SRTP) with a key of 'audiostream keygen studio.key', which the server needs too
  %(prog)s --output default --record --record-what both
      a conversation with a server that has --talk or --conference, recorded with both sides
  %(prog)s --list-devices
      what --input and --output may name

Ctrl-C ends it; a running recording is finished.
"""

CLIENT_KEYWORDS = (
    *("protocol", "host", "port", "size", "rate", "channels", "input", "output", "wire", "codec", "bitrate"),
    *("fec", "dred", "ptime", "redundancy", "spacing", "host_api", "latency"),
    *("local_port", "dscp", "ttl", "interface", "reconnect", "key_file", "record", "record_what", "recordings"),
    *("duration", "network", "name", "pcap", "packet_log"),
)


def client_main(argv: Sequence[str] | None = None) -> int:
    """What `audiostream client` does; returns the exit status."""
    return run_client(client_parser().parse_args(argv))


def client_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The parser of the client's options."""
    return add_client(parser_for(prog, TEXT, EXAMPLES))


def client_options(args: argparse.Namespace) -> dict[str, Any]:
    """The keywords of `AudioClient` among parsed options: they have the same names."""
    if args.input == "push":
        raise ConfigError(
            "--input push is for programs, which write the sound themselves: AudioClient(input='push') and "
            "client.write() in Python; a script's own is --input - (PCM on standard input)"
        )
    return with_url({name: getattr(args, name) for name in CLIENT_KEYWORDS}, args.url, "host", "localhost")


def run_client(args: argparse.Namespace) -> int:
    """Streams as parsed options say; returns the exit status."""
    if args.list_devices:
        return run_devices(args)
    with Script(args) as script, AudioClient(**client_options(args)) as client:
        script.follow(client)
    return script.status


def add_client(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Gives a parser the client's options."""
    parser.set_defaults(main=run_client, prog=parser.prog, log_file=None)
    parser.add_argument(
        "url",
        nargs="?",
        type=rtp_url,
        metavar="rtp://HOST:PORT",
        help="in place of --host and --port; ?ttl=N&localport=N may follow",
    )
    network = parser.add_argument_group("network")
    network.add_argument(
        "--host", default="localhost", help="the server's name or address, or a multicast group (localhost)"
    )
    add_network(network)
    network.add_argument(
        "--wire", choices=["rtp", "classic"], default="rtp", help="packet format: RTP, or the original scripts' (rtp)"
    )
    network.add_argument("--sdp", metavar="FILE", help="write the stream's session description; - for standard output")
    network.add_argument(
        "--sdp-key",
        action="store_true",
        help="tell the key in it, too: then FILE is a secret, and readable by you only",
    )
    network.add_argument(
        "--codec",
        choices=["l16", "opus", "pcmu", "pcma"],
        default="l16",
        help="what the sound is sent as: 16-bit PCM, Opus (48 kHz), or G.711 (8 kHz mono) (l16)",
    )
    network.add_argument(
        "--bitrate", type=int, default=64_000, metavar="BITS", help="what Opus may spend a second, 6000-510000 (64000)"
    )
    network.add_argument(
        "--fec",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="let Opus packets hold a copy of the one before, to repair losses (yes)",
    )
    network.add_argument(
        "--dred",
        type=float,
        default=0,
        metavar="MS",
        help="let Opus packets hold a rough copy of so much past, to repair bursts of losses, 0-1040 (0)",
    )
    network.add_argument(
        "--ptime",
        type=milliseconds,
        metavar="MS",
        help="length of an RTP packet, where not --size; Opus: 2.5, 5, 10, 20, 40 or 60",
    )
    network.add_argument(
        "--redundancy",
        type=copies,
        default=0,
        metavar="{0,1,2,3,4,auto,opus}",
        help="copies of each packet, to repair losses from; auto: as many as reported losses call for; opus: low-rate "
        "Opus beside PCM (0)",
    )
    network.add_argument(
        "--spacing", type=int, default=1, metavar="PACKETS", help="how many packets later a copy goes, 1-50 (1)"
    )
    network.add_argument("--local-port", type=int, default=0, metavar="PORT", help="port to send from (any)")
    network.add_argument("--dscp", type=int, default=46, help="DiffServ code point, 0-63 (46: low delay)")
    network.add_argument("--ttl", type=int, default=1, help="hops a multicast packet may take (1)")
    network.add_argument(
        "--interface",
        metavar="NAME",
        help="network interface of multicast packets: name, index or address (the route's)",
    )
    network.add_argument(
        "--reconnect", type=float, default=5.0, metavar="SECONDS", help="how long to retry a lost TCP connection (5)"
    )
    add_key(network)
    sound = parser.add_argument_group("sound")
    sound.add_argument(
        "--input",
        metavar="{DEVICE,tone,voice,silence,-,file:PATH}",
        help="a device by name, part of it or index; a built-in sound; - for PCM on standard input; a WAV file, which "
        "ends the client when it is over (the default microphone)",
    )
    sound.add_argument(
        "--output",
        metavar="{default,DEVICE,null,-,file:PATH}",
        help="where goes what the server says (--talk, --conference there): a device, the default one, or as of the "
        "server; wear headphones (nothing is listened to)",
    )
    add_sound(sound)
    add_recording(
        parser,
        "--record",
        type=float,
        metavar="SECONDS",
        help="record from the start, for so many seconds or to the end",
    ).add_argument(
        "--record-what",
        choices=["local", "remote", "both"],
        default="local",
        help="what is said, what is heard, or both: left said, right heard (local)",
    )
    add_common(parser)
    return parser
