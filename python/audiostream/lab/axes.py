"""What the plots have in common: lines with their names at their ends, named levels, a scale for delays."""

# What numpy and matplotlib take is only partly told by their types.
# pyright: reportUnknownMemberType=none, reportMissingTypeStubs=none, reportUnknownVariableType=none, reportUnknownArgumentType=none
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .findings import methods, overloaded, series

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .outcome import Outcome
    from .results import Results

__all__ = ["STYLE", "Ending", "colour_of", "label_ends", "lines", "log_delays", "new_figure", "note"]

Ending = tuple[float, str, str]
"""Where a line ends, its name, its colour."""

COLOURS = {
    "udp": "#1f6fb4",
    "udp+redundancy": "#0b3d6b",
    "opus+fec": "#1a8a5a",
    "tcp-reno": "#e08214",
    "tcp-cubic": "#c0392b",
    "opus over tcp-cubic": "#8e44ad",
}
SPARE = ("#555555", "#17879c", "#a6761d", "#d6589f", "#66a61e", "#7570b3")
STYLE: dict[str, Any] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "lines.linewidth": 2,
    "lines.markersize": 5,
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "figure.facecolor": "white",
}
DELAY_TICKS = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000)


def new_figure(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with so many axes beside each other, of so many inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, [figure.add_subplot(1, count, place + 1) for place in range(count)]


def lines(axes: Axes, results: Results, read: Callable[[Outcome], float]) -> list[Ending]:
    """A line for each method, over the losses or the networks; the lines' ends."""
    ends: list[Ending] = []
    for name in methods(results):
        points, colour = series(results, name, read), colour_of(name, results)
        style = "-" if results.by == "loss" else ":"
        axes.plot(*zip(*points, strict=True), color=colour, marker="o", linestyle=style, zorder=3)
        crossed = dict(series(results, name, lambda outcome: float(overloaded(outcome))))
        over = [(x, y) for x, y in points if crossed[x]]
        if over:
            axes.plot(*zip(*over, strict=True), color=colour, marker="x", ms=10, mew=2, linestyle="", zorder=4)
        ends.append((points[-1][1], name, colour))
    if results.by == "loss":
        axes.set_xlabel("loss on the path, %")
        axes.set_xticks(sorted({outcome.loss for outcome in results}))
    else:
        networks = list(dict.fromkeys(str(outcome.network) for outcome in results))
        names = [next(o.where for o in results if str(o.network) == text) for text in networks]
        axes.set_xticks(range(len(networks)), names)
        axes.set_xlim(-0.3, len(networks) - 0.7)
    return ends


def label_ends(axes: Axes, ends: list[Ending]) -> None:
    """Names beside the last points, far enough from each other to be read. Scales and limits are set before."""
    to_axes = axes.transAxes.inverted()

    def height_of(y: float) -> float:
        return float(to_axes.transform(axes.transData.transform((axes.get_xlim()[0], y)))[1])

    places = sorted((height_of(y), name, colour) for y, name, colour in ends)
    gap = 13.5 / (axes.get_position().height * axes.get_figure(root=True).get_figheight() * 72)  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    spread: list[float] = []
    for place, _, _ in places:
        spread.append(max(place, spread[-1] + gap) if spread else max(place, 0.0))
    # What was pushed beyond the top pushes back.
    limit = 1.02
    for index in reversed(range(len(spread))):
        spread[index] = min(spread[index], limit)
        limit = spread[index] - gap
    for at, (_, name, colour) in zip(spread, places, strict=True):
        axes.annotate(
            name,
            (1.0, at),
            xycoords="axes fraction",
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=9,
            annotation_clip=False,
        )


def note(axes: Axes, y: float, text: str, at: float = 0.25) -> None:
    """A level that others have named; the name begins at this part of the width."""
    axes.axhline(y, color="#aaaaaa", linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    axes.text(
        at,
        y,
        text,
        transform=axes.get_yaxis_transform(),
        fontsize=8,
        color="#777777",
        va="center",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        zorder=2,
    )


def log_delays(axes: Axes) -> None:
    """A logarithmic scale of milliseconds, with round numbers."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_yscale("log")
    least, most = min(40.0, 0.85 * axes.dataLim.ymin), max(1500.0, 1.2 * axes.dataLim.ymax)
    axes.set_ylim(least, most)
    axes.yaxis.set_major_locator(FixedLocator([tick for tick in DELAY_TICKS if least <= tick <= most]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(_grouped))


def _grouped(value: float, _place: float | None) -> str:
    return f"{value:,.0f}".replace(",", " ")


def colour_of(name: str, results: Results) -> str:
    """A method's colour, the same in every plot."""
    others = [each for each in methods(results) if each not in COLOURS]
    return COLOURS.get(name) or SPARE[others.index(name) % len(SPARE)]
