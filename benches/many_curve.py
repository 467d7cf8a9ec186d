#!/usr/bin/env python3
"""Draws the picture of docs/many.md.

python benches/thousand.py --runs curve --csv build/curves/sources.csv
python benches/many_curve.py build/curves/sources.csv docs/img/many.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from curves import FAINT, OURS, PAPER, column, legend, rows, sheet


def main() -> None:
    """Draws it."""
    source, target = map(Path, sys.argv[1:3])
    table = rows(source)
    counts, cores = column(table, "sources"), column(table, "cores")
    bare = column(table, "bare_us")
    mpl.rcParams.update({"svg.hashsalt": "audiostream", "font.family": "DejaVu Sans"})
    figure, axes = sheet("What a source costs: 10 ms L16, played and mixed", "sources", "% of a core", height=3.2)
    axes.plot(
        counts, bare * counts * 100 / 1e4, "--", color=FAINT, linewidth=1.2, label="a bare recvmmsg loop that counts"
    )
    axes.plot(counts, cores * 100, "-o", color=OURS, markersize=4, linewidth=1.6, label="ours")
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(counts, [f"{count:,.0f}" for count in counts])
    axes.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    axes.minorticks_off()
    legend(axes, loc="upper left")
    figure.tight_layout(pad=0.6)
    figure.savefig(target, facecolor=PAPER, metadata={"Date": None})


if __name__ == "__main__":
    main()
