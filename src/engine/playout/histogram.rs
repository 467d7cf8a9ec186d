//! A histogram of delays that forgets: what came lately counts most.
//!
//! Guaranteed: fixed memory; adding and the quantile cost a few operations, whatever came before. Weights grow instead of
//! the past being shrunk, so that forgetting costs nothing until the numbers grow large.

use std::time::Duration;

use crate::engine::ahead;

/// Delays by bucket: 1 ms wide to 40 ms, 5 ms to 300 ms, 20 ms to 2 s; the last one holds all that is longer.
#[derive(Clone, Debug)]
pub struct Histogram {
    mass: Box<[f64; BUCKETS]>,
    total: f64,
    /// The bucket in which the quantile lies.
    index: usize,
    /// What lies above it.
    tail: f64,
    /// What may lie above it, as a fraction of all.
    share: f64,
}

/// A bucket's number, 0 for the shortest delays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket(pub u16);

/// One bucket, for plotting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// Delays below this and not below the bar before.
    pub below: Duration,
    /// Their share of all.
    pub share: f64,
}

impl Histogram {
    /// An empty one, to be asked for the delay that only `share` of all are longer than.
    pub fn new(share: f64) -> Self {
        Self { mass: Box::new([0.0; BUCKETS]), total: 0.0, index: 0, tail: 0.0, share }
    }

    /// Has the processor fetch the quantile's surroundings.
    pub fn fetch(&self) {
        ahead::fetch(&self.mass[self.index]);
    }

    /// Adds a delay of this weight.
    pub fn add(&mut self, at: Bucket, weight: f64) {
        self.put(at, weight);
        self.total += weight;
        self.settle();
    }

    /// Files a delay elsewhere that was added with this weight.
    pub fn refile(&mut self, from: Bucket, to: Bucket, weight: f64) {
        self.put(from, -weight);
        self.put(to, weight);
        self.settle();
    }

    /// Takes back some of the weight that a delay was added with.
    pub fn remove(&mut self, at: Bucket, weight: f64) {
        self.add(at, -weight);
    }

    /// The bucket of the quantile. It rises as soon as more than the share lies above, and falls when clearly less
    /// would: between the two it stays, so that the target does not flicker.
    pub fn quantile(&self) -> Bucket {
        Bucket(self.index as u16)
    }

    /// The sum of all weights.
    pub fn total(&self) -> f64 {
        self.total
    }

    /// Where raising the delay by one millisecond is no longer worth the packets it saves, from `least` up: the
    /// minimum of delay + `ms_per_percent` × (percent of `total` above).
    pub fn best(&self, least: Bucket, total: f64, ms_per_percent: f64) -> Bucket {
        let (mut best, mut best_cost) = (least, f64::INFINITY);
        let mut above = 0.0;
        for index in (usize::from(least.0)..BUCKETS).rev() {
            let cost =
                Bucket(index as u16).upper().as_secs_f64() * 1e3 + ms_per_percent * 100.0 * above / total;
            if cost <= best_cost {
                (best, best_cost) = (Bucket(index as u16), cost);
            }
            above += self.mass[index].max(0.0);
        }
        best
    }

    /// Multiplies all weights.
    pub fn scale(&mut self, factor: f64) {
        for mass in self.mass.iter_mut() {
            *mass = (*mass * factor).max(0.0);
        }
        // The sums are made anew, so that rounding never gathers.
        self.total = self.mass.iter().sum();
        self.tail = self.mass[self.index + 1..].iter().sum();
        self.settle();
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.mass.fill(0.0);
        (self.total, self.tail, self.index) = (0.0, 0.0, 0);
    }

    /// All buckets, shortest first.
    pub fn bars(&self) -> impl Iterator<Item = Bar> + '_ {
        let total = if self.total > 0.0 { self.total } else { 1.0 };
        self.mass.iter().enumerate().map(move |(index, &mass)| Bar {
            below: Bucket(index as u16).upper(),
            share: mass.max(0.0) / total,
        })
    }

    fn put(&mut self, at: Bucket, weight: f64) {
        let index = usize::from(at.0).min(BUCKETS - 1);
        self.mass[index] += weight;
        if index > self.index {
            self.tail += weight;
        }
    }

    fn settle(&mut self) {
        let allowed = self.share * self.total;
        while self.tail > allowed && self.index < BUCKETS - 1 {
            self.index += 1;
            self.tail -= self.mass[self.index];
        }
        while self.index > 0 && self.tail + self.mass[self.index] <= allowed * FALL {
            self.tail += self.mass[self.index];
            self.index -= 1;
        }
    }
}

