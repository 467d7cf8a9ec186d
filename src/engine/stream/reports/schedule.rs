//! When reports are due: RFC 3550 §6.2 and §6.3, and its appendix A.7.
//!
//! RTCP takes 5 % of the session's bandwidth. Of §6.2 we use what it allows to unicast sessions: the reduced minimum
//! (360 s divided by the bandwidth in kbit/s, where that is below 5 s), and a first report without delay. Ours besides:
//! the minimum is never below half a second.

use std::time::Duration;

use super::{Chance, HEADERS};
use crate::engine::time::Micros;

/// The timer of one participant.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Of RTCP, bytes a second.
    bandwidth: f64,
    /// Of the mean interval, seconds.
    minimum: f64,
    members: u32,
    /// Members when the next report was last put off or brought forward.
    members_then: u32,
    senders: u32,
    is_sender: bool,
    /// Mean length of a compound, IP and UDP included.
    average: f64,
    last: Micros,
    next: Micros,
    first: bool,
    /// The minimum is not reduced yet.
    held_back: bool,
}

impl Schedule {
    /// For a session of a sender and a receiver at `bits` a second, in which we are to report first at `now`.
    pub fn new(now: Micros, bits: f64, is_sender: bool) -> Self {
        let mut schedule = Self {
            bandwidth: 0.0,
            minimum: 0.0,
            members: 2,
            members_then: 2,
            senders: 1,
            is_sender,
            average: FIRST_SIZE,
            last: now,
            next: now,
            first: true,
            held_back: false,
        };
        schedule.set_bandwidth(bits);
        schedule
    }

    /// Keeps to the minimum of 5 s, after a first report, until [`release`](Self::release).
    #[must_use]
    pub fn held_back(mut self) -> Self {
        self.held_back = true;
        self.minimum = MOST;
        self
    }

    /// Whether it keeps to the minimum of 5 s.
    pub fn is_held_back(&self) -> bool {
        self.held_back
    }

    /// The minimum may be the reduced one; what is due comes sooner. Again is nothing.
    pub fn release(&mut self, chance: Chance<'_>) {
        if std::mem::replace(&mut self.held_back, false) {
            self.set_bandwidth(self.bandwidth * 8.0 / SHARE);
            if !self.first {
                self.next = self.next.min(self.last + self.interval(chance));
            }
        }
    }

    /// When to ask next.
    pub fn next(&self) -> Micros {
        self.next
    }

    /// Whether to report now: forward reconsideration (§6.3.3, `OnExpire` of A.7). Where it says so, [`sent`](Self::sent) is to
    /// follow, or [`put_off`](Self::put_off).
    pub fn expire(&mut self, now: Micros, chance: Chance<'_>) -> bool {
        if now < self.next {
            return false;
        }
        if self.first {
            return true;
        }
        let due = self.last + self.interval(chance);
        if due > now {
            self.members_then = self.members;
            self.next = due;
        }
        due <= now
    }

    /// We have sent a compound of so many bytes.
    pub fn sent(&mut self, bytes: usize, now: Micros, chance: Chance<'_>) {
        self.weigh(bytes);
        self.put_off(now, chance);
    }

    /// A report was due, and there was nothing to say.
    pub fn put_off(&mut self, now: Micros, chance: Chance<'_>) {
        self.first = false;
        self.members_then = self.members;
        self.last = now;
        self.next = now + self.interval(chance);
    }

    /// The next report comes now. For what cannot wait, and comes once.
    pub fn hasten(&mut self, now: Micros) {
        self.first = true;
        self.next = self.next.min(now);
    }

    /// A report was due, and has to wait a moment.
    pub fn retry(&mut self, now: Micros) {
        self.next = now + A_MOMENT;
    }

    /// Another has sent a compound of so many bytes.
    pub fn heard(&mut self, bytes: usize) {
        self.weigh(bytes);
    }

    /// The session's bandwidth is known better, in bits a second; the timer that runs is not touched.
    pub fn set_bandwidth(&mut self, bits: f64) {
        let bits = bits.max(1.0);
        self.bandwidth = bits / 8.0 * SHARE;
        let least = if self.held_back { MOST } else { LEAST };
        self.minimum = (REDUCED / (bits / 1000.0)).clamp(least, MOST);
    }

