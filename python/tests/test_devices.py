"""Real devices: speech into the microphone is heard at the speaker, by the scripts as a user starts them."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

import audiostream
from harness.ports import free_port, wait_open
from harness.scripts import Script, read_stats
from harness.signals import Samples, correlation, speech
from harness.sound_server import SoundServer
from harness.streams import quiet_server
from harness.wait import until


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("protocol", "wire", "size"),
    [("udp", "rtp", 10), ("udp", "classic", 20), ("tcp", "rtp", 10), ("tcp", "classic", 50)],
)
def test_speech_into_the_microphone_is_heard_at_the_speaker(
    protocol: str, wire: str, size: int, sound_server: SoundServer, tmp_path: Path
) -> None:
    # With the least buffer PulseAudio drops what it has captured when other programs keep it from running for 20 ms.
    # A fixed delay has to hold the bursts that four blocks of device buffer make at either end.
    options = (f"--{protocol}", "--size", size, "--latency", "high")
    server = (*options, "--delay", max(150, 9 * size))
    voice, heard = streamed_speech((*options, "--wire", wire), server, sound_server, tmp_path)
    assert likeness(voice, heard) >= 0.95


@pytest.mark.timeout(60)
def test_speech_is_heard_without_any_option(sound_server: SoundServer, tmp_path: Path) -> None:
    voice, heard = streamed_speech(("--udp",), ("--udp",), sound_server, tmp_path)
    assert likeness(voice, heard) >= 0.95


def likeness(voice: Samples, heard: Samples) -> float:
    """How alike a quarter of a second is mostly: a busy machine may cost a moment, and shift what follows."""
    pieces = [correlation(voice[start : start + 11_025], heard)[0] for start in range(0, len(voice), 11_025)]
    return float(np.median(pieces))


def streamed_speech(
    to_client: tuple[str | int, ...], to_server: tuple[str | int, ...], sound_server: SoundServer, folder: Path
) -> tuple[Samples, Samples]:
    """What was said into the microphone, and what was heard at the speaker, by way of the scripts."""
    port, voice = free_port(), speech(2.5)
    protocol = str(to_server[0]).strip("-")
    with ExitStack() as stack:
        server = stack.enter_context(
            Script("server", *to_server, "--port", port, "--stats-json", folder / "server.json", folder=folder)
        )
        wait_open(protocol, port)
        client = stack.enter_context(Script("client", *to_client, "--port", port, "--duration", 60, folder=folder))
        until(lambda: sound_server.streams("source-outputs") >= 1, "the client to listen")
        until(lambda: sound_server.streams("sink-inputs") >= 1, "the server to play")
        with sound_server.listening() as ear:
            # Playout learns the delay that the microphone's bursts need while nobody speaks.
            until(lambda: len(ear.samples()) > 88_200, "two seconds of silence")
            sound_server.say(voice)
            # The way through network and buffers, four blocks of 50 ms at either end, takes less than what is heard
            # meanwhile, also where a busy machine holds one of them up.
            heard_before = len(ear.samples())
            until(lambda: len(ear.samples()) > heard_before + 132_300, "the last word")
            heard = ear.samples()
        client.signal(signal.SIGINT)
        client.succeeds()
        if server.process.poll() is None:
            server.signal(signal.SIGINT)
        server.succeeds()
    assert read_stats(folder / "server.json")["packets_lost"] == 0
    assert "ALSA" not in server.errors + client.errors
    return voice, heard


@pytest.mark.timeout(60)
def test_devices_are_listed_afresh_and_chosen_by_name_part_and_index(
    sound_server: SoundServer, no_device_left_open: None
) -> None:
    devices = audiostream.list_devices()
    speaker = next(device for device in devices if "Speaker" in device.name and device.max_output_channels > 0)
    microphone = next(device for device in devices if "Microphone" in device.name and device.max_input_channels > 0)
    for choice in (speaker.name, "Speaker", speaker.index):
        with audiostream.AdvancedAudioServer("udp", 0, output=choice) as server:
            until(lambda: sound_server.streams("sink-inputs") == 1, f"the speaker, chosen as {choice!r}")
            assert server.stats.packets_received == 0
        until(lambda: sound_server.streams("sink-inputs") == 0, "the speaker to be free")
    with quiet_server() as server:
        for choice in (microphone.name, "Microphone", microphone.index):
            with audiostream.AudioClient("udp", "127.0.0.1", server.port, input=choice) as client:
                until(lambda: client.stats.frames_captured > 4410, f"sound, from {choice!r}")


@pytest.mark.timeout(60)
def test_what_the_microphone_hears_is_what_is_sent(sound_server: SoundServer, tmp_path: Path) -> None:
    voice = speech(2.0)
    with (
        quiet_server(record=True) as server,
        audiostream.AudioClient("udp", "127.0.0.1", server.port, recordings=str(tmp_path / "own")) as client,
    ):
        until(lambda: client.stats.frames_captured > 0, "the microphone")
        client.start_recording()
        sound_server.say(voice)
        until(lambda: client.stats.frames_captured > 2.5 * 44_100, "the last word")
        recording = client.stop_recording()
    assert recording is not None
    alike, _ = correlation(voice, recording.to_numpy())
    assert alike >= 0.95


@pytest.fixture
def no_device_left_open(sound_server: SoundServer) -> None:
    """Earlier tests' streams are gone."""
    until(lambda: sound_server.streams("sink-inputs") == 0, "a free speaker")
