"""The demonstration runs anywhere and leaves something behind."""

import wave

import pytest

from conftest import run_python


@pytest.mark.parametrize("protocol", ["--udp", "--tcp"])
def test_the_demo_leaves_a_recording_and_a_table(folder, protocol):
    result = run_python(
        *("-m", "audiostream", "demo", protocol, "--duration", 2, "--input", "voice", "--output", "file:heard.wav")
    )
    assert result.returncode == 0, result.stderr
    (path,) = (folder / "Recording").glob("recording_*.wav")
    assert path.name in result.stdout
    assert "Statistics of the client" in result.stdout
    assert "Statistics of the server" in result.stdout
    for sound in (path, folder / "heard.wav"):
        with wave.open(str(sound)) as file:
            assert file.getnframes() > 1.5 * 44100


def test_the_demo_chooses_its_ends_openly(folder):
    result = run_python("-m", "audiostream", "demo", "--duration", 1)
    assert result.returncode == 0, result.stderr
    assert "Streaming " in result.stdout
    if "No microphone here" in result.stdout:
        assert "built-in voice" in result.stdout
    if "No speaker here" in result.stdout:
        assert list((folder / "Recording").glob("demo_*.wav"))
