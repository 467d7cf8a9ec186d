"""Programs that tests start: they begin with default signal handling, and none outlives the run, however that ends.

A run of tests has a mark in its environment, which every program that it starts inherits, and those that they start.
A keeper, a process of its own, waits until the run is over, even by `kill -9`, and then ends whatever carries the mark.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

MARK = "AUDIOSTREAM_TEST_RUN"


def default_signals() -> None:
    """Makes this process, and with it every program that it starts, take signals as a shell's foreground job does.

    What is started by `nohup`, by `&` or by a CI runner inherits signals that are ignored or blocked. A signal with a
    handler is the default again in a program that is started (execve); the run itself survives its terminal as before.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _nothing)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminated)


def _nothing(_number: int, _frame: object) -> None:
    """Takes a signal and does nothing."""


def _terminated(number: int, _frame: object) -> None:
    """Ends the run as Ctrl-C does: fixtures are undone."""
    raise KeyboardInterrupt(signal.Signals(number).name)


class Keeper:
    """Ends what a run leaves behind."""

    def __init__(self) -> None:
        """Marks this process's environment and starts the keeper."""
        self.mark = uuid.uuid4().hex
        os.environ[MARK] = self.mark
        command = [sys.executable, "-S", str(Path(__file__)), self.mark]
        # Of its own session: neither Ctrl-C in the terminal nor the end of the run's group reaches it.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def close(self) -> None:
        """Ends everything that carries the mark."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


def marked(mark: str) -> list[int]:
    """The processes that carry the mark, zombies not among them."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def _keep(mark: str) -> None:
    # The run holds the pipe's other end and writes nothing: it is at its end when the run is.
    sys.stdin.buffer.read()
    for _ in range(20):
        left = [pid for pid in marked(mark) if pid != os.getpid()]
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


if __name__ == "__main__":
    _keep(sys.argv[1])
