"""A script written for the original classes runs on ours, changed in its import alone."""

from __future__ import annotations

import inspect
import logging
import re
import signal
import socket
import subprocess
import threading
import wave
from pathlib import Path

import numpy as np
import pytest

import audiostream
from harness.packets import CLASSIC_HEADER_BYTES, packets, send_udp
from harness.ports import free_port, wait_open
from harness.scripts import Script, run_python
from harness.signals import correlation, noise, read_wav, speech
from harness.sound_server import SoundServer
from harness.streams import quiet_server
from harness.wait import until

pytestmark = pytest.mark.timeout(60)

CLIENT_MAIN = """
import argparse, logging, sys, threading, time
from audiostream import AudioClient

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--protocol", choices=["udp", "tcp"], default="udp")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=12345)
    parser.add_argument("--size", type=int, default=10)
    args = parser.parse_args()
    client = AudioClient(args.protocol, args.host, args.port, args.size)
    streaming = threading.Thread(target=client.run)
    streaming.start()
    try:
        choice = input("1 or 2: ")
        if choice == "1":
            seconds = float(input("seconds: "))
            client.start_recording(duration=seconds)
            while client.is_recording:
                time.sleep(0.1)
        else:
            client.start_recording()
            input("Enter to stop ")
            client.stop_recording()
    except KeyboardInterrupt:
        pass
    finally:
        if client.is_recording:
            client.stop_recording()
        client.stop_event.set()
        streaming.join()
        client.cleanup()

if __name__ == "__main__":
    main()
"""

