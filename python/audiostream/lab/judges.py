"""A judge of heard sound that the user may have installed: PESQ (ITU-T P.862.2), by the package `pesq`."""

# What numpy and matplotlib take is only partly told by their types.
# pyright: reportUnknownMemberType=none, reportMissingTypeStubs=none, reportUnknownVariableType=none, reportUnknownArgumentType=none
from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from .outcome import Outcome
    from .sound import Sound

__all__ = ["judged"]

JUDGED_SECONDS = 10.0
"""PESQ is made for sentences of 8 to 12 s."""


def judged(outcome: Outcome) -> Outcome:
    """The same, with PESQ's score as a column, if it is installed."""
    if find_spec("pesq") is None or find_spec("numpy") is None:
        return outcome
    return replace(outcome, extra={**outcome.extra, "pesq": pesq(outcome.sent, outcome.heard)})


def pesq(sent: Sound, heard: Sound) -> Decimal | None:
    """PESQ's wide-band opinion score of the end of the sound, 1 to 4.64; None where it refuses."""
    import numpy as np
    from pesq import PesqError  # pyright: ignore[reportMissingImports, reportUnknownVariableType]
    from pesq import pesq as score  # pyright: ignore[reportMissingImports, reportUnknownVariableType]

    start = max(sent.duration - JUDGED_SECONDS, 0.0)
    # It aligns by itself, up to half of it.
    pair = [_narrowed(part.cut(start, JUDGED_SECONDS + 1.0)) for part in (sent, heard)]
    if any(len(part) < 16_000 or not np.any(part) for part in pair):
        return None
    try:
        return Decimal(f"{score(16_000, pair[0], pair[1], 'wb'):.2f}")
    except PesqError:
        return None


def _narrowed(sound: Sound) -> npt.NDArray[np.int16]:
    """Mono at 16 kHz, by a windowed sinc."""
    import numpy as np

    mono = sound.to_numpy().astype(np.float64).mean(axis=1)
    if sound.rate == 16_000:
        return mono.astype(np.int16)
    common = math.gcd(sound.rate, 16_000)
    up, down = 16_000 // common, sound.rate // common
    cutoff = min(1.0, 16_000 / sound.rate) * 0.95
    reach = int(24 / cutoff)
    offsets = np.arange(-reach, reach + 1)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(mono, reach), len(offsets))
    narrow = np.zeros(len(mono) * up // down)
    # Each `up`-th sample lies at the same place between two of the old ones.
    for first in range(min(up, len(narrow))):
        whole, part = divmod(first * down, up)
        distance = offsets - part / up
        window = 0.5 + 0.5 * np.cos(np.pi * distance / (reach + 1))
        kernel = cutoff * np.sinc(cutoff * distance) * window
        samples = narrow[first::up]
        samples[:] = around[whole::down][: len(samples)] @ kernel
    return narrow.astype(np.int16)
