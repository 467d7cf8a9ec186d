"""Packets made by hand, after RFC 3550 and the classic wire, so that no test trusts the code under test."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable, Sequence

RTP_HEADER_BYTES = 12
CLASSIC_HEADER_BYTES = 2


def classic(sequence: int, pcm: bytes) -> bytes:
    """The classic wire: 2-byte little-endian sequence number, then little-endian PCM."""
    return struct.pack("<H", sequence & 0xFFFF) + pcm


def rtp(
    sequence: int,
    timestamp: int,
    pcm: bytes,
    *,
    ssrc: int = 0x1234,
    payload_type: int = 11,
    marker: bool = False,
) -> bytes:
    """RTP (RFC 3550 section 5.1) with L16, to which `pcm` (little-endian) is turned round."""
    head = struct.pack(
        ">BBHII",
        0x80,
        payload_type | (0x80 if marker else 0),
        sequence & 0xFFFF,
        timestamp & 0xFFFFFFFF,
        ssrc,
    )
    return head + swapped(pcm)


def is_rtcp(packet: bytes) -> bool:
    """Whether a packet on a port of RTP is RTCP (RFC 5761 section 4)."""
    return len(packet) >= 8 and packet[0] >> 6 == 2 and 192 <= packet[1] <= 223


def rtcp(packet_type: int, body: bytes, *, count: int = 0) -> bytes:
    """One RTCP packet (RFC 3550 section 6): its header, then whole words."""
    return struct.pack(">BBH", 0x80 | count, packet_type, len(body) // 4) + body


def sender_report(ssrc: int, *, ntp: int = 0, timestamp: int = 0, packets: int = 0, octets: int = 0) -> bytes:
    """A sender report without blocks (section 6.4.1)."""
    return rtcp(200, struct.pack(">IQIII", ssrc, ntp, timestamp, packets, octets))


def receiver_report(reporter: int, ssrc: int, *, fraction: int = 0, lost: int = 0, jitter: int = 0) -> bytes:
    """A receiver report with one block (section 6.4.2)."""
    word = (fraction << 24) | (lost & 0xFFFFFF)
    return rtcp(201, struct.pack(">IIIIIII", reporter, ssrc, word, 0, jitter, 0, 0), count=1)


def goodbye(ssrc: int) -> bytes:
    """One source leaves (section 6.6), after a report without blocks, as section 6.1 wants."""
    return rtcp(201, struct.pack(">I", ssrc)) + rtcp(203, struct.pack(">I", ssrc), count=1)


def rtcp_types(compound: bytes) -> list[int]:
    """The packet types in a compound, whose lengths must add up."""
    types: list[int] = []
    while compound:
        version, packet_type, words = struct.unpack_from(">BBH", compound)
        assert version >> 6 == 2
        types.append(packet_type)
        assert len(compound) >= 4 + 4 * words
        compound = compound[4 + 4 * words :]
    return types


def framed(packet: bytes) -> bytes:
    """RFC 4571: a 16-bit length, then the packet."""
    return struct.pack(">H", len(packet)) + packet


def swapped(pcm: bytes) -> bytes:
    """Every 16-bit sample in the other byte order."""
    turned = bytearray(pcm)
    turned[0::2], turned[1::2] = pcm[1::2], pcm[0::2]
    return bytes(turned)


def sequence_of(wire: str, packet: bytes) -> int:
    """The sequence number in a packet."""
    if wire == "rtp":
        return struct.unpack_from(">H", packet, 2)[0]
    return struct.unpack_from("<H", packet, 0)[0]


def payload_of(wire: str, packet: bytes) -> bytes:
    """The little-endian PCM in a packet."""
    return swapped(packet[RTP_HEADER_BYTES:]) if wire == "rtp" else packet[CLASSIC_HEADER_BYTES:]


def packets(
    wire: str,
    pcm: bytes,
    *,
    sequence: int,
    frames: int = 441,
    channels: int = 1,
    timestamp: int = 0,
    ssrc: int = 0x1234,
) -> list[bytes]:
    """`pcm` as packets of `frames` frames, numbered from `sequence`."""
    step = frames * channels * 2
    made: list[bytes] = []
    for number, start in enumerate(range(0, len(pcm) - step + 1, step)):
        part = pcm[start : start + step]
        if wire == "rtp":
            payload_type = 11 if channels == 1 else 10
            made.append(rtp(sequence + number, timestamp + number * frames, part, ssrc=ssrc, payload_type=payload_type))
        else:
            made.append(classic(sequence + number, part))
    return made


def send_udp(
    port: int, datagrams: Sequence[bytes], *, interval: float = 0.0, source: socket.socket | None = None
) -> None:
    """Sends `datagrams` to this machine's `port`, one every `interval` seconds by the clock (0: at once)."""
    own = source or socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        start = time.monotonic()
        for number, datagram in enumerate(datagrams):
            wait = start + number * interval - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            own.sendto(datagram, ("127.0.0.1", port))
    finally:
        if source is None:
            own.close()


def send_tcp(connection: socket.socket, pieces: Iterable[bytes], *, interval: float = 0.0) -> None:
    """Writes `pieces` to a connection, one every `interval` seconds by the clock (0: at once)."""
    start = time.monotonic()
    for number, piece in enumerate(pieces):
        wait = start + number * interval - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        connection.sendall(piece)
