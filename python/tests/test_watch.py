"""`audiostream server --watch`: live charts in the terminal, lines where there is none."""

from __future__ import annotations

import io
from typing import Any

import audiostream
from audiostream.charts import Charts, Lines, sparkline
from audiostream.roll import Comings, lines
from audiostream.sampler import SERVER, Sampler
from audiostream.stats import SourceState, SourceStats
from harness.packets import packets, send_udp
from harness.signals import noise
from harness.streams import quiet_server
from harness.wait import until


def test_a_sparkline_shows_values_in_eighths_with_the_newest_at_the_right():
    assert sparkline([0, 4, 8], 5, 0, 8, rows=1) == ["   ▄█"]
    assert sparkline([0, 4, 8, 99], 4, 0, 8, rows=2) == ["  ██", " ███"]
    assert sparkline([0.001], 1, 0, 1000, rows=1) == ["▁"], "a little is seen"
    assert sparkline([1, 2, 3], 2, 0, 8, rows=1) == ["▂▃"], "the oldest go"
    assert sparkline([-60.0, 0.0], 2, -60.0, 0.0, rows=1) == [" █"]


def test_samples_follow_a_stream():
    with quiet_server() as server:
        sampler = Sampler(server)
        sampler.take()
        bad = "loss=30,seed=2"
        with audiostream.AudioClient(port=server.port, input="tone", network=bad):
            until(lambda: server.stats.packets_lost > 5, "losses")
            sampler.take()
    latest = {name: values[-1] for name, values in sampler.values.items()}
    assert 5 < latest["loss"] < 80
    assert latest["level"] > -30
    assert sampler.values["level"][0] == SERVER["level"].bottom
    assert sampler.line().startswith("level -")


def test_charts_are_drawn_for_any_width():
    from rich.console import Console

    with quiet_server() as server, audiostream.AudioClient(port=server.port, input="tone"):
        until(lambda: server.stats.packets_received > 5, "packets")
        for width in (30, 80, 200):
            out = io.StringIO()
            console = Console(file=out, width=width, force_terminal=True, color_system=None)
            with Charts(server, console=console, duration=5):
                until(lambda out=out: "concealed" in out.getvalue(), "the charts")
            assert max(len(line) for line in out.getvalue().replace("\x1b", "\n").splitlines()) <= width + 10
            assert all(name in out.getvalue() for name in SERVER)


def test_without_a_terminal_there_is_a_line_a_second():
    out = io.StringIO()
    with quiet_server() as server, Lines(server, out):
        until(lambda: "jitter 0.0 ms" in out.getvalue(), "a line")


def test_senders_are_a_line_each_the_loudest_first_and_so_many_at_most():
    def source(number: int, state: SourceState = "playing", level: float = -60.0, **more: Any):
        return SourceStats(
            "udp", "rtp", number=number, state=state, level_db=level, address=f"192.0.2.{number}:1", **more
        )

    quiet, loud = source(1, level=-40.0), source(2, level=-10.0, packets_expected=200, packets_lost=3)
    told = source(3, name="Ada Lovelace, Countess of Everything", level=-20.0)
    shown = [line.plain for line in lines([source(9, "left"), source(8, "idle"), quiet, loud, told])]
    assert [line.split()[0] for line in shown] == ["192.0.2.2:1", "Ada", "192.0.2.1:1", "192.0.2.8:1", "192.0.2.9:1"]
    assert "-10.0 dB playing" in shown[0]
    assert "3 lost (1.5 %)" in shown[0]
    assert shown[1].startswith("Ada Lovelace, Countess … █")
    assert "quiet idle" in shown[3]
    many = [line.plain for line in lines([source(n, level=-float(n)) for n in range(1, 31)])]
    assert len(many) == 9
    assert many[-1] == "… and 22 more"
    assert all(len(line) < 100 for line in many)


def test_comings_and_goings_are_told_once_and_so_many_at_most():
    with quiet_server(max_sources=100) as server:
        comings = Comings(server)
        assert list(comings.lines()) == []
        sound = noise(2 * 441).tobytes()
        for ssrc in range(1, 21):
            send_udp(server.port, packets("rtp", sound, sequence=7, ssrc=ssrc))
        until(lambda: len(server.sources) == 20, "all of them")
        told = [line.plain for line in comings.lines()]
        assert len(told) == 9
        assert all(line.startswith("joined  127.0.0.1:") for line in told[:8])
        assert told[-1] == "… and 12 more"
        assert list(comings.lines()) == []
