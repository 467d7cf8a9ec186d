"""The demonstration runs anywhere and leaves something behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.pcm import read_pcm
from harness.scripts import Script

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("protocol", ["--udp", "--tcp"])
def test_the_demo_leaves_recordings_and_tables(protocol: str, tmp_path: Path) -> None:
    options = (protocol, "--duration", 2, "--input", "voice", "--output", "file:heard.wav")
    with Script("-m", "audiostream", "demo", *options, folder=tmp_path) as demo:
        demo.succeeds()
    [path] = (tmp_path / "Recording").glob("recording_*.wav")
    assert path.name in demo.output
    assert "heard.wav" in demo.output
    assert "Statistics of the client" in demo.output
    assert "Statistics of the server" in demo.output
    assert "packets_lost" in demo.output
    for sound in (path, tmp_path / "heard.wav"):
        assert len(read_pcm(sound)) > 1.5 * 44_100 * 2


def test_the_demo_says_which_ends_it_chose(no_sound_server: None, tmp_path: Path) -> None:
    with Script("-m", "audiostream", "demo", "--duration", 1, folder=tmp_path) as demo:
        demo.succeeds()
    assert "No microphone here: streaming the built-in voice" in demo.output
    assert "No speaker here: what the server plays goes to" in demo.output
    assert len(list((tmp_path / "Recording").glob("demo_*.wav"))) == 1
