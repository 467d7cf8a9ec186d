"""`audiostream server --watch`: live charts in the terminal, lines where there is none."""

from __future__ import annotations

import io

import audiostream
from audiostream.charts import Charts, Lines, sparkline
from audiostream.sampler import SERVER, Sampler
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
