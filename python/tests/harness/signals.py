"""Ears: sound as arrays, WAV files, and how alike two sounds are."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

RATE = 44_100


def read_wav(path: Path) -> Samples:
    """All of a 16-bit WAV file, `(frames, channels)`."""
    with wave.open(str(path), "rb") as file:
        assert file.getsampwidth() == 2
        pcm = file.readframes(file.getnframes())
        return np.frombuffer(pcm, dtype="<i2").reshape(-1, file.getnchannels())


def write_wav(path: Path, samples: Samples, rate: int = RATE) -> Path:
    """Writes `samples`, `(frames,)` or `(frames, channels)`."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.ascontiguousarray(samples, dtype="<i2").tobytes())
    return path


def noise(frames: int, channels: int = 1, seed: int = 1) -> Samples:
    """Full-scale noise, no sample of which is zero: a hole cannot hide in it."""
    samples = np.random.default_rng(seed).integers(-32_767, 32_767, (frames, channels), dtype=np.int16)
    samples[samples >= 0] += 1
    return samples


def g711_noise(law: str, frames: int, seed: int = 1) -> Samples:
    """Noise of the values that G.711 has, by its `'mu'` or `'A'` law, mono, zero left out: coded, it is the same."""
    codes = np.arange(128)
    step, chord = codes % 16, codes // 16
    if law == "mu":
        values = ((2 * step + 33) << chord) - 33 << 2
    else:
        values = np.where(chord == 0, 2 * step + 1, (2 * step + 33) << np.maximum(chord - 1, 0)) << 3
    values = values[values > 0]
    return np.random.default_rng(seed).choice(np.concatenate([values, -values]), (frames, 1)).astype(np.int16)


def speech(seconds: float | None = None, rate: int = RATE) -> Samples:
    """Spoken words, as Debian's alsa-utils has it, at `rate`, mono; repeated or cut to `seconds`."""
    voices = [read_wav(SPEECH / name)[:, 0] for name in ("Front_Center.wav", "Rear_Left.wav", "Side_Right.wav")]
    samples = resampled(np.concatenate(voices), SPEECH_RATE, rate)
    if seconds is not None:
        samples = np.resize(samples, round(seconds * rate))
    return samples


def resampled(samples: Samples, from_rate: int, to_rate: int) -> Samples:
    """The sound at another rate, by way of its spectrum."""
    frames = round(len(samples) * to_rate / from_rate)
    spectrum = np.fft.rfft(samples.astype(np.float64))
    wanted = np.zeros(frames // 2 + 1, dtype=np.complex128)
    common = min(len(wanted), len(spectrum))
    wanted[:common] = spectrum[:common]
    sound = np.fft.irfft(wanted, frames) * (frames / len(samples))
    return np.clip(np.round(sound), -32_768, 32_767).astype(np.int16)


def correlation(reference: Samples, heard: Samples) -> tuple[float, int]:
    """How alike `heard` is to `reference` at the best place (-1 to 1), and that place: its delay in frames.

    The measure is over the whole of `reference`, which must lie within `heard`.
    """
    a = reference.astype(np.float64).ravel()
    b = heard.astype(np.float64).ravel()
    if len(b) < len(a):
        b = np.pad(b, (0, len(a) - len(b)))
    size = 1 << (len(a) + len(b) - 1).bit_length()
    products = np.fft.irfft(np.fft.rfft(b, size) * np.conj(np.fft.rfft(a, size)), size)[: len(b) - len(a) + 1]
    energy = np.concatenate(([0.0], np.cumsum(b * b)))
    local = energy[len(a) :] - energy[: len(b) - len(a) + 1]
    alike = products / np.sqrt(np.maximum(local * np.dot(a, a), 1.0))
    place = int(np.argmax(alike))
    return float(alike[place]), place


SPEECH = Path("/usr/share/sounds/alsa")
SPEECH_RATE = 48_000
