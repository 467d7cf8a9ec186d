"""One sender that a server hears."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import StateError
from .recording import from_engine
from .stats import SourceState, SourceStats, source_stats

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from . import _engine
    from .frames import Frame, Frames
    from .recording import Recording

__all__ = ["Source"]


class Source:
    """One sender at a server: what is known of it, and how loud it is played. Of `server.sources`.

        with AdvancedAudioServer(output="null", max_sources=100) as server:
            server.wait(10)
            for source in server.sources:
                print(source.name, source.level_db, source.stats.packets_lost)
                source.muted = source.address.startswith("192.168.7.")

    A handle: it stays the same while the sender goes silent, leaves and comes back. Two handles are equal where they
    stand for the same sender of the same server. The server remembers 256 senders that do not play any more; then the
    longest silent is forgotten, its handle keeping the last figures that it has seen.
    """

    def __init__(self, engine: _engine.Server, number: int, stats: SourceStats | None = None) -> None:
        self._engine = engine
        self._number = number
        self._last = stats

    @property
    def number(self) -> int:
        """What the server calls it: 1 for the first that was heard, and never given again."""
        return self._number

    @property
    def name(self) -> str:
        """What its user is called (`name=` at the client), else what it calls itself for good, else its address."""
        stats = self.stats
        return stats.name or stats.cname or stats.address

    @property
    def cname(self) -> str | None:
        """What it calls itself for good (RFC 3550 §6.5.1); None where it has not said."""
        return self.stats.cname

    @property
    def address(self) -> str:
        """Where it sends from, `host:port`."""
        return self._known().address

    @property
    def ssrc(self) -> int:
        """Its synchronisation source (RFC 3550 §3); 0 on the classic wire."""
        return self._known().ssrc

    @property
    def state(self) -> SourceState:
        """`'playing'`, `'idle'` or `'left'`, as in `SourceStats`; `'left'` for a forgotten one."""
        figures = self._engine.source_stats(self._number)
        return "left" if figures is None else source_stats(figures).state

    @property
    def stats(self) -> SourceStats:
        """Its figures of this moment; of a forgotten one the last that were seen here.

        Raises:
            StateError: It is forgotten, and none were.
        """
        figures = self._engine.source_stats(self._number)
        if figures is not None:
            self._last = source_stats(figures)
        elif self._last is None:
            raise StateError(f"source {self._number} has left, and is forgotten")
        return self._last

    @property
    def level_db(self) -> float:
        """The loudest sample of it lately, dBFS, before its gain: 0 is full scale, negative infinity silence."""
        return self.stats.level_db

    @property
    def gain(self) -> float:
        """The factor that it is played with, 0 to 16, 1.0 at first. Slides there within a block. Recordings keep
        what arrived.

        Raises:
            ConfigError: It is out of range.
            StateError: On setting, the source is forgotten.
        """
        return self.stats.gain

    @gain.setter
    def gain(self, gain: float) -> None:
        self._engine.source_set_gain(self._number, gain)

    @property
    def muted(self) -> bool:
        """Whether it is played as silence, False at first. It is counted, measured and recorded all the same.

        Raises:
            StateError: On setting, the source is forgotten.
        """
        return self.stats.muted

    @muted.setter
    def muted(self, muted: bool) -> None:
        self._engine.source_set_muted(self._number, muted)

    def frames(
        self,
        *,
        raw: bool = False,
        block: float = 10.0,
        block_frames: int | None = None,
        queue: int | None = None,
        callback: Callable[[Frame], object] | None = None,
    ) -> Frames:
        """Hands out what is played of it, block by block, from now on; ends when it has left.

        Args:
            raw: What comes of it, packet by packet, in place of what is played.
            block: As of `AdvancedAudioServer.frames`, and so are the others.
            block_frames: The same in frames.
            queue: How many blocks may wait.
            callback: Called with every frame, on a thread of its own.

        Returns:
            An iterator, for `for` and for `async for`.

        Raises:
            ConfigError: A length is out of range.
            StateError: It is forgotten; the server is closed; 256 read frames already.
        """
        from .frames import open_frames

        return open_frames(
            self._engine,
            self._number,
            raw=raw,
            block=block,
            block_frames=block_frames,
            queue=queue,
            callback=callback,
        )

    def record(self, name: str | None = None) -> Path:
        """Keeps what comes of it from now on in a file of its own, in its own rate and channels, bit for bit.

        Losses are silence of exact length. Falling silent (10 s) or leaving ends it, and so does the server's end.

            path = source.record()
            ...
            recording = source.stop_recording()

        Args:
            name: The file's name in the server's folder for recordings; None makes one of the sender's name and the
                time. Never a file that was there.

        Returns:
            The file's path. A sidecar beside it (JSON) says who it is, when it began, and what was lost.

        Raises:
            ConfigError: The name leads out of the folder.
            RecordingError: The file cannot be made.
            StateError: It is being recorded, silent or forgotten; 128 senders are being recorded; the server is closed.
        """
        return self._engine.source_record(self._number, name)

    def stop_recording(self) -> Recording | None:
        """Finishes its recording; with `record="each"` it is not recorded again.

        Returns:
            The recording; the last one where it has ended already. None where there was none.

        Raises:
            RecordingError: The disk is too slow to finish it within 10 s.
        """
        recorded = self._engine.source_stop_recording(self._number)
        return None if recorded is None else from_engine(recorded)

    @property
    def is_recording(self) -> bool:
        """Whether it is being recorded by itself."""
        return self._engine.source_recording(self._number)["recording"]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Source):
            return NotImplemented
        return self._engine is other._engine and self._number == other._number

    def __hash__(self) -> int:
        return hash((id(self._engine), self._number))

    def __repr__(self) -> str:
        try:
            return f"<Source {self._number}, {self.name!r}, {self.state}>"
        except StateError:
            return f"<Source {self._number}, forgotten>"

    def _known(self) -> SourceStats:
        """Figures that need not be of this moment."""
        return self._last or self.stats
