//! A quick hash for the table of sources: looked into several times a packet.
//!
//! Guaranteed: keyed with what nobody else knows, so that nobody can choose addresses that fall together.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Makes hashers of one secret key.
#[derive(Clone, Copy, Debug)]
pub struct Secret {
    seed: u64,
    factor: u64,
}

/// Folded multiplication.
#[derive(Clone, Copy, Debug)]
pub struct Folded {
    state: u64,
    factor: u64,
}

impl Default for Secret {
    fn default() -> Self {
        let random = RandomState::new();
        Self { seed: random.hash_one(1), factor: random.hash_one(2) | 1 }
    }
}

impl BuildHasher for Secret {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        Folded { state: self.seed, factor: self.factor }
    }
}

impl Hasher for Folded {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.state ^ word) * u128::from(self.factor);
        // Rotated, so that a word that makes it zero once does not keep it there.
        self.state = (product as u64 ^ (product >> 64) as u64).rotate_left(23).wrapping_add(self.factor);
    }

    fn finish(&self) -> u64 {
        let product = u128::from(self.state) * u128::from(self.factor);
        product as u64 ^ (product >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn neighbours_are_spread_and_every_table_has_a_key_of_its_own() {
        let secret = Secret::default();
        let all: Vec<u64> = (0..10_000_u64).map(|n| secret.hash_one([n % 100, n / 100])).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        // hashbrown takes its seven bits from the top and its place from the bottom.
        for bits in [|h: u64| h >> 57, |h: u64| h & 127] {
            let mut counts = [0_u32; 128];
            for hash in &all {
                counts[bits(*hash) as usize] += 1;
            }
            assert!(counts.iter().all(|count| (20..200).contains(count)), "{counts:?}");
        }
        assert_ne!(secret.hash_one(7), Secret::default().hash_one(7));
    }
}
