//! Sequence numbers and arrival times of one source: what was expected, received, lost, doubled, swapped, and the jitter.
//!
//! After RFC 3550 appendices A.1, A.3 and A.8, with these definitions:
//! - *expected*: from the lowest to the highest sequence number seen. The first packet is never lost, nor is one that
//!   comes after it with a lower number.
//! - *lost* = expected - distinct received, never negative. A packet that comes late is not a lost one.
//! - *duplicated*: copies of what was received. Exact for the last [`WINDOW`] sequence numbers; of an older packet it cannot be known
//!   whether it came before, and it counts as a copy.
//! - *repaired*: of those lost, the ones whose sound redundancy brought back, as long as they do not come after all.
//! - *reordered*: received, not a copy, below the highest number seen.
//! - *jitter*: A.8's estimate over every packet in order of arrival, copies and swapped ones included, as Wireshark has it;
//!   like Wireshark, and unlike A.8's letter, a packet is compared with the newest sound seen before it, not with a packet that was itself
//!   late. (Wireshark divides by the rate in whole kHz, so that at 44.1 kHz it takes 10 ms of sound for 10.02.)
//! - *mean jitter*: the mean of that estimate over the packets after the first; one that was late counts as the mean before it, as
//!   in Wireshark. Wireshark leaves packets with the marker bit out besides.
//!
//! Which packets are believed is not decided here: a tracker counts what it is given.

use super::mended::Mended;
use crate::engine::ahead;
use crate::engine::stats::Reception;
use crate::engine::time::Micros;

/// Counts one source's packets.
pub struct SequenceTracker {
    rate: u32,
    /// The extended sequence numbers seen: lowest and highest; `None` before the first.
    span: Option<(u64, u64)>,
    /// One bit for each of the last `WINDOW` sequence numbers: whether it was received. At [rest](Self::rest) there is none.
    seen: Option<Box<[u64; WINDOW / 64]>>,
    /// At rest: those that were not.
    missing: Box<[u64]>,
    /// What was lost and brought back.
    mended: Mended,
    repaired: u64,
    /// What was expected before the sender's last restart.
    expected_before: u64,
    received: u64,
    duplicated: u64,
    reordered: u64,
    restarts: u64,
    jitter: Jitter,
}

/// Where a packet stands among those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The first of all, or since a restart.
    First,
    /// The one after the highest.
    Next,
    /// Further on: so many are missing between.
    Ahead(u64),
    /// Below the highest by so many, and not seen yet.
    Behind(u64),
    /// Below the highest by so many (or itself the highest), and seen before, or too old for that to be known.
    Copy(u64),
}

impl SequenceTracker {
    /// A tracker of a source of `rate` frames a second.
    pub fn new(rate: u32) -> Self {
        Self {
            rate,
            span: None,
            seen: None,
            missing: Box::default(),
            mended: Mended::new(),
            repaired: 0,
            expected_before: 0,
            received: 0,
            duplicated: 0,
            reordered: 0,
            restarts: 0,
            jitter: Jitter::default(),
        }
    }

    /// The extended sequence number nearest to the highest seen. The first one is 65,536 more than on the wire, so that
    /// earlier ones can be named.
    pub fn extend(&self, sequence: u16) -> u64 {
        match self.span {
            None => FIRST_CYCLE + u64::from(sequence),
            Some((_, highest)) => {
                let step = i64::from(sequence.wrapping_sub(highest as u16) as i16);
                // A restart's first packet may be followed by many earlier ones, but not by more than there are numbers.
                highest.checked_add_signed(step).unwrap_or(highest)
            }
        }
    }

    /// Where a packet would stand.
    pub fn place(&self, sequence: u64) -> Place {
        let Some((_, highest)) = self.span else { return Place::First };
        if sequence > highest {
            return match sequence - highest - 1 {
                0 => Place::Next,
                missing => Place::Ahead(missing),
            };
        }
        let behind = highest - sequence;
        if behind < WINDOW as u64 && !self.is_seen(sequence) {
            Place::Behind(behind)
        } else {
            Place::Copy(behind)
        }
    }

    /// Counts a packet, given its extended sequence number, and says where it stood.
    pub fn count(&mut self, sequence: u64, timestamp: u32, arrival: Micros) -> Place {
        let place = self.place(sequence);
        self.received += 1;
        self.jitter.update(self.rate, timestamp, arrival);
        match place {
            Place::First => {
                self.seen = Some(Box::new([0; WINDOW / 64]));
                self.mended.clear();
                self.span = Some((sequence, sequence));
            }
            Place::Next | Place::Ahead(_) => {
                let (lowest, highest) = self.span.unwrap_or((sequence, sequence));
                self.forget(highest, sequence);
                self.repaired += self.mended.advance(highest, sequence);
                self.mended.unset(sequence);
                self.span = Some((lowest, sequence));
            }
            Place::Behind(_) => {
                let (lowest, highest) = self.span.unwrap_or((sequence, sequence));
                self.reordered += 1;
                if self.mended.unset(sequence) {
                    // It was not lost.
                    self.repaired -= 1;
                }
                self.span = Some((lowest.min(sequence), highest));
            }
            Place::Copy(_) => {
                self.duplicated += 1;
                return place;
            }
        }
        self.bits()[word(sequence)] |= bit(sequence);
        place
    }

