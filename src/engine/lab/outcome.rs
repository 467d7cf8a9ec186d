//! What came of an experiment: whole numbers, and the sound.

use super::ledger::Entry;
use crate::engine::format::Format;

/// All that is known when it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was counted, at both ends.
    pub counts: Counts,
    /// What the link did to the stream's own packets (copies left out); zero over TCP.
    pub injected: Injected,
    /// Losses together and alone.
    pub bursts: BurstFigures,
    /// Interarrival jitter in the end and in the mean (RFC 3550 §6.4.1), µs.
    pub jitter_us: u64,
    /// See `jitter_us`.
    pub jitter_mean_us: u64,
    /// From when a packet's sound was complete to its arrival.
    pub network: Spread,
    /// From when a frame was captured to when the card takes it to be heard: packet, path and playout.
    pub mouth_to_ear: Spread,
    /// What it took.
    pub bits: Bits,
    /// What TCP did, where it was TCP.
    pub connection: Option<Connection>,
    /// How a call would be judged.
    pub judgement: Judgement,
    /// Every packet.
    pub trace: Vec<Entry>,
    /// When something was heard (µs since the first frame was captured), and its mouth-to-ear delay then, µs.
    pub delays: Vec<(u64, u64)>,
    /// Frames a second of what is sent: of the counts' frames.
    pub stream_rate: u32,
    /// The format of both sounds.
    pub format: Format,
    /// What was heard.
    pub heard: Vec<i16>,
    /// What arrived in its place, holes silent.
    pub arrived: Vec<i16>,
    /// What passed (pcapng), where it was asked for.
    pub capture: Option<Vec<u8>>,
}

/// Packets, and frames at the rate that is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets of the stream that were made.
    pub sent: u64,
    /// Copies of them, by themselves or inside others.
    pub copies: u64,
    /// RFC 3550's, as a receiver has them.
    pub expected: u64,
    /// See `expected`.
    pub received: u64,
    /// See `expected`.
    pub lost: u64,
    /// Arrived after their time.
    pub late: u64,
    /// Arrived again.
    pub duplicated: u64,
    /// Below the highest seen when they arrived.
    pub reordered: u64,
    /// Lost and brought back.
    pub repaired: u64,
    /// What the receiver did not believe: nothing.
    pub malformed: u64,
    /// Frames of a packet.
    pub packet_frames: u64,
    /// Frames that were captured since the first that was heard, at the rate that is sent.
    pub frames: u64,
    /// Those that were heard as they were sent, or brought back.
    pub frames_heard: u64,
    /// Frames put in for missing ones.
    pub frames_concealed: u64,
    /// How often sound was missing.
    pub concealments: u64,
    /// How often there was nothing to play.
    pub underruns: u64,
    /// Left out to shorten the delay, and put in to lengthen it.
    pub frames_accelerated: u64,
    /// See `frames_accelerated`.
    pub frames_expanded: u64,
    /// How often playout began anew.
    pub resets: u64,
    /// Captured frames that the sender dropped, since the network was too slow, and how often.
    pub frames_dropped: u64,
    /// See `frames_dropped`.
    pub overruns: u64,
}

/// What the link did, by its own account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Injected {
    /// Lost by chance.
    pub lost: u64,
    /// Dropped by a full queue.
    pub overflowed: u64,
    /// Delivered twice.
    pub duplicated: u64,
    /// Delivered after a later one.
    pub overtaken: u64,
    /// Of those lost: before the first that arrives or after the last, of which no receiver can know.
    pub unseen: u64,
}

/// RFC 3611 §4.7.2, from the first packet that arrived to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BurstFigures {
    /// Lost or late, of the packets in bursts, parts per million.
    pub burst_density_ppm: u64,
    /// The mean burst, thousandths of a packet.
    pub burst_millipackets: u64,
    /// Lost or late, of the packets between, parts per million.
    pub gap_density_ppm: u64,
    /// The mean gap, thousandths of a packet.
    pub gap_millipackets: u64,
}

/// Percentiles (the nearest rank) of delays, µs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// The least.
    pub least: u64,
    /// The median.
    pub p50: u64,
    /// 95 of 100 are no longer.
    pub p95: u64,
    /// 99 of 100.
    pub p99: u64,
    /// The longest.
    pub most: u64,
    /// The mean.
    pub mean: u64,
}

/// Bits a second of the sound's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    /// On the wire, with all headers, copies and retransmissions.
    pub wire: u64,
    /// Sound in the stream's own packets.
    pub payload: u64,
    /// Of that, what arrived.
    pub good: u64,
    /// What the stream gives to the network if none of it is dropped: sound and the headers of its packets.
    pub need: u64,
    /// The headers of a packet (RTP or classic, UDP or TCP, IPv4) against all of it, parts per million.
    pub header_ppm: u64,
}

/// What a TCP connection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// Segments sent, retransmissions among them.
    pub segments: u64,
    /// Those that the link lost or its queue dropped.
    pub segments_lost: u64,
    /// Segments sent again.
    pub retransmissions: u64,
    /// Retransmission timeouts.
    pub timeouts: u64,
    /// Losses found without a timeout.
    pub recoveries: u64,
    /// What the same TCP carries of a file over the same path, bits a second; `None` where nothing limits it.
    pub capacity: Option<u64>,
    /// What Mathis' formula says of that.
    pub mathis: Option<u64>,
}

/// The E-model (ITU-T G.107), hundredths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// The transmission rating.
    pub r: u64,
    /// The opinion score of a conversation.
    pub mos: u64,
    /// The rating if missing sound were silence, nothing repaired.
    pub r_bare: u64,
    /// Sound that was not heard, parts per million.
    pub missing_ppm: u64,
}
