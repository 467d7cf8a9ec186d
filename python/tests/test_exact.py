"""File to file over loopback: every sample arrives, from the first to the last."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from audiostream import AdvancedAudioServer, AudioClient
from conftest import eventually, noise, read_wav, write_wav

# No whole number of any size's packets.
FRAMES = 20 * 1470 + 441 + 17
SIZES = range(10, 151, 10)
AT_ONCE = 5


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("wire", ["rtp", "classic"])
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_file_to_file_is_bit_exact_at_every_size(folder, protocol, wire, channels):
    def stream(size):
        sent = noise(FRAMES, channels, seed=size)
        source = write_wav(folder / f"in_{size}.wav", sent, channels=channels)
        server = AdvancedAudioServer(
            *(protocol, 0, size),
            channels=channels,
            bind="127.0.0.1",
            output=f"file:{folder / f'out_{size}.wav'}",
            record=f"recorded_{size}",
            keep_listening=True,
        )
        with server:
            client = AudioClient(
                *(protocol, "127.0.0.1", server.port, size), channels=channels, wire=wire, input=f"file:{source}"
            )
            client.run()
            assert eventually(lambda: server.total_packets == client.stats.packets_sent)
        assert client.stats.frames_captured == FRAMES
        assert server.lost_packets == 0
        return size, sent, read_wav(folder / f"out_{size}.wav"), server.last_recording.pcm()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for size, sent, heard, recorded in pool.map(stream, SIZES):
            assert heard[: len(sent)] == sent, f"size {size}: what was played differs"
            assert not any(heard[len(sent) :]), f"size {size}: more was played than sent"
            assert recorded[: len(sent)] == sent, f"size {size}: what was recorded differs"
            assert not any(recorded[len(sent) :]), f"size {size}: more was recorded than sent"
