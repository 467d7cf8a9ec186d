"""The lab: the same seed gives the same figures, those of a live session; its report opens and plays."""

from __future__ import annotations

import csv
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import audiostream
from audiostream import ConfigError, lab
from harness.browser import open_page
from harness.capture import rtp_streams, tshark
from harness.scripts import run_python
from harness.streams import quiet_server
from harness.wait import steady, until

PATH = lab.Network(delay=30, jitter=4, burst=2, duplicate=1, reorder=1)


@pytest.fixture(scope="module")
def results() -> lab.Results:
    return lab.compare(losses=[0, 5], network=PATH, seconds=8, seed=7)


def test_the_same_seed_writes_the_same_bytes_and_another_others(results: lab.Results, tmp_path: Path) -> None:
    again = lab.compare(losses=[0, 5], network=PATH, seconds=8, seed=7)
    other = lab.compare(losses=[0, 5], network=PATH, seconds=8, seed=8)
    first, second, third = (
        each.to_csv(tmp_path / f"{number}.csv").read_bytes() for number, each in enumerate((results, again, other))
    )
    assert first == second
    assert first != third


def test_a_table_has_whole_numbers_and_fixed_decimals_only(results: lab.Results, tmp_path: Path) -> None:
    with results.to_csv(tmp_path / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(lab.METHODS)
    number = re.compile(r"\d+(\.\d+)?")
    words = {"method", "transport", "congestion", "network", "agrees", "keeps_up"}
    for name, value in ((name, value) for row in rows for name, value in row.items() if name not in words):
        assert value == "" or number.fullmatch(value), (name, value)


def test_what_was_injected_is_what_was_measured_in_every_row_of_udp(results: lab.Results) -> None:
    rows = [outcome.row() for outcome in results]
    assert {row["agrees"] for row in rows if row["transport"] == "udp"} == {"yes"}
    assert {row["agrees"] for row in rows if row["transport"] == "tcp"} == {None}
    lossy = [row for row in rows if row["transport"] == "udp" and row["loss_set_percent"] == "5"]
    assert all(row["injected_lost"] and row["injected_duplicated"] for row in lossy)


def test_a_student_sees_that_tcp_is_late_and_udp_has_holes_which_redundancy_fills(results: lab.Results) -> None:
    lossy = {outcome.method.name: outcome for outcome in results if outcome.loss == 5}
    udp, repaired = lossy["udp"], lossy["udp+redundancy"]
    for name in ("tcp-reno", "tcp-cubic"):
        tcp = lossy[name]
        assert tcp.packets_lost == 0
        assert tcp.segments_lost > 0
        assert tcp.mouth_to_ear_p95_ms > 3 * udp.mouth_to_ear_p95_ms
    assert udp.missing_percent > 3
    assert repaired.packets_repaired > 0.5 * repaired.packets_lost
    assert repaired.r_factor > udp.r_factor > udp.r_bare


@pytest.mark.parametrize("method", ["udp", "classic", "udp+redundancy", "opus"])
def test_a_live_client_on_the_same_network_loses_the_same_packets(method: str, tmp_path: Path) -> None:
    network = PATH.changed(loss=6, seed=3)
    sound = lab.Sound.voice(2.5)
    outcome = lab.run(method, network, sound=sound)
    way = outcome.method
    ptime = 20 if way.codec == "opus" else None
    with (
        quiet_server() as server,
        audiostream.AudioClient(
            host="127.0.0.1",
            port=server.port,
            wire="classic" if way.wire == "classic" else "rtp",
            codec="opus" if way.codec == "opus" else "l16",
            fec=False,
            ptime=ptime,
            redundancy=1 if way.redundancy else 0,
            input=f"file:{sound.save(tmp_path / 'voice.wav')}",
            network=network,
        ) as client,
    ):
        client.run()
        until(lambda: server.stats.packets_received >= outcome.packets_received, "the last packet")
        steady(lambda: server.stats.packets_received, "the network")
        live = server.stats
    assert client.stats.packets_sent == outcome.packets_sent
    for name in ("packets_expected", "packets_received", "packets_lost", "packets_duplicated"):
        assert getattr(live, name) == getattr(outcome, name), name
    # Jitter: the path's own, and what this machine adds to it by sending late.
    assert 0.5 * outcome.number("jitter_mean_ms") <= live.jitter_mean_ms <= outcome.number("jitter_mean_ms") + 20
    # Delay: playout's part of it, after the same packets. A busy machine only adds.
    waited = outcome.number("mouth_to_ear_p95_ms") - outcome.network_min_us / 1000
    assert live.delay_ms <= waited + 120


@pytest.mark.timeout(60)
def test_tshark_reads_the_captures_with_our_losses_and_retransmissions(tmp_path: Path) -> None:
    network = lab.Network(loss=5, delay=40, jitter=5)
    compared = lab.compare(["udp", "tcp-cubic"], networks=[network], seconds=4, seed=7, captures=tmp_path)
    udp, tcp = compared
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["001_udp.pcapng", "002_tcp-cubic.pcapng"]
    (stream,) = rtp_streams(tshark("-r", files[0], "-q", "-z", "rtp,streams"))
    assert (stream.packets, stream.lost) == (udp.packets_received, udp.packets_lost)
    assert udp.packets_lost > 5

    def count(file: Path, wanted: str) -> int:
        checks = ("-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE")
        return len(tshark(*checks, "-r", file, "-Y", wanted).splitlines())

    assert count(files[0], 'frame.comment contains "lost by the network: RTP, sequence"') == udp.injected_lost
    again = "tcp.analysis.retransmission or tcp.analysis.out_of_order"
    assert count(files[1], again) == tcp.retransmissions > 5
    assert count(files[1], 'frame.comment == "lost on the way"') == tcp.segments_lost
    assert count(files[1], "tcp.options.sack.count > 0") > 5
    for file in files:
        bad = "_ws.malformed or ip.checksum.status == 0 or tcp.checksum.status == 0 or udp.checksum.status == 0"
        assert count(file, bad) == 0, file


def test_the_same_seed_captures_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        lab.compare(["udp+redundancy", "tcp-reno"], [5], seconds=1, captures=tmp_path / folder)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name


def test_a_network_is_a_value_and_its_text() -> None:
    network = lab.Network(loss=5, burst=3, delay=40.5, jitter=15, rate="256k", seed=1)
    assert str(network) == "loss=5,burst=3,delay=40.5,jitter=15,rate=256k,seed=1"
    assert lab.Network.parse(str(network)) == network
    assert str(lab.Network(preset="wifi", loss=10)) == "wifi,loss=10"
    assert lab.Network.parse("WiFi, loss=10 %") == lab.Network(preset="wifi", loss=10)
    assert str(lab.Network()) == "loss=0"
    assert lab.Network(rate="256k").full["rate"] == "256000"
    wrong: list[dict[str, Any]] = [{"loss": 101}, {"preset": "wlan"}, {"queue": 5}, {"loss": 60, "burst": 1}]
    for settings in wrong:
        with pytest.raises(ConfigError):
            lab.Network(**settings)


def test_methods_are_made_of_words() -> None:
    for text, name in [
        ("udp", "udp"),
        ("opus over tcp", "opus over tcp-cubic"),
        ("tcp-reno+opus", "opus over tcp-reno"),
        ("FEC", "opus+fec"),
        ("udp + redundancy-2", "udp+redundancy-2"),
        ("classic", "classic"),
    ]:
        assert lab.Method.parse(text).name == name
        assert lab.Method.parse(name) == lab.Method.parse(text)
    for text, said in [("udp+tcp", "contradicts"), ("quic", "no word"), ("tcp+redundancy", "repairs"), ("", "words")]:
        with pytest.raises(ConfigError, match=said):
            lab.Method.parse(text)


def test_what_cannot_be_tried_is_told() -> None:
    with pytest.raises(ConfigError, match="one of them"):
        lab.compare(losses=[1], networks=["wifi"])
    with pytest.raises(ConfigError, match="nothing to compare"):
        lab.compare([])
    with pytest.raises(ConfigError, match="ptime"):
        lab.run("opus", ptime=30)
    with pytest.raises(ConfigError, match="size"):
        lab.run("classic", ptime=15)
    with pytest.raises(audiostream.RecordingError):
        lab.run(sound="no such.wav")


def test_results_go_to_pandas_in_one_call(results: lab.Results) -> None:
    table = results.to_pandas()
    assert len(table) == len(results)
    assert table["mouth_to_ear_p95_ms"].dtype == np.float64
    assert table["packets_lost"].sum() == sum(outcome.packets_lost for outcome in results)
    trace = results[0].to_pandas()
    assert list(trace.columns) == ["sequence", "sent_us", "arrived_us", "state"]
    assert len(trace) == results[0].packets_sent


def test_without_the_lab_extra_everything_but_the_report_works(tmp_path: Path) -> None:
    done = run_python(
        """
import sys
for name in ("numpy", "matplotlib", "jinja2", "pandas"):
    sys.modules[name] = None
from audiostream import lab
results = lab.compare(["udp"], [5], seconds=1)
results.to_csv(sys.argv[1] if len(sys.argv) > 1 else "/dev/null")
for call in (results.to_pandas, results.plots, lambda: results.report("/nowhere")):
    try:
        call()
    except ImportError as error:
        assert "pip install 'audiostream[lab]'" in str(error), error
    else:
        raise AssertionError(call)
"""
    )
    assert (done.returncode, done.stderr) == (0, "")


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_python("import sys; from audiostream.cli import main; sys.exit(main(sys.argv[1:]))", *arguments)


def test_the_command_writes_the_folder_and_says_what_it_found(tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["--methods", "udp", "tcp", "--losses", "0", "5", "--seconds", "4", "--out", str(out)]
    done = command("lab", "compare", *options)
    assert done.returncode == 0, done.stderr
    assert "loses nothing on the wire" in done.stdout
    assert done.stdout.splitlines()[-1] == str(out / "report.html")
    made = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {
        "results.csv",
        "report.html",
        "plots/delay_and_loss.png",
        "sounds/original.wav",
        "captures/001_udp.pcapng",
    } <= made
    wrong = command("lab", "compare", "--methods", "quic", "--csv-only", "--out", str(out))
    assert wrong.returncode == 1
    assert "no word 'quic'" in wrong.stderr
    assert wrong.stderr.count("\n") == 1


@pytest.mark.timeout(180)
def test_the_report_opens_in_a_browser_without_a_network_and_its_sounds_play(
    results: lab.Results, tmp_path: Path
) -> None:
    page = results.report(tmp_path / "lab", command="audiostream lab compare")
    assert page.stat().st_size < 10_000_000
    assert "<script" not in page.read_text(encoding="utf-8")
    seen = open_page(page, tmp_path / "browser")
    assert (seen.console, seen.requests) == ([], [])
    assert len(seen.sounds) > 6
    for sound in seen.sounds:
        assert sound["ready"] == 4, sound
        assert sound["error"] is None, sound
        assert 2 < sound["seconds"] < 7, sound
    assert "TCP" in seen.title
