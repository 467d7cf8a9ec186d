"""Several senders at one server: each by itself."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import struct
import time

import numpy as np
import pytest

import audiostream
from audiostream import AudioClient, Source
from harness.packets import framed, goodbye, packets, rtcp, send_udp
from harness.signals import noise
from harness.streams import quiet_server
from harness.wait import until

SOUND = noise(50 * 441).tobytes()


def called(ssrc: int, name: bytes) -> bytes:
    """A report that tells a user's name (RFC 3550 section 6.5.2)."""
    item = struct.pack(">IBB", ssrc, 2, len(name)) + name
    item += bytes(4 - len(item) % 4)
    return rtcp(201, struct.pack(">I", ssrc)) + rtcp(202, item, count=1)


def by_ssrc(server: audiostream.AdvancedAudioServer) -> dict[int, Source]:
    return {source.ssrc: source for source in server.sources}


def test_each_sender_has_a_handle_with_its_own_figures() -> None:
    with quiet_server() as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        assert server.sources == []
        for ssrc, lost in ((1, 0), (2, 5)):
            sent = packets("rtp", SOUND, sequence=7, ssrc=ssrc)
            send_udp(server.port, sent[:20] + sent[20 + lost :], source=peer)
        until(lambda: server.stats.packets_received == 95, "all packets")
        sources = server.sources
        assert [(s.number, s.ssrc, s.stats.packets_lost) for s in sources] == [(1, 1, 0), (2, 2, 5)]
        assert sources == server.sources, "handles are equal where they stand for the same"
        assert len({*sources, *server.sources}) == 2
        assert sources[0] != sources[1]
        for source in sources:
            assert source.address == source.name == f"127.0.0.1:{peer.getsockname()[1]}"
            assert (source.state, source.gain, source.muted, source.cname) == ("playing", 1.0, False, None)
            assert source.stats.number == source.number
        send_udp(server.port, [called(2, b"Ada")], source=peer)
        until(lambda: sources[1].name == "Ada", "the name")
        assert repr(sources[1]) == "<Source 2, 'Ada', playing>"
        send_udp(server.port, [goodbye(1)], source=peer)
        until(lambda: sources[0].state == "left", "the goodbye")
        assert [source.state for source in server.sources] == ["left", "playing"]
        assert sources[0].stats.packets_received == 50, "its figures stay"


def test_gain_and_mute_are_each_senders_own_and_outlive_its_silence() -> None:
    with quiet_server() as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        for ssrc in (1, 2):
            send_udp(server.port, packets("rtp", SOUND, sequence=7, ssrc=ssrc), source=peer)
        until(lambda: len(server.sources) == 2, "both")
        first, second = server.sources
        first.gain = 0.5
        first.muted = True
        assert (first.gain, first.muted, second.gain, second.muted) == (0.5, True, 1.0, False)
        for wrong in (-0.1, 16.5, math.nan):
            with pytest.raises(audiostream.ConfigError, match="gain"):
                first.gain = wrong
        send_udp(server.port, [goodbye(1)], source=peer)
        until(lambda: first.state == "left", "the goodbye")
        send_udp(server.port, packets("rtp", SOUND, sequence=57, timestamp=50 * 441, ssrc=1), source=peer)
        until(lambda: first.state == "playing", "its return")
        assert (first.gain, first.muted) == (0.5, True)
        one = server.stats.sources[0]
        assert (one.gain, one.muted, one.state) == (0.5, True, "playing")


def test_a_level_is_the_senders_own_before_its_gain() -> None:
    quiet = (np.full(441, 0.1) * 32767).astype("<i2").tobytes()
    loud = (np.full(441, 0.5) * 32767).astype("<i2").tobytes()
    with quiet_server() as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        for n in range(40):
            for ssrc, sound in ((1, quiet), (2, loud)):
                send_udp(server.port, packets("rtp", sound, sequence=n, timestamp=n * 441, ssrc=ssrc), source=peer)
            if n == 2:
                until(lambda: len(server.sources) == 2, "both")
                server.sources[1].muted = True
        until(lambda: all(source.level_db > -60 for source in server.sources), "levels")
        first, second = server.sources
        assert first.level_db == pytest.approx(-20, abs=3)
        assert second.level_db == pytest.approx(-6, abs=3)
        until(lambda: first.level_db < -40, "silence")


