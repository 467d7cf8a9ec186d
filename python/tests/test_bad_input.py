"""Wrong arguments, missing things and hostile bytes: the right error each, and nothing else happens."""

from __future__ import annotations

import errno
import random
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import audiostream
from harness.folders import read_only_folder
from harness.packets import classic, framed, packets, rtp, send_tcp, send_udp
from harness.ports import free_port
from harness.signals import noise, read_wav
from harness.streams import check_identities, quiet_server
from harness.tcp import StallingListener, TcpRelay, connect, reset
from harness.wait import steady, until

pytestmark = pytest.mark.timeout(60)


# What a user gets wrong.


@pytest.mark.parametrize("size", [0, -10, 7, 15, 160, 1000, 2, float("nan"), float("inf"), 1e300])
def test_a_bad_size_is_a_config_error(size: float) -> None:
    for make in (
        lambda: audiostream.AudioClient("udp", "127.0.0.1", 9, size, input="tone"),
        lambda: audiostream.AdvancedAudioServer("udp", 0, size, output="null"),
    ):
        with pytest.raises(audiostream.ConfigError, match="size") as caught:
            make()
        assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"protocol": "sctp"}, "protocol"),
        ({"port": 0}, "port"),
        ({"port": -1}, "port"),
        ({"port": 65_536}, "port"),
        ({"host": ""}, "host"),
        ({"wire": "morse"}, "wire"),
        ({"wire": "classic", "size": 5}, "classic"),
        ({"wire": "classic", "ptime": 10}, "ptime"),
        ({"ptime": 0}, "ptime"),
        ({"rate": 7_999}, "rate"),
        ({"rate": 192_001}, "rate"),
        ({"channels": 0}, "channels"),
        ({"channels": 3}, "channels"),
        ({"latency": "none"}, "latency"),
        ({"dscp": 64}, "dscp"),
        ({"ttl": 256}, "ttl"),
        ({"reconnect": -1}, "reconnect"),
        ({"local_port": 70_000}, "port"),
        ({"input": "file:"}, "file:"),
        ({"host_api": "morse"}, "(?i)host|sound"),
    ],
    ids=str,
)
def test_a_bad_argument_of_the_client_is_a_config_error(options: dict[str, Any], words: str) -> None:
    with pytest.raises(audiostream.ConfigError, match=words):
        audiostream.AudioClient(**{"host": "127.0.0.1", "input": "tone", **options})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"protocol": "sctp"}, "protocol"),
        ({"port": 65_536}, "port"),
        ({"wire": "morse"}, "wire"),
        ({"delay": -1}, "delay"),
        ({"delay": 2_001}, "delay"),
        ({"max_sources": 0}, "max_sources"),
        ({"max_sources": 2_049}, "max_sources"),
        ({"output": "file:"}, "file:"),
    ],
    ids=str,
)
def test_a_bad_argument_of_the_server_is_a_config_error(options: dict[str, Any], words: str) -> None:
    with pytest.raises(audiostream.ConfigError, match=words):
        audiostream.AdvancedAudioServer(**{"port": 0, "output": "null", **options})


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_a_port_in_use_is_a_transport_error(protocol: str) -> None:
    with (
        quiet_server(protocol) as first,
        pytest.raises(audiostream.TransportError, match=str(first.port)) as caught,
    ):
        audiostream.AdvancedAudioServer(protocol, first.port, output="null", bind="127.0.0.1")
    assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_an_unknown_host_is_a_transport_error(protocol: str) -> None:
    # RFC 6761: names under .invalid are never known.
    with pytest.raises(audiostream.TransportError, match=r"nobody\.invalid"):
        audiostream.AudioClient(protocol, "nobody.invalid", input="tone")


def test_an_address_that_is_not_ours_cannot_be_listened_on() -> None:
    with pytest.raises(audiostream.TransportError, match=r"192\.0\.2\.1"):
        audiostream.AdvancedAudioServer("udp", 0, output="null", bind="192.0.2.1")


def test_a_refused_tcp_connection_is_a_transport_error() -> None:
    port = free_port()
    with pytest.raises(audiostream.TransportError, match=str(port)) as caught:
        audiostream.AudioClient("tcp", "127.0.0.1", port, input="tone")
    assert caught.value.errno == errno.ECONNREFUSED


