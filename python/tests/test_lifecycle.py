"""Starting, stopping, leaving: nothing leaks, nothing crashes, nothing hangs."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

import audiostream
from harness.ports import free_port, is_open
from harness.scripts import run_python
from harness.streams import quiet_server
from harness.wait import steady, until

LEAVING = """
import logging, signal, sys, threading
import audiostream
logging.basicConfig(level=logging.DEBUG, filename="/dev/null")
server = audiostream.AdvancedAudioServer("udp", 0, output="null", bind="127.0.0.1")
server.start()
client = audiostream.AudioClient("udp", "127.0.0.1", server.port, input="tone", recordings=sys.argv[2])
client.start()
client.start_recording()
while server.stats.packets_received < 3:
    server.receive_data()
match sys.argv[1]:
    case "end":
        pass
    case "exit":
        sys.exit(7)
    case "exception":
        raise KeyError("on purpose")
    case "sigterm":
        signal.raise_signal(signal.SIGTERM)
    case "thread":
        threading.Thread(target=client.run).start()
        threading.Timer(0.05, client.stop_event.set).start()
"""


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("way", "status"),
    [("end", 0), ("exit", 7), ("exception", 1), ("sigterm", -signal.SIGTERM), ("thread", 0)],
)
def test_leaving_the_interpreter_while_streaming_is_clean(way: str, status: int, tmp_path: Path) -> None:
    def leave(_: int) -> tuple[int, str]:
        done = run_python(LEAVING, way, tmp_path / "kept", timeout=30)
        return done.returncode, done.stderr

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(leave, range(50)))
    assert {result[0] for result in results} == {status}, results
    for _, errors in results:
        assert "Fatal" not in errors
        assert "panicked" not in errors
        assert errors == "" or way == "exception"


@pytest.mark.timeout(180)
def test_a_hundred_starts_and_stops_leak_nothing(tmp_path: Path) -> None:
    def cycle() -> None:
        with (
            quiet_server() as server,
            audiostream.AudioClient("udp", "127.0.0.1", server.port, input="tone") as client,
        ):
            until(lambda: server.stats.packets_received >= 3, "three packets")
            client.start_recording()

    for _ in range(20):
        cycle()
    gc.collect()
    # Those of connections to a sound server that earlier tests have made stay.
    threads = steady(native_threads, "the number of threads")
    files, memory = open_files(), resident_kilobytes()
    for _ in range(100):
        cycle()
    gc.collect()
    until(lambda: native_threads() <= threads, "the engine's threads to end")
    assert open_files() <= files
    # 10 KiB a cycle would be a megabyte; what the allocator keeps back is less than two.
    assert resident_kilobytes() - memory < 2048


@pytest.mark.timeout(60)
def test_a_hundred_tcp_connections_leak_nothing() -> None:
    with quiet_server("tcp") as server:

        def cycle() -> None:
            with audiostream.AudioClient("tcp", "127.0.0.1", server.port, input="tone") as client:
                until(lambda: client.stats.packets_sent >= 2, "two packets")

        for _ in range(5):
            cycle()
        files = open_files()
        for _ in range(50):
            cycle()
        until(lambda: open_files() <= files + 1, "descriptors to be closed")


@pytest.mark.timeout(60)
def test_closing_twice_and_stopping_before_starting_are_allowed() -> None:
    server = audiostream.AdvancedAudioServer("udp", 0, output="null")
    server.stop()
    server.close()
    server.close()
    client = audiostream.AudioClient("udp", "127.0.0.1", free_port(), input="tone")
    client.cleanup()
    client.cleanup()
    client.close()
    for call in (client.start, client.send_audio, server.start):
        with pytest.raises(audiostream.StateError):
            call()
    assert server.receive_data() is False


@pytest.mark.timeout(60)
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_a_closed_server_frees_its_port_at_once(protocol: str) -> None:
    port = free_port()
    for _ in range(5):
        with audiostream.AdvancedAudioServer(protocol, port, output="null"):
            assert is_open(protocol, port)
        assert not is_open(protocol, port)


@pytest.mark.timeout(60)
def test_threads_have_names() -> None:
    with quiet_server() as server, audiostream.AudioClient("udp", "127.0.0.1", server.port, input="tone"):
        until(lambda: server.stats.packets_received > 0, "a packet")
        names = engine_threads()
    assert names >= {"as-control", "as-net", "as-send"}, names


@pytest.mark.timeout(60)
def test_a_forked_child_gets_an_error_and_no_hang() -> None:
    done = run_python(
        """
import os, sys, warnings
import audiostream
warnings.simplefilter("ignore")  # Python itself warns of forking beside threads
server = audiostream.AdvancedAudioServer("udp", 0, output="null", bind="127.0.0.1")
client = audiostream.AudioClient("udp", "127.0.0.1", server.port, input="tone")
server.start()
client.start()
child = os.fork()
if child == 0:
    wrong = []
    for call in (
        client.start, client.send_audio, client.start_recording, client.stop_recording, lambda: client.stats,
        client.stop, client.close, server.start, server.stop, server.close, lambda: server.stats,
    ):
        try:
            call()
        except audiostream.StateError as error:
            if "fork" not in str(error):
                wrong.append(str(error))
        else:
            wrong.append(repr(call))
    # What the child makes for itself is its own.
    with (
        audiostream.AdvancedAudioServer("udp", 0, output="null", bind="127.0.0.1") as server,
        audiostream.AudioClient("udp", "127.0.0.1", server.port, input="tone"),
    ):
        while server.stats.packets_received < 3:
            server.receive_data()
    print(wrong, file=sys.stderr)
    sys.stderr.flush()
    # An ordinary end: the hooks at exit run in the child as well.
    sys.exit(bool(wrong))
_, status = os.waitpid(child, 0)
received = server.stats.packets_received
while server.stats.packets_received < received + 10:
    assert server.receive_data()
sys.exit(os.waitstatus_to_exitcode(status))
""",
        timeout=30,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(60)
@pytest.mark.parametrize("method", ["run", "receive_data"])
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_ctrl_c_ends_a_waiting_server(protocol: str, method: str) -> None:
    port = free_port()
    code = (
        "import audiostream\n"
        f"server = audiostream.AdvancedAudioServer({protocol!r}, {port}, output='null')\n"
        "print('there', flush=True)\n"
        f"server.{method}()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"there\n"
    # There is no sign of having entered the wait; before it, Ctrl-C is Python's own affair.
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    # run() takes Ctrl-C as its end, as the original's does; a single wait lets it through.
    assert process.returncode == (0 if method == "run" else -signal.SIGINT), errors.decode()


def native_threads() -> int:
    """Threads of this process, Python's and others."""
    return len(os.listdir("/proc/self/task"))


def engine_threads() -> set[str]:
    """The names of the engine's threads."""
    names = set[str]()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # it has just ended
            names.add((task / "comm").read_text().strip())
    return {name for name in names if name.startswith("as-")}


def open_files() -> int:
    """Descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def resident_kilobytes() -> int:
    """Memory of this process that is in use."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")
