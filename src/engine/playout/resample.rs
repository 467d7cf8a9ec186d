//! Plays sound a few parts per million faster or slower than it was taken: a polyphase windowed sinc.
//!
//! Guaranteed: at a ratio of exactly 1 samples pass unchanged, bit by bit, without delay; switching in begins at a
//! fraction of zero, where the filter is the identity, and switching out slides to the nearest whole frame first, so
//! that neither is heard. One table for all instances; no allocation after construction.
//!
//! Not guaranteed: a flat response beyond 0.8 of half the rate, nor a filter against aliasing: ratios are within 1 % of 1.

use std::f64::consts::PI;
use std::sync::OnceLock;

use crate::engine::exact::{power, sin};

/// One stream's resampler.
pub struct Resampler {
    channels: usize,
    table: &'static [Row],
    /// Interleaved: `PAST` frames that were heard, then those that were taken in and are not yet heard.
    held: Box<[f32]>,
    /// Frames in `held`.
    frames: usize,
    /// How far the next output lies after frame `PAST`, in 2^-32 of a frame.
    fraction: u32,
    /// Whether the filter runs.
    active: bool,
    /// What the place moves on beyond one frame a frame, in 2^-32.
    step: i64,
}

impl Resampler {
    /// For one channel or two, passing sound unchanged.
    pub fn new(channels: usize) -> Self {
        let channels = channels.clamp(1, 2);
        Self {
            channels,
            table: table(),
            held: vec![0.0; CAPACITY * channels].into(),
            frames: PAST,
            fraction: 0,
            active: false,
            step: 0,
        }
    }

    /// From now on takes 1 + `ppm` / 10^6 frames for each that it gives, at most 1 % off. At exactly 0 it slides to the
    /// nearest whole frame, at half a part per million (which takes up to 23 s), and then passes sound unchanged.
    ///
    /// A step of the ratio is a step of the pitch: move it by 10 ppm a second at most where 90 dB are wanted.
    pub fn set_ppm(&mut self, ppm: f64) {
        let ppm = if ppm.is_finite() { ppm.clamp(-MOST_PPM, MOST_PPM) } else { 0.0 };
        self.step = (ppm * PPM).round() as i64;
        self.active |= self.step != 0;
    }

    /// Whether sound passes unchanged.
    pub fn is_identity(&self) -> bool {
        !self.active
    }

    /// Frames taken in that are not yet heard; none for long where sound passes unchanged. They are part of the delay.
    pub fn held(&self) -> usize {
        self.frames - PAST
    }

    /// How many frames [`process`](Self::process) takes to give `frames`.
    pub fn needed(&self, frames: usize) -> usize {
        let (step, _) = self.stride(frames);
        self.wanting(frames, step)
    }

    /// Fills `out` (interleaved, whole frames) from [`needed`](Self::needed) frames of `input`. What `input` lacks counts as
    /// silence, what it has too much is not read.
    pub fn process(&mut self, input: &[f32], out: &mut [f32]) {
        if !self.active {
            self.pass(input, out);
            return;
        }
        let (step, arrives) = self.stride(out.len() / self.channels);
        let mut input = input;
        for chunk in out.chunks_mut(CHUNK * self.channels) {
            let take = self.wanting(chunk.len() / self.channels, step);
            let (now, rest) = input.split_at((take * self.channels).min(input.len()));
            input = rest;
            self.take_in(now, take);
            self.filter(chunk, step);
        }
        if arrives {
            // Less than 2^-32 a frame off: to the whole frame that it slid to, and off.
            self.forget(usize::from(self.fraction >= HALF_WAY));
            self.fraction = 0;
            self.active = false;
        }
    }

    /// So much passes unchanged without being given here: taken note of, so that the filter can begin at any time.
    pub fn passed(&mut self, sound: &[f32]) {
        self.remember(sound);
    }

