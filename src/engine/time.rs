//! Time as the engine counts it: integer microseconds of one monotonic clock.
//!
//! Pure rooms take a [`Micros`] as an argument and never ask a clock; the session and the network room
//! read the machine's clock with [`Clock`], the simulator invents its own.

use std::ops::{Add, Sub};
use std::time::{Duration, Instant};

/// A moment, in microseconds since an arbitrary start that all of a session shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub u64);

impl Micros {
    /// The start of time.
    pub const ZERO: Self = Self(0);

    /// How long after `earlier` this is; zero where it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The signed distance to `other` in microseconds (`self - other`).
    pub fn signed_since(self, other: Self) -> i64 {
        self.0.wrapping_sub(other.0) as i64
    }
}

impl Add<Duration> for Micros {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(rhs.as_micros() as u64))
    }
}

impl Sub<Duration> for Micros {
    type Output = Self;
    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(rhs.as_micros() as u64))
    }
}

/// The machine's monotonic clock as [`Micros`]; copies of one clock agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts an hour in, so that moments a little in the past can be written.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// The present moment.
    pub fn now(&self) -> Micros {
        Micros(HEAD_START + self.start.elapsed().as_micros() as u64)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// One hour in microseconds.
const HEAD_START: u64 = 3_600_000_000;
