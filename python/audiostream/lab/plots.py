"""The report's plots. Each title states what is found; every line has its name at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .findings import at_loss, best_loss, main_ptime, overloaded, series, sentence
from .needs import need

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .outcome import Outcome
    from .results import Results

__all__ = ["draw"]

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
    "svg.hashsalt": "audiostream",
    "font.family": "sans-serif",
    "figure.facecolor": "white",
}


def draw(results: Results) -> dict[str, Figure]:
    """All plots that these results have something to show for."""
    matplotlib = need("matplotlib")
    with matplotlib.rc_context(STYLE):
        plots = {"delay_and_loss": _delay_and_loss(results), "quality": _quality(results)}
        plots["delay_over_time"] = _delay_over_time(results)
        plots["bits"] = _bits(results)
        if len({outcome.row()["packet_ms"] for outcome in results}) > 1 and len(_ptimes(results)) > 1:
            plots["packet_time"] = _packet_time(results)
    return plots


def _delay_and_loss(results: Results) -> Figure:
    figure, (left, right) = _figure(2, 11.5, 4.9)
    for axes, read, title, unit in (
        (
            left,
            lambda o: float(o.row()["mouth_to_ear_p95_ms"]),
            "Delay from mouth to ear",
            "ms, 95 % of the sound is not later",
        ),
        (right, lambda o: float(o.row()["missing_percent"]), "Sound that is not heard", "% of what was sent"),
    ):
        _lines(axes, results, read)
        axes.set_title(title)
        axes.set_ylabel(unit)
    left.set_yscale("log")
    left.set_ylim(40, max(1500.0, left.get_ylim()[1]))
    _whole_ticks(left)
    for ms, text in ((150, "150 ms: unnoticed (ITU-T G.114)"), (400, "400 ms: nobody talks any more")):
        left.axhline(ms, color="#999999", linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        left.text(0.01, ms * 1.03, text, transform=left.get_yaxis_transform(), fontsize=8, color="#777777", va="bottom")
    right.set_ylim(bottom=-0.3)
    figure.suptitle(sentence(results), x=0.012, ha="left", fontsize=12.5, fontweight="bold")
    if any(overloaded(outcome) for outcome in results):
        figure.text(
            0.012, 0.012, "× the stream needs more than this TCP carries at this loss", fontsize=8.5, color="#777777"
        )
    return figure


def _quality(results: Results) -> Figure:
    figure, (axes,) = _figure(1, 8.6, 4.7)

    def bare(outcome: Outcome) -> float:
        return float(outcome.row()["r_bare"])

    _lines(axes, results, lambda o: float(o.row()["r_factor"]))
    first = next((name for name in _methods(results) if name == "udp"), None)
    if first is not None:
        points = series(results, first, bare)
        axes.plot(*zip(*points, strict=True), color=_colour(first, results), linestyle=":", marker="o", markersize=4)
        x, y = points[-1]
        axes.annotate(
            "udp, holes silent",
            (x, y),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            color=_colour(first, results),
            fontsize=9,
        )
    axes.set_ylim(0, 100)
    for r, text in ((80, "satisfied"), (70, "some dissatisfied"), (50, "not recommended below")):
        axes.axhline(r, color="#bbbbbb", linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        axes.text(0.01, r + 0.6, text, transform=axes.get_yaxis_transform(), fontsize=8, color="#777777", va="bottom")
    axes.set_ylabel("R, of 93 (ITU-T G.107, indicative)")
    axes.set_title(_quality_title(results))
    return figure


def _quality_title(results: Results) -> str:
    loss = best_loss(results)
    udp = at_loss(results, "udp", loss)
    if udp is None or results.by != "loss":
        return "How a call would be judged"
    row = udp.row()
    gain = float(row["r_factor"]) - float(row["r_bare"])
    best = max(
        (o for o in results if o.method.transport == "udp" and o.network.full["loss"] == udp.network.full["loss"]),
        key=lambda o: float(o.row()["r_factor"]),
    )
    text = f"At {loss:g} % loss concealment gives UDP back {gain:.0f} points of R"
    if best is not udp:
        text += f", {best.method.name} {float(best.row()['r_factor']) - float(row['r_bare']):.0f}"
    return text


def _delay_over_time(results: Results) -> Figure:
    loss = best_loss(results)
    chosen = [o for name in _methods(results) if (o := at_loss(results, name, loss)) is not None]
    figure, (axes,) = _figure(1, 9.6, 4.7)
    ends: list[tuple[float, str, str]] = []
    for outcome in chosen:
        name = outcome.method.name
        times, delays = _thinned(outcome)
        axes.plot(times, delays, color=_colour(name, results), linewidth=1.4)
        if delays:
            ends.append((delays[-1], name, _colour(name, results)))
    axes.set_yscale("log")
    axes.set_ylim(40, max(1500.0, axes.get_ylim()[1]))
    _whole_ticks(axes)
    axes.set_xlim(left=0)
    axes.set_xlabel("time, s")
    axes.set_ylabel("delay from mouth to ear, ms")
    _label_ends(axes, ends)
    where = f"at {loss:g} % loss" if results.by == "loss" else f"on {chosen[0].network.preset or chosen[0].network}"
    tcp = [o for o in chosen if o.method.transport == "tcp"]
    title = (
        f"Over TCP one lost segment holds back all behind it ({where})" if tcp else f"Delay as it was heard, {where}"
    )
    axes.set_title(title)
    return figure


def _bits(results: Results) -> Figure:
    loss = best_loss(results)
    chosen = [o for name in _methods(results) if (o := at_loss(results, name, loss)) is not None][::-1]
    figure, (axes,) = _figure(1, 8.6, 0.9 + 0.52 * len(chosen) + 1.0)
    for place, outcome in enumerate(chosen):
        row = outcome.row()
        wire, payload = float(row["wire_kbps"]), float(row["payload_kbps"])
        headers = min(payload * float(row["header_percent"]) / (100 - float(row["header_percent"])), wire - payload)
        rest = max(wire - payload - headers, 0.0)
        colour = _colour(outcome.method.name, results)
        axes.barh(place, payload, color=colour, height=0.62)
        axes.barh(place, headers, left=payload, color=colour, alpha=0.55, height=0.62)
        axes.barh(place, rest, left=payload + headers, color=colour, alpha=0.25, height=0.62)
        again = "sent again" if outcome.method.transport == "tcp" else "copies"
        parts = f"{wire:.0f} kbit/s: sound {payload:.0f}, headers {headers:.0f}"
        axes.text(
            wire + 0.008 * _widest(chosen),
            place,
            parts + (f", {again} {rest:.0f}" if rest >= 1 else ""),
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(chosen)), [o.method.name for o in chosen])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, 1.55 * _widest(chosen))
    axes.set_xlabel("on the wire, kbit/s")
    where = f" at {loss:g} % loss" if results.by == "loss" else ""
    axes.set_title(f"What a second of sound costs{where}")
    return figure


def _packet_time(results: Results) -> Figure:
    figure, (left, right) = _figure(2, 11.5, 4.4)
    for axes, read, title, unit in (
        (
            left,
            lambda o: float(o.row()["header_percent"]),
            "Short packets spend bits on headers",
            "headers, % of the packet",
        ),
        (
            right,
            lambda o: float(o.row()["mouth_to_ear_p50_ms"]),
            "Long packets wait to be filled",
            "median delay from mouth to ear, ms",
        ),
    ):
        ends = []
        loss = min(float(o.network.full["loss"]) for o in results)
        for name in _methods(results):
            points = sorted(
                (float(o.row()["packet_ms"]), read(o))
                for o in results
                if o.method.name == name and float(o.network.full["loss"]) == loss
            )
            axes.plot(*zip(*points, strict=True), color=_colour(name, results), marker="o")
            ends.append((points[-1][1], name, _colour(name, results)))
        axes.set_title(title)
        axes.set_xlabel("sound in a packet, ms")
        axes.set_ylabel(unit)
        axes.set_ylim(bottom=0)
        _label_ends(axes, ends)
    return figure


def _lines(axes: Axes, results: Results, read: Callable[[Outcome], float]) -> None:
    """A line for each method, over the losses or the networks."""
    ends: list[tuple[float, str, str]] = []
    for name in _methods(results):
        points = series(results, name, read)
        colour = _colour(name, results)
        loss_axis = results.by == "loss"
        axes.plot(
            *zip(*points, strict=True), color=colour, marker="o", linestyle="-" if loss_axis else (0, (1, 2)), zorder=3
        )
        over = [(x, y) for (x, y), outcome in zip(points, _of(results, name), strict=True) if overloaded(outcome)]
        if over:
            axes.plot(
                *zip(*over, strict=True),
                color=colour,
                marker="x",
                markersize=10,
                markeredgewidth=2,
                linestyle="",
                zorder=4,
            )
        ends.append((points[-1][1], name, colour))
    if results.by == "loss":
        axes.set_xlabel("loss on the path, %")
        axes.set_xticks(sorted({float(o.network.full["loss"]) for o in results}))
    else:
        networks = list(dict.fromkeys(str(o.network) for o in results))
        names = [_network_name(results, text) for text in networks]
        axes.set_xticks(range(len(networks)), names)
        axes.set_xlim(-0.3, len(networks) - 0.7)
    _label_ends(axes, ends)


def _network_name(results: Results, text: str) -> str:
    network = next(o.network for o in results if str(o.network) == text)
    return network.preset or text.replace(",", "\n")


def _label_ends(axes: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Names beside the last points, far enough from each other to be read."""
    axes.figure.canvas.draw()
    to_pixels, height = axes.transData.transform, axes.bbox.height
    places = sorted((float(to_pixels((1, y))[1]) - axes.bbox.y0, name, colour) for y, name, colour in ends)
    gap = 14.5 * axes.figure.dpi / 100
    spread: list[float] = []
    for place, _, _ in places:
        spread.append(max(place, spread[-1] + gap) if spread else max(place, 0.0))
    # What was pushed beyond the top pushes back.
    limit = height + gap / 2
    for index in reversed(range(len(spread))):
        spread[index] = min(spread[index], limit)
        limit = spread[index] - gap
    for at, (_, name, colour) in zip(spread, places, strict=True):
        axes.annotate(
            name,
            (1.0, at / height),
            xycoords="axes fraction",
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=9,
            annotation_clip=False,
        )


