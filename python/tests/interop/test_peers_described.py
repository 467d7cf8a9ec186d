"""Descriptions in files: ffmpeg hears what ours describes, ours what ffmpeg describes; both begin with the sender."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.documented import blocks
from harness.ports import free_pair, wait_open
from harness.signals import Samples, noise, read_wav, write_wav
from harness.wait import steady, until

RATE = 48_000


@pytest.mark.timeout(90)
def test_ffmpeg_plays_what_a_client_describes(tmp_path: Path) -> None:
    sent = noise(30 * RATE, 2)
    write_wav(tmp_path / "speech.wav", sent, RATE)
    block, port = blocks()["audiostream to ffmpeg, as described"], free_pair()
    with block.start(0, folder=tmp_path, port=port) as sender:
        until((tmp_path / "stream.sdp").exists, "the description")
        with block.start(1, folder=tmp_path, port=port) as receiver:
            receiver.succeeds()
        assert sender.interrupt() == 0, sender.errors
    came = read_wav(tmp_path / "heard.wav")
    assert len(came) == RATE
    is_part(came, sent)


@pytest.mark.timeout(90)
def test_a_server_plays_what_ffmpeg_describes(tmp_path: Path) -> None:
    sent = noise(6 * RATE, 2)
    write_wav(tmp_path / "speech.wav", sent, RATE)
    block, port = blocks()["ffmpeg to audiostream, as described"], free_pair()
    with block.start(0, folder=tmp_path, port=port) as sender:
        description = tmp_path / "stream.sdp"
        until(lambda: description.exists() and "rtpmap" in description.read_text(), "the description")
        with block.start(1, folder=tmp_path, port=port) as receiver:
            wait_open("udp", port)
            sender.succeeds()
            heard = tmp_path / "heard.wav"
            steady(lambda: heard.stat().st_size, "what is heard", quiet=0.7)
            assert receiver.interrupt() == 0, receiver.errors
    came = read_wav(heard)
    assert len(came) > RATE
    # From somewhere on, to the end.
    is_part(came, sent)
    assert np.array_equal(came[-1], sent[-1])


def is_part(came: Samples, sent: Samples) -> None:
    """It begins anywhere: where its first frame stands, all must follow."""
    starts = np.flatnonzero((sent[: len(sent) - len(came) + 1] == came[0]).all(axis=1))
    assert any(np.array_equal(sent[start : start + len(came)], came) for start in starts)
