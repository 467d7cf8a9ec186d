"""Servers talk back, everybody hears everybody else, and both sides are recorded."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import audiostream
from audiostream import AudioClient, ConfigError
from harness.ports import free_port, wait_open
from harness.signals import RATE, Samples, correlation, read_wav, write_wav
from harness.sound_server import SoundServer
from harness.streams import quiet_server
from harness.wait import until

EXAMPLE = Path(__file__).parents[2] / "examples" / "conversation.py"
KEYS = ["", "audiostream1:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=", "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e"]


def tone(hz: float, seconds: float = 60.0) -> Samples:
    """A sine at -14 dBFS."""
    return (6_000 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.int16)


def loudness(sound: Samples, hz: float) -> float:
    """How much of a tone there is, 1 being `tone`: by tenths of a second, for playout may shift its phase."""
    pieces = sound[: len(sound) // 4410 * 4410].astype(np.float64).reshape(-1, 4410)
    wave = np.exp(-2j * np.pi * hz * np.arange(4410) / RATE)
    return float(np.sqrt(np.mean((np.abs(pieces @ wave) * 2 / 4410) ** 2)) / 6_000)


def client(server: audiostream.AdvancedAudioServer, **options: Any) -> AudioClient:
    """A client that plays what it hears to nobody, unless told."""
    return AudioClient(server.protocol, "127.0.0.1", server.port, **{"output": "null", **options})


def heard(client: AudioClient, packets: int = 1) -> audiostream.SourceStats:
    """What it has heard, once it has heard so much."""

    def enough() -> audiostream.SourceStats | None:
        received = client.stats.received
        return received if received is not None and received.packets_received >= packets else None

    received = until(enough, "sound from the server")
    assert received is not None
    return received


def record(client: AudioClient, seconds: float, what: str) -> Samples:
    """What it says, hears or both."""
    client.start_recording(seconds, what=what)
    until(lambda: not client.is_recording, "the recording's end", 30 + seconds)
    assert client.last_recording is not None
    assert client.last_recording.frames == round(seconds * RATE)
    return read_wav(client.last_recording.path)


@pytest.mark.parametrize("key", KEYS, ids=["clear", "own key", "foreign key"])
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_each_hears_all_others_and_not_itself(protocol: str, key: str, tmp_path: Path) -> None:
    tones = {name: write_wav(tmp_path / f"{name}.wav", tone(hz)) for name, hz in (("a", 500), ("b", 1100))}
    options: dict[str, Any] = {"key": key} if key else {}
    talk = write_wav(tmp_path / "talk.wav", tone(1900))
    with (
        quiet_server(protocol, talk=f"file:{talk}", conference=True, **options) as server,
        client(server, input=f"file:{tones['a']}", **options) as a,
        client(server, input=f"file:{tones['b']}", **options) as b,
    ):
        heard(a, 50)
        heard(b, 50)
        until(lambda: server.stats.sources and all(s.packets_sent > 50 for s in server.stats.sources), "both to talk")
        sound = record(a, 1.0, "both")
        other = record(b, 1.0, "remote")[:, 0]
        stats, back = server.stats, heard(a)
    assert sound.shape == (RATE, 2)
    assert loudness(sound[:, 0], 500) > 0.9
    assert loudness(sound[:, 1], 1100) > 0.6
    assert loudness(sound[:, 1], 1900) > 0.6
    assert loudness(sound[:, 1], 500) < 0.05
    assert loudness(other, 500) > 0.6
    assert loudness(other, 1900) > 0.6
    assert loudness(other, 1100) < 0.05
    assert back.codec == "L16/44100/1"
    assert back.packets_lost == 0
    assert stats.packets_unauthentic == 0
    assert stats.frames_unspoken == 0


def test_the_answer_has_the_coding_of_the_call() -> None:
    with (
        quiet_server(talk="tone") as server,
        client(server, input="silence", codec="opus", ptime=20) as opus,
        client(server, input="silence", codec="pcma") as telephone,
    ):
        assert heard(opus).codec == "opus/48000/2"
        assert heard(telephone).codec == "PCMA/8000/1"
        # A muted caller by Opus sends little, and hears no less.
        sound = record(opus, 1.0, "remote")[:, 0]
        assert loudness(sound, 440) > 0.6
        assert all(source.packets_withheld == 0 for source in server.stats.sources)


def test_without_an_output_nothing_is_listened_to_and_the_classic_wire_is_never_answered() -> None:
    with (
        quiet_server(talk="tone", conference=True) as server,
        client(server, input="silence", output=None) as deaf,
        client(server, input="silence", output=None, wire="classic") as classic,
    ):
        until(lambda: deaf.stats.packets_unheard > 20, "packets that nobody listens to")
        until(lambda: len(server.stats.sources) == 2, "both sources")
        assert deaf.stats.received is None
        assert deaf.output_name is None
        with pytest.raises(ConfigError, match="output"):
            deaf.start_recording(what="remote")
        sent = {source.wire: source.packets_sent for source in server.stats.sources}
        assert sent["classic"] == 0
        assert classic.stats.packets_unheard == 0


def test_who_never_proves_that_it_hears_is_sent_no_sound() -> None:
    header = bytes([0x80, 11])
    with quiet_server(talk="tone") as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(0.01)
        answers: list[bytes] = []
        for n in range(200):
            stamp = (n * 441).to_bytes(4, "big")
            peer.sendto(header + n.to_bytes(2, "big") + stamp + b"\1\2\3\4" + bytes(882), ("127.0.0.1", server.port))
            with suppress(TimeoutError):
                answers.append(peer.recv(4096))
        # Reports ask who it is; sound there is none.
        assert answers
        assert all(200 <= answer[1] <= 207 for answer in answers)
        assert server.stats.sources[0].packets_sent == 0


def chirp(seconds: float = 0.5) -> Samples:
    """From 300 to 6,000 Hz: it has one place only."""
    at = np.arange(round(seconds * RATE)) / RATE
    return (9_000 * np.sin(2 * np.pi * (300 * at + 5_700 / seconds / 2 * at**2))).astype(np.int16)


def beside(path: Path, seconds: float, *places: float) -> list[float]:
    """How far right lies from where it was heard, ms, for chirps said at these seconds of a recording of both sides."""
    said = np.zeros(60 * RATE, np.int16)
    for place in places:
        said[round(place * RATE) : round(place * RATE) + len(chirp())] = chirp()
    write_wav(path, said)
    delays: list[float] = []
    # A mirror in place of a server: what is said comes back in another's name, and is heard as late as playout says.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mirror:
        mirror.bind(("127.0.0.1", 0))
        mirror.settimeout(0.05)
        with AudioClient("udp", "127.0.0.1", mirror.getsockname()[1], input=f"file:{path}", output="null") as talker:
            talker.start_recording(seconds, what="both")
            while talker.is_recording:
                with suppress(TimeoutError):
                    packet, sender = mirror.recvfrom(4096)
                    if packet[1] & 0x7F == 11:
                        mirror.sendto(packet[:8] + b"else" + packet[12:], sender)
                if len(delays) < len(places) and talker.recording_seconds > places[len(delays)] + 0.3:
                    delays.append(heard(talker).delay_ms)
            recording = talker.last_recording
    assert recording is not None
    sound = read_wav(recording.path)
    assert sound.shape == (round(seconds * RATE), 2)
    errors: list[float] = []
    for place, delay in zip(places, delays, strict=True):
        part = sound[round((place - 0.9) * RATE) : round((place + 1.4) * RATE)]
        alike, left = correlation(chirp(), part[:, 0])
        assert alike > 0.99
        alike, right = correlation(chirp(), part[:, 1])
        # What a busy machine let come too late was concealed, and has no one place.
        if alike > 0.9:
            # A packet to be filled, and the delay.
            errors.append((right - left) / RATE * 1e3 - 10.0 - delay)
    return errors


def test_both_sides_lie_beside_each_other_as_they_were_said_and_heard(tmp_path: Path) -> None:
    errors = beside(tmp_path / "chirp.wav", 6.0, 1.0, 2.5, 4.0)
    assert min(map(abs, errors)) < 10.0, "no more than a packet"


def together(sound: Samples, *tones: float, never: float) -> int:
    """In how many half seconds all of these tones are heard; the last is heard in none."""
    pieces = [sound[at : at + RATE // 2] for at in range(0, len(sound) - RATE // 2, RATE // 2)]
    assert all(loudness(piece, never) < 0.1 for piece in pieces)
    return sum(all(loudness(piece, hz) > 0.4 for hz in tones) for piece in pieces)


@pytest.mark.quiet
@pytest.mark.timeout(150)
def test_on_sound_cards_everybody_hears_everybody_else_for_half_a_minute(
    sound_server: SoundServer, tmp_path: Path
) -> None:
    # The room speaks by a microphone, one caller hears by a speaker; the other is all files.
    port = free_port()
    tones = {hz: write_wav(tmp_path / f"{hz}.wav", tone(hz, 90)) for hz in (500, 1100)}
    bad = "loss=5,jitter=15,seed=3"
    with (
        audiostream.AdvancedAudioServer(
            "udp", port, output="null", bind="127.0.0.1", talk=True, conference=True, network=bad
        ) as room,
        AudioClient("udp", "127.0.0.1", port, input=f"file:{tones[500]}", output="default") as a,
        AudioClient("udp", "127.0.0.1", port, input=f"file:{tones[1100]}", output="null") as b,
        ThreadPoolExecutor(1) as pool,
    ):
        heard(a, 20)
        heard(b, 20)
        until(lambda: sound_server.streams("source-outputs") > 0, "the microphone")
        # Meanwhile: do both sides stay beside each other?
        errors = pool.submit(beside, tmp_path / "chirp.wav", 30.0, 1.0, 8.0, 15.0, 22.0, 28.0)
        with sound_server.listening() as ear:
            a.start_recording(what="both")
            b.start_recording(what="remote")
            sound_server.say(tone(1900, 30.0))
            a.stop_recording()
            b.stop_recording()
            speaker = ear.samples()
        lost = [source.packets_lost for source in room.stats.sources]
        assert a.last_recording is not None
        assert b.last_recording is not None
        sides = read_wav(a.last_recording.path)
        other = read_wav(b.last_recording.path)[:, 0]
        # The delay may change while a chirp is heard; of five, two are met by none.
        assert sorted(abs(error) for error in errors.result())[1] < 10.0, "no more than a packet, to the end"
    # Of about 60 half seconds, on a machine that may be busy; 5 % of the packets of each voice are lost.
    assert together(speaker, 1100, 1900, never=500) >= 30
    assert together(sides[:, 1], 1100, 1900, never=500) >= 30
    assert together(sides[:, 0], 500, never=1100) >= 45
    assert together(other, 500, 1900, never=1100) >= 30
    assert all(lost)


def test_the_example_holds_a_conversation(tmp_path: Path) -> None:
    port = free_port()

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(EXAMPLE), *arguments, "--port", str(port), "--output", "null"]
        return subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)

    room = start("--input", "voice", "--duration", "30")
    try:
        wait_open("udp", port)
        call = start("127.0.0.1", "--input", "tone", "--duration", "3")
        _, lines = call.communicate(timeout=60)
        assert call.returncode == 0, lines
    finally:
        room.terminate()
        _, lines = room.communicate(timeout=30)
    assert room.returncode == 0, lines
    (path,) = (tmp_path / "Recording").glob("*.wav")
    sound = read_wav(path)
    assert sound.shape[1] == 2
    assert loudness(sound[:, 0], 440) > 0.5
    assert np.abs(sound[:, 1]).max() > 1_000
    assert loudness(sound[:, 1], 440) < 0.1


def test_the_scripts_talk_and_hear(tmp_path: Path) -> None:
    port = str(free_port())
    script = [sys.executable, "-m", "audiostream"]
    common = ["--port", port, "--output", "null", "--quiet"]
    server = subprocess.Popen(
        [*script, "server", *common, "--talk", "tone", "--conference", "--log-file", "", "--duration", "30"],
        cwd=tmp_path,
    )
    try:
        wait_open("udp", int(port))
        options = ["--input", "silence", "--duration", "2", "--record", "--record-what", "remote", "--stats-json", "-"]
        done = subprocess.run(
            [*script, "client", *common, *options],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    finally:
        server.terminate()
        assert server.wait(30) == 0
    received = json.loads(done.stdout)["received"]
    assert received["packets_received"] > 20
    (path,) = (tmp_path / "Recording").glob("*.wav")
    assert loudness(read_wav(path)[-RATE // 2 :, 0], 440) > 0.5


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AudioClient(input="silence", output="null", wire="classic"), "classic wire"),
        (lambda: quiet_server(wire="classic", talk="tone"), "classic wire"),
        (lambda: quiet_server(conference=True, output="file:x.wav"), "keeps time"),
    ],
)
def test_what_cannot_be_is_said_at_once(make: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()
