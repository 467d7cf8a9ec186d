"""Threads of the operating system's, also where gevent or eventlet have put green ones in the place of Python's."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["start_thread"]


def start_thread(run: Callable[[], object], name: str) -> None:
    """Starts a daemon thread that may wait for the engine without keeping others from running.

    The engine waits without the GIL, but it knows nothing of a hub of green threads: a green thread that waited for it
    would stop all others of its thread.
    """
    start = _original_start()
    if start is None:
        threading.Thread(target=run, name=name, daemon=True).start()
    else:
        start(run, ())


def _original_start() -> Callable[[Callable[[], object], tuple[()]], object] | None:
    """What starts a thread where `threading` was patched; None where it was not."""
    gevent: Any = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("threading"):
        return gevent.get_original("_thread", "start_new_thread")
    eventlet: Any = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched("thread"):
        return eventlet.original("_thread").start_new_thread
    return None
