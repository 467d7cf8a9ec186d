"""Wireshark's figures and ours, of the same packets; and its dissector of the classic wire."""

from __future__ import annotations

import shlex
import shutil
import socket
from pathlib import Path

import pytest

import audiostream
from harness.capture import Capture, can_capture, rtp_streams, tshark
from harness.documented import blocks, here
from harness.packets import classic, packets, send_udp
from harness.pcm import pcm_noise
from harness.programs import Program
from harness.scripts import ROOT
from harness.signals import noise, write_wav
from harness.streams import quiet_server
from harness.wait import until

DISSECTOR = ROOT / "docs" / "audiostream.lua"

pytestmark = pytest.mark.skipif(not can_capture(), reason="this user may not capture packets")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("codec", "rate", "seed"), [("l16", 44_100, 3), ("l16", 44_100, 4), ("pcmu", 8_000, 3)])
def test_loss_is_wiresharks_and_so_is_mean_jitter(codec: str, rate: int, seed: int, tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", noise(3 * rate), rate)
    with quiet_server() as server:
        with Capture(server.port, tmp_path) as capture:
            bad = f"loss=4,jitter=15,seed={seed}"
            sound = {"codec": codec, "rate": rate, "input": f"file:{source}"}
            with audiostream.AudioClient(port=server.port, network=bad, **sound) as client:
                client.run()
        printed = tshark_counts(capture, server.port)
        (seen,) = rtp_streams(printed)
        until(lambda: server.stats.packets_received >= seen.packets, "what tshark saw")
        stats = server.stats
    assert stats.packets_lost > 3
    assert stats.jitter_mean_ms > 5
    assert (stats.packets_received, stats.packets_lost) == (seen.packets, seen.lost)
    assert stats.jitter_mean_ms == pytest.approx(seen.mean_jitter_ms, rel=0.01, abs=0.02)


@pytest.mark.timeout(60)
def test_the_dissector_shows_every_classic_packet(tmp_path: Path) -> None:
    sent = packets("classic", pcm_noise(20 * 882), sequence=65_530, frames=882)
    capture = captured(tmp_path, sent)
    fields = tshark(
        *("-X", f"lua_script:{DISSECTOR}", "-r", capture, "-Y", "audiostream", "-T", "fields"),
        *("-e", "audiostream.sequence", "-e", "audiostream.chunks", "-e", "audiostream.samples"),
    )
    rows = [line.split("\t") for line in fields.splitlines()]
    assert [int(row[0]) for row in rows] == [(65_530 + number) % 65_536 for number in range(20)]
    assert {row[1] for row in rows} == {"2"}
    assert [bytes.fromhex(row[2]) for row in rows] == [packet[2:] for packet in sent]


@pytest.mark.timeout(60)
def test_the_dissector_leaves_other_packets_alone_unless_told(tmp_path: Path) -> None:
    odd = [classic(7, b"\1\2" * 100), *packets("classic", pcm_noise(441 * 2 * 16), sequence=1, frames=441 * 16)]
    capture = captured(tmp_path, [*odd, *packets("rtp", pcm_noise(4410), sequence=1), b"\0"])
    lua = ("-X", f"lua_script:{DISSECTOR}", "-r", capture, "-Y", "audiostream", "-T", "fields")
    assert not tshark(*lua, "-e", "audiostream.sequence").strip()
    # 100 frames are no whole number of chunks, and are said to be none.
    port = "-d", f"udp.port=={port_of(capture)},audiostream"
    told = tshark(*lua, *port, "-e", "audiostream.sequence", "-e", "audiostream.chunks").splitlines()
    assert told[0].split("\t") == ["7", ""]
    # At 1 kHz in one channel a chunk has 10 frames.
    small = tshark(*lua, *port, "-o", "audiostream.chunk:20", "-e", "audiostream.chunks").splitlines()
    assert small[0] == "10"


@pytest.mark.timeout(60)
def test_the_documented_line_for_the_classic_wire(tmp_path: Path) -> None:
    captured(tmp_path, packets("classic", pcm_noise(5 * 441), sequence=9))
    shutil.copy(DISSECTOR, tmp_path)
    with blocks()["The classic wire"].start(0, folder=tmp_path, port=1) as shown:
        shown.succeeds()
    assert [line.split("Sequence=")[1].split(",")[0] for line in shown.output.splitlines()] == list("9") + [
        str(number) for number in range(10, 14)
    ]


def tshark_counts(capture: Capture, port: int) -> str:
    """What the documented line prints."""
    line = here(blocks()["tshark counts an RTP stream"].lines[0], port)
    with Program(shlex.split(line), folder=capture.path.parent) as counting:
        return counting.succeeds().output


def captured(folder: Path, datagrams: list[bytes]) -> Path:
    """A capture of these packets."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        with Capture(sink.getsockname()[1], folder) as capture:
            send_udp(sink.getsockname()[1], datagrams, interval=0.001)
    return capture.path


def port_of(capture: Path) -> int:
    """To which port the first packet went."""
    return int(tshark("-r", capture, "-c", "1", "-T", "fields", "-e", "udp.dstport"))
