<<<<<<< HEAD
"""Recordings: exact length, valid whatever happens, and where they belong."""

from __future__ import annotations

import errno
import signal
import wave
from collections.abc import Iterator
from pathlib import Path

import audiostream
import numpy as np
import pytest
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
=======
"""Recordings as files: read whole, read as a view, shown, named."""

import os
import struct

import pytest

from audiostream import RecordedFrames, Recording, RecordingError
from audiostream.recording import INLINE_BYTES_MAX, rename
from conftest import noise, write_wav


def chunk(name, body, length=None):
    return name + struct.pack("<I", len(body) if length is None else length) + body + b"\0" * (len(body) % 2)


def pcm_format(channels=1, rate=44100, bits=16, tag=1, extra=b""):
    align = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * align, align, bits) + extra)


def riff(*chunks, name=b"RIFF"):
    body = b"WAVE" + b"".join(chunks)
    return name + struct.pack("<I", len(body) if name == b"RIFF" else 0xFFFFFFFF) + body


def rf64(pcm, channels=1):
    sizes = struct.pack("<QQQI", 0, len(pcm), len(pcm) // (2 * channels), 0)
    body = chunk(b"ds64", sizes) + pcm_format(channels) + b"data" + struct.pack("<I", 0xFFFFFFFF) + pcm
    return b"RF64" + struct.pack("<I", 0xFFFFFFFF) + b"WAVE" + body


def saved(folder, content):
    path = folder / "sound.wav"
    path.write_bytes(content)
    return path


def view(path, chunk=441, live=False):
    return RecordedFrames(lambda: (path, live), chunk)


def test_what_wave_writes_is_read(folder):
    pcm = noise(1000, channels=2)
    recording = Recording.open(write_wav(folder / "a.wav", pcm, rate=48000, channels=2))
    assert (recording.frames, recording.rate, recording.channels) == (1000, 48000, 2)
    assert recording.duration == 1000 / 48000
    assert recording.pcm() == pcm


def test_rf64_is_read_by_the_sizes_in_ds64(folder):
    pcm = noise(700)
    recording = Recording.open(saved(folder, rf64(pcm)))
    assert recording.frames == 700
    assert recording.pcm() == pcm


def test_rf64_beyond_four_gibibytes_is_read_at_any_place(folder):
    frames = 2**31 + 1000
    path = folder / "long.wav"
    with path.open("wb") as file:
        head = rf64(b"")
        head = head.replace(struct.pack("<QQQI", 0, 0, 0, 0), struct.pack("<QQQI", 0, frames * 2, frames, 0))
        file.write(head)
        file.truncate(len(head) + frames * 2)  # sparse
        file.seek(-2, 2)
        file.write(b"\x34\x12")
    assert Recording.open(path).frames == frames
    chunks = view(path)
    assert len(chunks) == -(-frames // 441)
    assert chunks[-1][-2:] == b"\x34\x12"
    assert chunks[2**22] == bytes(882)


def test_chunks_before_the_sound_are_walked_over(folder):
    pcm = noise(10)
    path = saved(folder, riff(chunk(b"JUNK", bytes(28)), chunk(b"LIST", b"odd"), pcm_format(), chunk(b"data", pcm)))
    assert Recording.open(path).pcm() == pcm


def test_extensible_pcm_is_read(folder):
    extra = struct.pack("<HHIH", 22, 16, 4, 1) + bytes(14)
    path = saved(folder, riff(pcm_format(tag=0xFFFE, extra=extra), chunk(b"data", noise(5))))
    assert Recording.open(path).frames == 5


def test_a_file_cut_short_holds_what_is_there(folder):
    path = saved(folder, riff(pcm_format(), chunk(b"data", noise(10), length=5000)))
    assert Recording.open(path).frames == 10


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF",
        b"not a sound file, but long enough",
        riff(chunk(b"data", bytes(4))),
        riff(pcm_format()),
        riff(pcm_format(bits=24), chunk(b"data", bytes(6))),
        riff(pcm_format(tag=3), chunk(b"data", bytes(6))),
        riff(pcm_format(channels=0), chunk(b"data", bytes(6))),
        riff(chunk(b"fmt ", bytes(4)), chunk(b"data", bytes(6))),
        riff(chunk(b"JUNK", b"", length=0xFFFFFFF0)),
    ],
)
def test_what_is_no_16_bit_wav_is_refused(folder, content):
    with pytest.raises(RecordingError):
        Recording.open(saved(folder, content))


