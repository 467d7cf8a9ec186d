"""What results say, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from .outcome import Outcome
    from .results import Results

__all__ = [
    "at_loss",
    "best_loss",
    "findings",
    "main_ptime",
    "methods",
    "of",
    "overloaded",
    "sentence",
    "series",
]


def methods(results: Results) -> list[str]:
    """The methods' names, in their order."""
    return list(dict.fromkeys(outcome.method.name for outcome in results))


def main_ptime(results: Results, name: str) -> Decimal:
    """The packet time that is plotted of a method: the first that was asked for."""
    return next(outcome.packet_ms for outcome in results if outcome.method.name == name)


def of(results: Results, name: str) -> list[Outcome]:
    """A method's outcomes at its main packet time."""
    ptime = main_ptime(results, name)
    return [o for o in results if o.method.name == name and o.packet_ms == ptime]


def series(results: Results, name: str, read: Callable[[Outcome], float]) -> list[tuple[float, float]]:
    """A method's line: over the loss, or over the networks' places."""
    if results.by == "loss":
        return sorted((o.loss, read(o)) for o in of(results, name))
    networks = list(dict.fromkeys(str(o.network) for o in results))
    return [(float(networks.index(str(o.network))), read(o)) for o in of(results, name)]


def best_loss(results: Results) -> float:
    """The loss at which methods are told apart best: 5 %, or what is nearest."""
    return min({o.loss for o in results}, key=lambda loss: (abs(loss - 5.0), loss))


def at_loss(results: Results, name: str, loss: float) -> Outcome | None:
    """A method's outcome at this loss."""
    if name not in methods(results):
        return None
    return next((o for o in of(results, name) if o.loss == loss), None)


def overloaded(outcome: Outcome) -> bool:
    """Whether the stream needs more than TCP carries there."""
    return outcome.row()["keeps_up"] == "no"


def sentence(results: Results) -> str:
    """The first plot's title: what a student should see."""
    loss = best_loss(results)
    udp = at_loss(results, "udp", loss)
    tcp = next((o for name in ("tcp-cubic", "tcp-reno") if (o := at_loss(results, name, loss)) is not None), None)
    if udp is None or tcp is None:
        return f"{len(methods(results))} ways of sending sound, compared"
    if results.by != "loss":
        return _of_networks(results, tcp.method.name)
    name = "CUBIC" if tcp.method.congestion == "cubic" else "Reno"
    text = (
        f"At {loss:g} % loss TCP ({name}) loses nothing on the wire, and its sound comes "
        f"{_time(tcp.number('mouth_to_ear_p95_ms'))} late"
    )
    if overloaded(tcp):
        text += f": it carries {tcp.number('capacity_kbps'):.0f} of {tcp.number('need_kbps'):.0f} kbit/s"
    text += (
        f";\nUDP comes {_time(udp.number('mouth_to_ear_p95_ms'))} late and loses {udp.loss_percent} % of its packets"
    )
    repaired = at_loss(results, "udp+redundancy", loss)
    if repaired is not None:
        text += f": concealment hides them, redundancy brings back {_part(repaired)} %"
    return text


def _of_networks(results: Results, tcp: str) -> str:
    latest = {name: max(of(results, name), key=lambda o: o.number("mouth_to_ear_p95_ms")) for name in ("udp", tcp)}
    missing = max(of(results, "udp"), key=lambda o: o.number("missing_percent"))
    late = {name: _time(outcome.number("mouth_to_ear_p95_ms")) for name, outcome in latest.items()}
    return (
        f"{tcp} comes up to {late[tcp]} late ({latest[tcp].where}), and loses nothing on the wire;\n"
        f"udp comes at most {late['udp']} late ({latest['udp'].where}), and loses up to {missing.loss_percent} % of "
        f"its packets ({missing.where})"
    )


def findings(results: Results) -> list[str]:
    """What the report says above everything else, each a sentence that its table proves."""
    if results.by != "loss":
        return []
    loss, most = best_loss(results), max(o.loss for o in results)
    said = [_of_tcp(results, name, loss) for name in methods(results) if "tcp" in name]
    udp = at_loss(results, "udp", most)
    if udp is not None:
        delays = [delay for _, delay in series(results, "udp", lambda o: o.number("mouth_to_ear_p95_ms"))]
        unseen = f", {udp.unseen} of them at the ends, where no receiver can know" if udp.unseen else ""
        told = udp.injected_lost + udp.injected_overflowed
        said.append(
            f"udp keeps its delay ({min(delays):.0f} to {max(delays):.0f} ms for 95 % of its sound) and loses what the "
            f"network loses: {udp.packets_lost} of {udp.packets_expected} packets at {most:g} %. The link says that it "
            f"lost {told}{unseen}."
        )
    for name in methods(results):
        outcome = at_loss(results, name, loss)
        if outcome is not None and outcome.packets_repaired:
            said.append(
                f"{name} brings back {outcome.packets_repaired} of {outcome.packets_lost} lost packets "
                f"({_part(outcome)} %) at {loss:g} %, for {outcome.number('wire_kbps'):.0f} kbit/s in all."
            )
    return said


def _of_tcp(results: Results, name: str, loss: float) -> str:
    outcomes = sorted(of(results, name), key=lambda o: o.loss)
    text = f"{name} loses nothing on the wire"
    at = at_loss(results, name, loss)
    if at is not None:
        late = _time(at.number("mouth_to_ear_p95_ms"))
        text += f"; at {loss:g} % loss 95 % of its sound is at most {late} late"
    over = [o for o in outcomes if overloaded(o)]
    if over:
        first = over[0]
        text += (
            f". From {first.loss:g} % on the stream needs more than TCP carries (there {first.need_kbps} against "
            f"{first.capacity_kbps} kbit/s): the sender, which keeps a second of sound, drops "
            f"{first.number('sender_dropped_ms') / 1000:.1f} of {first.number('seconds'):g} s"
        )
    return text + "."


def _part(outcome: Outcome) -> str:
    return f"{100 * outcome.packets_repaired / max(outcome.packets_lost, 1):.0f}"


def _time(ms: float) -> str:
    return f"{ms / 1000:.1f} s" if ms >= 1000 else f"{ms:.0f} ms"
