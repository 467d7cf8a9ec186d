"""What results say, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .outcome import Outcome
    from .results import Results

__all__ = ["at_loss", "best_loss", "findings", "main_ptime", "overloaded", "sentence", "series"]


def main_ptime(results: Results, name: str) -> Any:
    """The packet time that is plotted of a method: the first that was asked for."""
    return next(outcome.row()["packet_ms"] for outcome in results if outcome.method.name == name)


def of(results: Results, name: str) -> list[Outcome]:
    """A method's outcomes at its main packet time."""
    ptime = main_ptime(results, name)
    return [o for o in results if o.method.name == name and o.row()["packet_ms"] == ptime]


def series(results: Results, name: str, read: Callable[[Outcome], float]) -> list[tuple[float, float]]:
    """A method's line: over the loss, or over the networks' places."""
    if results.by == "loss":
        return sorted((float(o.network.full["loss"]), read(o)) for o in of(results, name))
    networks = list(dict.fromkeys(str(o.network) for o in results))
    return [(float(networks.index(str(o.network))), read(o)) for o in of(results, name)]


def best_loss(results: Results) -> float:
    """The loss at which methods are told apart best: 5 %, or what is nearest."""
    losses = {float(o.network.full["loss"]) for o in results}
    return min(losses, key=lambda loss: (abs(loss - 5.0), loss))


def at_loss(results: Results, name: str, loss: float) -> Outcome | None:
    """A method's outcome at this loss."""
    if name not in {o.method.name for o in results}:
        return None
    return next((o for o in of(results, name) if float(o.network.full["loss"]) == loss), None)


def overloaded(outcome: Outcome) -> bool:
    """Whether the stream needs more than TCP carries there: the sender had to drop sound."""
    return outcome.method.transport == "tcp" and outcome.figures["frames_dropped"] > 0


def sentence(results: Results) -> str:
    """The first plot's title: what a student should see."""
    loss = best_loss(results)
    names = list(dict.fromkeys(o.method.name for o in results))
    udp = at_loss(results, "udp", loss)
    tcp = next((o for name in ("tcp-cubic", "tcp-reno") if (o := at_loss(results, name, loss)) is not None), None)
    if results.by != "loss" or udp is None or tcp is None:
        return f"{len(names)} ways of sending sound, compared"
    wait, answer = (float(o.row()["mouth_to_ear_p95_ms"]) for o in (tcp, udp))
    lost = float(udp.row()["loss_percent"])
    return (
        f"At {loss:g} % loss TCP ({tcp.method.congestion.upper() if tcp.method.congestion == 'cubic' else 'Reno'}) loses "
        f"nothing on the wire and is {_time(wait)} late;\n"
        f"UDP is {_time(answer)} late and loses {lost:.1f} % of the packets, of which redundancy brings back most"
    )


def findings(results: Results) -> list[str]:
    """What the report says above everything else, each a sentence that its table proves."""
    if results.by != "loss":
        return []
    said: list[str] = []
    losses = sorted({float(o.network.full["loss"]) for o in results})
    loss, most = best_loss(results), losses[-1]
    names = list(dict.fromkeys(o.method.name for o in results))
    for name in [name for name in names if "tcp" in name]:
        said.append(_of_tcp(results, name, loss))
    udp = at_loss(results, "udp", most)
    if udp is not None:
        first = at_loss(results, "udp", losses[0])
        delays = [float(o.row()["mouth_to_ear_p95_ms"]) for o in (first, udp) if o is not None]
        row = udp.row()
        said.append(
            f"UDP keeps its delay ({min(delays):.0f} to {max(delays):.0f} ms, 95 % of the sound) and loses what the network "
            f"loses: {row['packets_lost']} of {row['packets_expected']} packets at {most:g} %. The link was told to lose "
            f"{row['injected_lost'] + row['injected_overflowed']}; {row['unseen']} of these no receiver can know of."
        )
    for name in names:
        outcome = at_loss(results, name, loss)
        if outcome is None or not outcome.figures["packets_repaired"]:
            continue
        row = outcome.row()
        part = 100 * row["packets_repaired"] / max(row["packets_lost"], 1)
        said.append(
            f"{name} brings back {row['packets_repaired']} of {row['packets_lost']} lost packets ({part:.0f} %) at "
            f"{loss:g} %, for {float(row['wire_kbps']):.0f} kbit/s in all."
        )
    return said


def _of_tcp(results: Results, name: str, loss: float) -> str:
    outcomes = sorted(of(results, name), key=lambda o: float(o.network.full["loss"]))
    over = [o for o in outcomes if overloaded(o)]
    at = at_loss(results, name, loss)
    text = f"{name} loses nothing on the wire"
    if at is not None:
        row = at.row()
        text += f"; at {loss:g} % loss 95 % of its sound is at most {_time(float(row['mouth_to_ear_p95_ms']))} late"
    if over:
        row = over[0].row()
        dropped = float(row["sender_dropped_ms"]) / 1000
        text += (
            f". From {float(over[0].network.full['loss']):g} % on the stream needs more than TCP carries: the sender, which "
            f"keeps a second of sound, dropped {dropped:.1f} of {float(row['seconds']):g} s"
        )
    return text + "."


def _time(ms: float) -> str:
    return f"{ms / 1000:.1f} s" if ms >= 1000 else f"{ms:.0f} ms"
