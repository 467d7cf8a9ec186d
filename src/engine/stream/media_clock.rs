//! Where a packet's sound belongs: RTP timestamps made into positions that never wrap, and held against the arrival clock.
//!
//! A timestamp is believed as long as the sound that it claims has had the time to happen. Guaranteed: whatever
//! timestamps a sender invents, its positions run ahead of the sound received and the time passed by [`SLACK`] and a
//! twentieth at most, so that no one can make a recording or a buffer grow by lying.

use std::time::Duration;

use super::queue::Position;
use crate::engine::time::Micros;

/// One epoch's relation between timestamps, positions and arrival times.
pub struct MediaClock {
    rate: u32,
    newest: Option<Newest>,
}

/// Where a timestamp falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its position; the low 32 bits are the timestamp.
    pub position: Position,
    /// Frames since the newest packet's; negative before it.
    pub step: i64,
    /// Frames that passed on the arrival clock since the newest packet's arrival.
    pub passed: i64,
    /// Frames by which the sound is ahead of the arrival clock, as the epoch knows it; negative where it is late.
    pub ahead: i64,
    /// Whether it begins where the newest packet ended.
    pub adjoins: bool,
}

#[derive(Clone, Copy)]
struct Newest {
    timestamp: u32,
    position: Position,
    arrival: Micros,
    ahead: i64,
    frames: u32,
}

impl MediaClock {
    /// A clock of `rate` frames a second that has seen nothing yet.
    pub fn new(rate: u32) -> Self {
        Self { rate, newest: None }
    }

    /// Where a timestamp falls that came in at `arrival`. Of the positions 2^32 apart that it may mean, the one nearest to what the
    /// arrival clock suggests.
    pub fn place(&self, timestamp: u32, arrival: Micros) -> Placed {
        let Some(newest) = self.newest else {
            let position = Position(ORIGIN + u64::from(timestamp));
            return Placed { position, step: 0, passed: 0, ahead: 0, adjoins: false };
        };
        let passed = frames_between(newest.arrival, arrival, self.rate);
        let off = timestamp.wrapping_sub(newest.timestamp).wrapping_sub(passed as u32) as i32;
        let step = passed.saturating_add(i64::from(off));
        Placed {
            position: Position(newest.position.0.saturating_add_signed(step)),
            step,
            passed,
            ahead: newest.ahead.saturating_add(i64::from(off)),
            adjoins: step == i64::from(newest.frames),
        }
    }

    /// Whether sound so placed has had the time to happen, and is not absurdly late.
    pub fn agrees(&self, placed: &Placed) -> bool {
        placed.ahead.abs() <= self.slack()
    }

    /// Ten seconds in frames.
    pub fn slack(&self) -> i64 {
        i64::from(self.rate) * SLACK.as_secs() as i64
    }

    /// Takes a packet as the newest.
    pub fn advance(&mut self, placed: &Placed, timestamp: u32, frames: u32, arrival: Micros) {
        // Sound that was really received may run ahead (a file sent at once), but then earns no further credit.
        let ahead = placed.ahead.clamp(-self.slack(), self.slack());
        // The sender's clock is not ours, by some hundred ppm; and debts are forgotten in time.
        let leak = placed.passed.max(i64::from(frames)) / LEAK;
        let ahead = ahead - ahead.clamp(-leak, leak);
        self.newest = Some(Newest { timestamp, position: placed.position, arrival, ahead, frames });
    }

    /// Begins a new epoch.
    pub fn reset(&mut self) {
        self.newest = None;
    }
}

/// Frames that pass between two moments; negative where the second is earlier.
pub fn frames_between(from: Micros, to: Micros, rate: u32) -> i64 {
    (i128::from(to.signed_since(from)) * i128::from(rate) / 1_000_000) as i64
}

/// How far timestamps and the arrival clock may part before a timestamp is a jump.
pub const SLACK: Duration = Duration::from_secs(10);

/// The reciprocal of how fast a difference between the clocks is forgotten.
const LEAK: i64 = 20;

/// Positions begin beyond what a timestamp can count back.
pub const ORIGIN: u64 = 1 << 32;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: u32 = 44_100;

    fn take(clock: &mut MediaClock, timestamp: u32, arrival: Micros) -> Placed {
        let placed = clock.place(timestamp, arrival);
        clock.advance(&placed, timestamp, 441, arrival);
        placed
    }

    #[test]
    fn positions_go_on_over_a_wrap_of_the_timestamp() {
        let mut clock = MediaClock::new(RATE);
        let first = take(&mut clock, u32::MAX - 440, Micros(0));
        let second = take(&mut clock, 0, Micros(10_000));
        assert_eq!(second.position.distance(first.position), 441);
        assert!(second.adjoins);
        assert_eq!(second.position.0 as u32, 0);
    }

    #[test]
    fn a_pause_longer_than_a_wrap_has_its_length() {
        let mut clock = MediaClock::new(RATE);
        let first = take(&mut clock, 7, Micros(0));
        let frames = 2 * 86_400 * u64::from(RATE);
        let second = take(&mut clock, frames as u32 + 7, Micros(2 * 86_400_000_000));
        assert_eq!(second.position.distance(first.position), frames as i64);
        assert!(clock.agrees(&second));
    }

    #[test]
    fn earlier_sound_has_an_earlier_place() {
        let mut clock = MediaClock::new(RATE);
        take(&mut clock, 0, Micros(0));
        let late = clock.place(u32::MAX - 440, Micros(10_000));
        assert_eq!(late.step, -441);
        assert_eq!(late.position, Position(ORIGIN - 441));
    }

    #[test]
    fn a_clock_of_300_ppm_is_followed_for_a_day() {
        let mut clock = MediaClock::new(RATE);
        for second in 0..86_400u64 {
            let timestamp = (second * u64::from(RATE) * 10_003 / 10_000) as u32;
            let placed = take(&mut clock, timestamp, Micros(second * 1_000_000));
            assert!(placed.ahead.abs() < 100, "{placed:?}");
        }
    }

    proptest! {
        /// Whatever agrees with the clock, or adjoins.
        #[test]
        fn lies_inflate_nothing(steps in prop::collection::vec((any::<u32>(), 0u32..1_000_000, 0u64..50_000), 1..400)) {
            let mut clock = MediaClock::new(RATE);
            let mut now = Micros(0);
            let first = take(&mut clock, 0, now);
            let (mut last, mut received, mut timestamp) = (first.position, 441i64, 0u32);
            for (jump, small, wait) in steps {
                now = now + Duration::from_micros(wait);
                let claim = if jump % 4 == 0 { 441 } else if jump % 4 == 1 { jump } else { small };
                let placed = clock.place(timestamp.wrapping_add(claim), now);
                if clock.agrees(&placed) || placed.adjoins {
                    timestamp = timestamp.wrapping_add(claim);
                    clock.advance(&placed, timestamp, 441, now);
                    received += 441;
                    last = last.max(placed.position);
                }
                let honest = received + frames_between(Micros(0), now, RATE);
                prop_assert!(last.distance(first.position) <= honest + honest / LEAK + clock.slack() + 1);
            }
        }
    }
}
