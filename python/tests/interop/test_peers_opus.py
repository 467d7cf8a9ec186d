"""What Opus senders may do in mid-stream: pause, change the length and the channels of their packets."""

from __future__ import annotations

import json
import select
import socket
import struct
import time
from pathlib import Path

import numpy as np
import pytest

from harness.documented import blocks
from harness.packets import is_rtcp
from harness.ports import free_pair, wait_open
from harness.programs import Program
from harness.signals import Samples, correlation, read_wav, speech, write_wav
from harness.streams import quiet_server
from harness.wait import steady, until

RATE = 48_000
EDGE = RATE // 10


@pytest.mark.timeout(90)
def test_a_pause_that_is_not_sent_is_silence_and_not_lost(tmp_path: Path) -> None:
    pause = np.zeros((2 * RATE, 1), dtype=np.int16)
    said = speech(1.0, RATE)[:, np.newaxis]
    sent = np.concatenate([said, pause, said])
    write_wav(tmp_path / "speech.wav", sent, RATE)
    block, port = blocks()["GStreamer to audiostream, Opus with pauses"], free_pair()
    with block.start(0, folder=tmp_path, port=port, figures="heard.json") as receiver:
        wait_open("udp", port)
        with block.start(1, folder=tmp_path, port=port) as sender:
            sender.succeeds()
        steady(lambda: (tmp_path / "heard.wav").stat().st_size, "what is heard", quiet=0.7)
        assert receiver.interrupt() == 0, receiver.errors
    figures = json.loads((tmp_path / "heard.json").read_text())
    # 4 s are 200 packets, 2 s of which are silent.
    assert 100 <= figures["packets_received"] < 140
    assert figures["packets_lost"] == figures["packets_malformed"] == figures["frames_concealed"] == 0
    came = read_wav(tmp_path / "heard.wav")
    assert abs(len(came) - len(sent)) <= 960
    alike, lag = correlation(sent[EDGE:-EDGE], came)
    assert alike > 0.85
    assert abs(lag - EDGE) < RATE // 100
    assert np.abs(came[2 * RATE : 2 * RATE + RATE // 2]).max() < 50


@pytest.mark.timeout(90)
def test_packets_of_ffmpeg_change_length_and_channels_in_mid_stream(tmp_path: Path) -> None:
    voice = speech(3.0, RATE)
    kinds = [(20, 1), (60, 2), (2.5, 1), (120, 2), (5, 2), (40, 1)]
    packets: list[bytes] = []
    parts: list[tuple[Samples, int]] = []
    # Both numbers wrap on the way.
    sequence, timestamp = 65_536 - 30, 2**32 - RATE
    for number, (length, channels) in enumerate(kinds):
        part = voice[number * RATE // 2 : (number + 1) * RATE // 2]
        write_wav(tmp_path / "part.wav", np.stack([part] * channels, axis=1), RATE)
        payloads = coded(tmp_path, length)
        for payload in payloads:
            head = struct.pack(">BBHII", 0x80, 111, sequence % 65_536, timestamp % 2**32, 0x77)
            packets.append(head + payload)
            sequence, timestamp = sequence + 1, timestamp + round(length * 48)
        parts.append((decoded(tmp_path, length), round(len(payloads) * length * 48)))
    heard = tmp_path / "heard.wav"
    with quiet_server(output=f"file:{heard}", rate=RATE, delay=200) as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            start, first = time.monotonic(), 2**32 - RATE
            for packet in packets:
                at = (struct.unpack_from(">I", packet, 4)[0] - first) % 2**32 / RATE
                time.sleep(max(0.0, start + at - time.monotonic()))
                own.sendto(packet, ("127.0.0.1", server.port))
        until(lambda: server.stats.packets_received == len(packets), "the last packet")
        steady(lambda: server.stats.frames_played, "playout")
        server.stop()
        stats = server.stats
    frames = timestamp - (2**32 - RATE)
    assert len(stats.sources) == 1
    assert stats.packets_lost == stats.packets_malformed == stats.packets_late == stats.frames_concealed == 0
    assert stats.frames_received == stats.frames_played == frames
    came = read_wav(heard)
    assert len(came) == frames
    place = 0
    for (part, coded_frames), (length, _) in zip(parts, kinds, strict=True):
        alike, lag = correlation(part[EDGE:-EDGE], came[place : place + coded_frames])
        assert alike > 0.99, length
        # Each run of ffmpeg begins with what its codec looks ahead, 2.5 or 6.5 ms.
        assert 0 <= lag - EDGE <= 480, length
        place += coded_frames
    assert place == frames


@pytest.mark.timeout(60)
def test_a_peer_that_starts_again_on_its_port_is_a_new_source(tmp_path: Path) -> None:
    sound = speech(1.5, RATE)
    write_wav(tmp_path / "speech.wav", sound, RATE)
    heard, there = tmp_path / "heard.wav", free_pair()
    with quiet_server(output=f"file:{heard}", rate=RATE, delay=200) as server:
        for _ in range(2):
            command = ["ffmpeg", "-v", "error", "-re", "-i", "speech.wav", "-c:a", "libopus", "-payload_type", "111"]
            command += ["-f", "rtp", f"rtp://127.0.0.1:{server.port}?localport={there}"]
            with Program(command, folder=tmp_path) as sender:
                sender.succeeds()
        steady(lambda: server.stats.frames_played, "playout", quiet=0.6)
        sources = server.stats.sources
        server.stop()
        stats = server.stats
    assert [source.address for source in sources] == [f"127.0.0.1:{there}"] * 2
    assert sources[0].ssrc != sources[1].ssrc
    # With the 312 that the codec looks ahead, in whole packets.
    each = -(-(len(sound) + 312) // 960) * 960
    assert [source.frames_played for source in sources] == [each, each]
    assert stats.packets_lost == stats.packets_malformed == stats.packets_late == 0
    came = read_wav(heard)
    first, _ = correlation(sound[EDGE:-EDGE], came[:each])
    second, _ = correlation(sound[EDGE:-EDGE], came[each:])
    assert min(first, second) > 0.98


def opus(length: float) -> list[str]:
    """How ffmpeg codes `part.wav`, `length` ms a packet."""
    command = ["ffmpeg", "-v", "error", "-y", "-i", "part.wav", "-c:a", "libopus", "-b:a", "48k"]
    return [*command, "-frame_duration", str(length)]


def decoded(folder: Path, length: float) -> Samples:
    """What is in what ffmpeg codes, by libopus: its own decoder turns other phases."""
    back = ["ffmpeg", "-v", "error", "-y", "-c:a", "libopus", "-i", "part.opus", "-ac", "1", "heard-part.wav"]
    for command in [*opus(length), "part.opus"], back:
        with Program(command, folder=folder) as coder:
            coder.succeeds()
    return read_wav(folder / "heard-part.wav")


def coded(folder: Path, length: float) -> list[bytes]:
    """The payloads that ffmpeg makes of `part.wav`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sink.bind(("127.0.0.1", 0))
        command = [*opus(length), "-f", "rtp", f"rtp://127.0.0.1:{sink.getsockname()[1]}"]
        with Program(command, folder=folder) as sender:
            sender.succeeds()
        payloads: list[bytes] = []
        while select.select([sink], [], [], 0)[0]:
            packet = sink.recv(65_536)
            if not is_rtcp(packet):
                payloads.append(packet[12:])
    return payloads
