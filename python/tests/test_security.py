"""A server among strangers, without a key: who is heard, what is counted, what is shown."""

from __future__ import annotations

import logging
import socket
import struct

import pytest

import audiostream
from audiostream.cli import server_options, server_parser
from harness.packets import packets, rtcp, send_udp
from harness.signals import noise
from harness.streams import quiet_server
from harness.wait import until

SOUND = noise(100 * 441).tobytes()
SSRC = 0x0102_0304


def udp(host: str) -> socket.socket:
    """A socket at one of this machine's addresses."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((host, 0))
    return made


def stream(ssrc: int = SSRC) -> list[bytes]:
    return list(packets("rtp", SOUND, sequence=7, ssrc=ssrc))


def test_other_networks_are_refused_and_counted() -> None:
    with quiet_server(allow=["127.0.0.1", "fd00::/8"]) as server, udp("127.0.0.1") as good, udp("127.0.0.2") as other:
        send_udp(server.port, stream(), source=good)
        send_udp(server.port, stream(9), source=other)
        until(lambda: server.stats.packets_refused == 100 and server.stats.packets_received == 100, "all packets")
        assert server.stats.packets_malformed == 0
        assert len(server.stats.sources) == 1


def test_who_poses_as_a_source_is_counted_apart() -> None:
    with quiet_server() as server, udp("127.0.0.1") as good, udp("127.0.0.2") as other:
        send_udp(server.port, stream()[:50], source=good)
        until(lambda: server.stats.packets_received == 50, "the source")
        send_udp(server.port, stream(), source=other)
        until(lambda: server.stats.packets_wrong_source == 100, "the other")
        send_udp(server.port, stream()[50:], source=good)
        until(lambda: server.stats.packets_received == 100, "the rest")
        stats = server.stats
        assert (stats.packets_lost, stats.packets_duplicated, stats.packets_refused) == (0, 0, 0)


def test_with_one_source_allowed_nobody_else_is_heard() -> None:
    with quiet_server(max_sources=1) as server, udp("127.0.0.1") as good, udp("127.0.0.2") as other:
        send_udp(server.port, stream()[:50], source=good)
        until(lambda: server.stats.packets_received == 50, "the source")
        send_udp(server.port, stream(9), source=other)
        until(lambda: server.stats.packets_refused == 100, "the other")
        assert [source.ssrc for source in server.stats.sources] == [SSRC]


@pytest.mark.parametrize("wrong", ["lan", "10.0.0.0/33", ["10.0.0.0/8", "::/200"], "10.0.0.0/8,,", [10]])
def test_what_is_no_network_is_an_error(wrong: object) -> None:
    with pytest.raises(audiostream.ConfigError, match="allow"):
        quiet_server(allow=wrong)


@pytest.mark.parametrize("allow", [None, [], "127.0.0.0/8", "127.0.0.1, ::1", ("127.0.0.1", "::1")])
def test_networks_are_text_or_lists(allow: object) -> None:
    with quiet_server(allow=allow):
        pass


def test_the_option_may_be_given_several_times() -> None:
    args = server_parser().parse_args(["--allow", "10.0.0.0/8", "--allow", "fd00::/8", "--max-sources", "1"])
    options = server_options(args)
    assert (options["allow"], options["max_sources"]) == (["10.0.0.0/8", "fd00::/8"], 1)
    assert server_options(server_parser().parse_args([]))["allow"] is None


def test_a_strangers_name_is_shown_and_not_obeyed() -> None:
    name = "\x1b]0;mine\x07\u202eevil\n".encode()
    item = struct.pack(">IBB", SSRC, 2, len(name)) + name
    item += bytes(4 - len(item) % 4)
    report = rtcp(201, struct.pack(">I", SSRC)) + rtcp(202, item, count=1)
    with quiet_server() as server, udp("127.0.0.1") as peer:
        send_udp(server.port, [*stream(), report], source=peer)
        source = until(lambda: next((s for s in server.stats.sources if s.name), None), "the name")
    assert source.name == r"\u{1b}]0;mine\u{7}\u{202e}evil\u{a}"


def test_a_server_says_once_that_it_has_no_key(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="audiostream"), quiet_server(allow="127.0.0.0/8"):
        until(lambda: [r for r in caplog.records if "without a key" in r.getMessage()], "the line")
    [record] = [r for r in caplog.records if "without a key" in r.getMessage()]
    assert (record.levelname, record.name) == ("INFO", "audiostream.server")
    assert "127.0.0.0/8" in record.getMessage()
