"""One client and one server of ours over loopback, from file to file."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import audiostream

from .wait import steady, until


@dataclass(frozen=True)
class Outcome:
    """What both ends say afterwards."""

    client: audiostream.ClientStats
    server: audiostream.ServerStats


def stream_file(source: Path, heard: Path, *, protocol: str, wire: str, size: float, channels: int) -> Outcome:
    """Streams a WAV file into another one, in real time, and waits until all of it has been played."""
    with ExitStack() as stack:
        server = stack.enter_context(quiet_server(protocol, size, channels=channels, output=f"file:{heard}"))
        client = stack.enter_context(
            audiostream.AudioClient(
                protocol, "127.0.0.1", server.port, size, channels=channels, wire=wire, input=f"file:{source}"
            )
        )
        client.run()
        sent = client.stats
        until(lambda: server.stats.packets_received >= sent.packets_sent, "the last packet")
        steady(lambda: server.stats.frames_played, "playout")
        server.stop()
        return Outcome(sent, server.stats)


def quiet_server(protocol: str = "udp", size: float = 10, **options: Any) -> audiostream.AdvancedAudioServer:
    """A server on a port of its own on loopback; `with` starts it. It plays to nobody unless told."""
    options = {"output": "null", "bind": "127.0.0.1", "keep_listening": True, **options}
    return audiostream.AdvancedAudioServer(protocol, 0, size, **options)


def check_identities(stats: audiostream.ServerStats) -> None:
    """What holds between the counters at every moment."""
    assert stats.packets_lost == stats.packets_expected - stats.packets_received + stats.packets_duplicated
    assert stats.packets_lost >= 0
    assert stats.packets_duplicated <= stats.packets_received
    assert stats.packets_late <= stats.packets_received
    assert stats.packets_reordered <= stats.packets_received
    for key in (
        "packets_received",
        "packets_malformed",
        "bytes_received",
        "frames_received",
        "frames_played",
    ):
        assert getattr(stats, key) >= 0, key
