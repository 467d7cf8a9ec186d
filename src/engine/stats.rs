//! Snapshots of what was counted: plain values, RFC 3550's terms.
//!
//! The identities that hold in every snapshot: `lost = expected - received + duplicated` (received counts every
//! believed packet, doubles included), and `late`, `duplicated` are parts of received.

use std::net::SocketAddr;

use super::coding::Encoding;
use super::config::{Protocol, Wire};

/// What sequence numbers and arrival times tell of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reception {
    /// Packets from the first to the last sequence number seen.
    pub expected: u64,
    /// Packets received, doubles included.
    pub received: u64,
    /// Expected, never received: `expected - distinct received`.
    pub lost: u64,
    /// Of those lost, the ones that redundancy brought back.
    pub repaired: u64,
    /// Received more than once: the copies.
    pub duplicated: u64,
    /// Received after one with a higher sequence number.
    pub reordered: u64,
    /// Interarrival jitter in frames (RFC 3550 §6.4.1, appendix A.8).
    pub jitter_frames: f64,
    /// The mean of that jitter over all packets, in frames, as Wireshark has it.
    pub jitter_mean_frames: f64,
    /// Bytes of packets received, their wire headers included (RTP or classic; not UDP, TCP or IP).
    pub bytes: u64,
    /// Frames in received packets, doubles left out.
    pub frames: u64,
    /// How often the sender started anew under the same name.
    pub restarts: u64,
    /// How often its timestamps began anew while its sequence numbers went on.
    pub resets: u64,
}

/// What playout did with one source, or all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Playback {
    /// Packets received after their time to be played.
    pub late_packets: u64,
    /// Frames of received sound that were played.
    pub frames_played: u64,
    /// Frames put in for sound that was missing while a source was playing.
    pub frames_concealed: u64,
    /// How often sound was missing: gaps, however long.
    pub concealments: u64,
    /// Frames left out to shorten the delay.
    pub frames_accelerated: u64,
    /// Frames put in to lengthen the delay.
    pub frames_expanded: u64,
    /// How often playout gave up sound that waited, or its place, because the sound had moved far away.
    pub resets: u64,
    /// The sender's clock against the output's, ppm; 0 until it is known to differ.
    pub drift_ppm: f64,
    /// How often a playing source had nothing to play.
    pub underruns: u64,
    /// The present delay in the buffer, ms.
    pub delay_ms: f64,
    /// The delay that playout aims at, ms.
    pub delay_target_ms: f64,
    /// The loudest sample lately, dBFS; negative infinity for silence.
    pub level_db: f64,
}

impl Reception {
    /// Adds another source's figures; the jitter is the worst.
    pub fn add(&mut self, other: &Self) {
        self.expected += other.expected;
        self.received += other.received;
        self.lost += other.lost;
        self.repaired += other.repaired;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.jitter_frames = self.jitter_frames.max(other.jitter_frames);
        self.jitter_mean_frames = self.jitter_mean_frames.max(other.jitter_mean_frames);
        self.bytes += other.bytes;
        self.frames += other.frames;
        self.restarts += other.restarts;
        self.resets += other.resets;
    }

    /// What has been counted since `before`; of jitter what it is now.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            expected: self.expected.saturating_sub(before.expected),
            received: self.received.saturating_sub(before.received),
            lost: self.lost.saturating_sub(before.lost),
            repaired: self.repaired.saturating_sub(before.repaired),
            duplicated: self.duplicated.saturating_sub(before.duplicated),
            reordered: self.reordered.saturating_sub(before.reordered),
            bytes: self.bytes.saturating_sub(before.bytes),
            frames: self.frames.saturating_sub(before.frames),
            restarts: self.restarts.saturating_sub(before.restarts),
            resets: self.resets.saturating_sub(before.resets),
            ..*self
        }
    }
}

impl Playback {
    /// Adds another source's figures; delay, drift and level are the highest.
    pub fn add(&mut self, other: &Self) {
        self.late_packets += other.late_packets;
        self.frames_played += other.frames_played;
        self.frames_concealed += other.frames_concealed;
        self.underruns += other.underruns;
        self.concealments += other.concealments;
        self.frames_accelerated += other.frames_accelerated;
        self.frames_expanded += other.frames_expanded;
        self.resets += other.resets;
        if other.drift_ppm.abs() > self.drift_ppm.abs() {
            self.drift_ppm = other.drift_ppm;
        }
        self.delay_ms = self.delay_ms.max(other.delay_ms);
        self.delay_target_ms = self.delay_target_ms.max(other.delay_target_ms);
        self.level_db = self.level_db.max(other.level_db);
    }
}

