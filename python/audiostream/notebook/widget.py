"""The charts as a Jupyter widget: what is drawn, and what the slider does. Needs anywidget; `watch.js` draws."""

# What traitlets and anywidget take is only partly told by their types.
# pyright: reportUnknownMemberType=none, reportUnknownVariableType=none, reportUnknownArgumentType=none
# pyright: reportMissingTypeStubs=none, reportUntypedBaseClass=none
from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from ..errors import AudioStreamError
from ..sampler import SAMPLES_PER_SECOND, SERVER

if TYPE_CHECKING:
    import weakref

    from ..client import AudioClient
    from ..sampler import Sampler
    from ..server import AdvancedAudioServer

__all__ = ["Charts"]

FOLDER = Path(__file__).parent
SECONDS = 60
# Each chart's title, and the lines in it: the measure, and what it is called there.
SERVER_CHARTS = {
    "Level": {"level": "loudest"},
    "Loss": {"loss": "lost", "concealed": "concealed"},
    "Jitter": {"jitter": "RFC 3550"},
    "Buffer delay": {"delay": "now", "aim": "aim"},
}
CLIENT_CHARTS = {
    "Level": {"level": "loudest"},
    "Loss, as the server reports": {"loss": "lost"},
    "Jitter at the server": {"jitter": "RFC 3550"},
    "Delay": {"delay": "in the server's buffer", "round trip": "round trip"},
}


class Charts(anywidget.AnyWidget):
    """A stream's charts, and a slider for a server's delay. Samples come from the thread of a `Watch`."""

    _esm = FOLDER / "watch.js"
    _css = FOLDER / "watch.css"
    setup = traitlets.Dict().tag(sync=True)
    samples = traitlets.List().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, sampler: Sampler, stream: weakref.ref[AdvancedAudioServer | AudioClient]) -> None:
        """Of what this sampler takes, of this stream."""
        self._sampler = sampler
        self._stream = stream
        # The past is sent whole to a page that has just been opened, and at the end.
        self._is_wanted = threading.Event()
        is_server = sampler.measures is SERVER
        charts = SERVER_CHARTS if is_server else CLIENT_CHARTS
        measures = sampler.measures
        setup = {
            "seconds": SECONDS,
            "names": list(measures),
            "longest": getattr(stream(), "delay_limit", None),
            "charts": [
                {
                    "title": title,
                    **measures[next(iter(lines))]._asdict(),
                    "lines": [
                        {"measure": name, "label": label, "meaning": measures[name].meaning}
                        for name, label in lines.items()
                    ],
                }
                for title, lines in charts.items()
            ],
        }
        super().__init__(setup=setup, samples=[], state=self._state(is_live=True))
        self.on_msg(self._hear)

    def tell(self, *, is_live: bool) -> bool:
        """Sends the latest sample; False where nobody is there any more to be told."""
        if self.comm is None:
            return False
        state = self._state(is_live=is_live)
        wanted = self._is_wanted.is_set()
        if wanted or not is_live:
            self._is_wanted.clear()
            self.state = state
            self.samples = self._past()
        else:
            self.send({"sample": self._past(1)[0], "state": state})
        return True

    def _past(self, most: int = SECONDS * SAMPLES_PER_SECOND) -> list[list[float | None]]:
        columns = [list(values)[-most:] for values in (self._sampler.times, *self._sampler.values.values())]
        return [[None if math.isnan(value) else round(value, 3) for value in row] for row in zip(*columns, strict=True)]

    def _state(self, *, is_live: bool) -> dict[str, Any]:
        stream = self._stream()
        return {
            "live": is_live,
            "title": self._sampler.title,
            "counts": self._sampler.counts,
            "fixed": getattr(stream, "fixed_delay", None),
        }

    def _hear(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        """What the page says: it wants the past, or its slider was moved."""
        if "want" in content:
            self._is_wanted.set()
        stream: Any = self._stream()
        if "delay" not in content or stream is None:
            return
        told: dict[str, Any] = {"heard": content.get("number"), "error": None}
        try:
            stream.set_delay(content["delay"])
        except (AudioStreamError, TypeError) as error:
            told["error"] = str(error)
        self.send(told)

    def _repr_mimebundle_(self, **keywords: object) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundle = super()._repr_mimebundle_(**keywords)  # pyright: ignore[reportArgumentType]
        if bundle is not None:
            # For what shows no widgets: a file on the web, a printed page.
            bundle[0]["text/plain"] = f"{self._sampler.title}: {self._sampler.line()}"
        return bundle
