"""Every block of docs/interop.md, run: what goes in at one end comes out at the other, bit by bit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from harness.documented import Block, blocks
from harness.ports import free_pair, wait_open
from harness.signals import Samples, noise, read_wav, write_wav
from harness.wait import steady, until

SECONDS = 2
HEADER = 1000


@dataclass(frozen=True)
class Stream:
    """What a block is to carry."""

    rate: int = 44_100
    channels: int = 1
    short_by: int = 0
    """Frames at the end that the receiver may keep to itself."""

    def sound(self) -> Samples:
        """Noise: one bit off is seen."""
        return noise(SECONDS * self.rate, self.channels)


STREAMS = {
    "ffmpeg to audiostream": Stream(),
    "ffmpeg to audiostream, two channels at 48 kHz": Stream(48_000, 2),
    "audiostream to ffmpeg": Stream(),
    "audiostream to ffmpeg, two channels at 48 kHz": Stream(48_000, 2),
    "GStreamer to audiostream": Stream(),
    "audiostream to GStreamer": Stream(),
    "GStreamer to audiostream over TCP": Stream(),
    "audiostream to GStreamer over TCP": Stream(),
    # It does not send the last second of a file, and keeps a packet received until the next one is there.
    "VLC to audiostream": Stream(short_by=66_150),
    "audiostream to VLC": Stream(short_by=441),
}
STEREO = [title for title in STREAMS if ("ffmpeg" in title or "GStreamer" in title) and "two channels" not in title]
CASES = {**STREAMS, **{f"{title}, stereo": Stream(channels=2) for title in STEREO}}
ELSEWHERE = {
    *("audiostream to GStreamer, with reports", "GStreamer to audiostream, with reports"),
    *("tshark counts an RTP stream", "The classic wire"),
}


def test_every_block_is_run() -> None:
    assert set(blocks()) == set(STREAMS) | ELSEWHERE


@pytest.fixture(scope="module")
def heard(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Samples]]]:
    """What was heard of each block that is asked for. No result depends on when things happen: some run together."""
    cases = [getattr(item, "callspec", None) for item in request.session.items if "heard" in fixtures(item)]
    asked = [case.params["title"] for case in cases if case is not None]
    with ThreadPoolExecutor(4) as pool:
        yield {title: pool.submit(run, block_of(title), CASES[title]) for title in asked}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("title", CASES)
def test_it_arrives_bit_exact(title: str, heard: dict[str, Future[Samples]]) -> None:
    stream = CASES[title]
    sent = stream.sound()
    came = heard[title].result()
    assert len(sent) - stream.short_by <= len(came) <= len(sent)
    assert np.array_equal(came, sent[: len(came)])


def block_of(case: str) -> Block:
    """The block of a case, changed where the case says so."""
    title = case.removesuffix(", stereo")
    return blocks()[title] if title == case else blocks()[title].with_two_channels()


def run(block: Block, stream: Stream) -> Samples:
    """Runs both lines in a folder of their own, and returns what the receiver wrote."""
    # Not pytest's folder: that is closed to the user under which VLC runs.
    with tempfile.TemporaryDirectory(prefix="interop-") as name:
        folder, port = Path(name), free_pair()
        folder.chmod(0o777)
        write_wav(folder / "speech.wav", stream.sound(), stream.rate)
        block.write_description(folder, port)
        with block.start(0, folder=folder, port=port) as receiver:
            wait_open("tcp" if block.is_tcp else "udp", port)
            with block.start(1, folder=folder, port=port) as sender:
                if sender.name != "cvlc":
                    sender.succeeds()
                # VLC does not end with its file, and pauses once at its beginning.
                output = folder / "heard.wav"
                until(lambda: output.exists() and output.stat().st_size > HEADER, "any sound")
                steady(lambda: output.stat().st_size, "what is heard", quiet=0.7)
                sender.interrupt()
            status = receiver.interrupt()
            if receiver.name == "audiostream":
                assert status == 0, receiver.errors
        return read_wav(output)


def fixtures(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])