    /// Forgets all sound, and passes it unchanged until told otherwise.
    pub fn reset(&mut self) {
        self.held.fill(0.0);
        (self.frames, self.fraction, self.active, self.step) = (PAST, 0, false, 0);
    }

    /// The step for the next `frames` outputs, and whether the filter ends with them.
    fn stride(&self, frames: usize) -> (i64, bool) {
        if self.step != 0 || frames == 0 {
            return (self.step, false);
        }
        let rest =
            if self.fraction < HALF_WAY { -i64::from(self.fraction) } else { ONE - i64::from(self.fraction) };
        let each = rest / frames as i64;
        if each.abs() <= SLIDE { (each, true) } else { (SLIDE * each.signum(), false) }
    }

    /// The frames to be taken in before `frames` outputs at this step.
    fn wanting(&self, frames: usize, step: i64) -> usize {
        if frames == 0 {
            return 0;
        }
        if !self.active {
            return frames.saturating_sub(self.held());
        }
        let place = i128::from(self.fraction) + (frames as i128 - 1) * i128::from(ONE + step);
        ((place >> 32) as usize + TAPS).saturating_sub(self.frames)
    }

    fn take_in(&mut self, input: &[f32], frames: usize) {
        let (from, to) = (self.frames * self.channels, (self.frames + frames) * self.channels);
        self.held[from..from + input.len()].copy_from_slice(input);
        self.held[from + input.len()..to].fill(0.0);
        self.frames += frames;
    }

    fn forget(&mut self, frames: usize) {
        self.held.copy_within(frames * self.channels..self.frames * self.channels, 0);
        self.frames -= frames;
    }

    fn filter(&mut self, out: &mut [f32], step: i64) {
        let mut base = 0;
        for frame in out.chunks_exact_mut(self.channels) {
            let phase = (self.fraction >> PHASE_SHIFT) as usize;
            let between = (self.fraction << PHASE_BITS) as f32 * (1.0 / ONE as f32);
            let row = &self.table[phase];
            let taps = &self.held[base * self.channels..(base + TAPS) * self.channels];
            match frame {
                [mono] => *mono = row.mono(taps, between),
                frame => row.stereo(taps, between, frame),
            }
            let place = i64::from(self.fraction) + ONE + step;
            base += (place >> 32) as usize;
            self.fraction = place as u32;
        }
        self.forget(base);
    }

    fn pass(&mut self, input: &[f32], out: &mut [f32]) {
        let from_held = (self.held() * self.channels).min(out.len());
        let past = PAST * self.channels;
        out[..from_held].copy_from_slice(&self.held[past..past + from_held]);
        self.forget(from_held / self.channels);
        let fresh = &mut out[from_held..];
        let count = input.len().min(fresh.len());
        fresh[..count].copy_from_slice(&input[..count]);
        fresh[count..].fill(0.0);
        // Nothing fresh is wanted before all that was held is heard, so only the past is left to be kept.
        self.remember(&out[from_held..]);
    }

    /// The last frames heard are the past.
    fn remember(&mut self, fresh: &[f32]) {
        let past = PAST * self.channels;
        if fresh.len() >= past {
            self.held[..past].copy_from_slice(&fresh[fresh.len() - past..]);
        } else if !fresh.is_empty() {
            self.held.copy_within(fresh.len()..past, 0);
            self.held[past - fresh.len()..past].copy_from_slice(fresh);
        }
    }
}

/// The filter at one fraction of a frame, and how it changes to the next one.
#[derive(Clone, Copy)]
struct Row {
    at: [f32; TAPS],
    rise: [f32; TAPS],
}

impl Row {
    /// Over mono taps, `between` this row and the next.
    fn mono(&self, taps: &[f32], between: f32) -> f32 {
        let mut sums = [0.0f32; LANES];
        let rows = self.at.chunks_exact(LANES).zip(self.rise.chunks_exact(LANES));
        for (x, (a, r)) in taps.chunks_exact(LANES).zip(rows) {
            for lane in 0..LANES {
                sums[lane] += x[lane] * (a[lane] + between * r[lane]);
            }
        }
        sums.iter().sum()
    }

