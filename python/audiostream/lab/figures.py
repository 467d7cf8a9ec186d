"""A measured figure and how far it may be from the truth. Nothing here needs numpy, and nothing is drawn by chance."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Figure", "mean", "median", "slope", "wilson"]

# The standard normal's 97.5 % point, and Student's of few degrees of freedom.
NORMAL = 1.959964
STUDENT = (12.7062, 4.3027, 3.1824, 2.7764)


@dataclass(frozen=True)
class Figure:
    """A measured value, and the interval that holds the true one in 95 of 100 measurements.

    Attributes:
        value: What was measured.
        low: The interval's lower end.
        high: Its upper end.
        unit: `'ms'`, `'%'`, `'ppm'`.
        how: How the interval was found; where it is a hard bound, it says so.
    """

    value: float
    low: float
    high: float
    unit: str
    how: str

    @property
    def plus_minus(self) -> float:
        """The farther end's distance from the value."""
        return max(self.high - self.value, self.value - self.low)

    def shifted(self, by: float) -> Figure:
        """The same, all of it moved."""
        return Figure(self.value + by, self.low + by, self.high + by, self.unit, self.how)

    def widened(self, by: float) -> Figure:
        """The same, its interval longer by so much at both ends."""
        return Figure(self.value, self.low - by, self.high + by, self.unit, self.how)

    def __str__(self) -> str:
        """With as many digits as the interval is worth: `12.3 ± 0.4 ms`, or `1.0 (0.4 to 2.5) %` where lopsided."""
        above, below = self.high - self.value, self.value - self.low
        if not math.isfinite(above + below):
            return f"{self.value:.3f} {self.unit}"
        digits = _digits(max(above, below))
        if abs(above - below) <= 0.1 * max(above, below):
            return f"{self.value:.{digits}f} ± {max(above, below):.{digits}f} {self.unit}"
        return f"{self.value:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f}) {self.unit}"


def wilson(count: int, of: int) -> Figure:
    """A share of independent events, percent, with Wilson's interval.

    Args:
        count: How many there were.
        of: How many there could have been, at least 1.
    """
    share, square = count / of, NORMAL**2 / of
    middle = (share + square / 2) / (1 + square)
    reach = NORMAL / (1 + square) * math.sqrt(share * (1 - share) / of + square / (4 * of))
    low, high = (0.0 if count == 0 else middle - reach), (1.0 if count == of else middle + reach)
    return Figure(100 * share, 100 * low, 100 * high, "%", "Wilson's interval, as for losses that are independent")


def median(values: Sequence[float], unit: str) -> Figure:
    """The median of measurements, whatever their distribution: the interval is between two of them, by rank.

    Args:
        values: At least one. With fewer than six the interval is their whole range, and holds less than 95 %.
        unit: Theirs.
    """
    ranked = sorted(values)
    number = len(ranked)
    # The highest rank that has the median below it with less than 2.5 %.
    rank, ways = 0, 1
    tail = ways
    while 40 * tail <= 2**number:
        rank += 1
        ways = ways * (number - rank + 1) // rank
        tail += ways
    rank = max(rank - 1, 0)
    how = f"median of {number}, interval by rank" if number > 5 else f"median of {number}, their range"
    return Figure(statistics.median(ranked), ranked[rank], ranked[number - 1 - rank], unit, how)


def mean(values: Sequence[float], unit: str) -> Figure:
    """The mean of measurements, with Student's interval; of one there is none, and it is infinite."""
    middle = statistics.fmean(values)
    number = len(values)
    reach = math.inf
    if number > 1:
        reach = _student(number - 1) * statistics.stdev(values) / math.sqrt(number)
    return Figure(middle, middle - reach, middle + reach, unit, f"mean of {number}, Student's interval")


def slope(times: Sequence[float], values: Sequence[float], unit: str) -> Figure:
    """How fast values grow: the least-squares line's slope, with the interval of its standard error (Student's).

    Args:
        times: At least 3, not all the same.
        values: One for each.
        unit: That of a value divided by that of a time.
    """
    number = len(times)
    middle, level = statistics.fmean(times), statistics.fmean(values)
    spread = math.fsum((time - middle) ** 2 for time in times)
    pairs = list(zip(times, values, strict=True))
    rise = math.fsum((time - middle) * (value - level) for time, value in pairs) / spread
    rest = math.fsum((value - level - rise * (time - middle)) ** 2 for time, value in pairs)
    reach = _student(number - 2) * math.sqrt(rest / (number - 2) / spread)
    return Figure(rise, rise - reach, rise + reach, unit, f"a line through {number} points, its slope's standard error")


def _student(freedom: int) -> float:
    """Student's 97.5 % point, beyond the table by its expansion in 1 / freedom (Abramowitz and Stegun 26.7.5)."""
    if freedom <= len(STUDENT):
        return STUDENT[freedom - 1]
    z = NORMAL
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))


def _digits(reach: float) -> int:
    """How many decimals show two digits of an interval's reach; three at most."""
    if not math.isfinite(reach) or reach <= 0:
        return 3
    return min(3, max(0, 1 - math.floor(math.log10(reach))))