/// Whether a source is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is played.
    Playing,
    /// It has been silent for so long that its player was given up; it may go on.
    Idle,
    /// It has said goodbye, its connection has ended, or nothing has been heard of it for long.
    Left,
}

impl Presence {
    /// One word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Playing => "playing",
            Self::Idle => "idle",
            Self::Left => "left",
        }
    }
}

/// One source of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceStats {
    /// What it is called in this session: never given twice.
    pub number: u32,
    /// Whether it is there.
    pub presence: Presence,
    /// The factor that it is played with.
    pub gain: f32,
    /// Whether it is played as silence.
    pub muted: bool,
    /// Its SSRC, zero on the classic wire.
    pub ssrc: u32,
    /// Where it sends from.
    pub address: SocketAddr,
    /// What it sends by.
    pub protocol: Protocol,
    /// Its packet format.
    pub wire: Wire,
    /// What its payloads hold.
    pub coding: Encoding,
    /// The last sequence number received, as on the wire.
    pub last_sequence: u16,
    /// Network.
    pub reception: Reception,
    /// Playout.
    pub playback: Playback,
    /// Packets dropped by us between network and playout or recorder.
    pub dropped_local: u64,
    /// From here to there and back, ms; `None` where the sender does not let it be known (RFC 3611 §4.5).
    pub round_trip_ms: Option<f64>,
    /// What the sender calls itself for good (RFC 3550 §6.5.1).
    pub cname: Option<String>,
    /// What the sender's user is called (RFC 3550 §6.5.2).
    pub name: Option<String>,
    /// Packets of sound sent to it, and those that were not, for it sends too little itself.
    pub packets_sent: u64,
    /// See above.
    pub packets_withheld: u64,
    /// How a call would be judged (ITU-T G.107), the transmission rating and the mean opinion score; `None` where nobody asks.
    pub quality: Option<(f64, f64)>,
}

/// A server's figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerStats {
    /// Sums over all sources, the departed included.
    pub reception: Reception,
    /// Sums over all sources, the departed included.
    pub playback: Playback,
    /// What the parsers did not believe.
    pub malformed: u64,
    /// Packets, and connections, turned away before they were looked at: from networks that are not allowed, or too many.
    pub refused: u64,
    /// Packets turned away because they spoke in the name of a source that plays from another address.
    pub wrong_source: u64,
    /// Packets that were not sealed with the key, or were opened before; without a key, those that look sealed.
    pub unauthentic: u64,
    /// Sources that are counted and recorded, but not heard: there is too much to play.
    pub unheard: usize,
    /// Dropped on this machine: by the kernel's socket buffer or a full queue of ours.
    pub dropped_local: u64,
    /// Sent on to other receivers.
    pub forwarded: Forwarded,
    /// Recordings of sources by themselves.
    pub recordings: Recordings,
    /// Packets that are missing in the capture: the disk was too slow.
    pub pcap_dropped: u64,
    /// Events that whoever listens for them was too slow to see.
    pub events_dropped: u64,
    /// Frames of our own microphone that found no room on their way to the sources.
    pub frames_unspoken: u64,
    /// The sources that are there now, oldest first.
    pub sources: Vec<SourceStats>,
}

/// Recordings of sources by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recordings {
    /// Those that run.
    pub running: usize,
    /// Sources that were not recorded, for as many as may be were already.
    pub refused: u64,
    /// Files that could not be made, or could not grow.
    pub failed: u64,
    /// Packets that found no room on their way to the disk.
    pub dropped: u64,
}

/// What was sent on to other receivers; each of them counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// Packets that went.
    pub packets: u64,
    /// Packets that the system did not take, or that nobody was there for.
    pub dropped: u64,
}

/// What the other end says of our stream (RFC 3550 §6.4, RFC 3611 §4.7).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RemoteStats {
    /// From here to there and back, ms; `None` until it is known.
    pub round_trip_ms: Option<f64>,
    /// Lost of what was expected between its last two reports, 0 to 1.
    pub fraction_lost: f64,
    /// Lost since the beginning: expected less received, copies counted as received, so that it may be negative.
    pub packets_lost: i64,
    /// Interarrival jitter there, ms.
    pub jitter_ms: f64,
    /// Reports that have come.
    pub reports: u64,
    /// How long ago the last one came, ms.
    pub age_ms: f64,
    /// What it says of voice, where it does.
    pub voice: Option<RemoteVoice>,
}

