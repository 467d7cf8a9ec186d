"""RTCP with other programs: what they say of our stream, what we learn of theirs, and their goodbye."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

import audiostream
from harness.documented import blocks
from harness.ports import free_pair, wait_open
from harness.programs import Program
from harness.signals import noise, write_wav
from harness.wait import steady, until


@pytest.mark.timeout(60)
def test_rtpbin_reads_our_reports_and_we_read_its(tmp_path: Path) -> None:
    # More than is needed: the client is stopped.
    write_wav(tmp_path / "speech.wav", noise(30 * 44_100))
    block, port = blocks()["audiostream to GStreamer, with reports"], free_pair()
    with block.start(0, folder=tmp_path, port=port, env={"GST_DEBUG": "rtpsession:5"}) as receiver:
        wait_open("udp", port)
        with block.start(1, folder=tmp_path, port=port) as sender:
            # The first may come before the client listens on the port above; they are 2 to 6 s apart (RFC 3550 §6.2).
            until(lambda: receiver.errors.count("sending RTCP packet") >= 2, "two of its reports")
            steady(lambda: receiver.errors.count("sending RTCP packet"), "its reports")
            assert sender.interrupt() == 0, sender.errors
        until(lambda: "got BYE packet" in receiver.errors, "our goodbye")
        receiver.interrupt()
        assert "got SR packet" in receiver.errors
        assert "got SDES packet" in receiver.errors
    remote = json.loads((tmp_path / "sent.json").read_text())["remote"]
    assert remote["reports"] >= 1
    # GStreamer counts from the second packet of a source, so that the first makes up for one lost.
    assert remote["packets_lost"] in (-1, 0)
    assert 0 <= remote["round_trip_ms"] < 1_000


@pytest.mark.timeout(60)
def test_rtpbin_is_known_by_name_and_its_goodbye_is_heard(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_wav(tmp_path / "speech.wav", noise(4 * 44_100))
    block, port = blocks()["GStreamer to audiostream, with reports"], free_pair()
    # Whether its process ends by itself is its own affair: now and then it does not.
    with listening(port, caplog) as server, block.start(1, folder=tmp_path, port=port):
        until(lambda: any(source.cname for source in server.stats.sources), "its name")
        says_goodbye(server, caplog)


@pytest.mark.timeout(60)
def test_ffmpeg_is_known_by_name_and_its_goodbye_is_heard(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_wav(tmp_path / "speech.wav", noise(2 * 44_100))
    port = free_pair()
    command = ["ffmpeg", "-v", "error", "-re", "-i", "speech.wav", "-c:a", "pcm_s16be"]
    command += ["-cname", "studio", "-rtpflags", "send_bye", "-f", "rtp", f"rtp://127.0.0.1:{port}"]
    with listening(port, caplog) as server, Program(command, folder=tmp_path) as sender:
        sender.succeeds()
        until(lambda: [source.cname for source in server.stats.sources] == ["studio"], "its name")
        says_goodbye(server, caplog)


def listening(port: int, caplog: pytest.LogCaptureFixture) -> audiostream.AdvancedAudioServer:
    """A server whose log is kept."""
    caplog.set_level(logging.INFO, logger="audiostream")
    return audiostream.AdvancedAudioServer(port=port, bind="127.0.0.1", output="null")


def says_goodbye(server: audiostream.AdvancedAudioServer, caplog: pytest.LogCaptureFixture) -> None:
    """The source is known to have gone, its reports to have been read."""
    until(lambda: "goodbye" in caplog.text, "its goodbye")
    assert server.stats.packets_lost == 0
    assert server.stats.packets_malformed == 0
