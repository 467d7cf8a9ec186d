<<<<<<< HEAD
"""Fixtures that more than one test file uses."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.signals import noise, speech, write_wav
from harness.sound_server import SoundServer


@pytest.fixture(scope="session")
def sound_daemon() -> Iterator[SoundServer]:
    """One PulseAudio daemon for the whole run."""
    # A socket's path holds at most 108 bytes: pytest's folders may be too deep.
    with tempfile.TemporaryDirectory(prefix="sound-") as folder:
        server = SoundServer(Path(folder))
        try:
            server.wait_ready()
            yield server
        finally:
            server.close()


@pytest.fixture
def sound_server(sound_daemon: SoundServer, monkeypatch: pytest.MonkeyPatch) -> SoundServer:
    """The daemon, made the sound server of this process and of those it starts."""
    for name, value in sound_daemon.env.items():
        monkeypatch.setenv(name, value)
    return sound_daemon


@pytest.fixture
def no_sound_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without any sound server."""
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/nobody")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in its own folder: recordings and logs never land in the project's."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def speech_wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real speech, 44.1 kHz mono, 3 s."""
    return write_wav(tmp_path_factory.mktemp("speech") / "speech.wav", speech(3.0))


@pytest.fixture(scope="session")
def noise_wav(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Noise without a zero sample, a second and a bit (no whole number of any block), mono and stereo."""
    folder = tmp_path_factory.mktemp("noise")
    return {channels: write_wav(folder / f"noise{channels}.wav", noise(50_000, channels)) for channels in (1, 2)}
=======
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
    return subprocess.Popen([sys.executable, *map(str, arguments)], env=script_environment(), **{**pipes, **options})


def script_environment():
    # Narrow terminals break lines that the tests look for.
    return {**os.environ, "COLUMNS": "120", "PYTHONUNBUFFERED": "1"}


def example(name):
    return REPOSITORY / "examples" / name
>>>>>>> python
