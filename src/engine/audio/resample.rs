//! Fixed-ratio rate conversion for the edges: a band-limited interpolation of rubato's, in the two shapes that
//! callbacks need. Nothing allocates after construction.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Async, FixedAsync, Indexing, Resampler, SincInterpolationParameters, SincInterpolationType,
    WindowFunction,
};

use crate::engine::error::{Error, Result};

/// Takes sound in pieces of any size, gives it out at the other rate as it becomes available.
pub(super) struct Push {
    inner: Async<f32>,
    channels: usize,
    waiting: Box<[f32]>,
    filled: usize,
    out: Box<[f32]>,
}

impl Push {
    pub(super) fn new(from: u32, to: u32, channels: usize) -> Result<Self> {
        let inner = make(from, to, channels, FixedAsync::Input)?;
        let waiting = vec![0.0; inner.input_frames_max() * channels].into();
        let out = vec![0.0; inner.output_frames_max() * channels].into();
        Ok(Self { inner, channels, waiting, filled: 0, out })
    }

    /// Frames of its own delay, at the rate it gives.
    pub(super) fn delay(&self) -> usize {
        self.inner.output_delay()
    }

    /// Feeds interleaved `samples`; `deliver` gets what they complete.
    pub(super) fn push(&mut self, mut samples: &[f32], mut deliver: impl FnMut(&[f32])) {
        while !samples.is_empty() {
            let need = self.inner.input_frames_next() * self.channels;
            let take = samples.len().min(need - self.filled);
            let (now, later) = samples.split_at(take);
            self.waiting[self.filled..self.filled + take].copy_from_slice(now);
            self.filled += take;
            samples = later;
            if self.filled == need {
                let frames = process(&mut self.inner, self.channels, &self.waiting, &mut self.out, None);
                deliver(&self.out[..frames * self.channels]);
                self.filled = 0;
            }
        }
    }
}

/// Fills pieces of any size, asking for sound of the other rate as it needs it.
pub(super) struct Pull {
    inner: Async<f32>,
    channels: usize,
    feed: Box<[f32]>,
    ready: Box<[f32]>,
    at: usize,
    end: usize,
}

impl Pull {
    pub(super) fn new(from: u32, to: u32, channels: usize) -> Result<Self> {
        let inner = make(from, to, channels, FixedAsync::Output)?;
        let feed = vec![0.0; inner.input_frames_max() * channels].into();
        let ready = vec![0.0; inner.output_frames_max() * channels].into();
        Ok(Self { inner, channels, feed, ready, at: 0, end: 0 })
    }

    /// Fills interleaved `out`; `source` fills what it is given, whole frames at the other rate.
    pub(super) fn pull(&mut self, mut out: &mut [f32], mut source: impl FnMut(&mut [f32])) {
        while !out.is_empty() {
            if self.at == self.end {
                let need = self.inner.input_frames_next() * self.channels;
                source(&mut self.feed[..need]);
                let frames = process(&mut self.inner, self.channels, &self.feed, &mut self.ready, None);
                (self.at, self.end) = (0, frames * self.channels);
                if frames == 0 {
                    out.fill(0.0);
                    return;
                }
            }
            let take = out.len().min(self.end - self.at);
            let (now, later) = out.split_at_mut(take);
            now.copy_from_slice(&self.ready[self.at..self.at + take]);
            self.at += take;
            out = later;
        }
    }

    /// Frames that it asks for at once, at most.
    pub(super) fn appetite(&self) -> usize {
        self.inner.input_frames_max()
    }
}

fn make(from: u32, to: u32, channels: usize, fixed: FixedAsync) -> Result<Async<f32>> {
    // Positions between the samples are multiples of 1/steps: with as many sincs none need be interpolated.
    let steps = (to / gcd(from, to)) as usize;
    let parameters = SincInterpolationParameters::new(SINC_FRAMES, WindowFunction::BlackmanHarris2);
    let parameters = if steps <= MOST_STEPS {
        parameters.oversampling_factor(steps).interpolation(SincInterpolationType::Nearest)
    } else {
        parameters.oversampling_factor(256).interpolation(SincInterpolationType::Cubic)
    };
    Async::new_sinc(f64::from(to) / f64::from(from), 1.0, &parameters, CHUNK_FRAMES, channels, fixed)
        .map_err(|e| Error::config(format!("cannot convert {from} Hz to {to} Hz: {e}")))
}

