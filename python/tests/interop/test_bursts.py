"""Senders that bunch their packets, in live playout: after their first second nothing is missing any more."""

from __future__ import annotations

import csv
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.documented import blocks
from harness.packets import rtp
from harness.pcm import pcm_noise
from harness.programs import Program
from harness.signals import read_wav, speech, write_wav
from harness.streams import quiet_server
from harness.wait import steady, until

# Sound in which the delay may have settled.
YOUNG = 1.5
FRAMES = 4 * 44_100


@pytest.mark.timeout(90)
@pytest.mark.parametrize("query", ["", "?pkt_size=894"], ids=["packets of 1472", "packets of 894"])
def test_ffmpegs_bursts_play_without_a_gap(query: str, tmp_path: Path) -> None:
    write_wav(tmp_path / "speech.wav", speech(FRAMES / 44_100))

    def send(port: int) -> None:
        with ffmpeg(port, tmp_path, query=query) as sender:
            sender.succeeds()

    plays_without_a_gap(send, tmp_path)


@pytest.mark.timeout(90)
def test_vlcs_bursts_play_without_a_gap(tmp_path: Path) -> None:
    # Both numbers wrap on the way.
    packets = vlcs_packets(sequence=65_536 - 100, timestamp=2**32 - FRAMES // 2, pcm=pcm_noise(FRAMES))

    def send(port: int) -> None:
        start = time.monotonic()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            for number in range(0, len(packets), 4):
                time.sleep(max(0.0, start + number / 80 - time.monotonic()))
                for packet in packets[number : number + 4]:
                    own.sendto(packet, ("127.0.0.1", port))

    plays_without_a_gap(send, tmp_path)


@pytest.mark.timeout(120)
def test_vlc_itself_plays_without_a_gap() -> None:
    for _ in range(ATTEMPTS):
        # Not pytest's folder: that is closed to the user under which VLC runs.
        with tempfile.TemporaryDirectory(prefix="interop-") as name:
            folder = Path(name)
            folder.chmod(0o777)
            write_wav(folder / "speech.wav", speech(2 * FRAMES / 44_100))
            log = folder / "packets.csv"
            with quiet_server(packet_log=log) as server, Held() as held:
                # It does not end with its file.
                with blocks()["VLC to audiostream"].start(1, folder=folder, port=server.port):
                    until(lambda: server.stats.frames_received > YOUNG * 44_100, "the first second")
                    young = server.stats
                    held.forget()
                    until(lambda: server.stats.frames_received >= FRAMES, "the last packet")
                    stats = server.stats
            assert stats.packets_lost == 0
            if (stats.frames_concealed, stats.underruns) == (young.frames_concealed, young.underruns):
                return
            assert held.seconds > COARSE or was_held_back(log), f"{held.seconds} s\n{young}\n{stats}"
    pytest.fail(f"{ATTEMPTS} times this machine held the sender or the server back")


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


def plays_without_a_gap(send: Callable[[int], None], folder: Path) -> None:
    """All that is sent is played, and after its first time nothing is put in. Fails where it is not so.

    A run in which this machine held the sender back longer than in its first time, or the server, proves nothing, and
    is repeated.
    """
    for attempt in range(ATTEMPTS):
        log = folder / f"packets-{attempt}.csv"
        with quiet_server(packet_log=log) as server, Held() as held:
            sending = threading.Thread(target=send, args=(server.port,))
            sending.start()
            until(lambda: server.stats.frames_received > YOUNG * 44_100, "the first second")
            young, begun = server.stats, held.seconds
            held.forget()
            sending.join()
            until(lambda: server.stats.frames_received >= FRAMES, "the last packet")
            steady(lambda: server.stats.frames_played, "playout")
            stats = server.stats
        assert stats.packets_lost == 0
        # What is stretched is played as a whole; what this machine held back at the start is skipped.
        assert stats.frames_played == FRAMES or max(begun, held.seconds) > COARSE, f"{begun} s\n{young}\n{stats}"
        calm = (stats.frames_concealed, stats.underruns) == (young.frames_concealed, young.underruns)
        if calm and stats.frames_played == FRAMES:
            return
        assert calm or held.seconds > COARSE or was_held_back(log), f"{held.seconds} s\n{young}\n{stats}"
    pytest.fail(f"{ATTEMPTS} times this machine held the sender or the server back")


class Held:
    """How long this machine keeps a thread from running that should, at most."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.seconds = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def forget(self) -> None:
        """Begins anew."""
        self.seconds = 0.0

    def __enter__(self) -> Held:
        """Watches."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends it."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            asleep = time.monotonic()
            time.sleep(0.001)
            self.seconds = max(self.seconds, time.monotonic() - asleep - 0.001)


def was_held_back(log: Path) -> bool:
    """Whether the sender was later behind its own clock than in its first time, by more than its clock is coarse."""
    with log.open() as file:
        rows = [(int(row["time_us"]), int(row["timestamp"])) for row in csv.DictReader(file)]
    (began, first), *_ = rows
    sound = [(timestamp - first) % 2**32 / 44_100 for _, timestamp in rows]
    behind = [(at - began) / 1e6 - place for (at, _), place in zip(rows, sound, strict=True)]
    early = [late for late, place in zip(behind, sound, strict=True) if place < YOUNG]
    return max(behind) > max(early) + COARSE


ATTEMPTS = 4
# Held back for less, nothing is late: packets are waited for a little longer than is needed.
COARSE = 0.002
