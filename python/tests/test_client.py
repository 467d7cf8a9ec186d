"""The client from the outside: the original's contract, and what was added to it."""

import logging
import os
import time

import pytest

import audiostream
from audiostream import AudioClient
from harness.pcm import pcm_noise, read_pcm, write_pcm
from harness.ports import free_port
from harness.streams import quiet_server
from harness.wait import until


@pytest.fixture
def server():
    """A server that plays to nowhere, streaming."""
    with quiet_server() as server:
        yield server


@pytest.fixture
def client(server):
    """A client that streams the built-in voice to the server."""
    with AudioClient(port=server.port, input="voice") as client:
        yield client


def streaming(server, **options):
    return AudioClient(port=server.port, **{"input": "tone", **options})


@pytest.mark.parametrize(("size", "chunks"), [(2.5, 1), (5, 1), (10, 1), (150, 15)])
def test_there_is_at_least_one_chunk(server, size, chunks):
    client = streaming(server, size=size)
    assert chunks == client.NUMCHUNKS
    client.close()


def test_what_is_sent_is_received(server, client):
    until(lambda: client.stats.packets_sent >= 20, "20 packets")
    client.stop()
    sent = client.stats
    until(lambda: server.stats.packets_received == sent.packets_sent, "all packets")
    assert server.stats.packets_lost == 0
    assert server.stats.bytes_received == sent.bytes_sent


def test_a_file_starts_with_run_and_ends_it(server, tmp_path):
    path = write_pcm(tmp_path / "in.wav", pcm_noise(4410))
    client = streaming(server, input=f"file:{path}")
    time.sleep(0.2)
    assert client.stats.packets_sent == 0
    client.run()
    assert client.stats.frames_captured == 4410
    assert client.stats.packets_sent == 10


def test_send_audio_sends_one_packet(server, tmp_path):
    path = write_pcm(tmp_path / "in.wav", pcm_noise(2 * 441))
    client = streaming(server, input=f"file:{path}")
    assert client.send_audio()
    assert client.stats.packets_sent == 1
    assert client.send_audio()
    assert not client.send_audio()
    assert client.wait(1)
    client.close()


def test_an_overridden_send_audio_is_called_for_every_packet(server, tmp_path):
    class Counting(AudioClient):
        calls = 0

        def send_audio(self):
            self.calls += 1
            return super().send_audio()

    path = write_pcm(tmp_path / "in.wav", pcm_noise(5 * 441))
    client = Counting(port=server.port, input=f"file:{path}")
    client.run()
    assert client.stats.packets_sent == 5
    assert client.calls in {5, 6}


def test_overridden_set_up_methods_are_called_in_order(server):
    class Telling(AudioClient):
        def setup_audio(self):
            self.told = ["audio"]
            super().setup_audio()

        def setup_socket(self):
            self.told.append("socket")
            super().setup_socket()

    client = Telling(port=server.port, input="tone")
    assert client.told == ["audio", "socket"]
    client.close()


def test_sequence_numbers_start_at_0_on_the_classic_wire(server, tmp_path):
    path = write_pcm(tmp_path / "in.wav", pcm_noise(3 * 441))
    client = streaming(server, input=f"file:{path}", wire="classic")
    assert client.sequenceNumber == 0
    client.run()
    assert client.sequenceNumber == 3


def test_a_recording_with_a_duration_ends_by_itself_to_the_frame(client, caplog):
    caplog.set_level(logging.INFO, "audiostream")
    path = client.start_recording(0.5)
    assert client.is_recording
    assert client.recording_seconds < 0.5
    until(lambda: not client.is_recording, "the recording to end by itself")
    recording = client.stop_recording()
    assert recording.path == path
    assert recording.frames == 22050
    assert recording.duration == 0.5
    assert len(read_pcm(path)) == 22050 * 2
    assert client.last_recording == recording
    (line,) = [one.getMessage() for one in caplog.records if "saved" in one.getMessage()]
    assert str(path) in line
    assert "0.50 s" in line
    assert str(path.stat().st_size) in line


def test_a_recording_that_ended_by_itself_is_handed_out_once_and_can_be_named(client):
    client.start_recording(0.1)
    until(lambda: not client.is_recording, "the recording to end by itself")
    recording = client.stop_recording("mine.wav")
    assert str(recording.path) == "Recording/mine.wav"
    assert os.listdir("Recording") == ["mine.wav"]
    assert b"".join(client.recorded_frames) == recording.pcm()
    assert client.stop_recording() is None


