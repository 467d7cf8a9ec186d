<<<<<<< HEAD
"""The scripts as a user has them: options, statistics, signals, exit statuses."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

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
    "delay_ms": float,
    "delay_target_ms": float,
    "wire": str,
    "protocol": str,
}
SERVER_KEYS = {**RECEIVED, "sources": list}
SOURCE_KEYS = {**RECEIVED, "ssrc": int, "address": str}
CLIENT_KEYS = {
    "packets_sent": int,
    "bytes_sent": int,
    "frames_captured": int,
    "frames_dropped": int,
    "overruns": int,
    "reconnects": int,
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
        until(lambda: list((tmp_path / "Recording").glob("*.wav")), "the server's recording")
        until(lambda: list((tmp_path / "own").glob("*.wav")), "the client's recording")
        client.signal(stop)
        client.succeeds(10)
        if server.process.poll() is None:
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
    with Script("server", "--port", port, "--output", "null", "--quiet", "--duration", 2, folder=tmp_path) as server:
        wait_open("udp", port)
        with Script("client", "--port", port, "--input", "tone", "--quiet", "--duration", 1, folder=tmp_path) as client:
            client.succeeds()
        server.succeeds()
    assert [client.output, client.errors, server.output, server.errors] == [""] * 4


def test_verbose_shows_each_packet_and_plain_does_not(tmp_path: Path) -> None:
    said: list[str] = []
    for flags in ((), ("-v",)):
        port = free_port()
        with Script("server", "--port", port, "--output", "null", "--duration", 2, *flags, folder=tmp_path) as server:
            wait_open("udp", port)
            with Script("client", "--port", port, "--input", "tone", "--duration", 1, folder=tmp_path) as client:
                client.succeeds()
            server.succeeds()
        said.append(server.errors + server.output)
    assert "DEBUG" not in said[0]
    assert said[1].count("DEBUG") >= 90


@pytest.mark.parametrize("name", ["client", "server"])
def test_the_log_file_is_the_originals(name: str, tmp_path: Path) -> None:
    port = free_port()
    with Script(
        "server",
        "--port",
        port,
        "--output",
        "null",
        "--duration",
        4,
        "--log-file",
        "own.log",
        folder=tmp_path,
    ) as server:
        wait_open("udp", port)
        with Script("client", "--port", port, "--input", "tone", "--duration", 2.5, folder=tmp_path) as client:
            client.succeeds()
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


@pytest.mark.timeout(120)
def test_the_demo_leaves_a_recording_and_figures(no_sound_server: None, tmp_path: Path) -> None:
    with Script("-m", "audiostream", "demo", folder=tmp_path) as demo:
        demo.succeeds(60)
    recordings = list(tmp_path.rglob("*.wav"))
    assert recordings
    said = demo.output + demo.errors
    assert all(path.name in said for path in recordings)
    assert "packets_lost" in said
    assert "voice" in said, "says that it uses the built-in voice"


def shape(stats: dict[str, object], keys: dict[str, type]) -> None:
    """Exactly these keys, each of its own type."""
    assert stats.keys() == keys.keys()
    wrong = {key: value for key, value in stats.items() if type(value) is not keys[key]}
    assert not wrong


def one_line(errors: str, words: str) -> None:
    """One line that a user can act on, beside the log's."""
    [line] = [line for line in errors.splitlines() if line.strip() and " - INFO - " not in line]
    assert re.search(words, line), errors
=======
"""The scripts as a user starts them."""

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time

import pytest

from conftest import eventually, example, noise, read_wav, run_python, script_environment, start_python, write_wav

SENT = {"packets_sent", "bytes_sent", "frames_captured", "frames_dropped", "overruns", "reconnects", "wire", "protocol"}


def free_port(kind=socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET, kind) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start_server(port, *options):
    command = [example("server.py"), "--bind", "127.0.0.1", "--port", port, "--output", "null"]
    process = start_python(*command, *options)
    for line in process.stderr:
        if "ready" in line.lower():
            return process
    raise AssertionError(f"the server did not start: {process.wait()}")


@pytest.fixture
def server():
    port = free_port()
    process = start_server(port)
    process.port = port  # pyright: ignore[reportAttributeAccessIssue]
    yield process
    process.kill()
    process.communicate()


