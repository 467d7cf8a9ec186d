//! Adds sources up, each with its gain, and keeps the sum within full scale by a soft limiter without look-ahead.
//!
//! Guaranteed: the sum never leaves [-1, 1]; one source alone at a gain of 1 passes bit by bit, up to full scale; several
//! pass unchanged while their sum stays below the knee (-2 dBFS); gains slide over a block instead of stepping; what is not a
//! number counts as silence; no allocation after construction.

use super::peak::peak;
use crate::engine::exact::{exp, log10, power};

/// Mixes block by block: [`begin`](Self::begin), [`add`](Self::add) each source, [`finish`](Self::finish).
pub struct Mixer {
    channels: usize,
    sum: Box<[f32]>,
    used: usize,
    /// Sources that were heard in this block.
    heard: usize,
    /// Whether one of them was louder than it came.
    raised: bool,
    limiter: Limiter,
}

/// How loud one source is played: slides to what it is set to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gain {
    now: f32,
    wanted: f32,
}

#[derive(Clone, Copy, Debug)]
struct Limiter {
    /// The loudest lately, falling slowly.
    envelope: f32,
    /// Above this the curve bends.
    knee: f32,
    fall: f32,
    knee_step: f32,
}

impl Mixer {
    /// For blocks of up to `frames` frames of `channels` channels at `rate` Hz.
    pub fn new(rate: u32, channels: usize, frames: usize) -> Self {
        let rate = rate.max(1) as f32;
        Self {
            channels: channels.max(1),
            sum: vec![0.0; frames * channels.max(1)].into(),
            used: 0,
            heard: 0,
            raised: false,
            limiter: Limiter {
                envelope: 0.0,
                knee: 1.0,
                fall: exp(f64::from(-1.0 / (RELEASE_SECONDS * rate))) as f32,
                knee_step: (1.0 - KNEE) / (KNEE_SECONDS * rate),
            },
        }
    }

    /// Begins a block of `frames` frames, silent; no more than was said at construction.
    pub fn begin(&mut self, frames: usize) {
        self.used = (frames * self.channels).min(self.sum.len());
        self.sum[..self.used].fill(0.0);
        (self.heard, self.raised) = (0, false);
    }

    /// Adds a source's block; what it has too little is silence, what it has too much is not heard. Its loudest sample, before
    /// the gain.
    pub fn add(&mut self, samples: &[f32], gain: &mut Gain) -> f32 {
        let sum = &mut self.sum[..self.used.min(samples.len())];
        let samples = &samples[..sum.len()];
        let (from, to) = (gain.now, gain.wanted);
        gain.now = to;
        let peak = peak(samples);
        if peak == 0.0 || (from, to) == (0.0, 0.0) {
            return peak;
        }
        self.heard += 1;
        self.raised |= from.max(to) > 1.0;
        if (from, to) == (1.0, 1.0) {
            for (sum, x) in sum.iter_mut().zip(samples) {
                *sum += x;
            }
            return peak;
        }
        let frames = (sum.len() / self.channels).max(1) as f32;
        let blocks = sum.chunks_mut(self.channels).zip(samples.chunks(self.channels));
        for (n, (sum, frame)) in blocks.enumerate() {
            let gain = from + (to - from) * ((n + 1) as f32 / frames);
            for (sum, x) in sum.iter_mut().zip(frame) {
                *sum += x * gain;
            }
        }
        peak
    }

    /// What was added becomes what it lacks of `total`, with `apart` besides: what they hold without it. Neither may be finished yet.
    pub fn complement(&mut self, total: &Self, apart: &Self) {
        let (total_sum, apart_sum) = (&total.sum[..total.used], &apart.sum[..apart.used]);
        for ((sum, total), apart) in self.sum[..self.used].iter_mut().zip(total_sum).zip(apart_sum) {
            *sum = total - *sum + apart;
        }
        self.heard = (total.heard + apart.heard).saturating_sub(self.heard);
        self.raised = total.raised || apart.raised;
    }