/// One report of our stream, as it came. Times are NTP's: seconds since 1900, in units of 2⁻³² s.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RemoteReport {
    /// The how-many-eth of our stream, from 1.
    pub number: u64,
    /// When it came, by our clock.
    pub arrived: u64,
    /// When it was said, by the other end's clock; `None` where it does not tell.
    pub said: Option<u64>,
    /// The middle 32 bits of our sender report's time that it answers; 0 where it answers none.
    pub last_sr: u32,
    /// How long that had been there, in 1/65536 s.
    pub delay: u32,
    /// Lost of what was expected since the report before, 0 to 1.
    pub fraction_lost: f64,
    /// Lost since the beginning, copies counted as received.
    pub packets_lost: i64,
    /// The highest sequence number received, with its wraps.
    pub highest: u32,
    /// Interarrival jitter there, ms.
    pub jitter_ms: f64,
    /// The sequence number that it counts from; this and the rest is `None` where it does not tell.
    pub first: Option<u16>,
    /// Packets that came again.
    pub duplicated: Option<u32>,
    /// Packets that others had overtaken.
    pub reordered: Option<u32>,
    /// Our clock against its output's, ppm.
    pub drift_ppm: Option<f64>,
}

/// How losses are spread at the other end, and its delay (RFC 3611 §4.7): shares from 0 to 1, since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RemoteVoice {
    /// Packets that came too late to be played.
    pub discard_rate: f64,
    /// Lost or late, of the packets in bursts.
    pub burst_density: f64,
    /// Lost or late, of the packets in gaps.
    pub gap_density: f64,
    /// The mean burst, ms.
    pub burst_ms: f64,
    /// The mean gap, ms.
    pub gap_ms: f64,
    /// From arrival to being heard, ms.
    pub delay_ms: f64,
    /// Its judgement of the call, 0 to 100 (ITU-T G.107); `None` where it makes none.
    pub r_factor: Option<f64>,
    /// The same as a mean opinion score of conversation, 1 to 5.
    pub mos: Option<f64>,
}

/// A client's figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientStats {
    /// Packets handed to the network, those that are only copies left out.
    pub packets_sent: u64,
    /// Copies of packets, in later packets or by themselves.
    pub copies_sent: u64,
    /// Bytes of all of that, wire headers included.
    pub bytes_sent: u64,
    /// Frames that the source delivered.
    pub frames_captured: u64,
    /// Frames that were captured and never sent: the queue was full.
    pub frames_dropped: u64,
    /// How often the queue was full.
    pub overruns: u64,
    /// TCP connections made after the first.
    pub reconnects: u64,
    /// Answers that were not sealed with the key, or were opened before; zero without a key.
    pub unauthentic: u64,
    /// Packets of sound that came and were not listened to.
    pub unheard: u64,
    /// What is heard of the server; `None` where nothing is.
    pub received: Option<SourceStats>,
    /// The next sequence number.
    pub next_sequence: u16,
    /// The loudest sample lately, dBFS; negative infinity for silence.
    pub level_db: f64,
    /// Packets that are missing in the capture: the disk was too slow.
    pub pcap_dropped: u64,
    /// What the other end says of our stream; `None` where it has said nothing.
    pub remote: Option<RemoteStats>,
}

/// What a hop did to the packets that went one way. At any moment `received + duplicated = sent + lost + overflowed + dropped +
/// unsent + waiting`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HopCounts {
    /// Packets that came.
    pub received: u64,
    /// Their bytes, without headers of UDP and IP.
    pub bytes_received: u64,
    /// Packets that went on.
    pub sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Doubled.
    pub duplicated: u64,
    /// Held back, for others to overtake.
    pub reordered: u64,
    /// Dropped by the full queue of the bottleneck.
    pub overflowed: u64,
    /// Dropped because too much was under way.
    pub dropped: u64,
    /// Not taken by the system when they should have gone on.
    pub unsent: u64,
    /// Under way now.
    pub waiting: u64,
    /// Of those that came, reports (RTCP).
    pub reports: u64,
    /// Of those lost, reports.
    pub reports_lost: u64,
}

/// One program that speaks through a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HopPeer {
    /// Where it speaks from.
    pub address: SocketAddr,
    /// How long nothing has come of it or for it, ms.
    pub idle_ms: u64,
    /// From it to the far end.
    pub up: HopCounts,
    /// From the far end to it.
    pub down: HopCounts,
}

/// A hop's figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HopStats {
    /// From all peers to the far end, those forgotten included.
    pub up: HopCounts,
    /// From the far end to all peers.
    pub down: HopCounts,
    /// Packets turned away: there were too many peers, or they would have gone round in circles.
    pub refused: u64,
    /// Packets for which nobody listened at the far end, as its machine said.
    pub unreachable: u64,
    /// Packets that the kernel dropped before we could take them: a buffer of it was full.
    pub dropped_local: u64,
    /// The peers that are known now, oldest first.
    pub peers: Vec<HopPeer>,
}
