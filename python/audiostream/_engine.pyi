"""The native engine (Rust). `AudioClient` and `AdvancedAudioServer` are its public face.

Every method releases the GIL while it works; those that wait look for signals at least every 50 ms, so that Ctrl-C
interrupts them. In a forked child all raise `StateError`: make new objects there.
"""

import os
from pathlib import Path
from typing import final

from ._types import (
    ClientStatsDict,
    DeviceDict,
    HopStatsDict,
    LabDict,
    RecordedDict,
    RecordingStateDict,
    ReportDict,
    ServerStatsDict,
    SourceStatsDict,
)

__all__ = [
    "Client",
    "Frames",
    "Hop",
    "Server",
    "__version__",
    "host_apis",
    "key_suite",
    "lab_network",
    "lab_run",
    "lab_voice",
    "list_devices",
    "make_key",
    "set_log_level",
    "shutdown",
]
__version__: str

@final
class Client:
    """A sender: one source of sound, one way over the network, one recorder."""

    def __new__(
        cls,
        *,
        protocol: str,
        host: str,
        port: int,
        size: float,
        rate: int,
        channels: int,
        input: str,
        output: str | None,
        wire: str,
        codec: str,
        bitrate: int,
        fec: bool,
        dred: float,
        ptime: float | None,
        redundancy: str,
        spacing: int,
        host_api: str | None,
        latency: str,
        local_port: int,
        dscp: int,
        ttl: int,
        reconnect: float,
        key: str | None,
        network: str | None,
        name: str | None,
        pcap: str | None,
        packet_log: str | None,
    ) -> Client:
        """Checks the arguments (`ConfigError`); opens nothing."""
    def open_audio(self) -> None:
        """Opens the source of sound: `DeviceError`, or `RecordingError` for `file:`. Idempotent."""
    def open_socket(self) -> None:
        """Opens the socket; TCP connects: `TransportError`. Idempotent."""
    def start(self) -> None:
        """Streams from now on, by itself. Idempotent."""
    def send_one(self, timeout: float) -> bool:
        """Sends one packet; False if there was no sound for `timeout` seconds or the stream has ended."""
    def push(self, sound: bytes, timeout: float) -> int:
        """Takes whole frames of samples of this machine's byte order, waiting for room; how many."""
    def pushed(self) -> tuple[int, int]:
        """Frames pushed that wait to be sent, and that may wait; `StateError` once none will be sent."""
    def wait(self, timeout: float) -> bool:
        """Waits at most `timeout` seconds; True once the stream has ended by itself; raises the error it died of."""
    def start_recording(self, folder: str | os.PathLike[str], frames: int | None, what: str) -> Path:
        """Keeps one side or both from now, for `frames` or until stopped; the file's path."""
    def stop_recording(self, filename: str | None) -> RecordedDict | None:
        """Finishes the recording that runs; None if none does."""
    def recording_state(self) -> RecordingStateDict:
        """What the recorder is doing."""
    def stats(self) -> ClientStatsDict:
        """The figures of this moment."""
    def take_reports(self) -> list[ReportDict]:
        """The other end's reports since the last call, oldest first; the last 1024 are kept."""
    def end_sound(self) -> None:
        """Sends no more sound than is captured by now; reports go on."""
    def set_gain(self, gain: float) -> None:
        """Multiplies what is sent by `gain`."""
    def set_mute(self, mute: bool) -> None:
        """Sends silence in place of sound."""
    def sdp(self, key: bool) -> str:
        """The session description of what is sent, with its key if `key`; `ConfigError` on the classic wire."""
    def destination(self) -> tuple[str, int]:
        """Host and port that the packets go to, out of the URL if there is one."""
    def local_address(self) -> str | None:
        """`host:port` that the packets leave from; None before `open_socket`."""
    def input_name(self) -> str:
        """What the sound comes from."""
    def output_name(self) -> str | None:
        """Where goes what the server says; None where nobody listens to it."""
    def close(self, drain: bool) -> None:
        """Ends the stream, after what is queued has been sent if `drain`. Idempotent."""

