"""The examples for programs, as a user runs them."""

from __future__ import annotations

from pathlib import Path

from audiostream import AudioClient
from harness.ports import free_port, wait_open
from harness.scripts import Script
from harness.signals import read_wav
from harness.streams import quiet_server
from harness.wait import until


def test_energy_prints_a_line_for_each_speaker(speech_wav: Path, tmp_path: Path) -> None:
    port = free_port()
    with Script("energy", "--port", port, "--seconds", 1, folder=tmp_path) as script:
        wait_open("udp", port)
        with AudioClient(host="127.0.0.1", port=port, input=f"file:{speech_wav}", name="Ada"):
            script.succeeds()
        lines = script.output.splitlines()
    assert 10 <= len(lines) <= 12
    assert all(line.startswith(("Ada ", "127.0.0.1")) or "@" in line.split()[0] for line in lines)
    assert any("#" * 20 in line for line in lines)


def test_the_recogniser_is_fed_with_blocks_of_each_speaker(speech_wav: Path, tmp_path: Path) -> None:
    port = free_port()
    with Script("recogniser", "--port", port, "--seconds", 1.2, folder=tmp_path) as script:
        wait_open("udp", port)
        source = f"file:{speech_wav}"
        with AudioClient(host="127.0.0.1", port=port, input=source, name="Ada", network="loss=10,seed=5"):
            script.succeeds()
        text = script.output
    assert "1.2" in text.split(" s,")[0]
    harmed = int(text.split(" harmed")[0].split()[-1])
    assert harmed > 0


def test_the_speaker_is_heard_from_its_first_letter_to_its_last(tmp_path: Path) -> None:
    with quiet_server(rate=24_000, output="file:heard.wav") as server:
        with Script("speaker", "ready", "--port", server.port, folder=tmp_path) as script:
            script.succeeds()
        until(lambda: server.stats.frames_played >= 5 * 1920, "the last letter")
        assert server.stats.packets_lost == 0
        server.stop()
    heard = read_wav(tmp_path / "heard.wav")[:, 0]
    for letter in range(5):
        assert abs(heard[letter * 1920 : (letter + 1) * 1920]).max() > 9_000