def test_udp_to_nobody_warns_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with audiostream.AudioClient("udp", "127.0.0.1", free_port(), input="tone") as client:
        until(lambda: client.stats.packets_sent > 20, "packets")
        until(lambda: [r for r in caplog.records if r.levelname == "WARNING"], "the warning")
        sent = client.stats.packets_sent
        until(lambda: client.stats.packets_sent > sent + 20, "more packets")
    warnings = [r for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) <= 3, "told, not repeated with every packet"


def test_no_device_is_an_error_that_names_the_built_in_ends(no_sound_server: None) -> None:
    with pytest.raises(audiostream.DeviceError, match=r"voice|tone") as caught:
        audiostream.AudioClient("udp", "127.0.0.1")
    assert isinstance(caught.value, OSError)
    with pytest.raises(audiostream.DeviceError, match="null"):
        audiostream.AdvancedAudioServer("udp", 0)


@pytest.mark.usefixtures("sound_server")
@pytest.mark.parametrize("choice", ["Gramophone", 4711])
def test_an_unknown_device_is_an_error_that_names_it(choice: str | int) -> None:
    with pytest.raises(audiostream.DeviceError, match=str(choice)):
        audiostream.AudioClient("udp", "127.0.0.1", input=choice)
    with pytest.raises(audiostream.DeviceError, match=str(choice)):
        audiostream.AdvancedAudioServer("udp", 0, output=choice)


