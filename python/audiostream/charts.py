"""What `audiostream server --watch` shows: level, loss, jitter, delay, concealment as small charts, and who is there.

Needs rich.
"""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from . import roll
from .sampler import KEPT, SAMPLES_PER_SECOND, SERVER, Sampler

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import TextIO

    from typing_extensions import Self

    from .server import AdvancedAudioServer

__all__ = ["Charts", "Lines", "sparkline"]

ROWS = 3
WIDTHS = (20, KEPT)
BLOCKS = " ▁▂▃▄▅▆▇█"
COLOURS = {
    "level": "green",
    "loss": "red",
    "jitter": "yellow",
    "delay": "cyan",
    "aim": "blue",
    "concealed": "magenta",
}


class Charts:
    """Live charts of a server on a terminal, drawn by a thread of its own, gone at the end."""

    def __init__(self, server: AdvancedAudioServer, *, console: Console, duration: float | None = None) -> None:
        """Makes the display; `with` shows it. `duration` is when it will be over, seconds, where that is known."""
        self._of = "" if duration is None else f" of {duration:g} s"
        self._since = time.monotonic()
        self._console = console
        self._sampler = Sampler(server)
        self._live = Live(
            get_renderable=self._render,
            console=console,
            refresh_per_second=SAMPLES_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def _render(self) -> RenderableType:
        self._sampler.take()
        columns = 2 if self._console.width >= 80 else 1
        width = min(WIDTHS[1], max(WIDTHS[0], self._console.width // columns - 4))
        grid = Table.grid(expand=True)
        for _ in range(columns):
            grid.add_column(ratio=1)
        panels = [self._panel(name, width, ROWS if columns > 1 else 1) for name in SERVER]
        for place in range(0, len(panels), columns):
            grid.add_row(*panels[place : place + columns])
        passed = time.monotonic() - self._since
        head = Text(f"  {self._sampler.title}", style="bold")
        senders = [Text("  ").append_text(line) for line in roll.lines(self._sampler.sources)]
        footer = Text(f"  {self._sampler.counts}   {passed:.0f} s{self._of}   Ctrl-C to stop", style="dim")
        return Group(head, grid, *senders, footer)

    def _panel(self, name: str, width: int, rows: int) -> Panel:
        unit, meaning, top, bottom = SERVER[name]
        colour = COLOURS[name]
        values = list(self._sampler.values[name])[-width:]
        top = top if max(values) <= top else _round(max(values))
        title = Text(f"{name} ", style=f"bold {colour}").append(f"{values[-1]:.1f} {unit}", style="bold default")
        chart = Text("\n".join(sparkline(values, width, bottom, top, rows)), style=colour, no_wrap=True)
        return Panel(
            chart,
            title=title,
            title_align="left",
            subtitle=Text(f"{meaning}, {bottom:g} to {top:g} {unit}", style="dim"),
            subtitle_align="right",
            border_style="dim",
        )


class Lines:
    """The same as a line each second, for what is no terminal."""

    def __init__(self, server: AdvancedAudioServer, out: TextIO) -> None:
        """Of this server, to this stream; `with` writes."""
        self._sampler = Sampler(server)
        self._out = out
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audiostream-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            for _ in range(SAMPLES_PER_SECOND):
                self._sampler.take()
                if self._over.wait(1 / SAMPLES_PER_SECOND):
                    return
            print(self._sampler.line(), file=self._out, flush=True)


def sparkline(values: Sequence[float], width: int, bottom: float, top: float, rows: int = ROWS) -> list[str]:
    """Values as columns of eighths of a character, the newest at the right; `rows` lines of `width` characters.

    What is above `top` is drawn as `top`; what is above `bottom` at all can be seen.
    """
    heights: list[int] = []
    for value in values[-width:]:
        part = min(1.0, max(0.0, (value - bottom) / (top - bottom)))
        heights.append(max(round(part * rows * 8), int(part > 0)))
    lines = ["".join(BLOCKS[min(8, max(0, height - 8 * row))] for height in heights) for row in reversed(range(rows))]
    return [line.rjust(width) for line in lines]


def _round(top: float) -> float:
    """The next of 1, 2, 5, 10, 20, … that is not below."""
    unit = 10.0 ** math.floor(math.log10(top))
    return next(step * unit for step in (1, 2, 5, 10) if step * unit >= top)
