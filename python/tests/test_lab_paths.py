"""What PESQ says beside the lab's figures, and paths whose rate changes as one that was measured."""

from __future__ import annotations

import csv
import sys
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import audiostream
from audiostream import ConfigError, lab
from harness.streams import quiet_server
from harness.wait import until


class Judge:
    """Has the functions of the package `pesq`, which is compiled from source, and remembers what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, score: float | None) -> None:
        module: Any = ModuleType("pesq")
        module.__spec__ = sys.__spec__
        module.PesqError = type("PesqError", (RuntimeError,), {})
        module.pesq = self.pesq
        monkeypatch.setitem(sys.modules, "pesq", module)
        self.error, self.score = module.PesqError, score
        self.asked: list[tuple[int, np.ndarray, np.ndarray, str]] = []

    def pesq(self, fs: int, ref: np.ndarray, deg: np.ndarray, mode: str) -> float:
        self.asked.append((fs, ref, deg, mode))
        if self.score is None:
            raise self.error("no utterances detected")
        return self.score


def test_where_pesq_is_installed_it_is_a_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Judge(monkeypatch, 4.2349)
    results = lab.compare(["udp", "tcp-reno"], [0], seconds=12, network="delay=20")
    assert [row["pesq"] for row in results.rows()] == [Decimal("4.23")] * 2
    with results.to_csv(tmp_path / "results.csv").open(encoding="utf-8", newline="") as file:
        assert [row["pesq"] for row in csv.DictReader(file)] == ["4.23", "4.23"]
    for rate, sent, heard, mode in judge.asked:
        assert (rate, mode, sent.dtype, heard.dtype) == (16_000, "wb", np.int16, np.int16)
        # The last 10 s of what was sent, and what was heard of it, which lasts longer by its delay.
        assert len(sent) == 160_000
        assert 0 < len(heard) - len(sent) <= 16_000
        assert np.abs(sent).max() > 3_000
        delays = range(0, 4_000, 8)
        likeness = max(np.corrcoef(sent[50_000:60_000], heard[50_000 + delay :][:10_000])[0, 1] for delay in delays)
        assert likeness > 0.7, "the same words"


def test_what_pesq_refuses_is_an_empty_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Judge(monkeypatch, None)
    results = lab.compare(["udp"], [0], seconds=2)
    assert results.rows()[0]["pesq"] is None
    assert results.to_csv(tmp_path / "results.csv").read_text(encoding="utf-8").splitlines()[1].endswith(",")


def test_without_pesq_or_unasked_there_is_no_such_column(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Judge(monkeypatch, 4.0)
    assert "pesq" not in lab.compare(["udp"], [0], seconds=1, judge=False).rows()[0]
    assert judge.asked == []


def trace(path: Path, kbps: int, seconds: int = 1) -> Path:
    """A trace of an even rate: so many times 1,504 bytes, evenly over the time."""
    packets = round(kbps * 1000 * seconds / 8 / 1504)
    path.write_text("".join(f"{round((n + 1) * seconds * 1000 / packets)}\n" for n in range(packets)))
    return path


def test_a_trace_is_how_fast_the_lab_s_path_is(tmp_path: Path) -> None:
    half, plenty = (str(trace(tmp_path / name, kbps)) for name, kbps in (("half.up", 361), ("plenty.up", 3_610)))
    narrow, wide = lab.compare(
        ["udp"], networks=[lab.Network(trace=half, queue=200), lab.Network(trace=plenty, queue=200)], seconds=8
    )
    assert narrow.row()["agrees"] == wide.row()["agrees"] == "yes"
    # 894 bytes each 10 ms are 715 kbit/s: half of them pass, the others find the queue full.
    assert wide.injected_overflowed == 0
    share = narrow.packets_received / narrow.packets_sent
    assert 0.48 < share < 0.56
    # Beyond what it may wait it waits for the moment at which its last byte leaves: those are 33 ms apart.
    assert 195 < narrow.number("network_max_ms") < 240
    assert wide.number("network_max_ms") < 10
    tcp = lab.run("tcp-cubic", f"trace={half},delay=10,queue=200", sound=lab.Sound.voice(4))
    # What TCP carries of a file comes near the rate, less its headers.
    assert 0.75 * 361 < tcp.number("capacity_kbps") < 361
    assert tcp.row()["keeps_up"] == "no"


def test_a_trace_makes_a_live_stream_as_fast_as_it_says(tmp_path: Path) -> None:
    path = trace(tmp_path / "half.up", 361)
    with (
        quiet_server() as server,
        audiostream.AudioClient(
            host="127.0.0.1", port=server.port, input="tone", network=lab.Network(trace=str(path), queue=50)
        ) as client,
    ):
        until(lambda: client.stats.packets_sent > 350, "packets")
        client.close()
        stats = server.stats
        assert 0.44 < stats.packets_received / client.stats.packets_sent < 0.60


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10\n20\nsoon\n", "line 3: a whole number of ms"),
        ("10\n\n-5\n", "line 3: a whole number of ms"),
        ("10\n20\n15\n", "line 3: 15 ms is before the line above"),
        ("1.5\n", "line 1: a whole number of ms"),
        ("", "needs a line above 0 ms"),
        ("0\n0\n", "needs a line above 0 ms"),
    ],
)
def test_what_is_wrong_with_a_trace_is_told_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.up"
    path.write_text(text)
    for attempt in (
        lambda: lab.run("udp", f"trace={path}", sound=lab.Sound.voice(0.1)),
        lambda: lab.Network(trace=str(path)),
        lambda: audiostream.AudioClient(input="tone", network=f"trace={path}"),
        lambda: quiet_server(network=f"trace={path}"),
    ):
        with pytest.raises(ConfigError, match=said) as error:
            attempt()
        assert "bad.up" in str(error.value)


def test_a_trace_that_cannot_be_read_or_does_not_fit_is_told(tmp_path: Path) -> None:
    good = trace(tmp_path / "good.up", 361)
    for network, said in (
        (f"trace={tmp_path / 'none.up'}", "cannot read the trace"),
        (f"trace={tmp_path}", "cannot read the trace"),
        (f"trace={good},rate=256k", "rate and trace"),
    ):
        with pytest.raises(ConfigError, match=said):
            audiostream.AudioClient(input="tone", network=network)
    (tmp_path / "binary.up").write_bytes(bytes(range(256)))
    with pytest.raises(ConfigError, match=r"binary\.up"):
        lab.Network(trace=str(tmp_path / "binary.up"))
