"""Who is at a server, for terminals: a line for each sender, and for each that comes or goes. Needs rich."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .events import Events
    from .server import AdvancedAudioServer
    from .stats import SourceStats

__all__ = ["MOST_LINES", "Comings", "lines"]

# Senders that are shown, and comings and goings that are told at once.
MOST_LINES = 8
NAME_CELLS = 24
METER_CELLS = 12
FLOOR_DB = -60.0
STATES = {"playing": "green", "idle": "yellow", "left": "dim"}


def lines(sources: Sequence[SourceStats], most: int = MOST_LINES) -> list[Text]:
    """A line each for `most` senders, and one that says how many there are besides.

    Those that play come first, the loudest at the top, then the silent, then those that have left, the latest first.
    """
    states = list(STATES)
    order = sorted(sources, key=lambda one: (states.index(one.state), -max(one.level_db, FLOOR_DB), -one.number))
    shown = [_line(source) for source in order[:most]]
    if len(order) > most:
        shown.append(Text(f"… and {len(order) - most} more", style="dim"))
    return shown


class Comings:
    """Tells who has joined and left a server since it was asked last."""

    def __init__(self, server: AdvancedAudioServer) -> None:
        """Of this server, from the beginning."""
        self._events: Events = server.events(timeout=0)

    def lines(self, most: int = MOST_LINES) -> Iterator[Text]:
        """A line for each, and one that says how many there were besides."""
        told = 0
        for event in self._events:
            told += 1
            if told <= most:
                style = STATES["playing" if event.kind in {"joined", "resumed", "digit"} else "idle"]
                line = Text(f"{event.kind:8}", style=style)
                yield line.append(f"{event.source.name}: {event.detail}", style="default")
        if told > most:
            yield Text(f"… and {told - most} more", style="dim")


def _line(source: SourceStats) -> Text:
    name = source.name or source.cname or source.address
    name = name if len(name) <= NAME_CELLS else name[: NAME_CELLS - 1] + "…"
    line = Text(f"{name:{NAME_CELLS}} ", no_wrap=True, overflow="ellipsis")
    level = max(source.level_db, FLOOR_DB)
    lit = round((1 - level / FLOOR_DB) * METER_CELLS)
    line.append("█" * lit, style="green").append("·" * (METER_CELLS - lit), style="dim")
    line.append(f" {level:6.1f} dB " if level > FLOOR_DB else "     quiet ")
    line.append(f"{source.state:8}", style=STATES[source.state])
    share = 100 * source.packets_lost / max(1, source.packets_expected)
    lost = f"{source.packets_lost:,} lost ({share:.1f} %)"
    return line.append(lost, style="red" if source.packets_lost else "").append(f" {source.wire}/{source.protocol}")
