//! How the sources of a recording share the queue to the disk: where the disk is slow, who sends more than others is refused first. Pure.

use std::collections::HashMap;

/// What each source has queued since the queue was empty.
#[derive(Default)]
pub struct Shares {
    samples: HashMap<u32, u64>,
    sum: u64,
}

impl Shares {
    /// Whether `source` may queue so many samples more, where `free` of the `all` samples that the queue holds are free. In the first half
    /// of it everybody may; in the second, who has not queued more than half again the mean.
    pub fn admit(&mut self, source: u32, samples: usize, free: usize, all: usize) -> bool {
        if free >= all {
            self.samples.clear();
            self.sum = 0;
        }
        let sources = self.samples.len() as u64 + u64::from(!self.samples.contains_key(&source));
        let own = self.samples.entry(source).or_default();
        let admitted = free >= all / 2 || *own * sources * 2 <= self.sum * 3;
        if admitted {
            *own += samples as u64;
            self.sum += samples as u64;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_fills_half_of_a_queue_that_nobody_reads_and_the_others_have_the_rest() {
        let mut shares = Shares::default();
        let (all, mut free) = (1_000, 1_000);
        let mut taken = [0; 3];
        for _ in 0..1_000 {
            for (source, packets) in [(0u32, 50), (1, 1), (2, 1)] {
                for _ in 0..packets {
                    if free > 0 && shares.admit(source, 1, free, all) {
                        taken[source as usize] += 1;
                        free -= 1;
                    }
                }
            }
        }
        assert_eq!(taken.iter().sum::<i32>(), 1_000);
        assert!(taken[1] >= 240 && taken[2] >= 240, "{taken:?}");
    }

    #[test]
    fn one_alone_may_have_all() {
        let mut shares = Shares::default();
        assert!((0..100).all(|n| shares.admit(7, 1, 100 - n, 100)));
    }
}
