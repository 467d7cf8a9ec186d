"""Sound as bytes, for tests that need no array: 16-bit little-endian PCM and the files that hold it."""

from __future__ import annotations

import random
import wave
from pathlib import Path


def pcm_noise(frames: int, channels: int = 1, seed: int = 1) -> bytes:
    """Noise: no two places of it are alike."""
    return random.Random(seed).randbytes(frames * channels * 2)


def write_pcm(path: Path, pcm: bytes, rate: int = 44_100, channels: int = 1) -> Path:
    """Writes a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)
    return path


def read_pcm(path: Path) -> bytes:
    """All of a 16-bit WAV file."""
    with wave.open(str(path), "rb") as file:
        assert file.getsampwidth() == 2
        return file.readframes(file.getnframes())
