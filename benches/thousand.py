#!/usr/bin/env python3
"""What many sources cost a server: CPU a packet, beside a loop that only receives and counts.

    python benches/thousand.py [--seconds 60] [--runs 1000 lossy 2000 curve] [--csv build/curves/sources.csv]

Sources of 10 ms L16 (894 bytes) over loopback, sent by `thousand.rs` from one core to a receiver on the other: the bare
`recvmmsg` loop of the same file, or `AdvancedAudioServer(output="null")`, which plays and mixes them all. CPU is user
and system time of the receiver's process, all threads, from before the first packet to after the last.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression
from tempfile import TemporaryDirectory

from measure.table import show, verdict

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
CURVE = (10, 30, 100, 300, 1000)

SERVER = """
import json, sys, audiostream
with audiostream.AdvancedAudioServer(port=0, bind="127.0.0.1", output=sys.argv[1], max_sources=2048) as server:
    print(server.port, flush=True)
    for _ in sys.stdin:
        stats = server.stats.to_dict()
        del stats["sources"]
        print(json.dumps(stats), flush=True)
"""


@dataclass
class Outcome:
    """One run."""

    sent: int
    counted: int
    seconds: float
    cpu: float
    stats: dict[str, float]
    tiers: list[int]

    @property
    def cores(self) -> float:
        """CPU a second."""
        return self.cpu / self.seconds

    @property
    def each(self) -> float:
        """CPU a packet, µs."""
        return self.cpu / self.counted * 1e6


class Bench:
    """The generator, and what hears it."""

    def __init__(self, folder: str) -> None:
        """Builds the generator; programs run in `folder`."""
        self._folder = folder
        self._program = program()

    def bare(self, sources: int, seconds: float) -> Outcome:
        """The loop that only counts."""
        with self._running([self._program, "count"]) as receiver:
            port, before = int(receiver.stdout.readline()), cpu(receiver)
            sent = self._send(port, sources, seconds, 0.0)
            used = cpu(receiver) - before
            return Outcome(sent, int(receiver.stdout.readline()), seconds, used, {}, [])

    def server(self, sources: int, seconds: float, *, loss: float = 0.0, output: str = "null") -> Outcome:
        """Ours."""
        with self._running([sys.executable, "-c", SERVER, output]) as server:
            port = int(server.stdout.readline())
            time.sleep(0.5)
            before = cpu(server)
            sending = self._start(port, sources, seconds, loss)
            tiers = []
            for _ in range(3):
                time.sleep(seconds / 4)
                tiers.append(int(ask(server)["tier"]))
            sent = told(sending)
            time.sleep(0.2)
            used = cpu(server) - before
            stats = ask(server)
            return Outcome(sent, int(stats["packets_received"]), seconds, used, stats, tiers)

    def _send(self, port: int, sources: int, seconds: float, loss: float) -> int:
        return told(self._start(port, sources, seconds, loss))

    def _start(self, port: int, sources: int, seconds: float, loss: float) -> subprocess.Popen[str]:
        command = [self._program, "send", *map(str, (port, sources, seconds, loss))]
        return subprocess.Popen(pinned(0, command), stdout=subprocess.PIPE, text=True)

    @contextmanager
    def _running(self, command: list[str]) -> Iterator[subprocess.Popen[str]]:
        pipe = subprocess.PIPE
        process = subprocess.Popen(pinned(1, command), stdin=pipe, stdout=pipe, text=True, cwd=self._folder)
        try:
            yield process
        finally:
            process.stdin.close()
            process.terminate()
            process.wait(20)


def told(sending: subprocess.Popen[str]) -> int:
    """How many packets were sent."""
    said = json.loads(sending.communicate()[0])
    if said["late_ms"] > 20:
        print(f"the generator was held up for {said['late_ms']} ms", file=sys.stderr)
    return said["sent"]


def ask(server: subprocess.Popen[str]) -> dict[str, float]:
    """The server's statistics."""
    server.stdin.write("\n")
    server.stdin.flush()
    return json.loads(server.stdout.readline())