def test_client_and_server_end_by_themselves_with_their_figures(folder):
    port = free_port()
    server = start_server(port, "--duration", 3, "--stats-json", "server.json", "--record", "heard")
    client = run_python(
        *(example("client.py"), "--port", port, "--input", "voice", "--duration", 1, "--stats-json", "-", "--record")
    )
    assert client.returncode == 0, client.stderr
    server.communicate(timeout=10)
    assert server.returncode == 0
    sent = json.loads(client.stdout)
    assert set(sent) == SENT
    assert sent["packets_sent"] >= 80
    received = json.loads((folder / "server.json").read_text())
    assert received["packets_received"] == sent["packets_sent"]
    assert received["packets_lost"] == 0
    assert (folder / "Recording" / "heard.wav").exists()
    assert len(list((folder / "Recording").glob("recording_*.wav"))) == 1
    assert " - DEBUG - " in (folder / "audio_stream.log").read_text()


def test_record_with_seconds_is_exact_to_the_frame(server, folder):
    result = run_python(
        *(example("client.py"), "--port", server.port, "--input", "tone", "--record", 0.5, "--duration", 1.5)
    )
    assert result.returncode == 0, result.stderr
    (path,) = (folder / "Recording").iterdir()
    assert len(read_wav(path)) == 22050 * 2


def test_a_file_ends_the_client(server, folder):
    write_wav(folder / "in.wav", noise(22050))
    result = run_python(example("client.py"), "--port", server.port, "--input", "file:in.wav", "--stats-json", "-")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["frames_captured"] == 22050


def test_standard_input_is_streamed_and_standard_output_played_to(folder):
    port = free_port(socket.SOCK_STREAM)
    server = start_python(
        *(example("server.py"), "--tcp", "--bind", "127.0.0.1", "--port", port, "--output", "-"), text=False
    )
    assert eventually(lambda: can_connect_to(server, port))
    client = start_python(
        *(example("client.py"), "--tcp", "--port", port, "--input", "-", "--quiet"), stdin=subprocess.PIPE, text=False
    )
    pcm = noise(44100)
    client.communicate(pcm, timeout=20)  # pyright: ignore[reportArgumentType]
    assert client.returncode == 0
    heard, _ = server.communicate(timeout=20)
    assert server.returncode == 0
    assert pcm in heard  # pyright: ignore[reportOperatorIssue]


def can_connect_to(server, port):
    # Without connecting: a connection of ours would be the client that the server ends with.
    assert server.poll() is None
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_both_in_order(folder, number):
    port = free_port()
    server = start_server(port, "--record", "heard", "--stats-json", "server.json")
    client = start_python(
        *(example("client.py"), "--port", port, "--input", "tone", "--record", "--stats-json", "client.json")
    )
    assert eventually(lambda: len(list(folder.glob("Recording/*.wav"))) == 2)
    time.sleep(0.5)
    for process in (client, server):
        process.send_signal(number)
        _, err = process.communicate(timeout=10)
        assert process.returncode == 0, err
        assert "Traceback" not in err
    for path in folder.glob("Recording/*.wav"):
        assert len(read_wav(path)) > 0.2 * 44100 * 2
    sent = json.loads((folder / "client.json").read_text())
    assert json.loads((folder / "server.json").read_text())["packets_received"] == sent["packets_sent"]


@pytest.mark.parametrize(
    ("script", "options", "told"),
    [
        ("client.py", ["--input", "no such microphone"], "no such microphone"),
        ("client.py", ["--input", "file:gone.wav"], "gone.wav"),
        ("client.py", ["--input", "tone", "--host", "no-such-host.invalid"], "no-such-host.invalid"),
        ("client.py", ["--input", "tone", "--size", "15"], "size"),
        ("client.py", ["--input", "tone", "--recordings", "/proc/none"], "/proc/none"),
        ("client.py", ["--input", "tone", "--stats-json", "no/such/folder.json"], "no/such/folder.json"),
        ("client.py", ["--input", "tone", "--packet-log", "no/such/folder.csv"], "no/such/folder.csv"),
        ("server.py", ["--port", "0", "--output", "no such speaker"], "no such speaker"),
        ("server.py", ["--bind", "192.0.2.1", "--output", "null"], "192.0.2.1"),
        ("server.py", ["--port", "0", "--output", "null", "--log-file", "no/such/folder.log"], "no/such/folder.log"),
        ("server.py", ["--port", "0", "--output", "-", "--stats-json", "-"], "--stats-json"),
        ("server.py", ["--port", "0", "--output", "null", "--record", "../x.wav"], "../x.wav"),
    ],
)
def test_a_failed_set_up_is_one_clear_line_and_status_1(script, options, told):
    result = run_python(example(script), *options)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if " - INFO - " not in line]
    assert len(lines) == 1, result.stderr
    assert told in lines[0]