SERVER_MAIN = """
import argparse, logging, sys
from audiostream import AdvancedAudioServer

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--protocol", choices=["udp", "tcp"], default="udp")
    parser.add_argument("--port", type=int, default=12345)
    parser.add_argument("--size", type=int, default=10)
    args = parser.parse_args()
    server = AdvancedAudioServer(args.protocol, args.port, args.size)
    server.run()
    print(server.total_packets, server.lost_packets, server.last_received_sequence)

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize(("protocol", "choice"), [("udp", "1\n1\n"), ("tcp", "2\n\n")])
def test_the_originals_main_functions_run_unchanged(
    protocol: str, choice: str, sound_server: SoundServer, tmp_path: Path
) -> None:
    port, voice = free_port(), speech(2.0)
    (tmp_path / "old_client.py").write_text(CLIENT_MAIN)
    (tmp_path / "old_server.py").write_text(SERVER_MAIN)
    common = ("--protocol", protocol, "--port", port, "--size", 20)
    with Script("-u", tmp_path / "old_server.py", *common, folder=tmp_path) as server:
        wait_open(protocol, port)
        with Script("-u", tmp_path / "old_client.py", *common, folder=tmp_path, stdin=subprocess.PIPE) as client:
            client.says("1 or 2")
            until(lambda: sound_server.streams("sink-inputs") >= 1, "the server to play")
            with sound_server.listening() as ear:
                sound_server.say(voice)
                before = len(ear.samples())
                until(lambda: len(ear.samples()) > before + 22_050, "the last word")
            assert client.process.stdin is not None
            first, second = choice.splitlines(keepends=True)
            client.process.stdin.write(first.encode())
            client.process.stdin.flush()
            client.says("seconds" if "1" in first else "Enter")
            if "1" not in first:
                until(lambda: list((tmp_path / "Recording").glob("*.wav")), "the recording")
            client.process.stdin.write(second.encode())
            client.process.stdin.flush()
            client.succeeds()
        if server.process.poll() is None:
            server.signal(signal.SIGINT)
        server.succeeds()
    # Piece by piece: a busy machine may cost a moment, and shift what follows.
    pieces = [correlation(voice[start : start + 11_025], ear.samples())[0] for start in range(0, len(voice), 11_025)]
    assert np.median(pieces) >= 0.95
    total, lost, last = map(int, server.output.split()[-3:])
    assert (total > 100, lost) == (True, 0)
    assert 0 <= last <= 65_535
    [path] = (tmp_path / "Recording").glob("recording_*.wav")
    if "1" in choice:
        assert len(read_wav(path)) == 44_100


def test_the_constructors_take_the_originals_arguments_by_position(tmp_path: Path) -> None:
    client = list(inspect.signature(audiostream.AudioClient).parameters.values())
    server = list(inspect.signature(audiostream.AdvancedAudioServer).parameters.values())
    assert [(p.name, p.default) for p in client[:4]] == [
        ("protocol", "udp"), ("host", "localhost"), ("port", 12_345), ("size", 10),
    ]  # fmt: skip
    assert [(p.name, p.default) for p in server[:3]] == [("protocol", "udp"), ("port", 12_345), ("size", 10)]
    assert all(p.kind is p.KEYWORD_ONLY for p in (*client[4:], *server[3:]))


def test_the_attributes_are_the_originals(tmp_path: Path) -> None:
    server = quiet_server("udp", 30)
    client = audiostream.AudioClient("udp", "127.0.0.1", server.port, 30, input="tone")
    for end in (client, server):
        assert (end.FORMAT, end.CHANNELS, end.RATE, end.CHUNK, end.NUMCHUNKS) == (8, 1, 44_100, 441, 3)
        assert (end.protocol, end.port, end.size) == ("udp", server.port, 30)
    assert client.host == "127.0.0.1"
    assert client.recording_folder == "Recording"
    assert (tmp_path / "Recording").is_dir()
    assert client.is_recording is False
    assert list(client.recorded_frames) == []
    assert client.sequenceNumber == 0 or 0 <= client.sequenceNumber <= 65_535
    assert isinstance(client.stop_event, threading.Event)
    assert (server.last_received_sequence, server.total_packets, server.lost_packets) == (-1, 0, 0)
    client.cleanup()
    server.close()


def test_packets_one_by_one_by_hand() -> None:
    server = quiet_server("udp", 20)
    client = audiostream.AudioClient("udp", "127.0.0.1", server.port, 20, wire="classic", input="tone")
    # A source is believed from its second packet on; then both are there.
    client.send_audio()
    for number in range(1, 5):
        client.send_audio()
        assert server.receive_data() is True
        # The first call's turn was one of two packets: each later call may return before its own has come.
        until(lambda: server.total_packets == number + 1, "the packet")  # noqa: B023
        assert server.lost_packets == 0
    assert server.receive_data() is True
    assert client.stats.packets_sent == 5
    assert server.last_received_sequence == 4
    assert client.sequenceNumber == 5
    client.cleanup()
    server.close()
    assert server.receive_data() is False


def test_the_classic_wire_is_the_originals_byte_for_byte(noise_wav: dict[int, Path]) -> None:
    pcm = read_wav(noise_wav[1]).tobytes()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as old_server:
        old_server.bind(("127.0.0.1", 0))
        old_server.settimeout(5)
        port = old_server.getsockname()[1]
        client = audiostream.AudioClient("udp", "127.0.0.1", port, 20, wire="classic", input=f"file:{noise_wav[1]}")
        # Read beside it: a socket's buffer does not hold a second of packets.
        sending = threading.Thread(target=client.run)
        sending.start()
        expected = packets("classic", pcm + bytes(-len(pcm) % 1764), sequence=0, frames=882)
        assert [old_server.recv(65_536) for _ in expected] == expected
        sending.join(10)
    assert len(expected[0]) == CLASSIC_HEADER_BYTES + 1764


def test_a_subclass_that_overrides_send_audio_is_called_by_run() -> None:
    calls: list[int] = []

    class Counting(audiostream.AudioClient):
        def send_audio(self) -> bool:
            sent = super().send_audio()
            calls.append(self.stats.packets_sent)
            if len(calls) == 10:
                self.stop_event.set()
            return sent

    with quiet_server() as server:
        client = Counting("udp", "127.0.0.1", server.port, input="tone")
        client.run()
        assert calls == list(range(1, 11))
        until(lambda: server.stats.packets_received == 10, "ten packets")


def test_a_subclass_that_overrides_receive_data_is_called_by_run() -> None:
    calls: list[bool] = []

    class Counting(audiostream.AdvancedAudioServer):
        def receive_data(self) -> bool:
            calls.append(super().receive_data())
            return len(calls) < 10

    server = Counting("udp", 0, output="null", bind="127.0.0.1")
    with audiostream.AudioClient("udp", "127.0.0.1", server.port, input="tone"):
        server.run()
    assert calls == [True] * 10


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_run_ends_when_the_event_is_set_and_frees_everything(protocol: str) -> None:
    with quiet_server(protocol) as server:
        client = audiostream.AudioClient(protocol, "127.0.0.1", server.port, input="tone")
        thread = threading.Thread(target=client.run)
        thread.start()
        until(lambda: server.stats.packets_received > 10, "sound")
        client.stop_event.set()
        thread.join(5)
        assert not thread.is_alive()
        client.cleanup()


def test_a_tcp_server_ends_when_its_client_does() -> None:
    server = audiostream.AdvancedAudioServer("tcp", 0, output="null", bind="127.0.0.1")
    thread = threading.Thread(target=server.run)
    thread.start()
    with audiostream.AudioClient("tcp", "127.0.0.1", server.port, input="tone") as client:
        until(lambda: client.stats.packets_sent > 20, "sound")
    thread.join(10)
    assert not thread.is_alive()
    assert server.total_packets == client.stats.packets_sent
    assert server.lost_packets == 0


def test_the_log_has_the_originals_events(tmp_path: Path) -> None:
    done = run_python(
        """