def _whole_ticks(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set_yticks([t for t in (50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000) if t <= axes.get_ylim()[1]])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _thinned(outcome: Outcome) -> tuple[list[float], list[float]]:
    """Ten points a second: the longest delay of each tenth; holes where nothing was heard for long."""
    times: list[float] = []
    delays: list[float] = []
    for at, delay in outcome.delays:
        tenth = at // 100_000 / 10
        if times and times[-1] == tenth:
            delays[-1] = max(delays[-1], delay / 1000)
            continue
        if times and tenth - times[-1] > 0.35:
            times.append(tenth)
            delays.append(float("nan"))
        times.append(tenth)
        delays.append(delay / 1000)
    return times, delays


def _figure(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, count)
    return figure, list(axes) if count > 1 else [axes]


def _methods(results: Results) -> list[str]:
    return list(dict.fromkeys(outcome.method.name for outcome in results))


def _ptimes(results: Results) -> list[float]:
    return sorted({float(o.row()["packet_ms"]) for o in results if o.method.name == _methods(results)[0]})


def _of(results: Results, name: str) -> list[Outcome]:
    ptime = main_ptime(results, name)
    return [o for o in results if o.method.name == name and o.row()["packet_ms"] == ptime]


def _colour(name: str, results: Results) -> str:
    others = [each for each in _methods(results) if each not in COLOURS]
    return COLOURS.get(name) or SPARE[others.index(name) % len(SPARE)]


def _widest(outcomes: list[Outcome]) -> float:
    return max(float(o.row()["wire_kbps"]) for o in outcomes)
