#!/usr/bin/env python3
"""Draws the pictures of docs/playout.md.

    pip install -r benches/requirements.txt
    cargo bench --no-default-features --bench scenarios -- --csv build/curves
    python benches/conceal_pesq.py --csv build/curves/pesq.csv
    python benches/curves.py build/curves docs/img

From the figures that the two benches write, and from one word of real speech (alsa-utils' Front_Center.wav). A figure
whose input is missing is left out, and said so.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Dark enough on the paper, apart for those who do not see red and green apart.
INK, FAINT, PAPER, GRID = "#24292f", "#6e7781", "#ffffff", "#e4e7eb"
OURS, WAY, TARGET, OTHER, THIRD = "#0b6bcb", "#c3cad3", "#d9480f", "#8a63d2", "#2b8a3e"
WORD = Path("/usr/share/sounds/alsa/Front_Center.wav")

Row = dict[str, str]


def delay(folder: Path) -> Figure:
    """The way of each packet, when its sound is heard, and the target, over a spike and a longer path."""
    ways, delays = rows(folder / "way.csv"), rows(folder / "delay.csv")
    figure, axes = sheet(
        "When a packet arrives, and when it is heard", "seconds", "ms later than the fastest packet", height=3.4
    )
    seconds, way = column(ways, "seconds"), column(ways, "way_ms")
    axes.plot(seconds, way, ".", color=WAY, markersize=2, rasterized=True, label="each packet's way")
    seconds = column(delays, "seconds")
    heard = column(delays, "heard_ms")
    # The target counts from the fastest packet of the last two seconds: that is where the delay as the player states it
    # and the delay as it is heard begin to differ.
    aim = column(delays, "target_ms") + heard - column(delays, "delay_ms")
    # Medians of a fifth of a second: the drawing is small.
    axes.plot(*thinned(seconds, aim, 20), color=TARGET, linewidth=1, label="when it should be heard: the target")
    axes.plot(*thinned(seconds, heard, 20), color=OURS, linewidth=1.6, label="when it is heard")
    for at, text, height in ((20, "the path stalls for 300 ms", 322), (45, "the path becomes 60 ms longer", 160),
                             (70, "and shorter again", 160)):  # fmt: skip
        axes.annotate(text, (at, height), color=FAINT, fontsize=8, ha="center")
    axes.set(xlim=(0, 90), ylim=(0, 350))
    legend(axes, loc="upper right")
    return figure


def trade(folder: Path) -> Figure:
    """What a longer delay buys."""
    table = rows(folder / "trade.csv")
    presets = list(dict.fromkeys(row["preset"] for row in table))
    figure, axes = sheet(
        "What delay buys", "mean delay, ms", "% of sound not there when due\n(beyond what the path lost)", height=3.2
    )
    for preset, colour in zip(presets, (OURS, OTHER, TARGET), strict=True):
        part = [row for row in table if row["preset"] == preset]
        fixed = [row for row in part if row["kind"] == "fixed"]
        ours = [row for row in part if row["kind"] == "ours"]
        floor = 0.01
        x, y = column(fixed, "delay_ms"), np.maximum(column(fixed, "missing_percent"), floor)
        axes.plot(x, y, "-o", color=colour, markersize=3, linewidth=1.2, label=f"{preset}, fixed delays")
        axes.plot(column(ours, "delay_ms"), np.maximum(column(ours, "missing_percent"), floor), "*", color=colour,
                  markersize=15, markeredgecolor=PAPER, label=f"{preset}, ours")  # fmt: skip
    axes.set(yscale="log", ylim=(0.009, 20), xlim=(0, 230))
    axes.set_yticks([0.01, 0.1, 1, 10], ["≤ 0.01", "0.1", "1", "10"])
    axes.minorticks_off()
    legend(axes, loc="upper right", ncols=2)
    return figure


def drift(folder: Path) -> Figure:
    """The level over ten minutes, the clocks 300 ppm apart."""
    table = rows(folder / "drift.csv")
    figure, axes = sheet("Two clocks, 300 ppm apart", "minutes", "delay in the buffer, ms", height=3.2)
    names = {"300": "sender fast", "-300": "sender slow"}
    for ppm, name in names.items():
        for kind, label, style in (("none", "nothing done", "--"), ("ours", "ours", "-")):
            part = [row for row in table if row["ppm"] == ppm and row["kind"] == kind]
            colour = OURS if ppm == "300" else TARGET
            axes.plot(column(part, "seconds") / 60, column(part, "delay_ms"), style, color=colour,
                      linewidth=1.5, label=f"{name}, {label}")  # fmt: skip
    axes.set(xlim=(0, 10), ylim=(0, 225))
    legend(axes, loc="upper left")
    return figure


def pesq(folder: Path) -> Figure:
    """PESQ of the ways to conceal."""
    table = rows(folder / "pesq.csv")
    wanted = {
        "silence": (WAY, "silence"),
        "repetition of the last packet": (FAINT, "last packet again"),
        "AR-440 one-sided, cross-fade": (OTHER, "from one side, no look-ahead"),
        "AR-440, one packet ahead": (OURS, "from both sides, one packet ahead"),
        "AR-440, two packets ahead": (THIRD, "from both sides, two ahead"),
    }
    conditions = [name for name in table[0] if name != "method"]
    figure, axes = sheet("How whole speech stays: PESQ-WB, packets of 10 ms", "", "PESQ-WB (1 to 4.6)", height=3.2)
    width = 0.16
    for n, (method, (colour, label)) in enumerate(wanted.items()):
        row = next(row for row in table if row["method"] == method)
        at = np.arange(len(conditions)) + (n - 2) * width
        values = [float(row[name]) for name in conditions]
        axes.bar(at, np.array(values) - 1, width * 0.92, bottom=1, color=colour, label=label)
        for x, value in zip(at, values, strict=True):
            axes.annotate(f"{value:.1f}", (x, value), ha="center", va="bottom", fontsize=7, color=INK)
    names = [f"{name} lost" if "in" not in name else name.replace(" in ", " lost, in runs of ").replace("3s", "3")
             for name in conditions]  # fmt: skip
    axes.set_xticks(range(len(conditions)), names)
    axes.set(ylim=(1, 4.9))
    axes.grid(visible=False, axis="x")
    legend(axes, loc="upper right", ncols=2)
    return figure


def waveform(_: Path) -> Figure:
    """One lost packet of real speech: as it was sent, silent, concealed."""
    import soundfile
    from conceal_pesq import build

    sent, rate = soundfile.read(WORD)
    packet, lost = rate // 100, 97
    program = build("conceal_wav")
    heard = {"sent": sent}
    with tempfile.TemporaryDirectory() as scratch:
        pattern = "".join("01"[n == lost] for n in range(len(sent) // packet))
        for name, method in (("silence", "silence"), ("ours, one packet ahead", "two:440")):
            out = f"{scratch}/out.wav"
            command = [program, str(WORD), out, method, "1", str(packet)]
            subprocess.run(command, input=pattern, text=True, check=True)
            heard[name] = soundfile.read(out)[0]
    figure, every = plt.subplots(3, 1, figsize=(7.2, 3.4), sharex=True, sharey=True, facecolor=PAPER)
    shown = slice((lost - 1) * packet, (lost + 2) * packet)
    hole = slice(packet, 2 * packet + 1)
    time = (np.arange(len(sent)) - lost * packet)[shown] / rate * 1e3
    for axes, (name, sound), colour in zip(every, heard.items(), (INK, TARGET, OURS), strict=True):
        dress(axes)
        axes.axvspan(0, 10, color="#fff3bf", linewidth=0)
        if name != "sent":
            axes.plot(time[hole], sent[shown][hole], color=WAY, linewidth=2.4)
        axes.plot(time, sound[shown], color=colour, linewidth=1)
        axes.set_yticks([])
        axes.set_title(name, loc="left", fontsize=9, color=colour, pad=2)
    every[-1].set_xlabel("ms from the beginning of the lost packet", color=INK, fontsize=9)
    every[-1].set_xlim(time[0], time[-1])
    return figure


def sheet(title: str, across: str, up: str, height: float) -> tuple[Figure, Axes]:
    """An empty figure with one pair of axes."""
    figure, axes = plt.subplots(figsize=(7.2, height), facecolor=PAPER)
    dress(axes)
    axes.set_title(title, loc="left", fontsize=11, color=INK, fontweight="bold")
    axes.set_xlabel(across, color=INK, fontsize=9)
    axes.set_ylabel(up, color=INK, fontsize=9)
    return figure, axes


def dress(axes: Axes) -> None:
    """Quiet lines, as few as will do."""
    axes.set_facecolor(PAPER)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=FAINT, labelsize=8, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)


def legend(axes: Axes, loc: str, ncols: int = 1) -> None:
    """The legend, without a frame's weight."""
    axes.legend(loc=loc, ncols=ncols, fontsize=8, frameon=True, edgecolor="none", framealpha=0.9, labelcolor=INK)


