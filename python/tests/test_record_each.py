"""Recordings of each sender by itself."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import audiostream
from audiostream import Recording
from harness.folders import can_mount, small_disk
from harness.packets import framed, goodbye, packets, rtcp, send_udp, sender_report
from harness.ports import free_port, wait_open
from harness.scripts import Script
from harness.signals import Samples, noise, read_wav
from harness.streams import quiet_server
from harness.wait import until

BLOCK = 441
FOLDER = Path("Recording")
# Seconds from 1900 to 1970.
NTP = 2_208_988_800


def voice(number: int, blocks: int = 50) -> Samples:
    return noise(blocks * BLOCK, seed=number)


def said(ssrc: int, *, blocks: int = 50, first: int = 0) -> list[bytes]:
    """What a sender sends: packets `first` to `blocks` of its own voice."""
    return packets("rtp", voice(ssrc, blocks).tobytes(), sequence=65_520, timestamp=2**32 - 5_000, ssrc=ssrc)[first:]


def called(ssrc: int, name: bytes) -> bytes:
    """A report that tells a CNAME, and a user's name (RFC 3550 section 6.5)."""
    items = struct.pack(">BB", 1, 4) + b"c%03d" % (ssrc % 1000) + struct.pack(">BB", 2, len(name)) + name
    chunk = struct.pack(">I", ssrc) + items
    return rtcp(201, struct.pack(">I", ssrc)) + rtcp(202, chunk + bytes(4 - len(chunk) % 4), count=1)


def sidecars() -> dict[int, dict[str, Any]]:
    """The notes of all recordings, by SSRC."""
    notes = [json.loads(path.read_text()) for path in FOLDER.glob("*.json")]
    return {note["source"]["ssrc"]: note for note in notes}


def recorded(ssrc: int) -> Samples:
    return read_wav(FOLDER / sidecars()[ssrc]["file"])


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_each_sender_is_a_file_sample_by_sample_with_silence_for_what_was_lost(protocol: str) -> None:
    lost = {1: set[int](), 2: {7, 8, 30}, 3: {20}}
    with quiet_server(protocol, record="each", max_sources=8) as server:
        for ssrc, gone in lost.items():
            sent = [called(ssrc, b"Ada")] + [p for n, p in enumerate(said(ssrc)) if n not in gone]
            # Two change places.
            sent[12], sent[13] = sent[13], sent[12]
            if protocol == "udp":
                send_udp(server.port, sent)
            else:
                with socket.create_connection(("127.0.0.1", server.port)) as connection:
                    connection.sendall(b"".join(framed(packet) for packet in sent))
                    until(lambda: len(server.sources) == ssrc, "its packets")  # noqa: B023
        until(lambda: server.stats.packets_received == 146, "all packets")
        assert server.stats.recordings <= 3
        server.stop()
        stats = server.stats
    assert (stats.recordings, stats.recordings_refused, stats.recordings_failed) == (0, 0, 0)
    notes = sidecars()
    assert len(list(FOLDER.glob("*.wav"))) == 3
    for ssrc, gone in lost.items():
        sound = voice(ssrc)
        for n in gone:
            sound[n * BLOCK : (n + 1) * BLOCK] = 0
        assert np.array_equal(recorded(ssrc), sound), ssrc
        source, counts = notes[ssrc]["source"], notes[ssrc]["packets"]
        assert (source["protocol"], source["codec"], source["wire"]) == (protocol, "L16/44100/1", "rtp")
        assert (counts["expected"], counts["received"], counts["lost"]) == (50, 50 - len(gone), len(gone))
        assert notes[ssrc]["first_frame"]["timestamp"] == 2**32 - 5_000
        assert notes[ssrc]["finished"]
        assert sum(gap["frames"] for gap in notes[ssrc]["sources"][0]["gaps"]) == len(gone) * BLOCK


@pytest.mark.parametrize(
    ("name", "file"),
    [
        (b"Ada Lovelace", "Ada_Lovelace_2"),
        (b"../../x", "x_2"),
        (b"/etc/passwd", "etc_passwd_2"),
        (b"", "c007_2"),
        (b"..", "source_2"),
        (b"n" * 255, "n" * 80 + "_2"),
        ("ユニコード".encode(), "ユニコード_2"),
        (b"\xff\xfe\x00\n", ""),
    ],
)
def test_no_name_leads_out_of_the_folder(name: bytes, file: str, tmp_path: Path) -> None:
    with quiet_server(record="each") as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        send_udp(server.port, said(7)[:2], source=peer)
        until(lambda: server.stats.packets_received == 2, "its beginning")
        send_udp(server.port, [called(7, name), *said(7)[2:]], source=peer)
        until(lambda: server.stats.packets_received == 50, "its packets")
        server.stop()
    assert {path.name for path in tmp_path.iterdir()} == {"Recording"}
    [path] = FOLDER.glob("*.wav")
    assert path.name.startswith(file)
    assert not path.name.startswith(".")
    assert np.array_equal(read_wav(path), voice(7))


