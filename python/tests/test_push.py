"""`AudioClient(input="push")`: what a program writes is what is sent."""

from __future__ import annotations

import array
import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import audiostream
from audiostream import AdvancedAudioServer, AudioClient
from harness.scripts import Script
from harness.signals import noise, read_wav
from harness.streams import quiet_server
from harness.wait import until


def pusher(server: AdvancedAudioServer, **options: Any) -> AudioClient:
    return AudioClient(host="127.0.0.1", port=server.port, input="push", **options)


def heard(server: AdvancedAudioServer, path: Path, frames: int) -> np.ndarray:
    """What the server's file holds, once so many frames have been played."""
    until(lambda: server.stats.frames_played >= frames, "the last frame")
    server.stop()
    return read_wav(path)


@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_written_is_sent_from_its_first_frame_to_its_last(tmp_path: Path, channels: int) -> None:
    sound = noise(30_011, channels)
    with quiet_server(output="file:heard.wav", channels=channels) as server:
        with pusher(server, channels=channels) as client:
            for piece in np.array_split(sound, 7):
                assert client.write(piece) == len(piece)
        assert client.stats.frames_dropped == 0
        assert np.array_equal(heard(server, tmp_path / "heard.wav", len(sound)), sound)


@pytest.mark.parametrize("kind", ["bytes", "array", "mono", "float32", "float64", "strided"])
def test_sound_may_come_in_many_shapes(tmp_path: Path, kind: str) -> None:
    sound = noise(5_000)
    forms = {
        "bytes": sound.tobytes(),
        "array": array.array("h", sound.tobytes()),
        "mono": sound[:, 0],
        "float32": sound[:, 0].astype(np.float32) / 32_768,
        "float64": sound.astype(np.float64) / 32_768,
        "strided": np.repeat(sound, 2, axis=0)[::2],
    }
    with quiet_server(output="file:heard.wav") as server:
        with pusher(server) as client:
            assert client.write(forms[kind]) == 5_000
        assert np.array_equal(heard(server, tmp_path / "heard.wav", 5_000), sound)


def test_floats_are_clipped_and_what_is_not_a_number_is_silent() -> None:
    from audiostream.pcm import pcm_of

    floats = np.array([1.0, 2.0, -1.0, -7.0, np.nan, np.inf, -np.inf, 0.5])
    expected = [32_767, 32_767, -32_768, -32_768, 0, 32_767, -32_768, 16_384]
    assert np.frombuffer(pcm_of(floats, 1), np.int16).tolist() == expected


def test_a_full_queue_takes_what_fits_and_drains_at_the_pace_of_the_clock() -> None:
    async def produce(client: AudioClient) -> float:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for _ in range(6):
            assert client.write(bytes(2 * 22_050), timeout=0) == 22_050
            await client.drain()
        await client.drain(0)
        return loop.time() - begun

    with quiet_server() as server, pusher(server) as client:
        # 3 s of sound, whose last block is not yet due when it is taken.
        assert asyncio.run(produce(client)) > 2.8
        second = bytes(2 * 44_100)
        taken = [client.write(second, timeout=0) for _ in range(4)]
        assert taken[0] == 44_100
        assert sum(taken) < 2.5 * 44_100
        assert client.write(second, timeout=0.05) < 44_100


def test_where_nothing_is_written_silence_is_sent_and_before_it_nothing(tmp_path: Path) -> None:
    sound = noise(4_410)
    with quiet_server(output="file:heard.wav") as server:
        with pusher(server) as client:
            client.write(sound)
            until(lambda: client.stats.packets_sent > 30, "silence")
            client.write(sound)
        packets = client.stats.packets_sent
        until(lambda: server.stats.packets_received == packets, "the last packet")
        played = heard(server, tmp_path / "heard.wav", server.stats.frames_received)
    assert np.array_equal(played[:4_410], sound)
    assert np.array_equal(played[-4_410:], sound)
    assert not played[4_410:-4_410].any()
    assert server.stats.packets_lost == 0
    with quiet_server() as server:
        with pusher(server) as client:
            pass
        assert client.stats.packets_sent == 0


def test_closing_drops_what_waits_and_nothing_can_be_written_then() -> None:
    with quiet_server() as server:
        client = pusher(server)
        client.start()
        client.write(bytes(2 * 80_000))
        client.close()
        assert client.stats.packets_sent < 100
        with pytest.raises(audiostream.StateError):
            client.write(b"\0\0")
        with pytest.raises(audiostream.StateError):
            asyncio.run(client.drain())


@pytest.mark.parametrize(
    "sound", [np.zeros((10, 2), np.int16), np.zeros((1, 10, 1)), np.zeros(10, np.int32), b"odd", "text", 7]
)
def test_another_shape_or_type_is_refused(sound: Any) -> None:
    with quiet_server() as server, pusher(server) as client, pytest.raises(audiostream.ConfigError):
        client.write(sound)


def test_only_a_client_made_for_it_can_be_written_to() -> None:
    with quiet_server() as server:
        client = AudioClient(host="127.0.0.1", port=server.port, input="silence")
        with client, pytest.raises(audiostream.StateError, match="push"):
            client.write(b"\0\0")


def test_the_script_says_that_push_is_for_programs(tmp_path: Path) -> None:
    for name in ("client", "-m"):
        arguments = ("audiostream", "client") if name == "-m" else ()
        with Script(name, *arguments, "--input", "push", folder=tmp_path) as client:
            assert client.wait() == 1
            [line] = client.errors.splitlines()
            assert "AudioClient(input='push')" in line
            assert "client.write()" in line
