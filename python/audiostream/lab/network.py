"""A bad network as a value."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, cast

from .. import _engine

__all__ = ["PRESETS", "Network"]

PRESETS = ("lan", "wifi", "cellular", "satellite", "congested")
"""Networks with names."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """What a network does to packets. `network=` of client, server and lab take it; `str()` is the text of `--network`.

        Network(loss=5, burst=3, delay=40, jitter=15, rate="256k", seed=1)
        Network(preset="wifi", loss=10)

    What is None is as the preset has it, or else as said here. Chance is drawn from the seed packet by packet, each
    kind by itself: changing one setting does not move the others.

    Attributes:
        preset: One of `PRESETS`, to begin with.
        loss: Packets lost, percent (0).
        burst: Mean length of a run of losses, packets, at least 1; None loses each by itself (Gilbert and Elliott's
            model otherwise).
        density: Loss within the bad times, percent (100); needs `burst`.
        scatter: Loss between them, percent (0); needs `burst`.
        delay: What every packet needs, ms (0).
        jitter: Mean of an extra delay, exponentially distributed, ms (0). Order is kept.
        spike: Packets at which the path stalls, percent (0).
        spike_delay: How long it then stalls, ms (100).
        reorder: Packets held back so that others overtake them, percent (0).
        reorder_delay: How long they are held, ms (25).
        duplicate: Packets that arrive twice, percent (0).
        rate: Of the narrowest part of the path, bits a second, as a number or as `'256k'`, `'1.5M'` (no limit).
        queue: How long a packet may wait there before it is dropped, ms (200; 1000 with `trace`); needs one of them.
        trace: A file that says when the narrowest part lets bytes through (Mahimahi's format), in place of `rate`.
        seed: What chance is drawn from (0).

    Raises:
        ConfigError: A setting is out of range, or settings contradict each other.
    """

    preset: str | None = None
    loss: float | None = None
    burst: float | None = None
    density: float | None = None
    scatter: float | None = None
    delay: float | None = None
    jitter: float | None = None
    spike: float | None = None
    spike_delay: float | None = None
    reorder: float | None = None
    reorder_delay: float | None = None
    duplicate: float | None = None
    rate: int | str | None = None
    queue: float | None = None
    trace: str | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        _engine.lab_network(str(self))

    def __str__(self) -> str:
        named = ((field.name, getattr(self, field.name)) for field in fields(self) if field.name != "preset")
        settings = [f"{name}={_text(value)}" for name, value in named if value is not None]
        if self.preset is not None:
            settings.insert(0, self.preset)
        return ",".join(settings) or "loss=0"

    @classmethod
    def parse(cls, text: str) -> Network:
        """Reads the text of `--network`.

        Args:
            text: Settings (`'loss=5,delay=40'`), a preset, or a preset and settings that change it.

        Raises:
            ConfigError: It is none of these; the message says why.
        """
        _engine.lab_network(text)
        settings: dict[str, Any] = {}
        for item in text.split(","):
            name, given, value = (part.strip() for part in item.partition("="))
            if not given:
                settings["preset"] = name.lower()
            elif name in ("rate", "trace"):
                settings[name] = value
            elif name == "seed":
                settings[name] = int(value)
            else:
                number = float(value.removesuffix("%").removesuffix("ms"))
                settings[name] = int(number) if number.is_integer() else number
        return cls(**settings)

    def changed(self, **settings: float | str | None) -> Network:
        """The same with other settings, by the names of the attributes."""
        return replace(self, **cast("Any", settings))

    @property
    def full(self) -> dict[str, str]:
        """Every setting as it takes effect, by its name."""
        return dict(item.split("=", 1) for item in _engine.lab_network(str(self)).split(","))


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
