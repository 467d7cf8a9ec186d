"""Machines with ALSA alone, as Raspberry Pi OS Lite is: a default device is marked, opened, and paced by a clock."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from harness.alsa import AlsaMachine
from harness.scripts import run_python
from harness.signals import RATE, correlation, noise, read_wav, speech, write_wav


def succeeded(result: subprocess.CompletedProcess[str]) -> str:
    """What a program printed that ended well and said nothing of ALSA's own."""
    assert result.returncode == 0, result.stderr
    assert "ALSA lib" not in result.stderr
    return result.stdout


LIST = """
import audiostream, json
print(json.dumps([[d.id, d.is_default_input, d.is_default_output] for d in audiostream.list_devices()]))
"""


@pytest.mark.timeout(60)
def test_the_default_device_is_listed_marked_and_opened(tmp_path: Path) -> None:
    machine = AlsaMachine(tmp_path, noise(RATE)[:, 0])
    devices = json.loads(succeeded(run_python(LIST, env=machine.env)))
    assert [device for device in devices if device[1] or device[2]] == [["default", True, True]]
    opened = """
import audiostream
with audiostream.AdvancedAudioServer("udp", 0, bind="127.0.0.1", keep_listening=True) as server:
    with audiostream.AudioClient("udp", "127.0.0.1", server.port) as client:
        pass
"""
    succeeded(run_python(opened, env=machine.env))


PLAY = """
import audiostream, sys, time
start = time.monotonic()
with audiostream.AdvancedAudioServer("udp", 0, bind="127.0.0.1", keep_listening=True, delay=200) as server:
    with audiostream.AudioClient("udp", "127.0.0.1", server.port, input="file:" + sys.argv[1]) as client:
        client.run()
    sent = client.stats.packets_sent
    deadline = time.monotonic() + 20
    while server.stats.frames_played < client.stats.frames_captured and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.5)
print(time.monotonic() - start)
"""


@pytest.mark.timeout(60)
def test_what_the_default_device_plays_is_the_sound_in_real_time(tmp_path: Path) -> None:
    machine = AlsaMachine(tmp_path, noise(RATE)[:, 0])
    voice = speech(2.5)
    # Playout settles before the first word.
    write_wav(tmp_path / "voice.wav", np.concatenate([np.zeros(2 * RATE, np.int16), voice]))
    took = float(succeeded(run_python(PLAY, tmp_path / "voice.wav", env=machine.env)))
    heard = machine.heard()
    # How far ahead a device is before it is known to have no pace is bounded; once it wrote 200 MB a second.
    assert len(heard) < (took + 1.5) * RATE
    pieces = [correlation(voice[start : start + 11_025], heard)[0] for start in range(0, len(voice), 11_025)]
    assert float(np.median(pieces)) >= 0.95


CAPTURE = """
import audiostream, time
with audiostream.AdvancedAudioServer("udp", 0, bind="127.0.0.1", keep_listening=True, output="null") as server:
    with audiostream.AudioClient("udp", "127.0.0.1", server.port, recordings="own") as client:
        start = time.monotonic()
        recording = None
        client.start_recording()
        while client.stats.frames_captured < 2 * 44_100:
            time.sleep(0.01)
        took = time.monotonic() - start
        print(client.stop_recording().path)
        print(took)
"""


@pytest.mark.timeout(60)
def test_what_the_default_device_records_comes_in_real_time(tmp_path: Path) -> None:
    voice = noise(8 * RATE)[:, 0]
    machine = AlsaMachine(tmp_path, voice)
    path, took = succeeded(run_python(CAPTURE, env=machine.env)).split()
    # Two seconds of it may be a quarter of one ahead.
    assert float(took) > 1.7
    recorded = read_wav(Path(path))[:, 0]
    assert len(recorded) >= RATE
    # ALSA's file plug-in itself leaves out frames between two reads; what it gives is recorded to the bit, in order.
    spoken, at = voice.tobytes(), -1
    for start in range(0, RATE - 512, 512):
        place = spoken.find(recorded[start : start + 512].tobytes(), at + 1)
        assert place > at, start
        at = place
