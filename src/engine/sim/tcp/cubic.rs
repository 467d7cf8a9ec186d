//! CUBIC's growth (RFC 9438) in integers: a cubic of the time since the last loss, never slower than Reno would be.

use crate::engine::time::Micros;

/// What it remembers.
#[derive(Clone, Debug, Default)]
pub struct Cubic {
    /// The window at the last loss, where the curve is flat.
    plateau: u32,
    /// Since the growth after that loss began.
    epoch: Option<Epoch>,
    /// The shortest round trip, microseconds.
    shortest: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Epoch {
    start: Micros,
    /// The curve's middle.
    origin: u32,
    /// When it is reached, ms after the start.
    middle: u64,
    /// What Reno's window would be, and the acknowledged segments that have not made it grow yet.
    reno: u32,
    acked: u32,
    /// When and for which window the answer was worked out last, and the answer.
    last: Micros,
    window: u32,
    answer: u32,
}

impl Cubic {
    /// How many segments must be acknowledged for the window to grow by one.
    pub fn segments_for_one(&mut self, now: Micros, window: u32, acked: u32) -> u32 {
        let (plateau, shortest) = (self.plateau, self.shortest.unwrap_or(0));
        let fresh = self.epoch.is_none();
        let epoch = self.epoch.get_or_insert_with(|| Epoch {
            start: now,
            origin: plateau.max(window),
            middle: cube_root(u64::from(plateau.saturating_sub(window)) * MS_CUBED_PER_SEGMENT),
            reno: window,
            acked: 0,
            last: now,
            window: 0,
            answer: 0,
        });
        epoch.acked += acked;
        let elapsed = now.since(epoch.last).as_micros() as u64;
        if !fresh && epoch.window == window && elapsed <= PATIENCE {
            return epoch.answer;
        }
        if fresh || epoch.last != now || epoch.answer == 0 {
            (epoch.last, epoch.window) = (now, window);
            let time = (now.since(epoch.start).as_micros() as u64 + shortest) / 1000;
            let distance = u128::from(time.abs_diff(epoch.middle).min(1 << 24));
            let change = (distance * distance * distance / u128::from(MS_CUBED_PER_SEGMENT)) as u32;
            let target = if time < epoch.middle {
                epoch.origin.saturating_sub(change)
            } else {
                epoch.origin.saturating_add(change)
            };
            epoch.answer = if target > window { window / (target - window) } else { 100 * window };
            if plateau == 0 {
                epoch.answer = epoch.answer.min(FIRST_CLIMB);
            }
        }
        // 4.3: Reno's window grows by 3 (1 - beta) / (1 + beta) = 8 / 15 of a segment a round trip.
        let each = (window * 15 / 8).max(1);
        epoch.reno += epoch.acked / each;
        epoch.acked %= each;
        if epoch.reno > window {
            epoch.answer = epoch.answer.min(window / (epoch.reno - window));
        }
        epoch.answer = epoch.answer.max(2);
        epoch.answer
    }

    /// The threshold after a loss in a window of this size.
    pub fn after_loss(&mut self, window: u32) -> u32 {
        self.epoch = None;
        // 4.7: a flow that loses below its last plateau makes room for others.
        self.plateau = if window < self.plateau { window * (1024 + BETA) / 2048 } else { window };
        (window * BETA / 1024).max(2)
    }

    /// A round trip took so long; those right after a loss are not the path's.
    pub fn round_trip(&mut self, now: Micros, micros: u64) {
        if self.epoch.is_some_and(|epoch| now.since(epoch.start).as_secs() < 1) {
            return;
        }
        let micros = micros.max(1);
        self.shortest = Some(self.shortest.map_or(micros, |least| least.min(micros)));
    }

    /// Nothing was sent for a while: time that does not count.
    pub fn rested(&mut self) {
        self.epoch = None;
    }
}

fn cube_root(value: u64) -> u64 {
    let (mut low, mut high) = (0u64, 1 << 21);
    while low < high {
        let middle = u64::midpoint(low, high + 1);
        if middle * middle * middle <= value { low = middle } else { high = middle - 1 }
    }
    low
}

/// 1 / C, with C = 0.4 segments a second cubed.
const MS_CUBED_PER_SEGMENT: u64 = 2_500_000_000;
/// 0.7, in 1024ths.
const BETA: u32 = 717;
/// Until the first loss the window grows by 5 % a round trip at least.
const FIRST_CLIMB: u32 = 20;
/// An answer holds so long, microseconds, while the window is the same.
const PATIENCE: u64 = 31_250;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn cube_roots_are_whole() {
        for (value, root) in
            [(0, 0), (1, 1), (7, 1), (8, 2), (2_500_000_000, 1357), (u64::MAX >> 1, (1 << 21) - 1)]
        {
            assert_eq!(cube_root(value), root, "{value}");
        }
    }

    #[test]
    fn the_window_is_back_at_its_plateau_after_k_seconds() {
        // 100 segments, 300 ms: K = cbrt(100 * 0.3 / 0.4) = 4.2 s; Reno would need 56 round trips, 17 s.
        let mut cubic = Cubic::default();
        let (mut window, mut credit, mut now) = (cubic.after_loss(100), 0, Micros(0));
        assert_eq!(window, 70);
        let step = Duration::from_millis(300);
        while window < 98 {
            let round = window;
            for _ in 0..round {
                credit += 1;
                now = now + step / round;
                if credit >= cubic.segments_for_one(now, window, 1) {
                    (window, credit) = (window + 1, 0);
                }
            }
        }
        let seconds = now.0 as f64 / 1e6;
        assert!((2.0..4.5).contains(&seconds), "{seconds}");
    }
}
