"""The delay from mouth to ear of a real set-up: microphone, client, network, server, speaker, and the air between."""

# pyright: reportUnknownMemberType=none, reportUnknownVariableType=none, reportUnknownArgumentType=none
from __future__ import annotations

import dataclasses
import math
import statistics
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..client import AudioClient
from ..errors import ConfigError, DeviceError
from ..server import AdvancedAudioServer
from .chirps import alike, echoes, floor_of, loudest, train
from .figures import Figure, median
from .needs import need

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..devices import Device
    from ..source import Source
    from .chirps import Curve

__all__ = ["MouthToEar", "mouth_to_ear"]


@dataclass(frozen=True)
class MouthToEar:
    """How long sound takes from the microphone through client and server to the speaker, and through the air back.

    Attributes:
        delay_ms: The median over the chirps.
        spread_ms: From the least of them to the most.
        delays_ms: Each.
        chirps: How many were played.
        rejected: How many of them had no clear echo, and why not.
        packet_ms: Of the delay, what it takes to fill a packet.
        buffer_ms: Of the delay, how long packets waited in the server's buffer, at the end.
        rest_ms: What remains: the devices' buffers and converters, the air.
        echo: How loud an echo was, as a part of its chirp (the median).
        input: The microphone.
        output: The speaker.
    """

    delay_ms: Figure
    spread_ms: float
    delays_ms: tuple[float, ...]
    chirps: int
    rejected: dict[str, int]
    packet_ms: float
    buffer_ms: float
    rest_ms: float
    echo: float
    input: str
    output: str

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain dictionaries, ready for JSON."""
        return dataclasses.asdict(self)


def mouth_to_ear(
    *,
    input: str | int | Device | None = None,  # noqa: A002 - the client's option
    output: str | int | Device | None = None,
    size: float = 10,
    protocol: Literal["udp", "tcp"] | str = "udp",  # noqa: PYI051 - the values, for editors
    codec: Literal["l16", "opus", "pcmu", "pcma"] | str = "l16",  # noqa: PYI051
    delay: float | None = None,
    rate: int = 44100,
    host_api: str | None = None,
    latency: Literal["low", "high"] | str = "low",  # noqa: PYI051
    chirps: int = 10,
    every: float = 0.75,
    progress: Callable[[float, float], None] | None = None,
) -> MouthToEar:
    """Measures the delay from mouth to ear by chirps, on the microphone and the speaker of this machine.

        print(lab.mouth_to_ear(size=5).delay_ms)

    A server plays to the speaker, a client sends it what the microphone hears. Chirps come out of the speaker; the
    microphone hears each twice: directly, and again when it has gone from the microphone through client, loopback and
    server to the speaker. Both are in one recording, by one clock, so that neither starts nor latencies of recording
    matter. First some chirps are played with the client's sound muted: what the room answers by itself is no echo.
    Needs numpy.

    Args:
        input: The microphone, as the client's; it must hear the speaker. Without a room, a monitor of the output.
        output: The speaker, as the server's.
        size: The block of both, ms.
        protocol: The transport between them.
        codec: The coding between them.
        delay: The server's fixed delay, ms; None follows the network.
        rate: Frames a second.
        host_api: The sound system.
        latency: As of both classes.
        chirps: How many, at least 3.
        every: Seconds from one to the next, 0.2 to 5; longer delays are not found.
        progress: Called several times a second with the seconds done and all of them.

    Raises:
        ConfigError: An argument is wrong.
        DeviceError: There is no such device, the microphone does not hear the speaker, or too few chirps have an echo.
        ImportError: numpy is not installed.
    """
    need("numpy")
    if not 3 <= chirps <= 1000:
        raise ConfigError(f"chirps must be 3 to 1000, not {chirps}")
    if not (math.isfinite(every) and 0.2 <= every <= 5):
        raise ConfigError(f"every must be 0.2 to 5 seconds, not {every}")
    common: dict[str, Any] = {"protocol": protocol, "size": size, "rate": rate, "host_api": host_api}
    with (
        tempfile.TemporaryDirectory() as folder,
        AdvancedAudioServer(
            port=0, bind="127.0.0.1", output=output, delay=delay, latency=latency, recordings=folder, **common
        ) as server,
    ):
        to: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, "recordings": folder, **common}
        with (
            AudioClient(input=input, codec=codec, latency=latency, **to) as microphone,
            AudioClient(input="push", **to) as speaker,
        ):
            run = _Run(server, microphone, speaker, every, progress or (lambda _done, _all: None))
            return run.measure(chirps)


class _Run:
    """One measurement, while its streams run."""

    def __init__(
        self,
        server: AdvancedAudioServer,
        microphone: AudioClient,
        speaker: AudioClient,
        every: float,
        progress: Callable[[float, float], None],
    ) -> None:
        self._server = server
        self._microphone = microphone
        self._speaker = speaker
        self._every = every
        self._progress = progress
        self._rate = microphone.RATE
        self._done = 0.0
        self._all = 0.0
        self._window = (LEAST, every - 0.05)

    def measure(self, chirps: int) -> MouthToEar:
        """Plays and listens twice: the room alone, then with the loop closed."""
        self._all = (CONTROLS + chirps) * self._every + 2 * SETTLE
        source = self._source()
        source.muted = True
        room = self._play(CONTROLS)
        heard = loudest(room, CONTROLS, self._every, self._rate)
        np = need("numpy")
        noise = float(np.median(np.abs(room)))
        level = statistics.median(abs(float(room[place])) for place in heard)
        if level < HEARD * noise or level == 0.0:
            raise DeviceError(
                f"the microphone ({self._microphone.input_name}) does not hear the speaker "
                f"({self._server.output_name}): turn both up, take off headphones, or name them with input and output"
            )
        floor = floor_of(room, heard, self._window, self._rate)
        # As loud as can be without howling.
        source.gain = min(16.0, LOOP / level)
        source.muted = False
        curve = self._play(chirps)
        places = loudest(curve, chirps, self._every, self._rate)
        found = echoes(curve, places, self._window, floor, self._rate)
        rejected = Counter(found.rejected)
        rejected["not played"] = chirps - len(places)
        if len(found.delays_ms) < max(2, chirps // 3):
            raise DeviceError(
                f"only {len(found.delays_ms)} of {chirps} chirps came back: turn the speaker up, keep quiet, or, where "
                f"the delay is beyond {1000 * self._window[1]:.0f} ms, make `every` longer"
            )
        figure = median(found.delays_ms, "ms").widened(500 / self._rate)
        packet, buffer = self._microphone.size, source.stats.delay_ms
        return MouthToEar(
            delay_ms=figure,
            spread_ms=max(found.delays_ms) - min(found.delays_ms),
            delays_ms=tuple(found.delays_ms),
            chirps=chirps,
            rejected={why: count for why, count in sorted(rejected.items()) if count},
            packet_ms=packet,
            buffer_ms=buffer,
            rest_ms=figure.value - packet - buffer,
            echo=statistics.median(found.heights),
            input=self._microphone.input_name,
            output=self._server.output_name,
        )

    def _source(self) -> Source:
        """The microphone's stream, as the server knows it."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for source in self._server.sources:
                if source.ssrc == self._microphone.ssrc:
                    return source
            self._microphone.wait(STEP)
        raise DeviceError(f"the microphone ({self._microphone.input_name}) delivers nothing")

    def _play(self, number: int) -> Curve:
        """Plays chirps; where they are in what the microphone heard meanwhile."""
        sound = train(number, self._every, self._rate)
        self._microphone.start_recording()
        try:
            taken, began = 0, time.monotonic()
            lasts = len(sound) / self._rate + SETTLE
            while (passed := time.monotonic() - began) < lasts:
                if taken < len(sound):
                    taken += self._speaker.write(sound[taken:], timeout=STEP)
                self._microphone.wait(STEP)
                self._tell(passed)
        finally:
            recording = self._microphone.stop_recording()
        self._done += len(sound) / self._rate + SETTLE
        if recording is None:
            raise DeviceError("nothing was recorded")
        return alike(_mono(recording.path), self._rate)

    def _tell(self, seconds: float) -> None:
        self._progress(min(self._done + seconds, self._all), self._all)


def _mono(path: Path) -> Any:  # noqa: ANN401 - numpy's array
    import wave

    np = need("numpy")
    with wave.open(str(path), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")


STEP = 0.05
# Chirps without a loop; how loud an echo shall be as a part of its chirp; how much louder than noise a chirp is.
CONTROLS = 3
LOOP = 0.35
HEARD = 20.0
# No way through two devices and a packet is shorter, seconds.
LEAST = 0.004
# What comes after the sound, seconds; and how long the microphone's first packet is waited for.
SETTLE = 0.75
PATIENCE = 5.0
