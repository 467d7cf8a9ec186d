"""What machines do to a program: closed standard streams, unwritable folders, slow log handlers, green threads."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.scripts import EXAMPLES, run_python

COMMANDS = {
    "client": ["client", "--input", "silence", "--duration", "0.2", "--port", "9"],
    "server": ["server", "--output", "null", "--duration", "0.2", "--port", "0", "--log-file", ""],
    "listen": ["listen", "--help"],
    "devices": ["devices"],
    "keygen": ["keygen", "--help"],
    "demo": ["demo", "--input", "silence", "--output", "null", "--duration", "0.2"],
    "probe": ["probe", "--help"],
    "lab": ["lab", "--help"],
    "hop": ["hop", "--help"],
    "help": ["--help"],
    "nothing": [],
}
CLOSED = [ends for count in (1, 2, 3) for ends in itertools.combinations(range(3), count)]


def run_closed(command: list[str], closed: tuple[int, ...], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a program with some of its standard streams closed."""
    marks = ["<&-", ">&-", "2>&-"]
    line = 'exec "$@" ' + " ".join(marks[one] for one in closed)
    return subprocess.run(
        ["sh", "-c", line, "sh", *command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_runs_with_closed_standard_streams(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "audiostream", *COMMANDS[name]]
    expected = 2 if name == "nothing" else 0
    for closed in [*CLOSED] if name in {"client", "server"} else [(0, 1, 2), (1,), (2,)]:
        result = run_closed(command, closed, tmp_path)
        assert (closed, result.returncode, "Traceback" in result.stderr) == (closed, expected, False), result.stderr


@pytest.mark.parametrize("closed", [(0,), (0, 1, 2)])
def test_an_example_runs_with_closed_standard_streams(closed: tuple[int, ...], tmp_path: Path) -> None:
    arguments = ["--output", "null", "--duration", "0.2", "--port", "0", "--stats-json", "stats.json"]
    result = run_closed([sys.executable, str(EXAMPLES / "server.py"), *arguments], closed, tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "stats.json").read_text().startswith("{")


def test_no_socket_takes_the_place_of_a_closed_standard_stream(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from audiostream import standard\n"
        "standard.open_missing()\n"
        "null = os.stat(os.devnull)\n"
        "same = [os.path.samestat(os.fstat(one), null) for one in range(3)]\n"
        "open(sys.argv[1], 'w').write(repr((same, os.dup(0) > 2, sys.stdin.read(), sys.stdout.write('x'))))\n"
    )
    result = run_closed([sys.executable, "-c", code, "said"], (0, 1, 2), tmp_path)
    assert result.returncode == 0
    assert (tmp_path / "said").read_text() == "([True, True, True], True, '', 1)"


def test_a_reader_that_goes_is_no_error(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [sys.executable, "-m", "audiostream", "devices"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_name_that_is_no_text_is_printed(tmp_path: Path) -> None:
    code = "from audiostream import standard; standard.open_missing(); print('a\\udcffb \\xe9')"
    result = run_python(code, env={"PYTHONIOENCODING": "ascii"})
    assert (result.returncode, result.stdout, result.stderr) == (0, "a\\udcffb \\xe9\n", "")


def test_a_server_goes_on_in_a_folder_that_cannot_be_written() -> None:
    command = [sys.executable, "-m", "audiostream", "server", "--output", "null", "--duration", "0.2", "--port", "0"]
    # Not even root makes files there.
    result = subprocess.run(
        command, cwd="/proc", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if "No log file" in line]
    assert "/proc/audio_stream.log" in line
    assert "--log-file PATH" in line


def test_a_log_file_that_was_asked_for_and_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "audiostream", "server", "--output", "null", "--port", "0", "--log-file"]
    result = subprocess.run(
        [*command, "/proc/own.log"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "/proc/own.log" in result.stderr


SLOW = """
import logging, sys, time
import audiostream

class Slow(logging.Handler):
    def emit(self, record):
        if "dropped" in record.getMessage():
            print(record.getMessage())
        time.sleep(float(sys.argv[1]))

room = logging.getLogger("audiostream")
room.setLevel(logging.DEBUG)
room.addHandler(Slow())
with audiostream.AdvancedAudioServer(port=0, output="null") as server:
    with audiostream.AudioClient(port=int(server.local_address.rpartition(":")[2]), input="silence") as client:
        client.wait(1.0)
print("over", flush=True)
"""


def test_a_slow_log_handler_does_not_keep_the_program() -> None:
    result = run_python(SLOW, "0.1")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "over"
    (dropped,) = lines[1:]
    assert dropped.endswith("log records were dropped: logging is too slow")


PATCHED = """
import sys
if sys.argv[1] == "gevent":
    from gevent import monkey
    monkey.patch_all()
    from gevent import sleep
else:
    import eventlet
    eventlet.monkey_patch()
    from eventlet import sleep
import audiostream

heard = []
with audiostream.AdvancedAudioServer(port=0, output="null") as server:
    server.frames(callback=heard.append)
    with audiostream.AudioClient(port=int(server.local_address.rpartition(":")[2]), input="tone"):
        while len(heard) < 20:
            sleep(0.01)
print("heard")
"""


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_a_callback_for_frames_runs_beside_green_threads(library: str) -> None:
    pytest.importorskip(library)
    code = f"import warnings; warnings.simplefilter('ignore')\n{PATCHED}"
    result = run_python(code, library)
    assert (result.returncode, result.stdout) == (0, "heard\n"), result.stderr
