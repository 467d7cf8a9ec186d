//! What a player counts: written by the thread that plays, read by any.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::histogram::{BUCKETS, Bar, Bucket};
use crate::engine::exact::log10;
use crate::engine::stats::Playback;

/// One source's counters.
#[derive(Debug)]
pub struct PlayerCounters {
    /// Packets that came after their time.
    pub late_packets: AtomicU64,
    /// Frames of received sound given out.
    pub frames_played: AtomicU64,
    /// Frames put in for missing ones.
    pub frames_concealed: AtomicU64,
    /// Gaps.
    pub concealments: AtomicU64,
    /// Times that a playing source had nothing to play.
    pub underruns: AtomicU64,
    /// Frames left out to shorten the delay.
    pub frames_accelerated: AtomicU64,
    /// Frames put in to lengthen the delay.
    pub frames_expanded: AtomicU64,
    /// Times that playout began anew.
    pub resets: AtomicU64,
    /// The present delay, µs.
    pub delay_us: AtomicU64,
    /// The delay aimed at, µs.
    pub target_us: AtomicU64,
    /// The position heard at the beginning of the last pull, [`UNHEARD`] where nothing received was.
    pub heard: AtomicU64,
    /// The sender's clock against the output's, a thousandth of a ppm.
    pub drift_ppb: AtomicI64,
    /// The shares of the delay histogram's buckets, ppm.
    histogram: Box<[AtomicU32]>,
    gain: AtomicU32,
    muted: AtomicBool,
    /// The loudest sample lately, before the gain.
    peak: AtomicU32,
    /// The extended sequence numbers of the last late packets.
    late: Box<[AtomicU64]>,
}

impl PlayerCounters {
    /// A snapshot.
    pub fn snapshot(&self) -> Playback {
        Playback {
            late_packets: self.late_packets.load(Relaxed),
            frames_played: self.frames_played.load(Relaxed),
            frames_concealed: self.frames_concealed.load(Relaxed),
            concealments: self.concealments.load(Relaxed),
            underruns: self.underruns.load(Relaxed),
            frames_accelerated: self.frames_accelerated.load(Relaxed),
            frames_expanded: self.frames_expanded.load(Relaxed),
            resets: self.resets.load(Relaxed),
            delay_ms: self.delay_us.load(Relaxed) as f64 / 1e3,
            delay_target_ms: self.target_us.load(Relaxed) as f64 / 1e3,
            drift_ppm: self.drift_ppb.load(Relaxed) as f64 / 1e3,
            level_db: 20.0 * log10(f64::from(f32::from_bits(self.peak.load(Relaxed)))),
        }
    }

    /// A packet came after its time.
    pub fn note_late(&self, sequence: u64) {
        let place = self.late_packets.fetch_add(1, Relaxed) as usize % LATE_REMEMBERED;
        self.late[place].store(sequence, Relaxed);
    }

    /// How many packets came after their time.
    pub fn late(&self) -> u64 {
        self.late_packets.load(Relaxed)
    }

    /// The extended sequence numbers of the packets that came after their time, all but the first `known`; of many
    /// the last.
    pub fn late_after(&self, known: u64) -> impl Iterator<Item = u64> {
        let count = self.late();
        let first = known.max(count.saturating_sub(LATE_REMEMBERED as u64));
        (first..count).map(|place| self.late[place as usize % LATE_REMEMBERED].load(Relaxed))
    }

    /// Whether the packet with this extended sequence number was among the last late ones.
    pub fn was_late(&self, sequence: u64) -> bool {
        self.late.iter().any(|late| late.load(Relaxed) == sequence)
    }

    /// Notes the delay histogram.
    pub fn publish_histogram(&self, bars: impl Iterator<Item = Bar>) {
        for (share, bar) in self.histogram.iter().zip(bars) {
            share.store((bar.share * 1e6) as u32, Relaxed);
        }
    }

    /// The delay histogram as it was noted last, its empty buckets left out.
    pub fn histogram(&self) -> Vec<Bar> {
        let shares = self.histogram.iter().map(|share| f64::from(share.load(Relaxed)) / 1e6);
        let bars = shares.enumerate().map(|(n, share)| Bar { below: Bucket(n as u16).upper(), share });
        bars.filter(|bar| bar.share > 0.0).collect()
    }

    /// The source's gain, 1 where it was never set.
    pub fn gain(&self) -> f32 {
        f32::from_bits(self.gain.load(Relaxed))
    }

    /// Sets the source's gain.
    pub fn set_gain(&self, gain: f32) {
        self.gain.store(gain.to_bits(), Relaxed);
    }

    /// Whether the source is played as silence.
    pub fn is_muted(&self) -> bool {
        self.muted.load(Relaxed)
    }

    /// Plays the source as silence, or no longer.
    pub fn set_muted(&self, muted: bool) {
        self.muted.store(muted, Relaxed);
    }

    /// What the source is played with: its gain, or nothing.
    pub fn heard_gain(&self) -> f32 {
        if self.is_muted() { 0.0 } else { self.gain() }
    }

    /// The loudest sample of a block is `peak`; what was louder before has fallen by the factor `decay` meanwhile.
    pub fn note_peak(&self, peak: f32, decay: f32) {
        let peak = peak.max(f32::from_bits(self.peak.load(Relaxed)) * decay);
        self.peak.store(if peak < SILENT { 0 } else { peak.to_bits() }, Relaxed);
    }
}

impl Default for PlayerCounters {
    fn default() -> Self {
        Self {
            late_packets: AtomicU64::new(0),
            frames_played: AtomicU64::new(0),
            frames_concealed: AtomicU64::new(0),
            concealments: AtomicU64::new(0),
            underruns: AtomicU64::new(0),
            frames_accelerated: AtomicU64::new(0),
            frames_expanded: AtomicU64::new(0),
            resets: AtomicU64::new(0),
            delay_us: AtomicU64::new(0),
            target_us: AtomicU64::new(0),
            heard: AtomicU64::new(UNHEARD),
            drift_ppb: AtomicI64::new(0),
            histogram: (0..BUCKETS).map(|_| AtomicU32::new(0)).collect(),
            gain: AtomicU32::new(1.0f32.to_bits()),
            muted: AtomicBool::new(false),
            peak: AtomicU32::new(0),
            late: (0..LATE_REMEMBERED).map(|_| AtomicU64::new(u64::MAX)).collect(),
        }
    }
}

/// No position.
pub const UNHEARD: u64 = u64::MAX;
/// Below this a level is none: -100 dBFS.
const SILENT: f32 = 1e-5;
/// As many as two thirds of a second have packets of 10 ms: they are asked for more often.
const LATE_REMEMBERED: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_late_packets_are_known_by_their_numbers() {
        let counters = PlayerCounters::default();
        assert!(!counters.was_late(0));
        for sequence in 1..=LATE_REMEMBERED as u64 + 1 {
            counters.note_late(sequence);
        }
        assert_eq!(counters.late(), LATE_REMEMBERED as u64 + 1);
        assert!(counters.was_late(2) && counters.was_late(LATE_REMEMBERED as u64 + 1));
        assert!(!counters.was_late(1));
        let last = LATE_REMEMBERED as u64 + 1;
        assert_eq!(counters.late_after(last - 2).collect::<Vec<_>>(), [last - 1, last]);
        assert_eq!(counters.late_after(0).count(), LATE_REMEMBERED);
    }
}