/// One chunk; the frames written, zero where rubato refuses (which right buffer sizes rule out).
fn process(
    inner: &mut Async<f32>,
    channels: usize,
    from: &[f32],
    to: &mut [f32],
    indexing: Option<&Indexing>,
) -> usize {
    let (from_frames, to_frames) = (from.len() / channels, to.len() / channels);
    let Ok(from) = InterleavedSlice::new(from, channels, from_frames) else { return 0 };
    let Ok(mut to) = InterleavedSlice::new_mut(to, channels, to_frames) else { return 0 };
    inner.process_into_buffer(&from, &mut to, indexing).map_or(0, |(_, written)| written)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Taps of the interpolation: 128 keep 20 kHz of 44.1 kHz, at half of them as delay.
const SINC_FRAMES: usize = 128;
/// Frames of one step of rubato's, which are delay, too.
const CHUNK_FRAMES: usize = 64;
/// The most sincs worth tabulating.
const MOST_STEPS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(rate: u32, frames: usize) -> Vec<f32> {
        let w = 1000.0 * std::f64::consts::TAU / f64::from(rate);
        (0..frames).map(|n| ((n as f64 * w).sin() * 0.5) as f32).collect()
    }

    /// The error of `heard`, whole cycles, against a sine of 1 kHz of any phase and loudness, in dB.
    fn error_db(heard: &[f32], rate: u32) -> f64 {
        let w = 1000.0 * std::f64::consts::TAU / f64::from(rate);
        let n = heard.len() as f64;
        let (mut a, mut b) = (0.0, 0.0);
        for (i, s) in heard.iter().enumerate() {
            a += f64::from(*s) * (w * i as f64).sin() * 2.0 / n;
            b += f64::from(*s) * (w * i as f64).cos() * 2.0 / n;
        }
        let noise: f64 = heard
            .iter()
            .enumerate()
            .map(|(i, s)| (f64::from(*s) - a * (w * i as f64).sin() - b * (w * i as f64).cos()).powi(2))
            .sum();
        10.0 * (noise / n / 0.125).log10()
    }

    #[test]
    fn a_sine_pushed_in_odd_pieces_stays_a_sine() {
        for (from, to) in [(48_000, 44_100), (44_100, 48_000), (16_000, 44_100)] {
            let mut push = Push::new(from, to, 1).unwrap();
            let mut heard = Vec::new();
            for piece in sine(from, from as usize).chunks(173) {
                push.push(piece, |s| heard.extend_from_slice(s));
            }
            let whole = &heard[2000..2000 + to as usize / 2];
            assert!(error_db(whole, to) < -80.0, "{from}->{to}: {}", error_db(whole, to));
            assert!((heard.len() as i64 - to as i64).abs() < 500);
        }
    }

    #[test]
    fn a_sine_pulled_in_odd_pieces_stays_a_sine() {
        let mut pull = Pull::new(44_100, 48_000, 2).unwrap();
        let mono = sine(44_100, 50_000);
        let mut at = 0;
        let mut heard = vec![0.0; 96_000];
        for piece in heard.chunks_mut(2 * 331) {
            assert_no_alloc::assert_no_alloc(|| {
                pull.pull(piece, |feed| {
                    for frame in feed.chunks_exact_mut(2) {
                        frame.fill(mono.get(at).copied().unwrap_or(0.0));
                        at += 1;
                    }
                });
            });
        }
        let left: Vec<f32> = heard.chunks_exact(2).map(|f| f[0]).collect();
        let right: Vec<f32> = heard.chunks_exact(2).map(|f| f[1]).collect();
        assert_eq!(left, right);
        assert!(error_db(&left[4000..4000 + 24_000], 48_000) < -80.0);
    }
}
