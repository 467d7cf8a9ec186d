"""Sealed streams (SRTP) between two of ours, and with libsrtp at one end; what has no key, or another, is silence."""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import audiostream
from harness.packets import framed, goodbye, is_rtcp, packets, payload_of, receiver_report, rtcp_types, rtp, send_udp
from harness.ports import free_port
from harness.sealed import Peer
from harness.signals import noise, read_wav, write_wav
from harness.streams import quiet_server
from harness.wait import until

OURS = audiostream.generate_key()
OTHER = audiostream.generate_key()
CM = audiostream.generate_key("AES_CM_128_HMAC_SHA1_80")
GCM = audiostream.generate_key("AEAD_AES_128_GCM")
FOREIGN = pytest.mark.parametrize("key", [CM, GCM], ids=["AES-CM", "GCM"])
PROTOCOLS = pytest.mark.parametrize("protocol", ["udp", "tcp"])
FRAMES = 441
SOUND = noise(100 * FRAMES)
SSRC = 0x0102_0304


def stream(ssrc: int = SSRC) -> list[bytes]:
    """A second of sound, in clear."""
    return list(packets("rtp", SOUND.tobytes(), sequence=65_500, timestamp=7, ssrc=ssrc))


def sender(server: audiostream.AdvancedAudioServer, **options: Any) -> audiostream.AudioClient:
    return audiostream.AudioClient(host="127.0.0.1", port=server.port, protocol=server.protocol, **options)


def recorded(server: audiostream.AdvancedAudioServer) -> np.ndarray[Any, np.dtype[np.int16]]:
    """What a server has recorded by now."""
    recording = server.stop_recording()
    assert recording is not None
    return read_wav(recording.path)


def told(caplog: pytest.LogCaptureFixture, words: str) -> None:
    until(lambda: any(words in record.getMessage() for record in caplog.records), f"a line with {words!r}")


