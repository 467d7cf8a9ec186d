"""Captures of what passes, as Wireshark reads them: the same packets, loss and jitter as ours."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import audiostream
from audiostream import lab
from harness.capture import rtp_streams, tshark
from harness.packets import packets, receiver_report, send_udp, sender_report
from harness.ports import free_pair
from harness.signals import noise, write_wav
from harness.streams import quiet_server
from harness.wait import until


@pytest.mark.timeout(60)
@pytest.mark.parametrize("options", [{}, {"codec": "opus"}, {"rate": 48_000}])
def test_tshark_finds_the_stream_unasked_at_both_ends_and_counts_as_we_do(options: dict, tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", noise(44_100), 44_100)
    with quiet_server(pcap=tmp_path / "server.pcapng", rate=options.get("rate")) as server:
        client = audiostream.AudioClient(
            port=server.port,
            input=f"file:{source}",
            pcap=tmp_path / "client.pcapng",
            network="loss=8,delay=5,jitter=5,seed=3",
            **options,
        )
        with client:
            client.run()
        until(lambda: server.stats.packets_received + server.stats.packets_lost > 90, "the stream")
        server.stop()
        heard = server.stats
    assert heard.packets_lost > 3
    for name in ("server", "client"):
        (stream,) = rtp_streams(tshark("-r", tmp_path / f"{name}.pcapng", "-q", "-z", "rtp,streams"))
        assert (stream.packets, stream.lost) == (heard.packets_received, heard.packets_lost), name
    jitter = rtp_streams(tshark("-r", tmp_path / "server.pcapng", "-q", "-z", "rtp,streams"))[0].mean_jitter_ms
    assert jitter == pytest.approx(heard.jitter_mean_ms, rel=0.01, abs=0.02)
    # What was lost on the way is told by the end that lost it.
    assert len(comments(tmp_path / "client.pcapng", "lost by network=")) >= heard.packets_lost
    assert not comments(tmp_path / "server.pcapng", "lost by network=")
    assert fields(tmp_path / "client.pcapng", "rtcp", "rtcp.pt"), "reports, too"


@pytest.mark.timeout(60)
def test_what_a_server_loses_is_there_as_headers_that_nobody_counts(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", noise(44_100), 44_100)
    pcap = tmp_path / "server.pcapng"
    with quiet_server(pcap=pcap, network="loss=10,duplicate=5,reorder=5,seed=5") as server:
        with audiostream.AudioClient(port=server.port, input=f"file:{source}") as client:
            client.run()
        until(lambda: server.stats.packets_received + server.stats.packets_lost > 90, "the stream")
        server.stop()
        heard = server.stats
    (stream,) = rtp_streams(tshark("-r", pcap, "-q", "-z", "rtp,streams"))
    # tshark takes doubles for packets, and counts a loss less for each.
    assert stream.packets == heard.packets_received
    assert stream.lost == heard.packets_lost - heard.packets_duplicated
    lost = comments(pcap, "lost by network=: RTP, sequence")
    assert len(lost) == heard.packets_lost
    assert heard.pcap_dropped == 0


@pytest.mark.timeout(60)
@pytest.mark.parametrize("wire", ["rtp", "classic"])
def test_over_tcp_the_bytes_are_there_in_segments_that_make_sense(wire: str, tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", noise(44_100), 44_100)
    server = quiet_server("tcp", pcap=tmp_path / "server.pcapng", keep_listening=False)
    with server:
        client = audiostream.AudioClient(
            "tcp", "127.0.0.1", server.port, input=f"file:{source}", wire=wire, pcap=tmp_path / "client.pcapng"
        )
        with client:
            client.run()
        server.wait(20)
        server.stop()
        heard = server.stats
    assert heard.packets_received >= 100
    for name in ("server", "client"):
        pcap = tmp_path / f"{name}.pcapng"
        assert not tshark("-r", pcap, "-Y", "tcp.analysis.flags").strip(), name
        if wire == "rtp":
            printed = tshark("-r", pcap, "-d", f"tcp.port=={server.port},{rtp_over_tcp()}", "-q", "-z", "rtp,streams")
            (stream,) = rtp_streams(printed)
            assert (stream.packets, stream.lost) == (heard.packets_received, 0), name
        else:
            lengths = fields(pcap, f"tcp.dstport=={server.port}", "tcp.len")
            assert sum(map(int, lengths)) == heard.bytes_received, name


@pytest.mark.timeout(60)
def test_sealed_packets_stay_sealed_and_are_still_counted(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", noise(22_050), 44_100)
    key = audiostream.generate_key()
    with quiet_server(pcap=tmp_path / "server.pcapng", key=key) as server:
        with audiostream.AudioClient(port=server.port, input=f"file:{source}", key=key) as client:
            client.run()
        until(lambda: server.stats.packets_received >= 50, "the stream")
        server.stop()
        heard = server.stats
    (stream,) = rtp_streams(tshark("-r", tmp_path / "server.pcapng", "-q", "-z", "rtp,streams"))
    assert (stream.packets, stream.lost) == (heard.packets_received, 0)
    assert key not in (tmp_path / "server.pcapng").read_bytes().decode("latin-1")


@pytest.mark.timeout(60)
def test_a_conversation_is_whole_in_both_captures(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", noise(66_150), 44_100)
    with quiet_server(talk="tone", pcap=tmp_path / "server.pcapng") as server:
        # The hop is the witness: what passed it in either direction is what the ends sent and received.
        with (
            lab.Hop("127.0.0.1:0", f"127.0.0.1:{server.port}", network="loss=8,delay=5,seed=6") as hop,
            audiostream.AudioClient(
                host="127.0.0.1",
                port=hop.port,
                input=f"file:{source}",
                output="null",
                pcap=tmp_path / "client.pcapng",
            ) as client,
        ):
            client.wait()
            client.stop()
            (entry,) = server.sources
            until(lambda: entry.state == "left", "the goodbye")
            server.stop()
            hop.stop()
            said, witness = client.stats, hop.stats
            (heard,) = server.stats.sources
    here, there = tmp_path / "client.pcapng", tmp_path / "server.pcapng"
    assert said.received is not None
    assert said.received.packets_lost > 0
    assert heard.packets_lost > 0

    def stream(pcap: Path, ssrc: int) -> tuple[int, int]:
        (one,) = [one for one in rtp_streams(tshark("-r", pcap, "-q", "-z", "rtp,streams")) if one.ssrc == ssrc]
        return one.packets, one.lost

    assert stream(here, client.ssrc) == (said.packets_sent, 0)
    assert stream(there, client.ssrc) == (heard.packets_received, heard.packets_lost)
    assert stream(here, said.received.ssrc) == (said.received.packets_received, said.received.packets_lost)
    assert stream(there, said.received.ssrc) == (witness.down.packets_received - witness.down.reports_received, 0)
    # Reports, too, each way.
    assert passed(here, f"udp.dstport=={hop.port}") == witness.up.packets_received
    assert passed(there, f"udp.dstport=={server.port}") == witness.up.packets_sent
    assert passed(there, f"udp.srcport=={server.port}") == witness.down.packets_received
    assert 0 < passed(here, f"udp.srcport=={hop.port} and rtcp") <= witness.down.reports_received
    assert (said.pcap_dropped, server.stats.pcap_dropped) == (0, 0)


@pytest.mark.timeout(60)
def test_reports_on_the_port_above_are_in_a_servers_capture(tmp_path: Path) -> None:
    port, pcap = free_pair(), tmp_path / "server.pcapng"
    with quiet_server(pcap=pcap) as server, udp(port) as sound, udp(port + 1) as control:
        control.settimeout(0.01)
        told = answers = 0
        for packet in packets("rtp", noise(200_000).tobytes(), sequence=0, ssrc=6):
            send_udp(server.port, [packet], source=sound)
            control.sendto(sender_report(6, ntp=1 << 33), ("127.0.0.1", server.port + 1))
            told += 1
            with suppress(TimeoutError):
                control.recv(2000)
                answers += 1
                break
        server.stop()
        control.settimeout(0.2)
        with suppress(TimeoutError):
            while control.recv(2000):
                answers += 1
        assert answers > 0
    # Before the port is open, nothing comes there.
    assert 0 < passed(pcap, f"udp.dstport=={server.port + 1}") <= told
    assert passed(pcap, f"udp.srcport=={server.port + 1} and udp.dstport=={port + 1}") == answers


@pytest.mark.timeout(60)
def test_reports_on_the_port_above_are_in_a_clients_capture(tmp_path: Path) -> None:
    port, pcap = free_pair(), tmp_path / "client.pcapng"
    with (
        udp(port) as sound,
        udp(port + 1) as control,
        audiostream.AudioClient(host="127.0.0.1", port=port, input="tone", pcap=pcap) as client,
    ):
        _, (host, own) = sound.recvfrom(2000)

        def heard() -> object:
            control.sendto(receiver_report(3, client.ssrc, lost=1), (host, own + 1))
            return client.stats.remote

        remote = until(heard, "a report from the port above")
        assert remote is not None
        client.stop()
        reports = client.stats.remote
        assert reports is not None
    above = f"udp.srcport=={port + 1} and udp.dstport=={own + 1}"
    assert passed(pcap, above) >= reports.reports
    assert passed(pcap, f"udp.srcport=={port}") == 0


def test_checksums_are_right(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", noise(4_410), 44_100)
    pcap = tmp_path / "client.pcapng"
    with (
        quiet_server(bind="::1") as server,
        audiostream.AudioClient(host="::1", port=server.port, input=f"file:{source}", pcap=pcap) as client,
    ):
        client.run()
    check = ("-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-r", pcap)
    assert len(tshark(*check, "-Y", "ipv6 and udp.checksum.status==1").splitlines()) >= 10
    assert not tshark(*check, "-Y", "udp.checksum.status==0 or ip.checksum.status==0").strip()


def test_a_capture_that_cannot_be_written_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(audiostream.RecordingError, match=r"nowhere/x\.pcapng"):
        audiostream.AudioClient(pcap=tmp_path / "nowhere" / "x.pcapng", input="tone")


def rtp_over_tcp() -> str:
    """What tshark calls the frames of RFC 4571: a name of their own since its version 4.2."""
    known = subprocess.run(["tshark", "-G", "protocols"], capture_output=True, text=True, check=True).stdout
    return "rtp.rfc4571" if "rtp.rfc4571" in known else "rtp"


def passed(pcap: Path, wanted: str) -> int:
    """How many packets a filter lets through."""
    return len(fields(pcap, wanted, "frame.number"))


@contextmanager
def udp(port: int) -> Iterator[socket.socket]:
    """A socket on this port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("127.0.0.1", port))
        own.settimeout(20)
        yield own


def comments(pcap: Path, text: str) -> list[str]:
    """The packets' comments that say so."""
    return fields(pcap, f'frame.comment contains "{text}"', "frame.comment")


def fields(pcap: Path, wanted: str, field: str) -> list[str]:
    """A field of the packets that a filter lets through."""
    return tshark("-r", pcap, "-Y", wanted, "-T", "fields", "-e", field).split("\n")[:-1]
