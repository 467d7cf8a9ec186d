"""Scripts as students wrote them against the original classes, in `students/`, run with the import changed.

A machine without a sound card has no default devices: the two defaults are replaced by built-in ends, from outside.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.pcm import read_pcm
from harness.ports import free_port
from harness.scripts import Script
from harness.wait import until

pytestmark = pytest.mark.timeout(60)

STUDENTS = Path(__file__).parent / "students"

WITH_BUILT_IN_ENDS = """
import audiostream, runpy, sys
audiostream.AudioClient.__init__.__kwdefaults__["input"] = "voice"
audiostream.AdvancedAudioServer.__init__.__kwdefaults__["output"] = "null"
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Streaming:
    """A student's server, and what a client needs to reach it."""

    def __init__(self, protocol: str, folder: Path) -> None:
        self.options = ("--protocol", protocol, "--port", free_port())
        self.folder = folder
        self.server = self.start("server.py")
        self.server.says("listening")

    def start(self, script: str, *options: str | int, stdin: int = subprocess.DEVNULL) -> Script:
        """Starts a student's script."""
        arguments = (WITH_BUILT_IN_ENDS, STUDENTS / script, *self.options, *options)
        return Script("-c", *arguments, folder=self.folder, stdin=stdin)

    def finish(self) -> str:
        """The server's last words; with TCP it ends with its client."""
        if "udp" in self.options:
            self.server.signal(signal.SIGINT)
        return self.server.succeeds(10).output


@pytest.fixture(params=["udp", "tcp"])
def streaming(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Streaming]:
    started = Streaming(request.param, tmp_path)
    with started.server:
        yield started


def answer(client: Script, text: str) -> None:
    assert client.process.stdin is not None
    client.process.stdin.write(text.encode())
    client.process.stdin.flush()


def test_recording_for_seconds(streaming: Streaming, tmp_path: Path) -> None:
    with streaming.start("client.py", "--size", 20, stdin=subprocess.PIPE) as client:
        answer(client, "1\n1\n")
        client.succeeds()
    [path] = (tmp_path / "Recording").iterdir()
    assert re.fullmatch(r"recording_\d{8}_\d{6}\.wav", path.name)
    assert len(read_pcm(path)) == 44_100 * 2
    [sent] = re.findall(r"sent (\d+) packets of 882 frames", client.output)
    [(received, lost, last)] = re.findall(r"received (\d+), lost (\d+), last (\d+)", streaming.finish())
    # A block of 20 ms is two RTP packets. The last call may have come when the stream had been stopped.
    assert int(received) in {2 * int(sent), 2 * int(sent) - 2}
    assert int(lost) == 0
    assert 0 <= int(last) <= 65_535
    assert " - INFO - " in streaming.server.errors
    assert " - DEBUG - " in (tmp_path / "audio_stream.log").read_text()


def test_recording_until_enter(streaming: Streaming, tmp_path: Path) -> None:
    with streaming.start("client.py", stdin=subprocess.PIPE) as client:
        answer(client, "2\n")
        client.says("Press Enter")
        until(lambda: any(path.stat().st_size > 20_000 for path in tmp_path.glob("Recording/*.wav")), "some sound")
        answer(client, "\n")
        client.succeeds()
    assert os.listdir(tmp_path / "Recording") == ["manual.wav"]
    whole, copy = read_pcm(tmp_path / "Recording" / "manual.wav"), read_pcm(tmp_path / "copy.wav")
    assert len(copy) > 10_000
    assert whole.startswith(copy)
    streaming.finish()


def test_a_taken_port_ends_the_server_with_status_1(streaming: Streaming) -> None:
    with streaming.start("server.py") as second:
        assert second.wait(10) == 1
    assert "Traceback" in second.errors
