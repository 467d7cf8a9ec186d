"""Every block of docs/interop.md, run: what goes in at one end comes out at the other, bit by bit where that can be."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.documented import A_LAW, GCM, KEYGEN, OPUS_OF_TWO, TWO_CHANNELS, Block, blocks
from harness.ports import free_pair, wait_open
from harness.signals import Samples, correlation, g711_noise, noise, read_wav, speech, write_wav
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
    words: Mapping[str, str] = field(default_factory=dict[str, str])
    """What else the block's lines say."""
    law: str | None = None
    """G.711's, of which the sound is a decoded one."""
    opus: Opus | None = None

    def sound(self) -> Samples:
        """Noise: one bit off is seen. For Opus, speech, another one on each channel."""
        frames = SECONDS * self.rate
        if self.opus is not None:
            said = speech(SECONDS, self.rate)
            return np.stack([said, np.roll(said[::-1], 7_000)][: self.channels], axis=1)
        if self.law is not None:
            # GStreamer writes 64 kB at a time.
            return g711_noise(self.law, 3 * frames)
        return noise(frames, self.channels)


@dataclass(frozen=True)
class Opus:
    """What comes of speech."""

    alike: float
    """The correlation at least."""
    frames: int
    """Of the packets, that are 20 ms for others and 10 for us."""


# ffmpeg and GStreamer code two seconds and the 6.5 ms that the codec looks ahead, as music; GStreamer has the first
# packet played without those 6.5 ms. Ours is made for voices.
FROM_FFMPEG, FROM_GSTREAMER, OURS = Opus(0.98, 101 * 960), Opus(0.98, 101 * 960 - 312), Opus(0.87, 201 * 480)
TELEPHONE = {
    "ffmpeg to audiostream, G.711": Stream(8_000, law="mu"),
    "audiostream to ffmpeg, G.711": Stream(8_000, law="mu"),
    "GStreamer to audiostream, G.711": Stream(8_000, law="mu"),
    "audiostream to GStreamer, G.711": Stream(8_000, law="mu"),
    "VLC to audiostream, G.711": Stream(8_000, law="mu", short_by=12_000),
    "audiostream to VLC, G.711": Stream(8_000, law="mu", short_by=80),
}
OPUS = {
    "ffmpeg to audiostream, Opus": Stream(48_000, opus=FROM_FFMPEG),
    "audiostream to ffmpeg, Opus": Stream(48_000, opus=OURS),
    "GStreamer to audiostream, Opus": Stream(48_000, opus=FROM_GSTREAMER),
    "audiostream to GStreamer, Opus": Stream(48_000, opus=OURS),
}
LINEAR = {
    "ffmpeg to audiostream": Stream(),
    "audiostream to ffmpeg": Stream(),
    "GStreamer to audiostream": Stream(),
    "audiostream to GStreamer": Stream(),
    "GStreamer to audiostream over TCP": Stream(),
    "audiostream to GStreamer over TCP": Stream(),
    "ffmpeg to audiostream, sealed": Stream(),
    "GStreamer to audiostream, sealed": Stream(),
}
STREAMS = {
    **LINEAR,
    **TELEPHONE,
    **OPUS,
    "ffmpeg to audiostream, two channels at 48 kHz": Stream(48_000, 2),
    "audiostream to ffmpeg, two channels at 48 kHz": Stream(48_000, 2),
    "GStreamer to audiostream, two channels at 48 kHz": Stream(48_000, 2),
    "ffmpeg to audiostream, 24 bits": Stream(48_000, 2),
    "GStreamer to audiostream, 24 bits": Stream(48_000, 2),
    # It does not send the last second of a file, and keeps a packet received until the next one is there.
    "VLC to audiostream": Stream(short_by=66_150),
    "audiostream to VLC": Stream(short_by=441),
}
CASES = {
    **STREAMS,
    **{f"{title}; stereo": replace(stream, channels=2, words=TWO_CHANNELS) for title, stream in LINEAR.items()},
    **{f"{title}; stereo": replace(stream, channels=2, words=OPUS_OF_TWO) for title, stream in OPUS.items()},
    "GStreamer to audiostream, sealed; GCM": Stream(words=GCM),
    **{f"{title}; A-law": replace(stream, law="A", words=A_LAW) for title, stream in TELEPHONE.items()},
}
ELSEWHERE = {
    *("audiostream to GStreamer, with reports", "GStreamer to audiostream, with reports"),
    *("audiostream to ffmpeg, as described", "ffmpeg to audiostream, as described"),
    *("audiostream to ffmpeg, sealed", "ffmpeg to audiostream, sealed and described"),
    *("audiostream to GStreamer, sealed", KEYGEN),
    *("GStreamer to audiostream, Opus with pauses",),
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


@pytest.mark.timeout(240)
@pytest.mark.parametrize("title", [title for title, stream in CASES.items() if stream.opus is None])
def test_it_arrives_bit_exact(title: str, heard: dict[str, Future[Samples]]) -> None:
    stream = CASES[title]
    sent = stream.sound()
    came = heard[title].result()
    assert len(sent) - stream.short_by <= len(came) <= len(sent)
    assert np.array_equal(came, sent[: len(came)])


@pytest.mark.timeout(240)
@pytest.mark.parametrize("title", [title for title, stream in CASES.items() if stream.opus is not None])
def test_it_sounds_like_what_was_sent(title: str, heard: dict[str, Future[Samples]]) -> None:
    stream = CASES[title]
    assert stream.opus is not None
    sent, came = stream.sound(), heard[title].result()
    assert came.shape == (stream.opus.frames, stream.channels)
    edge = stream.rate // 10
    for channel in range(stream.channels):
        alike, lag = correlation(sent[edge:-edge, channel], came[:, channel])
        assert alike >= stream.opus.alike
        # The codec looks ahead by 6.5 ms.
        assert edge <= lag <= edge + stream.rate // 150


def block_of(case: str) -> Block:
    """The block of a case, changed where the case says so."""
    return blocks()[case.partition(";")[0]].changed(CASES[case].words)


def run(block: Block, stream: Stream) -> Samples:
    """Runs both lines in a folder of their own, and returns what the receiver wrote."""
    # Not pytest's folder: that is closed to the user under which VLC runs.
    with tempfile.TemporaryDirectory(prefix="interop-") as name:
        folder, port = Path(name), free_pair()
        folder.chmod(0o777)
        write_wav(folder / "speech.wav", stream.sound(), stream.rate)
        block.prepare(folder, port)
        with block.start(0, folder=folder, port=port, figures="heard.json") as receiver:
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
                nothing_is_missing(json.loads((folder / "heard.json").read_text()))
        return read_wav(output)


def nothing_is_missing(figures: dict[str, Any]) -> None:
    """What our server says of a whole stream."""
    assert len(figures["sources"]) == 1
    for key in ("lost", "late", "malformed", "duplicated", "reordered", "dropped_local", "unauthentic"):
        assert figures[f"packets_{key}"] == 0, key
    assert figures["frames_concealed"] == 0


def fixtures(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])
