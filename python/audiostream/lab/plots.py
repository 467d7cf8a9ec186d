"""The report's plots. Each title states what is found; every line has its name at its end."""

# What numpy and matplotlib take is only partly told by their types.
# pyright: reportUnknownMemberType=none, reportMissingTypeStubs=none, reportUnknownVariableType=none, reportUnknownArgumentType=none
from __future__ import annotations

from typing import TYPE_CHECKING

from .axes import STYLE, colour_of, label_ends, lines, log_delays, new_figure, note
from .findings import at_loss, best_loss, main_ptime, methods, overloaded, sentence, series
from .needs import need

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .axes import Ending
    from .outcome import Outcome
    from .results import Results

__all__ = ["draw"]


def draw(results: Results) -> dict[str, Figure]:
    """All plots that these results have something to show for."""
    with need("matplotlib").rc_context(STYLE):
        plots = {
            "delay_and_loss": _delay_and_loss(results),
            "quality": _quality(results),
            "delay_over_time": _delay_over_time(results),
            "bits": _bits(results),
        }
        if any(outcome.row()["packet_ms"] != main_ptime(results, outcome.method.name) for outcome in results):
            plots["packet_time"] = _packet_time(results)
    return plots


def _delay_and_loss(results: Results) -> Figure:
    figure, (left, right) = new_figure(2, 11.5, 5.1)
    ends = lines(left, results, lambda o: o.number("mouth_to_ear_p95_ms"))
    left.set_title("Delay from mouth to ear")
    left.set_ylabel("ms, 95 % of the sound is not later")
    log_delays(left)
    note(left, 150, "150 ms: hardly noticed (ITU-T G.114)")
    note(left, 400, "400 ms: not acceptable (G.114)")
    label_ends(left, ends)
    ends = lines(right, results, lambda o: o.number("missing_percent"))
    right.set_title("Sound that is not heard")
    right.set_ylabel("% of what was sent")
    right.set_ylim(bottom=-0.3)
    label_ends(right, ends)
    figure.suptitle(sentence(results), x=0.012, ha="left", fontsize=12.5, fontweight="bold", linespacing=1.4)
    if any(overloaded(outcome) for outcome in results):
        text = "crossed: the stream needs more than this TCP carries over this path"
        figure.text(0.012, 0.008, text, fontsize=8.5, color="#777777", va="bottom")
        layout = figure.get_layout_engine()
        if layout is not None:
            layout.set(rect=(0, 0.035, 1, 0.965))  # pyright: ignore[reportCallIssue]
    return figure


def _quality(results: Results) -> Figure:
    figure, (axes,) = new_figure(1, 8.6, 4.7)
    ends = lines(axes, results, lambda o: o.number("r_factor"))
    if "udp" in methods(results):
        points = series(results, "udp", lambda o: o.number("r_bare"))
        colour = colour_of("udp", results)
        axes.plot(*zip(*points, strict=True), color=colour, linestyle=":", marker="o", markersize=4)
        ends.append((points[-1][1], "udp, holes silent", colour))
    axes.set_ylim(0, 100)
    for r, text in ((80, "satisfied"), (70, "some not"), (50, "not advised")):
        note(axes, r, text, at=0.015)
    label_ends(axes, ends)
    axes.set_ylabel("R, of 93 (ITU-T G.107, indicative)")
    axes.set_title(_quality_title(results))
    return figure


def _quality_title(results: Results) -> str:
    loss = best_loss(results)
    udp = at_loss(results, "udp", loss)
    if udp is None or results.by != "loss":
        return "How a call would be judged"
    bare = udp.number("r_bare")
    same = [o for name in methods(results) if (o := at_loss(results, name, loss)) is not None]
    best = max((o for o in same if o.method.transport == "udp"), key=lambda o: o.number("r_factor"))
    text = f"At {loss:g} % loss concealment gives UDP back {udp.number('r_factor') - bare:.0f} points of R"
    if best is not udp:
        text += f",\nconcealment and {best.method.name} {best.number('r_factor') - bare:.0f}"
    return text


