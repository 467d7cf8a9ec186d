"""Chirps, and where they are in a sound: delays to the sample and below, by cross-correlation. Needs numpy."""

# What numpy takes is only partly told by its types.
# pyright: reportUnknownMemberType=none, reportUnknownVariableType=none, reportUnknownArgumentType=none
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .needs import need

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.int16]
    Curve = NDArray[np.float64]

__all__ = ["CHIRP_SECONDS", "Echoes", "alike", "chirp", "delays_ms", "echoes", "floor_of", "loudest", "places", "train"]

CHIRP_SECONDS = 0.02


def chirp(rate: int) -> Samples:
    """A sweep from 500 Hz to 8 kHz, faded in and out, at half of full scale: alike itself at one sharp place only."""
    np = need("numpy")
    time = np.arange(round(CHIRP_SECONDS * rate)) / rate
    top = min(8000.0, 0.4 * rate)
    sweep = np.sin(2 * np.pi * (500 * time + (top - 500) / (2 * CHIRP_SECONDS) * time**2))
    return (sweep * np.hanning(len(time)) * 16_000).astype(np.int16)


def train(number: int, every: float, rate: int) -> Samples:
    """Chirps `every` so many seconds, half of that before the first and after the last."""
    np = need("numpy")
    sound = np.zeros(round(number * every * rate), dtype=np.int16)
    one = chirp(rate)
    for at in range(number):
        start = round((at + 0.5) * every * rate)
        sound[start : start + len(one)] = one
    return sound


def alike(sound: Samples, rate: int) -> Curve:
    """How much of a chirp begins at each sample of `sound`: 1 where there is one as it was made."""
    np = need("numpy")
    one = chirp(rate).astype(np.float64)
    size = 1 << (len(sound) + len(one)).bit_length()
    found = np.fft.irfft(np.fft.rfft(sound.astype(np.float64), size) * np.conj(np.fft.rfft(one, size)), size)
    return found[: len(sound)] / np.dot(one, one)


def places(sound: Samples, every: float, rate: int) -> list[int]:
    """Where chirps begin that are as loud as they were made, or half: each the best for half the distance."""
    np = need("numpy")
    curve = alike(sound, rate)
    reach = round(every * rate / 2)
    found: list[int] = []
    for place in np.flatnonzero(curve > 0.5):
        if found and place - found[-1] < reach:
            if curve[place] > curve[found[-1]]:
                found[-1] = int(place)
        else:
            found.append(int(place))
    return found


def delays_ms(said: Samples, heard: Samples, every: float, rate: int) -> list[float]:
    """How much later chirps are in one sound than in another that was recorded beside it, ms."""
    before, after = places(said, every, rate), places(heard, every, rate)
    return [(late - early) / rate * 1e3 for early in before for late in after if 0 <= late - early < every * rate]


@dataclass(frozen=True)
class Echoes:
    """Chirps in one recording, each with an echo of itself.

    Attributes:
        delays_ms: From a chirp to its echo.
        heights: How loud each of those echoes is, as a part of its chirp.
        rejected: Chirps without one, and why not.
    """

    delays_ms: list[float] = field(default_factory=list[float])
    heights: list[float] = field(default_factory=list[float])
    rejected: Counter[str] = field(default_factory=Counter[str])


def loudest(curve: Curve, number: int, every: float, rate: int) -> list[int]:
    """Where `number` chirps are in a curve of likeness: one in each period, at the times of the loudest of all."""
    np = need("numpy")
    size = np.abs(curve)
    period, reach = every * rate, round(TOLERANCE * rate)
    best = int(np.argmax(size))
    first = best % period
    found: list[int] = []
    for count in range(int((len(curve) - first) // period) + 1):
        middle = round(first + count * period)
        low = max(0, middle - reach)
        near = size[low : middle + reach + 1]
        if len(near):
            found.append(low + int(np.argmax(near)))
    # Before the first and after the last there is noise.
    found.sort(key=lambda place: -size[place])
    return sorted(found[:number])


def floor_of(curve: Curve, chirps: list[int], window: tuple[float, float], rate: int) -> Curve:
    """What follows a chirp where nothing echoes it but the room: the most at each lag, as a part of the chirp."""
    np = need("numpy")
    low, high = (round(seconds * rate) for seconds in window)
    floor = np.zeros(high - low)
    for place in chirps:
        after = np.abs(curve[place + low : place + high]) / abs(curve[place])
        floor[: len(after)] = np.maximum(floor[: len(after)], after)
    # A reflection moves a little with the air.
    reach = round(0.001 * rate)
    padded = np.pad(floor, reach, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=1)


def echoes(curve: Curve, chirps: list[int], window: tuple[float, float], floor: Curve, rate: int) -> Echoes:
    """Finds each chirp's echo: what is louder, at its lag, than twice what the room answers by itself.

    Args:
        curve: The likeness of the recording.
        chirps: Where the chirps are.
        window: The least and the greatest lag, seconds.
        floor: What the room answers, by `floor_of` and of the same window.
        rate: Samples a second.
    """
    np = need("numpy")
    found = Echoes()
    low, high = (round(seconds * rate) for seconds in window)
    noise = float(np.median(np.abs(curve)))
    for place in chirps:
        after = np.abs(curve[place + low : place + high])
        if abs(curve[place]) < CLEAR * noise:
            found.rejected["not heard"] += 1
        elif len(after) < high - low:
            found.rejected["cut off"] += 1
        else:
            above = after - 2 * floor * abs(curve[place]) - CLEAR * noise
            best = int(np.argmax(above))
            if above[best] <= 0:
                found.rejected["no echo"] += 1
                continue
            lag = _between(curve, place + low + best) - _between(curve, place)
            found.delays_ms.append(lag / rate * 1e3)
            found.heights.append(float(after[best] / abs(curve[place])))
    return found


def _between(curve: Curve, place: int) -> float:
    """The peak at `place`, between samples: the top of a parabola through its neighbours."""
    if not 0 < place < len(curve) - 1:
        return float(place)
    before, top, after = (abs(float(curve[place + step])) for step in (-1, 0, 1))
    bend = before - 2 * top + after
    return place + (0.5 * (before - after) / bend if bend < 0 else 0.0)


# How far a chirp may be from its time, seconds, and how much louder than the noise it must be.
TOLERANCE = 0.02
CLEAR = 6.0