    /// A packet that is missing so far was brought back by redundancy; again, or where it is not missing, is nothing. One that
    /// is not expected yet counts once it is missing.
    pub fn repair(&mut self, sequence: u64) {
        match self.place(sequence) {
            Place::Behind(_) if self.span.is_some_and(|(lowest, _)| sequence > lowest) => {
                self.repaired += u64::from(self.mended.set(sequence));
            }
            Place::Next => _ = self.mended.set(sequence),
            Place::Ahead(missing) if missing < WINDOW as u64 => _ = self.mended.set(sequence),
            _ => {}
        }
    }

    /// Counts a copy that was put aside when it came, and whose time of arrival is gone.
    pub fn count_copy(&mut self) {
        self.received += 1;
        self.duplicated += 1;
    }

    /// The sender has begun anew: the next packet counted is the first of a new series. All counts go on.
    pub fn restart(&mut self) {
        self.expected_before += self.expected();
        self.span = None;
        self.restarts += 1;
        self.jitter.last = None;
    }

    /// The sender's timestamps have begun anew, its sequence numbers go on.
    pub fn forget_transit(&mut self) {
        self.jitter.last = None;
    }

    /// The source has fallen silent: keeps which numbers are missing, not which are there, if those are few.
    pub fn rest(&mut self) {
        let missing: Vec<u64> =
            recent(self.span).filter(|sequence| !self.is_seen(*sequence)).take(FEW + 1).collect();
        if missing.len() <= FEW {
            self.missing = missing.into();
            self.seen = None;
        }
    }

    /// The highest extended sequence number seen.
    pub fn highest(&self) -> Option<u64> {
        self.span.map(|(_, highest)| highest)
    }

    /// The lowest and the highest extended sequence number seen since the last restart.
    pub fn span(&self) -> Option<(u64, u64)> {
        self.span
    }

    /// Whether it is known that this number was received; nothing is known of those below the last [`WINDOW`].
    pub fn was_received(&self, sequence: u64) -> bool {
        matches!(self.place(sequence), Place::Copy(behind) if behind < WINDOW as u64)
    }

    /// Has the processor fetch where the next one is noted.
    pub fn fetch(&self) {
        if let (Some(seen), Some((_, highest))) = (&self.seen, self.span) {
            ahead::fetch(&seen[word(highest + 1)]);
        }
    }

    /// How many were counted.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The counts; bytes and frames are not known here.
    pub fn reception(&self) -> Reception {
        let expected = self.expected_before + self.expected();
        Reception {
            expected,
            received: self.received,
            lost: expected.saturating_sub(self.received - self.duplicated),
            repaired: self.repaired,
            duplicated: self.duplicated,
            reordered: self.reordered,
            jitter_frames: self.jitter.frames,
            jitter_mean_frames: self.jitter.mean,
            restarts: self.restarts,
            ..Reception::default()
        }
    }

    fn expected(&self) -> u64 {
        self.span.map_or(0, |(lowest, highest)| highest - lowest + 1)
    }

    fn is_seen(&self, sequence: u64) -> bool {
        if let Some(seen) = &self.seen {
            return seen[word(sequence)] & bit(sequence) != 0;
        }
        let inside = self.span.is_some_and(|(lowest, highest)| (lowest..=highest).contains(&sequence));
        inside && !self.missing.contains(&sequence)
    }

    /// Clears the bits of the numbers after `highest` up to `to`: nothing of them was seen yet.
    fn forget(&mut self, highest: u64, to: u64) {
        let seen = self.bits();
        if to - highest >= WINDOW as u64 {
            seen.fill(0);
            return;
        }
        for sequence in highest + 1..=to {
            seen[word(sequence)] &= !bit(sequence);
        }
    }

    /// Which were received lately, unfolded if it rested.
    fn bits(&mut self) -> &mut [u64; WINDOW / 64] {
        let (span, missing) = (self.span, &self.missing);
        self.seen.get_or_insert_with(|| {
            let mut seen = Box::new([0; WINDOW / 64]);
            for sequence in recent(span).filter(|sequence| !missing.contains(sequence)) {
                seen[word(sequence)] |= bit(sequence);
            }
            seen
        })
    }
}

