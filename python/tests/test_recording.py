"""Recordings: exact length, valid whatever happens, and where they belong."""

from __future__ import annotations

import contextlib
import errno
import shutil
import signal
import socket
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import audiostream
from harness.folders import can_mount, small_disk
from harness.hop import Hop, Impairment
from harness.packets import packets, payload_of, send_udp
from harness.scripts import Script
from harness.signals import noise, read_wav
from harness.streams import quiet_server
from harness.wait import until

BLOCK = 441


@pytest.fixture
def server() -> Iterator[audiostream.AdvancedAudioServer]:
    with quiet_server() as running:
        yield running


@pytest.mark.timeout(60)
def test_ten_seconds_are_441_000_frames(server: audiostream.AdvancedAudioServer, tmp_path: Path) -> None:
    with audiostream.AudioClient("udp", "127.0.0.1", server.port, input="voice") as client:
        client.start_recording(10)
        assert client.is_recording
        until(lambda: not client.is_recording, "the recording to end by itself", timeout=20)
        assert len(client.recorded_frames) == 1000
        [path] = (tmp_path / "Recording").glob("*.wav")
        with wave.open(str(path), "rb") as file:
            assert (file.getnframes(), file.getframerate()) == (441_000, 44_100)
            assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
            assert b"".join(client.recorded_frames) == file.readframes(441_000)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("size", "seconds", "frames"), [(10, 0.1, 4410), (150, 1, 44_100), (20, 0.333, 14_685)])
def test_a_recording_has_the_frames_asked_for_whatever_the_block(
    size: int, seconds: float, frames: int, server: audiostream.AdvancedAudioServer, tmp_path: Path
) -> None:
    with audiostream.AudioClient("udp", "127.0.0.1", server.port, size, input="tone") as client:
        client.start_recording(seconds)
        until(lambda: not client.is_recording, "the end")
    [path] = (tmp_path / "Recording").glob("recording_*.wav")
    assert len(read_wav(path)) == frames


@pytest.mark.timeout(60)
def test_two_recordings_in_one_second_have_two_names(server: audiostream.AdvancedAudioServer, tmp_path: Path) -> None:
    with audiostream.AudioClient("udp", "127.0.0.1", server.port, input="tone") as client:
        paths = set()
        for _ in range(3):
            client.start_recording()
            until(lambda: len(client.recorded_frames) > 0, "a frame")
            recording = client.stop_recording()
            assert recording is not None
            assert recording.frames == len(recording.to_numpy()) == len(read_wav(Path(recording.path)))
            assert recording.duration == pytest.approx(recording.frames / 44_100)
            paths.add(Path(recording.path).resolve())
    assert paths == {path.resolve() for path in (tmp_path / "Recording").iterdir() if path.suffix == ".wav"}
    assert len(paths) == 3


@pytest.mark.timeout(60)
def test_a_recording_is_never_overwritten(server: audiostream.AdvancedAudioServer, tmp_path: Path) -> None:
    with audiostream.AudioClient("udp", "127.0.0.1", server.port, input="tone") as client:
        kept = []
        for _ in range(2):
            client.start_recording()
            until(lambda: len(client.recorded_frames) > 0, "a frame")
            recording = client.stop_recording("mine.wav")
            assert recording is not None
            kept.append(Path(recording.path))
    assert len({path.resolve() for path in kept}) == 2
    assert all(path.parent.resolve() == (tmp_path / "Recording").resolve() for path in kept)
    assert all(len(read_wav(path)) > 0 for path in kept)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["../x.wav", "/tmp/x.wav", "a/../../x.wav", "..", "x\0y.wav"])
def test_a_recording_never_leaves_its_folder(
    name: str, server: audiostream.AdvancedAudioServer, tmp_path: Path
) -> None:
    with audiostream.AudioClient("udp", "127.0.0.1", server.port, input="tone") as client:
        client.start_recording()
        until(lambda: len(client.recorded_frames) > 0, "a frame")
        if name:
            with pytest.raises((audiostream.RecordingError, audiostream.ConfigError), match=r"(?i)name|folder"):
                client.stop_recording(name)
        else:
            client.stop_recording(name)
    assert not (tmp_path / "x.wav").exists()
    assert not (tmp_path.parent / "x.wav").exists()
    # The sound is not lost for a bad name: the recording is kept under its own.
    assert len(list((tmp_path / "Recording").glob("*.wav"))) == 1


