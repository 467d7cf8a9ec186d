"""Recordings as files: read whole, read as a view, shown, named."""

import os
import struct

import pytest

from audiostream import ConfigError, RecordedFrames, Recording, RecordingError
from audiostream.recording import INLINE_BYTES_MAX, rename
from harness.pcm import pcm_noise, write_pcm


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


def saved(tmp_path, content):
    path = tmp_path / "sound.wav"
    path.write_bytes(content)
    return path


def view(path, chunk=441, live=False):
    return RecordedFrames(lambda: (path, live), chunk)


def test_what_wave_writes_is_read(tmp_path):
    pcm = pcm_noise(1000, channels=2)
    recording = Recording.open(write_pcm(tmp_path / "a.wav", pcm, rate=48000, channels=2))
    assert (recording.frames, recording.rate, recording.channels) == (1000, 48000, 2)
    assert recording.duration == 1000 / 48000
    assert recording.pcm() == pcm


def test_rf64_is_read_by_the_sizes_in_ds64(tmp_path):
    pcm = pcm_noise(700)
    recording = Recording.open(saved(tmp_path, rf64(pcm)))
    assert recording.frames == 700
    assert recording.pcm() == pcm


def test_rf64_beyond_four_gibibytes_is_read_at_any_place(tmp_path):
    frames = 2**31 + 1000
    path = tmp_path / "long.wav"
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


def test_chunks_before_the_sound_are_walked_over(tmp_path):
    pcm = pcm_noise(10)
    path = saved(tmp_path, riff(chunk(b"JUNK", bytes(28)), chunk(b"LIST", b"odd"), pcm_format(), chunk(b"data", pcm)))
    assert Recording.open(path).pcm() == pcm


def test_extensible_pcm_is_read(tmp_path):
    extra = struct.pack("<HHIH", 22, 16, 4, 1) + bytes(14)
    path = saved(tmp_path, riff(pcm_format(tag=0xFFFE, extra=extra), chunk(b"data", pcm_noise(5))))
    assert Recording.open(path).frames == 5


def test_a_file_cut_short_holds_what_is_there(tmp_path):
    path = saved(tmp_path, riff(pcm_format(), chunk(b"data", pcm_noise(10), length=5000)))
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
def test_what_is_no_16_bit_wav_is_refused(tmp_path, content):
    with pytest.raises(RecordingError):
        Recording.open(saved(tmp_path, content))


def test_a_missing_file_is_a_recording_error_with_its_number(tmp_path):
    with pytest.raises(RecordingError, match=r"nowhere\.wav") as caught:
        Recording.open(tmp_path / "nowhere.wav")
    assert caught.value.errno == 2


def test_an_array_has_frames_by_channels(tmp_path):
    np = pytest.importorskip("numpy")
    pcm = struct.pack("<6h", 1, -1, 2, -2, 32767, -32768)
    array = Recording.open(write_pcm(tmp_path / "a.wav", pcm, channels=2)).to_numpy()
    assert array.dtype == np.int16
    assert array.tolist() == [[1, -1], [2, -2], [32767, -32768]]


def test_chunks_join_to_the_whole(tmp_path):
    pcm = pcm_noise(1000)
    chunks = view(write_pcm(tmp_path / "a.wav", pcm))
    assert len(chunks) == 3
    assert [len(one) for one in chunks] == [882, 882, 236]
    assert b"".join(chunks) == pcm
    assert chunks[-1] == chunks[2] == pcm[1764:]
    assert chunks[:2] == [pcm[:882], pcm[882:1764]]
    assert chunks == [pcm[:882], pcm[882:1764], pcm[1764:]]
    with pytest.raises(IndexError):
        chunks[3]


def test_a_growing_recording_shows_whole_chunks(tmp_path):
    path = write_pcm(tmp_path / "a.wav", pcm_noise(1000))
    assert len(view(path, live=True)) == 2
    write_pcm(path, pcm_noise(1400))
    assert len(view(path, live=True)) == 3


def test_before_a_recording_the_view_is_empty():
    chunks = view(None)
    assert not chunks
    assert list(chunks) == []
    assert b"".join(chunks) == b""
    with pytest.raises(IndexError):
        chunks[0]


def test_jupyter_shows_a_player(tmp_path):
    pcm = pcm_noise(100)
    path = write_pcm(tmp_path / "a.wav", pcm)
    shown = Recording.open(path)._repr_html_()
    assert '<audio controls src="data:audio/wav;base64,' in shown
    audio = pytest.importorskip("IPython.display").Audio
    assert isinstance(Recording.open(path).audio(), audio)


def test_jupyter_links_to_what_is_too_large_to_inline(tmp_path):
    path = tmp_path / "<long>.wav"
    head = riff(pcm_format(), chunk(b"data", b"", length=INLINE_BYTES_MAX))
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + INLINE_BYTES_MAX)
    shown = Recording.open(path)._repr_html_()
    assert "<audio" not in shown
    assert "<long>" not in shown
    assert "&lt;long&gt;.wav" in shown


def test_jupyter_says_that_a_file_is_gone(tmp_path):
    recording = Recording.open(write_pcm(tmp_path / "a.wav", pcm_noise(10)))
    recording.path.unlink()
    assert "gone" in recording._repr_html_()


def test_a_recording_is_a_path(tmp_path):
    recording = Recording.open(write_pcm(tmp_path / "a.wav", pcm_noise(10)))
    assert os.fspath(recording) == str(tmp_path / "a.wav")
    assert recording.size_bytes == 64


def test_a_name_never_overwrites(tmp_path):
    write_pcm(tmp_path / "mine.wav", b"")
    named = rename(Recording.open(write_pcm(tmp_path / "a.wav", pcm_noise(10))), tmp_path, "mine")
    assert named.path == tmp_path / "mine_1.wav"
    assert named.frames == 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.wav", "mine_1.wav"]


@pytest.mark.parametrize("name", ["../x.wav", "sub/x.wav", "/tmp/x.wav", ""])
def test_a_name_never_leads_out_of_the_folder(tmp_path, name):
    inside = tmp_path / "Recording"
    inside.mkdir()
    recording = Recording.open(write_pcm(inside / "a.wav", pcm_noise(10)))
    with pytest.raises(ConfigError):
        rename(recording, inside, name)
    assert recording.path.exists()