/// Interarrival jitter (A.8), in frames.
#[derive(Default)]
struct Jitter {
    frames: f64,
    /// The mean of `frames` over `differences`.
    mean: f64,
    differences: u64,
    /// The newest sound seen: its timestamp and arrival.
    last: Option<(u32, Micros)>,
}

impl Jitter {
    fn update(&mut self, rate: u32, timestamp: u32, arrival: Micros) {
        let Some((before, came)) = self.last else {
            self.last = Some((timestamp, arrival));
            return;
        };
        let step = timestamp.wrapping_sub(before) as i32;
        let passed = arrival.signed_since(came) as f64 * f64::from(rate) / 1e6;
        self.frames += ((passed - f64::from(step)).abs() - self.frames) / 16.0;
        self.differences += 1;
        if step >= 0 {
            self.mean += (self.frames - self.mean) / self.differences as f64;
            self.last = Some((timestamp, arrival));
        }
    }
}

/// The numbers of a span of which it is known whether they were received.
fn recent(span: Option<(u64, u64)>) -> impl Iterator<Item = u64> {
    span.into_iter()
        .flat_map(|(lowest, highest)| lowest.max((highest + 1).saturating_sub(WINDOW as u64))..=highest)
}

fn word(sequence: u64) -> usize {
    sequence as usize % WINDOW / 64
}

fn bit(sequence: u64) -> u64 {
    1 << (sequence % 64)
}

/// How many sequence numbers back it is known which were received: over a minute of 10 ms packets, in 1 KiB.
pub const WINDOW: usize = 8_192;

/// Numbers that are remembered one by one.
const FEW: usize = 32;

/// Sequence numbers that a packet may leave out without further evidence (RFC 3550 A.1: a minute of loss at 50 packets a second).
pub const MAX_DROPOUT: u64 = 3000;

/// How far a packet may be behind without further evidence (RFC 3550 A.1: two seconds at 50 packets a second).
pub const MAX_MISORDER: u64 = 100;

