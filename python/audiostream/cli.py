"""The scripts: `audiostream client | server | devices | keygen | demo`, and the parsers that `examples/*.py` share."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from . import __version__
from .client import AudioClient
from .devices import list_devices
from .errors import ConfigError
from .keys import ENVIRONMENT, FOREIGN_SUITES, generate_key, write_key
from .script import Script
from .server import AdvancedAudioServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    # What options are added to: argparse has no public name for it.
    Options = argparse._ActionsContainer  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

__all__ = ["client_main", "client_options", "client_parser", "main", "server_main", "server_options", "server_parser"]

CLIENT_TEXT = "Stream a microphone, a file or a built-in sound to a server, and record it if you like."
CLIENT_EXAMPLES = """\
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
  %(prog)s --list-devices
      what --input may name

Ctrl-C ends it; a running recording is finished.
"""

SERVER_TEXT = "Receive streams, play them mixed, count what is lost, log, and record if you like."
SERVER_EXAMPLES = """\
examples:
  %(prog)s
      play what arrives by UDP on port 12345
  %(prog)s --tcp
      the same by TCP; ends when its last client has left
  %(prog)s --output null --record
      no speaker needed: record what arrives
  %(prog)s --sdp stream.sdp
      what a session description says, as ffmpeg and GStreamer write them
  %(prog)s rtp://@239.1.2.3:5004
      a multicast group
  %(prog)s --key-file studio.key
      hear only what is sealed with this key
  %(prog)s --output - | aplay -f S16_LE -r 44100
      PCM on standard output
  %(prog)s --duration 60 --stats-json stats.json --quiet
      a minute's figures, nothing else

Ctrl-C ends it; a running recording is finished. Every packet is in the log file (--log-file).
"""

KEYGEN_TEXT = "Make a key for streams that nobody else can hear or forge (SRTP)."
KEYGEN_EXAMPLES = f"""\
examples:
  %(prog)s studio.key
      a new file that only you can read; then --key-file studio.key at both ends
  %(prog)s
      the key itself, for {ENVIRONMENT} or for key= in Python
  %(prog)s --suite AES_CM_128_HMAC_SHA1_80
      for ffmpeg or GStreamer at the other end

Whoever has the key can hear the streams and speak in them: carry it over by ssh or scp, not by mail.
"""

DEMO_TEXT = "Client and server over loopback, for ten seconds, with live figures."
DEMO_EXAMPLES = """\
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

