//! One source's timestamps, whatever clock rates its packets have, as those of one rate (RFC 7160).
//!
//! A source may change its coding at any packet, and the clock with it. Guaranteed: timestamps of one rate keep their distances, to a
//! frame; the first packet of another rate comes right after the sound before it, or as much later as its timestamp or the time
//! that passed says. As long as nothing changes, timestamps are what they were on the wire.

use super::media_clock::frames_between;
use crate::engine::time::Micros;

/// The clocks of a source.
pub struct Clocks {
    /// The rate that all is made into.
    rate: u32,
    /// Of the newest sound.
    current: Option<(Leg, Tail)>,
    /// Few sources have others.
    others: Option<Box<Others>>,
}

#[derive(Default)]
struct Others {
    /// The stretch before, for what comes late.
    previous: Option<Leg>,
    /// Of a packet that nobody believes yet.
    tried: Option<Leg>,
}

/// A stretch of packets of one clock rate, as seen from one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leg {
    rate: u32,
    /// The one rate of the source.
    home: u32,
    /// The packet's timestamp, as on the wire.
    timestamp: u32,
    /// Frames since the stretch began.
    since: i64,
    /// Where it began, at the one rate.
    anchor: u32,
    /// The sequence number that it began with.
    first: u64,
}

/// The newest sound.
#[derive(Clone, Copy)]
struct Tail {
    sequence: u64,
    frames: u32,
    arrival: Micros,
}

impl Clocks {
    /// For timestamps at `rate`.
    pub fn new(rate: u32) -> Self {
        Self { rate, current: None, others: None }
    }

    /// The stretch that a packet belongs to; `rate` is its clock's, or that of the packets before it.
    pub fn place(&self, rate: Option<u32>, timestamp: u32, sequence: u64, arrival: Micros) -> Leg {
        let rate = rate.or(self.current.map(|(leg, _)| leg.rate)).unwrap_or(self.rate);
        let others = self.others.as_deref();
        if let Some((current, _)) = self.current {
            if current.rate == rate {
                return current.at(timestamp);
            }
            let previous = others.and_then(|others| others.previous);
            if let Some(previous) = previous.filter(|leg| leg.rate == rate && sequence < current.first) {
                return previous.at(timestamp);
            }
        }
        let near = |leg: &Leg| {
            let step = timestamp.wrapping_sub(leg.timestamp) as i32;
            leg.rate == rate && i64::from(step).abs() <= 10 * i64::from(rate)
        };
        if let Some(tried) = others.and_then(|others| others.tried).filter(near) {
            return tried.at(timestamp);
        }
        let anchor =
            self.current.map_or(timestamp, |(leg, tail)| tail.next(&leg, timestamp, sequence, arrival));
        Leg { rate, home: self.rate, timestamp, since: 0, anchor, first: sequence }
    }

    /// A packet of sound was put aside: the next one is seen from it.
    pub fn keep(&mut self, leg: Leg) {
        self.others.get_or_insert_default().tried = Some(leg);
    }

    /// A packet of sound is the newest.
    pub fn advance(&mut self, leg: Leg, sequence: u64, frames: u32, arrival: Micros) {
        let before = self.current.replace((leg, Tail { sequence, frames, arrival }));
        let another =
            before.map(|(before, _)| before).filter(|b| (b.rate, b.anchor) != (leg.rate, leg.anchor));
        if let Some(previous) = another {
            self.others = Some(Box::new(Others { previous: Some(previous), tried: None }));
        } else if let Some(others) = &mut self.others {
            others.tried = None;
            if others.previous.is_none() {
                self.others = None;
            }
        }
    }
}

impl Leg {
    /// Its timestamp as on the wire.
    pub const fn raw(&self) -> u32 {
        self.timestamp
    }

    /// Frames of its own since the stretch began.
    pub const fn since(&self) -> i64 {
        self.since
    }

    /// Its timestamp at the one rate.
    pub fn timestamp(&self) -> u32 {
        self.anchor.wrapping_add(self.scaled(self.since) as u32)
    }

    /// How many frames `own` frames from here on are at the one rate.
    pub fn frames(&self, own: u32) -> u32 {
        (self.scaled(self.since + i64::from(own)) - self.scaled(self.since)) as u32
    }

