"""RTCP between client and server, and towards peers that are not ours: what is told, and what is not answered."""

from __future__ import annotations

import logging
import socket
import time

import pytest

import audiostream
from harness.hop import Hop, Impairment
from harness.packets import framed, goodbye, is_rtcp, packets, receiver_report, rtcp_types, send_udp, sender_report
from harness.ports import free_port
from harness.signals import noise
from harness.streams import quiet_server
from harness.wait import steady, until

GOODBYE = 203
SOUND = noise(900 * 441).tobytes()


def udp(port: int = 0) -> socket.socket:
    """A socket that waits as long as any test would."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", port))
    made.settimeout(20)
    return made


def client_of(port: int, protocol: str = "udp", **options: object) -> audiostream.AudioClient:
    return audiostream.AudioClient(protocol, "127.0.0.1", port, input="voice", **options)  # pyright: ignore[reportArgumentType]


@pytest.mark.timeout(60)
def test_a_client_knows_loss_and_round_trip_through_a_bad_network() -> None:
    with (
        quiet_server(delay=100, quality=True) as server,
        Hop(server.port, Impairment(drop=0.1), seed=4, control_delay=0.03) as hop,
        client_of(hop.port, name="Ada") as client,
    ):
        began = time.monotonic()
        until(lambda: client.stats.remote, "the first report")
        first = time.monotonic() - began
        until(lambda: client.stats.packets_sent >= 300, "300 packets")
        client.stop()
        remote = client.stats.remote
        [source] = server.stats.sources
        until(lambda: hop.arrived == client.stats.packets_sent, "the hop to have them all")
        lost = len(set(range(hop.arrived))) - len(set(hop.sequences()))
    assert first < 5
    assert remote is not None
    assert remote.round_trip_ms is not None
    assert 58 < remote.round_trip_ms < 500
    assert remote.reports >= 3
    # The last report is from before the end.
    assert 0.3 * lost <= remote.packets_lost <= lost
    assert remote.burst_ms is not None
    assert remote.delay_ms is not None
    # ITU-T G.107 of 10 % lost and concealed: 95 * 10 / (10 + 25.1) = 27 below 93.2; more for 140 ms and late packets.
    assert remote.r_factor is not None
    assert remote.mos is not None
    assert 0 < remote.r_factor < 80
    # Its Annex B; reports hold R as a whole number and MOS in tenths (RFC 3611 §4.7.5).
    r = remote.r_factor
    assert remote.mos == pytest.approx(1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6, abs=0.1)
    assert source.r_factor == pytest.approx(remote.r_factor, abs=12)
    assert source.round_trip_ms is not None
    assert source.round_trip_ms > 58
    assert source.name == "Ada"
    assert source.cname is not None
    assert GOODBYE in rtcp_types(hop.control[-1])
    # RFC 3550 section 6.2: 5 %, for both together.
    assert sum(map(len, hop.control)) + sum(map(len, hop.answers)) < 0.05 * sum(map(len, hop.delivered))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_a_client_is_told_within_a_second_or_so(protocol: str) -> None:
    with quiet_server(protocol) as server, client_of(server.port, protocol) as client:
        remote = until(
            lambda: client.stats.remote if client.stats.remote and client.stats.remote.round_trip_ms else None, "it"
        )
        until(lambda: server.stats.sources[0].round_trip_ms is not None, "the way back")
    assert (remote.packets_lost, remote.fraction_lost) == (0, 0.0)


@pytest.mark.timeout(60)
def test_the_classic_wire_knows_no_reports() -> None:
    with (
        quiet_server() as server,
        Hop(server.port, Impairment(), seed=1, wire="classic") as hop,
        client_of(hop.port, wire="classic") as client,
    ):
        until(lambda: server.stats.packets_received >= 100, "100 packets")
        assert client.stats.remote is None
        assert hop.answers == []
        assert server.stats.packets_malformed == 0


@pytest.mark.timeout(60)
def test_strangers_are_not_answered() -> None:
    with quiet_server() as server, udp() as stranger, udp() as source:
        sound = packets("rtp", SOUND, sequence=0, ssrc=9)
        for _ in range(20):
            for words in (sound[0], sender_report(9), goodbye(9), b"\x80" * 50, bytes(20)):
                stranger.sendto(words, ("127.0.0.1", server.port))
        send_udp(server.port, packets("rtp", SOUND, sequence=0, ssrc=5)[:700], interval=0.01, source=source)
        # Who echoes nothing has the second one after some seconds.
        answers = [source.recv(2000) for _ in range(2)]
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.recv(2000)
    assert all(is_rtcp(answer) for answer in answers)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_the_server_says_goodbye(protocol: str) -> None:
    sound = packets("rtp", SOUND, sequence=0)
    heard = b""
    with quiet_server(protocol) as server:
        if protocol == "udp":
            with udp() as source:
                send_udp(server.port, sound[:5], interval=0.01, source=source)
                assert GOODBYE not in rtcp_types(source.recv(2000))
                server.stop()
                while GOODBYE not in rtcp_types(source.recv(2000)):
                    pass
            return
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.settimeout(20)
            # Over a connection only who reports is reported to.
            connection.sendall(b"".join(framed(packet) for packet in [*sound[:5], sender_report(0x1234)]))
            heard = connection.recv(2000)
            server.stop()
            while piece := connection.recv(2000):
                heard += piece
    frames: list[bytes] = []
    while heard:
        length = int.from_bytes(heard[:2], "big")
        frames.append(heard[2 : 2 + length])
        heard = heard[2 + length :]
    assert GOODBYE not in rtcp_types(frames[0])
    assert GOODBYE in rtcp_types(frames[-1])


@pytest.mark.timeout(60)
def test_a_goodbye_ends_what_is_played_and_keeps_what_was_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "audiostream")
    with quiet_server() as server, udp() as source:
        send_udp(server.port, packets("rtp", SOUND, sequence=0, ssrc=7)[:100], interval=0.01, source=source)
        source.sendto(goodbye(7), ("127.0.0.1", server.port))
        until(lambda: "has said goodbye" in caplog.text, "the goodbye")
        steady(lambda: server.stats.frames_concealed, "playout")
        assert server.stats.packets_received == 100
        assert server.stats.packets_malformed == 0
        # It may come back.
        send_udp(server.port, packets("rtp", SOUND, sequence=100, timestamp=44_100, ssrc=7)[:100], source=source)
        until(lambda: server.stats.packets_received == 200, "the second hundred")
        assert len(server.stats.sources) == 1


@pytest.mark.timeout(60)
def test_a_client_that_nobody_hears_says_so_once_and_when_it_is_heard_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "audiostream")
    with udp() as receiver, client_of(receiver.getsockname()[1]) as client:
        client.start()
        until(lambda: "has sent no report" in caplog.text, "the warning")
        assert client.stats.remote is None
        assert client.stats.packets_sent >= 400
        _, sender = receiver.recvfrom(2000)
        # A report of another's stream is none.
        receiver.sendto(receiver_report(3, client.ssrc ^ 1, lost=5), sender)
        receiver.sendto(receiver_report(3, client.ssrc, fraction=64, lost=-2, jitter=441), sender)
        remote = until(lambda: client.stats.remote, "the report")
        until(lambda: "reports that it hears us" in caplog.text, "the word of it")
    assert (remote.fraction_lost, remote.packets_lost, remote.reports) == (0.25, -2, 1)
    assert remote.jitter_ms == pytest.approx(10)
    assert (remote.round_trip_ms, remote.burst_ms, remote.mos) == (None, None, None)
    assert caplog.text.count("has sent no report") == 1


@pytest.mark.timeout(60)
def test_peers_that_do_not_share_the_port_are_heard_one_above() -> None:
    port = free_pair()
    with quiet_server() as server, udp(port) as sound, udp(port + 1) as control:
        control.settimeout(0.01)
        for packet in packets("rtp", SOUND, sequence=0, ssrc=6):
            send_udp(server.port, [packet], source=sound)
            control.sendto(sender_report(6, ntp=1 << 33), ("127.0.0.1", server.port + 1))
            try:
                answer, address = control.recvfrom(2000)
            except TimeoutError:
                continue
            break
        else:
            raise AssertionError("no answer to the port above")
    assert is_rtcp(answer)
    assert address[1] == server.port + 1


def free_pair() -> int:
    """A port that is free at this moment, the one above it too."""
    while True:
        port = free_port()
        if port == 65_535:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as above:
            try:
                above.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