def test_a_port_in_use_is_one_clear_line_and_status_1(server):
    result = run_python(example("server.py"), "--bind", "127.0.0.1", "--port", server.port, "--output", "null")
    assert result.returncode == 1
    assert str(server.port) in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_quiet_shows_nothing(server):
    result = run_python(example("client.py"), "--port", server.port, "--input", "tone", "--duration", 0.3, "--quiet")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_verbose_shows_every_packet():
    port = free_port()
    server = start_server(port, "-v", "--duration", 2)
    run_python(example("client.py"), "--port", port, "--input", "tone", "--duration", 0.5, "--quiet")
    _, err = server.communicate(timeout=10)
    assert err.count(" - DEBUG - ") > 30


def test_devices_are_listed():
    for arguments in (["-m", "audiostream", "devices"], [example("client.py"), "--list-devices"]):
        result = run_python(*arguments)
        assert result.returncode == 0, result.stderr
        assert result.stdout


class Terminal:
    """A script on a terminal of its own, as a user sees it."""

    def __init__(self, *arguments):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(
                sys.executable,
                [sys.executable, *map(str, arguments)],
                {**script_environment(), "TERM": "xterm", "LINES": "40"},
            )
        self.seen = ""

    def wait_for(self, text, timeout=15):
        until = time.monotonic() + timeout
        while text not in self.seen:
            assert time.monotonic() < until, self.seen
            self.read(0.1)

    def read(self, timeout):
        ready, _, _ = select.select([self.fd], [], [], timeout)
        if ready:
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # its other end is closed
                return False
            self.seen += data.decode(errors="replace")
            return bool(data)
        return True

    def type(self, text):
        os.write(self.fd, text.encode())

    def status(self, timeout=15):
        until = time.monotonic() + timeout
        while self.read(0.1) and time.monotonic() < until:
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


pytestmark = pytest.mark.filterwarnings("ignore:.*fork")


def test_on_a_terminal_the_client_asks_and_records_for_seconds(server, folder):
    terminal = Terminal(example("client.py"), "--port", server.port, "--input", "tone")
    terminal.wait_for("Your choice")
    terminal.type("3\n")
    terminal.wait_for("not '3'")
    terminal.type("1\n")
    terminal.wait_for("How many seconds?")
    terminal.type("1\n")
    terminal.wait_for("level")
    assert terminal.status() == 0
    assert "Statistics of the client" in terminal.seen
    (path,) = (folder / "Recording").iterdir()
    assert len(read_wav(path)) == 44100 * 2
    assert path.name in terminal.seen


def test_on_a_terminal_the_client_records_until_enter(server, folder):
    terminal = Terminal(example("client.py"), "--port", server.port, "--input", "tone")
    terminal.wait_for("Your choice")
    terminal.type("2\n")
    terminal.wait_for("press Enter")
    terminal.wait_for("recording")
    time.sleep(0.5)
    terminal.type("\n")
    assert terminal.status() == 0
    (path,) = (folder / "Recording").iterdir()
    assert len(read_wav(path)) > 0.3 * 44100 * 2


def test_ctrl_c_at_the_question_ends_the_client(server):
    terminal = Terminal(example("client.py"), "--port", server.port, "--input", "tone")
    terminal.wait_for("Your choice")
    terminal.type("\x03")
    assert terminal.status() == 0
    assert "Traceback" not in terminal.seen


def test_on_a_terminal_the_server_shows_live_figures():
    port = free_port()
    terminal = Terminal(example("server.py"), "--bind", "127.0.0.1", "--port", port, "--output", "null")
    terminal.wait_for("jitter")
    run_python(example("client.py"), "--port", port, "--input", "tone", "--duration", 0.5, "--quiet")
    terminal.wait_for("source")
    terminal.type("\x03")
    assert terminal.status() == 0
    assert "Statistics of the server" in terminal.seen
>>>>>>> python
