"""What reports (RTCP) tell of a network path: delay, jitter, loss, order, and how two machines' clocks run apart."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .figures import Figure, mean, median, slope, wilson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Back", "Clocks", "PathFigures", "Report", "Sent", "figures_of", "is_whole", "position"]

Clocks = Literal["same", "synchronised", "unknown"]

# Reports count time in 1/65536 s, and cut off twice: what they tell may be so much off, ms.
GRAIN_MS = 2 * 1000 / 65536


@dataclass(frozen=True)
class Report:
    """One report of our stream, with the four times of RFC 5905 §8: seconds since 1970, each by its own clock.

    Attributes:
        number: The how-many-eth of the stream, from 1.
        arrived: When it came, by our clock.
        said: When it was said, by the other end's (RFC 3611 §4.4, or a sender report's); None where that is not told.
        sent: When our report went that it answers, by our clock; None where it answers none.
        held: How long that lay at the other end, seconds.
        packets_lost: Lost since the beginning, as RFC 3550 counts: copies make up for losses.
        highest: The highest sequence number, with its wraps above 16 bits.
        jitter_ms: Interarrival jitter (RFC 3550 §6.4.1).
        first: The sequence number that it counts from (RFC 6776); None where it is not told, as what follows.
        duplicated: Packets that came again.
        reordered: Packets that others had overtaken.
        drift_ppm: Our clock against that of the other end's sound output.
    """

    number: int
    arrived: float
    said: float | None
    sent: float | None
    held: float
    packets_lost: int
    highest: int
    jitter_ms: float
    first: int | None = None
    duplicated: int | None = None
    reordered: int | None = None
    drift_ppm: float | None = None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Report:
        """From what the engine tells."""
        names: Any = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in told.items() if name in names})

    @property
    def round_trip(self) -> float | None:
        """There and back, without the time that it lay there, seconds."""
        return None if self.sent is None else max(self.arrived - self.sent - self.held, 0.0)

    @property
    def there(self) -> float | None:
        """The way there, and how much the other end's clock is ahead of ours, seconds."""
        return None if self.sent is None or self.said is None else self.said - self.held - self.sent

    @property
    def back(self) -> float | None:
        """The way back, less how much the other end's clock is ahead of ours, seconds."""
        return None if self.said is None else self.arrived - self.said


@dataclass(frozen=True)
class Sent:
    """What was sent.

    Attributes:
        packets: How many packets.
        first: The first one's sequence number, 0 to 65535.
        settled: From when on all have arrived that ever will, seconds since 1970, by our clock; None while they go on.
    """

    packets: int
    first: int
    settled: float | None = None


@dataclass(frozen=True)
class Back:
    """What came of the other end's own sound, where it talks to us.

    Attributes:
        packets_expected: From its first to its last.
        packets_lost: Of these.
        lost_percent: The same as a share.
        packets_duplicated: That came again.
        packets_reordered: That others had overtaken.
        jitter_ms: Interarrival jitter at the end.
    """

    packets_expected: int
    packets_lost: int
    lost_percent: Figure
    packets_duplicated: int
    packets_reordered: int
    jitter_ms: float


@dataclass(frozen=True)
class PathFigures:
    """A path as it was measured. What is None, the other end did not tell, or too little was heard.

    Attributes:
        host: Where to.
        port: Where to.
        protocol: `'udp'` or `'tcp'`.
        seconds: How long it was measured.
        reports: Reports heard.
        clocks: Whether one-way delays could be read from clocks: `'same'` machine, `'synchronised'` as the caller said,
            or `'unknown'`.
        round_trip_ms: There and back.
        round_trip_least_ms: The least of it.
        round_trip_most_ms: The most of it.
        there_ms: One way, to the other end. Where clocks cannot tell, half the round trip, and nothing is more certain
            than that it lies between nothing and all of that.
        back_ms: One way, from there.
        jitter_ms: Interarrival jitter there (RFC 3550 §6.4.1).
        packets: Packets that the counts are about.
        packets_lost: Of these, never arrived.
        lost_percent: The same as a share, with what it says of the path.
        counts_are_whole: Whether they are of every packet that was sent; else of those up to the last report, and where
            `packets_duplicated` is None from the first one heard on, copies made up for losses.
        packets_duplicated: That arrived again.
        packets_reordered: That others had overtaken.
        clock_offset_ms: How much the other machine's clock is ahead of ours.
        drift_ppm: How much faster the other machine's clock runs than ours.
        output_drift_ppm: How much faster its sound output runs than our clock, as it reckons.
        buffer_ms: How long packets wait there to be heard.
        back: Of its own sound; None where it says nothing.
    """

    host: str
    port: int
    protocol: str
    seconds: float
    reports: int
    clocks: Clocks
    packets: int
    packets_lost: int
    lost_percent: Figure
    counts_are_whole: bool
    jitter_ms: Figure
    round_trip_ms: Figure | None = None
    round_trip_least_ms: float | None = None
    round_trip_most_ms: float | None = None
    there_ms: Figure | None = None
    back_ms: Figure | None = None
    packets_duplicated: int | None = None
    packets_reordered: int | None = None
    clock_offset_ms: Figure | None = None
    drift_ppm: Figure | None = None
    output_drift_ppm: float | None = None
    buffer_ms: float | None = None
    back: Back | None = None

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain dictionaries, ready for JSON; what is infinite is None."""
        return dataclasses.asdict(self, dict_factory=_plain)


def figures_of(reports: Sequence[Report], sent: Sent, clocks: Clocks = "unknown") -> dict[str, Any]:
    """What reports tell, by the names of `PathFigures`.

    Args:
        reports: At least one, oldest first.
        sent: What they are about.
        clocks: Whether both ends' clocks show the same time.
    """
    return {
        "reports": reports[-1].number,
        "clocks": clocks,
        "jitter_ms": mean([report.jitter_ms for report in reports], "ms"),
        "output_drift_ppm": _output_drift(reports),
        **_counts(reports, sent),
        **_delays(_answers(reports), clocks),
    }


def position(reports: Sequence[Report], sent: Sent) -> int:
    """How many packets had been sent when the last of the reports' highest went."""
    # The first report is of the first packets: 16 bits tell which. From there on wraps are counted there.
    first = (reports[0].highest - sent.first) & 0xFFFF
    return first + 1 + ((reports[-1].highest - reports[0].highest) & 0xFFFFFFFF)


