"""Delays by chirps: exact on made sounds, and on the virtual sound card they follow what was put in."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from audiostream import ConfigError, DeviceError, cli, lab
from audiostream.lab.chirps import alike, chirp, delays_ms, echoes, floor_of, loudest, places, train
from harness.signals import RATE, Samples, noise
from harness.sound_server import SoundServer

EVERY = 0.3
WINDOW = (0.004, 0.25)


def room(sound: Samples, *taps: tuple[float, float], level: float = 0.5, hiss: float = 0.0) -> Samples:
    """A sound, and a moment more, in a room that answers it after so many ms, so loud; and noise."""
    sound = np.concatenate([sound, np.zeros(round(EVERY * RATE), dtype=np.int16)])
    spectrum = np.fft.rfft(sound.astype(float), 2 * len(sound))
    turns = np.fft.rfftfreq(2 * len(sound)) * -2j * np.pi
    answered = sum(gain * np.exp(turns * (ms / 1e3 * RATE)) for ms, gain in ((0.0, 1.0), *taps))
    heard = np.fft.irfft(spectrum * answered)[: len(sound)] * level
    return (heard + hiss * noise(len(sound))[:, 0]).astype(np.int16)


def test_two_sounds_that_are_the_same_are_no_time_apart_and_a_shift_is_found_to_the_sample() -> None:
    sound = train(4, EVERY, RATE)
    assert delays_ms(sound, sound, EVERY, RATE) == [0.0] * 4
    assert delays_ms(sound, np.roll(sound, 2205), EVERY, RATE) == [50.0] * 4
    assert places(sound, EVERY, RATE) == [round((at + 0.5) * EVERY * RATE) for at in range(4)]


@pytest.mark.parametrize("delay", [22.0, 61.513, 180.4871])
def test_an_echo_is_found_to_a_hundredth_of_a_millisecond_above_reflections_and_noise(delay: float) -> None:
    reflections = ((7.3, 0.4), (19.0, -0.3), (44.0, 0.15))
    bare = alike(room(train(3, EVERY, RATE), *reflections, hiss=0.003), RATE)
    floor = floor_of(bare, loudest(bare, 3, EVERY, RATE), WINDOW, RATE)
    heard = alike(room(train(6, EVERY, RATE), *reflections, (delay, 0.35), hiss=0.003), RATE)
    found = echoes(heard, loudest(heard, 6, EVERY, RATE), WINDOW, floor, RATE)
    assert len(found.delays_ms) == 6
    assert found.delays_ms == pytest.approx([delay] * 6, abs=0.01)


def test_without_an_echo_none_is_found_and_a_bad_chirp_is_passed_over() -> None:
    bare = alike(room(train(4, EVERY, RATE), (30.0, 0.3), hiss=0.003), RATE)
    chirps = loudest(bare, 4, EVERY, RATE)
    floor = floor_of(bare, chirps, WINDOW, RATE)
    found = echoes(bare, chirps, WINDOW, floor, RATE)
    assert (found.delays_ms, found.rejected) == ([], {"no echo": 4})
    sound = room(train(4, EVERY, RATE), (90.0, 0.4), hiss=0.003)
    sound[round(1.5 * EVERY * RATE) :][: len(chirp(RATE))] = 0
    spoilt = alike(sound, RATE)
    found = echoes(spoilt, loudest(spoilt, 4, EVERY, RATE), WINDOW, floor, RATE)
    assert len(found.delays_ms) == 3
    assert found.rejected.total() == 1


@pytest.fixture
def mouth(sound_server: SoundServer) -> Callable[..., lab.MouthToEar]:
    """Measures on the virtual card: what is played into the room comes out of the microphone."""
    return lambda **options: lab.mouth_to_ear(input="Microphone", output="Room", chirps=4, every=0.4, **options)


def calm(measure: Callable[[], lab.MouthToEar]) -> lab.MouthToEar:
    """A measurement in which no moment was lost to a busy machine: of three the first whose chirps agree."""
    for _ in range(2):
        found = measure()
        if found.delay_ms.plus_minus < 10:
            return found
    return measure()


@pytest.mark.quiet
def test_a_server_that_waits_50_ms_longer_is_measured_50_ms_later(mouth: Callable[..., lab.MouthToEar]) -> None:
    short, long = calm(lambda: mouth(delay=40)), calm(lambda: mouth(delay=90))
    # Both devices work in blocks of 10 ms, and each start finds another phase of them.
    assert 38 <= long.delay_ms.value - short.delay_ms.value <= 62
    assert 50 <= short.delay_ms.value <= 150
    for found in (short, long):
        assert found.delay_ms.plus_minus < 10
        assert found.packet_ms == 10
        assert found.rest_ms > 0
        assert len(found.delays_ms) + sum(found.rejected.values()) == 4


@pytest.mark.quiet
def test_the_command_measures_from_mouth_to_ear(sound_server: SoundServer, capsys: pytest.CaptureFixture[str]) -> None:
    devices = ["--input", "Microphone", "--output", "Room"]
    assert cli.main(["probe", "--acoustic", *devices, "--chirps", "3", "--json", "-"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["delay_ms"]["value"] > 10
    assert cli.main(["probe", "--chirps", "3"]) == 1
    assert "are for --acoustic" in capsys.readouterr().err


def test_a_microphone_that_does_not_hear_the_speaker_is_an_error(sound_server: SoundServer) -> None:
    with pytest.raises(DeviceError, match="does not hear the speaker"):
        lab.mouth_to_ear(input="Microphone", output="Speaker", chirps=3, every=0.3)


def test_what_makes_no_measurement_is_refused() -> None:
    wrongs: tuple[dict[str, Any], ...] = ({"chirps": 2}, {"every": 0.1}, {"every": float("inf")}, {"size": 7})
    for wrong in wrongs:
        with pytest.raises(ConfigError):
            lab.mouth_to_ear(**wrong)
