"""The server from the outside: the original's contract, and what was added to it."""

import logging
import os
import socket
import struct
import threading
import time

import pytest

import audiostream
from audiostream import AdvancedAudioServer, AudioClient
from conftest import eventually, noise, read_wav, write_wav


def listening(protocol="udp", **options):
    return AdvancedAudioServer(protocol, 0, **{"bind": "127.0.0.1", "output": "null", **options})


def send_file(server, frames, protocol="udp", **options):
    """Streams a file of noise to its end."""
    path = write_wav("in.wav", noise(frames))
    client = AudioClient(protocol, "127.0.0.1", server.port, input=f"file:{path}", **options)
    client.run()
    return client


def test_the_original_attributes_are_there():
    server = listening(size=20)
    assert (server.protocol, server.size) == ("udp", 20)
    assert (server.FORMAT, server.CHANNELS, server.RATE, server.CHUNK, server.NUMCHUNKS) == (8, 1, 44100, 441, 2)
    assert (server.last_received_sequence, server.total_packets, server.lost_packets) == (-1, 0, 0)
    server.cleanup()
    server.cleanup()


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


def test_a_tcp_server_ends_with_its_client():
    server = listening("tcp")
    thread = threading.Thread(target=send_file, args=(server, 441, "tcp"))
    thread.start()
    server.run()
    thread.join()
    assert server.total_packets == 1


def test_a_tcp_server_can_go_on():
    server = listening("tcp", keep_listening=True)
    thread = threading.Thread(target=server.run)
    thread.start()
    for _ in range(2):
        send_file(server, 5 * 441, "tcp")
    assert eventually(lambda: server.total_packets == 10)
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


def test_the_port_is_free_again_after_the_end():
    for _ in range(3):
        server = listening()
        port = server.port
        with server:
            pass
        with AdvancedAudioServer(port=port, bind="127.0.0.1", output="null"):
            pass


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_a_port_in_use_is_a_transport_error(protocol, caplog):
    first = listening(protocol)
    with pytest.raises(audiostream.TransportError, match=str(first.port)) as caught:
        AdvancedAudioServer(protocol, first.port, bind="127.0.0.1", output="null")
    assert caught.value.errno
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert record.exc_info
    first.close()


def test_an_address_that_is_not_ours_is_a_transport_error():
    with pytest.raises(audiostream.TransportError, match=r"192\.0\.2\.1"):
        AdvancedAudioServer(port=0, bind="192.0.2.1", output="null")


def test_an_unknown_device_is_a_device_error_that_names_the_built_in_ends():
    with pytest.raises(audiostream.DeviceError, match="no such speaker"):
        AdvancedAudioServer(port=0, output="no such speaker")


@pytest.mark.parametrize(
    "wrong",
    [
        {"protocol": "sctp"},
        {"size": 15},
        {"rate": 0},
        {"channels": 0},
        {"wire": "morse"},
        {"delay": -1.0},
        {"delay": 1e9},
        {"delay": float("nan")},
        {"max_sources": 0},
        {"latency": "medium"},
        {"output": "file:"},
    ],
)
def test_a_wrong_argument_is_a_config_error(wrong):
    with pytest.raises(audiostream.ConfigError) as caught:
        AdvancedAudioServer(**{"port": 0, "output": "null", **wrong})
    assert str(caught.value)


def test_a_recording_has_what_arrived():
    server = listening(record="heard")
    with server:
        pcm_path = write_wav("in.wav", noise(20 * 441))
        client = AudioClient(port=server.port, host="127.0.0.1", input=f"file:{pcm_path}")
        client.run()
        assert eventually(lambda: server.total_packets == 20)
        assert server.is_recording
    recording = server.last_recording
    assert str(recording.path) == "Recording/heard.wav"
    assert read_wav(recording.path) == noise(20 * 441)
    assert server.stop_recording() == recording
    assert server.stop_recording() is None


def test_a_recording_can_be_started_and_stopped_in_mid_stream():
    with listening() as server, AudioClient(port=server.port, host="127.0.0.1", input="tone"):
        assert eventually(lambda: server.total_packets > 10)
        path = server.start_recording()
        with pytest.raises(audiostream.StateError):
            server.start_recording()
        time.sleep(0.5)
        recording = server.stop_recording()
        assert str(recording.path) == path
        assert 0.3 < recording.duration < 1.5


