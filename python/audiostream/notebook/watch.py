"""A running stream, watched: live charts where a front end can show them, a line of text anywhere."""

from __future__ import annotations

import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from ..sampler import SAMPLES_PER_SECOND, Sampler

if TYPE_CHECKING:
    from ..client import AudioClient
    from ..server import AdvancedAudioServer
    from .widget import Charts

__all__ = ["Watch"]

HINT = 'live charts: pip install "audiostream[notebook]", in Jupyter'


class Watch:
    """What `server.watch()` and `client.watch()` return; a notebook shows it where it is the last line of a cell.

    Shown, it takes four samples a second on a thread of its own until the stream has stopped, is no more, or `close` is
    called. It does not keep the stream alive.
    """

    def __init__(self, stream: AdvancedAudioServer | AudioClient) -> None:
        """Of this stream. Nothing is taken or shown yet."""
        self._stream = weakref.ref(stream)
        self._sampler = Sampler(stream)
        self._name = type(stream).__name__
        self._charts: Charts | None = None
        self._text: Any = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def widget(self) -> Charts:
        """The charts, to be placed among other widgets.

        Raises:
            ImportError: anywidget is not installed; the message says how to install it.
        """
        if self._charts is None:
            try:
                import anywidget  # noqa: F401  # pyright: ignore[reportUnusedImport]
            except ImportError:
                raise ImportError(f"anywidget is not installed; {HINT}", name="anywidget") from None
            from .widget import Charts

            self._charts = Charts(self._sampler, self._stream)
            self._begin()
        return self._charts

    def close(self) -> None:
        """Ends it. The charts remain as they are. May be called twice."""
        self._over.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=2.0)

    def __repr__(self) -> str:
        if self._thread is None:
            self._sampler.take()
        return f"<Watch of {self._name} {self._sampler.title}: {self._sampler.line()}>"

    def _ipython_display_(self) -> None:
        if not _has_front_end():
            print(f"{self!r}\n{HINT}")
            return
        from IPython.display import display  # pyright: ignore[reportUnknownVariableType]

        try:
            display(self.widget)
        except ImportError:
            self._sampler.take()
            self._text = display(self._words(), raw=True, display_id=True)
            self._begin()

    def _words(self) -> dict[str, str]:
        ended = "" if self._is_live() else ", stopped"
        title, line, counts = self._sampler.title, self._sampler.line(), self._sampler.counts
        return {"text/plain": f"{title}\n{line}{ended}\n{counts}\n({HINT})"}

    def _is_live(self) -> bool:
        stream = self._stream()
        return stream is not None and not stream.stop_event.is_set() and not self._over.is_set()

    def _begin(self) -> None:
        if self._thread is None and not self._over.is_set():
            self._thread = threading.Thread(target=self._run, name="audiostream-watch", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        taken = 0
        while True:
            # Whether it is over is asked first: the last sample is of a stream that has ended.
            is_live = self._is_live()
            self._sampler.take()
            if self._charts is not None and not self._charts.tell(is_live=is_live):
                is_live = False
            if self._text is not None and (taken % SAMPLES_PER_SECOND == 0 or not is_live):
                self._text.update(self._words(), raw=True)
            if not is_live:
                return
            taken += 1
            self._over.wait(1 / SAMPLES_PER_SECOND)


def _has_front_end() -> bool:
    """Whether this is a kernel's Python, whose output goes to Jupyter or the like."""
    ipython: Any = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None