import logging, threading
import audiostream
audiostream.setup_logging("audio_stream.log")
server = audiostream.AdvancedAudioServer("tcp", 0, output="null", bind="127.0.0.1")
thread = threading.Thread(target=server.run)
thread.start()
with audiostream.AudioClient("tcp", "127.0.0.1", server.port, input="tone") as client:
    while server.total_packets < 250:
        pass
thread.join()
try:
    audiostream.AdvancedAudioServer("udp", 0, output="file:/proc/none/x.wav")
except audiostream.RecordingError:
    pass
"""
    )
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "audio_stream.log").read_text()
    records = re.findall(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - (\w+) - (.*)$", text, re.MULTILINE)
    info = [message.lower() for level, message in records if level == "INFO"]
    for words in ("waiting", "connection from", "ready", "stopped"):
        assert any(words in message for message in info), (words, info)
    figures = [message for message in info if "loss rate" in message]
    assert len(figures) >= 2, "statistics every 100 packets"
    assert all("%" in message for message in figures)
    debug = [message for level, message in records if level == "DEBUG"]
    assert len([message for message in debug if "127.0.0.1" in message]) >= 250
    assert any(level == "ERROR" for level, _ in records)
    assert "Traceback" in text
    # The console shows the same.
    assert "connection from" in done.stderr.lower()


def test_a_packet_out_of_sequence_is_a_warning_with_both_numbers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sent = packets("classic", noise(30 * 441).tobytes(), sequence=100)
    del sent[10:13]
    with quiet_server() as server:
        send_udp(server.port, sent, interval=0.01)
        until(lambda: server.stats.packets_received == 27, "27 packets")
        until(lambda: [r for r in caplog.records if r.levelname == "WARNING"], "the warning")
    assert server.stats.packets_lost == 3
    [warning] = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert "109" in warning
    assert "113" in warning


def test_recording_says_path_duration_and_size(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.INFO)
    with quiet_server() as server, audiostream.AudioClient("udp", "127.0.0.1", server.port, input="tone") as client:
        client.start_recording(1)
        until(lambda: not client.is_recording, "the end")
        until(lambda: "recording_" in caplog.text, "the message")
    [path] = (tmp_path / "Recording").glob("*.wav")
    [said] = [r.getMessage() for r in caplog.records if path.name in r.getMessage() and "1.0" in r.getMessage()]
    assert re.search(r"(?i)byte|kib|kb|mb", said)
    with wave.open(str(path), "rb") as file:
        assert file.getnframes() == 44_100