    /// There are so many participants by now, so many of them senders. When some have left, reports come sooner: reverse
    /// reconsideration (§6.3.4).
    pub fn set_members(&mut self, members: u32, senders: u32, now: Micros) {
        self.members = members.max(1);
        self.senders = senders;
        if self.members < self.members_then {
            let kept = f64::from(self.members) / f64::from(self.members_then);
            self.next = now + self.next.since(now).mul_f64(kept);
            self.last = now - now.since(self.last).mul_f64(kept);
            self.members_then = self.members;
        }
    }

    /// A random interval (§6.3.1).
    fn interval(&self, chance: Chance<'_>) -> Duration {
        let (mut members, mut bandwidth) = (f64::from(self.members), self.bandwidth);
        // Few senders among many get a quarter of it for themselves.
        if f64::from(self.senders) <= members * SENDERS_SHARE {
            if self.is_sender {
                bandwidth *= SENDERS_SHARE;
                members = f64::from(self.senders);
            } else {
                bandwidth *= 1.0 - SENDERS_SHARE;
                members -= f64::from(self.senders);
            }
        }
        let mean = (self.average * members / bandwidth).max(self.minimum);
        Duration::from_secs_f64(mean * (chance().clamp(0.0, 1.0) + 0.5) / COMPENSATION)
    }

    fn weigh(&mut self, bytes: usize) {
        let size = bytes as f64 + HEADERS as f64;
        self.average += (size - self.average) / 16.0;
    }
}

