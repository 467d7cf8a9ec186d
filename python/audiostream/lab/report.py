"""The report: one HTML page that needs no other file, and everything it was made of beside it."""

# What numpy and matplotlib take is only partly told by their types.
# pyright: reportUnknownMemberType=none, reportMissingTypeStubs=none, reportUnknownVariableType=none, reportUnknownArgumentType=none
from __future__ import annotations

import io
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _engine
from .columns import COLUMNS
from .findings import findings, main_ptime, sentence
from .needs import need

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.figure import Figure

    from .outcome import Outcome
    from .results import Results
    from .sound import Sound

__all__ = ["table", "write"]

LISTENED_SECONDS = 6.0
"""What the page plays of each sound: some of its middle."""

PLAYERS_MAX = 18
"""So many sounds keep the page below 10 MB."""

PLAYED_RATE = 22050

SHORT = (
    "network",
    "loss_percent",
    "mouth_to_ear_p50_ms",
    "mouth_to_ear_p95_ms",
    "jitter_mean_ms",
    "missing_percent",
    "packets_repaired",
    "packets_late",
    "wire_kbps",
    "header_percent",
    "r_factor",
    "mos",
    "pesq",
)
"""The columns of the page's table; `results.csv` has all."""


def write(results: Results, folder: Path, command: str | None) -> Path:
    """Writes the folder; returns the page's path."""
    need("matplotlib")
    need("jinja2")
    for part in ("plots", "sounds"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    results.to_csv(folder / "results.csv")
    drawn = results.plots()
    for name, figure in drawn.items():
        figure.savefig(folder / "plots" / f"{name}.png", dpi=150)
    heard = list(listened(results))
    results[0].sent.save(folder / "sounds" / "original.wav")
    for outcome in heard:
        stem = file_stem(outcome)
        outcome.heard.save(folder / "sounds" / f"{stem}_heard.wav")
        if outcome.method.transport == "udp":
            outcome.arrived.save(folder / "sounds" / f"{stem}_arrived.wav")
    page = folder / "report.html"
    page.write_text(render(results, drawn, heard, command), encoding="utf-8")
    return page


def render(results: Results, drawn: dict[str, Figure], heard: list[Outcome], command: str | None) -> str:
    """The page."""
    jinja2 = need("jinja2")
    template = Path(__file__).with_name("report.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    first = results[0]
    return environment.from_string(template).render(
        title=sentence(results).replace("\n", " "),
        findings=findings(results),
        plots={name: svg(figure) for name, figure in drawn.items()},
        original=clip(first.sent).player(),
        players=[player(outcome) for outcome in heard],
        columns=[(name, COLUMNS.get(name, (f"{name.upper()}, 1 to 4.64", None))[0]) for name in shown(results)],
        rows=[line(outcome, shown(results)) for outcome in results],
        meanings=[(name, meaning) for name, (meaning, _) in COLUMNS.items()],
        sound=f"{first.sent.name}, {first.sent.duration:g} s, {first.sent.rate} Hz",
        networks=list(dict.fromkeys(str(outcome.network) for outcome in results)),
        packets={name: main_ptime(results, name) for name in dict.fromkeys(o.method.name for o in results)},
        command=command,
        version=_engine.__version__,
        python=platform.python_version(),
    )


def listened(results: Results) -> Iterable[Outcome]:
    """Whose sound the page plays: every method at one or two losses, or on every network, as many as fit."""
    if results.by == "loss":
        losses = sorted({o.loss for o in results})
        wanted = [min(losses, key=lambda loss: abs(loss - near)) for near in (5.0, 10.0)]
        chosen = [o for loss in dict.fromkeys(wanted) for o in results if o.loss == loss]
    else:
        chosen = list(results)
    seen: set[tuple[str, str]] = set()
    players = 0
    for outcome in chosen:
        key = (outcome.method.name, str(outcome.network))
        count = 2 if outcome.method.transport == "udp" else 1
        if key not in seen and players + count <= PLAYERS_MAX:
            seen.add(key)
            players += count
            yield outcome


def clip(sound: Sound) -> Sound:
    """What the page plays of a sound."""
    start = min(max(0.0, sound.duration / 2 - LISTENED_SECONDS / 2), 12.0)
    return sound.cut(start, LISTENED_SECONDS).lighter(PLAYED_RATE)


def player(outcome: Outcome) -> dict[str, Any]:
    """A line of the listening table."""
    row = outcome.row()
    is_udp = outcome.method.transport == "udp"
    return {
        "method": outcome.method.name,
        "network": outcome.where,
        "before": clip(outcome.arrived).player() if is_udp else None,
        "after": clip(outcome.heard).player(),
        "missing": row["missing_percent"],
        "delay": row["mouth_to_ear_p95_ms"],
    }


def shown(results: Results) -> list[str]:
    """The columns of the page's table."""
    has = set(results[0].row())
    short = [name for name in SHORT if name in has]
    if len({outcome.row()["packet_ms"] for outcome in results}) > 1:
        short.insert(1, "packet_ms")
    return short


def line(outcome: Outcome, columns: list[str]) -> dict[str, Any]:
    """A line of the page's table."""
    row = outcome.row()
    cells = {name: "" if row.get(name) is None else row[name] for name in columns}
    return {"method": outcome.method.name, "cells": cells | {"network": outcome.where}}


def table(results: Results) -> str:
    """A small table for a notebook."""
    columns = shown(results)
    head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in ["method", *columns])
    lines = [line(outcome, columns) for outcome in results]
    body = "".join(
        f"<tr><td>{each['method']}</td>" + "".join(f"<td>{cell}</td>" for cell in each["cells"].values()) + "</tr>"
        for each in lines
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def file_stem(outcome: Outcome) -> str:
    """A name for its files: the method, the network, the packet time."""
    method = outcome.method.name.replace(" over ", "_over_").replace("+", "_")
    network = outcome.network.preset or f"loss{outcome.loss:g}"
    return f"{method}_{network}_{outcome.number('packet_ms'):g}ms".replace(" ", "")


def svg(figure: Figure) -> str:
    """The figure as it stands in the page: without an XML head, its text as text."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "audiostream"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
