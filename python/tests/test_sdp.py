"""Session descriptions and rtp:// URLs: what a client says of itself, what a server makes of what others say."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import audiostream
from harness.ports import free_port
from harness.scripts import Script
from harness.signals import noise, read_wav, write_wav
from harness.streams import quiet_server
from harness.wait import steady, until


def lines_of(client: audiostream.AudioClient) -> list[str]:
    text = client.sdp()
    assert text.endswith("\r\n")
    assert "\n" not in text.replace("\r\n", "")
    return text.split("\r\n")[:-1]


def client(host: str = "127.0.0.1", port: int = 12345, **options: object) -> audiostream.AudioClient:
    return audiostream.AudioClient(host=host, port=port, input="tone", **options)  # pyright: ignore[reportArgumentType]


def server(sdp: str | Path | None = None, **options: object) -> audiostream.AdvancedAudioServer:
    return audiostream.AdvancedAudioServer(sdp=sdp, output="null", **options)  # pyright: ignore[reportArgumentType]


def test_a_client_describes_what_it_sends():
    with client(port=5010) as sender:
        lines = lines_of(sender)
        assert lines[0] == "v=0"
        assert lines[1].startswith("o=- ")
        for line in ("c=IN IP4 127.0.0.1", "t=0 0", "m=audio 5010 RTP/AVP 11", "a=rtpmap:11 L16/44100/1", "a=ptime:10"):
            assert line in lines
        assert "a=rtcp-mux" in lines
        assert any(re.fullmatch(rf"a=ssrc:{sender.ssrc} cname:\S+", line) for line in lines)
        assert lines_of(sender) == lines
    assert lines_of(sender) == lines
    with client(port=5010) as other:
        assert lines_of(other)[1] != lines[1]


def test_a_description_follows_the_options():
    with client("::1", rate=48_000, channels=2, ptime=2.5) as sender:
        lines = lines_of(sender)
    for line in ("c=IN IP6 ::1", "m=audio 12345 RTP/AVP 96", "a=rtpmap:96 L16/48000/2", "a=ptime:2.5"):
        assert line in lines
    with client("239.1.2.3", ttl=4, channels=2, interface="lo") as sender:
        lines = lines_of(sender)
    for line in ("c=IN IP4 239.1.2.3/4", "m=audio 12345 RTP/AVP 10", "a=rtpmap:10 L16/44100/2", "a=ptime:3.333"):
        assert line in lines
    with quiet_server("tcp") as listener, client(port=listener.port, protocol="tcp") as sender:
        lines = lines_of(sender)
    assert f"m=audio {listener.port} TCP/RTP/AVP 11" in lines
    assert "a=setup:passive" in lines


def test_asking_for_the_description_disturbs_no_running_stream():
    with quiet_server() as listener, client(port=listener.port) as sender:
        until(lambda: listener.stats.packets_received > 20, "packets")
        before = sender.sequenceNumber
        sender.sdp()
        assert 0 <= (sender.sequenceNumber - before) % 65_536 < 1_000


def test_the_classic_wire_has_no_description():
    with client(wire="classic") as sender, pytest.raises(audiostream.ConfigError, match="wire='rtp'"):
        sender.sdp()


def test_a_server_listens_as_a_description_says(tmp_path: Path):
    port = free_port()
    text = f"v=0\nc=IN IP4 192.0.2.7\nm=audio {port} RTP/AVP 96\na=rtpmap:96 L16/48000/2\n"
    path = tmp_path / "stream.sdp"
    path.write_text(text)
    for sdp in (text, path, str(path)):
        with server(sdp) as listener:
            assert (listener.port, listener.RATE, listener.CHANNELS, listener.CHUNK) == (port, 48_000, 2, 480)
            assert (listener.protocol, listener.stats.wire) == ("udp", "rtp")
    with server(text, port=free_port(), rate=44_100) as listener:
        assert listener.port != port
        assert (listener.RATE, listener.CHANNELS) == (44_100, 2)
    with server(text.replace("RTP/AVP", "TCP/RTP/AVP")) as listener:
        assert (listener.protocol, listener.port) == ("tcp", port)


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_a_server_hears_what_a_client_describes(protocol: str, tmp_path: Path) -> None:
    sound = noise(30_000, 2)
    source = write_wav(tmp_path / "in.wav", sound, 48_000)
    port, heard = free_port(), tmp_path / "out.wav"
    there = {"protocol": protocol, "bind": "127.0.0.1", "keep_listening": True}
    with audiostream.AdvancedAudioServer(port=port, output="null", **there) as first:
        sender = audiostream.AudioClient(protocol, "127.0.0.1", port, rate=48_000, channels=2, input=f"file:{source}")
        text = sender.sdp()
        first.stop()
    sender.close()
    sink = audiostream.AdvancedAudioServer(sdp=text, bind="127.0.0.1", output=f"file:{heard}", keep_listening=True)
    with (
        sink,
        audiostream.AudioClient(protocol, "127.0.0.1", port, rate=48_000, channels=2, input=f"file:{source}") as again,
    ):
        again.run()
        until(lambda: sink.stats.packets_received >= again.stats.packets_sent, "the last packet")
        steady(lambda: sink.stats.frames_played, "playout")
        sink.stop()
    assert sink.protocol == protocol
    assert sink.stats.packets_lost == sink.stats.packets_malformed == 0
    assert np.array_equal(read_wav(heard), sound)


@pytest.mark.parametrize(
    ("sdp", "options", "words"),
    [
        ("v=0\nm=audio nine RTP/AVP 0\n", {}, "sdp line 2: expected 'm=audio PORT"),
        ("v=0\nm=video 9 RTP/AVP 96\n", {}, "describes no audio"),
        ("v=0\nm=audio 9 UDP/TLS/RTP/SAVPF 0\n", {}, "sdp line 2: expected RTP/AVP"),
        ("v=0\nm=audio 9 RTP/SAVP 0\n", {}, "encrypted"),
        ("v=0\nm=audio 9 RTP/AVP 0\n", {"protocol": "tcp"}, "protocol must be 'udp'"),
        ("v=0\nm=audio 9 RTP/AVP 0\n", {"wire": "classic"}, "wire='classic'"),
        ("nowhere.sdp", {}, 'cannot read "nowhere.sdp"'),
        ("v=0\n" * 20_000, {}, "at most"),
    ],
)
def test_a_wrong_description_is_a_config_error(sdp: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(audiostream.ConfigError) as caught:
        server(sdp, **options)
    assert words in str(caught.value)


def test_clients_and_servers_take_urls():
    port = free_port()
    with (
        server(bind=f"rtp://127.0.0.1:{port}") as listener,
        client(f"rtp://127.0.0.1:{port}?localport={free_port()}") as sender,
    ):
        assert (sender.host, sender.port, listener.port) == ("127.0.0.1", port, port)
        until(lambda: listener.stats.packets_received > 5, "packets")
    with server(bind=f"rtp://@:{port}") as listener:
        assert listener.local_address is not None
        assert listener.local_address.endswith(f":{port}")


def test_a_group_is_reached_by_its_url():
    url = f"rtp://@239.255.77.7:{free_port()}"
    with server(bind=url, interface="lo") as listener, client(f"{url}?ttl=0", interface="lo"):
        until(lambda: listener.stats.packets_received > 5, "packets")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: client("rtsp://camera"), "only rtp://"),
        (lambda: client("rtp://"), "names nobody"),
        (lambda: client("rtp://a:5004", 5006), "port is 5004 in the URL, and 5006 beside it"),
        (lambda: client("rtp://a:5004", wire="classic"), "wire='classic'"),
        (lambda: client("rtp://a:5004?fec=1"), "'fec' is not known"),
        (lambda: server(bind="rtp://192.0.2.1@239.1.1.1:5004"), "leave out '192.0.2.1'"),
        (lambda: server(bind="rtp://:5004", port=5006), "give it once"),
    ],
)
def test_a_wrong_url_is_a_config_error(make: Callable[[], object], words: str) -> None:
    with pytest.raises(audiostream.ConfigError) as caught:
        make()
    assert words in str(caught.value)


def test_the_scripts_take_urls_and_descriptions(tmp_path: Path) -> None:
    port = free_port()
    sdp = tmp_path / "stream.sdp"
    with Script("client", f"rtp://127.0.0.1:{port}", "--sdp", sdp, "--input", "tone", folder=tmp_path) as sender:
        until(sdp.is_file, "the description")
        until(lambda: sdp.read_bytes().endswith(b"\r\n"), "all of it")
        assert f"m=audio {port} RTP/AVP 11\r\n".encode() in sdp.read_bytes()
        for how in ([f"rtp://@:{port}"], ["--sdp", sdp]):
            options = ["--output", "null", "--duration", "1", "--stats-json", "-", "--quiet"]
            with Script("server", *how, *options, folder=tmp_path) as listener:
                listener.succeeds()
            assert '"wire": "rtp"' in listener.output
            assert '"packets_received": 0' not in listener.output
        assert sender.process.poll() is None


def test_descriptions_go_through_pipes(tmp_path: Path) -> None:
    options = ("--input", "tone", "--duration", "0.2", "--quiet")
    with Script("client", "--sdp", "-", *options, folder=tmp_path) as sender:
        sender.succeeds()
    assert sender.output.startswith("v=0\no=- ")
    with (
        Script(
            "server", "--sdp", "-", "--output", "null", "--quiet", folder=tmp_path, stdin=subprocess.PIPE
        ) as listener,
    ):
        assert listener.process.stdin is not None
        listener.process.stdin.write(b"v=0\nm=audio 5 RTP/AVP 3\n")
        listener.process.stdin.close()
        assert listener.wait() == 1
    assert "sdp line 2: expected an audio payload type" in listener.errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["client", "somewhere"], "expected an rtp:// URL, not 'somewhere'"),
        (["client", "rtp://a:1", "--host", "b"], "give one of them"),
        (["server", "rtp://:1", "--bind", "b"], "give one of them"),
        (["client", "--sdp", "-", "--stats-json", "-"], "both want standard output"),
    ],
)
def test_the_scripts_say_what_does_not_go_together(arguments: list[str], words: str, tmp_path: Path) -> None:
    with Script("-m", "audiostream", *arguments, folder=tmp_path) as script:
        assert script.wait() != 0
    assert words in script.errors
