#!/usr/bin/env python3
"""What `import audiostream` costs over bare Python.

    python benches/import_time.py [--runs 20]

Each run starts an interpreter twice, one that imports the package and one that does nothing, in turn, so that both
meet the same load. Against: the bare interpreter. Bound: the difference of the medians is under 100 ms.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from measure.table import show, verdict

BOUND_MS = 100.0


def start(code: str) -> float:
    """How long an interpreter takes to start, run `code` and end, ms."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - begin) * 1e3


def main() -> int:
    """Measures and prints; returns whether the bound was exceeded."""
    parser = argparse.ArgumentParser(description="Import time over bare Python.")
    parser.add_argument("--runs", type=int, default=20, help="how often (20)")
    runs = parser.parse_args().runs
    ways = {"bare Python": "pass", "import audiostream": "import audiostream"}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for code in ways.values():
        start(code)  # the first reads from disk
    for _ in range(runs):
        for name, code in ways.items():
            times[name].append(start(code))
    bare, ours = (statistics.median(values) for values in times.values())
    rows = [
        [name, f"{statistics.median(values):.1f}", f"{min(values):.1f}", f"{max(values):.1f}"]
        for name, values in times.items()
    ]
    show(
        f"Start of an interpreter, median of {runs}",
        f"bound: {ours - bare:.1f} ms more than bare Python, under {BOUND_MS:g}: {verdict(ours - bare < BOUND_MS)}",
        ["", "median ms", "least", "most"],
        rows,
    )
    return 0 if ours - bare < BOUND_MS else 1


if __name__ == "__main__":
    sys.exit(main())