def rows(path: Path) -> list[Row]:
    """A CSV file's rows."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def column(table: list[Row], name: str) -> np.ndarray:
    """One column's figures; an empty field is not a number."""
    return np.array([float(row[name] or "nan") for row in table])


def thinned(x: np.ndarray, y: np.ndarray, every: int) -> tuple[np.ndarray, np.ndarray]:
    """The medians of so many points in a row."""
    count = len(x) // every
    cut = y[: count * every].reshape(count, every)
    known = np.isfinite(cut).any(axis=1)
    return x[: count * every : every][known], np.nanmedian(cut[known], axis=1)


FIGURES: dict[str, Callable[[Path], Figure]] = {
    "delay": delay,
    "trade": trade,
    "drift": drift,
    "pesq": pesq,
    "waveform": waveform,
}


def main() -> None:
    """Draws what there are figures for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path, help="where the benches wrote their CSV files")
    parser.add_argument("pictures", type=Path, help="where the pictures go")
    parser.add_argument("--format", default="svg", choices=("svg", "png"))
    args = parser.parse_args()
    args.pictures.mkdir(parents=True, exist_ok=True)
    # The same figures give the same file.
    mpl.rcParams.update({"svg.hashsalt": "audiostream", "font.family": "DejaVu Sans", "path.simplify_threshold": 0.5})
    for name, draw in FIGURES.items():
        path = args.pictures / f"{name}.{args.format}"
        try:
            figure = draw(args.figures)
        except FileNotFoundError as error:
            print(f"{name}: left out, {error.filename} is missing")
            continue
        figure.tight_layout(pad=0.6)
        metadata = {"Date": None} if args.format == "svg" else None
        figure.savefig(path, facecolor=PAPER, metadata=metadata, dpi=150)
        plt.close(figure)
        print(f"{path}: {path.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main()
