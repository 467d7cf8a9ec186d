"""Senders that bunch their packets, in live playout: after their first second nothing is missing any more."""

from __future__ import annotations

import random
import socket
import time
from pathlib import Path

import pytest

import audiostream
from harness.packets import rtp
from harness.pcm import pcm_noise
from harness.programs import Program
from harness.signals import read_wav, speech, write_wav
from harness.streams import quiet_server
from harness.wait import steady, until

# Sound in which the delay may have settled.
YOUNG = 1.5
FRAMES = 4 * 44_100


@pytest.mark.timeout(60)
@pytest.mark.parametrize("query", ["", "?pkt_size=894"], ids=["packets of 1472", "packets of 894"])
def test_ffmpegs_bursts_play_without_a_gap(query: str, tmp_path: Path) -> None:
    write_wav(tmp_path / "speech.wav", speech(FRAMES / 44_100))
    with quiet_server() as server, ffmpeg(server.port, tmp_path, query=query) as sender:
        young = when_old_enough(server)
        sender.succeeds()
        plays_without_a_gap(server, young)


@pytest.mark.timeout(60)
def test_vlcs_bursts_play_without_a_gap() -> None:
    with quiet_server() as server:
        # Both numbers wrap on the way.
        packets = vlcs_packets(sequence=65_536 - 100, timestamp=2**32 - FRAMES // 2, pcm=pcm_noise(FRAMES))
        young = None
        start = time.monotonic()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            for number in range(0, len(packets), 4):
                time.sleep(max(0.0, start + number / 80 - time.monotonic()))
                for packet in packets[number : number + 4]:
                    own.sendto(packet, ("127.0.0.1", server.port))
                if young is None and number / 80 > YOUNG:
                    young = server.stats
        assert young is not None
        plays_without_a_gap(server, young)
        assert server.stats.packets_received == len(packets)


@pytest.mark.timeout(60)
def test_a_peer_that_starts_anew_is_heard_at_once(tmp_path: Path) -> None:
    heard = tmp_path / "heard.wav"
    first, second = pcm_noise(30 * 441, seed=1), pcm_noise(30 * 441, seed=2)
    chance = random.Random(5)
    with (
        quiet_server(output=f"file:{heard}", delay=100) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own,
    ):
        start = time.monotonic()
        for run, pcm in enumerate((first, second)):
            ssrc, sequence, timestamp = (chance.getrandbits(bits) for bits in (32, 16, 32))
            for number in range(30):
                time.sleep(max(0.0, start + (run * 30 + number) / 100 - time.monotonic()))
                part = pcm[number * 882 : number * 882 + 882]
                packet = rtp(sequence + number, timestamp + number * 441, part, ssrc=ssrc)
                own.sendto(packet, ("127.0.0.1", server.port))
        until(lambda: server.stats.packets_received == 60, "both runs")
        steady(lambda: server.stats.frames_played, "playout", quiet=0.6)
        assert server.stats.packets_lost == 0
        server.stop()
    sound = read_wav(heard).tobytes()
    # Whole, and no later after the first than the scheduler held its first packet back.
    assert sound.startswith(first)
    assert len(first) <= sound.find(second) <= len(first) + 2 * 4_410


def ffmpeg(port: int, folder: Path, query: str = "") -> Program:
    """ffmpeg, sending `speech.wav`."""
    command = ["ffmpeg", "-v", "error", "-re", "-i", "speech.wav", "-c:a", "pcm_s16be", "-f", "rtp"]
    return Program([*command, f"rtp://127.0.0.1:{port}{query}"], folder=folder)


def vlcs_packets(*, sequence: int, timestamp: int, pcm: bytes) -> list[bytes]:
    """What VLC makes of a file: blocks of 50 ms, each three packets of 1,400 bytes and one of 258."""
    made: list[bytes] = []
    start = 0
    while start < len(pcm):
        for size in (1_388, 1_388, 1_388, 246):
            made.append(rtp(sequence + len(made), timestamp + start // 2, pcm[start : start + size]))
            start += size
    return made


def when_old_enough(server: audiostream.AdvancedAudioServer) -> audiostream.ServerStats:
    """The statistics when the source's first time is over."""
    until(lambda: server.stats.frames_received > YOUNG * 44_100, "the first second")
    return server.stats


def plays_without_a_gap(server: audiostream.AdvancedAudioServer, young: audiostream.ServerStats) -> None:
    """All of the sound is played, and nothing since `young` was put in."""
    until(lambda: server.stats.frames_received >= FRAMES, "the last packet")
    # What is stretched is played as a whole.
    until(lambda: server.stats.frames_played >= FRAMES, "playout of it all")
    stats = server.stats
    assert stats.packets_lost == 0
    assert stats.packets_late == 0
    assert (stats.frames_concealed, stats.underruns) == (young.frames_concealed, young.underruns)