def cpu(process: subprocess.Popen[str]) -> float:
    """User and system time of a process so far, seconds."""
    # The name in brackets may hold spaces; the two are fields 14 and 15.
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def pinned(core: int, command: list[str]) -> list[str]:
    """A command that keeps to one core, if there are two."""
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[core]), *command] if len(cores) > 1 else command


def program() -> str:
    """Builds the generator; its path."""
    command = ["cargo", "bench", "--quiet", "--no-default-features", "--bench", "thousand", "--no-run"]
    built = subprocess.run([*command, "--message-format=json"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    return next(message["executable"] for message in reversed(messages) if message.get("executable"))


def row(name: str, outcome: Outcome, bare: Outcome | None, cores: float | None) -> list[str]:
    """One run as a line of the table."""
    lost = outcome.sent - outcome.counted
    stats = outcome.stats
    unheard = int(stats.get("sources_unheard", 0))
    held = lost == unheard == 0 and (cores is None or outcome.cores <= cores)
    if bare is not None and name.endswith("played and mixed"):
        held = held and outcome.each <= 2 * bare.each
    return [
        name,
        f"{outcome.counted:,}",
        str(lost),
        str(stats["packets_dropped_local"]) if stats else "",
        f"{outcome.cores:.3f}",
        f"{outcome.each:.2f}",
        f"{outcome.each / bare.each:.2f}" if bare else "",
        "/".join(map(str, outcome.tiers)),
        f"{stats['frames_concealed'] / max(stats['frames_received'], 1) * 100:.2f}" if stats else "",
        str(unheard) if stats else "",
        verdict(held) if stats else "",
    ]


def straight(points: list[tuple[int, float]]) -> str:
    """The line that goes through the points best, and how well it does."""
    slope, start = linear_regression(*zip(*points, strict=True))
    off = max(abs(cores - start - slope * count) for count, cores in points)
    return f"; cores = {start:.3f} + {slope * 1e3:.3f} per 1,000 sources, no point further off than {off:.3f}"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="What many sources cost a server.")
    parser.add_argument("--seconds", type=float, default=60, help="how long each run takes (60)")
    parser.add_argument("--curve-seconds", type=float, default=10, help="the same for each point of the curve (10)")
    parser.add_argument("--runs", nargs="+", default=["1000", "lossy", "2000", "curve"])
    parser.add_argument("--csv", type=Path, help="where the curve's points go")
    args = parser.parse_args()
    if not sys.platform.startswith("linux"):
        print("many sources: left out, Linux only")
        return
    seconds, rows, line = args.seconds, [], ""
    with TemporaryDirectory() as folder:
        bench = Bench(folder)
        bare = bench.bare(1000, min(seconds, args.curve_seconds * 2))
        rows.append(row("1,000 sources, bare recvmmsg loop", bare, None, None))
        if "1000" in args.runs:
            rows.append(row("1,000 sources, played and mixed", bench.server(1000, seconds), bare, 0.5))
        if "lossy" in args.runs:
            rows.append(row("the same, 2 % lost", bench.server(1000, seconds, loss=0.02), bare, 1.0))
        if "2000" in args.runs:
            rows.append(row("2,000 sources, counted only", bench.server(2000, seconds, output="none"), bare, None))
        if "curve" in args.runs:
            points = [(count, bench.server(count, args.curve_seconds)) for count in CURVE]
            rows += [row(f"{count:,} sources, played", outcome, bare, None) for count, outcome in points]
            line = straight([(count, outcome.cores) for count, outcome in points])
            if args.csv:
                args.csv.parent.mkdir(parents=True, exist_ok=True)
                with args.csv.open("w", newline="") as file:
                    writer = csv.writer(file)
                    writer.writerow(["sources", "cores", "bare_us"])
                    writer.writerows((count, outcome.cores, bare.each) for count, outcome in points)
    show(
        f"Many sources of 10 ms L16, {seconds:g} s each",
        f"tier: concealment at a quarter, half and three quarters of the run, 0 the dearest, 4 the cheapest{line}",
        [
            "",
            "counted",
            "missing",
            "dropped here",
            "cores",
            "µs a packet",
            "of the bare loop",
            "tier",
            "concealed %",
            "unheard",
            "bound",
        ],
        rows,
    )


if __name__ == "__main__":
    main()
