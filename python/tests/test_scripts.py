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
    return process


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
