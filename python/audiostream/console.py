"""What a terminal shows while a stream runs, and a table of what it came to. Needs rich."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from . import roll
from .client import AudioClient
from .server import AdvancedAudioServer

if TYPE_CHECKING:
    from types import TracebackType
    from typing import TextIO

    from typing_extensions import Self

    from .lab import Hop
    from .stats import HopWayStats, RemoteStats

    End = AudioClient | AdvancedAudioServer | Hop

REFRESHES_PER_SECOND = 8
METER_CELLS = 40
METER_FLOOR_DB = -60.0


class LiveFigures:
    """Live figures and level meters of one or more streams, drawn by a thread of its own, gone at the end."""

    def __init__(self, *ends: End, console: Console | None = None, duration: float | None = None) -> None:
        """Makes the display; `with` shows it. `duration` is when it will be over, seconds, where that is known."""
        self._ends = ends
        self._of = "" if duration is None else f" of {duration:g} s"
        self._since = time.monotonic()
        self.console = console or Console(stderr=True)
        self._live = Live(
            get_renderable=self._render,
            console=self.console,
            refresh_per_second=REFRESHES_PER_SECOND,
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
        passed = time.monotonic() - self._since
        footer = Text(f"  {passed:.0f} s{self._of}   Ctrl-C to stop", style="dim")
        return Group(*(_panel(end) for end in self._ends), footer)


class LinesAbove(io.TextIOBase):
    """A text stream whose lines appear above the live figures of the same console."""

    def __init__(self, console: Console) -> None:
        """Writes through `console`."""
        self._console = console

    def write(self, text: str) -> int:
        """Prints the text as it is, without markup."""
        self._console.print(Text(text), end="", soft_wrap=True)
        return len(text)


def report(*ends: End, file: TextIO) -> None:
    """Prints the final figures of streams as a table each, side by side where there is room."""
    Console(file=file).print(Columns([_figures(end) for end in ends], padding=(0, 2)))


def meter(level_db: float) -> Text:
    """A level, dBFS, as a bar: green, yellow from -18, red from -6."""
    part = (max(level_db, METER_FLOOR_DB) - METER_FLOOR_DB) / -METER_FLOOR_DB
    lit = min(METER_CELLS, round(part * METER_CELLS))
    bar = Text()
    for cell in range(METER_CELLS):
        at = METER_FLOOR_DB * (1 - cell / METER_CELLS)
        style = "red" if at >= -6 else "yellow" if at >= -18 else "green"
        bar.append("█" if cell < lit else "·", style if cell < lit else "dim")
    return bar.append(f" {level_db:6.1f} dB" if level_db > METER_FLOOR_DB else "  quiet")


def _figures(end: End) -> Table:
    if not isinstance(end, (AudioClient, AdvancedAudioServer)):
        return _hop_figures(end)
    figures = end.stats.to_dict()
    figures.pop("sources", None)
    received: dict[str, object] = figures.pop("received", None) or {}
    remote: dict[str, float | None] = figures.pop("remote", None) or {}
    figures.update({f"remote_{key}": value for key, value in remote.items()})
    figures.update({f"received_{key}": value for key, value in received.items()})
    name = "client" if isinstance(end, AudioClient) else "server"
    table = Table(title=f"Statistics of the {name}", show_header=False, title_justify="left")
    table.add_column(style="cyan")
    table.add_column(justify="right")
    for key, value in figures.items():
        table.add_row(key, f"{value:.3f}" if isinstance(value, float) else str(value))
    return table


def _hop_figures(hop: Hop) -> Table:
    figures = hop.stats.to_dict()
    table = Table("", "up", "down", title="Statistics of the hop", title_justify="left", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for key in figures["up"]:
        table.add_row(Text(key, style="cyan"), f"{figures['up'][key]:,}", f"{figures['down'][key]:,}")
    for key in ("packets_refused", "packets_unreachable", "packets_dropped_local"):
        table.add_row(Text(key, style="cyan"), f"{figures[key]:,}")
    return table


def _panel(end: End) -> Panel:
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="cyan", no_wrap=True)
    rows.add_column()
    if not isinstance(end, (AudioClient, AdvancedAudioServer)):
        return Panel(rows, title=Text(_hop_rows(rows, end)), title_align="left")
    title = _client_rows(rows, end) if isinstance(end, AudioClient) else _server_rows(rows, end)
    if end.is_recording:
        last = Text("● ", style="red")
        rows.add_row("recording", last.append(f"{end.recording_seconds:.1f} s", style="default"))
    return Panel(rows, title=Text(title), title_align="left")


def _client_rows(rows: Table, client: AudioClient) -> str:
    stats = client.stats
    rows.add_row("from", Text(client.input_name))
    rows.add_row("level", meter(client.level_db))
    rows.add_row("sent", f"{stats.packets_sent:,} packets, {stats.bytes_sent / 1e6:,.2f} MB ({stats.wire})")
    if stats.copies_sent:
        rows.add_row("again", f"{stats.copies_sent:,} copies")
    rows.add_row(
        "dropped", f"{stats.frames_dropped:,} frames, {stats.overruns} overruns, {stats.reconnects} reconnects"
    )
    if stats.remote is not None:
        rows.add_row("heard there", _remote(stats.remote))
    if client.output_name is not None:
        rows.add_row("to", Text(client.output_name))
    if stats.received is not None:
        heard = stats.received
        lost = f"{heard.packets_lost:,} lost, jitter {heard.jitter_ms:.2f} ms, delay {heard.delay_ms:.1f} ms"
        rows.add_row("heard", f"{heard.packets_received:,} packets, {lost}")
    return f"client → {client.protocol}://{client.host}:{client.port}"


def _remote(remote: RemoteStats) -> Text:
    trip = "" if remote.round_trip_ms is None else f", round trip {remote.round_trip_ms:.1f} ms"
    lost = Text(f"{100 * remote.fraction_lost:.1f} % lost", style="red" if remote.fraction_lost else "")
    return lost.append(f", jitter {remote.jitter_ms:.2f} ms{trip}", style="default")


def _server_rows(rows: Table, server: AdvancedAudioServer) -> str:
    stats = server.stats
    rows.add_row("to", Text(server.output_name))
    rows.add_row("level", meter(server.level_db))
    rows.add_row(
        "received",
        f"{stats.packets_received:,} of {stats.packets_expected:,} packets, {stats.bytes_received / 1e6:,.2f} MB",
    )
    lost = Text(f"{stats.packets_lost:,} ({100 * stats.loss_rate:.2f} %)", style="red" if stats.packets_lost else "")
    others = f", {stats.packets_late} late, {stats.packets_duplicated} doubled, {stats.packets_reordered} reordered"
    rows.add_row("lost", lost.append(others, style="default"))
    rows.add_row(
        "time", f"jitter {stats.jitter_ms:.2f} ms, delay {stats.delay_ms:.1f} ms (target {stats.delay_target_ms:.1f})"
    )
    for place, line in enumerate(roll.lines(stats.sources)):
        rows.add_row("" if place else "sources", line)
    if stats.recordings:
        rows.add_row("recording", Text("● ", style="red").append(f"{stats.recordings} sources", style="default"))
    return f"server ← {server.protocol}://{server.local_address}"


def _hop_rows(rows: Table, hop: Hop) -> str:
    stats = hop.stats
    rows.add_row("up", _way(stats.up))
    rows.add_row("down", _way(stats.down))
    for peer in stats.peers[: roll.MOST_LINES]:
        rows.add_row("peer", Text(f"{peer.address}  {peer.up.packets_received:,} up, {peer.down.packets_sent:,} down"))
    if len(stats.peers) > roll.MOST_LINES:
        rows.add_row("", f"and {len(stats.peers) - roll.MOST_LINES} more")
    if stats.packets_unreachable:
        rows.add_row("nobody", Text(f"{stats.packets_unreachable:,} packets found nobody there", style="red"))
    return f"hop {hop.local_address} → {hop.forward_address}"


def _way(way: HopWayStats) -> Text:
    dropped = way.packets_overflowed + way.packets_dropped + way.packets_unsent
    text = Text(f"{way.packets_received:,} packets, {way.bytes_received / 1e6:,.2f} MB; ")
    text.append(f"{way.packets_lost:,} lost", style="red" if way.packets_lost else "")
    others = f", {way.packets_duplicated:,} doubled, {way.packets_reordered:,} held back, {dropped:,} dropped"
    return text.append(f"{others}, {way.packets_waiting:,} under way")
