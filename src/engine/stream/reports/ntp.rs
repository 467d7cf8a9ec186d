//! NTP time, as reports carry it (RFC 3550 §4).

use std::time::Duration;

use crate::engine::time::Micros;

/// Seconds since 1900 in units of 2⁻³² s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ntp(pub u64);

impl Ntp {
    /// From the time since 1970.
    pub fn from_unix(since: Duration) -> Self {
        let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
        Self((since.as_secs().wrapping_add(FROM_1900_TO_1970) << 32) | fraction)
    }

    /// The middle 32 bits: 1/65536 s, wrapping after 18 hours.
    pub const fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }

    /// The last time before this one that has these middle 32 bits.
    #[must_use]
    pub const fn before(self, middle: u32) -> Self {
        let since = self.middle().wrapping_sub(middle);
        Self((self.0 >> 16 << 16).wrapping_sub((since as u64) << 16))
    }

    /// Seconds since 1970; to about 0.2 µs.
    pub fn unix_seconds(self) -> f64 {
        (self.0 >> 32) as f64 - FROM_1900_TO_1970 as f64 + f64::from(self.0 as u32) / 4_294_967_296.0
    }

    /// The round-trip time that a report tells which came now: it names the time `last` of what it answers, and how
    /// long that had been there, both in 1/65536 s (§6.4.1). `None` where it answers nothing, or nonsense.
    pub fn round_trip(self, last: u32, delay: u32) -> Option<Duration> {
        if last == 0 {
            return None;
        }
        let passed = self.middle().wrapping_sub(last).wrapping_sub(delay) as i32;
        // Both ends round, and two cores' clocks differ by a little: a trip of no time may come out below it.
        (-SLACK..=LONGEST).contains(&passed).then(|| from_short(passed.max(0) as u32))
    }
}

/// The way from session time to NTP time: fixed, so that a stepped wall clock moves no round-trip time.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    /// Wall time less session time, µs.
    offset: i64,
}

impl WallClock {
    /// At `now` it is `unix` since 1970.
    pub fn new(now: Micros, unix: Duration) -> Self {
        Self { offset: unix.as_micros() as i64 - now.0 as i64 }
    }

    /// The NTP time of a moment of the session.
    pub fn at(&self, moment: Micros) -> Ntp {
        let unix = (moment.0 as i64).saturating_add(self.offset).max(0);
        Ntp::from_unix(Duration::from_micros(unix as u64))
    }
}

/// A duration in 1/65536 s, at most 18 hours.
pub fn short(duration: Duration) -> u32 {
    u32::try_from((duration.as_micros() << 16) / 1_000_000).unwrap_or(u32::MAX)
}

fn from_short(short: u32) -> Duration {
    Duration::from_nanos((u64::from(short) * 1_000_000_000) >> 16)
}

const FROM_1900_TO_1970: u64 = 2_208_988_800;
/// A millisecond, in 1/65536 s.
const SLACK: i32 = 66;
/// A minute, in 1/65536 s: no stream lives with more.
const LONGEST: i32 = 60 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_time_counts_from_1900() {
        let ntp = Ntp::from_unix(Duration::new(1_780_000_000, 500_000_000));
        assert_eq!(ntp.0 >> 32, 1_780_000_000 + FROM_1900_TO_1970);
        assert_eq!(ntp.0 as u32, 1 << 31);
        assert_eq!(ntp.middle() & 0xffff, 0x8000);
    }

    #[test]
    fn the_round_trip_is_what_the_rfc_draws() {
        // RFC 3550 figure 2.
        let arrival = Ntp(0xb710_8000 << 16);
        let trip = arrival.round_trip(0xb705_2000, 0x0005_4000).unwrap();
        assert_eq!(trip, Duration::from_millis(6125));
        assert_eq!(arrival.round_trip(0, 0), None);
        assert_eq!(arrival.round_trip(0xb710_8001, 0), Some(Duration::ZERO));
        assert_eq!(arrival.round_trip(0xb711_8000, 0), None);
        assert_eq!(arrival.round_trip(1, 0), None);
    }

    #[test]
    fn a_time_is_found_again_by_its_middle() {
        let arrival = Ntp::from_unix(Duration::new(1_780_000_000, 250_000_000));
        let sent = Ntp::from_unix(Duration::new(1_779_990_000, 500_000_000));
        assert!((arrival.before(sent.middle()).unix_seconds() - 1_779_990_000.5).abs() < 2e-5);
        assert!((arrival.unix_seconds() - 1_780_000_000.25).abs() < 1e-6);
        assert_eq!(arrival.before(arrival.middle()).0 >> 16, arrival.0 >> 16);
    }

    #[test]
    fn the_round_trip_survives_a_wrap_of_the_middle_bits() {
        let wall = WallClock::new(
            Micros::ZERO,
            Duration::from_secs(0xffff - FROM_1900_TO_1970 % 0x1_0000 + 0x1_0000),
        );
        let (sent, heard) = (Micros(900_000), Micros(1_200_000));
        assert!(wall.at(heard).middle() < wall.at(sent).middle());
        let trip =
            wall.at(heard).round_trip(wall.at(sent).middle(), short(Duration::from_millis(100))).unwrap();
        assert!(trip.abs_diff(Duration::from_millis(200)) < Duration::from_micros(50), "{trip:?}");
    }
}