    /// Over the taps of two interleaved channels, into a frame of two.
    fn stereo(&self, taps: &[f32], between: f32, out: &mut [f32]) {
        let weights: [f32; TAPS] = std::array::from_fn(|tap| self.at[tap] + between * self.rise[tap]);
        let (mut left, mut right) = ([0.0f32; LANES / 2], [0.0f32; LANES / 2]);
        for (x, w) in taps.chunks_exact(LANES).zip(weights.chunks_exact(LANES / 2)) {
            for lane in 0..LANES / 2 {
                left[lane] += x[2 * lane] * w[lane];
                right[lane] += x[2 * lane + 1] * w[lane];
            }
        }
        if let [l, r] = out {
            (*l, *r) = (left.iter().sum(), right.iter().sum());
        }
    }
}

/// The rows of the filter, one for each fraction of a frame: a sinc under Kaiser's window, its sum exactly one.
fn table() -> &'static [Row] {
    static TABLE: OnceLock<Vec<Row>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let filter = |phase: usize| {
            let at = |tap: usize| {
                let x = tap as f64 - PAST as f64 - phase as f64 / PHASES as f64;
                let inside = 1.0 - power(x / (PAST as f64 + 1.0), 2);
                let window = bessel(BETA * inside.max(0.0).sqrt()) / bessel(BETA);
                if x == 0.0 { 1.0 } else { sin(PI * x) / (PI * x) * window }
            };
            let sum: f64 = (0..TAPS).map(at).sum();
            match phase {
                // The identity, exactly.
                0 => std::array::from_fn(|tap| f64::from(u8::from(tap == PAST))),
                PHASES => std::array::from_fn(|tap| f64::from(u8::from(tap == PAST + 1))),
                _ => std::array::from_fn(|tap| at(tap) / sum),
            }
        };
        let row = |phase: usize| {
            let (here, next): ([f64; TAPS], [f64; TAPS]) = (filter(phase), filter(phase + 1));
            let rise = std::array::from_fn(|tap| (next[tap] - here[tap]) as f32);
            Row { at: here.map(|weight| weight as f32), rise }
        };
        (0..PHASES).map(row).collect()
    })
}

/// The modified Bessel function of the first kind, order zero.
fn bessel(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for n in 1..60 {
        term *= power(x / (2.0 * f64::from(n)), 2);
        sum += term;
    }
    sum
}