    /// Ends the block: the sum, limited, interleaved.
    pub fn finish(&mut self) -> &[f32] {
        let sum = &mut self.sum[..self.used];
        // A lone source that is not raised cannot exceed full scale: it needs no knee.
        let knee = if self.heard > 1 || self.raised { KNEE } else { 1.0 };
        self.limiter.run(sum, self.channels, knee);
        sum
    }

    /// How much the limiter takes away now, dB; 0 where it does nothing.
    pub fn reduction_db(&self) -> f32 {
        let l = &self.limiter;
        if l.envelope <= l.knee { 0.0 } else { -20.0 * log10(f64::from(l.curve() / l.envelope)) as f32 }
    }
}

impl Gain {
    /// Plays as it is.
    pub const UNITY: Self = Self { now: 1.0, wanted: 1.0 };

    /// From the first block on.
    pub fn new(gain: f32) -> Self {
        let gain = sane(gain);
        Self { now: gain, wanted: gain }
    }

    /// From the next block on, reached at its end.
    pub fn set(&mut self, gain: f32) {
        self.wanted = sane(gain);
    }

    /// What it is set to.
    pub fn get(self) -> f32 {
        self.wanted
    }
}

impl Default for Gain {
    fn default() -> Self {
        Self::UNITY
    }
}

impl Limiter {
    fn run(&mut self, sum: &mut [f32], channels: usize, knee: f32) {
        let frames = sum.len() / channels;
        let steady = (self.knee - knee).abs() <= 0.0 && self.envelope <= self.knee;
        let loudest = peak(sum);
        // False where something is not a number, too.
        if steady && loudest <= self.knee {
            self.envelope = loudest.max(self.envelope * power(self.fall, frames.min(1 << 20) as u32));
            return;
        }
        for frame in sum.chunks_mut(channels) {
            let mut peak = 0.0f32;
            for x in frame.iter_mut() {
                *x = if x.is_nan() { 0.0 } else { x.clamp(-LOUDEST, LOUDEST) };
                peak = peak.max(x.abs());
            }
            self.knee += (knee - self.knee).clamp(-self.knee_step, self.knee_step);
            self.envelope = peak.max(self.envelope * self.fall);
            if self.envelope > self.knee {
                let gain = self.curve() / self.envelope;
                for x in frame {
                    *x = (*x * gain).clamp(-1.0, 1.0);
                }
            }
        }
    }

    /// What the envelope becomes: itself below the knee, then ever slower towards full scale.
    fn curve(&self) -> f32 {
        let room = 1.0 - self.knee;
        if self.envelope <= self.knee {
            self.envelope
        } else if room <= 0.0 {
            1.0
        } else {
            let over = (self.envelope - self.knee) / room;
            self.knee + room * over / (1.0 + over)
        }
    }
}

/// A gain that can be multiplied by: 0 to 100, and 0 for what is not a number.
fn sane(gain: f32) -> f32 {
    if gain.is_nan() { 0.0 } else { gain.clamp(0.0, 100.0) }
}

/// -1.9 dBFS.
const KNEE: f32 = 0.8;
/// The envelope falls to 1/e in this time: slowly enough not to follow a voice's own waves.
const RELEASE_SECONDS: f32 = 0.15;
/// The knee moves from one place to the other in this time when sources join or fall silent.
const KNEE_SECONDS: f32 = 0.05;
/// 40 dB over full scale: the envelope comes back from there in under a second.
const LOUDEST: f32 = 100.0;

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "what passes unchanged is the same to the bit")]
mod tests {
    use super::*;
    use crate::engine::format::{to_f32, to_i16};
    use proptest::prelude::*;

    fn mix(mixer: &mut Mixer, frames: usize, sources: &mut [(Vec<f32>, Gain)]) -> Vec<f32> {
        mixer.begin(frames);
        for (sound, gain) in sources {
            mixer.add(sound, gain);
        }
        mixer.finish().to_vec()
    }

