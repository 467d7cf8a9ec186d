//! How long packets are under way, up to an unknown constant, and how long the fastest of the last two seconds were.
//!
//! Guaranteed: fixed memory; any positions and times are taken. A single packet that is seconds from where the others
//! are is not believed; a second one that agrees with it is, and what was known of the path's length is forgotten.

use std::time::Duration;

use crate::engine::stream::queue::Position;
use crate::engine::time::Micros;

/// A path's length, observed.
#[derive(Clone, Debug)]
pub struct Transit {
    rate: u32,
    /// A packet whose transit counts as zero.
    origin: Option<(Position, Micros)>,
    last: i64,
    /// A transit that nobody believes yet.
    suspect: Option<i64>,
    /// The fastest packets of the last eight quarters of a second in which any came, newest last.
    floors: [Floor; FLOORS],
    used: usize,
    /// How many of them are kept.
    most: usize,
    /// How fast the floor rises, in µs a µs; zero unless the sender's clock is wrong by percents.
    slope: f64,
}

/// What a packet's arrival tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Its transit in microseconds, from the origin's.
    Transit(i64),
    /// It is seconds away from the others: not believed, nothing changes.
    Unbelieved,
    /// So was the one before, and they agree: this is the new origin, its transit zero.
    Anew,
}

#[derive(Clone, Copy, Debug, Default)]
struct Floor {
    quarter: u64,
    transit: i64,
    at: Micros,
}

impl Transit {
    /// Of a stream of `rate` Hz, before its first packet.
    pub fn new(rate: u32) -> Self {
        Self {
            rate: rate.max(1),
            origin: None,
            last: 0,
            suspect: None,
            floors: [Floor::default(); FLOORS],
            used: 0,
            most: FLOORS,
            slope: 0.0,
        }
    }

    /// The same, forgetting what is older than a second.
    #[must_use]
    pub fn brief(self) -> Self {
        Self { most: FLOORS / 2, ..self }
    }

    /// A packet whose first frame is at `position` arrived.
    pub fn observe(&mut self, position: Position, arrival: Micros) -> Observed {
        let Some(transit) = self.of(position, arrival) else {
            self.begin(position, arrival);
            return Observed::Anew;
        };
        if transit.abs_diff(self.last) > JUMP {
            if self.suspect.is_some_and(|s| transit.abs_diff(s) < AGREE) {
                self.begin(position, arrival);
                return Observed::Anew;
            }
            self.suspect = Some(transit);
            return Observed::Unbelieved;
        }
        self.suspect = None;
        self.last = transit;
        self.note(transit, arrival);
        Observed::Transit(transit)
    }

    /// The transit that a packet with first frame `position` has (or would have) if it arrives at `arrival`; `None`
    /// before the first packet.
    pub fn of(&self, position: Position, arrival: Micros) -> Option<i64> {
        let (origin, at) = self.origin?;
        let frames = position.distance(origin);
        let media = match frames.checked_mul(1_000_000) {
            Some(us) => i128::from(us / i64::from(self.rate)),
            None => i128::from(frames) * 1_000_000 / i128::from(self.rate),
        };
        let transit = i128::from(arrival.signed_since(at)) - media;
        Some(transit.clamp(-FAR, FAR) as i64)
    }

    /// When a packet with first frame `position` arrives if it is as fast as the fastest; `None` before the first packet.
    pub fn earliest(&self, position: Position, now: Micros) -> Option<Micros> {
        let late = self.of(position, now)?.saturating_sub(self.floor(now));
        Some(Micros(now.0.saturating_add_signed(late.saturating_neg())))
    }

    /// The transit of the fastest packet of the last two seconds.
    pub fn floor(&self, now: Micros) -> i64 {
        let rise = |f: &Floor| (self.slope * now.since(f.at).min(LONGEST_RISE).as_micros() as f64) as i64;
        self.floors[..self.used].iter().map(|f| f.transit + rise(f)).min().unwrap_or(0)
    }

    /// The same, without the floor's rise: the fastest packet as it was.
    pub fn lowest(&self) -> i64 {
        self.floors[..self.used].iter().map(|f| f.transit).min().unwrap_or(0)
    }

    fn begin(&mut self, position: Position, arrival: Micros) {
        *self = Self { most: self.most, ..Self::new(self.rate) };
        self.origin = Some((position, arrival));
        self.note(0, arrival);
    }