def test_a_client_is_called_by_its_name() -> None:
    with quiet_server() as server, AudioClient("udp", "127.0.0.1", server.port, input="tone", name="Ada"):
        until(lambda: [source.name for source in server.sources] == ["Ada"], "the name")
        [source] = server.sources
        assert source.cname
    assert source.stats.packets_received > 0, "figures outlive the server"


def test_of_a_source_that_never_was_nothing_is_known() -> None:
    with quiet_server() as server:
        nobody = Source(server._engine, 7)  # pyright: ignore[reportPrivateUsage]
        assert nobody.state == "left"
        with pytest.raises(audiostream.StateError, match="forgotten"):
            _ = nobody.name
        with pytest.raises(audiostream.StateError, match="forgotten"):
            nobody.muted = True


def kinds(server: audiostream.AdvancedAudioServer, ssrc: int) -> list[str]:
    """What has happened to one source so far."""
    return [event.kind for event in server.events(0) if event.source.ssrc == ssrc]


def test_events_tell_who_comes_and_goes_to_everybody_who_iterates(caplog: pytest.LogCaptureFixture) -> None:
    began = time.time()
    with (
        caplog.at_level(logging.INFO, logger="audiostream"),
        quiet_server() as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
    ):
        assert list(server.events(0)) == []
        waiting = server.events()
        send_udp(server.port, packets("rtp", SOUND, sequence=7, ssrc=1), source=peer)
        joined = next(waiting)
        assert (joined.kind, joined.source, "L16/44100/1" in joined.detail) == ("joined", server.sources[0], True)
        assert began - 1 < joined.at < time.time() + 1
        send_udp(server.port, [goodbye(1)], source=peer)
        left = next(waiting)
        assert (left.kind, left.source) == ("left", joined.source)
        assert kinds(server, 1) == ["joined", "left"], "another iterator begins at the beginning"
        until(lambda: "has left: it said goodbye" in caplog.text, "the line")
        assert server.stats.events_dropped == 0
    assert list(waiting) == [], "the server is over"


def test_events_are_asynchronous_too() -> None:
    async def first_three(server: audiostream.AdvancedAudioServer) -> list[tuple[str, int]]:
        seen: list[tuple[str, int]] = []
        async for event in server.events(timeout=20):
            seen.append((event.kind, event.source.ssrc))
            if len(seen) == 3:
                break
        return seen

    async def both(server: audiostream.AdvancedAudioServer, peer: socket.socket) -> list[tuple[str, int]]:
        listening = asyncio.ensure_future(first_three(server))
        for ssrc in (1, 2):
            send_udp(server.port, packets("rtp", SOUND, sequence=7, ssrc=ssrc), source=peer)
            await asyncio.sleep(0)
        send_udp(server.port, [goodbye(2)], source=peer)
        return await listening

    with quiet_server() as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        assert asyncio.run(both(server, peer)) == [("joined", 1), ("joined", 2), ("left", 2)]


def test_a_connection_that_breaks_is_lost_and_one_that_is_closed_has_left() -> None:
    with quiet_server("tcp") as server:
        for ssrc, linger in ((1, False), (2, True)):
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                for packet in packets("rtp", SOUND, sequence=7, ssrc=ssrc):
                    connection.sendall(framed(packet))
                until(lambda: server.stats.packets_received >= 50 * ssrc, "its packets")  # noqa: B023
                if linger:
                    # Closing resets the connection.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        events = server.events(timeout=20)
        seen = [next(events) for _ in range(4)]
        assert [(e.kind, e.source.ssrc) for e in seen] == [("joined", 1), ("left", 1), ("joined", 2), ("lost", 2)]
        assert [source.state for source in server.sources] == ["left", "left"]
