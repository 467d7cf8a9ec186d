"""Each codec from file to file: what is exact stays exact, what is coded stays alike, what is lost is repaired."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import audiostream
from harness.hop import Hop, Impairment
from harness.signals import Samples, correlation, noise, read_wav, resampled, speech, write_wav
from harness.streams import check_identities, quiet_server
from harness.wait import steady, until

pytestmark = pytest.mark.timeout(90)


def streamed(
    source: Path, heard: Path, protocol: str = "udp", *, server: dict[str, Any] | None = None, **options: Any
) -> audiostream.ServerStats:
    """The server's figures after a file has gone to a file over loopback."""
    with (
        quiet_server(
            protocol, output=f"file:{heard}", **{"rate": options.get("rate", 44_100), **(server or {})}
        ) as end,
        audiostream.AudioClient(protocol, "127.0.0.1", end.port, input=f"file:{source}", **options) as client,
    ):
        client.run()
        sent = client.stats
        until(lambda: end.stats.packets_received >= sent.packets_sent, "the last packet")
        steady(lambda: end.stats.frames_played, "playout")
        sources = end.stats.sources
        end.stop()
        stats = end.stats
    check_identities(stats)
    assert stats.packets_lost == 0
    assert stats.packets_malformed == 0
    assert stats.frames_concealed == 0
    assert sources
    return stats


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000, 96_000])
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_l16_is_bit_exact_at_every_rate(protocol: str, rate: int, tmp_path: Path) -> None:
    sound = noise(rate)
    source, heard = write_wav(tmp_path / "in.wav", sound, rate), tmp_path / "out.wav"
    stats = streamed(source, heard, protocol, rate=rate)
    assert np.array_equal(read_wav(heard), sound)
    assert [s.codec for s in stats.sources] in ([], [f"L16/{rate}/1"])


