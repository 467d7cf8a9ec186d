//! Who we are in reports, and the chance and the wall clock that they need.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::time::Duration;

use crate::engine::stream::reports::{Party, WallClock};
use crate::engine::time::Clock;

/// Who `ssrc` is: one canonical name for the whole process, random and so nobody's address (RFC 7022 §4.2).
pub fn party(ssrc: u32, name: Option<String>) -> Party {
    static CNAME: OnceLock<String> = OnceLock::new();
    Party { ssrc, cname: CNAME.get_or_init(random_name).clone(), name }
}

/// A wall clock for session time, as the machine's shows now: read between two looks at the session's clock, and several times,
/// for another thread may run between them. So two processes of one machine agree to a few microseconds.
#[allow(clippy::disallowed_methods, reason = "reports carry wall-clock time")]
pub fn wall_clock(clock: Clock) -> WallClock {
    let read = || {
        let before = clock.now();
        let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        (clock.now().since(before), before, unix.unwrap_or(Duration::ZERO))
    };
    let (took, before, unix) = (0..READINGS).map(|_| read()).min().unwrap_or_else(read);
    WallClock::new(before + took / 2, unix)
}

/// Random numbers for timers: not secret, only not the same everywhere.
pub struct Dice(u64);

impl Dice {
    /// Thrown differently each time.
    pub fn new() -> Self {
        Self(random_bits())
    }

    /// From 0 to 1.
    pub fn chance(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// 64 bits (Steele, Lea, Flood: `SplitMix`).
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The system seeds this, and does it anew for each.
fn random_bits() -> u64 {
    RandomState::new().hash_one(0u8)
}

/// 96 random bits in 16 letters.
fn random_name() -> String {
    let bits = u128::from(random_bits()) << 64 | u128::from(random_bits());
    (0..16).map(|n| char::from(LETTERS[(bits >> (6 * n)) as usize & 63])).collect()
}

const READINGS: usize = 5;
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_name_is_random_and_stays() {
        let (one, other) = (party(1, None), party(2, Some("Ada".into())));
        assert_eq!(one.cname, other.cname);
        assert_eq!(one.cname.len(), 16);
        assert_ne!(random_name(), random_name());
    }

    #[test]
    fn dice_fall_everywhere_between_zero_and_one() {
        let mut dice = Dice::new();
        let mut found = [0; 10];
        for _ in 0..10_000 {
            found[(dice.chance() * 10.0) as usize] += 1;
        }
        assert!(found.iter().all(|count| *count > 800), "{found:?}");
    }
}