def test_a_recordings_name_never_leads_out_of_the_folder(folder):
    with listening() as server, pytest.raises(audiostream.RecordingError):
        server.start_recording("../x.wav")
    with pytest.raises(audiostream.RecordingError), listening(record="../x.wav"):
        pass
    assert not (folder / "x.wav").exists()


def test_the_output_file_has_what_was_played(folder):
    with listening(output=f"file:{folder / 'out.wav'}") as server:
        send_file(server, 30 * 441)
        assert eventually(lambda: server.total_packets == 30)
    heard = read_wav(folder / "out.wav")
    assert heard[: 30 * 882] == noise(30 * 441)
    assert not any(heard[30 * 882 :])


def test_what_nobody_can_believe_is_counted():
    with listening() as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for junk in (b"", b"x", b"\xff" * 100, bytes(1400)):
            stranger.sendto(junk, ("127.0.0.1", server.port))
        assert eventually(lambda: server.stats.packets_malformed == 4)
        assert server.total_packets == 0


def test_losses_are_counted_as_they_were():
    with listening() as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for sequence in (65530, 65531, 65533, 65535, 0, 1, 1, 5):
            sender.sendto(struct.pack("<H", sequence) + bytes(882), ("127.0.0.1", server.port))
            time.sleep(0.01)
        assert eventually(lambda: server.total_packets == 8)
        stats = server.stats
    assert (stats.packets_expected, stats.packets_lost, stats.packets_duplicated) == (12, 5, 1)
    assert server.lost_packets == 5
    assert server.last_received_sequence == 5
    assert stats.sources[0].wire == "classic"


def test_the_log_has_the_original_lines(caplog):
    caplog.set_level(logging.DEBUG, "audiostream")
    with listening("tcp") as server:
        send_file(server, 205 * 441, "tcp")
        assert eventually(lambda: server.total_packets == 205)

    def text(level):
        return [one.getMessage() for one in caplog.records if one.levelno == level]

    assert eventually(lambda: sum("127.0.0.1" in one and "sequence" in one for one in text(logging.DEBUG)) == 205)
    information = "\n".join(text(logging.INFO)).lower()
    for word in ("waiting", "connection from 127.0.0.1", "ready", "stopped"):
        assert word in information
    assert information.count("statistics") >= 2
    assert {one.name for one in caplog.records} <= {"audiostream", "audiostream.client", "audiostream.server"}


def test_a_gap_is_warned_of(caplog):
    caplog.set_level(logging.WARNING, "audiostream")
    with listening() as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for sequence in (0, 1, 2, 7):
            sender.sendto(struct.pack("<H", sequence) + bytes(882), ("127.0.0.1", server.port))
        assert eventually(lambda: "out of sequence" in caplog.text.lower())
    (record,) = [one for one in caplog.records if "out of sequence" in one.getMessage().lower()]
    assert record.levelno == logging.WARNING
    assert "2" in record.getMessage()
    assert "7" in record.getMessage()


def test_several_senders_are_sources_of_their_own():
    with listening() as server:
        clients = [AudioClient(port=server.port, host="127.0.0.1", input=sound) for sound in ("tone", "voice")]
        for client in clients:
            client.start()
        assert eventually(lambda: len(server.stats.sources) == 2)
        assert {one.ssrc for one in server.stats.sources} == {client.ssrc for client in clients}
        assert eventually(lambda: all(one.packets_received > 20 for one in server.stats.sources))
        for client in clients:
            client.stop()
        sent = sum(client.stats.packets_sent for client in clients)
        assert eventually(lambda: server.total_packets == sent)
        assert server.lost_packets == 0


def test_statistics_survive_the_end():
    server = listening()
    with server:
        send_file(server, 4410)
        assert eventually(lambda: server.total_packets == 10)
    assert server.stats.packets_received == 10


@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_forked_child_gets_an_error(server):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            server.stats  # noqa: B018
        except audiostream.StateError:
            os.write(writer, b"refused")
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    assert os.read(reader, 100) == b"refused"
    os.close(reader)
    assert server.stats.packets_received == 0
