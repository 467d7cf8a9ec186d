"""The tests' own programs: started with default signals however the run was, and ended however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.children import MARK, Keeper, marked
from harness.wait import until

CONFTEST = """\
from harness.children import Keeper, default_signals

def pytest_configure(config):
    default_signals()
    config.add_cleanup(Keeper().close)
"""
# A program that nobody ends, and a test that never does.
TEST = """\
import subprocess, sys, time

CHILD = '''
import pathlib, signal, time
ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
pathlib.Path("child").write_text("ignored" if ignored or signal.pthread_sigmask(signal.SIG_BLOCK, []) else "default")
time.sleep(600)
'''

def test_it():
    subprocess.Popen([sys.executable, "-c", CHILD], start_new_session=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda end: end.name)
def test_no_program_outlives_a_run_that_was_started_in_the_background(end: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TEST)
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    environment["PYTHONPATH"] = str(Path(__file__).parent)
    # What `nohup` and `&` make of a shell's child.
    shell = 'trap "" INT HUP QUIT; exec "$@"'
    run = subprocess.Popen(
        ["sh", "-c", shell, "sh", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        child = tmp_path / "child"
        until(lambda: child.exists() and child.read_text(), "the run's own program")
        assert child.read_text() == "default"
        (mark,) = marks_below(run.pid)
        assert len(marked(mark)) == 2, "the program and the keeper"
        run.send_signal(end)
        run.wait(20)
        until(lambda: not marked(mark), "their end")
    finally:
        run.kill()
        run.wait(10)


def test_closing_ends_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, "")
    keeper = Keeper()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    keeper.close()
    assert child.wait(10) == -signal.SIGKILL


def marks_below(parent: int) -> set[str]:
    """The marks that a process's children carry."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                entries = (stat.parent / "environ").read_bytes().split(b"\0")
                found |= {entry.decode().partition("=")[2] for entry in entries if entry.startswith(MARK.encode())}
        except OSError:
            continue
    return found