def test_senders_of_one_name_have_a_file_each() -> None:
    with quiet_server(record="each", max_sources=8) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        for ssrc in range(1, 6):
            send_udp(server.port, [*said(ssrc)[:2], called(ssrc, b"Ada"), *said(ssrc)[2:]], source=peer)
        until(lambda: server.stats.packets_received == 250, "all packets")
    names = sorted(path.name for path in FOLDER.glob("*.wav"))
    assert len(names) == 5
    assert all(name.startswith("Ada_") for name in names), names
    for ssrc in range(1, 6):
        assert np.array_equal(recorded(ssrc), voice(ssrc))


def test_files_can_be_lined_up_by_when_their_first_frames_came_and_were_said() -> None:
    with quiet_server(record="each", max_sources=8) as server:
        for ssrc, ahead in ((1, 0), (2, 22_050)):
            sent = said(ssrc)
            # A second after its first frame it is 12:00:00 or, by the other's clock, half a second later.
            report = sender_report(ssrc, ntp=(NTP + 1_700_000_000) << 32, timestamp=44_100 - 5_000 - ahead)
            send_udp(server.port, [*sent[:3], report, *sent[3:]])
        until(lambda: server.stats.packets_received == 100, "all packets")
    first = {ssrc: note["first_frame"] for ssrc, note in sidecars().items()}
    assert first[1]["sent"] == pytest.approx(1_700_000_000 - 1, abs=1e-4)
    assert first[2]["sent"] == pytest.approx(1_700_000_000 - 0.5, abs=1e-4)
    assert abs(first[1]["arrived"] - os.stat(FOLDER).st_mtime) < 60
    assert first[1]["arrived"] < first[2]["arrived"]


def test_who_leaves_has_a_whole_file_and_another_when_it_comes_back() -> None:
    with quiet_server(record="each") as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        send_udp(server.port, [*said(1)[:25], called(1, b"Ada"), goodbye(1)], source=peer)
        [source] = until(lambda: server.sources, "the source")
        until(lambda: source.state == "left" and not source.is_recording, "its end")
        first = until(source.stop_recording, "its recording")
        assert (first.frames, first.error) == (25 * BLOCK, None)
        assert np.array_equal(first.to_numpy(), voice(1)[: 25 * BLOCK])
        send_udp(server.port, said(1)[25:30], source=peer)
        until(lambda: server.stats.packets_received == 30, "its return")
        assert not source.is_recording, "it was asked to be recorded no more"
    assert len(list(FOLDER.glob("*.wav"))) == 1


def test_a_connection_that_comes_back_is_recorded_again() -> None:
    with quiet_server("tcp", record="each") as server:
        for start in (0, 25):
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                connection.sendall(b"".join(framed(packet) for packet in said(1)[start : start + 25]))
            until(lambda: len(list(FOLDER.glob("*.wav"))) == 1 + (start > 0), "a whole file")  # noqa: B023
        until(lambda: server.stats.recordings == 0, "the end of both")
    sounds = sorted((read_wav(path) for path in FOLDER.glob("*.wav")), key=lambda sound: bool(sound[0] != voice(1)[0]))
    assert np.array_equal(np.concatenate(sounds), voice(1))


def test_one_source_is_recorded_from_now_until_told(tmp_path: Path) -> None:
    with quiet_server() as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        for ssrc in (1, 2):
            send_udp(server.port, [*said(ssrc)[:10], called(ssrc, b"Ada")], source=peer)
        until(lambda: [source.name for source in server.sources] == ["Ada", "Ada"], "both")
        one, other = server.sources
        assert one.stop_recording() is None
        path = one.record("take")
        assert (path.name, one.is_recording, other.is_recording) == ("take.wav", True, False)
        with pytest.raises(audiostream.StateError, match="being recorded to"):
            one.record()
        for bad in ("../x.wav", "/tmp/x.wav", "..", "x\0y"):
            with pytest.raises(audiostream.ConfigError):
                other.record(bad)
        assert other.record().name.startswith("Ada_2")
        for ssrc in (1, 2):
            send_udp(server.port, said(ssrc)[10:], source=peer)
        until(lambda: server.stats.packets_received == 100, "all packets")
        recording = one.stop_recording()
        assert isinstance(recording, Recording)
        assert recording.path.resolve() == path.resolve()
        assert np.array_equal(recording.to_numpy(), voice(1)[10 * BLOCK :])
        assert one.stop_recording() == recording, "the last one"
        assert sidecars()[1]["packets"] == dict.fromkeys(sidecars()[1]["packets"], 0) | {"expected": 40, "received": 40}
        send_udp(server.port, [goodbye(1)], source=peer)
        until(lambda: one.state == "left", "the goodbye")
        with pytest.raises(audiostream.StateError, match="silent"):
            one.record()
        assert other.is_recording
    assert not other.is_recording
    finished = other.stop_recording()
    assert finished is not None
    assert np.array_equal(finished.to_numpy(), voice(2)[10 * BLOCK :]), "the server's end is its end"
    with pytest.raises(audiostream.StateError, match="closed"):
        other.record()
    assert {path.name for path in tmp_path.iterdir()} == {"Recording"}


