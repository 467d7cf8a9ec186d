"""The sound that an experiment sends, and what comes out of it."""

# What numpy and matplotlib take is only partly told by their types.
# pyright: reportUnknownMemberType=none, reportMissingTypeStubs=none, reportUnknownVariableType=none, reportUnknownArgumentType=none
from __future__ import annotations

import array
import sys
import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .. import _engine
from ..errors import RecordingError
from ..recording import Recording

if TYPE_CHECKING:
    import os

    import numpy as np
    import numpy.typing as npt

__all__ = ["Sound"]


@dataclass(frozen=True)
class Sound:
    """16-bit sound in memory. In Jupyter it shows itself as a player.

    Attributes:
        pcm: Samples in this machine's byte order, channels interleaved.
        rate: Frames a second.
        channels: 1 or 2.
        name: What it is.
    """

    pcm: bytes = field(repr=False)
    rate: int
    channels: int = 1
    name: str = "sound"

    @classmethod
    def voice(cls, seconds: float = 30.0, rate: int = 44100) -> Sound:
        """A built-in, speech-like sound.

        Args:
            seconds: How long.
            rate: Frames a second, 8000 to 192000.
        """
        once = _engine.lab_voice(rate)
        length = 2 * round(seconds * rate)
        return cls((once * (length // len(once) + 1))[:length], rate, 1, "voice")

    @classmethod
    def open(cls, path: str | os.PathLike[str], seconds: float | None = None) -> Sound:
        """Reads a 16-bit WAV file.

        Args:
            path: The file.
            seconds: How much of it at most; None takes all.

        Raises:
            RecordingError: It cannot be read, or is something else.
        """
        recording = Recording.open(path)
        pcm = recording.pcm()
        if seconds is not None:
            pcm = pcm[: 2 * recording.channels * round(seconds * recording.rate)]
        if not pcm:
            raise RecordingError(f"{path} holds no sound")
        return cls(_native(pcm), recording.rate, recording.channels, Path(path).stem)

    @classmethod
    def of(cls, sound: Sound | str | os.PathLike[str] | None, seconds: float | None) -> Sound:
        """What `sound=` means: itself, a WAV file, `'voice'`, or the built-in voice where it is None."""
        if isinstance(sound, Sound):
            return sound if seconds is None else sound.cut(0.0, seconds)
        if sound is None or sound == "voice":
            return cls.voice(30.0 if seconds is None else seconds)
        return cls.open(sound, seconds)

    @property
    def frames(self) -> int:
        """Its length in frames."""
        return len(self.pcm) // (2 * self.channels)

    @property
    def duration(self) -> float:
        """Its length in seconds."""
        return self.frames / self.rate

    def cut(self, start: float, seconds: float) -> Sound:
        """A part of it: from `start` on, so many seconds or to its end."""
        frame = 2 * self.channels
        first = round(start * self.rate) * frame
        return Sound(self.pcm[first : first + round(seconds * self.rate) * frame], self.rate, self.channels, self.name)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes it as a WAV file; returns the path."""
        path = Path(path)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(self.channels)
            file.setsampwidth(2)
            file.setframerate(self.rate)
            file.writeframes(self.pcm)
        return path

    def to_numpy(self) -> npt.NDArray[np.int16]:
        """Its samples as an array of shape (frames, channels). Needs numpy."""
        import numpy as np

        return np.frombuffer(self.pcm, np.int16).reshape(-1, self.channels)

    def lighter(self, rate: int) -> Sound:
        """As a mono sound of a lower rate, for a page: `rate` divides its own, or else it stays as it is."""
        import numpy as np

        step = max(self.rate // rate, 1)
        mono = self.to_numpy().astype(np.float64).mean(axis=1)
        if step > 1:
            # A windowed sinc below the new half rate, so that nothing folds back.
            taps = np.arange(-16 * step, 16 * step + 1)
            kernel = np.sinc(0.9 * taps / step) * np.hanning(len(taps))
            mono = np.convolve(mono, kernel / kernel.sum(), "same")[::step]
        pcm = np.clip(np.round(mono), -32768, 32767).astype(np.int16).tobytes()
        return Sound(pcm, self.rate // step, 1, self.name)

    def _repr_html_(self) -> str | None:
        return self.player() if len(self.pcm) < INLINE_BYTES_MAX else None

    def player(self) -> str:
        """An HTML element that plays it, with the sound inside."""
        import base64
        import io

        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(self.channels)
            file.setsampwidth(2)
            file.setframerate(self.rate)
            file.writeframes(self.pcm)
        data = base64.b64encode(buffer.getvalue()).decode("ascii")
        return f'<audio controls preload="metadata" src="data:audio/wav;base64,{data}"></audio>'


def _native(pcm: bytes) -> bytes:
    """Between little-endian and this machine's byte order."""
    if sys.byteorder == "little":
        return pcm
    samples = array.array("h", pcm)
    samples.byteswap()
    return samples.tobytes()


INLINE_BYTES_MAX = 16 * 1024 * 1024
