"""File to file over loopback: what arrives is what was sent, from the first sample to the last."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import audiostream
from harness.signals import Samples, noise, read_wav, write_wav
from harness.streams import check_identities, quiet_server, stream_file
from harness.wait import steady

CLASSIC_SIZES = tuple(range(10, 151, 10))
ONLY_RTP_SIZES = (2.5, 5)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("wire", ["rtp", "classic"])
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_every_size_arrives_bit_exact(
    protocol: str, wire: str, channels: int, noise_wav: dict[int, Path], tmp_path: Path
) -> None:
    source = noise_wav[channels]
    sizes = CLASSIC_SIZES if wire == "classic" else (*ONLY_RTP_SIZES, *CLASSIC_SIZES)

    def one(size: float) -> str:
        heard = tmp_path / f"{size}.wav"
        outcome = stream_file(source, heard, protocol=protocol, wire=wire, size=size, channels=channels)
        assert outcome.server.packets_lost == 0
        assert outcome.server.packets_late == 0
        assert outcome.server.packets_malformed == 0
        assert outcome.server.packets_received == outcome.client.packets_sent
        assert outcome.server.packets_expected == outcome.client.packets_sent
        assert outcome.server.bytes_received == outcome.client.bytes_sent
        assert outcome.server.frames_concealed == 0
        assert [(s.wire, s.packets_lost) for s in outcome.server.sources] in ([], [(wire, 0)])
        check_identities(outcome.server)
        expected = read_wav(source)
        if wire == "classic":
            expected = padded(expected, round(size) // 10 * 441)
        assert np.array_equal(read_wav(heard), expected)
        return "exact"

    with ThreadPoolExecutor(len(sizes)) as pool:
        results = dict(zip(sizes, pool.map(lambda size: attempt(one, size), sizes), strict=True))
    assert results == dict.fromkeys(sizes, "exact")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 48_000, 96_000])
def test_other_rates_arrive_bit_exact(rate: int, tmp_path: Path) -> None:
    sound = noise(rate)
    source, heard = write_wav(tmp_path / "in.wav", sound, rate), tmp_path / "out.wav"
    with (
        quiet_server(rate=rate, output=f"file:{heard}") as server,
        audiostream.AudioClient("udp", "127.0.0.1", server.port, rate=rate, input=f"file:{source}") as client,
    ):
        client.run()
        steady(lambda: server.stats.frames_played, "playout")
        server.stop()
        assert server.stats.packets_lost == 0
    assert np.array_equal(read_wav(heard), sound)


def padded(samples: Samples, block: int) -> Samples:
    """With silence up to a whole number of blocks, as the classic wire sends it."""
    missing = -len(samples) % block
    return np.pad(samples, ((0, missing), (0, 0)))


def attempt(one: Callable[[float], str], size: float) -> str:
    """The result, or what went wrong, so that one size does not hide the others."""
    try:
        return one(size)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
