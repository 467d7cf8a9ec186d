"""What the tests share: an empty folder to work in, sound to send, scripts to run."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import wave
from pathlib import Path

import pytest

import audiostream

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory of every test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def quiet_logs():
    """Takes back what a test did to the root logger."""
    import logging

    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    from audiostream import logs

    logs.install([], level)
    root.handlers[:] = handlers


@pytest.fixture
def server():
    """A server on a free port that plays to nowhere, streaming."""
    with audiostream.AdvancedAudioServer(port=0, bind="127.0.0.1", output="null") as server:
        yield server


@pytest.fixture(autouse=True)
def ended_processes():
    """Ends what a failed test left running."""
    yield
    while started:
        process = started.pop()
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


started: list[subprocess.Popen] = []


def noise(frames, channels=1, seed=1):
    """PCM that no two places of have in common."""
    return random.Random(seed).randbytes(frames * channels * 2)


def write_wav(path, pcm, rate=44100, channels=1):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)
    return path


def read_wav(path):
    with wave.open(str(path)) as file:
        assert file.getsampwidth() == 2
        return file.readframes(file.getnframes())


def eventually(condition, timeout=5.0):
    """Waits until a condition holds; whether it did in time."""
    until = time.monotonic() + timeout
    while not (held := condition()) and time.monotonic() < until:
        time.sleep(0.01)
    return held


def run_python(*arguments, timeout=60, **options):
    """Runs this Python in the test's folder."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=script_environment(),
        **options,
    )


def start_python(*arguments, **options):
    """Starts this Python in the test's folder; its output is text in pipes."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "text": True}
    process = subprocess.Popen([sys.executable, *map(str, arguments)], env=script_environment(), **{**pipes, **options})
    started.append(process)
    return process


def script_environment():
    # Narrow terminals break lines that the tests look for.
    return {**os.environ, "COLUMNS": "120", "PYTHONUNBUFFERED": "1"}


def example(name):
    return REPOSITORY / "examples" / name
