"""Figures in rows: to pandas in one call, to CSV without it."""

from __future__ import annotations

import csv
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from .errors import ConfigError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

__all__ = ["Table", "read_packet_log"]

# What a field may hold: float, int, str or None.
Value = Any


class Table(Sequence[dict[str, Value]]):
    """Rows with the same columns, oldest first: a sequence of dictionaries that does not change.

    Attributes:
        columns: The names of the columns, in order.
    """

    def __init__(self, columns: Iterable[str], rows: Iterable[Sequence[Value]]) -> None:
        """Takes the columns' names, and for each row a value for each column."""
        self.columns = tuple(columns)
        self._rows = tuple(tuple(row) for row in rows)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> dict[str, Value]: ...
    @overload
    def __getitem__(self, place: slice) -> Table: ...
    def __getitem__(self, place: int | slice) -> dict[str, Value] | Table:
        if isinstance(place, slice):
            return Table(self.columns, self._rows[place])
        return dict(zip(self.columns, self._rows[place], strict=True))

    def column(self, name: str) -> list[Value]:
        """The values of one column.

        Raises:
            KeyError: There is none of that name.
        """
        if name not in self.columns:
            raise KeyError(name)
        place = self.columns.index(name)
        return [row[place] for row in self._rows]

    def to_pandas(self) -> pd.DataFrame:
        """The rows as a `pandas.DataFrame`, a column each.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            pandas: Any = importlib.import_module("pandas")
        except ImportError:
            raise ConfigError("pandas is not installed: pip install pandas, or use to_csv()") from None
        return pandas.DataFrame.from_records(self._rows, columns=list(self.columns))

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Writes the rows as CSV, the columns' names first; None is an empty field. Returns the path."""
        path = Path(path)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(self.columns)
            writer.writerows(self._rows)
        return path

    def __repr__(self) -> str:
        return f"<Table of {len(self)} rows: {', '.join(self.columns)}>"


def read_packet_log(path: str | os.PathLike[str]) -> Table:
    """The packets that `packet_log=` wrote, the older files of a rotated log included, oldest first.

    Args:
        path: The log's path, as it was given.

    Returns:
        A row a packet: `time_us`, `direction`, `source`, `sequence`, `timestamp`, `bytes`, `verdict`; None where a
        packet has no such thing.

    Raises:
        OSError: There is no such file.
        ConfigError: It is no packet log.
    """
    path = Path(path)
    older = sorted(
        (int(one.suffix[1:]), one) for one in path.parent.glob(f"{path.name}.*") if one.suffix[1:].isdecimal()
    )
    rows: list[tuple[Value, ...]] = []
    for one in [*(file for _, file in reversed(older)), path]:
        with one.open(encoding="utf-8", newline="") as file:
            for line in csv.reader(file):
                if line == list(PACKET_COLUMNS):
                    continue
                if len(line) != len(PACKET_COLUMNS):
                    raise ConfigError(f"{one} is no packet log: {','.join(line)[:60]!r}")
                rows.append(
                    tuple(
                        _number(text) if name in COUNTED else text
                        for name, text in zip(PACKET_COLUMNS, line, strict=True)
                    )
                )
    return Table(PACKET_COLUMNS, rows)


def _number(text: str) -> int | None:
    return int(text) if text else None


PACKET_COLUMNS: tuple[str, ...] = ("time_us", "direction", "source", "sequence", "timestamp", "bytes", "verdict")
COUNTED = {"time_us", "sequence", "timestamp", "bytes"}
