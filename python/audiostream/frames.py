"""Sound for programs, block by block: what is played, or what comes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import ConfigError, check_range
from .source import Source
from .threads import start_thread

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import TracebackType

    import numpy as np
    import numpy.typing as npt
    from typing_extensions import Self

    from . import _engine

__all__ = ["Frame", "Frames"]

_log = logging.getLogger("audiostream.server")


@dataclass(frozen=True, eq=False, repr=False)
class Frame:
    """A block of sound, as `Frames` hands it out. Nothing in it changes any more.

    Attributes:
        data: The samples: 16-bit integers of this machine's byte order, interleaved. `samples` is a view of it.
        channels: 1 or 2.
        rate: Frames a second: the server's, or with `raw=True` what the sender sends.
        timestamp: The RTP timestamp (RFC 3550 §5.1) of its first frame, 0 to 2^32 - 1, on the sender's clock; of the
            mix, frames since the server's output was opened.
        time: When its first frame was played, seconds as of `time.time()`; with `raw=True` when the packet came.
        source: Who sent it; None for the mix.
        dropped: How many frames of the same source were left out just before it because nobody took them in time.
    """

    __slots__ = ("_lost", "channels", "data", "dropped", "rate", "source", "time", "timestamp")

    data: bytes
    channels: int
    rate: int
    timestamp: int
    time: float
    source: Source | None
    dropped: int
    _lost: bytes | None

    @property
    def samples(self) -> npt.NDArray[np.int16]:
        """The samples as an array of `(frames, channels)`, a view that cannot be written to; copy it to change it.

        Raises:
            ImportError: numpy is not installed (`pip install numpy`); `data` does without.
        """
        import numpy as np  # only who asks pays

        return np.reshape(np.frombuffer(self.data, dtype=np.int16), (-1, self.channels))

    @property
    def lost(self) -> npt.NDArray[np.bool_] | None:
        """Which frames stand for sound that is missing, True where they do; None where none does.

        Live they are concealed: what is there sounds as if nothing were missing. With a file as the server's output
        they are silence.
        """
        if self._lost is None:
            return None
        import numpy as np

        return np.frombuffer(self._lost, dtype=np.bool_)

    @property
    def duration(self) -> float:
        """Its length, seconds."""
        return len(self) / self.rate

    def __len__(self) -> int:
        """Its length in frames: samples of one channel."""
        return len(self.data) // (2 * self.channels)

    def __repr__(self) -> str:
        whose = "the mix" if self.source is None else f"source {self.source.number}"
        return f"<Frame of {whose}, {len(self)} frames at {self.timestamp}>"


class Frames:
    """Blocks of sound as they come: made by `server.frames()` and `source.frames()`.

        for frame in server.frames(each=True):
            print(frame.source.name, abs(frame.samples).max())

    A loop ends with the server, or when its one source has left; `async for` does the same without blocking the event
    loop. Take them from one thread or task at a time. Who is too slow loses the newest blocks, and learns how many: in
    `frame.dropped`, and in all in `dropped`. Nothing else notices: playing, counting and recording go on.

    A context manager: it is closed at the end, so that nothing is kept for it any more.
    """

    def __init__(self, engine: _engine.Frames, server: _engine.Server, rate: int) -> None:
        self._engine = engine
        self._server = server
        self._rate = rate
        self._sources: dict[int, Source | None] = {0: None}
        self._sleeping: asyncio.Future[None] | None = None

    @property
    def dropped(self) -> int:
        """How many frames were left out so far because nobody took them in time, of all sources."""
        return self._engine.dropped()

    def read(self, timeout: float | None = None) -> Frame | None:
        """Waits for the next block.

        Args:
            timeout: How long to wait at most, seconds; None waits until there is one or it is over. Ctrl-C interrupts.

        Returns:
            The block; None where there was none in time, or nothing more will come.
        """
        while True:
            frame = self._take()
            if frame is not None or self._engine.is_over():
                return frame
            if not self._engine.wait(1.0 if timeout is None else timeout) and timeout is not None:
                return self._take()

    def close(self) -> None:
        """Wants no more: what waits is dropped, loops end. May be called twice, and from any thread."""
        self._engine.close()

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        frame = self.read()
        if frame is None:
            raise StopIteration
        return frame

    async def __aiter__(self) -> AsyncIterator[Frame]:
        # It is slow to import, and only they need it who wait for frames in its loop.
        import asyncio

        loop = asyncio.get_running_loop()
        descriptor = self._engine.descriptor()
        if descriptor is not None:
            loop.add_reader(descriptor, self._woken)
        try:
            taken = 0
            while True:
                frame = self._take()
                if frame is not None:
                    yield frame
                    taken += 1
                    # Who has much to catch up with lets others have their turn.
                    if taken % TURN == 0:
                        await asyncio.sleep(0)
                elif self._engine.is_over():
                    return
                elif descriptor is None:
                    await asyncio.to_thread(self._engine.wait, LOOK_EVERY)
                elif not self._engine.arm():
                    await self._sleep(loop)
        finally:
            if descriptor is not None:
                loop.remove_reader(descriptor)

    async def _sleep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Until something has come; now and then it is looked whether the source has left."""
        self._sleeping = loop.create_future()
        look = loop.call_later(LOOK_EVERY, self._woken)
        try:
            await self._sleeping
        finally:
            look.cancel()
            self._sleeping = None

    def _woken(self) -> None:
        self._engine.hush()
        if self._sleeping is not None and not self._sleeping.done():
            self._sleeping.set_result(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        self.close()

    def _take(self) -> Frame | None:
        taken = self._engine.take()
        if taken is None:
            return None
        number, timestamp, time, rate, channels, data, lost, dropped = taken
        source = self._sources.get(number) if number in self._sources else self._meet(number)
        return Frame(data, channels, rate or self._rate, timestamp, time, source, dropped, lost)

    def _meet(self, number: int) -> Source:
        if len(self._sources) > MOST_KEPT:
            self._sources = {0: None}
        source = self._sources[number] = Source(self._server, number)
        return source


def open_frames(
    server: _engine.Server,
    source: int | None = None,
    *,
    sources: int = 1,
    each: bool = False,
    raw: bool = False,
    block: float = 10.0,
    block_frames: int | None = None,
    queue: int | None = None,
    callback: Callable[[Frame], object] | None = None,
) -> Frames:
    """What `frames()` of a server and of a source do; their arguments are explained there."""
    rate = server.settings()[2]
    if block_frames is None:
        if not 0 < block <= LONGEST_MS:
            raise ConfigError(f"block must be above 0 and at most {LONGEST_MS} ms, not {block}")
        block_frames = max(1, round(rate * block / 1000))
    if queue is None:
        second = 400 if raw else -(-rate // max(1, block_frames))
        queue = max(4, second) * (min(sources, 32) if each else 1)
    check_range(0xFFFF_FFFF, block_frames=block_frames, queue=queue)
    frames = Frames(server.frames(source, each, raw, block_frames, queue), server, rate)
    if callback is not None:
        start_thread(lambda: _call(frames, callback), "audiostream-frames")
    return frames


def _call(frames: Frames, callback: Callable[[Frame], object]) -> None:
    """Hands all frames to the callback; its first error ends that."""
    with frames:
        for frame in frames:
            try:
                callback(frame)
            except Exception:  # noqa: BLE001 - whatever fails, it is not ours
                _log.exception("The callback for frames failed, and is not called any more")
                return


# Blocks after which a task that never sleeps lets others have their turn.
TURN = 32
# How often somebody who sleeps looks whether the source has left, seconds.
LOOK_EVERY = 1.0
# Handles of sources that are kept.
MOST_KEPT = 1024
LONGEST_MS = 10_000.0
