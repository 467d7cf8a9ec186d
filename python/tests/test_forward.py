"""Fan-out: what a server sends on to other receivers, and the command that plays it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

import audiostream
from audiostream import AudioClient, generate_key
from harness.packets import goodbye, is_rtcp, rtp
from harness.ports import free_port, wait_open
from harness.scripts import Script
from harness.signals import noise, read_wav
from harness.streams import quiet_server
from harness.wait import until

SSRC = 0x5EED
PCM = noise(441)[:, 0].astype(">i2").tobytes()


class Ear:
    """A receiver that only hears, and keeps everything."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.05)
        self.at = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.heard: list[bytes] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def sound(self) -> list[bytes]:
        """What it has heard without reports."""
        return [packet for packet in self.heard if not is_rtcp(packet)]

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self.socket.close()

    def __enter__(self) -> Ear:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while not self._over.is_set():
            with suppress(TimeoutError):
                self.heard.append(self.socket.recv(2048))


@contextmanager
def relay(to: int) -> Iterator[tuple[int, list[bytes]]]:
    """A port whose datagrams go on to the port `to`, and what they were."""
    kept: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inner:
        inner.bind(("127.0.0.1", 0))
        inner.settimeout(0.05)
        over = threading.Event()

        def run() -> None:
            while not over.is_set():
                try:
                    packet, sender = inner.recvfrom(2048)
                except TimeoutError:
                    continue
                if sender[1] != to:
                    kept.append(packet)
                    inner.sendto(packet, ("127.0.0.1", to))

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield inner.getsockname()[1], kept
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize("sealed", [False, True])
def test_packets_go_on_byte_by_byte_as_they_came(noise_wav: dict[int, Path], sealed: bool) -> None:
    key = generate_key() if sealed else None
    with ExitStack() as stack:
        ears = [stack.enter_context(Ear()) for _ in range(2)]
        server = stack.enter_context(quiet_server(forward=[ear.at for ear in ears], key=key))
        port, kept = stack.enter_context(relay(server.port))
        source = f"file:{noise_wav[1]}"
        with AudioClient(host="127.0.0.1", port=port, input=source, key=key) as client:
            assert client.wait(20)
            client.stop()
            sent = client.stats.packets_sent
        until(lambda: server.stats.packets_received == sent, "the last packet")
        sound = [packet for packet in kept if not is_rtcp(packet)]
        for one in ears:
            until(lambda one=one: len(one.sound) >= sent, "what was sent on")
            assert one.sound == sound
        stats = server.stats
        assert stats.packets_forwarded >= 2 * sent
        assert stats.packets_forward_dropped == 0


def test_what_is_turned_away_or_no_sound_goes_no_further() -> None:
    with Ear() as one, quiet_server(forward=one.at, max_sources=1) as server, ExitStack() as stack:
        first, other = (stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2))
        to = ("127.0.0.1", server.port)
        for n in range(4):
            first.sendto(rtp(n, n * 441, PCM, ssrc=SSRC), to)
        until(lambda: server.stats.packets_received == 4, "a source")
        first.sendto(b"no sound at all", to)
        other.sendto(rtp(7, 0, PCM, ssrc=SSRC), to)
        for n in range(4):
            other.sendto(rtp(n, n * 441, PCM, ssrc=SSRC + 1), to)
        until(lambda: server.stats.packets_refused >= 4, "what is turned away")
        first.sendto(rtp(4, 4 * 441, PCM, ssrc=SSRC), to)
        first.sendto(goodbye(SSRC), to)
        until(lambda: one.heard and is_rtcp(one.heard[-1]), "the goodbye")
    # The first, too, that only the second made believed.
    assert one.sound == [rtp(n, n * 441, PCM, ssrc=SSRC) for n in range(5)]
    assert len(one.heard) == 6


def test_a_receiver_that_has_gone_is_counted_and_harms_nobody(noise_wav: dict[int, Path]) -> None:
    with Ear() as there, Ear() as gone, ExitStack() as stack:
        gone.close()
        server = stack.enter_context(quiet_server(forward=[gone.at, there.at]))
        with AudioClient(host="127.0.0.1", port=server.port, input=f"file:{noise_wav[1]}") as client:
            assert client.wait(20)
        sent = client.stats.packets_sent
        until(lambda: server.stats.packets_received == sent, "the last packet")
        until(lambda: len(there.sound) == sent, "what was sent on")
        stats = server.stats
        assert stats.packets_lost == 0
        assert stats.packets_forward_dropped > sent // 3


def test_listen_plays_what_a_server_forwards(noise_wav: dict[int, Path], tmp_path: Path) -> None:
    port = free_port()
    listen = ["listen", f"rtp://@127.0.0.1:{port}", "--output", "file:heard.wav", "--quiet"]
    with Script("-m", "audiostream", *listen, folder=tmp_path) as script:
        wait_open("udp", port)
        with quiet_server(forward=f"127.0.0.1:{port}") as server:
            with AudioClient(host="127.0.0.1", port=server.port, input=f"file:{noise_wav[1]}") as client:
                assert client.wait(20)
            until(lambda: server.stats.packets_received == client.stats.packets_sent, "the last packet")
        heard = tmp_path / "heard.wav"
        until(lambda: heard.stat().st_size >= 2 * 50_000, "the sound")
        assert script.interrupt() == 0
    assert np.array_equal(read_wav(heard), read_wav(noise_wav[1]))


def test_the_server_s_script_forwards_and_listen_takes_a_description(
    noise_wav: dict[int, Path], tmp_path: Path
) -> None:
    port, onward = free_port(), free_port()
    (tmp_path / "stream.sdp").write_text(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {onward} RTP/AVP 96\r\na=rtpmap:96 L16/48000/2\r\n"
    )
    with ExitStack() as stack:
        listen = ["listen", "stream.sdp", "--output", "file:heard.wav", "--stats-json", "listen.json"]
        listener = stack.enter_context(Script("-m", "audiostream", *listen, folder=tmp_path))
        options = ["--port", port, "--output", "null", "--rate", 48_000, "--channels", 2]
        server = stack.enter_context(
            Script("server", *options, "--forward", f"127.0.0.1:{onward}", "--stats-json", "s.json", folder=tmp_path)
        )
        wait_open("udp", port)
        wait_open("udp", onward)
        with AudioClient(host="127.0.0.1", port=port, rate=48_000, channels=2, input=f"file:{noise_wav[2]}") as client:
            assert client.wait(20)
        heard = tmp_path / "heard.wav"
        until(lambda: heard.stat().st_size >= 4 * 54_000, "the sound")
        assert server.interrupt() == 0
        assert listener.interrupt() == 0
    assert '"packets_lost": 0' in (tmp_path / "listen.json").read_text()


@pytest.mark.parametrize("forward", ["studio", "studio:", ":5004", "studio:0", "studio:70000", "http://studio:1"])
def test_a_receiver_must_be_a_host_with_its_port(forward: str) -> None:
    with pytest.raises(audiostream.ConfigError, match=r"HOST:PORT|port|rtp://"):
        quiet_server(forward=forward)