def _plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in items}


def is_whole(reports: Sequence[Report], sent: Sent) -> bool:
    """Whether the last report tells what became of every packet: said when all that will come had come, or all have."""
    last = reports[-1]
    if last.first is None or sent.settled is None:
        return False
    all_there = last.packets_lost + (last.duplicated or 0) == 0 and last.first == sent.first
    return last.arrived > sent.settled or (all_there and position(reports, sent) == sent.packets)


def _counts(reports: Sequence[Report], sent: Sent) -> dict[str, Any]:
    last = reports[-1]
    packets = position(reports, sent)
    whole = is_whole(reports, sent)
    if last.first is None:
        lost = max(last.packets_lost, 0)
    else:
        # Before the first that was heard, between, and after the highest.
        before = (last.first - sent.first) & 0xFFFF
        lost = before + last.packets_lost + (last.duplicated or 0)
        if whole:
            lost += sent.packets - packets
            packets = sent.packets
    return {
        "packets": packets,
        "packets_lost": lost,
        "lost_percent": wilson(min(lost, packets), packets),
        "counts_are_whole": whole,
        "packets_duplicated": last.duplicated,
        "packets_reordered": last.reordered,
    }


def _answers(reports: Iterable[Report]) -> list[Report]:
    """Those with a round trip, one for each report of ours: what answers the same one knows the same way there."""
    answers: dict[float, Report] = {}
    for report in reports:
        if report.sent is not None and report.round_trip is not None and report.round_trip < LONGEST:
            answers.setdefault(report.sent, report)
    return list(answers.values())


def _delays(answers: Sequence[Report], clocks: Clocks) -> dict[str, Any]:
    if not answers:
        return {}
    trips = [1e3 * (report.round_trip or 0.0) for report in answers]
    found: dict[str, Any] = {
        "round_trip_ms": median(trips, "ms").widened(GRAIN_MS),
        "round_trip_least_ms": min(trips),
        "round_trip_most_ms": max(trips),
    }
    timed = [report for report in answers if report.said is not None]
    there = [1e3 * report.there for report in timed if report.there is not None]
    back = [1e3 * report.back for report in timed if report.back is not None]
    if clocks != "unknown" and timed:
        found["there_ms"] = median(there, "ms").widened(GRAIN_MS)
        found["back_ms"] = median(back, "ms").widened(GRAIN_MS)
    else:
        trip = found["round_trip_ms"].value
        half = Figure(
            trip / 2, 0.0, trip, "ms", "half the round trip: between nothing and all of it, clocks cannot tell"
        )
        found["there_ms"] = found["back_ms"] = half
    if timed:
        found["clock_offset_ms"] = _offset(timed)
        if len(timed) >= FEWEST:
            found["drift_ppm"] = _drift(timed)
    return found


def _offset(timed: Sequence[Report]) -> Figure:
    """At the shortest round trip: the truth lies between what either way alone says, whatever their delays are."""
    best = min(timed, key=lambda report: report.round_trip or 0.0)
    low, high = -1e3 * (best.back or 0.0), 1e3 * (best.there or 0.0)
    how = "hard bounds: half the shortest round trip to either side"
    return Figure((low + high) / 2, low, high, "ms", how).widened(GRAIN_MS)


def _drift(timed: Sequence[Report]) -> Figure:
    """The slope of the offset, by those that waited least on the way: the others say more of queues than of clocks."""
    quick = sorted(timed, key=lambda report: report.round_trip or 0.0)[: max(len(timed) // 2, FEWEST)]
    quick.sort(key=lambda report: report.arrived)
    times = [report.arrived - quick[0].arrived for report in quick]
    offsets = [1e6 * ((report.there or 0.0) - (report.back or 0.0)) / 2 for report in quick]
    return slope(times, offsets, "ppm")


def _output_drift(reports: Sequence[Report]) -> float | None:
    """Theirs is the sender's clock against the output's."""
    known = [report.drift_ppm for report in reports if report.drift_ppm is not None]
    return -known[-1] if known else None


# Answers that a line is drawn through, at least, and a round trip that none has, seconds.
FEWEST = 4
LONGEST = 60.0
