"""Probing: figures agree with what was injected, their intervals hold the truth, failures are told in a line."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

import audiostream
from audiostream import ConfigError, TransportError, lab
from audiostream.lab import figures
from audiostream.lab.path import Report, Sent, figures_of
from harness.hop import Hop, Impairment
from harness.ports import free_port
from harness.scripts import run_python
from harness.streams import quiet_server
from harness.wait import until


def reports(
    number: int, drift_ppm: float, seed: int = 1, *, offset: float = 5.0, there: float = 0.03, queue: float = 0.002
) -> list[Report]:
    """What a receiver whose clock is `offset` ahead and runs faster would report, twice a second, over queues."""
    draw = random.Random(seed)
    made: list[Report] = []
    for count in range(1, number + 1):
        sent = 1e9 + count * draw.uniform(0.3, 0.7)
        heard = sent + there + draw.expovariate(1 / queue)
        said = heard + 0.2
        arrived = said + 0.02 + draw.expovariate(1 / queue)

        def by_their_clock(time: float) -> float:
            return time + offset + (time - 1e9) * drift_ppm / 1e6

        made.append(
            Report(count, arrived, by_their_clock(said), sent, by_their_clock(said) - by_their_clock(heard), 0, 99, 1.0)
        )
    return sorted(made, key=lambda report: report.arrived)


@pytest.mark.parametrize("drift_ppm", [-80.0, 0.0, 3.0, 120.0])
def test_drift_and_offset_of_two_clocks_are_found_with_their_sign(drift_ppm: float) -> None:
    found = figures_of(reports(400, drift_ppm), Sent(100, 0))
    assert found["drift_ppm"].low <= drift_ppm <= found["drift_ppm"].high
    assert found["drift_ppm"].plus_minus < 8
    # Half the shortest round trip holds it for certain, and no path is symmetrical.
    assert found["clock_offset_ms"].low <= 5000 + 1e-3 * drift_ppm * 240 <= found["clock_offset_ms"].high + 20
    assert 50 <= found["round_trip_least_ms"] <= found["round_trip_ms"].value <= 60
    assert (found["there_ms"].low, found["there_ms"].high) == (0.0, found["round_trip_ms"].value)


def test_one_way_delays_are_read_from_clocks_that_agree() -> None:
    found = figures_of(reports(100, 0.0, offset=0.0), Sent(100, 0), "synchronised")
    assert 30 <= found["there_ms"].value <= 34
    assert 20 <= found["back_ms"].value <= 24
    assert found["there_ms"].plus_minus < 2


def share_that_hold(truth: float, measure: Callable[[random.Random], figures.Figure]) -> float:
    """The part of 400 measurements whose interval holds the truth."""
    found = [measure(random.Random(seed)) for seed in range(400)]
    return sum(figure.low <= truth <= figure.high for figure in found) / len(found)


def test_intervals_hold_the_truth_in_95_of_100_measurements() -> None:
    def drift(draw: random.Random) -> figures.Figure:
        return figures_of(reports(30, 40.0, draw.randrange(10**9)), Sent(100, 0))["drift_ppm"]

    def loss(draw: random.Random) -> figures.Figure:
        return figures.wilson(sum(draw.random() < 0.03 for _ in range(500)), 500)

    def middle(draw: random.Random) -> figures.Figure:
        return figures.median([draw.expovariate(1.0) for _ in range(20)], "ms")

    def average(draw: random.Random) -> figures.Figure:
        return figures.mean([draw.gauss(3, 2) for _ in range(6)], "ms")

    assert share_that_hold(40.0, drift) >= 0.93
    assert share_that_hold(3.0, loss) >= 0.93
    assert share_that_hold(0.693147, middle) >= 0.93
    assert share_that_hold(3.0, average) >= 0.93


def test_figures_have_as_many_digits_as_their_interval_is_worth() -> None:
    assert str(figures.Figure(12.345, 12.0, 12.7, "ms", "")) == "12.35 ± 0.35 ms"
    assert str(figures.wilson(1, 100)) == "1.0 (0.2 to 5.4) %"
    assert str(figures.Figure(312.4, 280.0, 340.0, "ppm", "")) == "312 (280 to 340) ppm"
    assert str(figures.mean([4.0], "ms")) == "4.000 ms"


def test_counts_go_on_over_wraps_of_the_sequence_number() -> None:
    base: dict[str, Any] = {"arrived": 1e9, "said": None, "sent": None, "held": 0.0, "jitter_ms": 1.0}
    first = Report(1, packets_lost=0, highest=65_530, first=65_001, duplicated=0, reordered=0, **base)
    last = Report(2, packets_lost=9, highest=3 * 65_536 + 10, first=65_001, duplicated=2, reordered=5, **base)
    found = figures_of([first, last], Sent(200_000, 65_000))
    # One before the first that was heard, nine as the RFC counts, two that copies made up for.
    assert found["packets"] == 3 * 65_536 + 10 - 65_000 + 1
    assert (found["packets_lost"], found["packets_duplicated"], found["packets_reordered"]) == (12, 2, 5)
    assert not found["counts_are_whole"]
    whole = figures_of([first, last], Sent(131_700, 65_000, settled=1e9 - 1))
    assert (whole["packets"], whole["packets_lost"]) == (131_700, 12 + 131_700 - found["packets"])
    assert whole["counts_are_whole"]


def test_a_receiver_that_reports_no_more_than_rfc_3550_is_measured_as_far_as_that_goes() -> None:
    plain = [
        Report(count, arrived=1e9 + count, said=None, sent=1e9 + count - 0.3, held=0.25, packets_lost=count,
               highest=1000 + 100 * count, jitter_ms=2.0)
        for count in range(1, 9)
    ]  # fmt: skip
    found = figures_of(plain, Sent(900, 1000))
    assert found["round_trip_ms"].value == pytest.approx(50, abs=0.01)
    assert (found["packets"], found["packets_lost"], found["packets_reordered"]) == (801, 8, None)
    assert "drift_ppm" not in found
    assert "clock_offset_ms" not in found


@pytest.mark.parametrize("seed", [3, 4])
def test_what_is_lost_doubled_and_reordered_on_the_way_is_counted_exactly(seed: int) -> None:
    with (
        quiet_server() as server,
        Hop(server.port, Impairment(drop=0.05, double=0.02, swap=0.02, hold=0.02), seed=seed, wire="rtp") as hop,
    ):
        found = lab.probe("127.0.0.1", hop.port, duration=2.5)
        # What the hop still holds is delivered when it ends: too late for the probe's last report.
        sent, injected, delivered = hop.arrived, hop.expected(), len(hop.copies())
    assert found.counts_are_whole
    assert found.packets == sent
    assert found.packets_lost == sent - delivered
    assert found.packets_lost > 0
    assert (found.packets_duplicated, found.packets_reordered) == (
        injected.packets_duplicated,
        injected.packets_reordered,
    )
    assert found.lost_percent.low < 100 * found.packets_lost / sent < found.lost_percent.high


def test_the_delay_of_a_bad_network_is_found_and_losses_are_the_labs() -> None:
    network = lab.Network(loss=4, delay=60, seed=5)
    with quiet_server() as server:
        found = lab.probe("127.0.0.1", server.port, duration=2.5, network=network)
    assert found.round_trip_ms is not None
    assert found.there_ms is not None
    assert found.back_ms is not None
    assert found.round_trip_least_ms is not None
    assert found.clocks == "same"
    # A busy machine only adds.
    assert 60 - figures_grain() <= found.round_trip_least_ms <= 120
    assert found.there_ms.low >= 59
    assert found.back_ms.low < 30
    same = lab.run("udp", network, sound=lab.Sound.voice(found.packets / 100))
    lost = sum(packet.state == "lost" for packet in same.trace if packet.sequence < found.packets)
    assert (found.counts_are_whole, found.packets_lost) == (True, lost)


def figures_grain() -> float:
    from audiostream.lab.path import GRAIN_MS

    return GRAIN_MS


def test_a_server_that_talks_back_is_measured_both_ways() -> None:
    with quiet_server(talk="tone") as server:
        found = lab.probe("127.0.0.1", server.port, duration=2)
    assert found.back is not None
    assert found.back.packets_expected > 50
    assert found.back.packets_lost == 0


def test_who_does_not_answer_is_told_what_to_look_for() -> None:
    with pytest.raises(TransportError, match=r"no answer from 127\.0\.0\.1:.*does a server run there"):
        lab.probe("127.0.0.1", free_port(), patience=0.3)


def test_what_cannot_be_measured_is_refused() -> None:
    wrongs: tuple[dict[str, Any], ...] = (
        {"duration": 0.5},
        {"duration": float("nan")},
        {"patience": 0},
        {"size": 7},
        {"codec": "mp3"},
    )
    for wrong in wrongs:
        with pytest.raises(ConfigError):
            lab.probe("127.0.0.1", **wrong)


def test_a_clients_reports_are_rows_until_they_are_taken_and_go_on_after_its_sound() -> None:
    with (
        quiet_server() as server,
        audiostream.AudioClient(host="127.0.0.1", port=server.port, input="silence") as client,
    ):
        until(lambda: client.stats.remote and client.stats.remote.reports > 1, "reports")
        first = client.take_reports()
        assert [row["number"] for row in first] == list(range(1, len(first) + 1))
        more = client.stats.packets_sent + 10
        until(lambda: client.stats.packets_sent >= more, "packets after the report")
        client.take_reports()
        client.end_sound()
        last = until(client.take_reports, "a report of the last packets")
        until(lambda: server.stats.packets_received == client.stats.packets_sent, "the last packet")
        sent = client.stats.packets_sent
        assert last[0]["first"] == (client.sequenceNumber - sent) & 0xFFFF
        assert last[0]["number"] > len(first)
    assert client.stats.packets_sent == sent


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_python("import sys; from audiostream.cli import main; sys.exit(main(sys.argv[1:]))", *arguments)


def test_the_command_prints_a_table_or_json_and_fails_in_one_line() -> None:
    with quiet_server() as server:
        where = ["127.0.0.1", "--port", str(server.port), "--duration", "1.5"]
        shown = command("probe", *where)
        written = command("probe", *where, "--json", "-", "--network", "delay=20")
    assert (shown.returncode, shown.stderr) == (0, "")
    for name in ("round trip", "there", "jitter", "lost", "reordered", "clock there"):
        assert name in shown.stdout
    figures = json.loads(written.stdout)
    assert figures["round_trip_ms"]["value"] >= 20
    assert figures["packets_lost"] == 0
    nobody = command("probe", "127.0.0.1", "--port", str(free_port()), "--patience", "0.3")
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert nobody.stderr.count("\n") == 1
    assert "does a server run there" in nobody.stderr
