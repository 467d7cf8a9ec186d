"""The sound server goes away: who only hears through us notices nothing, and what is sent goes on."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import audiostream
from harness.sound_server import SoundServer
from harness.streams import quiet_server
from harness.wait import until


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[SoundServer]:
    """A sound server of the test's own, which it may end."""
    with tempfile.TemporaryDirectory(prefix="sound-") as folder:
        server = SoundServer(Path(folder))
        try:
            server.wait_ready()
            for name, value in server.env.items():
                monkeypatch.setenv(name, value)
            yield server
        finally:
            server.close()


@pytest.mark.timeout(90)
def test_a_conference_and_frames_go_on_while_the_speaker_is_away(
    mortal: SoundServer, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        quiet_server(conference=True, output=None) as server,
        audiostream.AudioClient("udp", "127.0.0.1", server.port, input="tone", output="null") as a,
        audiostream.AudioClient("udp", "127.0.0.1", server.port, input="voice", output="null") as b,
        server.frames() as frames,
    ):

        def heard(client: audiostream.AudioClient) -> int:
            return client.stats.received.packets_received if client.stats.received else 0

        until(lambda: min(heard(a), heard(b)) > 100, "the conference")
        mortal.kill()
        until(lambda: any("the speaker is away" in line for line in caplog.messages), "the loss to be told")
        before, first = (heard(a), heard(b)), next(iter(frames)).timestamp
        # Two seconds of sound without any speaker.
        until(lambda: heard(a) > before[0] + 200 and heard(b) > before[1] + 200, "the others' sound")
        assert any(frame.timestamp - first > 2 * 44_100 for frame in frames)
        mortal.start()
        mortal.wait_ready()
        until(lambda: any("the speaker is back" in line for line in caplog.messages), "the speaker's return")
        until(lambda: mortal.streams("sink-inputs") == 1, "the sound to be played again")
        stats = server.stats
    assert stats.packets_lost == 0
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.timeout(90)
def test_silence_is_sent_while_the_microphone_is_away(mortal: SoundServer, caplog: pytest.LogCaptureFixture) -> None:
    with (
        quiet_server() as server,
        audiostream.AudioClient("udp", "127.0.0.1", server.port) as client,
    ):
        until(lambda: server.stats.packets_received > 50, "the microphone")
        mortal.kill()
        until(lambda: any("the microphone is away" in line for line in caplog.messages), "the loss to be told")
        before = server.stats.packets_received
        until(lambda: server.stats.packets_received > before + 200, "two seconds of silence")
        mortal.start()
        mortal.wait_ready()
        until(lambda: any("the microphone is back" in line for line in caplog.messages), "its return")
        before = server.stats.packets_received
        until(lambda: server.stats.packets_received > before + 100, "sound again")
        stats = client.stats
    assert stats.frames_dropped == 0
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR or "faster" in record.message]
