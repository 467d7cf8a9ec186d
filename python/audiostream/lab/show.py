"""Measured figures as tables for a terminal. Needs rich."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from .acoustic import MouthToEar
    from .figures import Figure
    from .path import PathFigures

__all__ = ["mouth_table", "path_table"]


def path_table(path: PathFigures) -> Table:
    """A path's figures, one a line, and where each comes from."""
    table = _table(f"{path.protocol}://{path.host}:{path.port}, {path.seconds:.1f} s, {path.reports} reports")
    trip = path.round_trip_ms
    if trip is not None:
        most = f"{path.round_trip_least_ms:.3f} to {path.round_trip_most_ms:.3f} ms"
        table.add_row("round trip", str(trip), f"all were {most}")
    clocks = {
        "same": "by this machine's clock",
        "synchronised": "by both clocks, as far as they agree",
        "unknown": "half of it: the clocks cannot tell more",
    }[path.clocks]
    _add(table, "  there", path.there_ms, clocks)
    _add(table, "  back", path.back_ms, clocks)
    _add(table, "jitter", path.jitter_ms, "RFC 3550, as it is heard there")
    told = "" if path.counts_are_whole else ", up to the last report"
    table.add_row("lost", str(path.lost_percent), f"{path.packets_lost:,} of {path.packets:,} packets{told}")
    for name, count in (("reordered", path.packets_reordered), ("doubled", path.packets_duplicated)):
        table.add_row(
            name, "?" if count is None else f"{count:,}", "not told from there" if count is None else "packets"
        )
    _add(table, "clock there", path.drift_ppm, "faster than here", sign=True)
    if path.clocks != "same":
        _add(table, "clock there", path.clock_offset_ms, "ahead of ours, for certain", sign=True)
    if path.output_drift_ppm is not None:
        table.add_row("output there", f"{path.output_drift_ppm:+.0f} ppm", "faster than our clock, as it reckons")
    if path.buffer_ms is not None:
        table.add_row("buffer there", f"{path.buffer_ms:.0f} ms", "how long packets wait to be heard")
    back = path.back
    if back is not None:
        counted = f"{back.packets_lost:,} of {back.packets_expected:,} packets of its sound"
        table.add_row("lost back", str(back.lost_percent), counted)
        others = f"{back.packets_reordered:,} reordered, {back.packets_duplicated:,} doubled"
        table.add_row("jitter here", f"{back.jitter_ms:.3f} ms", others)
    return table


def mouth_table(heard: MouthToEar) -> Table:
    """The delay from mouth to ear, and what it is made of."""
    table = _table(f"{heard.input} → {heard.output}")
    came = f"{len(heard.delays_ms)} of {heard.chirps} chirps"
    table.add_row("mouth to ear", str(heard.delay_ms), f"{came}, within {heard.spread_ms:.3f} ms of each other")
    for why, count in heard.rejected.items():
        table.add_row("  passed over", str(count), why)
    table.add_row("  packet", f"{heard.packet_ms:.1f} ms", "to be filled")
    table.add_row("  buffer", f"{heard.buffer_ms:.1f} ms", "as the server waits for late packets")
    table.add_row("  the rest", f"{heard.rest_ms:.1f} ms", "both devices, and the air")
    return table


def _table(title: str) -> Table:
    table = Table(title=Text(title), title_justify="left", show_header=False, box=None)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim")
    return table


def _add(table: Table, name: str, figure: Figure | None, note: str, *, sign: bool = False) -> None:
    if figure is not None:
        table.add_row(name, ("+" if sign and figure.value > 0 else "") + str(figure), note)
