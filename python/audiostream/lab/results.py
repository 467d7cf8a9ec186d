"""What came of a comparison: a table of outcomes."""

# What numpy and matplotlib take is only partly told by their types.
# pyright: reportUnknownMemberType=none, reportMissingTypeStubs=none, reportUnknownVariableType=none, reportUnknownArgumentType=none
from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, overload

from .needs import need
from .outcome import Outcome

if TYPE_CHECKING:
    import os

    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Results"]


class Results(Sequence[Outcome]):
    """Outcomes, in the order in which they were asked for.

    Attributes:
        outcomes: All of them.
        by: What the networks differ in: `'loss'`, or `'network'` where they have names.
    """

    def __init__(self, outcomes: Sequence[Outcome], by: str = "loss") -> None:
        self.outcomes = list(outcomes)
        self.by = by

    def __len__(self) -> int:
        return len(self.outcomes)

    @overload
    def __getitem__(self, index: int) -> Outcome: ...
    @overload
    def __getitem__(self, index: slice) -> list[Outcome]: ...
    def __getitem__(self, index: int | slice) -> Outcome | list[Outcome]:
        return self.outcomes[index]

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self.outcomes)

    def rows(self) -> list[dict[str, str | int | Decimal | None]]:
        """A dictionary for each outcome: the lines of `results.csv`."""
        return [outcome.row() for outcome in self.outcomes]

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Writes `results.csv`: whole numbers and fixed decimals, the same bytes for the same seed on every machine.

        Args:
            path: The file.
        """
        rows = self.rows()
        names = list(dict.fromkeys(name for row in rows for name in row))
        with Path(path).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, names, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: "" if value is None else value for name, value in row.items()} for row in rows)
        return Path(path)

    def to_pandas(self) -> pd.DataFrame:
        """The table as a DataFrame, numbers as numbers. Needs pandas."""
        pandas = need("pandas")
        rows = [
            {name: float(value) if isinstance(value, Decimal) else value for name, value in row.items()}
            for row in self.rows()
        ]
        return pandas.DataFrame(rows)

    def plots(self) -> dict[str, Figure]:
        """The report's plots, by name. Needs matplotlib."""
        from .plots import draw

        return draw(self)

    def report(self, folder: str | os.PathLike[str], command: str | None = None) -> Path:
        """Writes everything into a folder: `results.csv`, `report.html`, `plots`, `sounds`. Needs the `lab` extra.

        Args:
            folder: Made if it is not there; files of the same names are replaced.
            command: What to do to have the same again, told in the report.

        Returns:
            The path of `report.html`: one file that needs no other.
        """
        from .report import write

        return write(self, Path(folder), command)

    def _repr_html_(self) -> str:
        from .report import table

        return table(self)