def test_a_missing_file_is_a_recording_error_with_its_number(folder):
    with pytest.raises(RecordingError, match=r"nowhere\.wav") as caught:
        Recording.open(folder / "nowhere.wav")
    assert caught.value.errno == 2


def test_an_array_has_frames_by_channels(folder):
    np = pytest.importorskip("numpy")
    pcm = struct.pack("<6h", 1, -1, 2, -2, 32767, -32768)
    array = Recording.open(write_wav(folder / "a.wav", pcm, channels=2)).to_numpy()
    assert array.dtype == np.int16
    assert array.tolist() == [[1, -1], [2, -2], [32767, -32768]]


def test_chunks_join_to_the_whole(folder):
    pcm = noise(1000)
    chunks = view(write_wav(folder / "a.wav", pcm))
    assert len(chunks) == 3
    assert [len(one) for one in chunks] == [882, 882, 236]
    assert b"".join(chunks) == pcm
    assert chunks[-1] == chunks[2] == pcm[1764:]
    assert chunks[:2] == [pcm[:882], pcm[882:1764]]
    assert chunks == [pcm[:882], pcm[882:1764], pcm[1764:]]
    with pytest.raises(IndexError):
        chunks[3]


def test_a_growing_recording_shows_whole_chunks(folder):
    path = write_wav(folder / "a.wav", noise(1000))
    assert len(view(path, live=True)) == 2
    write_wav(path, noise(1400))
    assert len(view(path, live=True)) == 3


def test_before_a_recording_the_view_is_empty():
    chunks = view(None)
    assert not chunks
    assert list(chunks) == []
    assert b"".join(chunks) == b""
    with pytest.raises(IndexError):
        chunks[0]


def test_jupyter_shows_a_player(folder):
    pcm = noise(100)
    path = write_wav(folder / "a.wav", pcm)
    shown = Recording.open(path)._repr_html_()
    assert '<audio controls src="data:audio/wav;base64,' in shown
    audio = pytest.importorskip("IPython.display").Audio
    assert isinstance(Recording.open(path).audio(), audio)


def test_jupyter_links_to_what_is_too_large_to_inline(folder):
    path = folder / "<long>.wav"
    head = riff(pcm_format(), chunk(b"data", b"", length=INLINE_BYTES_MAX))
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + INLINE_BYTES_MAX)
    shown = Recording.open(path)._repr_html_()
    assert "<audio" not in shown
    assert "<long>" not in shown
    assert "&lt;long&gt;.wav" in shown


def test_jupyter_says_that_a_file_is_gone(folder):
    recording = Recording.open(write_wav(folder / "a.wav", noise(10)))
    recording.path.unlink()
    assert "gone" in recording._repr_html_()


def test_a_recording_is_a_path(folder):
    recording = Recording.open(write_wav(folder / "a.wav", noise(10)))
    assert os.fspath(recording) == str(folder / "a.wav")
    assert recording.size_bytes == 64


def test_a_name_never_overwrites(folder):
    write_wav(folder / "mine.wav", b"")
    named = rename(Recording.open(write_wav(folder / "a.wav", noise(10))), folder, "mine")
    assert named.path == folder / "mine_1.wav"
    assert named.frames == 10
    assert sorted(path.name for path in folder.iterdir()) == ["mine.wav", "mine_1.wav"]


@pytest.mark.parametrize("name", ["../x.wav", "sub/x.wav", "/tmp/x.wav", ""])
def test_a_name_never_leads_out_of_the_folder(folder, name):
    inside = folder / "Recording"
    inside.mkdir()
    recording = Recording.open(write_wav(inside / "a.wav", noise(10)))
    with pytest.raises(RecordingError):
        rename(recording, inside, name)
    assert recording.path.exists()
>>>>>>> python