/// What extended sequence numbers have more than the wire's at first.
pub const FIRST_CYCLE: u64 = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const RATE: u32 = 44_100;

    fn tracker_of(sequences: &[u16]) -> SequenceTracker {
        let mut tracker = SequenceTracker::new(RATE);
        for (i, &s) in sequences.iter().enumerate() {
            let extended = tracker.extend(s);
            tracker.count(extended, u32::from(s) * 441, Micros(i as u64 * 10_000));
        }
        tracker
    }

    fn counts(sequences: &[u16]) -> (u64, u64, u64, u64, u64) {
        let r = tracker_of(sequences).reception();
        (r.expected, r.received, r.lost, r.duplicated, r.reordered)
    }

    #[test]
    fn nothing_is_lost_of_a_stream_that_wraps() {
        assert_eq!(counts(&[65_534, 65_535, 0, 1]), (4, 4, 0, 0, 0));
    }

    #[test]
    fn what_is_known_survives_a_rest() {
        for losses in [3, 100] {
            let came: Vec<u16> = (1000..21_000).filter(|n| n % (20_000 / losses) != 7).collect();
            let (mut awake, mut rested) = (tracker_of(&came), tracker_of(&came));
            rested.rest();
            let same = |a: &SequenceTracker, b: &SequenceTracker| {
                (0..30_000).all(|n| a.place(a.extend(n)) == b.place(b.extend(n)))
            };
            assert!(same(&awake, &rested));
            for n in [20_999, 20_007, 21_005, 21_003] {
                let at = Micros(1 << 40);
                assert_eq!(awake.count(awake.extend(n), 0, at), rested.count(rested.extend(n), 0, at));
            }
            assert!(same(&awake, &rested));
            assert_eq!(awake.reception(), rested.reception());
        }
    }

    #[test]
    fn the_first_packet_is_never_lost() {
        assert_eq!(counts(&[42]), (1, 1, 0, 0, 0));
        assert_eq!(counts(&[]), (0, 0, 0, 0, 0));
    }

    #[test]
    fn a_gap_of_n_counts_n() {
        assert_eq!(counts(&[65_530, 65_531, 4, 5]), (12, 4, 8, 0, 0));
    }

    #[test]
    fn a_late_packet_is_not_a_lost_one() {
        assert_eq!(counts(&[1, 2, 4, 5, 3]), (5, 5, 0, 0, 1));
    }

    #[test]
    fn a_doubled_packet_makes_up_for_no_loss() {
        assert_eq!(counts(&[1, 2, 2, 2, 4]), (4, 5, 1, 2, 0));
    }

    #[test]
    fn what_comes_before_the_first_was_expected_too() {
        assert_eq!(counts(&[0, 65_534, 1]), (4, 3, 1, 0, 1));
    }

    #[test]
    fn a_packet_older_than_the_window_counts_as_a_copy() {
        let mut tracker = SequenceTracker::new(RATE);
        tracker.count(100_000, 0, Micros(0));
        tracker.count(100_000 + WINDOW as u64 + 1, 0, Micros(0));
        assert_eq!(tracker.place(100_001), Place::Copy(WINDOW as u64));
        assert_eq!(tracker.place(100_002), Place::Behind(WINDOW as u64 - 1));
    }

    #[test]
    fn a_repaired_packet_is_counted_once_and_not_when_it_comes_after_all() {
        let mut tracker = tracker_of(&[10, 14]);
        let at = |s: u16| FIRST_CYCLE + u64::from(s);
        for s in [12, 13, 13, 14, 10, 3, 99] {
            tracker.repair(at(s));
        }
        let r = tracker.reception();
        // What came before the first packet may have been sent, and is lost only if an earlier one comes.
        assert_eq!((r.lost, r.repaired), (3, 2));
        tracker.count(at(13), 0, Micros(0));
        tracker.repair(at(13));
        let r = tracker.reception();
        assert_eq!((r.lost, r.repaired), (2, 1));
    }

    #[test]
    fn counts_go_on_over_a_restart() {
        let mut tracker = tracker_of(&[10, 11, 13]);
        tracker.restart();
        for s in [5, 5, 7] {
            let extended = tracker.extend(s);
            tracker.count(extended, 0, Micros(0));
        }
        let r = tracker.reception();
        assert_eq!((r.expected, r.received, r.lost, r.duplicated, r.restarts), (4 + 3, 6, 2, 1, 1));
    }

    #[test]
    fn an_even_stream_has_no_jitter_and_an_uneven_one_what_the_rfc_says() {
        assert!(tracker_of(&[1, 2, 3, 4, 5]).reception().jitter_frames < 1e-9);
        let mut tracker = SequenceTracker::new(RATE);
        let (mut expected, mut sum) = (0.0, 0.0);
        for i in 0..100u64 {
            // Every other packet is 1 ms late, so that every difference is 44.1 frames.
            tracker.count(FIRST_CYCLE + i, i as u32 * 441, Micros(i * 10_000 + i % 2 * 1000));
            if i > 0 {
                expected += (44.1 - expected) / 16.0;
                sum += expected;
            }
        }
        assert!((tracker.reception().jitter_frames - expected).abs() < 1e-9);
        assert!((tracker.reception().jitter_mean_frames - sum / 99.0).abs() < 1e-9);
    }

    #[test]
    fn a_late_packet_adds_to_the_jitter_once() {
        let mut tracker = SequenceTracker::new(RATE);
        for (i, ms) in [(0, 0), (2, 20), (1, 20), (3, 30)] {
            tracker.count(FIRST_CYCLE + i, i as u32 * 441, Micros(ms * 1000));
        }
        // The late one is 10 ms off the newest; the next is compared with the newest again, and in time.
        let expected = 441.0 / 16.0 * (15.0 / 16.0);
        assert!((tracker.reception().jitter_frames - expected).abs() < 1e-9);
        // Three differences: none, the late one's, which stands for the mean so far, and the last.
        assert!((tracker.reception().jitter_mean_frames - expected / 3.0).abs() < 1e-9);
    }

    proptest! {
        /// Any loss, doubling and swapping within the window, over several wraps, against a plain set.
        #[test]
        fn it_agrees_with_a_set(
            first: u16,
            steps in prop::collection::vec((0u64..2500, 0u64..10_000, 1u64..4), 1..300),
        ) {
            let mut tracker = SequenceTracker::new(RATE);
            let mut set = BTreeSet::new();
            let (mut received, mut reordered) = (0, 0);
            let mut newest = FIRST_CYCLE + u64::from(first);
            for (ahead, behind, copies) in steps {
                let (ahead, behind) = if set.is_empty() { (0, 0) } else { (ahead, behind.min(8000)) };
                newest += ahead;
                let sequence = newest - behind.min(newest - FIRST_CYCLE);
                for _ in 0..copies {
                    let extended = tracker.extend(sequence as u16);
                    prop_assert_eq!(extended, sequence);
                    tracker.count(extended, 0, Micros(0));
                    received += 1;
                    if set.last().is_some_and(|&last| sequence < last) && !set.contains(&sequence) {
                        reordered += 1;
                    }
                    set.insert(sequence);
                }
                newest = newest.max(sequence);
                let r = tracker.reception();
                let expected = set.last().unwrap() - set.first().unwrap() + 1;
                prop_assert_eq!(r.expected, expected);
                prop_assert_eq!(r.received, received);
                prop_assert_eq!(r.duplicated, received - set.len() as u64);
                prop_assert_eq!(r.lost, expected - set.len() as u64);
                prop_assert_eq!(r.reordered, reordered);
                prop_assert_eq!(r.lost, r.expected + r.duplicated - r.received);
            }
        }
    }
}
