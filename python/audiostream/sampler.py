"""The figures of a running stream in even steps, for live charts: `audiostream server --watch`, and in Jupyter."""

from __future__ import annotations

import math
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from .client import AudioClient
from .stats import ClientStats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .server import AdvancedAudioServer
    from .stats import ServerStats, SourceStats

__all__ = ["CLIENT", "KEPT", "SAMPLES_PER_SECOND", "SERVER", "Measure", "Sampler"]

SAMPLES_PER_SECOND = 4
KEPT = 300
"""Samples: 75 s."""


class Measure(NamedTuple):
    """What is measured, and its scale: from `bottom` to `top`, or more where there is more."""

    unit: str
    meaning: str
    top: float
    bottom: float = 0.0


SERVER = {
    "level": Measure("dBFS", "the loudest sample played", 0.0, -60.0),
    "loss": Measure("%", "of the packets of the last second", 5.0),
    "jitter": Measure("ms", "RFC 3550", 5.0),
    "delay": Measure("ms", "in the buffer", 50.0),
    "aim": Measure("ms", "the delay that playout aims at", 50.0),
    "concealed": Measure("%", "of the sound of the last second", 5.0),
}
CLIENT = {
    "level": Measure("dBFS", "the loudest sample captured", 0.0, -60.0),
    "loss": Measure("%", "of the packets, in the server's last report", 5.0),
    "jitter": Measure("ms", "RFC 3550, at the server", 5.0),
    "delay": Measure("ms", "in the server's buffer", 50.0),
    "round trip": Measure("ms", "to the server and back", 50.0),
}


class Sampler:
    """The last minute of a server or a client: a list for each measure, oldest first. Does not keep it alive.

    Attributes:
        measures: What is measured.
        values: The samples of each; NaN where nothing is known.
        times: When they were taken, seconds since the sampler was made.
        title: Who speaks with whom.
        counts: Packets, in words and figures.
        sources: A server's senders.
    """

    def __init__(self, stream: AdvancedAudioServer | AudioClient) -> None:
        """Of this stream; nothing is taken yet."""
        self._stream = weakref.ref(stream)
        self._counts: deque[tuple[int, int, int, int]] = deque(maxlen=SAMPLES_PER_SECOND + 1)
        self._since = time.monotonic()
        self._destination = f"{stream.host}:{stream.port}" if isinstance(stream, AudioClient) else ""
        self.measures: Mapping[str, Measure] = CLIENT if self._destination else SERVER
        self.values: dict[str, deque[float]] = {name: deque(maxlen=KEPT) for name in self.measures}
        self.times: deque[float] = deque(maxlen=KEPT)
        self.title = ""
        self.counts = ""
        self.sources: tuple[SourceStats, ...] = ()

    def take(self) -> bool:
        """Takes one sample; False, and nothing taken, where the stream is no more."""
        stream = self._stream()
        if stream is None:
            return False
        stats = stream.stats
        latest = self._of_client(stats) if isinstance(stats, ClientStats) else self._of_server(stats)
        latest["level"] = max(stream.level_db, self.measures["level"].bottom)
        if isinstance(stats, ClientStats):
            self.title = f"{stream.local_address} to {stream.protocol}://{self._destination}"
        else:
            self.sources = sources = stats.sources
            who = f"1 source, {sources[0].address}" if len(sources) == 1 else f"{len(sources)} sources"
            self.title = f"{stream.protocol}://{stream.local_address}  {who}"
        self.times.append(time.monotonic() - self._since)
        for name, value in latest.items():
            self.values[name].append(value)
        return True

    def latest(self) -> dict[str, float]:
        """The last sample, what is not known left out."""
        last = {name: values[-1] for name, values in self.values.items() if values}
        return {name: value for name, value in last.items() if not math.isnan(value)}

    def line(self) -> str:
        """The last sample in words and figures."""
        return ", ".join(f"{name} {value:.1f} {self.measures[name].unit}" for name, value in self.latest().items())

    def _of_server(self, stats: ServerStats) -> dict[str, float]:
        self._counts.append((stats.packets_expected, stats.packets_lost, stats.frames_played, stats.frames_concealed))
        (expected, lost, played, concealed), now = self._counts[0], self._counts[-1]
        sound = now[2] - played + now[3] - concealed
        self.counts = f"{stats.packets_received:,} packets, {stats.packets_lost:,} lost, {stats.packets_late:,} late"
        return {
            # Packets that come late are lost at first: less than nothing is nothing.
            "loss": max(0.0, 100 * (now[1] - lost) / max(1, now[0] - expected)),
            "jitter": stats.jitter_ms,
            "delay": stats.delay_ms,
            "aim": stats.delay_target_ms,
            "concealed": 100 * (now[3] - concealed) / max(1, sound),
        }

    def _of_client(self, stats: ClientStats) -> dict[str, float]:
        self.counts = f"{stats.packets_sent:,} packets sent"
        remote = stats.remote
        if remote is None:
            return dict.fromkeys(("loss", "jitter", "delay", "round trip"), math.nan)
        self.counts += f", {remote.packets_lost:,} lost as the server says"
        return {
            "loss": 100 * remote.fraction_lost,
            "jitter": remote.jitter_ms,
            "delay": math.nan if remote.delay_ms is None else remote.delay_ms,
            "round trip": math.nan if remote.round_trip_ms is None else remote.round_trip_ms,
        }