impl Bucket {
    /// Where a delay belongs.
    pub fn of(delay: Duration) -> Self {
        let us = delay.as_micros().min(u128::from(u32::MAX)) as u32;
        let index = if us < FINE_END {
            us / FINE
        } else if us < MIDDLE_END {
            FINE_END / FINE + (us - FINE_END) / MIDDLE
        } else {
            FINE_END / FINE + (MIDDLE_END - FINE_END) / MIDDLE + (us - MIDDLE_END) / COARSE
        };
        Self(index.min(BUCKETS as u32 - 1) as u16)
    }

    /// The delay that is longer than all in the bucket.
    pub fn upper(self) -> Duration {
        let (next, fine) = (u32::from(self.0) + 1, FINE_END / FINE);
        let middle = fine + (MIDDLE_END - FINE_END) / MIDDLE;
        let us = if next <= fine {
            next * FINE
        } else if next <= middle {
            FINE_END + (next - fine) * MIDDLE
        } else {
            MIDDLE_END + (next - middle) * COARSE
        };
        Duration::from_micros(u64::from(us))
    }
}

/// The quantile falls when no more than this part of its share would lie above.
const FALL: f64 = 0.8;
const FINE: u32 = 1_000;
const FINE_END: u32 = 40_000;
const MIDDLE: u32 = 5_000;
const MIDDLE_END: u32 = 300_000;
const COARSE: u32 = 20_000;
const END: u32 = 2_000_000;
/// How many buckets there are.
pub const BUCKETS: usize =
    (FINE_END / FINE + (MIDDLE_END - FINE_END) / MIDDLE + (END - MIDDLE_END) / COARSE) as usize;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(value: f64) -> Duration {
        Duration::from_secs_f64(value / 1e3)
    }

    #[test]
    fn every_delay_lies_below_its_buckets_edge_and_not_below_the_one_before() {
        for us in (0..2_000_000).step_by(137) {
            let delay = Duration::from_micros(us);
            let bucket = Bucket::of(delay);
            assert!(delay < bucket.upper());
            assert!(bucket.0 == 0 || delay >= Bucket(bucket.0 - 1).upper());
        }
        assert_eq!(Bucket::of(Duration::MAX).upper(), ms(2000.0));
        assert_eq!(usize::from(Bucket::of(Duration::MAX).0), BUCKETS - 1);
    }

    #[test]
    fn a_concentrated_tail_is_worth_its_delay_and_a_thin_one_is_not() {
        let mut h = Histogram::new(0.01);
        h.add(Bucket::of(ms(25.2)), 0.02);
        assert_eq!(h.best(Bucket(0), 1.0, 20.0), Bucket::of(ms(25.2)));
        h.clear();
        h.add(Bucket::of(ms(25.2)), 0.005);
        assert_eq!(h.best(Bucket(0), 1.0, 20.0), Bucket(0));
    }

    proptest! {
        /// The running quantile against a plain count, after any additions, movings and scalings.
        #[test]
        fn the_quantile_leaves_its_share_above(
            steps in prop::collection::vec((0u64..2_500_000, 0u64..2_500_000, 0u8..8), 1..300)
        ) {
            let mut h = Histogram::new(0.01);
            let (mut all, mut weight) = (Vec::new(), 1.0);
            for (us, other, what) in steps {
                let (mut at, to) = (Bucket::of(Duration::from_micros(us)), Bucket::of(Duration::from_micros(other)));
                weight *= 1.01;
                h.add(at, weight);
                if what == 0 {
                    h.refile(at, to, weight);
                    at = to;
                }
                all.push((at, weight));
                if what == 2 {
                    h.remove(at, weight / 2.0);
                    all.pop();
                    all.push((at, weight / 2.0));
                }
                if what == 1 {
                    h.scale(0.5);
                    weight *= 0.5;
                    for (_, w) in &mut all { *w *= 0.5; }
                }
                let total: f64 = all.iter().map(|a| a.1).sum();
                let above = |b: Bucket| all.iter().filter(|a| a.0 > b).map(|a| a.1).sum::<f64>();
                let q = h.quantile();
                prop_assert!(above(q) <= 0.01 * total + 1e-9 * total);
                prop_assert!(q.0 == 0 || above(Bucket(q.0 - 1)) >= 0.008 * total - 1e-9 * total);
            }
        }
    }
}
