"""`audiostream probe`: measures a network path to a running server, or the delay from mouth to ear."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import AudioStreamError, ConfigError
from .options import add_key, add_network, milliseconds

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Generator

TEXT = "Measure the path to a server (delay, jitter, loss, order, clocks), or by chirps the delay from mouth to ear."

EXAMPLES = """\
examples:
  %(prog)s studio.local
      the path to a server there, started by: audiostream server
  %(prog)s studio.local --duration 60 --json path.json
      for a minute, which shows more of the clocks
  %(prog)s rtp://studio.local:5004 --size 20 --codec opus --duration 60
      with other packets; of Opus a server reports every few seconds only
  %(prog)s --network wifi
      a bad network in front of a server on this machine, to try it out
  %(prog)s --acoustic
      from this machine's microphone through client, server and speaker back into the microphone; chirps are loud
  %(prog)s --acoustic --input "USB Microphone" --output "USB Speaker" --size 5 --delay 20
      other devices, shorter blocks, a fixed delay of the server

Each figure comes with the interval that holds the true one in 95 of 100 measurements. What is sent is silence:
nobody hears it.
"""


def add_probe(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Gives a parser the options."""
    parser.set_defaults(main=run_probe, prog=parser.prog)
    parser.add_argument(
        "host",
        nargs="?",
        metavar="HOST|rtp://HOST:PORT",
        help="the server, by name, address or URL (localhost)",
    )
    network = parser.add_argument_group("network")
    add_network(network)
    add_key(network)
    network.add_argument(
        "--synchronised",
        action="store_true",
        help="both machines' clocks show the same time (PTP, or NTP where that is good enough): one-way delays are "
        "read from them",
    )
    sound = parser.add_argument_group("what is sent")
    sound.add_argument("--size", type=milliseconds, default=10, metavar="MS", help="block of sound, ms (10)")
    sound.add_argument("--codec", choices=["l16", "opus", "pcmu", "pcma"], default="l16", help="coding (l16)")
    sound.add_argument("--bitrate", type=int, default=64_000, metavar="BITS", help="of Opus (64000)")
    sound.add_argument("--rate", type=int, default=44100, metavar="HZ", help="frames a second (44100)")
    sound.add_argument("--channels", type=int, default=1, help="1 or 2 (1)")
    sound.add_argument(
        "--input",
        metavar="SOURCE",
        help="silence, voice, tone, or file:PATH that lasts (silence; voice for opus); with --acoustic the microphone",
    )
    acoustic = parser.add_argument_group("from mouth to ear (needs numpy)")
    acoustic.add_argument("--acoustic", action="store_true", help="measure this machine's microphone and speaker")
    acoustic.add_argument(
        "--output", metavar="DEVICE", help="the speaker, by name, part of it or index (the default one)"
    )
    acoustic.add_argument("--chirps", type=int, metavar="N", help="how many to measure by (10)")
    acoustic.add_argument("--delay", type=milliseconds, metavar="MS", help="the server's delay (follows the network)")
    acoustic.add_argument(
        "--host-api", metavar="NAME", help="sound system: pulseaudio, alsa, … (the first that answers)"
    )
    running = parser.add_argument_group("running")
    running.add_argument("--duration", type=float, default=10.0, metavar="SECONDS", help="how long (10)")
    running.add_argument(
        "--patience", type=float, default=5.0, metavar="SECONDS", help="how long a first answer is waited for (5)"
    )
    running.add_argument(
        "--json", metavar="PATH", help="write the figures as JSON; - for standard output, and no table"
    )
    running.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def run_probe(args: argparse.Namespace) -> int:
    """Measures as parsed options say; returns the exit status."""
    try:
        if args.json not in {None, "-"}:
            # Better told now than after the work.
            Path(args.json).open("a", encoding="utf-8").close()
        _tell(args, *(_acoustic(args) if args.acoustic else _path(args)))
    except (AudioStreamError, ImportError, OSError) as error:
        print(f"{args.prog}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _path(args: argparse.Namespace) -> tuple[dict[str, Any], Callable[[], object]]:
    from ..lab import probe
    from ..lab.show import path_table

    if (args.output, args.chirps, args.delay, args.host_api) != (None,) * 4:
        raise ConfigError("--output, --chirps, --delay and --host-api are for --acoustic: give that, too")
    with _progress(args, "measuring") as progress:
        figures = probe(
            args.host or "localhost",
            args.port,
            duration=args.duration,
            protocol=args.protocol,
            size=args.size,
            codec=args.codec,
            bitrate=args.bitrate,
            rate=args.rate,
            channels=args.channels,
            input=args.input,
            network=args.network,
            synchronised=args.synchronised,
            key_file=args.key_file,
            name=args.name,
            patience=args.patience,
            progress=progress,
        )
    return figures.to_dict(), lambda: path_table(figures)


def _acoustic(args: argparse.Namespace) -> tuple[dict[str, Any], Callable[[], object]]:
    from ..lab import mouth_to_ear
    from ..lab.show import mouth_table

    if args.host is not None or args.network is not None:
        raise ConfigError("--acoustic measures this machine: leave host and --network out")
    with _progress(args, "chirping") as progress:
        figures = mouth_to_ear(
            input=args.input,
            output=args.output,
            size=args.size,
            protocol=args.protocol,
            codec=args.codec,
            delay=args.delay,
            rate=args.rate,
            host_api=args.host_api,
            chirps=args.chirps or 10,
            progress=progress,
        )
    return figures.to_dict(), lambda: mouth_table(figures)


def _tell(args: argparse.Namespace, figures: dict[str, Any], table: Callable[[], object]) -> None:
    if args.json is not None:
        text = json.dumps(figures, indent=2) + "\n"
        if args.json == "-":
            sys.stdout.write(text)
            return
        Path(args.json).write_text(text, encoding="utf-8")
    from rich.console import Console

    Console(soft_wrap=not sys.stdout.isatty()).print(table())


@contextmanager
def _progress(args: argparse.Namespace, what: str) -> Generator[Callable[[float, float], None]]:
    """A progress bar on a terminal, that is gone at the end; what moves it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, quiet=args.quiet)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
