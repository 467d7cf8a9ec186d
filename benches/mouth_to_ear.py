#!/usr/bin/env python3
"""How long sound takes from the microphone to the speaker, client and server and loopback between them.

    python benches/mouth_to_ear.py [--sizes 10 5 2.5] [--starts 5]

On a virtual sound card (`measure/card.py`), both programs as a user starts them: `audiostream client` and
`audiostream server`. Against: a bare pass-through with cpal, the same library, from microphone to speaker in one
process with a ring between (`passthrough.rs`), on the same card with the same block, in turn with ours.

A start is one delay: the median of its chirps. Chirps are found in one recording that holds room and speaker side by
side, to the sample (23 µs); a first line of the table shows what the method finds where there is no delay at all. What
the figures hold is both ends' blocks, PulseAudio's buffers, packetising and the playout delay; a card's converters and
the air come on top.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from measure.card import Card, virtual_card
from measure.table import show

ROOT = Path(__file__).resolve().parents[1]
RATE = 44_100
CHIRPS = 4
# Longer than a start takes, shorter than anybody waits for one that hangs.
LIMIT_SECONDS = 60


@contextmanager
def ours(card: Card, size: float) -> Iterator[None]:
    """Client and server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = ["--port", port, "--size", f"{size:g}", "--duration", str(LIMIT_SECONDS), "--quiet"]
    server = [sys.executable, "-m", "audiostream", "server", *common, "--log-file", ""]
    client = [sys.executable, "-m", "audiostream", "client", *common]
    with running(card, server), running(card, client):
        card.wait_for_streams()
        yield


@contextmanager
def bare(program: str, card: Card, size: float) -> Iterator[None]:
    """The pass-through."""
    block = int(size * RATE / 1000)
    with running(card, [program, str(block), str(LIMIT_SECONDS)]):
        card.wait_for_streams()
        yield


@contextmanager
def running(card: Card, command: list[str]) -> Iterator[None]:
    """A program beside what is done in the block."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(command, env=card.environment, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            process.wait(10)


def pass_through_program() -> str:
    """Builds the pass-through; its path."""
    command = ["cargo", "bench", "--quiet", "--no-default-features", "--bench", "passthrough", "--no-run"]
    built = subprocess.run([*command, "--message-format=json"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    return next(message["executable"] for message in reversed(messages) if message.get("executable"))


def row(name: str, delays: list[float], against: float | None = None) -> list[str]:
    """A row of the table."""
    figures = [f"{value:.1f}" for value in (statistics.median(delays), min(delays), max(delays))]
    return [name, *figures, f"{statistics.median(delays) / against:.2f}" if against else ""]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="Mouth-to-ear delay on a virtual card.")
    parser.add_argument("--sizes", type=float, nargs="+", default=[10, 5, 2.5], help="blocks, ms (10 5 2.5)")
    parser.add_argument("--starts", type=int, default=5, help="starts of each (5)")
    args = parser.parse_args()
    program = pass_through_program()
    ways: dict[str, Callable[[Card, float], object]] = {
        "bare pass-through": lambda card, size: bare(program, card, size),
        "client and server": ours,
    }
    found: dict[tuple[float, str], list[float]] = {(size, name): [] for size in args.sizes for name in ways}
    with virtual_card() as card:
        nothing = card.delays_ms(CHIRPS, both=True)
        for _ in range(args.starts):
            for size in args.sizes:
                for name, way in ways.items():
                    with way(card, size):
                        delays = card.delays_ms(CHIRPS)
                    if delays:
                        found[size, name].append(statistics.median(delays))
                    card.wait_for_streams(ready=False)
    rows = [row("the method itself, no delay", nothing)]
    for size in args.sizes:
        least = statistics.median(found[size, "bare pass-through"])
        for name in ways:
            delays = found[size, name]
            label = f"{name}, {size:g} ms ({int(size * RATE / 1000)} frames)"
            rows.append(row(label, delays, least) if delays else [label, "–", "–", "–", ""])
    show(
        f"Mouth to ear on a virtual sound card, {args.starts} starts of each",
        "a start is the median of its chirps",
        ["", "median ms", "least", "most", "× bare"],
        rows,
    )


if __name__ == "__main__":
    main()
