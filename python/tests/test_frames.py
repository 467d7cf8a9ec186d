"""Frames for programs: what was played or came, block by block."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import threading
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import audiostream
from audiostream import AdvancedAudioServer, AudioClient, Frame, Frames
from harness.signals import read_wav
from harness.streams import quiet_server
from harness.wait import until


def client(server: AdvancedAudioServer, source: Path | str, **options: Any) -> AudioClient:
    """A client that sends a file, or what its name says, to the server."""
    given = f"file:{source}" if isinstance(source, Path) else source
    return AudioClient(host="127.0.0.1", port=server.port, input=given, **options)


def to_a_file(folder: Path, **options: Any) -> AdvancedAudioServer:
    """A server that plays everything, however late: what comes out does not depend on this machine's haste."""
    return quiet_server(output=f"file:{folder}/heard.wav", **options)


def collect(frames: Frames) -> tuple[list[Frame], threading.Thread]:
    """All that comes until it is over, taken by a thread."""
    taken: list[Frame] = []
    thread = threading.Thread(target=lambda: taken.extend(frames))
    thread.start()
    return taken, thread


def joined(frames: Iterable[Frame]) -> np.ndarray:
    return np.concatenate([frame.samples for frame in frames])


@pytest.mark.parametrize("channels", [1, 2])
def test_an_unharmed_source_comes_as_it_was_sent_from_its_first_frame_to_its_last(
    noise_wav: dict[int, Path], tmp_path: Path, channels: int
) -> None:
    with to_a_file(tmp_path, channels=channels) as server, ExitStack() as stack:
        taken, thread = collect(server.frames(each=True, block_frames=300))
        clients = [stack.enter_context(client(server, noise_wav[channels], channels=channels)) for _ in range(2)]
        for one in clients:
            assert one.wait(20)
            one.stop()
        until(lambda: server.stats.frames_played == 100_000, "the last frame")
        server.stop()
        thread.join(10)
    sent = read_wav(noise_wav[channels])
    sources = {frame.source for frame in taken}
    assert {source.ssrc for source in sources} == {one.ssrc for one in clients}
    for source in sources:
        own = [frame for frame in taken if frame.source == source]
        assert np.array_equal(joined(own), sent.reshape(-1, channels))
        assert all(frame.lost is None and frame.dropped == 0 and frame.rate == 44_100 for frame in own)
        assert all(len(frame) == 300 for frame in own[:-1])
        steps = {(b.timestamp - a.timestamp) % 2**32 for a, b in itertools.pairwise(own)}
        assert steps == {300}
        times = [frame.time for frame in own]
        assert times == sorted(times)


def test_what_was_lost_is_marked_in_its_place(noise_wav: dict[int, Path], tmp_path: Path) -> None:
    with to_a_file(tmp_path, delay=100) as server:
        taken, thread = collect(server.frames(each=True, block=7))
        mix, mixing = collect(server.frames(block=20))
        with client(server, noise_wav[1], network="loss=10,seed=3") as one:
            assert one.wait(20)
        until(lambda: server.stats.frames_played + server.stats.frames_concealed >= 49_000, "playout")
        server.stop()
        thread.join(10)
        mixing.join(10)
        stats = server.stats
    assert stats.frames_concealed > 0
    sent = read_wav(noise_wav[1])[:, 0]
    for frames in (taken, mix):
        heard = joined(frames)[:, 0]
        lost = np.concatenate([np.zeros(len(f), bool) if f.lost is None else f.lost for f in frames])
        assert lost.sum() == stats.frames_concealed
        # The first packet may be among the lost.
        begin = next(at for at in range(0, 10 * 441, 441) if np.array_equal(sent[at : at + 9], heard[:9]))
        assert np.array_equal(heard[~lost], sent[begin : begin + len(heard)][~lost])
        assert not heard[lost].any(), "a file has silence there"


def test_live_what_was_lost_is_concealed_and_marked(speech_wav: Path) -> None:
    with quiet_server(delay=100) as server:
        taken, thread = collect(server.frames(each=True))
        with client(server, speech_wav, network="loss=10,seed=3") as one:
            one.wait(2)
        server.stop()
        thread.join(10)
        concealed = server.stats.frames_concealed
    lost = [frame for frame in taken if frame.lost is not None]
    marked = sum(int(frame.lost.sum()) for frame in lost)
    # What was put in for a packet that came after all is marked, and is not among those counted.
    assert 0 < concealed <= marked
    assert any(frame.samples[frame.lost].any() for frame in lost)


def test_raw_frames_are_the_packets_as_they_came(noise_wav: dict[int, Path]) -> None:
    with quiet_server(rate=48_000) as server:
        taken, thread = collect(server.frames(each=True, raw=True))
        with client(server, noise_wav[1], size=20) as one:
            assert one.wait(20)
            packets = one.stats.packets_sent
        until(lambda: server.stats.packets_received == packets, "the last packet")
        server.stop()
        thread.join(10)
    assert len(taken) == packets
    assert np.array_equal(joined(taken), read_wav(noise_wav[1]))
    assert {frame.rate for frame in taken} == {44_100}
    assert all(frame.lost is None for frame in taken)


