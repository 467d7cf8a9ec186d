"""Snapshots of what was counted. Terms after RFC 3550, units in the names; frames count all channels as one.

A snapshot is frozen, so that its figures belong together: `packets_lost == packets_expected - packets_received +
packets_duplicated` holds in every one. The fields are the keys of the scripts' `--stats-json`.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from .tables import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ClientStats", "HopPeerStats", "HopStats", "HopWayStats", "RemoteStats", "ServerStats", "SourceStats"]

SourceState = Literal["playing", "idle", "left"]
_T = TypeVar("_T", bound="_Snapshot")


@dataclass(frozen=True)
class _Snapshot:
    """What all snapshots can do."""

    def to_dict(self) -> dict[str, Any]:
        """The figures as a plain dictionary, ready for JSON or `pandas.DataFrame([...])`."""
        return dataclasses.asdict(self, dict_factory=_plain)

    @property
    def history(self) -> Table:
        """The figures of the stream over time: a row a second since its start, for the last hour, and one at its end.

        Columns are `time` (seconds since 1970) and the figures that are numbers or names; of the other end's reports
        `remote_round_trip_ms`, `remote_fraction_lost`, `remote_packets_lost`, `remote_jitter_ms`, `remote_delay_ms`. It
        is no part of the snapshot: compared and written are the figures of one moment. Empty for a source.
        """
        return self.__dict__.get("_history") or Table((), ())

    def to_json(self, *, indent: int | None = 2) -> str:
        """The figures as JSON text.

        Args:
            indent: Spaces a level; None for a single line.
        """
        import json  # only who asks pays

        return json.dumps(self.to_dict(), indent=indent)


@dataclass(frozen=True)
class RemoteStats(_Snapshot):
    """What the other end says of our stream, in RTCP (RFC 3550 §6.4, RFC 3611 §4.7).

    Attributes:
        round_trip_ms: From here to there and back; None until it is known.
        fraction_lost: The part of the packets lost between its last two reports, 0.0 to 1.0.
        packets_lost: Packets lost since the beginning, as RFC 3550 counts them: doubles make up for losses, so that it
            may be negative.
        jitter_ms: Interarrival jitter there.
        reports: Reports that have come.
        age_ms: How long ago the last one came.
        discard_rate: The part of the packets that came too late to be played, since the beginning. This and what
            follows is None where the other end does not tell it.
        burst_density: The part lost or late, of the packets in bursts: runs without 16 good packets in a row.
        burst_ms: The mean length of a burst; 0.0 where there was none.
        gap_density: The part lost or late, of the packets between bursts.
        gap_ms: The mean length of the time between bursts.
        delay_ms: The other end's own delay: how long a packet waits there to be heard.
        r_factor: The other end's judgement of the call, 0 to 100 (ITU-T G.107); None where it was not asked for.
        mos: The same as a mean opinion score of conversation, 1.0 to 5.0.
    """

    round_trip_ms: float | None = None
    fraction_lost: float = 0.0
    packets_lost: int = 0
    jitter_ms: float = 0.0
    reports: int = 0
    age_ms: float = 0.0
    discard_rate: float | None = None
    burst_density: float | None = None
    burst_ms: float | None = None
    gap_density: float | None = None
    gap_ms: float | None = None
    delay_ms: float | None = None
    r_factor: float | None = None
    mos: float | None = None


@dataclass(frozen=True)
class ClientStats(_Snapshot):
    """What a client has sent.

    Attributes:
        protocol: `'udp'` or `'tcp'`.
        wire: The packet format, `'rtp'` or `'classic'`.
        packets_sent: Packets handed to the network; a packet that is only a copy of another is not one of them.
        copies_sent: Copies of packets that went too (`redundancy=`), inside later packets or as packets of their own.
        bytes_sent: Bytes of all of that, wire headers (RTP or classic) included; not those of UDP, TCP and IP.
        frames_captured: Frames that the source of sound delivered.
        frames_dropped: Frames captured and never sent: the queue was full, the oldest went first.
        overruns: How often the queue was full.
        reconnects: Connections (TCP) or sockets (UDP, after a change of the network) made after the first.
        packets_unauthentic: Reports and sound from the server that were not sealed with the `key=`, or came again:
            unread.
        packets_unheard: Packets of sound that the server sent and nobody listened to: there is no `output=`.
        pcap_dropped: Packets that are missing in the capture of `pcap=`: the disk was too slow.
        remote: What the other end says of the stream; None while it has said nothing, and on the classic wire, which
            knows no reports.
        received: What is heard of the server with `output=`: a `SourceStats`, its counts sums over all that the server
            has sent, the rest that of its present stream. None without an output, and before anything was heard.
    """

    protocol: str
    wire: str
    packets_sent: int = 0
    copies_sent: int = 0
    bytes_sent: int = 0
    frames_captured: int = 0
    frames_dropped: int = 0
    overruns: int = 0
    reconnects: int = 0
    packets_unauthentic: int = 0
    pcap_dropped: int = 0
    packets_unheard: int = 0
    remote: RemoteStats | None = None
    received: SourceStats | None = None


@dataclass(frozen=True)
class _Received(_Snapshot):
    """What a server counts, of one source or of all."""

    protocol: str
    wire: str
    packets_expected: int = 0
    packets_received: int = 0
    packets_lost: int = 0
    packets_repaired: int = 0
    packets_late: int = 0
    packets_duplicated: int = 0
    packets_reordered: int = 0
    packets_malformed: int = 0
    packets_dropped_local: int = 0
    bytes_received: int = 0
    frames_received: int = 0
    frames_played: int = 0
    frames_concealed: int = 0
    underruns: int = 0
    jitter_ms: float = 0.0
    jitter_mean_ms: float = 0.0
    delay_ms: float = 0.0
    delay_target_ms: float = 0.0
    concealments: int = 0
    frames_accelerated: int = 0
    frames_expanded: int = 0
    resets: int = 0
    drift_ppm: float = 0.0

    @property
    def loss_rate(self) -> float:
        """The part of the packets expected that never came, 0.0 to 1.0; 0.0 before any was expected."""
        return self.packets_lost / self.packets_expected if self.packets_expected else 0.0


@dataclass(frozen=True)
class SourceStats(_Received):
    """What a server has received from one sender.

    Attributes:
        protocol: `'udp'` or `'tcp'`.
        wire: The packet format found, `'rtp'` or `'classic'`.
        packets_expected: Packets from the first to the last sequence number seen (RFC 3550 A.3).
        packets_received: Packets that arrived and were believed, doubles included.
        packets_lost: Expected and never received, repaired or not.
        packets_repaired: Of those lost, the ones that redundancy brought back (Opus's own, in the packet after).
        packets_late: Received after their time to be played; a part of received, not of lost.
        packets_duplicated: Received more than once: the copies.
        packets_reordered: Received after one with a higher sequence number.
        packets_malformed: What the parsers did not believe.
        packets_dropped_local: Dropped on this machine, by the kernel's socket buffer or a full queue of ours.
        bytes_received: Bytes of the packets received, their wire headers (RTP or classic) included.
        frames_received: Frames in the packets received, doubles left out.
        frames_played: Frames of received sound that were played.
        frames_concealed: Frames put in for sound that was missing while the source was playing, by us or by its codec.
        underruns: How often a playing source had nothing to play.
        jitter_ms: Interarrival jitter (RFC 3550 §6.4.1).
        jitter_mean_ms: The mean of that over all packets, as Wireshark shows it.
        delay_ms: The present delay in the playout buffer.
        delay_target_ms: The delay that playout aims at.
        concealments: How often sound was missing: gaps, however long.
        frames_accelerated: Frames left out to shorten the delay, a pitch period at a time.
        frames_expanded: Frames put in to lengthen the delay, a pitch period at a time.
        resets: How often a source's timeline began anew: its timestamps jumped, it restarted, or its sound had moved
            far away.
        drift_ppm: The sender's clock against the output's, parts per million; 0.0 until it is known to differ.
        codec: What it sends, as SDP names it: `'L16/44100/1'`, `'opus/48000/2'`.
        ssrc: The synchronisation source (RFC 3550 §3); 0 on the classic wire.
        address: Where it sends from, `host:port`.
        round_trip_ms: From here to there and back; None where the sender does not let it be known (RFC 3611 §4.5).
        cname: What the sender calls itself for good (RFC 3550 §6.5.1); None where it has not said.
        name: What the sender's user is called (`name=`); None where it has not said.
        number: What the server calls it: 1 for the first that was heard, and never given again.
        state: `'playing'`; `'idle'` after 10 s of silence, its playout given up; `'left'` after its goodbye, the end
            of its connection, or 30 s without a sign of it.
        gain: What it is played with (`Source.gain`), 1.0 at first.
        muted: Whether it is played as silence (`Source.muted`).
        level_db: The loudest sample of it lately, dBFS, before its gain: 0 is full scale, negative infinity silence (in
            JSON null).
        r_factor: How a call with it would be judged, 0 to 100 (ITU-T G.107); None unless the server has `quality=True`,
            and on the classic wire.
        mos: The same as a mean opinion score of conversation, 1.0 to 4.5.
        packets_sent: Packets of sound that it was sent (`talk=`, `conference=`), in all: one that has left keeps them.
        packets_withheld: Those that it was not sent, for more would have gone to it than it sends itself.
    """

    codec: str = ""
    ssrc: int = 0
    address: str = ""
    round_trip_ms: float | None = None
    cname: str | None = None
    name: str | None = None
    r_factor: float | None = None
    mos: float | None = None
    number: int = 0
    state: SourceState = "playing"
    gain: float = 1.0
    muted: bool = False
    level_db: float = -math.inf
    packets_sent: int = 0
    packets_withheld: int = 0


@dataclass(frozen=True)
class ServerStats(_Received):
    """What a server has received from all senders, those that have left included.

    The attributes are those of `SourceStats`, as sums (times: the largest of the present sources; `protocol` may be
    `'both'`), and:

    Attributes:
        tier: How dear concealment is now: 0 to 3 for predictors of order 440, 256, 128, 64 (at 44.1 kHz), 4 for the
            repetition of a pitch period. It becomes cheaper when playing takes too long.
        packets_refused: Packets and TCP connections turned away unseen: from networks that `allow=` does not name, or
            more than `max_sources=` or one address may have. Part of nothing else.
        packets_wrong_source: Packets and reports turned away because they speak in the name (SSRC) of a source that
            plays from another address. Part of nothing else.
        packets_unauthentic: Packets and reports that were not sealed with the `key=`, were damaged, or came again:
            neither heard nor recorded. Part of nothing else.
        sources_unheard: Senders that are counted and recorded, but not heard: there is more to play than can be played
            in time. The newest are given up first; they are heard again when there is room.
        packets_forwarded: Packets sent on to other receivers (`forward=`), each receiver counted.
        packets_forward_dropped: Those of them that the system did not take, or that nobody was there for.
        recordings: Recordings of senders by themselves that run (`record="each"`, `source.record()`).
        recordings_refused: Senders that `record="each"` did not record, since 128 were being recorded.
        recordings_failed: Files of those recordings that could not be made or grow: the log says why.
        pcap_dropped: Packets that are missing in the capture of `pcap=`: the disk was too slow.
        events_dropped: Events that somebody iterating over `events()` was too slow to see: the last 1024 are kept.
        frames_unspoken: Frames of our own microphone (`talk=`) that found no room on their way to the sources.
        sources: One `SourceStats` for each sender that is there now, oldest first.
    """

    tier: int = 0
    packets_refused: int = 0
    packets_wrong_source: int = 0
    packets_unauthentic: int = 0
    sources_unheard: int = 0
    packets_forwarded: int = 0
    packets_forward_dropped: int = 0
    recordings: int = 0
    recordings_refused: int = 0
    recordings_failed: int = 0
    pcap_dropped: int = 0
    events_dropped: int = 0
    frames_unspoken: int = 0
    sources: tuple[SourceStats, ...] = ()


@dataclass(frozen=True)
class HopWayStats(_Snapshot):
    """What a hop did to the packets that went one way.

    In every snapshot `packets_received + packets_duplicated == packets_sent + packets_lost + packets_overflowed +
    packets_dropped + packets_unsent + packets_waiting`.

    Attributes:
        packets_received: Packets that came.
        bytes_received: Their bytes, without the headers of UDP and IP.
        packets_sent: Packets that went on.
        bytes_sent: Their bytes.
        packets_lost: Lost by chance (`loss=`).
        packets_duplicated: Doubled by chance (`duplicate=`).
        packets_reordered: Held back by chance (`reorder=`), so that those behind may overtake them.
        packets_overflowed: Dropped by the full queue of the bottleneck (`rate=`, `trace=`, `queue=`).
        packets_dropped: Dropped because too much was under way: 32,768 packets or 32 MiB.
        packets_unsent: Not taken by the system when they should have gone on.
        packets_waiting: Under way at this moment.
        reports_received: Of the packets that came, those that are reports (RTCP).
        reports_lost: Of the packets lost, those that are reports: a receiver misses the others.
    """

    packets_received: int = 0
    bytes_received: int = 0
    packets_sent: int = 0
    bytes_sent: int = 0
    packets_lost: int = 0
    packets_duplicated: int = 0
    packets_reordered: int = 0
    packets_overflowed: int = 0
    packets_dropped: int = 0
    packets_unsent: int = 0
    packets_waiting: int = 0
    reports_received: int = 0
    reports_lost: int = 0


@dataclass(frozen=True)
class HopPeerStats(_Snapshot):
    """One program that speaks through a hop; after a minute of silence it is forgotten.

    Attributes:
        address: `host:port` that it speaks from.
        idle_ms: How long nothing has come of it or for it.
        up: What it sent, on the way to the far end.
        down: What the far end answered, on the way to it.
    """

    address: str = ""
    idle_ms: int = 0
    up: HopWayStats = HopWayStats()
    down: HopWayStats = HopWayStats()


@dataclass(frozen=True)
class HopStats(_Snapshot):
    """A snapshot of `audiostream.lab.Hop`: what was injected, exactly.

    Attributes:
        up: From all peers to the far end, those forgotten included.
        down: From the far end to all peers.
        packets_refused: Turned away: there were 256 peers already, or the packet would have gone round in circles.
        packets_unreachable: How often the far end's machine, or a router, said that nobody is there (ICMP).
        packets_dropped_local: Dropped by the kernel of this machine because the hop did not read them in time.
        peers: The programs that are known now, oldest first.
    """

    up: HopWayStats = HopWayStats()
    down: HopWayStats = HopWayStats()
    packets_refused: int = 0
    packets_unreachable: int = 0
    packets_dropped_local: int = 0
    peers: tuple[HopPeerStats, ...] = ()


def with_history(stats: _T, history: Table) -> _T:
    """The snapshot, which knows the past from now on."""
    object.__setattr__(stats, "_history", history)
    return stats


def client_stats(figures: Mapping[str, Any]) -> ClientStats:
    """The public snapshot of a native client's `stats()`."""
    remote, received = figures.get("remote"), figures.get("received")
    return _snapshot(
        ClientStats,
        {
            **figures,
            "remote": None if remote is None else _snapshot(RemoteStats, remote),
            "received": None if received is None else source_stats(received),
        },
    )


def server_stats(figures: Mapping[str, Any]) -> ServerStats:
    """The public snapshot of a native server's `stats()`."""
    sources = tuple(source_stats({"protocol": figures["protocol"], **one}) for one in figures["sources"])
    return _snapshot(ServerStats, {**figures, "sources": sources})


def hop_stats(figures: Mapping[str, Any]) -> HopStats:
    """The public snapshot of a native hop's `stats()`."""
    return _snapshot(HopStats, {**_ways(figures), "peers": tuple(_hop_peer(one) for one in figures["peers"])})


def _hop_peer(figures: Mapping[str, Any]) -> HopPeerStats:
    return _snapshot(HopPeerStats, _ways(figures))


def _ways(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {**figures, "up": _snapshot(HopWayStats, figures["up"]), "down": _snapshot(HopWayStats, figures["down"])}


def source_stats(figures: Mapping[str, Any]) -> SourceStats:
    """The public snapshot of one source of a native server."""
    return _snapshot(SourceStats, figures)


def _snapshot(kind: type[_T], figures: Mapping[str, Any]) -> _T:
    """The snapshot among `figures`, which may hold more."""
    return kind(**{field.name: figures[field.name] for field in dataclasses.fields(kind) if field.name in figures})


def _plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dictionary as JSON would give it back: lists for tuples, None for what is no finite number."""
    return {key: _plain_value(value) for key, value in items}


def _plain_value(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return list(cast("tuple[Any]", value)) if isinstance(value, tuple) else value