    #[test]
    fn one_source_passes_unchanged_up_to_full_scale() {
        let mut m = Mixer::new(44_100, 1, 70_000);
        let all: Vec<f32> = (i16::MIN..=i16::MAX).map(to_f32).collect();
        let silent = vec![0.0; all.len()];
        let mut sources = [(all.clone(), Gain::UNITY), (silent, Gain::UNITY)];
        for _ in 0..3 {
            assert_eq!(mix(&mut m, all.len(), &mut sources), all);
        }
        assert_eq!(m.reduction_db(), 0.0);
    }

    #[test]
    fn a_lone_source_passes_again_after_a_loud_crowd() {
        let mut m = Mixer::new(8_000, 1, 80);
        let full = || (vec![0.99; 80], Gain::UNITY);
        let loud = mix(&mut m, 80, &mut [full(), full(), full()]);
        assert!(loud.iter().all(|x| x.abs() <= 1.0) && m.reduction_db() > 6.0);
        let mut last = 0.0;
        for _ in 0..100 {
            let alone = mix(&mut m, 80, &mut [full()]);
            // The gain comes back smoothly.
            assert!(alone.windows(2).all(|w| w[1] >= w[0] && w[1] - w[0] < 0.01) && alone[0] >= last);
            last = alone[79];
        }
        assert_eq!(last, 0.99);
    }

    #[test]
    fn a_gain_slides_over_a_block() {
        let mut m = Mixer::new(8_000, 2, 100);
        let mut gain = Gain::UNITY;
        gain.set(0.0);
        m.begin(100);
        m.add(&[0.5; 200], &mut gain);
        let out = m.finish();
        assert!(out.chunks(2).all(|f| f[0] == f[1]));
        assert!(out.windows(3).all(|w| w[0] >= w[2] && w[0] - w[2] < 0.006));
        assert_eq!(out[199], 0.0);
        assert_eq!(Gain::new(f32::NAN).get(), 0.0);
    }

    #[test]
    fn what_is_not_a_number_is_silence_and_passes() {
        let mut m = Mixer::new(8_000, 1, 4);
        let wild = vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.25];
        let out = mix(&mut m, 4, &mut [(wild, Gain::UNITY)]);
        assert!(out.iter().all(|x| x.abs() <= 1.0));
        for _ in 0..4_000 {
            mix(&mut m, 4, &mut [(vec![0.25; 4], Gain::UNITY)]);
        }
        assert_eq!(mix(&mut m, 4, &mut [(vec![0.25; 4], Gain::UNITY)]), [0.25; 4]);
    }

    proptest! {
        /// Any sources, as 16-bit sound: no clipping, and the plain sum while it was never above the knee.
        #[test]
        fn the_sum_is_plain_below_the_knee_and_never_beyond_full_scale(
            blocks in prop::collection::vec((prop::collection::vec(any::<i16>(), 20), any::<i16>(), 1i16..40), 1..30),
            channels in 1usize..3, gain in 0.0f32..4.0,
        ) {
            let mut m = Mixer::new(8_000, channels, 20);
            let mut calm = true;
            for (samples, other, quieter) in blocks {
                let a: Vec<f32> = samples.iter().map(|&s| to_f32(s / quieter)).collect();
                let b = vec![to_f32(other / quieter); samples.len()];
                let sum: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
                calm &= sum.iter().all(|x| x.abs() <= KNEE);
                let frames = 20 / channels;
                let out = mix(&mut m, frames, &mut [(a, Gain::UNITY), (b, Gain::UNITY)]);
                prop_assert!(out.iter().all(|x| x.abs() <= 1.0));
                if calm {
                    prop_assert!(out == sum);
                }
                let pcm: Vec<i16> = out.iter().map(|&x| to_i16(x)).collect();
                prop_assert_eq!(pcm.len(), out.len());
            }
            let mut one = Gain::new(gain);
            m.begin(10);
            m.add(&[1.0; 20], &mut one);
            prop_assert!(m.finish().iter().all(|x| x.abs() <= 1.0));
        }
    }
}
