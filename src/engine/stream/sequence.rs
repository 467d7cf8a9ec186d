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

    /// Timestamps count so many frames a second from now on.
    pub fn set_rate(&mut self, rate: u32) {
        self.rate = rate;
        self.jitter = Jitter::default();
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
        self.jitter.update(self.rate, timestamp, arrival);
        self.count_untimed(sequence)
    }

    /// The same of a packet whose timestamp is not when it was made: it makes no jitter.
    pub fn count_untimed(&mut self, sequence: u64) -> Place {
        let place = self.place(sequence);
        self.received += 1;
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
mod tests;
