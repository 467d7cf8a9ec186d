"""`audiostream lab`: experiments on a bad network, in virtual time."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..errors import AudioStreamError

if TYPE_CHECKING:
    from ..lab import Results

TEXT = "Compare ways of sending sound over a bad network: UDP, TCP, redundancy, Opus."

EXAMPLES = """\
examples:
  %(prog)s compare
      UDP against TCP, redundancy and Opus, at 0 to 10 %% loss; report.html in the folder lab
  %(prog)s compare --sound speech.wav --out speech
      with a sound of yours (16-bit WAV)
  %(prog)s compare --methods udp tcp-cubic --losses 0 2 4 8 --network delay=100,jitter=10
      on a longer path
  %(prog)s compare --networks lan wifi cellular satellite congested
      on networks that have names
  %(prog)s compare --methods udp opus --ptime 5 10 20 40
      what short packets cost, and long ones

Nothing is sent: sender, network and receiver run in virtual time. The same --seed gives the same results.csv.
"""

COMPARE_TEXT = "Try every way of sending on every network with every packet time, and write a report."


CAPTURED_MAX = 100 << 20
"""Captures are written unasked where all experiments together send less sound, bytes as PCM."""


def add_lab(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Gives a parser the options."""

    def say_how(_args: argparse.Namespace) -> int:
        parser.print_help(sys.stderr)
        return 2

    parser.set_defaults(main=say_how, prog=parser.prog)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    compare = commands.add_parser(
        "compare",
        help=COMPARE_TEXT,
        description=COMPARE_TEXT,
        epilog=(EXAMPLES % {"prog": parser.prog}).replace("%", "%%"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    compare.set_defaults(main=run_compare, prog=compare.prog)
    compare.add_argument(
        "--methods",
        nargs="+",
        metavar="METHOD",
        help="ways of sending: words of udp, tcp-reno, tcp-cubic, classic, l16, opus, pcmu, pcma, fec, redundancy, "
        "redundancy-N, joined by + (udp udp+redundancy opus+fec tcp-reno tcp-cubic opus+tcp-cubic)",
    )
    where = compare.add_mutually_exclusive_group()
    where.add_argument("--losses", nargs="+", type=float, metavar="PERCENT", help="losses of --network (0 1 2 5 10)")
    where.add_argument("--networks", nargs="+", metavar="LINK", help="networks to compare instead, as presets")
    compare.add_argument(
        "--network",
        metavar="LINK",
        help="the path that gets the losses, as of 'audiostream client' (delay=40,jitter=5)",
    )
    compare.add_argument("--ptime", nargs="+", type=float, metavar="MS", help="packet times (10; Opus 20)")
    compare.add_argument("--sound", metavar="FILE", help="a 16-bit WAV file (the built-in voice)")
    compare.add_argument("--seconds", type=float, help="how much of it (all of a file, 30 of the voice)")
    compare.add_argument("--bitrate", type=int, default=64_000, metavar="BITS", help="of Opus (64000)")
    compare.add_argument("--delay", type=float, metavar="MS", help="a fixed playout delay (follows the network)")
    compare.add_argument("--seed", type=int, default=1, help="what chance is drawn from (1)")
    compare.add_argument("--out", default="lab", metavar="FOLDER", help="where everything goes (lab)")
    compare.add_argument(
        "--captures",
        action=argparse.BooleanOptionalAction,
        help="a capture of each experiment for Wireshark, in the folder captures (yes, where the sound of all "
        f"experiments together is below {CAPTURED_MAX >> 20} MiB; not with --csv-only)",
    )
    compare.add_argument("--csv-only", action="store_true", help="results.csv and nothing else: needs no extra package")
    compare.add_argument("--quiet", action="store_true", help="errors only")
    return parser


def run_compare(args: argparse.Namespace) -> int:
    """Compares as parsed options say; returns the exit status."""
    try:
        if not args.csv_only:
            # Better told now than after the work.
            from ..lab.needs import need

            for module in ("numpy", "matplotlib", "jinja2"):
                need(module)
        folder = Path(args.out)
        folder.mkdir(parents=True, exist_ok=True)
        results = _compare(args)
        written = results.to_csv(folder / "results.csv") if args.csv_only else results.report(folder, _command(args))
    except (AudioStreamError, ImportError, OSError) as error:
        print(f"{args.prog}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if not args.quiet:
        _tell(results, written)
    return 0


def _compare(args: argparse.Namespace) -> Results:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from ..lab import LOSSES, METHODS, Sound, compare
    from ..lab.compare import PATH

    methods, ptimes = args.methods or METHODS, args.ptime or (None,)
    losses = None if args.networks else args.losses or LOSSES
    sound = Sound.of(args.sound, args.seconds)
    captures = args.captures
    if captures is None:
        rows = len(methods) * len(args.networks or losses or ()) * len(ptimes)
        captures = not args.csv_only and rows * len(sound.pcm) < CAPTURED_MAX
    console = Console(stderr=True, quiet=args.quiet)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("experiments", total=None)
        return compare(
            methods,
            losses,
            networks=args.networks,
            network=args.network or PATH,
            ptimes=ptimes,
            sound=sound,
            seed=args.seed,
            bitrate=args.bitrate,
            delay=args.delay,
            captures=Path(args.out) / "captures" if captures else None,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def _tell(results: Results, written: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from ..lab.findings import findings

    console = Console()
    if console.is_terminal:
        table = Table("method", "network", "delay 95 %, ms", "not heard, %", "kbit/s", "R", box=None)
        for outcome in results:
            row = outcome.row()
            names = ("mouth_to_ear_p95_ms", "missing_percent", "wire_kbps", "r_factor")
            table.add_row(outcome.method.name, outcome.where, *(str(row[name]) for name in names))
        console.print(table)
    for finding in findings(results):
        print(f"- {finding}")
    print(written)


def _command(args: argparse.Namespace) -> str:
    words = ["audiostream", "lab", "compare"]
    for name in ("methods", "losses", "networks", "network", "ptime", "sound", "seconds", "delay"):
        value = getattr(args, name)
        if value is not None:
            values = cast("list[object]", value if isinstance(value, list) else [value])
            words += [f"--{name}", *(f"{each:g}" if isinstance(each, float) else str(each) for each in values)]
    if args.bitrate != 64_000:
        words += ["--bitrate", str(args.bitrate)]
    if args.captures is not None:
        words.append("--captures" if args.captures else "--no-captures")
    words += ["--seed", str(args.seed), "--out", args.out]
    return shlex.join(words)
