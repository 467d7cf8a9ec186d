"""Fixtures that more than one test file uses."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.children import MARK, Keeper, default_signals
from harness.signals import noise, speech, write_wav
from harness.sound_server import SoundServer


def pytest_configure(config: pytest.Config) -> None:
    """The whole run's signals and children; with several workers, the one that starts them keeps the children."""
    default_signals()
    if MARK not in os.environ:
        keeper = Keeper()
        config.add_cleanup(keeper.close)


def pytest_xdist_auto_num_workers() -> int:
    """Two for each core: tests wait for sound more than they compute."""
    return 2 * (os.cpu_count() or 1)


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
    """Every test works in its own folder: recordings and logs never land in the project's. Nobody's key is used."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUDIOSTREAM_KEY", raising=False)


@pytest.fixture(scope="session")
def speech_wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real speech, 44.1 kHz mono, 3 s."""
    return write_wav(tmp_path_factory.mktemp("speech") / "speech.wav", speech(3.0))


@pytest.fixture(scope="session")
def noise_wav(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Noise without a zero sample, a second and a bit (no whole number of any block), mono and stereo."""
    folder = tmp_path_factory.mktemp("noise")
    return {channels: write_wav(folder / f"noise{channels}.wav", noise(50_000, channels)) for channels in (1, 2)}