    /// The same place `own` frames earlier.
    #[must_use]
    pub fn back(&self, own: u32) -> Self {
        let timestamp = self.timestamp.wrapping_sub(own);
        Self { timestamp, since: self.since - i64::from(own), ..*self }
    }

    /// Frames at the one rate since the stretch began.
    pub fn scaled_since(&self) -> i64 {
        self.scaled(self.since)
    }

    fn at(self, timestamp: u32) -> Self {
        let step = timestamp.wrapping_sub(self.timestamp) as i32;
        Self { timestamp, since: self.since + i64::from(step), ..self }
    }

    /// Rounded up, as a [`Conform`](super::conform::Conform) does.
    fn scaled(&self, frames: i64) -> i64 {
        if self.rate == self.home {
            return frames;
        }
        let scaled = -(-i128::from(frames) * i128::from(self.home)).div_euclid(i128::from(self.rate));
        scaled as i64
    }
}

impl Tail {
    /// Where the first packet of another rate begins, at the one rate.
    fn next(&self, leg: &Leg, timestamp: u32, sequence: u64, arrival: Micros) -> u32 {
        let home = leg.home;
        let passed = frames_between(self.arrival, arrival, home).max(0);
        let missing = sequence.saturating_sub(self.sequence + 1);
        let missing = if missing < MOST_MISSING { missing as i64 } else { 0 };
        let least = i64::from(self.frames) * (1 + missing);
        // RFC 7160 §4.2: the clock before goes on until the first packet of the other.
        let told = i64::from(timestamp.wrapping_sub(leg.timestamp) as i32);
        let told = leg.scaled(leg.since + told) - leg.scaled(leg.since);
        let off = |step: i64| (step - passed).abs();
        let step = if told >= least && off(told) + i64::from(home / 10) < off(least) {
            told
        } else if passed > least + i64::from(home / 2) {
            passed
        } else {
            least
        };
        leg.timestamp().wrapping_add(step as u32)
    }
}

/// More numbers than that were not all lost.
const MOST_MISSING: u64 = 3_000;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000;

    /// Timestamps at 8 kHz of packets of 20 ms: sequence number, rate, timestamp, time in ms.
    fn placed(packets: &[(u64, u32, u32, u64)]) -> Vec<u32> {
        let mut clocks = Clocks::new(8_000);
        let place = |&(sequence, rate, timestamp, ms): &(u64, u32, u32, u64)| {
            let leg = clocks.place(Some(rate), timestamp, sequence, Micros(ms * MS));
            if clocks.current.is_none_or(|(_, tail)| tail.sequence < sequence) {
                clocks.advance(leg, sequence, leg.frames(rate / 50), Micros(ms * MS));
            }
            leg.timestamp()
        };
        packets.iter().map(place).collect()
    }

    #[test]
    fn one_rate_is_left_as_it_is_over_a_wrap_of_the_timestamp() {
        assert_eq!(placed(&[(1, 8_000, u32::MAX, 0), (2, 8_000, 159, 20)]), [u32::MAX, 159]);
    }

    #[test]
    fn another_rate_begins_where_the_sound_before_it_ends_and_keeps_its_distances() {
        let placed = placed(&[
            (1, 8_000, 1_000, 0),
            (2, 44_100, 77, 20),
            (3, 44_100, 77 + 882, 40),
            (5, 48_000, 9, 80),
            (6, 48_000, 9 + 960, 100),
            (4, 44_100, 77 + 2 * 882, 101),
            (7, 8_000, 50, 120),
            (8, 8_000, 210, 140),
        ]);
        assert_eq!(placed, [1_000, 1_160, 1_320, 1_640, 1_800, 1_480, 1_960, 2_120]);
    }

    #[test]
    fn a_clock_that_goes_on_and_a_pause_say_when_another_rate_begins() {
        // RFC 7160 §4.2: half a second of silence, counted by the clock before.
        assert_eq!(placed(&[(1, 8_000, 0, 0), (2, 16_000, 4_160, 520)]), [0, 4_160]);
        assert_eq!(placed(&[(1, 8_000, 0, 0), (2, 16_000, 1 << 31, 2_000)]), [0, 16_000]);
    }
}