@pytest.mark.timeout(60)
def test_a_killed_process_leaves_a_valid_recording(server: audiostream.AdvancedAudioServer, tmp_path: Path) -> None:
    code = f"""
import audiostream, sys, time
client = audiostream.AudioClient("udp", "127.0.0.1", {server.port}, input="tone")
client.start()
client.start_recording()
first = client.stats.frames_captured
while True:
    # What the source had delivered before this line was written, less what came before the recording.
    print(client.stats.frames_captured - first, flush=True)
    time.sleep(0.005)
"""
    with Script("-c", code, folder=tmp_path) as recorder:
        until(lambda: len(recorder.output.splitlines()) > 250, "more than a second of recording")
        recorder.process.kill()
        recorder.wait()
        delivered = int(recorder.output.rsplit("\n", 1)[0].splitlines()[-1])
    [path] = (tmp_path / "Recording").glob("*.wav")
    with wave.open(str(path), "rb") as file:
        kept = file.getnframes()
        assert len(file.readframes(kept)) == kept * 2
    assert kept >= delivered - 4410 - BLOCK
    assert delivered > 44_100


@pytest.mark.timeout(60)
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_recording_of_the_script(
    stop: signal.Signals, server: audiostream.AdvancedAudioServer, tmp_path: Path
) -> None:
    arguments = ("--host", "127.0.0.1", "--port", server.port, "--input", "voice", "--record", "--quiet")
    with Script("client", *arguments, "--recordings", tmp_path / "kept", folder=tmp_path) as client:
        until(lambda: list((tmp_path / "kept").glob("*.wav")), "the recording to begin")
        until(lambda: server.stats.packets_received > 50, "sound to flow")
        client.signal(stop)
        client.succeeds()
    [path] = (tmp_path / "kept").glob("*.wav")
    assert len(read_wav(path)) >= 40 * BLOCK


@pytest.mark.timeout(60)
def test_a_full_disk_ends_the_recording_and_not_the_stream(
    server: audiostream.AdvancedAudioServer, tmp_path: Path
) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    # Without the right to mount, a limit on file sizes stops the writer the same way, by another error.
    limit = "" if can_mount() else "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))"
    code = f"""
import audiostream, logging, sys, time
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
{limit}
with audiostream.AudioClient("udp", "127.0.0.1", {server.port}, input="tone", recordings=sys.argv[1]) as client:
    client.start_recording()
    deadline = time.monotonic() + 20
    while client.is_recording:
        assert time.monotonic() < deadline, "the recording does not end"
        time.sleep(0.01)
    sent = client.stats.packets_sent
    while client.stats.packets_sent < sent + 50:
        assert time.monotonic() < deadline, "the stream has stopped"
        time.sleep(0.01)
"""

    def record(where: Path) -> None:
        with Script("-c", code, where, folder=tmp_path) as client:
            client.succeeds()
            assert any(line.startswith("ERROR") for line in client.errors.splitlines()), client.errors
        [path] = where.glob("*.wav")
        with wave.open(str(path), "rb") as file:
            frames = file.getnframes()
            assert len(file.readframes(frames)) == frames * 2
        assert frames >= 65_536 // 2 - 4410 - BLOCK

    if limit:
        record(folder)
    else:
        with small_disk(folder, 128):
            record(folder)


@pytest.mark.timeout(60)
def test_recorded_frames_are_a_sequence_of_chunks_in_flat_memory(
    server: audiostream.AdvancedAudioServer,
) -> None:
    with audiostream.AudioClient("udp", "127.0.0.1", server.port, 50, input="voice") as client:
        client.start_recording()
        until(lambda: len(client.recorded_frames) >= 100, "a second")
        frames = client.recorded_frames
        assert all(len(chunk) == 882 for chunk in frames[:50])
        assert frames[0] == next(iter(frames))
        recording = client.stop_recording()
    assert recording is not None
    joined = b"".join(client.recorded_frames)
    assert joined == read_wav(Path(recording.path)).tobytes()