@pytest.mark.parametrize("ptime", [2.5, 7, 20, 60])
def test_ptime_sets_the_packet_whatever_the_block(ptime: float, tmp_path: Path) -> None:
    sound = noise(22_050)
    source, heard = write_wav(tmp_path / "in.wav", sound), tmp_path / "out.wav"
    stats = streamed(source, heard, size=30, ptime=ptime)
    assert np.array_equal(read_wav(heard), sound)
    # No packet is longer than 694 frames, which fill it to 1,400 bytes.
    frames = min(int(ptime * 44.1), 694)
    assert stats.packets_received == -(-len(sound) // frames)


@pytest.mark.parametrize("codec", ["pcmu", "pcma"])
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_g711_is_exact_to_its_quantisation(protocol: str, codec: str, tmp_path: Path) -> None:
    sound = np.concatenate([noise(8_000), noise(8_000) // 64])
    source, heard = write_wav(tmp_path / "in.wav", sound, 8_000), tmp_path / "out.wav"
    stats = streamed(source, heard, protocol, codec=codec, rate=8_000)
    came = read_wav(heard)
    assert len(came) == len(sound)
    assert len(np.unique(came)) <= 256
    error = np.abs(came.astype(int) - sound.astype(int))
    assert np.all(error <= np.abs(sound.astype(int)) // 32 + 8)
    assert stats.bytes_received == len(sound) + 12 * stats.packets_received
    # What was coded once is not changed by being coded again.
    again = tmp_path / "again.wav"
    streamed(heard, again, protocol, codec=codec, rate=8_000)
    assert np.array_equal(read_wav(again), came)


def test_g711_of_stereo_at_44100_hz_is_mixed_down_and_heard_at_the_servers_rate(tmp_path: Path) -> None:
    mono = speech(1.0)
    sound = np.stack([mono, mono // 2], axis=1)
    source, heard = write_wav(tmp_path / "in.wav", sound), tmp_path / "out.wav"
    with quiet_server(record=True, recordings=tmp_path / "kept", output=f"file:{heard}") as server:
        with audiostream.AudioClient(
            "udp", "127.0.0.1", server.port, channels=2, codec="pcma", input=f"file:{source}"
        ) as client:
            client.run()
        steady(lambda: server.stats.frames_played, "playout")
        (one,) = server.stats.sources
        assert one.codec == "PCMA/8000/1"
        server.stop()
    narrow = resampled(resampled(mono, 44_100, 8_000), 8_000, 44_100)
    (kept,) = (tmp_path / "kept").glob("*.wav")
    for file in (heard, kept):
        came = read_wav(file)
        assert abs(len(came) - len(mono)) <= 441, file
        alike, lag = correlation(narrow[2_000:-2_000], came)
        assert alike > 0.97, file
        assert abs(lag - 2_000) <= 3, file


@pytest.fixture(scope="module")
def opus() -> None:
    """Skips where the engine was built without Opus."""
    try:
        audiostream.AudioClient(port=9, input="silence", codec="opus").close()
    except audiostream.ConfigError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("opus")
@pytest.mark.parametrize(
    ("protocol", "rate", "options"),
    [
        ("udp", 48_000, {}),
        ("tcp", 48_000, {"ptime": 20}),
        ("udp", 48_000, {"size": 30, "bitrate": 24_000}),
        ("udp", 44_100, {"ptime": 60}),
        ("tcp", 44_100, {"channels": 2, "bitrate": 96_000, "fec": False}),
    ],
)
def test_opus_sounds_like_what_was_sent(protocol: str, rate: int, options: dict[str, Any], tmp_path: Path) -> None:
    mono = speech(2.0, rate)
    channels = options.get("channels", 1)
    source = write_wav(tmp_path / "in.wav", np.stack([mono] * channels, axis=1), rate)
    heard = tmp_path / "out.wav"
    stats = streamed(
        source, heard, protocol, codec="opus", rate=rate, server={"rate": rate, "channels": channels}, **options
    )
    came: Samples = read_wav(heard)[:, 0]
    alike, lag = correlation(mono[rate // 10 : -rate // 10], came)
    # It is 0.92 to 0.94 at any bitrate: Opus takes the lowest tones out of a voice, and turns the phase of those above.
    assert alike >= 0.9
    # The codec looks ahead by 6.5 ms.
    assert 0 <= lag - rate // 10 <= rate // 100
    assert stats.bytes_received * 8 / 2.0 < options.get("bitrate", 64_000) * 1.5 + 12 * 8 * 110


@pytest.mark.usefixtures("opus")
@pytest.mark.parametrize("dred", [0, 200])
def test_deep_redundancy_repairs_bursts(dred: int, tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", speech(4.0, 48_000), 48_000)
    opus = {"codec": "opus", "rate": 48_000, "ptime": 20, "fec": False, "dred": dred}
    with quiet_server(output=f"file:{tmp_path / 'out.wav'}", rate=48_000) as server:
        network = "loss=20,burst=3,seed=5"
        with audiostream.AudioClient(port=server.port, input=f"file:{source}", network=network, **opus) as client:
            client.run()
            sent = client.stats.packets_sent
        until(lambda: server.stats.packets_expected > sent - 10, "the end")
        steady(lambda: server.stats.packets_received, "packets")
        stats = server.stats
    assert stats.packets_lost > 20
    if dred:
        assert stats.packets_repaired > stats.packets_lost / 2
    else:
        assert stats.packets_repaired == 0


def test_opus_is_repaired_by_the_packet_after_and_made_up_where_that_is_lost_too(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", speech(4.0, 48_000), 48_000)
    heard = tmp_path / "out.wav"
    with (
        quiet_server(output=f"file:{heard}", rate=48_000, record=True, recordings=tmp_path / "kept") as server,
        Hop(server.port, Impairment(drop=0.15), seed=7) as hop,
    ):
        with audiostream.AudioClient(
            "udp",
            "127.0.0.1",
            hop.port,
            codec="opus",
            rate=48_000,
            bitrate=24_000,
            ptime=20,
            input=f"file:{source}",
        ) as client:
            client.run()
        hop.finish()
        expected = hop.expected()
        until(lambda: server.stats.packets_received >= expected.packets_received, "the last packet")
        steady(lambda: server.stats.frames_played, "playout")
        (one,) = server.stats.sources
        server.stop()
        stats = server.stats
    assert stats.packets_lost == expected.packets_lost > 10
    assert one.codec == "opus/48000/2"
    assert 0 < one.packets_repaired < expected.packets_lost
    assert one.packets_repaired == stats.packets_repaired
    assert stats.frames_concealed == (expected.packets_lost - one.packets_repaired) * 960
    assert stats.frames_played == (expected.packets_received + one.packets_repaired) * 960
    came = read_wav(heard)
    assert len(came) == expected.packets_expected * 960
    alike, _ = correlation(speech(4.0, 48_000)[9_600:-9_600], came)
    assert alike > 0.8
    # A recording keeps what came and what was brought back; what was made up is silence, and told of.
    (notes,) = (tmp_path / "kept").glob("*.json")
    (told,) = json.loads(notes.read_text())["sources"]
    assert "opus/48000/2" in told["label"]
    assert sum(gap["frames"] for gap in told["gaps"]) == stats.frames_concealed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"codec": "mp3"}, "'opus'"),
        ({"codec": "l24"}, "received only"),
        ({"codec": "opus", "wire": "classic"}, "classic"),
        ({"codec": "pcmu", "wire": "classic"}, "classic"),
        ({"codec": "opus", "ptime": 30}, "2.5, 5, 10, 20, 40 or 60"),
        ({"bitrate": 5_999}, "bitrate"),
        ({"bitrate": 510_001}, "bitrate"),
        ({"bitrate": -1}, "bitrate"),
    ],
    ids=str,
)
def test_a_codec_that_cannot_be_is_a_config_error(options: dict[str, Any], words: str) -> None:
    with pytest.raises(audiostream.ConfigError, match=words):
        audiostream.AudioClient(**{"host": "127.0.0.1", "input": "tone", **options})
