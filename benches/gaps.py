#!/usr/bin/env python3
"""Does Python's lock (the GIL) hold packets up? The gaps between a client's packets on the wire.

    python benches/gaps.py [--seconds 20]

A client streams the built-in voice in packets of 10 ms over loopback, the root logger at DEBUG. Meanwhile a Python
thread sorts: each call of `list.sort` holds the GIL for about a second. The packets go to a bare receiver in another
process, which keeps the kernel's receive stamps.

Against: the same with the sorting in another process, so that the processor is as busy and the GIL free; and a plain
Python thread that sends the same packets at the same pace (`socket.sendto`, `time.sleep`) beside the same sorting.

Bound: no gap of the client's reaches 60 ms, and every packet sent is received.
"""

from __future__ import annotations

import argparse
import logging
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import audiostream
from measure.receiver import Stamps, receiving
from measure.table import show, verdict

if TYPE_CHECKING:
    from typing_extensions import Self

BOUND_MS = 60.0
PACKET_SECONDS = 0.01
PACKET = bytes(894)


@dataclass
class Outcome:
    """One way of sending, measured."""

    name: str
    sent: int
    stamps: Stamps
    longest_call: float

    def gaps_ms(self) -> list[float]:
        """Gaps on the wire, ms, the smallest first."""
        return sorted(self.stamps.gaps_ms())

    def held(self) -> bool:
        """Whether the bound was held."""
        return max(self.gaps_ms()) < BOUND_MS and self.sent == len(self.stamps.seconds)

    def row(self) -> list[str]:
        """A row of the table."""
        gaps = self.gaps_ms()
        p99 = gaps[int(len(gaps) * 0.99)]
        times = [f"{value:.1f}" for value in (statistics.median(gaps), p99, gaps[-1])]
        held = [f"{self.longest_call:.1f}" if self.longest_call else "–"]
        return [self.name, *held, str(self.sent), str(len(self.stamps.seconds)), *times]


class Sorting:
    """A Python thread in one long C call after another."""

    def __init__(self, numbers: list[float]) -> None:
        """Sorts copies of `numbers`."""
        self._numbers = numbers
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sorting")
        self.longest_call = 0.0

    def _run(self) -> None:
        while not self._stop.is_set():
            numbers = self._numbers.copy()
            start = time.perf_counter()
            numbers.sort()
            self.longest_call = max(self.longest_call, time.perf_counter() - start)

    def __enter__(self) -> Self:
        """Starts."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends, after the call that runs."""
        self._stop.set()
        self._thread.join()


@contextmanager
def sorting_elsewhere(count: int) -> Iterator[None]:
    """The same in another process."""
    process = subprocess.Popen([sys.executable, __file__, "--sort", str(count)])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def disorder(count: int) -> list[float]:
    """So many numbers in disorder, always the same."""
    chance = random.Random(1)
    return [chance.random() for _ in range(count)]


def numbers_for_a_second() -> list[float]:
    """So many numbers in disorder that sorting them takes about a second here."""
    count = 100_000
    while True:
        numbers = disorder(count)
        start = time.perf_counter()
        sorted(numbers)
        took = time.perf_counter() - start
        if took > 0.5:
            return numbers
        count = int(count * min(max(0.9 / took, 1.1), 8))


def client(port: int, seconds: float) -> int:
    """Streams with the engine; the packets sent."""
    with audiostream.AudioClient(host="127.0.0.1", port=port, input="voice", duration=seconds) as sender:
        sender.wait()
        sender.stop()
        return sender.stats.packets_sent


def plain_thread(port: int, seconds: float) -> int:
    """Streams with a Python thread; the packets sent."""
    sent = 0

    def send() -> None:
        nonlocal sent
        start = time.monotonic()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while (now := time.monotonic()) < start + seconds:
                time.sleep(max(0.0, start + sent * PACKET_SECONDS - now))
                sender.sendto(PACKET, ("127.0.0.1", port))
                sent += 1

    thread = threading.Thread(target=send)
    thread.start()
    thread.join()
    return sent


def measure(name: str, send: Callable[[int, float], int], seconds: float, beside: AbstractContextManager) -> Outcome:
    """Sends for so long beside something else."""
    with receiving() as stamps, beside as sorting:
        sent = send(stamps.port, seconds)
    return Outcome(name, sent, stamps, sorting.longest_call if sorting else 0.0)


@contextmanager
def root_at_debug(folder: Path) -> Iterator[None]:
    """The root logger as the original set it up: everything, into a file."""
    root = logging.getLogger()
    handler = logging.FileHandler(folder / "all.log")
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield
    root.removeHandler(handler)
    handler.close()


def main() -> int:
    """Measures and prints; returns whether the bound was exceeded."""
    parser = argparse.ArgumentParser(description="Gaps between packets on the wire while Python holds the GIL.")
    parser.add_argument("--seconds", type=float, default=20, help="length of each of the three runs (20)")
    parser.add_argument("--sort", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.sort is not None:
        numbers = disorder(args.sort)
        while True:
            sorted(numbers)
    seconds, numbers = args.seconds, numbers_for_a_second()
    with tempfile.TemporaryDirectory() as folder, root_at_debug(Path(folder)):
        outcomes = [
            measure("client, GIL held", client, seconds, Sorting(numbers)),
            measure("client, GIL free", client, seconds, sorting_elsewhere(len(numbers))),
            measure("plain Python thread, GIL held", plain_thread, seconds, Sorting(numbers)),
        ]
    ours = outcomes[0]
    show(
        f"Gaps between packets of 10 ms on the wire, over {seconds:g} s",
        f"bound: the client's gaps under {BOUND_MS:g} ms, sent = received: {verdict(ours.held())}",
        ["", "longest call s", "sent", "received", "median ms", "p99 ms", "max ms"],
        [outcome.row() for outcome in outcomes],
    )
    return 0 if ours.held() else 1


if __name__ == "__main__":
    sys.exit(main())