CLIENT_KEYWORDS = (
    *("protocol", "host", "port", "size", "rate", "channels", "input", "wire", "codec", "bitrate"),
    *("fec", "ptime", "redundancy", "spacing", "host_api", "latency"),
    *("local_port", "dscp", "ttl", "reconnect", "key_file", "record", "recordings", "duration", "network", "name"),
    "packet_log",
)
SERVER_KEYWORDS = (
    *("protocol", "port", "size", "rate", "channels", "bind", "sdp", "wire", "output", "host_api", "latency", "delay"),
    *("min_delay", "max_delay", "record", "recordings", "max_sources", "allow", "key_file", "keep_listening"),
    *("duration", "network", "name", "quality", "packet_log"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """The console script `audiostream`; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="audiostream",
        description="Live sound over a network, measured.",
        epilog="Start with 'audiostream demo'. 'audiostream COMMAND --help' says more, with examples.",
    )
    parser.add_argument("--version", action="version", version=f"audiostream {__version__}")
    parser.set_defaults(main=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, text, examples, add in (
        ("client", CLIENT_TEXT, CLIENT_EXAMPLES, _add_client),
        ("server", SERVER_TEXT, SERVER_EXAMPLES, _add_server),
        ("devices", "List the sound devices of this machine.", None, _add_devices),
        ("keygen", KEYGEN_TEXT, KEYGEN_EXAMPLES, _add_keygen),
        ("demo", DEMO_TEXT, DEMO_EXAMPLES, _add_demo),
    ):
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


def client_main(argv: Sequence[str] | None = None) -> int:
    """What `audiostream client` does; returns the exit status."""
    return run_client(client_parser().parse_args(argv))


def server_main(argv: Sequence[str] | None = None) -> int:
    """What `audiostream server` does; returns the exit status."""
    return run_server(server_parser().parse_args(argv))


def client_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The parser of the client's options."""
    return _add_client(_parser(prog, CLIENT_TEXT, CLIENT_EXAMPLES))


def server_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The parser of the server's options."""
    return _add_server(_parser(prog, SERVER_TEXT, SERVER_EXAMPLES))


def client_options(args: argparse.Namespace) -> dict[str, Any]:
    """The keywords of `AudioClient` among parsed options: they have the same names."""
    return _with_url({name: getattr(args, name) for name in CLIENT_KEYWORDS}, args.url, "host", "localhost")


def server_options(args: argparse.Namespace) -> dict[str, Any]:
    """The keywords of `AdvancedAudioServer` among parsed options: they have the same names."""
    options = {name: getattr(args, name) for name in SERVER_KEYWORDS}
    if options["sdp"] == "-":
        options["sdp"] = sys.stdin.read()
    return _with_url(options, args.url, "bind", None)


def run_client(args: argparse.Namespace) -> int:
    """Streams as parsed options say; returns the exit status."""
    if args.list_devices:
        return run_devices(args)
    with Script(args) as script, AudioClient(**client_options(args)) as client:
        script.follow(client)
    return script.status


def run_server(args: argparse.Namespace) -> int:
    """Receives as parsed options say; returns the exit status."""
    if args.list_devices:
        return run_devices(args)
    with Script(args) as script, AdvancedAudioServer(**server_options(args)) as server:
        script.follow(server)
    return script.status


def run_devices(args: argparse.Namespace) -> int:
    """Prints the sound devices; returns the exit status."""
    with Script(args) as script:
        devices = list_devices(args.host_api)
        if not devices:
            print("No sound device here. Built-in ends: --input tone, voice, silence; --output null, file:PATH.")
        for device in devices:
            ways = f"{device.max_input_channels} in, {device.max_output_channels} out"
            marks = [name for name in ("input", "output") if getattr(device, f"is_default_{name}")]
            default = f"  (default {' and '.join(marks)})" if marks else ""
            print(f"{device.index:3}  {device.name}  [{device.host_api}, {ways}, {device.default_rate} Hz]{default}")
    return script.status


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


def run_demo(args: argparse.Namespace) -> int:
    """Runs the demonstration; returns the exit status."""
    from .demo import run

    return run(args)


def _with_url(options: dict[str, Any], url: str | None, name: str, default: str | None) -> dict[str, Any]:
    if url is not None:
        if options[name] != default:
            raise ConfigError(f"--{name} and {url}: give one of them")
        options[name] = url
    return options


def _parser(prog: str | None, text: str, examples: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog=prog, description=text, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def _add_client(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
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
    _add_network(network)
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
        "--reconnect", type=float, default=5.0, metavar="SECONDS", help="how long to retry a lost TCP connection (5)"
    )
    _add_key(network)
    sound = parser.add_argument_group("sound")
    sound.add_argument(
        "--input",
        metavar="{DEVICE,tone,voice,silence,-,file:PATH}",
        help="a device by name, part of it or index; a built-in sound; - for PCM on standard input; a WAV file, which "
        "ends the client when it is over (the default microphone)",
    )
    _add_sound(sound)
    _add_recording(
        parser,
        "--record",
        type=float,
        metavar="SECONDS",
        help="record from the start, for so many seconds or to the end",
    )
    _add_common(parser)
    return parser


def _add_server(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
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
    _add_network(network)
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
    _add_key(network)
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
        "--delay", type=float, metavar="MS", help="how long a packet is kept before it is played (follows the network)"
    )
    sound.add_argument("--min-delay", type=float, default=0.0, metavar="MS", help="at least, where it follows (0)")
    sound.add_argument("--max-delay", type=float, default=500.0, metavar="MS", help="at most, where it follows (500)")
    _add_sound(sound, told=False)
    _add_recording(parser, "--record", metavar="NAME", help="record what arrives, under this name if given")
    _add_common(parser).add_argument(
        "--log-file",
        default="audio_stream.log",
        metavar="PATH",
        help="log of every packet, 5 MiB and 3 older ones (%(default)s)",
    )
    return parser


def _add_devices(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.set_defaults(main=run_devices, prog=parser.prog)
    parser.add_argument(
        "--host-api", metavar="NAME", help="sound system to ask: pulseaudio, alsa, … (the first that answers)"
    )
    return parser


def _add_keygen(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.set_defaults(main=run_keygen, prog=parser.prog)
    parser.add_argument("file", nargs="?", metavar="FILE", help="a file to make for it (prints it)")
    parser.add_argument("--suite", choices=[*FOREIGN_SUITES], help="a key for other programs (one of our own)")
    return parser


def _add_demo(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.set_defaults(main=run_demo, prog=parser.prog, log_file=None)
    _add_network(parser, port=0)
    parser.add_argument("--wire", choices=["rtp", "classic"], default="rtp", help="packet format (rtp)")
    parser.add_argument("--input", metavar="INPUT", help="as of 'audiostream client' (microphone, else voice)")
    parser.add_argument("--output", metavar="OUTPUT", help="as of 'audiostream server' (speaker, else a file)")
    _add_sound(parser)
    parser.add_argument(
        "--recordings", default="Recording", metavar="FOLDER", help="folder for recordings (%(default)s)"
    )
    _add_common(parser, duration=10.0)
    return parser


def _add_network(group: Options, port: int = 12345) -> None:
    group.add_argument("--protocol", choices=["udp", "tcp"], default="udp", help="transport (udp)")
    group.add_argument("--udp", dest="protocol", action="store_const", const="udp", help="short for --protocol udp")
    group.add_argument("--tcp", dest="protocol", action="store_const", const="tcp", help="short for --protocol tcp")
    group.add_argument("--port", type=int, default=port, help=f"the server's port ({port or 'any'})")
    group.add_argument(
        "--network",
        metavar="LINK",
        help="a bad network in the path, UDP only: loss=5,burst=3,delay=40,jitter=15,seed=1 (percent, packets, ms), or "
        "wifi, cellular, satellite, congested, lan",
    )
    group.add_argument("--name", help="what you are called, for the other end to see")


def _add_key(group: Options) -> None:
    group.add_argument(
        "--key-file",
        metavar="FILE",
        help="seal the stream (SRTP) with the key in FILE, which only you may read; without this, with the one in "
        f"{ENVIRONMENT}, if any. There is no option for the key itself: every user of this machine could read it",
    )
    group.add_argument("--key", action=_NoKey, nargs="?", help=argparse.SUPPRESS)


class _NoKey(argparse.Action):
    """Says why there is no such option, to those who expect it, and repeats nothing of what they gave."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser.error(
            "there is no --key: every user of this machine could read it in the list of processes, and the shell "
            f"remembers it; use --key-file, or {ENVIRONMENT}"
        )


def _add_sound(group: Options, *, told: bool = True) -> None:
    group.add_argument(
        "--size",
        type=milliseconds,
        default=10,
        metavar="MS",
        help="block of sound, ms: 10, 20, … 150; 5 and 2.5 with RTP (10)",
    )
    otherwise = "" if told else "the sdp's, or "
    group.add_argument(
        "--rate", type=int, default=44100 if told else None, metavar="HZ", help=f"frames a second ({otherwise}44100)"
    )
    group.add_argument("--channels", type=int, default=1 if told else None, help=f"1 or 2 ({otherwise}1)")
    group.add_argument("--host-api", metavar="NAME", help="sound system: pulseaudio, alsa, … (the first that answers)")
    group.add_argument(
        "--latency", choices=["low", "high"], default="low", help="device buffer; high for machines that crackle (low)"
    )
    group.add_argument("--list-devices", action="store_true", help="list the sound devices and exit")


def _add_recording(parser: argparse.ArgumentParser, name: str, **how: Any) -> None:  # noqa: ANN401 - argparse's own
    group = parser.add_argument_group("recording")
    group.add_argument(name, nargs="?", const=True, default=None, **how)
    group.add_argument(
        "--recordings", default="Recording", metavar="FOLDER", help="folder for recordings (%(default)s)"
    )


def _add_common(parser: argparse.ArgumentParser, duration: float | None = None) -> Options:
    group = parser.add_argument_group("running")
    so_long = "until Ctrl-C" if duration is None else f"{duration:g}"
    group.add_argument(
        "--duration", type=float, default=duration, metavar="SECONDS", help=f"end by itself after so long ({so_long})"
    )
    group.add_argument("--stats-json", metavar="PATH", help="write the final statistics as JSON; - for standard output")
    group.add_argument("--packet-log", metavar="PATH", help="write a line for each packet, as CSV")
    group.add_argument("--quiet", action="store_true", help="show errors only")
    group.add_argument("-v", "--verbose", action="store_true", help="show every packet, and tracebacks")
    return group


def rtp_url(text: str) -> str:
    """A URL that stands alone; what is in it, the engine checks."""
    if "://" not in text:
        raise argparse.ArgumentTypeError(f"expected an rtp:// URL, not {text!r}")
    return text


def copies(text: str) -> int | str:
    """A number of copies, or a word for it; which there are, the engine checks."""
    return int(text) if text.isdecimal() else text


def milliseconds(text: str) -> float:
    """A length that an option gives; whole ones stay whole. argparse names this function where it is no number."""
    value = float(text)
    return int(value) if value.is_integer() else value


if __name__ == "__main__":
    sys.exit(main())
