//! Clocks that are wrong by some parts per million, and the sound card that one of them drives.

use std::time::Duration;

use super::draw::{Direction, Draw, Kind};
use crate::engine::time::Micros;

/// A clock that runs `ppm` parts per million fast (slow where negative) of true time, from `start` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkewedClock {
    start: Micros,
    ppm: i32,
}

impl SkewedClock {
    /// A clock that agrees with true time at `start`.
    pub fn new(start: Micros, ppm: i32) -> Self {
        Self { start, ppm: ppm.clamp(-LARGEST_PPM, LARGEST_PPM) }
    }

    /// What it shows at true time `at`.
    pub fn reading(&self, at: Micros) -> Micros {
        let elapsed = i128::from(at.0) - i128::from(self.start.0);
        self.after_start(elapsed * self.pace() / MILLION)
    }

    /// The true time at which its `frames`-th frame of `rate` a second is complete.
    pub fn frame_time(&self, frames: u64, rate: u32) -> Micros {
        // frames / (rate (1 + ppm)) in microseconds, rounded up: not before the frame is there.
        let below = i128::from(rate) * self.pace();
        let above = i128::from(frames) * MILLION * MILLION;
        self.after_start((above + below - 1) / below)
    }

    fn pace(&self) -> i128 {
        MILLION + i128::from(self.ppm)
    }

    fn after_start(&self, offset: i128) -> Micros {
        Micros((i128::from(self.start.0) + offset).clamp(0, i128::from(u64::MAX)) as u64)
    }
}

/// One call of a simulated sound card for sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pull {
    /// When the callback runs, true time.
    pub at: Micros,
    /// How many frames it wants.
    pub frames: usize,
}

/// A card that pulls blocks by its own clock, for ever.
#[derive(Clone, Debug)]
pub struct SoundCard {
    clock: SkewedClock,
    rate: u32,
    block: usize,
    lateness: Duration,
    seed: u64,
    pulls: u64,
}

impl SoundCard {
    /// A card of `rate` Hz whose clock is `ppm` fast, pulling `block` frames at a time from `start` on.
    pub fn new(start: Micros, rate: u32, block: usize, ppm: i32) -> Self {
        Self { clock: SkewedClock::new(start, ppm), rate, block, lateness: Duration::ZERO, seed: 0, pulls: 0 }
    }

    /// Lets each call come late by up to `lateness`, evenly distributed: a scheduler under load. Calls keep their order
    /// where it is shorter than a block.
    #[must_use]
    pub fn late_by(mut self, lateness: Duration, seed: u64) -> Self {
        self.lateness = lateness;
        self.seed = seed;
        self
    }
}

impl Iterator for SoundCard {
    type Item = Pull;

    fn next(&mut self) -> Option<Pull> {
        let due = self.clock.frame_time(self.pulls * self.block as u64, self.rate);
        let draw = Draw::new(self.seed, Direction::Down, Kind::Device, self.pulls);
        self.pulls += 1;
        let late = Duration::from_micros(draw.below(self.lateness.as_micros() as u64));
        Some(Pull { at: due + late, frames: self.block })
    }
}

const MILLION: i128 = 1_000_000;
/// Half the speed or one and a half: more is no clock.
const LARGEST_PPM: i32 = 500_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_is_ahead_by_its_ppm() {
        let start = Micros(5_000_000);
        let clock = SkewedClock::new(start, 300);
        let hour = Duration::from_secs(3600);
        assert_eq!(clock.reading(start + hour).since(start + hour), Duration::from_millis(1_080));
        // A day of its frames takes 300 ppm less true time.
        let day = clock.frame_time(86_400 * 44_100, 44_100).since(start);
        assert_eq!(day.as_micros(), (86_400_000_000u128 * 1_000_000).div_ceil(1_000_300));
    }

    #[test]
    fn a_card_pulls_at_its_own_rate() {
        let mut card = SoundCard::new(Micros(0), 44_100, 441, -100);
        assert_eq!(card.next(), Some(Pull { at: Micros(0), frames: 441 }));
        let at = card.nth(999).unwrap().at;
        assert_eq!(at, Micros(10_001_001));
        let late = SoundCard::new(Micros(0), 44_100, 441, 0).late_by(Duration::from_millis(5), 3);
        let times: Vec<_> = late.take(1000).map(|p| p.at).collect();
        assert!(times.is_sorted());
        assert!(times.iter().enumerate().all(|(n, t)| t.0 - n as u64 * 10_000 < 5_000));
    }
}
