//! The kernel's receive times, brought from the wall clock to the session's clock.
//!
//! On Linux both clocks run at the same rate, slewed together (`clock_gettime(2)`): what lies between them changes only when the wall clock is
//! stepped. So the offset is measured once and held, which keeps the distance of two packets exact to the microsecond,
//! and measured anew only to notice steps.

use std::time::UNIX_EPOCH;

use crate::engine::time::{Clock, Micros};

/// The way from wall-clock time to the session's.
#[derive(Debug)]
pub struct Stamps {
    clock: Clock,
    /// Session time minus wall-clock time, in nanoseconds.
    offset: i64,
    /// The one before the last step: packets that came before the step are read after it.
    previous: i64,
    /// No packet yet to be read came before this.
    floor: Micros,
}

impl Stamps {
    /// Measures the offset.
    pub fn new(clock: Clock) -> Self {
        let offset = Reading::best(&clock, 8).offset();
        Self { clock, offset, previous: offset, floor: Micros::ZERO }
    }

    /// Looks whether the wall clock has been stepped: once a batch is often enough.
    pub fn check(&mut self) {
        let one = Reading::take(&self.clock);
        if !one.agrees_with(self.offset) {
            // Perhaps only a pause between two readings.
            let best = Reading::best(&self.clock, 8);
            self.revise(best);
        }
    }

    fn revise(&mut self, reading: Reading) {
        if !reading.agrees_with(self.offset) {
            self.previous = self.offset;
            self.offset = reading.offset();
        }
    }

    /// Says that at `when`, just now, no packet was waiting: those to come are younger, and younger than any step.
    pub fn none_waits(&mut self, when: Micros) {
        self.floor = self.floor.max(when);
        self.previous = self.offset;
    }

    /// When a packet came that the kernel stamped with `wall` nanoseconds since 1970 and that was read just before
    /// `now`. Never after `now`; `now` itself where the stamp cannot be right.
    pub fn arrival(&mut self, wall: i64, now: Micros) -> Micros {
        let earliest = self.floor.0.saturating_sub(SLACK) as i64;
        let latest = now.0.saturating_add(TOLERANCE_NS as u64 / 1000) as i64;
        // Packets are read soon: of two possible times the later is right, on whichever side of a step it came.
        let at = [self.offset, self.previous]
            .into_iter()
            .map(|offset| wall.saturating_add(offset).div_euclid(1000))
            .filter(|at| (earliest..=latest).contains(at))
            .max()
            .map_or(now, |at| Micros(at as u64).min(now));
        self.floor = self.floor.max(at);
        at
    }
}

/// One look at both clocks.
#[derive(Clone, Copy, Debug)]
struct Reading {
    before: Micros,
    /// Nanoseconds since 1970.
    wall: i64,
    after: Micros,
}

impl Reading {
    #[allow(clippy::disallowed_methods, reason = "the kernel's receive times are in wall-clock time")]
    fn take(clock: &Clock) -> Self {
        let before = clock.now();
        let wall = std::time::SystemTime::now();
        let after = clock.now();
        let wall = wall.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64);
        Self { before, wall, after }
    }

    /// The one of `tries` that took least time.
    fn best(clock: &Clock, tries: usize) -> Self {
        let mut best = Self::take(clock);
        for _ in 1..tries {
            let next = Self::take(clock);
            if next.width() < best.width() {
                best = next;
            }
        }
        best
    }

    /// Nanoseconds between the two looks at the session's clock.
    fn width(&self) -> i64 {
        self.after.signed_since(self.before) * 1000
    }

    fn offset(&self) -> i64 {
        self.before.0 as i64 * 1000 + self.width() / 2 - self.wall
    }

    fn agrees_with(&self, offset: i64) -> bool {
        (self.offset() - offset).abs() <= TOLERANCE_NS + self.width()
    }
}

/// Differences up to this are the measurement's own (the session's clock counts whole microseconds).
const TOLERANCE_NS: i64 = 20_000;

/// How far, in microseconds, the stamps of packets in one queue may run against their order: interrupts on two
/// processors.
const SLACK: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026, in nanoseconds since 1970.
    const WALL: i64 = 1_780_000_000_000_000_000;
    const HOUR: i64 = 3_600_000_000_000;

    /// Stamps whose session time is a second in when the wall clock shows `WALL`.
    fn stamps() -> Stamps {
        let offset = 1_000_000_000 - WALL;
        Stamps { clock: Clock::new(), offset, previous: offset, floor: Micros::ZERO }
    }

    fn reading(session_us: u64, wall: i64) -> Reading {
        Reading { before: Micros(session_us), wall, after: Micros(session_us) }
    }

    #[test]
    fn distances_are_exact_to_the_microsecond() {
        let mut stamps = stamps();
        for i in 0..1000_i64 {
            let now = Micros(1_000_000 + i as u64 * 10_007 + 50);
            stamps.revise(reading(now.0, WALL + (now.0 as i64 - 1_000_000) * 1000 + i % 900));
            assert_eq!(stamps.arrival(WALL + i * 10_007_000, now), Micros(1_000_000 + i as u64 * 10_007));
        }
    }

    #[test]
    fn a_stepped_wall_clock_does_no_lasting_harm() {
        for step in [HOUR, -HOUR, 50_000_000, -50_000_000] {
            let mut stamps = stamps();
            assert_eq!(stamps.arrival(WALL, Micros(1_000_100)), Micros(1_000_000));
            // A packet of 1.19 s, read at 1.2 s; the step came between.
            stamps.revise(reading(1_200_000, WALL + 200_000_000 + step));
            assert_eq!(
                stamps.arrival(WALL + 190_000_000, Micros(1_200_000)),
                Micros(1_190_000),
                "step {step}"
            );
            // And those that came after it, read late or not.
            let later = WALL + 300_000_000 + step;
            assert_eq!(stamps.arrival(later, Micros(1_300_050)), Micros(1_300_000), "step {step}");
            stamps.none_waits(Micros(1_300_060));
            assert_eq!(
                stamps.arrival(later + 100_000_000, Micros(1_900_000)),
                Micros(1_400_000),
                "step {step}"
            );
        }
    }

    #[test]
    fn an_impossible_stamp_is_replaced_by_the_time_of_reading() {
        let mut stamps = stamps();
        let now = Micros(2_000_000);
        stamps.none_waits(Micros(1_900_000));
        for wall in [WALL + HOUR, WALL, WALL - HOUR, 0, i64::MAX, i64::MIN] {
            assert_eq!(stamps.arrival(wall, now), now);
        }
    }

    #[test]
    fn the_real_clocks_agree_with_themselves() {
        let mut stamps = Stamps::new(Clock::new());
        let held = stamps.offset;
        for _ in 0..1000 {
            stamps.check();
        }
        assert_eq!(stamps.offset, held);
    }
}