    fn note(&mut self, transit: i64, arrival: Micros) {
        let quarter = arrival.0 / QUARTER;
        if let Some(newest) = self.floors[..self.used].last_mut()
            && quarter <= newest.quarter
        {
            if transit < newest.transit {
                (newest.transit, newest.at) = (transit, arrival);
            }
            return;
        }
        self.slope = self.steady_rise();
        if self.used == self.most {
            self.floors[..self.most].rotate_left(1);
            self.used -= 1;
        }
        self.floors[self.used] = Floor { quarter, transit, at: arrival };
        self.used += 1;
    }

    /// The rise from half second to half second over a second and a half without a break, where it is percents and even: a
    /// queue that fills rises, too, but not evenly for long.
    fn steady_rise(&self) -> f64 {
        let Some(last) = self.floors[..self.used].last_chunk::<SIX>() else { return 0.0 };
        if last[SIX - 1].quarter - last[0].quarter != SIX as u64 - 1 {
            return 0.0;
        }
        let half = |n: usize| last[2 * n].transit.min(last[2 * n + 1].transit);
        let (first, second) = (half(1).saturating_sub(half(0)), half(2).saturating_sub(half(1)));
        let (less, more) = (first.min(second), first.max(second));
        let steady = less > LEAST_RISE && more - less <= more / 4;
        if steady { (less as f64 / (2 * QUARTER) as f64).min(0.5) } else { 0.0 }
    }
}

/// Two seconds of quarters.
const FLOORS: usize = 8;
/// A second and a half.
const SIX: usize = 6;
const QUARTER: u64 = 250_000;
/// 2 % of half a second.
const LEAST_RISE: i64 = 10_000;
const LONGEST_RISE: Duration = Duration::from_micros(9 * QUARTER);
/// Further away than any delay that can be asked for, in microseconds.
const JUMP: u64 = 2_000_000;
/// Two packets of one stream are closer than this, in microseconds.
const AGREE: u64 = 500_000;
/// Transits are held within this, in microseconds (three years), so that their differences are exact.
const FAR: i128 = 100_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 48_000;

    fn packet(n: u64, late_us: u64) -> (Position, Micros) {
        (Position((1 << 32) + n * 480), Micros(1_000_000_000 + n * 10_000 + late_us))
    }

    #[test]
    fn the_floor_follows_a_shorter_path_at_once_and_a_longer_one_after_two_seconds() {
        let mut t = Transit::new(RATE);
        let mut floor = |n: u64, late: u64| {
            let (position, at) = packet(n, late);
            t.observe(position, at);
            t.floor(at)
        };
        assert_eq!(floor(0, 50_000), 0);
        assert_eq!(floor(1, 20_000), -30_000);
        for n in 2..100 {
            assert_eq!(floor(n, 80_000), -30_000);
        }
        let mut n = 100;
        while floor(n, 80_000) < 0 {
            n += 1;
        }
        assert!((175..=225).contains(&n), "{n}");
        assert_eq!(floor(n, 80_000), 30_000);
    }

    #[test]
    fn one_packet_far_away_is_not_believed_and_two_are() {
        let mut t = Transit::new(RATE);
        let (position, at) = packet(0, 0);
        assert_eq!(t.observe(position, at), Observed::Anew);
        assert_eq!(t.observe(Position(u64::MAX), at), Observed::Unbelieved);
        let (position, at) = packet(1, 3_000);
        assert_eq!(t.observe(position, at), Observed::Transit(3_000));
        assert_eq!(t.observe(position.plus(RATE as usize * 3600), at), Observed::Unbelieved);
        assert_eq!(t.observe(position.plus(RATE as usize * 3600 + 480), at), Observed::Anew);
        assert_eq!(t.floor(at), 0);
    }

    #[test]
    fn a_sender_wrong_by_percents_does_not_look_late() {
        let mut t = Transit::new(RATE);
        let mut worst = 0;
        for n in 0..3_000 {
            let (position, at) = packet(n, n * 1_000);
            let Observed::Transit(transit) = t.observe(position, at) else { continue };
            if n > 300 {
                worst = worst.max(transit - t.floor(at));
            }
        }
        assert!(worst < 5_000, "{worst}");
    }

    #[test]
    fn a_pause_does_not_make_the_path_forgotten() {
        let mut t = Transit::new(RATE);
        for n in 0..300 {
            let (position, at) = packet(n, 0);
            t.observe(position, at);
        }
        let (position, at) = packet(6_000, 40_000);
        assert_eq!(t.observe(position, at), Observed::Transit(40_000));
        assert_eq!(t.floor(at), 0);
        assert_eq!(t.earliest(position, at), Some(Micros(at.0 - 40_000)));
    }
}