def _delay_over_time(results: Results) -> Figure:
    loss = best_loss(results)
    chosen = [o for name in methods(results) if (o := at_loss(results, name, loss)) is not None]
    figure, (axes,) = new_figure(1, 9.6, 4.7)
    ends: list[Ending] = []
    for outcome in chosen:
        colour = colour_of(outcome.method.name, results)
        times, delays = _thinned(outcome)
        axes.plot(times, delays, color=colour, linewidth=1.4)
        if delays:
            ends.append((delays[-1], outcome.method.name, colour))
    log_delays(axes)
    axes.set_xlim(left=0)
    axes.set_xlabel("time, s")
    axes.set_ylabel("delay from mouth to ear, ms")
    label_ends(axes, ends)
    where = f"at {loss:g} % loss" if results.by == "loss" else f"on {chosen[0].network.preset or chosen[0].network}"
    tcp = any(o.method.transport == "tcp" for o in chosen)
    axes.set_title(f"Over TCP a lost segment holds back all behind it ({where})" if tcp else f"Delay {where}")
    return figure


def _bits(results: Results) -> Figure:
    loss = best_loss(results)
    chosen = [o for name in methods(results) if (o := at_loss(results, name, loss)) is not None][::-1]
    widest = max(o.number("wire_kbps") for o in chosen)
    figure, (axes,) = new_figure(1, 8.6, 1.6 + 0.45 * len(chosen))
    for place, outcome in enumerate(chosen):
        wire, payload, share = (outcome.number(n) for n in ("wire_kbps", "payload_kbps", "header_percent"))
        headers = min(payload * share / (100 - share), wire - payload)
        rest = max(wire - payload - headers, 0.0)
        colour = colour_of(outcome.method.name, results)
        for start, width, alpha in ((0.0, payload, 1.0), (payload, headers, 0.5), (payload + headers, rest, 0.22)):
            axes.barh(place, width, left=start, color=colour, alpha=alpha, height=0.62)
        parts = f"{wire:.0f} = sound {payload:.0f} + headers {headers:.0f}"
        again = "sent again" if outcome.method.transport == "tcp" else "copies"
        parts += f" + {again} {rest:.0f}" if rest >= 1 else ""
        axes.text(wire + 0.01 * widest, place, parts, va="center", fontsize=9)
    axes.set_yticks(range(len(chosen)), [o.method.name for o in chosen])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, 1.6 * widest)
    axes.set_xlabel("on the wire, kbit/s")
    axes.set_title(_bits_title(chosen, f" at {loss:g} % loss" if results.by == "loss" else ""))
    return figure


def _bits_title(chosen: list[Outcome], where: str) -> str:
    dear, cheap = (pick(chosen, key=lambda o: o.number("wire_kbps")) for pick in (max, min))
    times = dear.number("wire_kbps") / max(cheap.number("wire_kbps"), 0.1)
    if times < 1.5:
        return f"What a second of sound costs{where}"
    return f"{dear.method.name} costs {times:.0f} times the bits of {cheap.method.name}{where}"


def _packet_time(results: Results) -> Figure:
    figure, (left, right) = new_figure(2, 11.5, 4.4)
    loss = min(o.loss for o in results)
    chosen = [o for o in results if o.loss == loss]

    def draw_times(axes: Axes, read: Callable[[Outcome], float]) -> None:
        ends: list[Ending] = []
        for name in methods(results):
            points = sorted((o.number("packet_ms"), read(o)) for o in chosen if o.method.name == name)
            colour = colour_of(name, results)
            axes.plot(*zip(*points, strict=True), color=colour, marker="o")
            ends.append((points[-1][1], name, colour))
        axes.set_xlabel("sound in a packet, ms")
        axes.set_ylim(bottom=0)
        label_ends(axes, ends)

    draw_times(left, lambda o: o.number("header_percent"))
    left.set_title("Short packets spend their bits on headers")
    left.set_ylabel("headers, % of a packet")
    draw_times(right, lambda o: o.number("mouth_to_ear_p50_ms"))
    right.set_title("Long packets wait to be filled")
    right.set_ylabel("median delay from mouth to ear, ms")
    return figure


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
