"""The shapes of what the native module hands over."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from pathlib import Path


class RecordedDict(TypedDict):
    """A finished recording."""

    path: Path
    frames: int
    rate: int
    channels: int
    bytes: int
    error: str | None


class RecordingStateDict(TypedDict):
    """What a recorder is doing, and the last recording that it finished."""

    recording: bool
    frames: int
    frames_dropped: int
    path: Path | None
    error: str | None
    last: RecordedDict | None


class DeviceDict(TypedDict):
    """A sound device."""

    index: int
    name: str
    id: str
    host_api: str
    max_input_channels: int
    max_output_channels: int
    default_rate: int
    is_default_input: bool
    is_default_output: bool


class ReportDict(TypedDict):
    """One report of our stream; times are seconds since 1970."""

    number: int
    arrived: float
    said: float | None
    sent: float | None
    held: float
    fraction_lost: float
    packets_lost: int
    highest: int
    jitter_ms: float
    first: int | None
    duplicated: int | None
    reordered: int | None
    drift_ppm: float | None


class RemoteStatsDict(TypedDict):
    """What the other end says of our stream."""

    round_trip_ms: float | None
    fraction_lost: float
    packets_lost: int
    jitter_ms: float
    reports: int
    age_ms: float
    discard_rate: float | None
    burst_density: float | None
    burst_ms: float | None
    gap_density: float | None
    gap_ms: float | None
    delay_ms: float | None
    r_factor: float | None
    mos: float | None


class ClientStatsDict(TypedDict):
    """A client's figures, and what else is known of the moment."""

    protocol: str
    wire: str
    packets_sent: int
    copies_sent: int
    bytes_sent: int
    frames_captured: int
    frames_dropped: int
    overruns: int
    reconnects: int
    packets_unauthentic: int
    pcap_dropped: int
    packets_unheard: int
    next_sequence: int
    level_db: float
    ssrc: int
    remote: RemoteStatsDict | None
    received: SourceStatsDict | None


class _Received(TypedDict):
    wire: str
    packets_expected: int
    packets_received: int
    packets_lost: int
    packets_repaired: int
    packets_late: int
    packets_duplicated: int
    packets_reordered: int
    packets_malformed: int
    packets_dropped_local: int
    bytes_received: int
    frames_received: int
    frames_played: int
    frames_concealed: int
    underruns: int
    jitter_ms: float
    jitter_mean_ms: float
    delay_ms: float
    delay_target_ms: float
    concealments: int
    frames_accelerated: int
    frames_expanded: int
    resets: int
    drift_ppm: float
    protocol: str
    last_sequence: int
    level_db: float


class SourceStatsDict(_Received):
    """One sender's figures."""

    number: int
    state: str
    gain: float
    muted: bool
    codec: str
    ssrc: int
    address: str
    round_trip_ms: float | None
    cname: str | None
    name: str | None
    r_factor: float | None
    mos: float | None
    packets_sent: int
    packets_withheld: int


class ServerStatsDict(_Received):
    """A server's figures, and those of the senders that are there now."""

    sources: list[SourceStatsDict]
    tier: int
    packets_forwarded: int
    packets_forward_dropped: int
    events_dropped: int
    packets_refused: int
    packets_wrong_source: int
    frames_unspoken: int
    packets_unauthentic: int
    sources_unheard: int
    recordings: int
    recordings_refused: int
    recordings_failed: int
    pcap_dropped: int


class LabDict(TypedDict):
    """What an experiment of the lab came to: many whole numbers besides these."""

    heard: bytes
    arrived: bytes
    delays: list[tuple[int, int]]
    trace: list[tuple[int, int, int, str]]
    capture: bytes | None


class HopWayDict(TypedDict):
    """What a hop did to the packets that went one way."""

    packets_received: int
    bytes_received: int
    packets_sent: int
    bytes_sent: int
    packets_lost: int
    packets_duplicated: int
    packets_reordered: int
    packets_overflowed: int
    packets_dropped: int
    packets_unsent: int
    packets_waiting: int
    reports_received: int
    reports_lost: int


class HopPeerDict(TypedDict):
    """One program that speaks through a hop."""

    address: str
    idle_ms: int
    up: HopWayDict
    down: HopWayDict


class HopStatsDict(TypedDict):
    """A hop's figures."""

    up: HopWayDict
    down: HopWayDict
    packets_refused: int
    packets_unreachable: int
    packets_dropped_local: int
    peers: list[HopPeerDict]