def test_so_many_are_recorded_at_once_and_the_others_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    with (
        quiet_server(record="each", output="none", max_sources=200) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
    ):
        # Many at a time: all must be there before the first counts as silent.
        for first in range(1, 131, 26):
            for ssrc in range(first, first + 26):
                send_udp(server.port, said(ssrc, blocks=3), source=peer)
            until(lambda: server.stats.packets_received >= 3 * (first + 25), "their packets")  # noqa: B023
        assert (server.stats.recordings, server.stats.recordings_refused) == (128, 2)
        sources = server.sources
        with pytest.raises(audiostream.StateError, match="128 sources are being recorded"):
            sources[129].record()
        threads = [Path(f"/proc/self/task/{task}/comm").read_text().strip() for task in os.listdir("/proc/self/task")]
        assert sorted(name for name in threads if name in {"as-record", "as-sync"}) == ["as-record", "as-sync"]
        assert sources[0].stop_recording() is not None
        path = sources[129].record()
        assert path.exists()
        server.stop()
    assert len(list(FOLDER.glob("*.wav"))) == 129
    assert "a source is not recorded: 128" in caplog.text
    assert all(note["finished"] for note in sidecars().values())


def test_a_killed_process_leaves_files_that_can_be_read(tmp_path: Path) -> None:
    port = free_port()
    with Script("server", "--port", port, "--output", "null", "--record-each", folder=tmp_path) as server:
        wait_open("udp", port)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            for part in range(10):
                for ssrc in (1, 2):
                    send_udp(port, said(ssrc, blocks=1000)[part * 100 : part * 100 + 100], source=peer)
            until(lambda: len(list(FOLDER.glob("*.wav"))) == 2, "two files")
            until(lambda: all(path.stat().st_size > 500_000 for path in FOLDER.glob("*.wav")), "sound in them")
            server.process.kill()
            server.wait()
    sounds = [read_wav(path) for path in FOLDER.glob("*.wav")]
    for sound in sounds:
        # What is held back for late packets is gone: 3 s.
        assert len(sound) >= 600 * BLOCK
        assert any(np.array_equal(sound, voice(ssrc, 1000)[: len(sound)]) for ssrc in (1, 2))


def test_a_signal_finishes_all_recordings_of_the_script(tmp_path: Path) -> None:
    port = free_port()
    options = ("--output", "null", "--record-each", "--recordings", "kept", "--quiet")
    with Script("server", "--port", port, *options, "--stats-json", "s.json", folder=tmp_path) as server:
        wait_open("udp", port)
        for ssrc in (1, 2, 3):
            send_udp(port, said(ssrc))
        until(lambda: len(list(Path("kept").glob("*.wav"))) == 3, "three files")
        server.signal(signal.SIGTERM)
        server.succeeds()
    sounds = [read_wav(path) for path in Path("kept").glob("*.wav")]
    assert all(any(np.array_equal(sound, voice(ssrc)) for sound in sounds) for ssrc in (1, 2, 3))
    assert json.loads(Path("s.json").read_text())["packets_received"] == 150


def test_a_full_disk_ends_the_recordings_and_not_the_stream(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    if not can_mount():
        # Without the right to mount, a folder where nobody can make files stands for it.
        with quiet_server(record="each", recordings="/proc/self/recordings") as server:
            send_udp(server.port, said(1))
            until(lambda: server.stats.recordings_failed == 1, "the failure")
        return
    folder = tmp_path / "small"
    folder.mkdir()
    with small_disk(folder, 256), caplog.at_level(logging.INFO, logger="audiostream"):
        with (
            quiet_server(record="each", recordings=folder) as server,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
        ):
            send_udp(server.port, said(1, blocks=800), source=peer)
            until(lambda: server.stats.recordings_failed == 1, "the failure")
            received = server.stats.packets_received
            [source] = server.sources
            assert not source.is_recording
            send_udp(server.port, said(1, blocks=801)[800:], source=peer)
            until(lambda: server.stats.packets_received > received, "the stream goes on")
            recording = source.stop_recording()
            assert recording is not None
            assert recording.error
        [path] = folder.glob("*.wav")
        sound = read_wav(path)
        assert len(sound) * 2 > 200_000
        assert np.array_equal(sound, voice(1, 800)[: len(sound)])
    until(lambda: "is not recorded any more" in caplog.text, "the line")
