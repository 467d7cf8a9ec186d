"""Programs as a user starts them: processes of their own, with their output kept."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from .wait import until


class Program:
    """A running program; leaving its `with` block ends it, whatever it does."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        """Starts `command` in `folder`."""
        self.folder = folder
        self.name = name or Path(command[0]).name
        label = f"{self.name.strip('-')}-{os.urandom(3).hex()}"
        self._out, self._err = folder / f"{label}.out", folder / f"{label}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command, cwd=folder, env={**os.environ, **(env or {})}, stdin=stdin, stdout=out, stderr=err
            )

    @property
    def output(self) -> str:
        """Its standard output so far."""
        return self._out.read_text(errors="replace")

    @property
    def errors(self) -> str:
        """Its standard error so far."""
        return self._err.read_text(errors="replace")

    def wait(self, timeout: float = 60.0) -> int:
        """Its exit status, when it has ended."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {timeout:g} s\n{self._said()}") from None

    def succeeds(self, timeout: float = 60.0) -> Program:
        """Waits for its end, which must be a good one."""
        status = self.wait(timeout)
        assert status == 0, f"{self.name} ended with {status}\n{self._said()}"
        return self

    def says(self, words: str, timeout: float = 20.0) -> None:
        """Waits until it has said `words` on either of its outputs."""

        def said() -> bool:
            if words in self.output + self.errors:
                return True
            assert self.process.poll() is None, f"{self.name} ended without {words!r}\n{self._said()}"
            return words in self.output + self.errors

        until(said, f"{self.name} to say {words!r}", timeout)

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self.process.send_signal(number)

    def interrupt(self, timeout: float = 20.0) -> int:
        """Ctrl-C, where it still runs; its exit status."""
        if self.process.poll() is None:
            self.signal(signal.SIGINT)
        return self.wait(timeout)

    def _said(self) -> str:
        return f"--- output\n{self.output[-4000:]}\n--- errors\n{self.errors[-4000:]}"

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        if self.process.stdin is not None:
            self.process.stdin.close()