/// Of the session's bandwidth (§6.2).
const SHARE: f64 = 0.05;
/// Of RTCP's bandwidth, where few members send.
const SENDERS_SHARE: f64 = 0.25;
/// The minimum interval, seconds (§6.2).
const MOST: f64 = 5.0;
/// The reduced minimum: so many seconds, divided by the bandwidth in kbit/s.
const REDUCED: f64 = 360.0;
/// Ours: figures change no faster than people read them.
const LEAST: f64 = 0.5;
/// Until a report that had to wait is tried again.
const A_MOMENT: Duration = Duration::from_millis(100);
/// Reconsideration makes intervals longer on average: e - 3/2 (§6.3.1).
const COMPENSATION: f64 = std::f64::consts::E - 1.5;
/// The first guess of a compound's length: a report with one block, a name, voice metrics.
const FIRST_SIZE: f64 = 160.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const L16: f64 = 740_000.0;

    /// The times of the reports of a participant of 100 bytes each in the first `seconds`.
    fn reports(schedule: &mut Schedule, seconds: u64, chance: Chance<'_>) -> Vec<f64> {
        let mut times = Vec::new();
        let mut now = Micros(1_000_000);
        while now < Micros((1 + seconds) * 1_000_000) {
            now = now.max(schedule.next());
            if schedule.expire(now, chance) {
                times.push(now.0 as f64 / 1e6 - 1.0);
                schedule.sent(100, now, chance);
            }
        }
        times
    }

    /// A plain generator, so that no test hangs on luck.
    fn dice(mut seed: u64) -> impl FnMut() -> f64 {
        move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as f64 / f64::from(1u32 << 31)
        }
    }

    #[test]
    fn the_first_report_goes_at_once_and_the_next_within_the_second() {
        for is_sender in [false, true] {
            let times = reports(&mut Schedule::new(Micros(1_000_000), L16, is_sender), 60, &mut dice(1));
            assert!(times[0].abs() < 1e-9);
            assert!((0.2..0.7).contains(&times[1]), "{}", times[1]);
        }
    }

    #[test]
    fn reports_keep_the_mean_interval_of_the_rfc() {
        for (bits, mean) in [(L16, 0.5), (144_000.0, 2.5), (80_000.0, 4.5), (40_000.0, 5.0)] {
            let times = reports(&mut Schedule::new(Micros(1_000_000), bits, true), 3600, &mut dice(7));
            let found = times.last().unwrap() / (times.len() - 1) as f64;
            assert!((found / mean - 1.0).abs() < 0.1, "{bits}: {found} s, not {mean}");
            // RFC 3550 §6.3.1: from half to one and a half, compensated.
            let gaps = times.windows(2).map(|two| two[1] - two[0]);
            let (least, most) = gaps.fold((f64::MAX, 0.0f64), |(a, b), gap| (a.min(gap), b.max(gap)));
            assert!(
                least > mean * 0.5 / COMPENSATION - 1e-3 && most < mean * 1.5 / COMPENSATION * 1.01,
                "{least} {most}"
            );
        }
    }

    #[test]
    fn at_a_low_bandwidth_reports_take_five_per_cent() {
        // 100 bytes and 28 of headers from each of two, in 5 % of 4 kbit/s: 25 bytes a second.
        let mut schedule = Schedule::new(Micros(1_000_000), 4_000.0, true);
        let times = reports(&mut schedule, 36_000, &mut dice(3));
        let both = 2.0 * 128.0 * (times.len() as f64) / 36_000.0;
        assert!((0.8..1.1).contains(&(both / 25.0)), "{both} bytes a second");
    }

    #[test]
    fn when_members_leave_the_others_report_sooner() {
        let mut schedule = Schedule::new(Micros::ZERO, 4_000.0, false);
        schedule.set_members(40, 1, Micros::ZERO);
        assert!(schedule.expire(Micros::ZERO, &mut || 0.5));
        schedule.sent(100, Micros::ZERO, &mut || 0.5);
        let (now, due) = (Micros::ZERO + Duration::from_secs(1), schedule.next());
        schedule.set_members(10, 1, now);
        let left = due.since(now);
        assert_eq!(schedule.next(), now + left.mul_f64(0.25));
        assert_eq!(now.since(schedule.last), Duration::from_millis(250));
    }

    #[test]
    fn when_members_come_a_report_is_put_off() {
        let mut schedule = Schedule::new(Micros::ZERO, 4_000.0, false);
        assert!(schedule.expire(Micros::ZERO, &mut || 0.5));
        schedule.sent(100, Micros::ZERO, &mut || 0.5);
        let due = schedule.next();
        schedule.set_members(100, 1, due);
        assert!(!schedule.expire(due, &mut || 0.5));
        assert!(schedule.next() > due + due.since(Micros::ZERO) * 5);
    }

    #[test]
    fn a_few_senders_share_a_quarter_among_many() {
        let interval = |is_sender| {
            let mut schedule = Schedule::new(Micros::ZERO, 4_000.0, is_sender);
            schedule.set_members(40, 1, Micros::ZERO);
            schedule.interval(&mut || COMPENSATION - 0.5).as_secs_f64()
        };
        // 160 bytes in a quarter of 25 bytes a second; 39 times that in three quarters.
        assert!((interval(true) - 160.0 / 6.25).abs() < 1e-6, "{}", interval(true));
        assert!((interval(false) - 39.0 * 160.0 / 18.75).abs() < 1e-6, "{}", interval(false));
    }

    #[test]
    fn held_back_it_keeps_to_five_seconds_until_it_is_released() {
        let mut chance = dice(5);
        let mut schedule = Schedule::new(Micros(1_000_000), L16, false).held_back();
        schedule.set_bandwidth(2.0 * L16);
        let times = reports(&mut schedule, 60, &mut chance);
        assert!(times[0].abs() < 1e-9 && times.windows(2).all(|two| two[1] - two[0] > 2.0), "{times:?}");
        let last = schedule.last;
        schedule.release(&mut chance);
        assert!(schedule.next().since(last) < Duration::from_millis(700));
        let due = schedule.next();
        schedule.release(&mut chance);
        assert_eq!(schedule.next(), due);
    }

    proptest! {
        #[test]
        fn no_figures_make_it_report_without_end(bits in -1e12f64..1e12, sizes in prop::collection::vec(0usize..70_000, 0..20), seed: u64) {
            let mut chance = dice(seed);
            let mut schedule = Schedule::new(Micros(1_000_000), bits, false);
            for size in sizes {
                schedule.heard(size);
            }
            prop_assert!(reports(&mut schedule, 10, &mut chance).len() <= 51);
        }
    }
}
