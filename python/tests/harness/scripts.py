"""The example scripts as a user starts them, and what they leave behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .programs import Program

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples"


class Script(Program):
    """An example script, running."""

    def __init__(
        self,
        name: str,
        *arguments: str | Path | float,
        folder: Path,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        """Starts `examples/{name}.py`, or Python with `name` where that is an option such as `-c`, in `folder`."""
        command = [sys.executable, "-W", "error"]
        command += [name] if name.startswith("-") else [str(EXAMPLES / f"{name}.py")]
        command += [str(argument) for argument in arguments]
        super().__init__(command, folder=folder, name=name, env=env, stdin=stdin)

    def __enter__(self) -> Script:
        return self


def read_stats(path: Path) -> dict[str, Any]:
    """The statistics that a script left behind."""
    return json.loads(path.read_text())


def run_python(
    code: str, *arguments: str | Path, env: Mapping[str, str] | None = None, timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Runs a piece of Python in a process of its own."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
