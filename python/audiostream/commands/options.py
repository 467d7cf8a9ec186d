"""Options that several commands share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..keys import ENVIRONMENT

if TYPE_CHECKING:
    # What options are added to: argparse has no public name for it.
    Options = argparse._ActionsContainer  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def add_network(group: Options, port: int = 12345, *, listens: bool = False) -> None:
    """Transport (who listens can do both), port, a bad network, and what one is called."""
    both = ["both"] if listens else []
    group.add_argument("--protocol", choices=["udp", "tcp", *both], default="udp", help="transport (udp)")
    group.add_argument("--udp", dest="protocol", action="store_const", const="udp", help="short for --protocol udp")
    group.add_argument("--tcp", dest="protocol", action="store_const", const="tcp", help="short for --protocol tcp")
    group.add_argument("--port", type=int, default=port, help=f"the server's port ({port or 'any'})")
    add_link(group, "a bad network in the path, UDP only")
    group.add_argument("--name", help="what you are called, for the other end to see")


def add_link(group: Options, what: str) -> None:
    """A bad network."""
    group.add_argument(
        "--network",
        metavar="LINK",
        help=f"{what}: loss=5,burst=3,delay=40,jitter=15,seed=1 (percent, packets, ms), or "
        "wifi, cellular, satellite, congested, lan",
    )


def add_key(group: Options) -> None:
    """Where the key is."""
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


def add_sound(group: Options, *, told: bool = True) -> None:
    """How sound is cut and counted, and the device."""
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


def add_recording(parser: argparse.ArgumentParser, name: str, **how: Any) -> Options:  # noqa: ANN401 - argparse's own
    """What is recorded, and where to; returns the group."""
    group = parser.add_argument_group("recording")
    group.add_argument(name, nargs="?", const=True, default=None, **how)
    group.add_argument(
        "--recordings", default="Recording", metavar="FOLDER", help="folder for recordings (%(default)s)"
    )
    return group


def add_common(parser: argparse.ArgumentParser, duration: float | None = None) -> Options:
    """How long a stream runs and what it tells; returns the group."""
    group = add_running(parser, duration)
    group.add_argument("--pcap", metavar="PATH", help="capture what passes, for Wireshark (pcapng)")
    group.add_argument("--packet-log", metavar="PATH", help="write a line for each packet, as CSV")
    add_verbosity(group)
    return group


def add_running(parser: argparse.ArgumentParser, duration: float | None = None) -> Options:
    """How long anything runs, and its figures; returns the group."""
    group = parser.add_argument_group("running")
    so_long = "until Ctrl-C" if duration is None else f"{duration:g}"
    group.add_argument(
        "--duration", type=float, default=duration, metavar="SECONDS", help=f"end by itself after so long ({so_long})"
    )
    group.add_argument("--stats-json", metavar="PATH", help="write the final statistics as JSON; - for standard output")
    return group


def add_verbosity(group: Options) -> None:
    """How much it says."""
    group.add_argument("--quiet", action="store_true", help="show errors only")
    group.add_argument("-v", "--verbose", action="store_true", help="show every packet, and tracebacks")


def with_url(options: dict[str, Any], url: str | None, name: str, default: str | None) -> dict[str, Any]:
    """The options, with a URL in the place of the option that it stands for."""
    if url is not None:
        if options[name] != default:
            raise ConfigError(f"--{name} and {url}: give one of them")
        options[name] = url
    return options


def parser_for(prog: str | None, text: str, examples: str) -> argparse.ArgumentParser:
    """A parser that stands alone, of a script of its own."""
    return argparse.ArgumentParser(
        prog=prog, description=text, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )


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