def test_a_slow_consumer_loses_frames_by_count_and_nothing_else_suffers(
    noise_wav: dict[int, Path], tmp_path: Path
) -> None:
    sent = read_wav(noise_wav[1])
    with to_a_file(tmp_path) as server:
        asleep = server.frames(each=True, queue=5)
        beside, thread = collect(server.frames(each=True))
        with client(server, noise_wav[1]) as one:
            assert one.wait(20)
            packets = one.stats.packets_sent
        until(lambda: server.stats.frames_played == 50_000, "the last frame")
        server.stop()
        thread.join(10)
        stats = server.stats
    taken = list(asleep)
    assert len(taken) == 5
    assert joined(taken).size + asleep.dropped == 50_000
    assert np.array_equal(joined(taken), joined(beside)[: 5 * 441])
    assert np.array_equal(joined(beside), sent)
    assert (stats.packets_received, stats.packets_lost, stats.packets_late) == (packets, 0, 0)
    assert (stats.frames_played, stats.frames_concealed, stats.underruns) == (50_000, 0, 0)
    assert np.array_equal(read_wav(tmp_path / "heard.wav"), sent)


def test_a_frame_says_how_many_were_left_out_before_it(noise_wav: dict[int, Path], tmp_path: Path) -> None:
    with to_a_file(tmp_path) as server:
        frames = server.frames(each=True, queue=5)
        with client(server, noise_wav[1]) as one:
            until(lambda: frames.dropped > 2_000, "what does not fit")
            taken = [frames.read(1.0) for _ in range(5)]
            taken.append(frames.read(5.0))
            one.stop()
        assert [frame.dropped for frame in taken[:5]] == [0] * 5
        gap = taken[5].timestamp - taken[4].timestamp - 441
        assert gap == taken[5].dropped > 2_000


def test_an_asyncio_consumer_gets_all_of_several_sources(noise_wav: dict[int, Path], tmp_path: Path) -> None:
    async def consume(server: AdvancedAudioServer) -> tuple[list[list[Frame]], list[Frame]]:
        async def of(frames: Frames) -> list[Frame]:
            return [frame async for frame in frames]

        every = asyncio.create_task(of(server.frames(each=True)))
        with ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(client(server, noise_wav[1]))
            await asyncio.to_thread(until, lambda: len(server.sources) == 3, "the sources")
            single = [asyncio.create_task(of(source.frames())) for source in server.sources]
            # Each ends by itself when its source has left.
            alone = await asyncio.gather(*single)
        await asyncio.to_thread(server.stop)
        return alone, await every

    with to_a_file(tmp_path) as server:
        alone, every = asyncio.run(consume(server))
    sent = read_wav(noise_wav[1])
    for number in (1, 2, 3):
        own = [frame for frame in every if frame.source.number == number]
        assert np.array_equal(joined(own), sent)
    for frames in alone:
        assert len({frame.source for frame in frames}) == 1
        assert np.array_equal(joined(frames), sent[-joined(frames).size :])


def test_a_loop_that_is_left_early_leaves_the_event_loop_as_it_was() -> None:
    async def first(frames: Frames) -> Frame:
        async for frame in frames:
            return frame
        raise AssertionError

    async def main(server: AdvancedAudioServer) -> None:
        frames = server.frames()
        for _ in range(3):
            await asyncio.wait_for(first(frames), 10)
        waiting = asyncio.create_task(first(server.frames(each=True)))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.get_running_loop().shutdown_asyncgens()
        assert asyncio.get_running_loop().remove_reader(frames._engine.descriptor() or 0) is False

    with quiet_server() as server:
        asyncio.run(main(server))


def test_a_callback_is_called_with_every_frame_until_it_fails(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Frame] = []

    def callback(frame: Frame) -> None:
        heard.append(frame)
        if len(heard) == 5:
            raise ValueError("enough")

    with quiet_server() as server, caplog.at_level(logging.ERROR):
        frames = server.frames(callback=callback)
        until(lambda: frames._engine.is_over() and frames.read(0) is None, "its end")
        assert len(heard) == 5
        assert all(frame.source is None and not frame.samples.any() for frame in heard)
        assert "enough" in caplog.text


def test_a_loop_ends_with_the_server_and_with_close() -> None:
    with quiet_server() as server:
        ended, by_the_server = collect(server.frames())
        frames = server.frames(each=True)
        closed, by_close = collect(frames)
        until(lambda: len(ended) > 3, "frames")
        frames.close()
        by_close.join(10)
        assert not by_close.is_alive()
        assert closed == []
        assert by_the_server.is_alive()
        server.stop()
        by_the_server.join(10)
        assert not by_the_server.is_alive()
        with pytest.raises(audiostream.StateError):
            server.frames()


def test_a_source_s_loop_ends_when_it_has_left() -> None:
    with quiet_server() as server:
        with client(server, "voice"):
            until(lambda: server.sources, "the source")
            source = server.sources[0]
            taken, thread = collect(source.frames())
            until(lambda: len(taken) > 5, "frames")
        thread.join(10)
        assert not thread.is_alive()
        assert {frame.source for frame in taken} == {source}
        assert list(source.frames()) == []


def test_waiting_gives_up_in_time_and_for_ctrl_c() -> None:
    with quiet_server() as server, server.frames(each=True) as frames:
        assert frames.read(0.0) is None
        assert frames.read(0.1) is None
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            frames.read()


@pytest.mark.parametrize(
    "options",
    [
        {"block": 0},
        {"block": 10_001},
        {"block_frames": 0},
        {"block_frames": -1},
        {"queue": 0},
        {"queue": 10**9},
        {"raw": True},
    ],
)
def test_what_cannot_be_is_said_at_once(options: dict[str, Any]) -> None:
    with quiet_server() as server, pytest.raises(audiostream.ConfigError):
        server.frames(**options)
