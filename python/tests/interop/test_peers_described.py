"""Descriptions in files: others hear what ours describes, ours what ffmpeg describes; all begin with the sender."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from harness.documented import GCM, KEY_FILE, blocks
from harness.ports import free_pair, wait_open
from harness.programs import Program
from harness.signals import Samples, noise, read_wav, write_wav
from harness.wait import steady, until


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    ("title", "rate", "channels"),
    [("audiostream to ffmpeg, as described", 48_000, 2), ("audiostream to ffmpeg, sealed", 44_100, 1)],
)
def test_ffmpeg_plays_what_a_client_describes(title: str, rate: int, channels: int, tmp_path: Path) -> None:
    sent = noise(30 * rate, channels)
    write_wav(tmp_path / "speech.wav", sent, rate)
    block, port = blocks()[title], free_pair()
    block.prepare(tmp_path, port)
    description = tmp_path / "stream.sdp"
    with block.start(0, folder=tmp_path, port=port, figures="sent.json") as sender:
        until(lambda: description.exists() and description.read_bytes().endswith(b"\r\n"), "the description")
        with block.start(1, folder=tmp_path, port=port) as receiver:
            receiver.succeeds()
        assert sender.interrupt() == 0, sender.errors
    if (tmp_path / KEY_FILE).exists():
        assert (tmp_path / KEY_FILE).read_text().strip() in description.read_text()
        assert stat.S_IMODE(description.stat().st_mode) == 0o600
    came = read_wav(tmp_path / "heard.wav")
    assert len(came) == rate
    is_part(came, sent)


@pytest.mark.timeout(90)
@pytest.mark.parametrize("words", [{}, GCM], ids=["AES-CM", "GCM"])
def test_gstreamer_plays_what_a_client_seals(words: Mapping[str, str], tmp_path: Path) -> None:
    sent = noise(30 * 44_100)
    write_wav(tmp_path / "speech.wav", sent)
    block, port = blocks()["audiostream to GStreamer, sealed"].changed(words), free_pair()
    block.prepare(tmp_path, port)
    description, heard = tmp_path / "stream.sdp", tmp_path / "heard.wav"
    with block.start(0, folder=tmp_path, port=port) as sender:
        until(lambda: description.exists() and description.read_bytes().endswith(b"\r\n"), "the description")
        with block.start(1, folder=tmp_path, port=port) as receiver:
            until(lambda: heard.exists() and heard.stat().st_size > 100_000, "sound")
            assert receiver.interrupt() == 0, receiver.errors
        assert sender.interrupt() == 0, sender.errors
    assert "crypto" not in description.read_text()
    is_part(read_wav(heard), sent)


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    ("title", "rate", "channels"),
    [
        ("ffmpeg to audiostream, as described", 48_000, 2),
        ("ffmpeg to audiostream, sealed and described", 44_100, 1),
    ],
)
def test_a_server_plays_what_ffmpeg_describes(title: str, rate: int, channels: int, tmp_path: Path) -> None:
    sent = noise(6 * rate, channels)
    write_wav(tmp_path / "speech.wav", sent, rate)
    block, port = blocks()[title], free_pair()
    block.prepare(tmp_path, port)
    with block.start(0, folder=tmp_path, port=port) as sender:
        description = tmp_path / "stream.sdp"
        last = "crypto" if (tmp_path / KEY_FILE).exists() else "rtpmap"
        until(lambda: description.exists() and last in description.read_text(), "the description")
        with block.start(1, folder=tmp_path, port=port, figures="heard.json") as receiver:
            came = all_of(sender, receiver, tmp_path, port)
    assert json.loads((tmp_path / "heard.json").read_text())["packets_unauthentic"] == 0
    assert len(came) > rate
    # From somewhere on, to the end.
    is_part(came, sent)
    assert np.array_equal(came[-1], sent[-1])


def all_of(sender: Program, receiver: Program, folder: Path, port: int) -> Samples:
    """What is heard until the sender has ended."""
    wait_open("udp", port)
    sender.succeeds()
    heard = folder / "heard.wav"
    steady(lambda: heard.stat().st_size, "what is heard", quiet=0.7)
    assert receiver.interrupt() == 0, receiver.errors
    return read_wav(heard)


def is_part(came: Samples, sent: Samples) -> None:
    """It begins anywhere: where its first frame stands, all must follow."""
    assert len(came) > 0
    starts = np.flatnonzero((sent[: len(sent) - len(came) + 1] == came[0]).all(axis=1))
    assert any(np.array_equal(sent[start : start + len(came)], came) for start in starts)
