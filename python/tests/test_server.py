"""The server from the outside: the original's contract, and what was added to it."""

import threading
import time
from pathlib import Path

import pytest

import audiostream
from audiostream import AdvancedAudioServer, AudioClient
from harness.pcm import pcm_noise, read_pcm, write_pcm
from harness.wait import until


def listening(protocol="udp", **options):
    return AdvancedAudioServer(protocol, 0, **{"bind": "127.0.0.1", "output": "null", **options})


def send_file(server, frames, protocol="udp", **options):
    """Streams a file of noise to its end."""
    path = write_pcm(Path("in.wav"), pcm_noise(frames))
    client = AudioClient(protocol, "127.0.0.1", server.port, input=f"file:{path}", **options)
    client.run()
    return client


def test_a_port_of_0_becomes_the_one_chosen():
    server = listening()
    assert server.port > 0
    assert server.local_address == f"127.0.0.1:{server.port}"
    server.close()


def test_set_up_is_called_in_the_original_order():
    class Telling(AdvancedAudioServer):
        def setup_socket(self):
            self.told = ["socket"]
            super().setup_socket()

        def setup_audio(self):
            self.told.append("audio")
            super().setup_audio()

    server = Telling(port=0, output="null")
    assert server.told == ["socket", "audio"]
    server.close()


def test_receive_data_tells_of_every_packet():
    server = listening()
    thread = threading.Thread(target=send_file, args=(server, 10 * 441))
    thread.start()
    assert [server.receive_data() for _ in range(10)] == [True] * 10
    thread.join()
    assert server.total_packets == 10
    assert server.lost_packets == 0
    assert server.last_received_sequence >= 0
    server.stop()
    assert server.receive_data() is False


def test_receive_data_is_false_when_the_tcp_peer_has_gone():
    server = listening("tcp")
    thread = threading.Thread(target=send_file, args=(server, 10 * 441, "tcp"))
    thread.start()
    count = 0
    while server.receive_data():
        count += 1
    thread.join()
    assert count == server.total_packets == 10
    server.close()


def test_an_overridden_receive_data_is_called_for_every_packet():
    class Counting(AdvancedAudioServer):
        calls = 0

        def receive_data(self):
            received = super().receive_data()
            self.calls += received
            return received

    server = Counting("tcp", 0, bind="127.0.0.1", output="null")
    thread = threading.Thread(target=send_file, args=(server, 20 * 441, "tcp"))
    thread.start()
    server.run()
    thread.join()
    assert server.calls == server.total_packets == 20


def test_a_tcp_server_can_go_on():
    server = listening("tcp", keep_listening=True)
    thread = threading.Thread(target=server.run)
    thread.start()
    for _ in range(2):
        send_file(server, 5 * 441, "tcp")
    until(lambda: server.total_packets == 10, "ten packets")
    assert thread.is_alive()
    server.stop()
    thread.join(5)
    assert not thread.is_alive()


def test_construction_does_not_wait_for_a_client():
    start = time.monotonic()
    server = listening("tcp")
    server.start()
    server.close()
    assert time.monotonic() - start < 2


def test_stop_ends_run_from_another_thread():
    server = listening()
    thread = threading.Thread(target=server.run)
    thread.start()
    time.sleep(0.1)
    server.stop()
    thread.join(5)
    assert not thread.is_alive()


def test_duration_ends_run_and_receive_data():
    server = listening(duration=0.2)
    server.run()
    server = listening(duration=0.2)
    assert server.receive_data() is False
    server.close()


def test_a_recording_has_what_arrived():
    server = listening(record="heard")
    with server:
        pcm_path = write_pcm(Path("in.wav"), pcm_noise(20 * 441))
        client = AudioClient(port=server.port, host="127.0.0.1", input=f"file:{pcm_path}")
        client.run()
        until(lambda: server.total_packets == 20, "20 packets")
        assert server.is_recording
    recording = server.last_recording
    assert str(recording.path) == "Recording/heard.wav"
    assert read_pcm(recording.path) == pcm_noise(20 * 441)
    assert server.stop_recording() == recording
    assert server.stop_recording() is None


def test_a_recording_can_be_started_and_stopped_in_mid_stream():
    with listening() as server, AudioClient(port=server.port, host="127.0.0.1", input="tone"):
        until(lambda: server.total_packets > 10, "ten packets")
        path = server.start_recording()
        with pytest.raises(audiostream.StateError):
            server.start_recording()
        time.sleep(0.5)
        recording = server.stop_recording()
        assert recording.path == path
        assert 0.3 < recording.duration < 1.5


def test_a_recordings_name_never_leads_out_of_the_folder(tmp_path):
    with listening() as server, pytest.raises(audiostream.ConfigError):
        server.start_recording("../x.wav")
    with pytest.raises(audiostream.ConfigError), listening(record="../x.wav"):
        pass
    assert not (tmp_path / "x.wav").exists()


def test_the_output_file_has_what_was_played(tmp_path):
    with listening(output=f"file:{tmp_path / 'out.wav'}") as server:
        send_file(server, 30 * 441)
        until(lambda: server.total_packets == 30, "30 packets")
    heard = read_pcm(tmp_path / "out.wav")
    assert heard[: 30 * 882] == pcm_noise(30 * 441)
    assert not any(heard[30 * 882 :])


def test_statistics_survive_the_end():
    server = listening()
    with server:
        send_file(server, 4410)
        until(lambda: server.total_packets == 10, "ten packets")
    assert server.stats.packets_received == 10