def test_a_recording_is_stopped_and_named(client):
    client.start_recording()
    until(lambda: client.recording_seconds > 0.2, "0.2 s")
    recording = client.stop_recording("take.wav")
    assert str(recording.path) == "Recording/take.wav"
    assert recording.frames > 0.2 * 44100
    assert not client.is_recording


def test_a_second_recording_beside_the_first_is_refused(client):
    client.start_recording()
    with pytest.raises(audiostream.StateError):
        client.start_recording()


@pytest.mark.parametrize("duration", [0, -1])
def test_a_recording_of_no_length_is_refused(client, duration):
    with pytest.raises(audiostream.ConfigError):
        client.start_recording(duration)


def test_recorded_frames_grow_and_join_to_the_file(client):
    client.start_recording()
    frames = client.recorded_frames
    until(lambda: len(frames) > 10, "ten chunks")
    before = len(frames)
    until(lambda: len(frames) > before, "more chunks")
    assert {len(one) for one in frames} == {882}
    recording = client.stop_recording("named")
    assert b"".join(frames) == recording.pcm()


def test_record_keeps_all_from_the_first_sample_to_the_last(server, tmp_path):
    pcm = pcm_noise(4410)
    path = write_pcm(tmp_path / "in.wav", pcm)
    client = streaming(server, input=f"file:{path}", record=True)
    client.run()
    assert client.last_recording.pcm() == pcm


def test_record_takes_seconds(server):
    with streaming(server, record=0.1) as client:
        until(lambda: client.last_recording is not None, "the recording")
        assert client.last_recording.frames == 4410


def test_the_end_finishes_a_recording(server):
    with streaming(server) as client:
        client.start_recording()
        until(lambda: client.recording_seconds > 0.1, "0.1 s")
    recording = client.stop_recording()
    assert len(read_pcm(recording.path)) == recording.frames * 2


def test_duration_ends_run(server):
    client = streaming(server, duration=0.3)
    start = time.monotonic()
    client.run()
    assert 0.25 < time.monotonic() - start < 2


def test_wait_gives_up_in_time(client):
    start = time.monotonic()
    assert client.wait(0.2) is False
    assert 0.15 < time.monotonic() - start < 1


def test_mute_and_gain_are_properties(client):
    assert client.mute is False
    assert client.gain == 1.0
    client.gain = 0.5
    client.mute = True
    assert client.gain == 0.5
    assert client.mute is True


def test_muted_sound_is_silence_and_packets_go_on(server, tmp_path):
    with quiet_server(record="muted") as listener:
        with streaming(listener) as client:
            client.mute = True
            until(lambda: listener.stats.packets_received > 30, "30 packets")
        until(lambda: listener.stats.packets_received == client.stats.packets_sent, "all packets")
    pcm = listener.last_recording.pcm()
    assert len(pcm) > 20 * 882
    assert not any(pcm[10 * 882 :])


def test_the_level_is_that_of_the_tone(client, server):
    with streaming(server) as tone:
        until(lambda: -12.5 < tone.level_db < -11.5, "the tone's level")


def test_the_local_port_can_be_chosen(server):
    port = free_port()
    with streaming(server, local_port=port) as client:
        assert client.local_address.endswith(f":{port}")
        until(lambda: server.stats.sources, "a source")
        assert server.stats.sources[0].address.endswith(f":{port}")


def test_the_packet_log_has_a_line_for_each_packet(server, tmp_path):
    path = write_pcm(tmp_path / "in.wav", pcm_noise(10 * 441))
    client = streaming(server, input=f"file:{path}", packet_log=tmp_path / "packets.csv")
    client.run()
    head, *lines = (tmp_path / "packets.csv").read_text().splitlines()
    assert head == "time_us,direction,source,sequence,timestamp,bytes,verdict"
    assert len(lines) == 10
    assert {line.split(",")[1] for line in lines} == {"out"}


def test_a_failed_set_up_frees_the_port(server):
    port = free_port()

    class Failing(AudioClient):
        def setup_socket(self):
            super().setup_socket()
            raise RuntimeError("after the socket")

    with pytest.raises(RuntimeError, match="after the socket"):
        Failing(port=server.port, input="tone", local_port=port)
    with streaming(server, local_port=port):
        pass


def test_closing_is_for_ever_and_may_be_repeated(client):
    client.stop()
    client.stop()
    client.close()
    client.cleanup()
    assert client.wait(1)
    assert client.stats.packets_sent >= 0
    with pytest.raises(audiostream.StateError):
        client.start_recording()