@pytest.mark.timeout(60)
def test_a_server_records_what_arrived_with_losses_as_silence(tmp_path: Path) -> None:
    pcm = noise(200 * BLOCK).tobytes()
    with quiet_server(record=True) as server:
        with Hop(server.port, Impairment(drop=0.1, swap=0.05, double=0.05), seed=9) as hop:
            send_udp(hop.port, packets("rtp", pcm, sequence=65_500), interval=0.01)
        until(lambda: server.stats.packets_received == len(hop.delivered), "what the hop delivered")
        server.stop()
    [path] = (tmp_path / "Recording").glob("*.wav")
    extended = hop.sequences()
    expected = np.zeros((max(extended) - extended[0] + 1) * BLOCK, dtype=np.int16)
    for sequence, packet in zip(extended, hop.delivered, strict=True):
        start = (sequence - extended[0]) * BLOCK
        expected[start : start + BLOCK] = np.frombuffer(payload_of("rtp", packet), dtype="<i2")
    assert np.array_equal(read_wav(path)[:, 0], expected)
    assert list((tmp_path / "Recording").glob("*.json")), "the sidecar that lists the losses"


@pytest.mark.timeout(30)
def test_stopping_what_was_not_started_says_so_and_returns(
    server: audiostream.AdvancedAudioServer, caplog: pytest.LogCaptureFixture
) -> None:
    with audiostream.AudioClient("udp", "127.0.0.1", server.port, input="tone") as client:
        assert client.stop_recording() is None
    assert "recording" in caplog.text.lower()


@pytest.mark.timeout(30)
def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(audiostream.RecordingError) as caught:
        audiostream.AudioClient(input="tone", recordings=str(tmp_path / "file"))
    assert caught.value.errno in (errno.ENOTDIR, errno.EEXIST)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", ["folder", "moved"])
def test_a_recording_whose_file_is_gone_is_an_error_and_never_saved(
    what: str, server: audiostream.AdvancedAudioServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with audiostream.AudioClient("udp", "127.0.0.1", server.port, input="tone") as client:
        client.start_recording()
        until(lambda: client.recording_seconds > 0.1, "sound in the file")
        if what == "folder":
            shutil.rmtree(tmp_path / "Recording")
            until(lambda: not client.is_recording, "the recording to end")
        else:
            [path] = (tmp_path / "Recording").glob("*.wav")
            path.rename(tmp_path / "elsewhere.wav")
        recording = client.stop_recording()
        sent = client.stats.packets_sent
        until(lambda: client.stats.packets_sent > sent, "the stream goes on")
    assert recording is not None
    assert recording.error is not None
    assert ("deleted" if what == "folder" else "moved") in recording.error
    until(lambda: any(record.levelname == "ERROR" for record in caplog.records), "the error in the log")
    assert "Recording saved" not in caplog.text


@pytest.mark.timeout(60)
def test_a_server_says_at_once_that_the_disk_is_full(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        if can_mount():
            stack.enter_context(small_disk(folder, 128))
        server = stack.enter_context(quiet_server(record=True, recordings=folder))
        if not can_mount():
            # Without the right to mount, the file is taken away.
            until(lambda: list(folder.glob("*.wav")), "the file")[0].unlink()
        peer = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sound = packets("rtp", noise(310 * BLOCK).tobytes(), sequence=0)
        send_udp(server.port, sound[:300], interval=0.002, source=peer)
        until(lambda: not server.is_recording, "the recording to end")
        until(lambda: any(record.levelname == "ERROR" for record in caplog.records), "the error in the log")
        before = server.stats.packets_received
        send_udp(server.port, sound[300:], source=peer)
        until(lambda: server.stats.packets_received > before, "the stream goes on")
