"""Real devices: speech into the microphone is heard at the speaker, by the scripts as a user starts them."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

import audiostream
from harness.ports import free_port, wait_open
from harness.scripts import Script, read_stats
from harness.signals import correlation, speech
from harness.sound_server import SoundServer
from harness.streams import quiet_server
from harness.wait import until


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("protocol", "wire", "size"),
    [("udp", "rtp", 10), ("udp", "classic", 20), ("tcp", "rtp", 10), ("tcp", "classic", 50)],
)
def test_speech_into_the_microphone_is_heard_at_the_speaker(
    protocol: str, wire: str, size: int, sound_server: SoundServer, tmp_path: Path
) -> None:
    port, voice = free_port(), speech(3.0)
    common = (f"--{protocol}", "--port", port, "--size", size)
    with ExitStack() as stack:
        server = stack.enter_context(
            Script("server", *common, "--stats-json", tmp_path / "server.json", folder=tmp_path)
        )
        wait_open(protocol, port)
        client = stack.enter_context(
            Script(
                "client", *common, "--wire", wire, "--duration", 60, "--stats-json", tmp_path / "client.json",
                folder=tmp_path,
            )
        )  # fmt: skip
        until(lambda: sound_server.streams("source-outputs") >= 1, "the client to listen")
        until(lambda: sound_server.streams("sink-inputs") >= 1, "the server to play")
        with sound_server.listening() as ear:
            sound_server.say(voice)
            # The way through network and buffers takes less than what the ear has heard since.
            heard_before = len(ear.samples())
            until(lambda: len(ear.samples()) > heard_before + 44_100, "the last word")
            alike, _ = correlation(voice, ear.samples())
        client.signal(signal.SIGINT)
        assert client.succeeds()
        if server.process.poll() is None:
            server.signal(signal.SIGINT)
        assert server.succeeds()
    assert alike >= 0.95
    assert read_stats(tmp_path / "server.json")["packets_lost"] == 0
    assert "ALSA" not in server.errors + client.errors


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
