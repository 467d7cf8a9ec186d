"""What came of an experiment."""

# What numpy and matplotlib take is only partly told by their types.
# pyright: reportUnknownMemberType=none, reportMissingTypeStubs=none, reportUnknownVariableType=none, reportUnknownArgumentType=none
from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .needs import need
from .sound import Sound

if TYPE_CHECKING:
    import os
    from decimal import Decimal

    import pandas as pd

    from .._types import LabDict
    from .method import Method
    from .network import Network

__all__ = ["Outcome", "Traced"]


class Traced(NamedTuple):
    """One packet.

    Attributes:
        sequence: Its number in the stream, from 0; -1 is sound that the sender dropped, since TCP took no more.
        sent_us: When its sound was complete, µs after the first frame was captured.
        arrived_us: When it arrived; -1 never.
        state: `received`, `late`, `repaired`, `lost` or `dropped`.
    """

    sequence: int
    sent_us: int
    arrived_us: int
    state: str


@dataclass(frozen=True)
class Outcome:
    """All that is known of an experiment. Its figures are attributes, by the names of `row()`.

    Attributes:
        method: The way of sending.
        network: The network.
        sent: The sound that was sent.
        heard: What was heard at the other end, from the first frame's capture on.
        arrived: What arrived, each packet in its place and holes silent: the sound without playout's help.
        trace: Every packet.
        delays: When something was heard, µs after the first frame was captured, and its delay from mouth to ear, µs.
        figures: The counts as the engine gave them: whole numbers.
    """

    method: Method
    network: Network
    sent: Sound = field(repr=False)
    heard: Sound = field(repr=False)
    arrived: Sound = field(repr=False)
    trace: list[Traced] = field(repr=False)
    delays: list[tuple[int, int]] = field(repr=False)
    figures: dict[str, int] = field(repr=False)
    extra: dict[str, Decimal | None] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, figures: LabDict, *, method: Method, network: Network, sound: Sound) -> Outcome:
        """Out of the engine's dictionary."""
        rest: dict[str, Any] = dict(figures)
        del rest["capture"]
        heard, arrived = (Sound(rest.pop(name), sound.rate, sound.channels, name) for name in ("heard", "arrived"))
        trace = [Traced(*packet) for packet in rest.pop("trace")]
        return cls(method, network, sound, heard, arrived, trace, rest.pop("delays"), rest)

    def row(self) -> dict[str, str | int | Decimal | None]:
        """Its line of `results.csv`: whole numbers, fixed decimals, None where a figure means nothing."""
        from .columns import row

        return row(self)

    def number(self, name: str) -> float:
        """A figure as a number, nan where it means nothing."""
        value = getattr(self, name)
        return float("nan") if value is None else float(value)

    @property
    def loss(self) -> float:
        """The network's loss as it was set, percent."""
        return float(self.network.full["loss"])

    @property
    def where(self) -> str:
        """The network in a word or two."""
        return self.network.preset or f"{self.loss:g} % loss"

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - numbers and texts, as `row` has them
        if name.startswith("_") or "figures" not in self.__dict__:
            raise AttributeError(name)
        if name in self.figures:
            return self.figures[name]
        row = self.row()
        if name in row:
            return row[name]
        raise AttributeError(f"no figure {name!r}; there are: {', '.join(row)}")

    def trace_csv(self, path: str | os.PathLike[str]) -> Path:
        """Writes a line for each packet; returns the path."""
        with Path(path).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(Traced._fields)
            writer.writerows(self.trace)
        return Path(path)

    def to_pandas(self) -> pd.DataFrame:
        """Every packet as a row of a DataFrame: `sequence`, `sent_us`, `arrived_us`, `state`. Needs pandas."""
        return need("pandas").DataFrame(self.trace, columns=list(Traced._fields))
