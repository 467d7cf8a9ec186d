"""Redundancy from the outside: what goes over the wire, what is counted and logged, what is refused and why."""

from __future__ import annotations

import csv
import socket
from pathlib import Path
from typing import Any

import pytest

import audiostream
from audiostream.cli import client_options, client_parser
from harness.signals import noise, write_wav


def sent(tmp_path: Path, rate: int = 44_100, **options: Any) -> tuple[list[bytes], audiostream.ClientStats]:
    """The RTP packets of a quarter of a second of noise in order, and the figures: no socket buffer is too small."""
    source = write_wav(tmp_path / "in.wav", noise(rate // 4), rate)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(5)
        port = ear.getsockname()[1]
        with audiostream.AudioClient(
            "udp", "127.0.0.1", port, input=f"file:{source}", rate=rate, packet_log=tmp_path / "log.csv", **options
        ) as client:
            client.run()
            stats = client.stats
        packets: list[bytes] = []
        ear.setblocking(False)
        while True:
            try:
                packet = ear.recv(2048)
            except BlockingIOError:
                break
            # Not the reports (RFC 5761).
            if not 192 <= packet[1] <= 223:
                packets.append(packet)
    return packets, stats


def sequence(packet: bytes) -> int:
    return int.from_bytes(packet[2:4], "big")


def verdicts(tmp_path: Path) -> list[str]:
    with (tmp_path / "log.csv").open(newline="") as log:
        return [line["verdict"] for line in csv.DictReader(log)]


def test_small_packets_hold_copies_of_earlier_ones(tmp_path: Path) -> None:
    packets, stats = sent(tmp_path, 8_000, codec="pcmu", redundancy=2, spacing=3)
    assert [packet[1] & 0x7F for packet in packets] == [0] * 3 + [116] * 22
    assert (stats.packets_sent, stats.copies_sent) == (25, 22 + 19)
    assert stats.bytes_sent == sum(map(len, packets))
    last, third, sixth = packets[-1], packets[-4], packets[-7]
    # Two headers of older blocks, the newest's, and the blocks, oldest first.
    assert len(last) == 12 + 4 + 4 + 1 + 3 * 80
    assert last[12:20] == bytes(
        [0x80, *(480 << 10 | 80).to_bytes(3, "big"), 0x80, *(240 << 10 | 80).to_bytes(3, "big")]
    )
    assert last[21:181] == sixth[-80:] + third[-80:]
    assert verdicts(tmp_path) == ["sent"] * 25


def test_large_packets_go_again_in_a_stream_of_copies(tmp_path: Path) -> None:
    packets, stats = sent(tmp_path, redundancy=1, spacing=4)
    assert (stats.packets_sent, stats.copies_sent) == (25, 25)
    assert stats.bytes_sent == sum(map(len, packets)) == 50 * 894
    first = int.from_bytes(packets[0][8:12], "big")
    copies = [packet for packet in packets if int.from_bytes(packet[8:12], "big") == first ^ 0xFFFF_FFFF]
    originals = [packet for packet in packets if packet not in copies]
    assert [packet[:8] + packet[12:] for packet in copies] == [packet[:8] + packet[12:] for packet in originals]
    assert packets.index(copies[0]) == packets.index(originals[4]) + 1
    # The last four are owed at the end.
    assert packets[-4:] == copies[-4:]
    assert verdicts(tmp_path).count("copy") == 25
    assert verdicts(tmp_path)[-4:] == ["copy"] * 4


@pytest.mark.parametrize(("rate", "options"), [(44_100, {}), (48_000, {"ptime": 5, "spacing": 2})])
def test_low_rate_opus_goes_beside_pcm(rate: int, options: dict[str, Any], tmp_path: Path) -> None:
    packets, stats = sent(tmp_path, rate, redundancy="opus", **options)
    assert stats.copies_sent == stats.packets_sent - options.get("spacing", 1)
    red = [packet for packet in packets if packet[1] & 0x7F == 116]
    assert len(red) == stats.copies_sent
    for packet in red:
        assert packet[12] == 0x80 | 111
        assert len(packet) <= 1400


def test_nothing_goes_again_while_nobody_reports_losses(tmp_path: Path) -> None:
    packets, stats = sent(tmp_path, redundancy="auto")
    assert (len(packets), stats.copies_sent) == (25, 0)


def test_a_bad_network_loses_copies_too(tmp_path: Path) -> None:
    packets, stats = sent(tmp_path, redundancy=1, network="loss=30,seed=7")
    assert stats.packets_sent == stats.copies_sent == 25
    copies = sum(packet[8:12] != packets[0][8:12] for packet in packets)
    assert 10 < copies < 25
    assert {sequence(packet) for packet in packets} > {sequence(p) for p in packets if p[8:12] == packets[0][8:12]}


def test_the_description_tells_of_copies() -> None:
    def lines(**options: Any) -> list[str]:
        with audiostream.AudioClient("udp", "127.0.0.1", 5010, input="tone", **options) as client:
            return [*client.sdp().split("\r\n"), f"{client.ssrc}"]

    blocks = lines(codec="opus", redundancy=1, ptime=20)
    assert "a=rtpmap:116 red/48000/2" in blocks
    assert "a=fmtp:116 111/111" in blocks
    streams = lines(redundancy=1, spacing=3)
    assert f"a=ssrc-group:DUP {streams[-1]} {int(streams[-1]) ^ 0xFFFF_FFFF}" in streams
    assert "a=duplication-delay:30" in streams
    assert "a=fmtp:116 11/111" in lines(redundancy="opus")


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"redundancy": 5}, "0 to 4"),
        ({"redundancy": -1}, "0 to 4"),
        ({"redundancy": "much"}, "'auto'"),
        ({"redundancy": 1, "spacing": 0}, "1 to 50"),
        ({"redundancy": 1, "spacing": 51}, "1 to 50"),
        ({"redundancy": 1, "spacing": 300}, "spacing"),
        ({"redundancy": 1, "wire": "classic"}, "wire='rtp'"),
        ({"redundancy": "auto", "protocol": "tcp"}, "protocol='udp'"),
        ({"redundancy": "opus", "codec": "pcmu"}, "codec='l16'"),
        ({"redundancy": "opus", "channels": 2}, "rate=48000 with ptime=5"),
        ({"redundancy": "opus", "rate": 48_000, "ptime": 5}, "spacing=2"),
    ],
)
def test_what_cannot_be_says_what_can(options: dict[str, Any], advice: str) -> None:
    with pytest.raises(audiostream.ConfigError, match=advice):
        audiostream.AudioClient(**{"input": "tone", **options})


def test_the_scripts_take_the_same_words() -> None:
    def options(*words: str) -> dict[str, Any]:
        return client_options(client_parser().parse_args(words))

    assert (options()["redundancy"], options()["spacing"]) == (0, 1)
    told = options("--redundancy", "2", "--spacing", "5")
    assert (told["redundancy"], told["spacing"]) == (2, 5)
    assert options("--redundancy", "auto")["redundancy"] == "auto"
