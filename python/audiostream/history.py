"""Statistics over time: a row a second, for the last hour."""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from .tables import Table, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Historian"]

# How often the figures are written down, seconds, and how many rows are kept.
EVERY = 1.0
ROWS = 3600


class Historian:
    """Writes a stream's figures down once a second, on a thread of its own, from `start` to `stop`.

    Bounded: after an hour the oldest row goes for each new one. It does not keep the stream alive.
    """

    def __init__(self, figures: Callable[[], Mapping[str, Any]]) -> None:
        """Takes what to ask for the figures: a bound method."""
        self._ask = weakref.WeakMethod(figures)
        self._columns: tuple[str, ...] = ()
        self._rows: deque[tuple[Value, ...]] = deque(maxlen=ROWS)
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._noting = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins; a second call does nothing."""
        with self._lock:
            if self._thread is None and not self._over.is_set():
                self._thread = threading.Thread(target=self._run, name="audiostream-history", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Writes the last row and ends."""
        if not self._over.is_set():
            self._over.set()
            if self._thread is not None:
                self._note(last=True)

    def table(self) -> Table:
        """The rows so far."""
        with self._lock:
            return Table(self._columns, tuple(self._rows))

    def _run(self) -> None:
        due = time.monotonic()
        while True:
            due += EVERY
            if self._over.wait(max(0.0, due - time.monotonic())) or not self._note():
                return

    def _note(self, *, last: bool = False) -> bool:
        """Whether there still is a stream to ask."""
        # One at a time: rows are in order of their time, and nothing comes after the last one.
        with self._noting:
            ask = self._ask()
            if ask is None or (self._over.is_set() and not last):
                return False
            figures = {"time": time.time(), **_flat(ask())}
            with self._lock:
                self._columns = self._columns or tuple(figures)
                self._rows.append(tuple(figures.get(name) for name in self._columns))
        return True


def _flat(figures: Mapping[str, Any]) -> dict[str, Value]:
    """The plain figures; those of the other end's reports as `remote_…`, known or not."""
    flat: dict[str, Value] = {}
    for name, value in figures.items():
        if isinstance(value, (int, float, str)):
            flat[name] = value
        elif name == "remote":
            remote: Mapping[str, Value] = value or {}
            flat.update({f"remote_{key}": remote.get(key) for key in REMOTE})
    return flat


REMOTE = ("round_trip_ms", "fraction_lost", "packets_lost", "jitter_ms", "delay_ms")
