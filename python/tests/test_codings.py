"""Senders that change their coding, packets without sound, and what is not understood."""

from __future__ import annotations

import logging
import socket
import struct
from pathlib import Path

import numpy as np
import pytest

import audiostream
from harness.capture import rtp_streams, tshark
from harness.packets import framed, send_tcp, send_udp, swapped
from harness.ports import free_port
from harness.streams import quiet_server
from harness.wait import until

# 10 ms of about -12 dBFS in G.711, and the same in L16 at 44.1 kHz.
PCMU = bytes([0x9F]) * 80
PCMA = bytes([0xB5]) * 80
LINEAR = swapped(np.full(441, 8_000, "<i2").tobytes())


def packet(payload_type: int, sequence: int, timestamp: int, payload: bytes) -> bytes:
    return struct.pack(">BBHII", 0x80, payload_type, sequence, timestamp, 0x1234) + payload


def event(sequence: int, timestamp: int, *, code: int, ticks: int, end: bool = False, kind: int = 101) -> bytes:
    """A packet of a telephone event (RFC 4733 section 2.3)."""
    return packet(kind, sequence, timestamp, struct.pack(">BBH", code, 0x80 * end | 10, ticks))


def key(sequence: int, timestamp: int, code: int) -> list[bytes]:
    """A key of 60 ms in six packets: its end comes three times."""
    marks = [(80, False), (240, False), (400, False), (480, True), (480, True), (480, True)]
    return [event(sequence + n, timestamp, code=code, ticks=ticks, end=end) for n, (ticks, end) in enumerate(marks)]


def call() -> list[bytes]:
    """µ-law, A-law, a key, µ-law, comfort noise, nothing, an unknown type, L16: one SSRC, numbers going on."""
    sent = [packet(0, n, 80 * n, PCMU) for n in range(30)]
    sent += [packet(8, n, 80 * n, PCMA) for n in range(30, 60)]
    sent += key(60, 80 * 60, 5)
    sent += [packet(0, n, 80 * n, PCMU) for n in range(66, 90)]
    sent += [packet(13, 90, 80 * 90, b"\x40"), packet(0, 91, 80 * 91, b""), packet(127, 92, 80 * 92, bytes(60))]
    return sent + [packet(11, n, 441 * n, LINEAR) for n in range(93, 130)]


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_all_of_a_call_is_received_whatever_its_packets_hold(protocol: str, tmp_path: Path) -> None:
    sent = call()
    pcap = tmp_path / "server.pcapng"
    with quiet_server(protocol, pcap=pcap) as server:
        if protocol == "udp":
            send_udp(server.port, sent, interval=0.002)
        else:
            with socket.create_connection(("127.0.0.1", server.port)) as peer:
                send_tcp(peer, map(framed, sent), interval=0.002)
                until(lambda: server.stats.packets_received == len(sent), "all packets")
        until(lambda: server.stats.packets_received == len(sent), "all packets")
        keys = [one for one in server.events(timeout=0) if one.kind == "digit"]
        server.stop()
        stats = server.stats
    assert (stats.packets_lost, stats.packets_malformed, stats.resets) == (0, 0, 0)
    assert [(one.digit, one.duration, one.source.ssrc) for one in keys] == [("5", 0.06, 0x1234)]
    assert stats.sources[0].codec == "L16/44100/1"
    if protocol == "udp":
        (stream,) = rtp_streams(tshark("-r", pcap, "-d", f"udp.port=={server.port},rtp", "-q", "-z", "rtp,streams"))
        assert (stream.packets, stream.lost) == (stats.packets_received, stats.packets_lost)


def test_a_stream_may_begin_with_a_key() -> None:
    sent = [*key(0, 0, 11), *(packet(0, n, 80 * n, PCMU) for n in range(6, 40))]
    for protocol in ("udp", "tcp"):
        with quiet_server(protocol) as server:
            if protocol == "udp":
                send_udp(server.port, sent)
                until(lambda: server.stats.packets_received == len(sent), "all packets")
            else:
                with socket.create_connection(("127.0.0.1", server.port)) as peer:
                    send_tcp(peer, map(framed, sent))
                    until(lambda: server.stats.packets_received == len(sent), "all packets")
            stats = server.stats
            assert (stats.packets_lost, stats.packets_malformed) == (0, 0)
            assert stats.sources[0].codec == "PCMU/8000/1"
            assert [one.digit for one in server.events(timeout=0) if one.kind == "digit"] == ["#"]


def test_a_described_type_and_the_static_ones_take_turns(tmp_path: Path) -> None:
    described, port = tmp_path / "call.sdp", free_port()
    described.write_text(
        f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 96 97 98\r\n"
        "a=rtpmap:96 L16/8000\r\na=rtpmap:97 telephone-event/8000\r\na=rtpmap:98 CN/8000\r\n"
    )
    linear = bytes.fromhex("0fa0") * 80
    sent = [packet(96, n, 80 * n, linear) for n in range(20)]
    sent += [packet(8, n, 80 * n, PCMA) for n in range(20, 40)]
    sent += [event(40, 80 * 40, code=16, ticks=800, end=True, kind=97), packet(98, 41, 80 * 41, b"\x3c")]
    sent += [packet(96, n, 80 * n, linear) for n in range(42, 60)]
    with audiostream.AdvancedAudioServer(sdp=described, bind="127.0.0.1", output="null") as server:
        send_udp(port, sent)
        until(lambda: server.stats.packets_received == len(sent), "all packets")
        stats = server.stats
        assert (stats.packets_lost, stats.packets_malformed) == (0, 0)
        pressed = [(one.digit, one.duration) for one in server.events(timeout=0) if one.kind == "digit"]
        assert pressed == [("flash", 0.1)]


def test_what_is_not_understood_is_said_once_with_the_remedy(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="audiostream")

    def lines(part: str) -> list[str]:
        return [record.getMessage() for record in caplog.records if part in record.getMessage()]

    with quiet_server() as server:
        for n in range(50):
            send_udp(server.port, [packet(127, n, 960 * n, bytes(960)), b"\x01\x02" * 114, packet(9, n, n, bytes(80))])
        until(lambda: server.stats.packets_malformed == 150, "all of it")
        until(lambda: len(lines("neither RTP")) == 1, "the lines")
        until(lambda: len(lines("G722")) == 1, "the lines")
    assert lines("PT 127") == [
        "PT 127, 960 bytes, from 127.0.0.1: nothing says what it is: give its description with --sdp"
    ]
    (bare,) = lines("neither RTP")
    assert "228 bytes of neither RTP nor the classic wire" in bare
    assert "bare PCM must be sent in RTP" in bare
