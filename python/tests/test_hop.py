"""A hop between any two programs: what it injects is what they miss, both ways, and nothing makes it fall over."""

from __future__ import annotations

import json
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import audiostream
from audiostream import ConfigError, StateError, TransportError, lab
from audiostream.stats import HopPeerStats, HopWayStats
from harness.programs import Program
from harness.scripts import Script
from harness.signals import noise, write_wav
from harness.streams import quiet_server
from harness.wait import steady, until


@contextmanager
def plain_socket(bind: str = "127.0.0.1") -> Iterator[socket.socket]:
    """Any program's UDP socket."""
    with socket.socket(socket.AF_INET6 if ":" in bind else socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        own.bind((bind, 0))
        own.settimeout(20)
        yield own


def place(own: socket.socket) -> str:
    """Its `host:port`."""
    host, port = own.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check(*ways: HopWayStats) -> None:
    """What holds at every moment."""
    for way in ways:
        gone = way.packets_sent + way.packets_lost + way.packets_overflowed + way.packets_dropped + way.packets_unsent
        assert way.packets_received + way.packets_duplicated == gone + way.packets_waiting


def received(own: socket.socket, count: int) -> list[bytes]:
    """So many datagrams."""
    return [own.recv(65_536) for _ in range(count)]


@pytest.mark.parametrize("method", ["udp", "classic", "opus"])
def test_a_stream_through_a_hop_loses_what_was_injected_and_what_the_lab_says(method: str, tmp_path: Path) -> None:
    network = lab.Network(loss=6, burst=2, delay=30, jitter=4, duplicate=1, reorder=1, seed=3)
    sound = lab.Sound.voice(2.5)
    outcome = lab.run(method, network, sound=sound)
    options = {"codec": "opus", "ptime": 20, "fec": False} if method == "opus" else {}
    with (
        quiet_server() as server,
        lab.Hop("127.0.0.1:0", f"127.0.0.1:{server.port}", network=network) as hop,
        audiostream.AudioClient(
            host="127.0.0.1",
            port=hop.port,
            wire="classic" if method == "classic" else "rtp",
            input=f"file:{sound.save(tmp_path / 'voice.wav')}",
            **options,
        ) as client,
    ):
        client.run()
        until(lambda: server.stats.packets_received >= outcome.packets_received, "the last packet")
        hop.stop()
        steady(lambda: server.stats.packets_received, "the network")
        heard, up = server.stats, hop.stats.up
    check(up, hop.stats.down)
    assert up.packets_received - up.reports_received == client.stats.packets_sent == outcome.packets_sent
    assert up.packets_lost - up.reports_lost == outcome.injected_lost > 3
    assert outcome.injected_lost - outcome.unseen == heard.packets_lost
    for name in ("packets_expected", "packets_received", "packets_lost", "packets_duplicated"):
        assert getattr(heard, name) == getattr(outcome, name), name
    # Jitter is the path's own and what this machine adds by sending late; of delay a busy machine only adds, too.
    assert 0.5 * outcome.number("jitter_mean_ms") <= heard.jitter_mean_ms <= outcome.number("jitter_mean_ms") + 20
    waited = outcome.number("mouth_to_ear_p95_ms") - outcome.network_min_us / 1000
    assert heard.delay_ms <= waited + 120


def test_reports_and_the_servers_own_sound_come_back() -> None:
    with (
        quiet_server(talk="tone") as server,
        lab.Hop("127.0.0.1:0", f"127.0.0.1:{server.port}", network="delay=30") as hop,
        audiostream.AudioClient(host="127.0.0.1", port=hop.port, input="tone", output="null") as client,
    ):
        remote = until(lambda: client.stats.remote, "a report")
        until(lambda: client.stats.received and client.stats.received.packets_received > 20, "sound of the server")
        trip = until(lambda: (client.stats.remote or remote).round_trip_ms, "a round trip")
        assert trip is not None
        assert trip >= 60
        down = hop.stats.down
        assert down.packets_sent > down.reports_received > 0
        (peer,) = hop.stats.peers
        assert peer.address.endswith(client.local_address.rpartition(":")[2] if client.local_address else "?")


def test_ffmpeg_is_any_program(tmp_path: Path) -> None:
    write_wav(tmp_path / "noise.wav", noise(66_150), 44_100)
    with (
        quiet_server() as server,
        lab.Hop("127.0.0.1:0", f"127.0.0.1:{server.port}", network="loss=10,seed=2") as hop,
    ):
        command = ["ffmpeg", "-v", "error", "-re", "-i", "noise.wav", "-c:a", "pcm_s16be", "-f", "rtp"]
        with Program([*command, f"rtp://127.0.0.1:{hop.port}?rtcpport={hop.port}"], folder=tmp_path) as sender:
            sender.succeeds()
        hop.stop()
        steady(lambda: server.stats.packets_received, "the stream")
        up, heard = hop.stats.up, server.stats
    check(up)
    assert up.packets_lost > 3
    assert heard.packets_received == up.packets_sent - (up.reports_received - up.reports_lost)


def test_what_any_two_programs_miss_and_get_twice_was_injected() -> None:
    with plain_socket() as near, plain_socket() as far:
        with lab.Hop("127.0.0.1:0", place(far), network="loss=20,duplicate=10,reorder=5,jitter=1,seed=5") as hop:
            near.connect(("127.0.0.1", hop.port))
            for number in range(600):
                near.send(number.to_bytes(2, "big") * 50)
            until(lambda: hop.stats.up.packets_received == 600, "the packets")
        up = hop.stats.up
        check(up)
        copies = Counter(received(far, up.packets_sent))
    assert up.packets_lost > 90
    assert len(copies) == 600 - up.packets_lost
    assert sum(copies.values()) - len(copies) == up.packets_duplicated > 30
    assert up.packets_reordered > 10
    assert up.bytes_received == 60_000
    assert hop.stats.peers[0].up == up


@pytest.mark.parametrize(("listen", "far_at", "near_at"), [("[::1]:0", "127.0.0.1", "::1"), ("0", "::1", "127.0.0.1")])
def test_a_hop_goes_from_one_family_of_addresses_to_the_other(listen: str, far_at: str, near_at: str) -> None:
    with plain_socket(near_at) as near, plain_socket(far_at) as far, lab.Hop(listen, place(far)) as hop:
        near.connect((near_at, hop.port))
        near.send(b"question")
        question, back = far.recvfrom(100)
        far.sendto(b"answer", back)
        assert (question, near.recv(100)) == (b"question", b"answer")


def test_nothing_arrives_before_its_time_and_what_is_under_way_at_the_end_still_does() -> None:
    with plain_socket() as near, plain_socket() as far:
        hop = lab.Hop("127.0.0.1:0", place(far), network="delay=150")
        with hop:
            sent = time.monotonic()
            near.sendto(b"question", ("127.0.0.1", hop.port))
            question, back = far.recvfrom(100)
            assert time.monotonic() - sent >= 0.150
            far.sendto(b"answer", back)
            assert (question, near.recv(100)) == (b"question", b"answer")
            assert time.monotonic() - sent >= 0.300
            near.sendto(b"last", ("127.0.0.1", hop.port))
        assert far.recv(100) == b"last"
        assert hop.stats.up.packets_waiting == 0
        assert hop.stats.history[-1]["up_packets_sent"] == 2
        with pytest.raises(StateError):
            hop.start()


def test_a_far_end_that_is_not_there_yet_is_counted_and_outlived() -> None:
    with plain_socket() as near, plain_socket() as free:
        forward = free.getsockname()
        with lab.Hop("127.0.0.1:0", place(free)) as hop:
            free.close()
            near.connect(("127.0.0.1", hop.port))

            def refused() -> bool:
                near.send(b"anybody?")
                return hop.stats.packets_unreachable > 2

            until(refused, "refusals")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
                far.settimeout(20)
                far.bind(forward)
                near.send(b"somebody!")
                while far.recv(100) != b"somebody!":
                    pass


def test_a_flood_of_strangers_is_bounded_and_counted() -> None:
    with ExitStack() as stack:
        far = stack.enter_context(plain_socket())
        hop = stack.enter_context(lab.Hop("127.0.0.1:0", place(far)))
        for _ in range(300):
            near = stack.enter_context(plain_socket())
            near.sendto(b"me too", ("127.0.0.1", hop.port))
        until(lambda: hop.stats.up.packets_received + hop.stats.packets_refused == 300, "the flood")
        stats = hop.stats
        assert (len(stats.peers), stats.packets_refused) == (256, 44)
        check(stats.up)
        assert len(received(far, 256)) == 256
        # Whoever was there first is still served.
        first = stats.peers[0]
        assert isinstance(first, HopPeerStats)
        assert first.up.packets_sent == 1


def test_a_narrow_link_drops_what_its_queue_does_not_hold() -> None:
    with plain_socket() as near, plain_socket() as far:
        # 100 packets of 1,000 bytes at once: 80 ms each, and a second's wait at most.
        with lab.Hop("127.0.0.1:0", place(far), network="rate=100k,queue=1000") as hop:
            near.connect(("127.0.0.1", hop.port))
            for _ in range(100):
                near.send(bytes(1000))
            until(lambda: hop.stats.up.packets_received == 100, "the packets")
        up = hop.stats.up
        check(up)
    assert 0 < up.packets_sent < 50
    assert up.packets_overflowed == 100 - up.packets_sent


@pytest.mark.parametrize(
    ("listen", "forward", "words"),
    [
        ("127.0.0.1:0", "239.1.2.3:5004", "address of many"),
        ("127.0.0.1:0", "255.255.255.255:5004", "address of many"),
        ("127.0.0.1:0", "127.255.255.255:5004", "broadcast"),
        ("127.0.0.1:0", "0.0.0.0:5004", "no destination"),
        ("239.1.2.3:0", "127.0.0.1:5004", "address of many"),
        ("{port}", "127.0.0.1:{port}", "round in circles"),
        ("{port}", "localhost:{port}", "round in circles"),
        ("127.0.0.1:{port}", "127.0.0.1:{port}", "round in circles"),
        ("", "127.0.0.1:5004", "listen"),
        ("studio", "127.0.0.1:5004", "listen"),
        ("-1", "127.0.0.1:5004", "listen"),
        ("127.0.0.1:0", "studio", "forward"),
        ("127.0.0.1:0", "127.0.0.1:0", "forward"),
    ],
)
def test_what_cannot_be_is_said_at_once(listen: str, forward: str, words: str) -> None:
    with plain_socket() as free:
        port = free.getsockname()[1]
    with pytest.raises(ConfigError, match=words):
        lab.Hop(listen.format(port=port), forward.format(port=port))


def test_a_port_in_use_an_unknown_host_and_a_wrong_network_are_errors_at_once() -> None:
    with plain_socket() as taken:
        with pytest.raises(TransportError, match="already in use"):
            lab.Hop(place(taken), "127.0.0.1:9")
        with pytest.raises(TransportError, match=r"no-such-host\.invalid"):
            lab.Hop("127.0.0.1:0", "no-such-host.invalid:9")
        with pytest.raises(ConfigError, match="no setting"):
            lab.Hop("127.0.0.1:0", "127.0.0.1:9", network="lost=5")


def test_a_recorded_link_can_be_used_and_the_command_tells_what_it_did(tmp_path: Path) -> None:
    (tmp_path / "link.trace").write_text("".join(f"{n}\n" for n in range(1, 101)))
    with plain_socket() as near, plain_socket() as far:
        options = ["--network", "loss=30,trace=link.trace,seed=1", "--stats-json", "hop.json"]
        with Script("-m", "audiostream", "hop", "127.0.0.1:0", place(far), *options, folder=tmp_path) as script:
            script.says("goes on to")
            found = re.search(r"127\.0\.0\.1:(\d+) goes on to", script.errors)
            assert found is not None
            near.connect(("127.0.0.1", int(found.group(1))))
            for number in range(200):
                near.send(bytes([number]) * 100)
            assert script.interrupt() == 0
            assert "Hop stopped: up: " in script.errors
        # What had come before the end is taken and passed on.
        figures = json.loads((tmp_path / "hop.json").read_text())
        received(far, figures["up"]["packets_sent"])
    assert figures["up"]["packets_received"] == 200
    assert figures["up"]["packets_sent"] == 200 - figures["up"]["packets_lost"]
    assert figures["up"]["packets_lost"] > 30
    assert figures["down"]["packets_received"] == 0
    assert figures["peers"][0]["up"] == figures["up"]


def test_the_command_ends_by_itself_and_says_what_is_wrong(tmp_path: Path) -> None:
    with plain_socket() as far:
        arguments = ["-m", "audiostream", "hop", "127.0.0.1:0", place(far), "--duration", "0.2", "--quiet"]
        with Script(*arguments, folder=tmp_path) as script:
            script.succeeds()
            assert script.output + script.errors == ""
        arguments = ["-m", "audiostream", "hop", "127.0.0.1:0", "239.1.2.3:9"]
        with Script(*arguments, folder=tmp_path) as script:
            assert script.wait() == 1
            assert script.errors.startswith("audiostream hop: forward: ")