@final
class Server:
    """A receiver: one port, many senders, one output, one recorder."""

    def __new__(
        cls,
        *,
        protocol: str,
        port: int,
        size: float,
        rate: int | None,
        channels: int | None,
        bind: str | None,
        sdp: str | None,
        wire: str,
        output: str,
        host_api: str | None,
        latency: str,
        delay: float | None,
        min_delay: float,
        max_delay: float,
        max_sources: int,
        forward: list[str],
        allow: list[str],
        key: str | None,
        spare_key: str | None,
        keep_listening: bool,
        record: bool,
        record_each: bool,
        record_name: str | None,
        recordings: str | os.PathLike[str],
        network: str | None,
        name: str | None,
        quality: bool,
        pcap: str | None,
        talk: str | None,
        conference: bool,
        packet_log: str | None,
    ) -> Server:
        """Checks the arguments (`ConfigError`), reads the description; opens nothing."""
    def settings(self) -> tuple[str, int, int, int]:
        """Protocol, port, rate, channels, out of the description or the URL where they were not given."""
    def open_socket(self) -> None:
        """Binds the port: `TransportError`. Idempotent."""
    def open_audio(self) -> None:
        """Opens the output: `DeviceError`, or `RecordingError` for `file:`. Idempotent."""
    def start(self) -> None:
        """Receives and plays from now on, by itself. Idempotent."""
    def wait_packet(self, seen: int, timeout: float) -> int:
        """The number of packets received so far, as soon as it exceeds `seen`, or at the timeout (seconds)."""
    def has_ended(self) -> bool:
        """Whether there were TCP clients and all have gone; raises the error that the engine died of."""
    def wait(self, timeout: float) -> bool:
        """Waits for `has_ended`, at most `timeout` seconds."""
    def stats(self) -> ServerStatsDict:
        """The figures of this moment."""
    def events(
        self, cursor: int | None, timeout: float
    ) -> tuple[list[tuple[str, float, int, str, tuple[str, float] | None]], int | None, bool]:
        """What has happened since `cursor` (None: all that is kept), at the latest after `timeout` seconds.

        Returns (kind, seconds ago, source, detail) of each, the next cursor, and whether nothing more will happen.
        """
    def sources(self) -> list[int]:
        """The numbers of the senders that are known, oldest first."""
    def source_stats(self, number: int) -> SourceStatsDict | None:
        """The figures of one of them; None where it is forgotten."""
    def source_set_gain(self, number: int, gain: float) -> None:
        """Multiplies what is played of one source by `gain`; `StateError` where it is forgotten."""
    def source_set_muted(self, number: int, muted: bool) -> None:
        """Plays one source as silence, or no longer; `StateError` where it is forgotten."""
    def source_record(self, number: int, name: str | None) -> Path:
        """Records one sender from now on to a new file; its path."""
    def source_stop_recording(self, number: int) -> RecordedDict | None:
        """Finishes one sender's recording: that one, or the last; None if there was none."""
    def source_recording(self, number: int) -> RecordingStateDict:
        """What one sender's recorder is doing."""
    def frames(self, source: int | None, each: bool, raw: bool, length: int, queue: int) -> Frames:
        """Hands out blocks of `length` frames: of a source, of each, or of the mix; `raw`: packets."""
    def start_recording(self, folder: str | os.PathLike[str], name: str | None) -> Path:
        """Keeps what arrives from now; the file's path."""
    def stop_recording(self) -> RecordedDict | None:
        """Finishes the recording that runs; None if none does."""
    def recording_state(self) -> RecordingStateDict:
        """What the recorder is doing."""
    def set_gain(self, gain: float) -> None:
        """Multiplies what is played by `gain`."""
    def set_mute(self, mute: bool) -> None:
        """Plays silence; counting and recording go on."""
    def local_address(self) -> str | None:
        """`host:port` that is listened on; None before `open_socket`."""
    def set_delay(self, least: float, most: float, fixed: float | None) -> None:
        """Changes what the playout delay may be, ms."""
    def delay_histogram(self, place: int) -> list[tuple[float, float]]:
        """(upper end in ms, share) of the delays of the source at this place of `stats()['sources']`."""
    def output_name(self) -> str:
        """What the sound goes to."""
    def close(self, drain: bool) -> None:
        """Frees port and output, after what is queued has been played if `drain`. Idempotent."""

@final
class Frames:
    """Blocks of sound, taken by one thread at a time."""

    def take(self) -> tuple[int, int, float, int, int, bytes, bytes | None, int] | None:
        """The oldest that waits: source (0: the mix), RTP timestamp, time of day, rate (0: the output's), channels,
        samples, loss mask (None: whole), frames left out before it; None where none does.
        """
    def wait(self, timeout: float) -> bool:
        """Waits until there is one or it is over, at most `timeout` seconds; whether so."""
    def arm(self) -> bool:
        """Asks for the descriptor to become readable when there is one; whether there is already, or it is over."""
    def hush(self) -> None:
        """Makes the descriptor unreadable again."""
    def descriptor(self) -> int | None:
        """What becomes readable; None where the system has no such thing."""
    def is_over(self) -> bool:
        """Whether nothing more will come, and all is taken."""
    def dropped(self) -> int:
        """Frames left out because nobody took them in time."""
    def close(self) -> None:
        """Wants no more. Idempotent."""

@final
class Hop:
    """Passes datagrams between programs, with a bad network inside."""

    def __new__(cls, *, listen: str, forward: str, network: str) -> Hop:
        """Checks the arguments (`ConfigError`), looks up the far end and binds the port (`TransportError`)."""
    def start(self) -> None:
        """Passes packets from now on, by itself. Idempotent."""
    def wait(self, timeout: float) -> bool:
        """Waits at most `timeout` seconds; True once it is closed; raises the error it died of."""
    def stats(self) -> HopStatsDict:
        """The figures of this moment."""
    def addresses(self) -> tuple[str, str]:
        """`host:port` that is listened on, and of the far end."""
    def close(self, drain: bool) -> None:
        """Ends it, after what is under way has come through if `drain` (2 s at most). Idempotent."""

def list_devices(host_api: str | None = None) -> list[DeviceDict]:
    """The sound devices that are there now."""

def host_apis() -> list[str]:
    """The sound systems that can be asked for here, the one tried first at the head."""

def make_key(random: bytes) -> str:
    """The text of a key of our own, made of 32 bytes that nobody can guess."""

def key_suite(key: str) -> str:
    """The name in SDP of what the key is for; `ConfigError` where it is none."""

def lab_run(
    *,
    sound: bytes,
    rate: int,
    channels: int,
    network: str,
    protocol: str,
    congestion: str,
    wire: str,
    codec: str,
    bitrate: int,
    fec: bool,
    size: float,
    ptime: float | None,
    redundancy: str,
    spacing: int,
    delay: float | None,
    min_delay: float,
    max_delay: float,
    capture: bool,
) -> LabDict:
    """Tries one way of sending `sound` (16-bit, this machine's byte order) over one network, in virtual time."""

def lab_voice(rate: int) -> bytes:
    """The built-in voice, mono, until it repeats: 16-bit, this machine's byte order."""

def lab_network(text: str) -> str:
    """The text of a network with every setting; `ConfigError` where it is none."""

def set_log_level(level: int) -> None:
    """The least level (of `logging`) of which the engine makes records at all."""

def shutdown() -> None:
    """Closes the log gate and stops all engines; for `atexit`."""
