"""UDP and TCP at one port number."""

from __future__ import annotations

import json
import re
import signal
import socket
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

import audiostream
from audiostream import AudioClient
from harness.packets import framed, packets, send_udp
from harness.ports import free_port, is_open, wait_open
from harness.scripts import Script
from harness.signals import noise, read_wav
from harness.streams import quiet_server
from harness.wait import until

BLOCK = 441
TCP, UDP = 1, 2


def said(ssrc: int, blocks: int = 50) -> list[bytes]:
    return packets("rtp", noise(blocks * BLOCK, seed=ssrc).tobytes(), sequence=7, ssrc=ssrc)


def test_senders_by_udp_and_tcp_are_counted_and_recorded_together_and_each_says_how_it_came() -> None:
    with quiet_server("both", record="each", max_sources=4) as server:
        assert server.protocol == "both"
        waiting = server.events(timeout=20)
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(b"".join(framed(packet) for packet in said(TCP)))
            send_udp(server.port, [packet for n, packet in enumerate(said(UDP)) if n not in {5, 6}])
            until(lambda: server.stats.packets_received == 98, "all packets")
            protocols = {source.ssrc: source.stats.protocol for source in server.sources}
            assert protocols == {TCP: "tcp", UDP: "udp"}
            stats = server.stats
            assert (stats.protocol, stats.packets_expected, stats.packets_lost) == ("both", 100, 2)
            assert {source.ssrc: source.packets_lost for source in stats.sources} == {TCP: 0, UDP: 2}
            assert {next(waiting).source.ssrc, next(waiting).source.ssrc} == {TCP, UDP}
        left = next(waiting)
        assert (left.kind, left.source.ssrc) == ("left", TCP)
        assert not server.wait(0.2), "who listens by UDP too goes on when the last connection has gone"
    for path in Path("Recording").glob("*.json"):
        notes = json.loads(path.read_text())
        expected = noise(50 * BLOCK, seed=notes["source"]["ssrc"])
        if notes["source"]["protocol"] == "udp":
            expected[5 * BLOCK : 7 * BLOCK] = 0
        assert np.array_equal(read_wav(path.with_suffix(".wav")), expected)
    assert len(list(Path("Recording").glob("*.wav"))) == 2


def test_the_same_address_and_number_by_udp_and_tcp_are_two_senders() -> None:
    with quiet_server("both") as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        with socket.create_connection(("127.0.0.1", server.port)) as stream:
            datagrams.bind(stream.getsockname())
            sound = noise(50 * BLOCK).tobytes()
            send_udp(server.port, packets("classic", sound, sequence=7), source=datagrams)
            stream.sendall(b"".join(packets("classic", sound, sequence=7)))
            until(lambda: server.stats.packets_received == 100, "all packets")
            one, other = server.stats.sources
            assert one.address == other.address
            assert {one.protocol, other.protocol} == {"udp", "tcp"}
            assert one.packets_received == other.packets_received == 50
        until(lambda: {s.state for s in server.sources} == {"playing", "left"}, "the end of the connection alone")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("key", [False, True])
def test_clients_by_udp_and_tcp_are_heard_together_and_talk_to_each_other(key: bool, tmp_path: Path) -> None:
    secret = audiostream.generate_key() if key else None
    heard = {"udp": tmp_path / "udp.wav", "tcp": tmp_path / "tcp.wav"}
    with ExitStack() as stack:
        server = stack.enter_context(quiet_server("both", conference=True, key=secret))
        taken = stack.enter_context(server.frames(each=True))
        for protocol in ("udp", "tcp"):
            stack.enter_context(
                AudioClient(
                    protocol, "127.0.0.1", server.port, input="tone", output=f"file:{heard[protocol]}", key=secret
                )
            )
        until(lambda: len(server.sources) == 2 and all(s.level_db > -20 for s in server.sources), "both, playing")
        loud: set[int] = set()
        while len(loud) < 2:
            frame = next(taken)
            if frame.source is not None and np.abs(frame.samples.astype(int)).max() > 1000:
                loud.add(frame.source.number)
        until(lambda: all(source.packets_sent > 50 for source in server.stats.sources), "sound for both")
        stats = server.stats
        assert stats.packets_lost == 0
        assert {source.protocol for source in stats.sources} == {"udp", "tcp"}
    for path in heard.values():
        assert np.abs(read_wav(path).astype(int)).max() > 1000, path


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_where_one_of_both_is_taken_neither_is_bound_and_the_error_says_which(kind: str) -> None:
    port = free_port()
    of_kind = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, of_kind) as taken:
        taken.bind(("127.0.0.1", port))
        if kind == "tcp":
            taken.listen()
        with pytest.raises(audiostream.TransportError, match=f"port {port} is already in use.*-l{kind[0]}np"):
            audiostream.AdvancedAudioServer("both", port, bind="127.0.0.1", output="null")
    assert not is_open("udp", port)
    assert not is_open("tcp", port)
    with audiostream.AdvancedAudioServer("both", port, bind="127.0.0.1", output="null"):
        assert is_open("udp", port)
        assert is_open("tcp", port)
    assert not is_open("udp", port)
    assert not is_open("tcp", port)


def test_a_client_has_one_protocol() -> None:
    with pytest.raises(audiostream.ConfigError, match="'udp' or 'tcp'"):
        AudioClient("both", input="tone")
    with pytest.raises(audiostream.ConfigError, match="'udp', 'tcp' or 'both'"):
        audiostream.AdvancedAudioServer("all", 0, output="null")


def test_the_script_hears_both(tmp_path: Path) -> None:
    port = free_port()
    options = ("--protocol", "both", "--port", port, "--output", "null", "--stats-json", "s.json")
    with Script("server", *options, folder=tmp_path) as server:
        wait_open("udp", port)
        wait_open("tcp", port)
        send_udp(port, said(UDP))
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"".join(framed(packet) for packet in said(TCP)))
            until(lambda: len(re.findall("rtp, ssrc", server.errors)) >= 2, "both")
        server.signal(signal.SIGTERM)
        server.succeeds()
    figures = json.loads((tmp_path / "s.json").read_text())
    assert (figures["packets_received"], figures["packets_lost"], figures["protocol"]) == (100, 0, "both")
    assert {source["protocol"] for source in figures["sources"]} == {"udp", "tcp"}
