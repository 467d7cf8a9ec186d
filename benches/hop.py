#!/usr/bin/env python3
"""What a hop adds by itself: the delay of one set to nothing, and how true `delay=` and `rate=` are.

    python benches/hop.py [--packets 2000] [--seconds 3]

`audiostream hop` runs in a process of its own. Packets of 200 bytes go in turn straight to a socket and through the hop
to another, each when the one before has come. A packet's time is from just before it is sent to the kernel's receive
stamp, so that what the receiving program does counts nowhere. What the hop adds is the difference of the two.

Against: the straight way over loopback, in the same run. Bounds: 99 of 100 packets are less than 1 ms later through a
hop set to nothing; the pace of each `rate=` is within 2 per cent of what it says.
"""

from __future__ import annotations

import argparse
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

from measure.table import show, verdict

BOUND_MS = 1.0
BOUND_PERCENT = 2.0
EVERY_SECONDS = 0.002
PACKET = bytes(200)
# What is paced, and the packets it is paced with, bytes.
RATES = {"64k": (64e3, 200), "256k": (256e3, 500), "1M": (1e6, 1000), "10M": (10e6, 1000)}
SO_TIMESTAMPNS = 35


@contextmanager
def receiver() -> Iterator[socket.socket]:
    """A socket whose packets have the kernel's receive stamps."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        own.bind(("127.0.0.1", 0))
        own.settimeout(10)
        yield own


def arrival(own: socket.socket) -> tuple[int, int]:
    """When the next packet came, ns since 1970, and its bytes."""
    data, control, _, _ = own.recvmsg(2048, 64)
    for level, kind, stamp in control:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, ns = struct.unpack("ll", stamp[:16])
            return seconds * 1_000_000_000 + ns, len(data)
    raise SystemExit("this kernel gives no receive stamps")


@contextmanager
def hop(far: socket.socket, network: str) -> Iterator[int]:
    """The port of a hop towards `far`, as `--network` says."""
    command = [sys.executable, "-m", "audiostream", "hop", "127.0.0.1:0", f"127.0.0.1:{far.getsockname()[1]}"]
    process = subprocess.Popen([*command, "--network", network], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        found = None
        while found is None:
            line = process.stderr.readline()
            if not line:
                raise SystemExit("the hop has ended")
            found = re.search(r":(\d+) goes on to", line)
        yield int(found.group(1))
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


@dataclass
class Added:
    """What a hop added to the straight way."""

    name: str
    straight_ms: list[float]
    through_ms: list[float]
    asked_ms: float = 0.0

    def added_ms(self) -> list[float]:
        """The difference, packet by packet, less what was asked for; the smallest first."""
        pairs = zip(self.straight_ms, self.through_ms, strict=True)
        return sorted(through - straight - self.asked_ms for straight, through in pairs)

    def p99_ms(self) -> float:
        """Of 100 packets 99 are less late."""
        return quantile(self.added_ms(), 0.99)

    def row(self) -> list[str]:
        """A row of the table."""
        added = self.added_ms()
        figures = (
            statistics.median(self.straight_ms),
            quantile(sorted(self.straight_ms), 0.99),
            statistics.median(added),
            quantile(added, 0.99),
            added[-1],
        )
        return [self.name, str(len(added)), *(f"{figure:.3f}" for figure in figures)]


def quantile(ordered: list[float], share: float) -> float:
    """Of the ordered values."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def delays(network: str, packets: int, asked_ms: float = 0.0) -> Added:
    """Sends so many packets each way."""
    added = Added(network, [], [], asked_ms)
    with receiver() as near, receiver() as far, hop(far, network) as port:
        ways = ((near, near.getsockname()[1], added.straight_ms), (far, port, added.through_ms))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(packets + WARM_UP):
                for own, to, times in ways:
                    time.sleep(EVERY_SECONDS / 2)
                    sent = time.time_ns()
                    sender.sendto(PACKET, ("127.0.0.1", to))
                    if number >= WARM_UP:
                        times.append((arrival(own)[0] - sent) / 1e6)
                    else:
                        arrival(own)
    return added


@dataclass
class Pace:
    """A rate asked for, and what came."""

    name: str
    asked: float
    packets: int
    measured: float
    off_ms: list[float]

    def error_percent(self) -> float:
        """How far off it is."""
        return (self.measured / self.asked - 1) * 100

    def row(self) -> list[str]:
        """A row of the table."""
        off = sorted(self.off_ms)
        error = f"{self.error_percent():+.3f}"
        return [self.name, str(self.packets), f"{self.measured:,.0f}", error, f"{quantile(off, 0.99):.3f}"]


def pace(name: str, rate: float, length: int, seconds: float) -> Pace:
    """Sends half as much again as the rate lets through."""
    with receiver() as far, hop(far, f"rate={name},queue=10000") as port:
        ideal = length * 8 / rate
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            start, count = time.perf_counter(), max(int(seconds / ideal), 20)
            stamps: list[int] = []
            far.setblocking(False)
            for number in range(count):
                while start + number * ideal / 1.5 > time.perf_counter():
                    time.sleep(min(ideal / 3, 0.001))
                sender.sendto(bytes(length), ("127.0.0.1", port))
                # The buffer must not run full meanwhile.
                if number % 100 == 0:
                    take(far, stamps)
            far.settimeout(10)
            while len(stamps) < count:
                stamps.append(arrival(far)[0])
    took = (stamps[-1] - stamps[0]) / 1e9
    off = [abs((after - before) / 1e9 - ideal) * 1e3 for before, after in pairwise(stamps)]
    return Pace(name, rate, count, (count - 1) * length * 8 / took, off)


def take(own: socket.socket, stamps: list[int]) -> None:
    """What is there."""
    try:
        while True:
            stamps.append(arrival(own)[0])
    except BlockingIOError:
        pass


def main() -> int:
    """Measures and prints; returns whether a bound was exceeded."""
    parser = argparse.ArgumentParser(description="What a hop adds by itself, and how true its settings are.")
    parser.add_argument("--packets", type=int, default=2000, help="packets through a hop set to nothing (2000)")
    parser.add_argument("--seconds", type=float, default=3, help="length of each rate's run (3)")
    args = parser.parse_args()
    nothing = delays("loss=0", args.packets)
    added = [nothing, delays("delay=20", args.packets // 10, 20)]
    held = nothing.p99_ms() < BOUND_MS
    show(
        "What a hop adds to the straight way over loopback, ms (less the delay asked for)",
        f"bound: p99 of a hop set to nothing {nothing.p99_ms():.3f} ms, under {BOUND_MS:g}: {verdict(held)}",
        ["--network", "packets", "straight median", "p99", "added median", "p99", "max"],
        [one.row() for one in added],
    )
    paces = [pace(name, rate, length, args.seconds) for name, (rate, length) in RATES.items()]
    worst = max(abs(one.error_percent()) for one in paces)
    paced = worst < BOUND_PERCENT
    show(
        "The pace of a rate, offered half as much again",
        f"bound: at most {worst:.3f} % off, under {BOUND_PERCENT:g}: {verdict(paced)}",
        ["rate=", "packets", "bit/s", "off, %", "p99 of a gap's error, ms"],
        [one.row() for one in paces],
    )
    return 0 if held and paced else 1


# Packets that are not counted: the first one makes the hop open a socket.
WARM_UP = 20

if __name__ == "__main__":
    sys.exit(main())