@pytest.mark.parametrize("content", [None, b"", b"RIFF", b"not a sound" * 100], ids=["absent", "empty", "cut", "text"])
def test_an_unreadable_file_is_a_recording_error(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(audiostream.RecordingError, match=r"in\.wav") as caught:
        audiostream.AudioClient("udp", "127.0.0.1", input=f"file:{path}")
    assert caught.value.errno == (errno.ENOENT if content is None else None)


def test_a_file_that_does_not_fit_the_stream_is_converted_or_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "folder.wav"
    folder.mkdir()
    with pytest.raises(audiostream.RecordingError, match=r"folder\.wav"):
        audiostream.AudioClient("udp", "127.0.0.1", input=f"file:{folder}")


def test_a_read_only_folder_is_a_recording_error(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    with read_only_folder(folder):
        with pytest.raises(audiostream.RecordingError, match="locked") as caught:
            audiostream.AudioClient("udp", "127.0.0.1", input="tone", recordings=str(folder / "kept"))
        assert caught.value.errno in (errno.EROFS, errno.EACCES)
        with pytest.raises(audiostream.RecordingError, match="locked"):
            audiostream.AdvancedAudioServer("udp", 0, output=f"file:{folder}/heard.wav")
        with (
            quiet_server() as server,
            audiostream.AudioClient("udp", "127.0.0.1", server.port, input="tone", recordings=str(folder)) as client,
        ):
            with pytest.raises(audiostream.RecordingError, match="locked"):
                client.start_recording()
            sent = client.stats.packets_sent
            until(lambda: client.stats.packets_sent > sent, "the stream, which goes on")


# What a stranger sends.


def junk(seed: int) -> list[bytes]:
    """Datagrams that are neither RTP of ours nor classic, whoever looks at them."""
    draw = random.Random(seed)
    made = [b"", b"\x80", b"\x80\x0b\x00", b"GET / HTTP/1.1\r\n\r\n", bytes(11), b"\xff" * 65_000]
    for length in (1, 3, 12, 13, 100, 881, 883, 1_000, 1_500, 9_000):
        body = bytearray(draw.randbytes(length))
        # RTP version 1: not RTP, and the length is not the classic wire's.
        body[0] = (body[0] & 0x3F) | 0x40
        made.append(bytes(body))
    good = rtp(7, 7, noise(441).tobytes(), ssrc=99)
    # Padding longer than the packet, more CSRCs than bytes, an extension past the end.
    made.append(bytes([0xA0]) + good[1:-1] + b"\xff")
    made.append(bytes([0x8F]) + good[1:20])
    made.append(bytes([0x90]) + good[1:12] + b"\xbe\xde\xff\xff")
    return made


@pytest.mark.parametrize("seed", [1, 2])
def test_junk_datagrams_are_counted_and_nothing_else(seed: int, noise_wav: dict[int, Path], tmp_path: Path) -> None:
    heard = tmp_path / "heard.wav"
    hostile = junk(seed)
    with quiet_server(output=f"file:{heard}") as server:
        with audiostream.AudioClient("udp", "127.0.0.1", server.port, input=f"file:{noise_wav[1]}") as client:
            until(lambda: server.stats.packets_received > 10, "the good client")
            send_udp(server.port, hostile, interval=0.002)
            client.run()
            sent = client.stats
        until(lambda: server.stats.packets_received >= sent.packets_sent, "the last packet")
        steady(lambda: server.stats.frames_played, "playout")
        stats = server.stats
        server.stop()
    assert stats.packets_received == sent.packets_sent
    assert stats.packets_lost == 0
    # An empty datagram says nothing that could be believed or not.
    assert stats.packets_malformed in (len(hostile), len(hostile) - 1)
    check_identities(stats)
    assert np.array_equal(read_wav(heard), read_wav(noise_wav[1]))


def test_random_datagrams_never_become_sound(noise_wav: dict[int, Path], tmp_path: Path) -> None:
    heard = tmp_path / "heard.wav"
    draw = random.Random(3)
    with quiet_server(output=f"file:{heard}") as server:
        with audiostream.AudioClient("udp", "127.0.0.1", server.port, input=f"file:{noise_wav[1]}") as client:
            until(lambda: server.stats.packets_received > 10, "the good client")
            lengths = [884, 894, 1766, *(draw.randrange(2_000) for _ in range(497))]
            send_udp(server.port, [draw.randbytes(length) for length in lengths], interval=0.001)
            client.run()
            sent = client.stats
        steady(lambda: server.stats.frames_played, "playout")
        stats = server.stats
        server.stop()
    assert stats.packets_received == sent.packets_sent
    assert np.array_equal(read_wav(heard), read_wav(noise_wav[1]))


def test_one_lone_packet_is_not_a_source() -> None:
    with quiet_server() as server:
        for ssrc in range(20):
            send_udp(server.port, [rtp(100 * ssrc, 5, noise(441).tobytes(), ssrc=ssrc)])
        # The last word comes from somebody who is believed, so that the twenty have been looked at.
        send_udp(server.port, packets("rtp", noise(4410).tobytes(), sequence=0, ssrc=77), interval=0.01)
        until(lambda: server.stats.packets_received == 10, "the true source")
        assert [source.ssrc for source in server.stats.sources] == [77]


@pytest.mark.parametrize(
    "name",
    ["random", "http", "empty frames", "short frames", "endless frame", "cut frame", "nothing", "reset"],
)
def test_a_hostile_tcp_client_is_counted_and_nothing_else(
    name: str, noise_wav: dict[int, Path], tmp_path: Path
) -> None:
    draw = random.Random(5)
    good = [framed(packet) for packet in packets("rtp", noise(4410).tobytes(), sequence=0)]
    hostile: dict[str, list[bytes]] = {
        "random": [draw.randbytes(4_000) for _ in range(50)],
        "http": [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"],
        "empty frames": [b"\0\0"] * 1_000,
        "short frames": [framed(draw.randbytes(5)) for _ in range(1_000)],
        # No number of a classic packet follows from the one before it.
        "endless frame": [b"\xff\xff" + b"\x55" * 3_000],
        "cut frame": [*good, good[0][:100]],
        "nothing": [],
        "reset": good,
    }
    heard = tmp_path / "heard.wav"
    with quiet_server("tcp", output=f"file:{heard}") as server:
        with audiostream.AudioClient("tcp", "127.0.0.1", server.port, input=f"file:{noise_wav[1]}") as client:
            until(lambda: server.stats.packets_received > 10, "the good client")
            stranger = connect(server.port)
            with suppress(OSError):  # the server may well hang up
                send_tcp(stranger, hostile[name])
            if name == "reset":
                reset(stranger)
            client.run()
            sent = client.stats
            stranger.close()
        steady(lambda: server.stats.packets_received, "the count")
        steady(lambda: server.stats.frames_played, "playout")
        stats = server.stats
        server.stop()
    strangers = 10 if name in ("cut frame", "reset") else 0
    assert sent.packets_sent <= stats.packets_received <= sent.packets_sent + strangers
    assert stats.packets_lost == 0
    if name in ("random", "http", "short frames"):
        assert stats.packets_malformed > 0
    check_identities(stats)
    if not strangers:
        assert np.array_equal(read_wav(heard), read_wav(noise_wav[1]))


@pytest.mark.parametrize("wire", ["rtp", "classic"])
@pytest.mark.parametrize("size", [1, 100, 1461])
def test_a_tcp_path_that_cuts_writes_anywhere_changes_nothing(
    size: int, wire: str, noise_wav: dict[int, Path], tmp_path: Path
) -> None:
    heard = tmp_path / "heard.wav"
    with (
        quiet_server("tcp", output=f"file:{heard}", delay=300) as server,
        TcpRelay(server.port, piece=size) as relay,
    ):
        with audiostream.AudioClient("tcp", "127.0.0.1", relay.port, wire=wire, input=f"file:{noise_wav[1]}") as client:
            client.run()
            sent = client.stats
        until(lambda: server.stats.packets_received == sent.packets_sent, "all packets")
        steady(lambda: server.stats.frames_played, "playout", quiet=0.6)
        server.stop()
    source = read_wav(noise_wav[1])
    assert np.array_equal(read_wav(heard)[: len(source)], source)


def test_a_tcp_client_that_stalls_or_dies_never_blocks_another(noise_wav: dict[int, Path]) -> None:
    pcm = noise(44_100).tobytes()
    with quiet_server("tcp") as server:
        idle, dead = connect(server.port), connect(server.port)
        half = connect(server.port)
        send_tcp(half, [framed(packets("rtp", pcm, sequence=0)[0])[:500]])
        send_tcp(dead, [framed(packet) for packet in packets("rtp", pcm[:8820], sequence=0, ssrc=1)])
        reset(dead)
        with audiostream.AudioClient("tcp", "127.0.0.1", server.port, input=f"file:{noise_wav[1]}") as client:
            client.run()
            sent = client.stats
        until(lambda: server.stats.packets_received >= sent.packets_sent, "the good client's packets")
        assert server.stats.packets_lost == 0
        idle.close()
        half.close()


def test_a_server_that_does_not_read_costs_the_oldest_sound_and_is_counted() -> None:
    with (
        StallingListener() as listener,
        audiostream.AudioClient(
            "tcp", "127.0.0.1", listener.port, 10, rate=192_000, channels=2, input="tone"
        ) as client,
    ):
        until(lambda: client.stats.frames_dropped > 0, "the queue to overflow", timeout=40)
        stats = client.stats
        assert stats.overruns > 0
        assert stats.frames_captured >= stats.frames_dropped
        captured = stats.frames_captured
        until(lambda: client.stats.frames_captured > captured + 19_200, "the source, which goes on")


def test_a_cut_tcp_connection_is_made_anew() -> None:
    with quiet_server("tcp") as server, TcpRelay(server.port) as relay:
        with audiostream.AudioClient("tcp", "127.0.0.1", relay.port, input="tone", reconnect=10) as client:
            until(lambda: server.stats.packets_received > 10, "sound")
            relay.cut()
            until(lambda: client.stats.reconnects == 1, "a new connection")
            received = server.stats.packets_received
            until(lambda: server.stats.packets_received > received + 10, "sound again")


def test_the_servers_end_ends_a_tcp_client_that_may_not_reconnect() -> None:
    server = quiet_server("tcp")
    server.start()
    client = audiostream.AudioClient("tcp", "127.0.0.1", server.port, input="tone", reconnect=0)
    client.start()
    until(lambda: server.stats.packets_received > 3, "sound")
    server.close()
    with pytest.raises(audiostream.TransportError):
        client.run()
    client.close()


def test_classic_and_rtp_senders_share_a_server() -> None:
    pcm = noise(50 * 441).tobytes()
    with (
        quiet_server() as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        old, new = packets("classic", pcm, sequence=0), packets("rtp", pcm, sequence=0)
        for pair in zip(old, new, strict=True):
            send_udp(server.port, [pair[0]], source=one)
            send_udp(server.port, [pair[1]], source=two, interval=0.01)
        until(lambda: server.stats.packets_received == 100, "all packets")
        assert sorted(source.wire for source in server.stats.sources) == ["classic", "rtp"]


def test_a_classic_senders_size_is_found_out() -> None:
    for chunks in (1, 2, 15):
        with quiet_server(wire="auto") as server:
            pcm = noise(441 * chunks * 10).tobytes()
            sent = packets("classic", pcm, sequence=65_530, frames=441 * chunks)
            send_udp(server.port, sent, interval=0.01 * chunks)
            until(lambda: server.stats.packets_received == 10, f"packets of {chunks} chunks")
            assert server.stats.frames_received == 441 * chunks * 10
            assert server.stats.packets_malformed == 0


def test_a_classic_packet_of_no_known_length_is_malformed() -> None:
    with quiet_server(wire="classic") as server:
        good = packets("classic", noise(20 * 441).tobytes(), sequence=0)
        bad = [classic(n, bytes(100)) for n in range(5)]
        send_udp(server.port, [*good[:10], *bad, *good[10:]], interval=0.005)
        until(lambda: server.stats.packets_received == 20, "the good ones")
        assert server.stats.packets_malformed == 5
