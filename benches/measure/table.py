"""Figures as a table of plain text, headed by what they were measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence


def show(title: str, note: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table: the first column to the left, figures to the right, `note` and the machine's load below."""
    widths = [max(len(row[at]) for row in (heads, *rows)) for at in range(len(heads))]

    def line(cells: Sequence[str]) -> str:
        first, *others = (
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join((first, *others))

    rule = "─" * len(line(heads))
    print(f"\n{title}\n{rule}", line(heads), rule, *map(line, rows), rule, note, machine(), sep="\n", flush=True)


def machine() -> str:
    """This machine and how busy it is, in a line."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{os.cpu_count()} cores, load {load}; Linux {platform.release()}, Python {platform.python_version()}"


def verdict(held: bool) -> str:
    """Whether a bound was held, for a table's last column."""
    return "held" if held else "EXCEEDED"
