"""Scripts written against the original classes run when they import ours.

These machines need not have a sound card, so the default devices are replaced by built-in ends, from outside the
scripts: `sitecustomize` changes two defaults, nothing else.
"""

import os
import re
import signal
import socket
from pathlib import Path

import pytest

from conftest import eventually, read_wav, start_python

HERE = Path(__file__).parent

DEFAULTS = """
import audiostream
audiostream.AudioClient.__init__.__kwdefaults__["input"] = "voice"
audiostream.AdvancedAudioServer.__init__.__kwdefaults__["output"] = "null"
import runpy, sys
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def start(script, *arguments, **options):
    return start_python("-c", DEFAULTS, HERE / script, *arguments, **options)


@pytest.fixture(params=["udp", "tcp"])
def protocol(request):
    return request.param


@pytest.fixture
def server(protocol):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = start("original_server.py", "--protocol", protocol, "--port", port)
    process.port = port  # pyright: ignore[reportAttributeAccessIssue]
    assert process.stdout.readline() == "listening\n"
    return process


def finish(server, protocol):
    """The server's last line; with TCP it ends with its client."""
    if protocol == "udp":
        server.send_signal(signal.SIGINT)
    out, log = server.communicate(timeout=10)
    assert server.returncode == 0, log
    return out, log


def client(server, protocol, answers):
    process = start("original_client.py", "--protocol", protocol, "--port", server.port, "--size", 20, stdin=-1)
    out, err = process.communicate(answers, timeout=30)
    assert process.returncode == 0, err
    return out


def test_recording_for_seconds(server, protocol, folder):
    out = client(server, protocol, "1\n1\n")
    (path,) = (folder / "Recording").iterdir()
    assert re.fullmatch(r"recording_\d{8}_\d{6}\.wav", path.name)
    assert len(read_wav(path)) == 44100 * 2
    sent = int(re.search(r"sent (\d+) packets of 882 frames", out)[1])
    told, log = finish(server, protocol)
    received, lost = map(int, re.search(r"received (\d+), lost (\d+)", told).groups())
    assert received in {sent, sent - 1}
    assert lost == 0
    assert "DEBUG" in (folder / "audio_stream.log").read_text()
    assert " - INFO - " in log


def test_recording_until_enter(server, protocol, folder):
    process = start("original_client.py", "--protocol", protocol, "--port", server.port, stdin=-1)
    process.stdin.write("2\n")
    process.stdin.flush()
    assert eventually(lambda: list(folder.glob("Recording/*.wav")))
    assert eventually(lambda: next(folder.glob("Recording/*.wav")).stat().st_size > 20000)
    process.communicate("\n", timeout=30)
    assert process.returncode == 0
    assert os.listdir("Recording") == ["manual.wav"]
    whole, copy = read_wav(folder / "Recording/manual.wav"), read_wav(folder / "copy.wav")
    assert len(copy) > 15000
    assert whole.startswith(copy)
    finish(server, protocol)


def test_a_taken_port_ends_the_server_with_status_1(server, protocol):
    second = start("original_server.py", "--protocol", protocol, "--port", server.port)
    _, log = second.communicate(timeout=10)
    assert second.returncode == 1
    assert "Traceback" in log
