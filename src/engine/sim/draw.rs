//! Chance by counting: each draw is a hash of what it is for, so that no draw ever moves another.
//!
//! Guaranteed: the same (seed, direction, kind, number) gives the same value on every machine; only integers and
//! IEEE additions, multiplications and divisions are used. Not guaranteed: any strength against an adversary.

use std::time::Duration;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From client to server.
    Up,
    /// From server to client.
    Down,
}

/// What a draw decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Whether a packet is lost.
    Loss,
    /// Whether the path turns from good to bad or back.
    Burst,
    /// A packet's extra delay.
    Jitter,
    /// Whether the path stalls.
    Spike,
    /// Whether a packet is held back.
    Reorder,
    /// Whether a packet is doubled.
    Duplicate,
    /// The copy's extra delay.
    CopyJitter,
    /// How late a simulated device calls.
    Device,
    /// For tests: sound, sizes, anything.
    Other,
}

/// A probability in parts per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(pub u32);

impl Share {
    /// Certainty.
    pub const ALL: Self = Self(1_000_000);

    /// From a percentage; `None` unless it is 0 to 100.
    pub fn percent(value: f64) -> Option<Self> {
        (0.0..=100.0).contains(&value).then(|| Self((value * 1e4).round() as u32))
    }

    /// As a fraction of one.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

/// One drawn value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw(pub u64);

impl Draw {
    /// The draw for packet `number`.
    pub fn new(seed: u64, direction: Direction, kind: Kind, number: u64) -> Self {
        let stream = mix(seed ^ SALT).wrapping_add((direction as u64) << 8 | kind as u64);
        Self(mix(mix(stream).wrapping_add(number.wrapping_mul(GOLDEN))))
    }

    /// True with probability `share`.
    pub fn happens(self, share: Share) -> bool {
        self.below(1_000_000) < u64::from(share.0)
    }

    /// True with probability `fraction`.
    pub fn within(self, fraction: f64) -> bool {
        self.unit() < fraction
    }

    /// Uniform in [0, 1).
    pub fn unit(self) -> f64 {
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform below `limit`; zero where the limit is zero.
    pub fn below(self, limit: u64) -> u64 {
        ((u128::from(self.0) * u128::from(limit)) >> 64) as u64
    }

    /// Exponentially distributed with this mean; at most 45 times the mean.
    pub fn exponential(self, mean: Duration) -> Duration {
        // -ln(u) = -log2(u) ln 2 in Q32, with u = m 2^-(zeros + 1) and m in [1, 2).
        let value = self.0 | 1;
        let zeros = value.leading_zeros();
        let minus_log2 = (u64::from(zeros + 1) << 32) - log2_q32(value << zeros);
        let nepers = (u128::from(minus_log2) * LN2_Q32) >> 32;
        Duration::from_micros(((mean.as_micros() * nepers) >> 32) as u64)
    }
}

/// `log2` of `m / 2^63`, which lies in [1, 2), with 20 bits after the point, in Q32.
fn log2_q32(mut m: u64) -> u64 {
    let mut result = 0;
    for bit in (12..32).rev() {
        let square = (u128::from(m) * u128::from(m)) >> 63;
        if square >> 64 != 0 {
            result |= 1 << bit;
            m = (square >> 1) as u64;
        } else {
            m = square as u64;
        }
    }
    result
}

/// The finaliser of Vigna's `SplitMix64` (Stafford's variant 13).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// 2^64 over the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
/// Keeps seed 0 away from the finaliser's fixed point.
const SALT: u64 = 0xA076_1D64_78BD_642F;
/// ln 2 in Q32.
const LN2_Q32: u128 = 2_977_044_472;

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(kind: Kind) -> impl Iterator<Item = Draw> {
        (0..100_000).map(move |n| Draw::new(7, Direction::Up, kind, n))
    }

    #[test]
    fn draws_are_uniform_and_streams_are_apart() {
        let mean = draws(Kind::Loss).map(Draw::unit).sum::<f64>() / 1e5;
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
        let (a, b): (Vec<_>, Vec<_>) = (draws(Kind::Loss).collect(), draws(Kind::Jitter).collect());
        let product: f64 = a.iter().zip(&b).map(|(x, y)| (x.unit() - 0.5) * (y.unit() - 0.5)).sum();
        assert!((product / 1e5 * 12.0).abs() < 0.02);
        let next: f64 = a.windows(2).map(|w| (w[0].unit() - 0.5) * (w[1].unit() - 0.5)).sum();
        assert!((next / 1e5 * 12.0).abs() < 0.02);
    }

    #[test]
    fn an_exponential_has_its_mean_and_its_tail() {
        let mean = Duration::from_millis(10);
        let all: Vec<f64> = draws(Kind::Jitter).map(|d| d.exponential(mean).as_secs_f64() * 1e3).collect();
        let average = all.iter().sum::<f64>() / 1e5;
        assert!((average - 10.0).abs() < 0.15, "{average}");
        let tail = all.iter().filter(|&&x| x > 30.0).count() as f64 / 1e5;
        assert!((tail - 0.0498).abs() < 0.003, "{tail}");
        assert!(Draw(0).exponential(mean) <= mean * 45);
        assert_eq!(Draw(u64::MAX).exponential(mean), Duration::ZERO);
    }

    #[test]
    fn a_draw_is_the_same_on_every_machine() {
        let d = Draw::new(1, Direction::Down, Kind::Spike, 42);
        assert_eq!(d, Draw::new(1, Direction::Down, Kind::Spike, 42));
        assert_eq!(format!("{:016x}", d.0), PINNED);
    }

    const PINNED: &str = "720f34481f5b9c73";
}