@pytest.fixture(autouse=True)
def no_key_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever happens, nothing of a key reaches the log."""
    caplog.set_level(logging.DEBUG)
    yield
    for key in (OURS, OTHER, CM, GCM):
        secret = key.rpartition(":")[2]
        assert not any(secret in record.getMessage() for record in caplog.records)


@PROTOCOLS
@pytest.mark.parametrize("key", [OURS, CM, GCM], ids=["ours", "AES-CM", "GCM"])
def test_two_of_ours_hear_each_other_bit_exact(key: str, protocol: str, tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", SOUND)
    with quiet_server(protocol, key=key, record="heard.wav", recordings=tmp_path) as server:
        with sender(server, key=key, input=f"file:{source}") as client:
            client.wait(20)
            sent = client.stats
        until(lambda: server.stats.packets_received >= sent.packets_sent, "the last packet")
        assert np.array_equal(recorded(server), SOUND)
        stats = server.stats
    assert sent.packets_sent == 100
    assert sent.packets_unauthentic == stats.packets_unauthentic == stats.packets_malformed == 0
    assert stats.packets_lost == stats.packets_duplicated == 0


@pytest.mark.parametrize("key", [OURS, CM, GCM], ids=["ours", "AES-CM", "GCM"])
def test_reports_are_sealed_too(key: str) -> None:
    with quiet_server(key=key, name="the server") as server, sender(server, key=key, input="tone", name="me") as client:
        until(lambda: client.stats.remote is not None, "a report")
        until(lambda: [source.name for source in server.stats.sources] == ["me"], "the name")
        assert client.stats.packets_unauthentic == server.stats.packets_unauthentic == 0


def test_two_streams_may_share_a_key_of_ours() -> None:
    with (
        quiet_server(key=OURS) as server,
        sender(server, key=OURS, input="tone"),
        sender(server, key=OURS, input="voice", redundancy=1, codec="opus"),
    ):
        until(lambda: sum(source.packets_received > 50 for source in server.stats.sources) == 2, "both")
        assert server.stats.packets_unauthentic == server.stats.packets_malformed == 0


@pytest.mark.parametrize("redundancy", [1, "opus"])
@pytest.mark.parametrize("key", [OURS, CM, GCM], ids=["ours", "AES-CM", "GCM"])
def test_copies_are_sealed_and_repair_what_is_lost(key: str, redundancy: int | str) -> None:
    with (
        quiet_server(key=key, network="loss=10,seed=3") as server,
        sender(server, key=key, input="voice", redundancy=redundancy) as client,
    ):
        until(lambda: client.stats.copies_sent > 100, "copies")
        until(lambda: server.stats.packets_repaired > 0, "a repair")
        assert server.stats.packets_unauthentic == server.stats.packets_malformed == 0


@FOREIGN
@PROTOCOLS
def test_libsrtp_hears_what_a_client_seals(key: str, protocol: str, tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", SOUND)
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(10)
        if protocol == "tcp":
            listener.listen()
        port = listener.getsockname()[1]
        client = audiostream.AudioClient(protocol, "127.0.0.1", port, key=key, input=f"file:{source}")
        peer, sound, types, clear = Peer(key), b"", list[int](), 0
        arriving = datagrams(listener) if protocol == "udp" else frames(listener)
        with client:
            for sealed in arriving:
                packet = peer.open(sealed)
                assert packet is not None
                if is_rtcp(packet):
                    types += rtcp_types(packet)
                else:
                    assert len(sealed) == len(packet) + (10 if key == CM else 16)
                    clear += packet[12:] in sealed
                    sound += payload_of("rtp", packet)
                if 203 in types:
                    break
            client.wait(10)
    assert sound == SOUND.tobytes()
    assert clear == 0
    assert {200, 202} <= set(types)


def datagrams(listener: socket.socket) -> Iterator[bytes]:
    while True:
        yield listener.recv(2048)


def frames(listener: socket.socket) -> Iterator[bytes]:
    """RFC 4571."""
    connection, _ = listener.accept()
    with connection, connection.makefile("rb") as file:
        while head := file.read(2):
            yield file.read(struct.unpack(">H", head)[0])


@FOREIGN
@PROTOCOLS
def test_a_server_hears_what_libsrtp_seals(key: str, protocol: str, tmp_path: Path) -> None:
    peer = Peer(key)
    sealed = [peer.seal(packet) for packet in stream()]
    with quiet_server(protocol, key=key, record="heard.wav", recordings=tmp_path) as server:
        if protocol == "udp":
            send_udp(server.port, sealed, interval=0.002)
        else:
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                connection.sendall(b"".join(map(framed, sealed)))
                until(lambda: server.stats.packets_received == 100, "all packets")
        until(lambda: server.stats.packets_received == 100, "all packets")
        assert np.array_equal(recorded(server), SOUND)
        stats = server.stats
        assert [source.ssrc for source in stats.sources] == [SSRC]
        assert (stats.packets_lost, stats.packets_malformed, stats.packets_unauthentic) == (0, 0, 0)


@FOREIGN
def test_reports_and_answers_are_those_of_libsrtp(key: str, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end, quiet_server(key=key) as server:
        end.settimeout(10)
        peer = Peer(key)
        send_udp(server.port, [peer.seal(packet) for packet in stream()], interval=0.01, source=end)
        answer = peer.open(end.recv(2048))
        assert answer is not None
        assert rtcp_types(answer)[0] == 201
        send_udp(server.port, [peer.seal(goodbye(SSRC))], source=end)
        told(caplog, "has said goodbye")
        assert server.stats.packets_unauthentic == 0


@FOREIGN
def test_a_client_takes_reports_that_libsrtp_seals_and_no_others(key: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.bind(("127.0.0.1", 0))
        end.settimeout(10)
        with audiostream.AudioClient(host="127.0.0.1", port=end.getsockname()[1], key=key, input="tone") as client:
            _, address = end.recvfrom(2048)
            report = receiver_report(99, client.ssrc, fraction=64, lost=5, jitter=441)
            end.sendto(report, address)
            end.sendto(Peer(GCM if key == CM else CM).seal(report), address)
            until(lambda: client.stats.packets_unauthentic == 2, "two that are not authentic")
            assert client.stats.remote is None
            end.sendto(Peer(key).seal(report), address)
            until(lambda: client.stats.remote is not None, "a report")
            assert client.stats.remote is not None
            assert client.stats.remote.packets_lost == 5
            assert client.stats.packets_unauthentic == 2


@PROTOCOLS
@pytest.mark.parametrize(
    ("theirs", "ours", "words"),
    [
        (OTHER, OURS, "sealed with another key"),
        (OURS, CM, "sealed with another key"),
        (CM, OURS, "sealed with another key"),
        (GCM, CM, "sealed with another key"),
        (CM, audiostream.generate_key("AES_CM_128_HMAC_SHA1_80"), "sealed with another key"),
        (None, OURS, "not sealed"),
        (None, CM, "not sealed"),
        (None, GCM, "not sealed"),
    ],
    ids=["ours-ours", "ours-CM", "CM-ours", "GCM-CM", "CM-CM", "none-ours", "none-CM", "none-GCM"],
)
def test_another_key_or_none_is_silence_and_is_told(
    theirs: str | None, ours: str, words: str, protocol: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with quiet_server(protocol, key=ours, record="heard.wav", recordings=tmp_path) as server:
        with sender(server, key=theirs, input="voice"):
            until(lambda: server.stats.packets_unauthentic > 50, "packets that are not authentic")
            told(caplog, words)
        stats = server.stats
        assert len(recorded(server)) == 0
    assert (stats.packets_received, stats.frames_received, stats.sources) == (0, 0, ())


@pytest.mark.parametrize("key", [OURS, CM, GCM], ids=["ours", "AES-CM", "GCM"])
def test_a_server_without_a_key_knows_what_is_sealed(
    key: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with quiet_server(record="heard.wav", recordings=tmp_path) as server:
        with sender(server, key=key, input="voice"):
            until(lambda: server.stats.packets_unauthentic > 50, "packets that cannot be heard")
            told(caplog, "it looks sealed")
        assert len(recorded(server)) == 0
        assert server.stats.frames_received == 0


@pytest.mark.parametrize("key", [OURS, CM, GCM], ids=["ours", "AES-CM", "GCM"])
def test_a_client_whose_server_cannot_read_it_says_so(key: str, caplog: pytest.LogCaptureFixture) -> None:
    with quiet_server() as server, sender(server, key=key, input="tone"):
        told(caplog, "its key is another, or none")


@FOREIGN
def test_what_was_sealed_and_then_touched_changes_nothing(key: str, tmp_path: Path) -> None:
    peer = Peer(key)
    sealed = [peer.seal(packet) for packet in stream()]
    flipped = [bytes(byte ^ (at == n % len(one)) for at, byte in enumerate(one)) for n, one in enumerate(sealed)]
    cut = [one[: len(one) - 1 - n] for n, one in enumerate(sealed)]
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end,
        quiet_server(key=key, record="heard.wav", recordings=tmp_path) as server,
    ):
        send_udp(server.port, sealed[:50], interval=0.002, source=end)
        until(lambda: server.stats.packets_received == 50, "the first half")
        for wrong in (sealed[:50], flipped[:50], cut[:50], [rtp(1, 1, b"\1" * 882, ssrc=SSRC)]):
            send_udp(server.port, wrong, interval=0.001, source=end)
        until(lambda: server.stats.packets_unauthentic == 151, "all of those")
        send_udp(server.port, sealed[50:], interval=0.002, source=end)
        until(lambda: server.stats.packets_received == 100, "the second half")
        assert np.array_equal(recorded(server), SOUND)
        stats = server.stats
    assert (stats.packets_duplicated, stats.packets_lost, stats.packets_malformed) == (0, 0, 0)


def test_a_recorded_stream_cannot_be_played_to_a_server_again(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", SOUND)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tap,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
        quiet_server(key=OURS) as server,
    ):
        tap.bind(("127.0.0.1", 0))
        tap.settimeout(5)
        client = audiostream.AudioClient(host="127.0.0.1", port=tap.getsockname()[1], key=OURS, input=f"file:{source}")
        heard = list[bytes]()
        with client:
            while len(heard) < 100:
                packet = tap.recv(2048)
                heard += [] if is_rtcp(packet) else [packet]
                tap.sendto(packet, ("127.0.0.1", server.port))
        until(lambda: server.stats.packets_received == 100, "the stream")
        for end in (tap, other):
            before = turned_away(server.stats)
            send_udp(server.port, heard, interval=0.001, source=end)
            until(lambda before=before: turned_away(server.stats) == before + 100, "its replay")
        assert server.stats.packets_received == 100
        assert len(server.stats.sources) == 1


def turned_away(stats: audiostream.ServerStats) -> int:
    return stats.packets_unauthentic + stats.packets_wrong_source


def test_a_capture_of_a_sealed_stream_holds_no_sound(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", SOUND)
    for key in (OURS, CM, GCM):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tap:
            tap.bind(("127.0.0.1", 0))
            tap.settimeout(5)
            with audiostream.AudioClient(
                host="127.0.0.1", port=tap.getsockname()[1], key=key, input=f"file:{source}", name="Marguerite"
            ) as client:
                captured = b"".join(tap.recv(2048) for _ in range(100))
                client.wait(10)
        big_endian = SOUND.byteswap().tobytes()
        for at in range(0, len(big_endian) - 6, 6):
            assert big_endian[at : at + 6] not in captured
        assert b"Marguerite" not in captured


def test_a_server_takes_the_key_out_of_a_description(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOSTREAM_KEY", OTHER)
    source = write_wav(tmp_path / "in.wav", SOUND)
    for key in (OURS, CM):
        with audiostream.AudioClient(host="127.0.0.1", port=free_port(), key=key, input="tone") as client:
            description = client.sdp(key=True)
        server = audiostream.AdvancedAudioServer(sdp=description, bind="127.0.0.1", output="null")
        with server, sender(server, key=key, input=f"file:{source}"):
            until(lambda server=server: server.stats.packets_received == 100, "the stream")
            assert server.stats.packets_unauthentic == 0
