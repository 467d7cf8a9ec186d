//! How long a round trip takes, and how long to wait for one: RFC 6298 as Linux has it.
//!
//! Linux bounds not the timeout but its variance: it is never below 200 ms, so that the timeout is the round trip and
//! 200 ms at least. The variance rises at once and falls once a round trip.

use std::time::Duration;

/// The estimates, microseconds.
#[derive(Clone, Debug)]
pub struct Rtt {
    /// Eight times the smoothed round trip; 0 before the first sample.
    smooth: i64,
    /// Four times the mean deviation, and its largest in this round trip.
    deviation: i64,
    largest: i64,
    /// What is added to the round trip.
    margin: i64,
    /// Where this round trip ends.
    round: u64,
    least: Option<u64>,
    back_off: u32,
}

impl Rtt {
    /// Before the first sample.
    pub fn new() -> Self {
        Self { smooth: 0, deviation: 0, largest: 0, margin: 0, round: 0, least: None, back_off: 0 }
    }

    /// Takes a sample; `una` and `nxt` bound what is under way. The back-off ends.
    pub fn sample(&mut self, sample: Duration, una: u64, nxt: u64) {
        let sample = (sample.as_micros() as i64).max(1);
        self.back_off = 0;
        if self.smooth == 0 {
            self.smooth = sample * 8;
            self.deviation = sample * 2;
            self.margin = self.deviation.max(LEAST_MARGIN);
            self.largest = self.margin;
            self.round = nxt;
            return;
        }
        let error = sample - self.smooth / 8;
        self.smooth += error;
        let mut change = error.abs() - self.deviation / 4;
        // A round trip that has become shorter says little about the next: an eighth of the weight.
        if error < 0 && change > 0 {
            change /= 8;
        }
        self.deviation += change;
        self.largest = self.largest.max(self.deviation);
        self.margin = self.margin.max(self.largest);
        if una > self.round {
            if self.largest < self.margin {
                self.margin -= (self.margin - self.largest) / 4;
            }
            self.round = nxt;
            self.largest = LEAST_MARGIN;
        }
    }

    /// Remembers the shortest round trip.
    pub fn shortest(&mut self, sample: Duration) {
        let sample = (sample.as_micros() as u64).max(1);
        self.least = Some(self.least.map_or(sample, |least| least.min(sample)));
    }

    /// The shortest round trip seen.
    pub fn least(&self) -> Option<Duration> {
        self.least.map(Duration::from_micros)
    }

    /// The smoothed round trip, once there was a sample.
    pub fn smooth(&self) -> Option<Duration> {
        (self.smooth > 0).then(|| Duration::from_micros(self.smooth as u64 / 8))
    }

    /// The retransmission timeout, doubled for each that has passed in vain.
    pub fn timeout(&self) -> Duration {
        let once = self.smooth().map_or(INITIAL, |rtt| rtt + Duration::from_micros(self.margin as u64));
        once.saturating_mul(1 << self.back_off.min(16)).min(LONGEST)
    }

    /// A timeout has passed in vain.
    pub fn back_off(&mut self) {
        self.back_off += 1;
    }
}

/// Linux' `TCP_RTO_MIN`, as a margin.
const LEAST_MARGIN: i64 = 200_000;
/// Before the first sample (RFC 6298, 2.1).
pub const INITIAL: Duration = Duration::from_secs(1);
/// Linux' `TCP_RTO_MAX`.
const LONGEST: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_round_trip_waits_200_ms_longer_and_doubles() {
        let mut rtt = Rtt::new();
        assert_eq!(rtt.timeout(), INITIAL);
        for n in 0..100 {
            rtt.sample(Duration::from_millis(80), n, n + 8);
        }
        assert_eq!(rtt.timeout(), Duration::from_millis(280));
        rtt.back_off();
        rtt.back_off();
        assert_eq!(rtt.timeout(), Duration::from_millis(1120));
        rtt.sample(Duration::from_millis(80), 101, 110);
        assert_eq!(rtt.timeout(), Duration::from_millis(280));
    }
}
