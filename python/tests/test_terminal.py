"""The scripts on a terminal: questions, live figures, Ctrl-C as a key."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import audiostream
from harness.pcm import read_pcm
from harness.ports import free_port
from harness.scripts import EXAMPLES
from harness.streams import quiet_server

pytestmark = pytest.mark.timeout(60)

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A script on a terminal of its own, and what it has shown there."""

    def __init__(self, process: subprocess.Popen[bytes], screen: int) -> None:
        self.process = process
        self.seen = ""
        self._screen = screen

    def shows(self, text: str, timeout: float = 20.0) -> None:
        """Waits until `text` has been shown."""
        deadline = time.monotonic() + timeout
        while text not in self.seen:
            assert self._read() or text in self.seen, f"it ended without {text!r}\n{self.seen}"
            assert time.monotonic() < deadline, f"no {text!r} in\n{self.seen}"

    def shows_seconds(self, least: float, timeout: float = 20.0) -> None:
        """Waits until so many seconds of a recording, or more, are shown: a busy machine does not show every figure."""
        deadline = time.monotonic() + timeout
        while not any(float(seconds) >= least for seconds in re.findall(r"● ([0-9.]+) s", self.seen)):
            assert self._read(), f"it ended before {least} s\n{self.seen}"
            assert time.monotonic() < deadline, f"not {least} s in\n{self.seen}"

    def types(self, keys: str) -> None:
        """Presses keys; `\\x03` is Ctrl-C."""
        os.write(self._screen, keys.encode())

    def status(self, timeout: float = 20.0) -> int:
        """Its exit status, when it has ended."""
        deadline = time.monotonic() + timeout
        while self._read():
            assert time.monotonic() < deadline, f"it still runs\n{self.seen}"
        return self.process.wait(5)

    def _read(self) -> bool:
        """Takes what has been shown since; False when the terminal is closed."""
        if not select.select([self._screen], [], [], 0.1)[0]:
            return True
        try:
            data = os.read(self._screen, 65_536)
        except OSError:  # Linux' way to say that nobody has it open
            return False
        self.seen += ESCAPES.sub("", data.decode(errors="replace"))
        return bool(data)


@contextmanager
def terminal(*arguments: str | int | Path) -> Iterator[Terminal]:
    """Starts Python with `arguments` on a terminal; leaving ends it."""
    screen, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-W", "error", *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
        # Its controlling terminal, for Ctrl-C.
        start_new_session=True,
        preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
    )
    os.close(theirs)
    try:
        yield Terminal(process, screen)
    finally:
        process.kill()
        process.wait(5)
        os.close(screen)


@pytest.fixture
def server() -> Iterator[audiostream.AdvancedAudioServer]:
    with quiet_server() as running:
        yield running


def test_the_client_asks_and_records_for_seconds(server: audiostream.AdvancedAudioServer, tmp_path: Path) -> None:
    with terminal(EXAMPLES / "client.py", "--port", server.port, "--input", "tone") as shown:
        shown.shows("Your choice")
        shown.types("3\n")
        shown.shows("not '3'")
        shown.types("1\n")
        shown.shows("How many seconds?")
        shown.types("minus one\n")
        shown.shows("not a number")
        shown.types("1\n")
        shown.types("1\n")
        shown.shows("level")
        assert shown.status() == 0
    assert "Statistics of the client" in shown.seen
    [path] = (tmp_path / "Recording").iterdir()
    assert len(read_pcm(path)) == 44_100 * 2
    assert path.name in shown.seen


def test_the_client_records_until_enter(server: audiostream.AdvancedAudioServer, tmp_path: Path) -> None:
    with terminal(EXAMPLES / "client.py", "--port", server.port, "--input", "tone") as shown:
        shown.shows("Your choice")
        shown.types("2\n")
        shown.shows("press Enter")
        shown.shows_seconds(0.5)
        shown.types("\n")
        assert shown.status() == 0
    [path] = (tmp_path / "Recording").iterdir()
    assert len(read_pcm(path)) > 0.4 * 44_100 * 2


def test_ctrl_c_at_the_question_ends_the_client(server: audiostream.AdvancedAudioServer) -> None:
    with terminal(EXAMPLES / "client.py", "--port", server.port, "--input", "tone") as shown:
        shown.shows("Your choice")
        shown.types("\x03")
        assert shown.status() == 0
    assert "Traceback" not in shown.seen


def test_enter_alone_only_streams_until_ctrl_c(server: audiostream.AdvancedAudioServer, tmp_path: Path) -> None:
    with terminal(EXAMPLES / "client.py", "--port", server.port, "--input", "tone") as shown:
        shown.shows("Your choice")
        shown.types("\n")
        shown.shows("level")
        shown.types("\x03")
        assert shown.status() == 0
    assert list((tmp_path / "Recording").iterdir()) == []


def test_what_was_said_on_the_command_line_is_not_asked(server: audiostream.AdvancedAudioServer) -> None:
    options = ("--port", server.port, "--input", "tone", "--duration", 1)
    with terminal(EXAMPLES / "client.py", *options) as shown:
        assert shown.status() == 0
    assert "Your choice" not in shown.seen


def test_the_server_shows_live_figures() -> None:
    port = free_port()
    options = ("--bind", "127.0.0.1", "--port", port, "--output", "null")
    with terminal(EXAMPLES / "server.py", *options) as shown:
        shown.shows("jitter")
        with audiostream.AudioClient("udp", "127.0.0.1", port, input="tone", name="Ada"):
            shown.shows("joined")
            shown.shows("Ada  ")
            shown.shows("playing")
        shown.shows("it said goodbye")
        shown.types("\x03")
        assert shown.status() == 0
    assert "Statistics of the server" in shown.seen


def test_a_hop_shows_both_ways_and_ends_with_the_figures() -> None:
    with quiet_server() as server:
        places = ("127.0.0.1:0", f"127.0.0.1:{server.port}")
        with terminal("-m", "audiostream", "hop", *places, "--network", "loss=10,seed=1") as shown:
            shown.shows("0 under way")
            port = re.search(r"hop 127\.0\.0\.1:(\d+)", shown.seen)
            assert port is not None
            with audiostream.AudioClient(host="127.0.0.1", port=int(port.group(1)), input="tone"):
                shown.shows("peer")
                shown.shows("1 lost")
            shown.types("\x03")
            assert shown.status() == 0
    assert "Statistics of the hop" in shown.seen
    assert re.search(r"packets_sent +\d+ +\d+", shown.seen)
