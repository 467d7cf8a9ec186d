//! Repeats the last pitch period: the cheapest concealment that is better than silence.
//!
//! As in ITU-T G.711 Appendix I the period is the lag at which the past is most like itself; unlike there nothing
//! already heard is changed: the step at each seam is faded out instead.

use super::kernel::Kernel;

/// Finds periods and repeats them.
pub struct Repetition {
    kernel: Kernel,
    decimation: usize,
    shortest: usize,
    longest: usize,
    window: usize,
    line: Box<[f64]>,
    likeness: Box<[f64]>,
}

impl Repetition {
    /// For sound at `rate` Hz, looking back up to `context` samples.
    pub fn new(kernel: Kernel, rate: u32, context: usize) -> Self {
        let decimation = (rate / SEARCH_RATE).max(1) as usize;
        let frames = |micros: usize| (rate as usize / decimation * micros / 1_000_000).max(1);
        Self {
            kernel,
            decimation,
            shortest: frames(SHORTEST_PERIOD_US),
            longest: frames(LONGEST_PERIOD_US),
            window: frames(WINDOW_US),
            line: vec![0.0; context / decimation + 1].into(),
            likeness: vec![0.0; frames(LONGEST_PERIOD_US) + 1].into(),
        }
    }

    /// The pitch period at the end of `past` in samples, the longest that fits where
    /// nothing repeats. Zero where `past` is too short.
    pub fn period(&mut self, past: &[f32]) -> usize {
        let len = (past.len() / self.decimation).min(self.line.len());
        let window = self.window.min(len / 2);
        if window < self.shortest {
            return 0;
        }
        let used = &past[past.len() - len * self.decimation..];
        for (x, chunk) in self.line.iter_mut().zip(used.chunks_exact(self.decimation)) {
            *x = chunk.iter().map(|&s| f64::from(s)).sum();
        }
        let line = &self.line[..len];
        let recent = &line[len - window..];
        let longest = self.longest.min(len - window);
        let mut best = 0.0f64;
        for (lag, likeness) in self.likeness.iter_mut().enumerate().take(longest + 1).skip(self.shortest) {
            let before = &line[len - window - lag..len - lag];
            let (alike, power) = self.kernel.dot_pair(recent, before, before);
            *likeness = alike.max(0.0) * alike / (power + f64::MIN_POSITIVE);
            best = best.max(*likeness);
        }
        // Multiples of the true period fit as well: the shortest peak that comes near the best is taken.
        let likeness = &self.likeness[..=longest];
        let coarse = (self.shortest + 1..longest)
            .find(|&lag| {
                let here = likeness[lag];
                here > NEARLY * best && here >= likeness[lag - 1] && here >= likeness[lag + 1]
            })
            .unwrap_or(longest);
        self.refine(past, coarse * self.decimation)
    }

    /// The lag within one decimated sample of `coarse` at which the last quarter of a window differs least.
    fn refine(&self, past: &[f32], coarse: usize) -> usize {
        let window = self.window * self.decimation / 4;
        let recent = &past[past.len() - window..];
        let difference = |lag: usize| -> f32 {
            let before = &past[past.len() - window - lag..past.len() - lag];
            recent.iter().zip(before).map(|(a, b)| (a - b) * (a - b)).sum()
        };
        let last = (coarse + self.decimation).min(past.len() - window);
        (coarse - self.decimation..=last)
            .min_by(|&a, &b| difference(a).total_cmp(&difference(b)))
            .unwrap_or(coarse)
    }
}

/// Continues `past` by repeating its last `period` samples; sample `n` from the edge.
pub fn repeated(past: &[f32], period: usize, n: usize) -> f32 {
    let Some(period) = usable(past, period) else { return 0.0 };
    let phase = n % period;
    let seam = past[past.len() - 1] - past[past.len() - 1 - period];
    past[past.len() - period + phase] + seam * ramp(phase, period)
}

/// Continues `future` backwards by repeating its first `period` samples; sample `n` before the edge, counted from 0.
pub fn repeated_backwards(future: &[f32], period: usize, n: usize) -> f32 {
    let Some(period) = usable(future, period) else { return 0.0 };
    let phase = n % period;
    let seam = future[0] - future[period];
    future[period - 1 - phase] + seam * ramp(phase, period)
}

fn usable(sound: &[f32], period: usize) -> Option<usize> {
    Some(period.min(sound.len().checked_sub(1)?)).filter(|&p| p > 0)
}

fn ramp(phase: usize, period: usize) -> f32 {
    let length = (period / 4).max(1) as f32;
    (1.0 - (phase as f32 + 1.0) / length).max(0.0)
}

/// The rate at which periods are searched, in Hz.
const SEARCH_RATE: u32 = 11_025;

/// 400 Hz.
const SHORTEST_PERIOD_US: usize = 2_500;

/// 67 Hz.
const LONGEST_PERIOD_US: usize = 15_000;

/// How much of the past is compared.
const WINDOW_US: usize = 10_000;

/// How near, in squared likeness.
const NEARLY: f64 = 0.8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voice_of_100_hz_repeats_after_10_ms() {
        let sound: Vec<f32> = (0..1_323u16)
            .map(|n| {
                let t = f32::from(n) / 441.0 * std::f32::consts::TAU;
                t.sin() * 0.2 + (t * 3.0).sin() * 0.3 + (t * 7.0).cos() * 0.1
            })
            .collect();
        let mut repetition = Repetition::new(Kernel::detect(), 44_100, 1_323);
        let period = repetition.period(&sound);
        assert!(period.abs_diff(441) <= 1, "{period}");
        let next = repeated(&sound, 441, 0);
        assert!((next - sound[1_323 - 441]).abs() < 0.01, "{next}");
        assert!((repeated_backwards(&sound, 441, 0) - sound[440]).abs() < 0.01);
    }

    #[test]
    fn a_past_too_short_is_no_period() {
        let mut repetition = Repetition::new(Kernel::detect(), 44_100, 1_323);
        assert_eq!(repetition.period(&[]), 0);
        assert_eq!(repetition.period(&[0.5; 100]), 0);
        assert!(repeated(&[], 10, 3).abs() < f32::EPSILON && repeated(&[1.0], 10, 3).abs() < f32::EPSILON);
    }
}
