"""What happens to the senders that a server hears."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from ._stream import STEP
from .source import Source

if TYPE_CHECKING:
    from typing_extensions import Self

    from . import _engine

__all__ = ["Event", "EventKind", "Events"]

EventKind = Literal["joined", "left", "idle", "resumed", "lost", "digit"]


@dataclass(frozen=True)
class Event:
    """Something that happened to a sender.

    Attributes:
        kind: `'joined'`: it is heard, for the first time or after it had left. `'idle'`: it has been silent for 10 s,
            and costs no playing time any more. `'resumed'`: it goes on after that. `'left'`: it said goodbye (RTCP
            BYE), or closed its connection. `'lost'`: its connection broke, or for 30 s neither sound nor a report
            came of it. `'digit'`: a key was pressed there, or another telephone event was heard (RFC 4733); told once,
            when it is over.
        at: When, as of `time.time()`.
        source: Which one.
        detail: A few words more: what it sends, why it is lost.
        digit: Of `'digit'`: which, `'0'` to `'9'`, `'*'`, `'#'`, `'A'` to `'D'`, `'flash'` or `'event N'`; else None.
        duration: Of `'digit'`: how long it was, in seconds; else None.
    """

    kind: EventKind
    at: float
    source: Source
    detail: str
    digit: str | None = None
    duration: float | None = None


class Events:
    """The events of a server, for `for` and `async for`. Of `server.events()`. One thread or task iterates over it."""

    def __init__(self, engine: _engine.Server, timeout: float | None = None) -> None:
        self._engine = engine
        self._timeout = timeout
        self._cursor: int | None = None
        self._waiting: deque[Event] = deque()
        self._ended = False

    def __iter__(self) -> Self:
        return self

    def __aiter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        until = self._until()
        while True:
            left = until - time.monotonic()
            self._take(max(0.0, min(left, 1.0)))
            if self._waiting:
                return self._waiting.popleft()
            if self._ended or left <= 0:
                raise StopIteration

    async def __anext__(self) -> Event:
        import asyncio

        until = self._until()
        while True:
            self._take(0)
            if self._waiting:
                return self._waiting.popleft()
            if self._ended or time.monotonic() >= until:
                raise StopAsyncIteration
            await asyncio.sleep(STEP)

    def _until(self) -> float:
        return float("inf") if self._timeout is None else time.monotonic() + self._timeout

    def _take(self, timeout: float) -> None:
        if self._waiting or self._ended:
            return
        events, self._cursor, self._ended = self._engine.events(self._cursor, timeout)
        now = time.time()
        for kind, ago, number, detail, pressed in events:
            source = Source(self._engine, number)
            digit, duration = pressed or (None, None)
            event = Event(cast("EventKind", kind), now - ago, source, detail, digit, duration)
            self._waiting.append(event)
