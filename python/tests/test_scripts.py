"""The scripts as a user has them: options, statistics, signals, exit statuses."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import NoneType, UnionType
from typing import get_args

import numpy as np
import pytest

from harness.ports import free_port, wait_open
from harness.scripts import EXAMPLES, Script, read_stats
from harness.signals import read_wav
from harness.sound_server import SoundServer
from harness.streams import quiet_server
from harness.wait import until

pytestmark = pytest.mark.timeout(90)

RECEIVED = {
    "packets_expected": int,
    "packets_received": int,
    "packets_lost": int,
    "packets_repaired": int,
    "packets_late": int,
    "packets_duplicated": int,
    "packets_reordered": int,
    "packets_malformed": int,
    "packets_dropped_local": int,
    "bytes_received": int,
    "frames_received": int,
    "frames_played": int,
    "frames_concealed": int,
    "underruns": int,
    "jitter_ms": float,
    "jitter_mean_ms": float,
    "delay_ms": float,
    "delay_target_ms": float,
    "concealments": int,
    "frames_accelerated": int,
    "frames_expanded": int,
    "resets": int,
    "drift_ppm": float,
    "wire": str,
    "protocol": str,
}
TURNED_AWAY = {"packets_refused": int, "packets_wrong_source": int, "packets_unauthentic": int, "pcap_dropped": int}
AT_ALL = (
    "tier",
    "events_dropped",
    "frames_unspoken",
    "sources_unheard",
    "packets_forwarded",
    "packets_forward_dropped",
    "recordings",
    "recordings_refused",
    "recordings_failed",
)
SERVER_KEYS = {**RECEIVED, **TURNED_AWAY, "sources": list, **dict.fromkeys(AT_ALL, int)}
JUDGED = {"r_factor": float | None, "mos": float | None}
REPORTED = {"round_trip_ms": float | None, "cname": str | None, "name": str | None, **JUDGED}
MIXED = {"number": int, "state": str, "gain": float, "muted": bool, "level_db": float | None}
ANSWERED = {"packets_sent": int, "packets_withheld": int}
SOURCE_KEYS = {**RECEIVED, **REPORTED, **MIXED, **ANSWERED, "codec": str, "ssrc": int, "address": str}
CLIENT_KEYS = {
    "packets_sent": int,
    "copies_sent": int,
    "bytes_sent": int,
    "frames_captured": int,
    "frames_dropped": int,
    "overruns": int,
    "reconnects": int,
    "packets_unauthentic": int,
    "pcap_dropped": int,
    "packets_unheard": int,
    "remote": dict | None,
    "received": NoneType,
    "wire": str,
    "protocol": str,
}
OPTIONS = {
    "both": "--protocol --udp --tcp --port --size --rate --channels --duration --stats-json --packet-log --quiet"
    " -v --list-devices --host-api --latency",
    "client": "--host --wire --input --record --local-port --recordings",
    "server": "--bind --wire --output --record --log-file --delay",
}


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_a_file_goes_from_script_to_script(protocol: str, noise_wav: dict[int, Path], tmp_path: Path) -> None:
    port, heard = free_port(), tmp_path / "heard.wav"
    with ExitStack() as stack:
        server = stack.enter_context(
            Script(
                "server",
                f"--{protocol}",
                "--port",
                port,
                "--output",
                f"file:{heard}",
                "--stats-json",
                "s.json",
                "--packet-log",
                "packets.csv",
                folder=tmp_path,
            )
        )
        wait_open(protocol, port)
        client = stack.enter_context(
            Script(
                "client",
                f"--{protocol}",
                "--port",
                port,
                "--host",
                "127.0.0.1",
                "--input",
                f"file:{noise_wav[1]}",
                "--stats-json",
                "c.json",
                folder=tmp_path,
            )
        )
        client.succeeds()
        if protocol == "udp":
            count: int = read_stats(tmp_path / "c.json")["packets_sent"]
            lines = tmp_path / "packets.csv"
            until(lambda: lines.exists() and len(lines.read_text().splitlines()) >= count, "the packet log")
            server.signal(signal.SIGINT)
        # With TCP the server ends when its client does.
        server.succeeds()
    stats, sent = read_stats(tmp_path / "s.json"), read_stats(tmp_path / "c.json")
    shape(stats, SERVER_KEYS)
    shape(sent, CLIENT_KEYS)
    for source in stats["sources"]:
        shape(source, SOURCE_KEYS)
    assert stats["packets_received"] == stats["packets_expected"] == sent["packets_sent"] == 114
    assert stats["packets_lost"] == 0
    assert stats["protocol"] == sent["protocol"] == protocol
    assert np.array_equal(read_wav(heard), read_wav(noise_wav[1]))
    assert (tmp_path / "audio_stream.log").stat().st_size > 0


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_signals_end_both_scripts_cleanly(protocol: str, stop: signal.Signals, tmp_path: Path) -> None:
    port = free_port()
    with ExitStack() as stack:
        server = stack.enter_context(
            Script(
                "server",
                "--protocol",
                protocol,
                "--port",
                port,
                "--output",
                "null",
                "--record",
                "--stats-json",
                "s.json",
                folder=tmp_path,
            )
        )
        wait_open(protocol, port)
        client = stack.enter_context(
            Script(
                "client",
                "--protocol",
                protocol,
                "--port",
                port,
                "--input",
                "voice",
                "--record",
                "--recordings",
                "own",
                "--stats-json",
                "c.json",
                folder=tmp_path,
            )
        )
        until(lambda: sum(path.stat().st_size > 9_000 for path in tmp_path.glob("*/*.wav")) == 2, "two recordings")
        client.signal(stop)
        client.succeeds(10)
        # With TCP the server ends with its client: then the signal may come at any point of its end.
        server.signal(stop)
        server.succeeds(10)
    for folder in ("Recording", "own"):
        [path] = (tmp_path / folder).glob("*.wav")
        assert len(read_wav(path)) > 0
    assert read_stats(tmp_path / "s.json")["packets_received"] > 0
    assert "Traceback" not in server.errors + client.errors


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_tcp_server_nobody_came_to_ends_on_a_signal(stop: signal.Signals, tmp_path: Path) -> None:
    port = free_port()
    with Script("server", "--tcp", "--port", port, "--output", "null", folder=tmp_path) as server:
        wait_open("tcp", port)
        server.signal(stop)
        server.succeeds(10)


def test_duration_ends_both(tmp_path: Path) -> None:
    port = free_port()
    with Script(
        "server", "--port", port, "--output", "null", "--duration", 3, "--stats-json", "-", folder=tmp_path
    ) as server:
        wait_open("udp", port)
        with Script(
            "client", "--port", port, "--input", "tone", "--duration", 1, "--stats-json", "-", folder=tmp_path
        ) as client:
            client.succeeds()
        server.succeeds()
    sent, received = json.loads(client.output), json.loads(server.output)
    # A second of 10 ms packets; the last one may be on either side of the end.
    assert 99 <= sent["packets_sent"] <= 102
    assert received["packets_received"] == sent["packets_sent"]


def test_record_with_a_length_ends_by_itself_and_is_exact(tmp_path: Path) -> None:
    with quiet_server() as server:
        arguments = ("--host", "127.0.0.1", "--port", server.port, "--input", "voice", "--record", "2")
        with Script("client", *arguments, "--duration", 3, folder=tmp_path) as client:
            client.succeeds()
    [path] = (tmp_path / "Recording").glob("recording_*.wav")
    assert re.fullmatch(r"recording_\d{8}_\d{6}\.wav", path.name)
    assert len(read_wav(path)) == 88_200


def test_sound_goes_through_standard_input_and_output(noise_wav: dict[int, Path], tmp_path: Path) -> None:
    pcm, port = read_wav(noise_wav[1]).tobytes(), free_port()
    with Script("server", "--tcp", "--port", port, "--output", "-", "--quiet", folder=tmp_path) as server:
        wait_open("tcp", port)
        with Script(
            "client",
            "--tcp",
            "--port",
            port,
            "--input",
            "-",
            "--quiet",
            folder=tmp_path,
            stdin=subprocess.PIPE,
        ) as client:
            assert client.process.stdin is not None
            client.process.stdin.write(pcm)
            client.process.stdin.close()
            client.succeeds()
        server.succeeds()
    heard = next(tmp_path.glob("server-*.out")).read_bytes()
    assert heard == pcm


def test_quiet_is_silent(tmp_path: Path) -> None:
    port = free_port()
    with Script("server", "--port", port, "--output", "null", "--quiet", folder=tmp_path) as server:
        wait_open("udp", port)
        with Script("client", "--port", port, "--input", "tone", "--quiet", "--duration", 1, folder=tmp_path) as client:
            client.succeeds()
        server.signal(signal.SIGINT)
        server.succeeds()
    assert [client.output, client.errors, server.output, server.errors] == [""] * 4


def test_verbose_shows_each_packet_and_plain_does_not(tmp_path: Path) -> None:
    said: list[str] = []
    for flags in ((), ("-v",)):
        port = free_port()
        with Script("server", "--port", port, "--output", "null", *flags, folder=tmp_path) as server:
            wait_open("udp", port)
            with Script("client", "--port", port, "--input", "tone", "--duration", 1, folder=tmp_path) as client:
                client.succeeds()
            server.signal(signal.SIGINT)
            server.succeeds()
        said.append(server.errors + server.output)
    assert "DEBUG" not in said[0]
    assert said[1].count("DEBUG") >= 90


def test_the_log_file_is_the_originals(tmp_path: Path) -> None:
    port = free_port()
    with Script("server", "--port", port, "--output", "null", "--log-file", "own.log", folder=tmp_path) as server:
        wait_open("udp", port)
        with Script("client", "--port", port, "--input", "tone", "--duration", 2.5, folder=tmp_path) as client:
            client.succeeds()
        server.signal(signal.SIGINT)
        server.succeeds()
    lines = (tmp_path / "own.log").read_text().splitlines()
    assert all(
        re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - (DEBUG|INFO|WARNING|ERROR) - ", line) for line in lines
    )
    assert sum(" - DEBUG - " in line for line in lines) >= 200, "each packet"
    info = "\n".join(line.lower() for line in lines if " - INFO - " in line)
    assert "connection from" in info
    assert info.count("loss rate") >= 2, "statistics every 100 packets"
    assert not (tmp_path / "audio_stream.log").exists()


@pytest.mark.parametrize("name", ["client", "server"])
def test_help_names_every_option(name: str, tmp_path: Path) -> None:
    with Script(name, "--help", folder=tmp_path) as script:
        script.succeeds()
    said = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", script.output))
    assert set(OPTIONS["both"].split()) | set(OPTIONS[name].split()) <= said


def test_the_console_script_has_the_same_options(tmp_path: Path) -> None:
    console = Path(sys.executable).with_name("audiostream")
    for name in ("client", "server"):
        own = subprocess.run([console, name, "--help"], capture_output=True, text=True, check=True, timeout=20)
        said = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", own.stdout))
        assert set(OPTIONS["both"].split()) | set(OPTIONS[name].split()) <= said
    for name in ("demo", "devices"):
        subprocess.run([console, name, "--help"], capture_output=True, check=True, timeout=20)


@pytest.mark.parametrize("name", ["client", "server"])
def test_devices_are_listed(name: str, sound_server: SoundServer, tmp_path: Path) -> None:
    with Script(name, "--list-devices", folder=tmp_path, env=sound_server.env) as script:
        script.succeeds()
    assert "Speaker" in script.output
    assert "Microphone" in script.output
    assert script.errors == ""


@pytest.mark.parametrize("name", ["client", "server"])
def test_without_a_device_one_line_says_what_to_do(name: str, no_sound_server: None, tmp_path: Path) -> None:
    with Script(name, "--port", free_port(), folder=tmp_path) as script:
        assert script.wait() == 1
    one_line(script.errors, "tone|voice|null|--input|--output")


def test_set_up_errors_are_one_line_and_status_1(tmp_path: Path) -> None:
    port = free_port()
    cases: list[tuple[tuple[str | int, ...], str]] = [
        (("client", "--tcp", "--host", "127.0.0.1", "--port", port, "--input", "tone"), str(port)),
        (("client", "--host", "nobody.invalid", "--input", "tone"), r"nobody\.invalid"),
        (("client", "--input", "file:missing.wav"), r"missing\.wav"),
        (("client", "--input", "tone", "--size", 15), "size"),
        (("server", "--output", "null", "--bind", "192.0.2.1", "--port", port), r"192\.0\.2\.1"),
        (("server", "--output", "file:/proc/none/x.wav", "--port", port), r"x\.wav|/proc"),
        (("server", "--output", "null", "--delay", 5_000, "--port", port), "delay"),
    ]
    for (name, *arguments), words in cases:
        with Script(str(name), *arguments, folder=tmp_path) as script:
            assert script.wait() in (1, 2) if "size" in words or "delay" in words else script.wait() == 1, arguments
        one_line(script.errors, words)


def test_a_port_in_use_is_one_line_and_status_1(tmp_path: Path) -> None:
    with quiet_server(bind=None) as server:
        with Script("server", "--port", server.port, "--output", "null", folder=tmp_path) as script:
            assert script.wait() == 1
        one_line(script.errors, str(server.port))


def test_the_scripts_are_short() -> None:
    for name in ("client", "server"):
        assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) < 100


def shape(stats: dict[str, object], keys: dict[str, type | UnionType]) -> None:
    """Exactly these keys, each of its own type or types."""
    assert stats.keys() == keys.keys()
    wrong = {key: value for key, value in stats.items() if type(value) not in (get_args(keys[key]) or (keys[key],))}
    assert not wrong


def one_line(errors: str, words: str) -> None:
    """One line that a user can act on, beside the log's."""
    [line] = [line for line in errors.splitlines() if line.strip() and " - INFO - " not in line]
    assert re.search(words, line), errors
