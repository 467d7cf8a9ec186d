//! Whether a device keeps real time, by what it has handed over or asked for.
//!
//! Guaranteed: fixed memory, no clock of its own. A device that stood still and then makes up for it is no faster than
//! real time, whatever the length of the stall; nor is one whose clock is off by some per cent.

use std::time::Duration;

use crate::engine::time::Micros;

/// The pace of one device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    /// How far it may be ahead.
    bound: Duration,
    /// The most sound that it has moved at once, µs: nobody knows when in that time.
    largest: f64,
    /// When it was looked at last, and whether that was when it was opened.
    at: Micros,
    fresh: bool,
    /// How far it is ahead of the clock, µs, lately.
    ahead: f64,
    unpaced: bool,
}

impl Meter {
    /// Of a device that was opened at `now` and may be ahead of the clock by `bound`, and two of its blocks: what its buffers take at the start.
    pub(super) const fn new(bound: Duration, now: Micros) -> Self {
        Self { bound, largest: 0.0, at: now, fresh: true, ahead: 0.0, unpaced: false }
    }

    /// At `now` the device moves sound of this length. Returns how long it is to be held up: zero, unless it has shown to have
    /// no pace of its own.
    pub(super) fn pass(&mut self, now: Micros, length: Duration) -> Duration {
        let mut passed = now.since(self.at).as_micros() as f64;
        if std::mem::take(&mut self.fresh) {
            // It may have been started long after it was opened.
            passed = passed.min(FIRST_US);
        }
        self.at = now;
        self.largest = self.largest.max(length.as_micros() as f64);
        if !self.unpaced {
            self.ahead *= 1.0 - (passed / MEMORY_US).min(1.0);
        }
        self.ahead += length.as_micros() as f64 - passed;
        self.unpaced |= self.ahead > self.bound.as_micros() as f64 + 2.0 * self.largest;
        if self.unpaced && self.ahead > 0.0 {
            Duration::from_micros(self.ahead as u64).min(MOST_REST)
        } else {
            Duration::ZERO
        }
    }

    /// Whether the device has no pace of its own.
    pub(super) const fn is_unpaced(&self) -> bool {
        self.unpaced
    }
}

/// Sleeps in the callback of a device that has no pace of its own.
#[allow(clippy::disallowed_methods, reason = "nothing else can slow down who calls us without a pace")]
pub(super) fn rest(time: Duration) {
    if !time.is_zero() {
        std::thread::sleep(time);
    }
}

/// What a wrong clock adds up to is forgotten in this time, µs: 5 % makes 0.2 s.
const MEMORY_US: f64 = 4_000_000.0;
/// A first callback may come so late, µs, with what has waited meanwhile behind it.
const FIRST_US: f64 = 1_000_000.0;
/// Longer than this no callback is held up: a watchdog waits for the next.
const MOST_REST: Duration = Duration::from_millis(400);

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: Duration = Duration::from_millis(10);

    #[test]
    fn a_device_without_a_pace_is_held_to_real_time() {
        let mut meter = Meter::new(Duration::from_secs(1), Micros(5_000_000));
        let (start, mut now, mut moved) = (Micros(5_000_000), Micros(5_000_000), Duration::ZERO);
        while now.since(start) < Duration::from_secs(20) {
            now = now + Duration::from_micros(20) + meter.pass(now, BLOCK);
            moved += BLOCK;
        }
        assert!(meter.is_unpaced());
        let extra = moved.as_secs_f64() - now.since(start).as_secs_f64();
        assert!((0.0..0.02).contains(&extra), "{extra}");
    }

    #[test]
    fn a_first_callback_may_come_late_and_blocks_may_be_long() {
        for (late, length) in [(900, 10), (30_000, 600), (0, 600)] {
            let opened = Micros(5_000_000);
            let mut meter = Meter::new(Duration::from_millis(250), opened);
            let mut now = opened + Duration::from_millis(late);
            for _ in 0..=(late.min(900) / length) {
                assert_eq!(meter.pass(now, Duration::from_millis(length)), Duration::ZERO);
            }
            for early in [0, 300, 0, 300] {
                now = now + Duration::from_millis(length);
                let early = now - Duration::from_millis(early.min(length / 2));
                assert_eq!(meter.pass(early, Duration::from_millis(length)), Duration::ZERO);
            }
        }
    }

    #[test]
    fn stalls_bursts_and_wrong_clocks_are_no_missing_pace() {
        for pace in [0.5, 0.95, 0.9997, 1.0, 1.0003, 1.04] {
            for stall in [100, 900, 20_000] {
                let mut meter = Meter::new(Duration::from_millis(250), Micros(5_000_000));
                let mut now = Micros(5_000_000);
                for block in 0..6_000 {
                    now = now + BLOCK.div_f64(pace);
                    if block == 3_000 {
                        // All that was missed comes at once.
                        now = now + Duration::from_millis(stall);
                        for _ in 0..stall / 10 {
                            assert_eq!(meter.pass(now, BLOCK), Duration::ZERO, "{pace} {stall}");
                        }
                    }
                    assert_eq!(meter.pass(now, BLOCK), Duration::ZERO, "{pace} {stall} {block}");
                }
                assert!(!meter.is_unpaced());
            }
        }
    }
}
