"""The columns of `results.csv`: their names, units, and how each comes from the engine's whole numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .outcome import Outcome

    Value = str | int | Decimal | None

__all__ = ["COLUMNS", "row"]


def fixed(value: int, places: int, scale: int) -> Decimal:
    """`value / scale` to so many decimal places, halves away from zero: no float has a say in it."""
    return share(value, scale, places)


def share(part: int, whole: int, places: int, factor: int = 1) -> Decimal:
    """`factor * part / whole`, to so many places; 0 of nothing."""
    if whole == 0:
        return Decimal(0).scaleb(-places).quantize(Decimal(1).scaleb(-places))
    numerator = factor * part * 10**places
    rounded = (2 * abs(numerator) + whole) // (2 * whole)
    return Decimal(rounded if numerator >= 0 else -rounded).scaleb(-places)


def _count(name: str) -> Callable[[Outcome], Value]:
    return lambda outcome: outcome.figures[name]


def _ms(name: str) -> Callable[[Outcome], Value]:
    return lambda outcome: fixed(outcome.figures[name], 3, 1000)


def _kbps(name: str) -> Callable[[Outcome], Value]:
    return lambda outcome: fixed(outcome.figures[name], 1, 1000)


def _percent(part: str, whole: str) -> Callable[[Outcome], Value]:
    return lambda outcome: share(outcome.figures[part], outcome.figures[whole], 2, 100)


def _ppm(name: str) -> Callable[[Outcome], Value]:
    return lambda outcome: fixed(outcome.figures[name], 2, 10_000)


def _frames_ms(name: str) -> Callable[[Outcome], Value]:
    return lambda outcome: share(outcome.figures[name], outcome.figures["stream_rate"], 1, 1000)


def _of_udp(read: Callable[[Outcome], Value]) -> Callable[[Outcome], Value]:
    return lambda outcome: read(outcome) if outcome.method.transport == "udp" else None


def _of_tcp(read: Callable[[Outcome], Value]) -> Callable[[Outcome], Value]:
    return lambda outcome: read(outcome) if outcome.method.transport == "tcp" else None


def _agrees(outcome: Outcome) -> Value:
    figures = outcome.figures
    lost = figures["packets_lost"] + figures["unseen"] == figures["injected_lost"] + figures["injected_overflowed"]
    doubled = figures["packets_duplicated"] == figures["injected_duplicated"]
    return "yes" if lost and doubled and figures["packets_reordered"] == figures["injected_overtaken"] else "no"


def _capacity(name: str) -> Callable[[Outcome], Value]:
    def read(outcome: Outcome) -> Value:
        value = outcome.figures.get(name)
        return None if value is None else fixed(value, 1, 1000)

    return read


def _keeps_up(outcome: Outcome) -> Value:
    capacity = outcome.figures.get("capacity_bps")
    return "yes" if capacity is None or capacity >= outcome.figures["need_bps"] else "no"


def _setting(name: str) -> Callable[[Outcome], Value]:
    return lambda outcome: outcome.network.full[name]


COLUMNS: dict[str, tuple[str, Callable[[Outcome], Value]]] = {
    # What was tried.
    "method": ("the way of sending", lambda o: o.method.name),
    "transport": ("udp or tcp", lambda o: o.method.transport),
    "congestion": ("TCP's congestion control", lambda o: o.method.congestion or None),
    "network": ("every setting of the network", lambda o: str(o.network)),
    "loss_set_percent": ("the network's loss, as it was set", _setting("loss")),
    "seed": ("what chance was drawn from", _setting("seed")),
    "seconds": ("length of the sound", lambda o: share(o.sent.frames, o.sent.rate, 3)),
    "packet_ms": ("sound in a packet", lambda o: share(o.figures["packet_frames"], o.figures["stream_rate"], 2, 1000)),
    # What the network did to packets (RFC 3550), and what it was told to do.
    "packets_sent": ("packets of the stream", _count("packets_sent")),
    "copies_sent": ("copies of them, for repair", _count("copies_sent")),
    "packets_expected": ("from the first that arrived to the last", _count("packets_expected")),
    "packets_received": ("arrived, doubles included", _count("packets_received")),
    "packets_lost": ("expected and never arrived", _count("packets_lost")),
    "loss_percent": ("lost of expected", _percent("packets_lost", "packets_expected")),
    "packets_late": ("arrived too late to be heard", _count("packets_late")),
    "packets_duplicated": ("arrived again", _count("packets_duplicated")),
    "packets_reordered": ("overtaken on the way", _count("packets_reordered")),
    "packets_repaired": ("lost and brought back by redundancy or FEC", _count("packets_repaired")),
    "injected_lost": ("the link lost by chance", _of_udp(_count("injected_lost"))),
    "injected_overflowed": ("the link's full queue dropped", _of_udp(_count("injected_overflowed"))),
    "injected_duplicated": ("the link doubled", _of_udp(_count("injected_duplicated"))),
    "injected_overtaken": ("the link let be overtaken", _of_udp(_count("injected_overtaken"))),
    "unseen": ("lost before the first or after the last, which nobody can know", _of_udp(_count("unseen"))),
    "agrees": ("injected and measured are the same", _of_udp(_agrees)),
    # RFC 3550 §6.4.1 and RFC 3611 §4.7.2.
    "jitter_ms": ("interarrival jitter at the end", _ms("jitter_us")),
    "jitter_mean_ms": ("interarrival jitter, mean", _ms("jitter_mean_us")),
    "burst_density_percent": ("lost or late, of the packets in bursts", _ppm("burst_density_ppm")),
    "burst_packets": ("mean burst", lambda o: fixed(o.figures["burst_millipackets"], 2, 1000)),
    "gap_density_percent": ("lost or late, of the packets between bursts", _ppm("gap_density_ppm")),
    "gap_packets": ("mean gap", lambda o: fixed(o.figures["gap_millipackets"], 2, 1000)),
    # Delay.
    **{
        f"network_{name}_ms": (f"from sender to receiver, {what}", _ms(f"network_{name}_us"))
        for name, what in (("p50", "median"), ("p95", "95 of 100"), ("p99", "99 of 100"), ("max", "the longest"))
    },
    **{
        f"mouth_to_ear_{name}_ms": (f"from captured to heard, {what}", _ms(f"mouth_to_ear_{name}_us"))
        for name, what in (("p50", "median"), ("p95", "95 of 100"), ("p99", "99 of 100"), ("max", "the longest"))
    },
    # What was heard.
    "missing_percent": ("sound that was not heard as it was sent", _ppm("missing_ppm")),
    "concealed_ms": ("put in for what was missing", _frames_ms("frames_concealed")),
    "concealments": ("how often sound was missing", _count("concealments")),
    "underruns": ("how often playout ran dry", _count("underruns")),
    "accelerated_ms": ("left out to shorten the delay", _frames_ms("frames_accelerated")),
    "expanded_ms": ("put in to lengthen the delay", _frames_ms("frames_expanded")),
    "resets": ("how often playout began anew", _count("resets")),
    # What it took.
    "wire_kbps": ("on the wire: headers, copies, retransmissions included", _kbps("wire_bps")),
    "payload_kbps": ("sound alone", _kbps("payload_bps")),
    "goodput_kbps": ("sound that arrived", _kbps("goodput_bps")),
    "header_percent": ("headers (IPv4, UDP or TCP, RTP) of a packet", _ppm("header_ppm")),
    "need_kbps": ("what the stream gives to the network: sound and the headers of its packets", _kbps("need_bps")),
    # TCP.
    "segments": ("segments with sound, retransmissions included", _of_tcp(_count("segments"))),
    "segments_lost": ("of these lost on the way", _of_tcp(_count("segments_lost"))),
    "retransmissions": ("segments sent again", _of_tcp(_count("retransmissions"))),
    "timeouts": ("retransmission timeouts", _of_tcp(_count("timeouts"))),
    "recoveries": ("losses found without a timeout", _of_tcp(_count("recoveries"))),
    "capacity_kbps": (
        "what this TCP carries of a file over this path; empty where nothing limits it",
        _capacity("capacity_bps"),
    ),
    "mathis_kbps": ("the same by Mathis' formula, for losses by chance", _capacity("mathis_bps")),
    "keeps_up": ("this TCP carries as much as the stream needs", _of_tcp(_keeps_up)),
    "sender_dropped_ms": (
        "sound the sender dropped, since TCP took no more",
        _of_tcp(lambda o: share(o.figures["frames_dropped"], o.sent.rate, 1, 1000)),
    ),
    "sender_dropped": ("how often it did", _of_tcp(_count("overruns"))),
    # Judged (indicative).
    "r_factor": ("ITU-T G.107's rating", lambda o: fixed(o.figures["r_hundredths"], 1, 100)),
    "mos": ("its opinion score", lambda o: fixed(o.figures["mos_hundredths"], 2, 100)),
    "r_bare": ("the rating without concealment and repair", lambda o: fixed(o.figures["r_bare_hundredths"], 1, 100)),
}
"""Name, meaning, and how it is read of an outcome."""


def row(outcome: Outcome) -> dict[str, Any]:
    """One line: every column, then what judges of the sound have said."""
    return {name: read(outcome) for name, (_, read) in COLUMNS.items()} | dict(outcome.extra)