const TAPS: usize = 32;
/// Taps before the one that the place lies on or after.
const PAST: usize = TAPS / 2 - 1;
/// How many frames the filter takes in before their turn while it runs: its far half.
pub const TAKEN_AHEAD: usize = TAPS - PAST;
const PHASE_BITS: u32 = 8;
const PHASE_SHIFT: u32 = 32 - PHASE_BITS;
const PHASES: usize = 1 << PHASE_BITS;
/// About 90 dB.
const BETA: f64 = 9.0;
const LANES: usize = 8;
/// Outputs made at once.
const CHUNK: usize = 64;
const CAPACITY: usize = TAPS + CHUNK + CHUNK / 64 + 2;
const ONE: i64 = 1 << 32;
const HALF_WAY: u32 = 1 << 31;
const PPM: f64 = ONE as f64 / 1e6;
/// Half a part per million: a step of the pitch so small that a kilohertz keeps 90 dB.
const SLIDE: i64 = ONE / 2_000_000;
const MOST_PPM: f64 = 10_000.0;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn noise(count: usize) -> Vec<f32> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from((state >> 16) as i16) / 32_768.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// Pulls `blocks` blocks out of `input`, setting the ratio before each.
    fn pull(r: &mut Resampler, input: &mut &[f32], blocks: usize, frames: usize, ppm: f64) -> Vec<f32> {
        let mut all = Vec::new();
        for _ in 0..blocks {
            r.set_ppm(ppm);
            let take = r.needed(frames) * r.channels;
            let mut out = vec![9.0; frames * r.channels];
            r.process(&input[..take], &mut out);
            *input = &input[take..];
            all.extend(out);
        }
        all
    }

    #[test]
    fn without_a_ratio_samples_pass_unchanged_and_at_once() {
        let input = noise(10_000);
        for frames in [1, 7, 441, 1000] {
            let mut r = Resampler::new(2);
            assert_eq!(pull(&mut r, &mut &input[..], 5, frames, 0.0), input[..10 * frames]);
            assert_eq!(r.held(), 0);
        }
    }

    #[test]
    fn switching_in_and_out_is_seamless_and_ends_bit_exact() {
        for (ppm, channels) in [(250.0, 1), (-120.0, 1), (80.0, 2)] {
            let input: Vec<f32> = (0..8_000_000).map(|n| (f64::from(n) * 0.01).sin() as f32).collect();
            let mut rest = &input[..];
            let mut r = Resampler::new(channels);
            let mut out = pull(&mut r, &mut rest, 10, 441, 0.0);
            out.extend(pull(&mut r, &mut rest, 70, 441, ppm));
            let mut blocks = 0;
            while !r.is_identity() {
                out.extend(pull(&mut r, &mut rest, 1, 441, 0.0));
                blocks += 1;
                assert!(blocks < 2400, "still sliding");
            }
            let largest = out[channels..].iter().zip(&out).map(|(b, a)| (b - a).abs()).fold(0.0, f32::max);
            assert!(largest < 0.01 * channels as f32 * 1.001, "{largest}");
            // What was held comes first, then it is the input again, at its place.
            let after = pull(&mut r, &mut rest, 3, 441, 0.0);
            let heard = input.len() - rest.len() - r.held() * channels;
            assert_eq!(after, input[heard - after.len()..heard]);
            assert_eq!(r.held(), 0);
        }
    }

    #[test]
    fn high_tones_keep_their_level_and_ninety_decibels() {
        for (share, least) in [(0.02, 100.0), (0.3, 90.0), (0.7, 80.0)] {
            let w = share * PI;
            let input: Vec<f32> = (0..50_000).map(|n| (w * f64::from(n)).sin() as f32).collect();
            let mut r = Resampler::new(1);
            let out = pull(&mut r, &mut &input[..], 90, 441, 300.0);
            let (mut signal, mut error) = (0.0, 0.0);
            for (n, &y) in out.iter().enumerate().skip(100) {
                let want = (w * n as f64 * 1.0003).sin();
                signal += want * want;
                error += (f64::from(y) - want).powi(2);
            }
            let snr = 10.0 * (signal / error).log10();
            println!("{share} of half the rate: {snr:.1} dB");
            assert!(snr > least, "{share}: {snr} dB");
        }
    }

    proptest! {
        /// Any ratios, any blocks: takes what it says, and the place moves by the ratio.
        #[test]
        fn frames_taken_follow_the_ratio(
            steps in prop::collection::vec((prop::option::of(-10_000.0f64..10_000.0), 0usize..700), 1..60), channels in 1usize..3,
        ) {
            let mut r = Resampler::new(channels);
            let (mut taken, mut given, mut place) = (0usize, 0usize, 0.0);
            for (ppm, frames) in steps {
                let ppm = ppm.unwrap_or(0.0);
                r.set_ppm(ppm);
                let take = r.needed(frames);
                let mut out = vec![7.0; frames * channels];
                r.process(&vec![0.5; take * channels], &mut out);
                taken += take;
                given += frames;
                place += frames as f64 * ppm * 1e-6;
                let drift = taken as f64 - r.held() as f64 - given as f64;
                // Slides move the place by half a frame each at most; the fraction is not yet counted.
                prop_assert!(r.held() <= TAPS);
                prop_assert!((drift - place).abs() <= 61.0);
                prop_assert!(out.iter().all(|x| x.abs() < 1.0));
            }
        }
    }
}
