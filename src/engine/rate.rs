//! Fixed-ratio rate conversion: a band-limited interpolation of rubato's, in the shapes that callbacks and threads need. Pure.
//!
//! Nothing allocates after construction, [`Converter`]'s output excepted.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Async, FixedAsync, Indexing, Resampler, SincInterpolationParameters, SincInterpolationType,
    WindowFunction,
};

use super::error::{Error, Result};
use super::format::{Format, to_f32, to_i16};

/// Takes sound in pieces of any size, gives it out at the other rate as it becomes available.
pub struct Push {
    inner: Async<f32>,
    channels: usize,
    waiting: Box<[f32]>,
    filled: usize,
    out: Box<[f32]>,
    delay: usize,
}

impl Push {
    /// From one rate to another, Hz.
    pub fn new(from: u32, to: u32, channels: usize) -> Result<Self> {
        let inner = make(from, to, channels, FixedAsync::Input, EDGE)?;
        let waiting = vec![0.0; inner.input_frames_max() * channels].into();
        let out = vec![0.0; inner.output_frames_max() * channels].into();
        // Its first output lies one frame of its own after the start; rubato's own figure leaves that out.
        let delay = (EDGE.taps_between(from, to) / 2) as f64 * f64::from(to) / f64::from(from) - 1.0;
        Ok(Self { inner, channels, waiting, filled: 0, out, delay: delay.round() as usize })
    }

    /// Frames of its own delay, at the rate it gives.
    pub fn delay(&self) -> usize {
        self.delay
    }

    /// Feeds interleaved `samples`; `deliver` gets what they complete.
    pub fn push(&mut self, mut samples: &[f32], mut deliver: impl FnMut(&[f32])) {
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
pub struct Pull {
    inner: Async<f32>,
    channels: usize,
    feed: Box<[f32]>,
    ready: Box<[f32]>,
    at: usize,
    end: usize,
}

impl Pull {
    /// From one rate to another, Hz.
    pub fn new(from: u32, to: u32, channels: usize) -> Result<Self> {
        Self::with(from, to, channels, EDGE)
    }

    /// The same with half the delay, for the way to an ear: 32 frames of the slower of the two rates (0.7 ms at 44.1 kHz,
    /// 4 ms at 8 kHz). It keeps 18 kHz of 44.1 kHz.
    pub fn quick(from: u32, to: u32, channels: usize) -> Result<Self> {
        Self::with(from, to, channels, QUICK)
    }

    fn with(from: u32, to: u32, channels: usize, effort: Effort) -> Result<Self> {
        let inner = make(from, to, channels, FixedAsync::Output, effort)?;
        let feed = vec![0.0; inner.input_frames_max() * channels].into();
        let ready = vec![0.0; inner.output_frames_max() * channels].into();
        Ok(Self { inner, channels, feed, ready, at: 0, end: 0 })
    }

    /// Fills interleaved `out`; `source` fills what it is given, whole frames at the other rate.
    pub fn pull(&mut self, mut out: &mut [f32], mut source: impl FnMut(&mut [f32])) {
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

    /// Frames of what it gives that are made and not given yet.
    pub fn held(&self) -> usize {
        (self.end - self.at) / self.channels
    }

    /// Frames that it asks for at once, at most.
    pub fn appetite(&self) -> usize {
        self.inner.input_frames_max()
    }
}

/// Sound of one format to sound of another: channels, then rate. As much comes out as went in, in its place to a frame; where
/// nothing differs, not a bit does.
pub struct Converter {
    from: Format,
    to: Format,
    run: Option<Run>,
    floats: Vec<f32>,
    ints: Vec<i16>,
}

/// A stretch of sound whose rate is converted.
pub struct Run {
    push: Push,
    from: u32,
    to: u32,
    fed: u64,
    given: u64,
    /// Frames of the filter's own delay that still have to be left out.
    lead: usize,
}

impl Converter {
    /// Between two formats.
    pub fn new(from: Format, to: Format) -> Result<Self> {
        let run = (from.rate() != to.rate())
            .then(|| Run::new(from.rate(), to.rate(), to.channels()))
            .transpose()?;
        Ok(Self { from, to, run, floats: Vec::new(), ints: Vec::new() })
    }

    /// Frames, at the rate it gives, that what it has given may be behind what it was fed.
    pub fn lag(&self) -> usize {
        self.run.as_ref().map_or(0, |run| {
            run.push.delay() + (CHUNK_FRAMES * run.to as usize).div_ceil(run.from as usize) + 1
        })
    }

    /// Feeds interleaved whole frames; `deliver` gets what they complete.
    pub fn push(&mut self, samples: &[i16], deliver: &mut dyn FnMut(&[i16])) {
        let (from, to) = (self.from.channels(), self.to.channels());
        let Some(run) = &mut self.run else {
            if from == to {
                return deliver(samples);
            }
            remix(samples, from, &mut self.ints);
            return deliver(&self.ints);
        };
        let samples = if from == to {
            samples
        } else {
            remix(samples, from, &mut self.ints);
            &self.ints
        };
        self.floats.clear();
        self.floats.extend(samples.iter().map(|s| to_f32(*s)));
        let mut ints = std::mem::take(&mut self.ints);
        ints.clear();
        run.push(&self.floats, &mut |sound| ints.extend(sound.iter().map(|s| to_i16(*s))));
        if !ints.is_empty() {
            deliver(&ints);
        }
        self.ints = ints;
    }

    /// Gives out what is still on its way, so that the sound is as long as it was, or `frames` in all; then it is as new.
    pub fn finish(&mut self, frames: Option<u64>, deliver: &mut dyn FnMut(&[i16])) {
        let Some(run) = &mut self.run else { return };
        self.ints.clear();
        let ints = &mut self.ints;
        run.finish(frames, &mut |sound| ints.extend(sound.iter().map(|s| to_i16(*s))));
        if !self.ints.is_empty() {
            deliver(&self.ints);
        }
    }
}

impl Run {
    /// From one rate to another, Hz.
    pub fn new(from: u32, to: u32, channels: usize) -> Result<Self> {
        let push = Push::new(from, to, channels)?;
        let lead = push.delay();
        Ok(Self { push, from, to, fed: 0, given: 0, lead })
    }

    /// Feeds interleaved whole frames; `deliver` gets what they complete, delayed but in its place.
    pub fn push(&mut self, samples: &[f32], deliver: &mut dyn FnMut(&[f32])) {
        self.fed += (samples.len() / self.push.channels) as u64;
        self.feed(samples, u64::MAX, deliver);
    }

    /// Gives out what is still on its way, so that the sound is as long as it was, or `frames` in all; then it is as new.
    pub fn finish(&mut self, frames: Option<u64>, deliver: &mut dyn FnMut(&[f32])) {
        let whole = (self.fed * u64::from(self.to)).div_ceil(u64::from(self.from));
        let whole = frames.unwrap_or(whole).min(whole + 1);
        let silence = [0.0; 2 * CHUNK_FRAMES];
        while self.given < whole {
            self.feed(&silence[..CHUNK_FRAMES * self.push.channels], whole, deliver);
        }
        self.push.inner.reset();
        self.push.filled = 0;
        (self.fed, self.given, self.lead) = (0, 0, self.push.delay());
    }

    fn feed(&mut self, samples: &[f32], most: u64, deliver: &mut dyn FnMut(&[f32])) {
        let Self { push, lead, given, .. } = self;
        let channels = push.channels;
        push.push(samples, |sound| {
            let left_out = (*lead).min(sound.len() / channels);
            *lead -= left_out;
            let sound = &sound[left_out * channels..];
            let room = usize::try_from(most - *given).unwrap_or(usize::MAX);
            let frames = (sound.len() / channels).min(room);
            *given += frames as u64;
            if frames > 0 {
                deliver(&sound[..frames * channels]);
            }
        });
    }
}

/// Mono to both sides, stereo to the mean.
fn remix(samples: &[i16], from: usize, out: &mut Vec<i16>) {
    out.clear();
    if from == 1 {
        out.extend(samples.iter().flat_map(|s| [*s, *s]));
    } else {
        out.extend(samples.chunks_exact(2).map(|pair| i16::midpoint(pair[0], pair[1])));
    }
}

/// How much a conversion may delay.
#[derive(Clone, Copy)]
struct Effort {
    /// Taps of the interpolation, at half of them as delay.
    taps: usize,
    /// Frames of one step of rubato's, which are delay, too.
    chunk: usize,
}

impl Effort {
    /// The slower rate is what limits the band: as many of its frames.
    fn taps_between(self, from: u32, to: u32) -> usize {
        (self.taps * from.max(to) as usize / to as usize).next_multiple_of(8).min(MOST_TAPS)
    }
}

fn make(from: u32, to: u32, channels: usize, fixed: FixedAsync, effort: Effort) -> Result<Async<f32>> {
    // Positions between the samples are multiples of 1/steps: with as many sincs none need be interpolated.
    let steps = (to / gcd(from, to)) as usize;
    let taps = effort.taps_between(from, to);
    let parameters = SincInterpolationParameters::new(taps, WindowFunction::BlackmanHarris2);
    let parameters = if steps <= MOST_STEPS {
        parameters.oversampling_factor(steps).interpolation(SincInterpolationType::Nearest)
    } else {
        parameters.oversampling_factor(256).interpolation(SincInterpolationType::Cubic)
    };
    Async::new_sinc(f64::from(to) / f64::from(from), 1.0, &parameters, effort.chunk, channels, fixed)
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

/// 128 taps keep 20 kHz of 44.1 kHz.
const EDGE: Effort = Effort { taps: 128, chunk: CHUNK_FRAMES };
/// 64 keep 18 kHz.
const QUICK: Effort = Effort { taps: 64, chunk: 32 };
const CHUNK_FRAMES: usize = 64;
/// The longest interpolation, whatever the ratio.
const MOST_TAPS: usize = 1024;
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
    fn a_run_is_as_long_as_it_was_and_in_its_place() {
        for (from, to) in
            [(48_000, 44_100), (44_100, 48_000), (8_000, 44_100), (44_100, 8_000), (96_000, 44_100)]
        {
            let mut run = Run::new(from, to, 1).unwrap();
            for frames in [from as usize, 1, 441, 100] {
                let mut heard = Vec::new();
                for piece in sine(from, frames).chunks(173) {
                    run.push(piece, &mut |s| heard.extend_from_slice(s));
                }
                run.finish(None, &mut |s| heard.extend_from_slice(s));
                assert_eq!(heard.len() as u64, (frames as u64 * u64::from(to)).div_ceil(u64::from(from)));
                let clean = sine(to, heard.len());
                let margin = to as usize / 100;
                if heard.len() > 4 * margin {
                    let error = clean.iter().zip(&heard).skip(margin).take(heard.len() - 2 * margin);
                    let worst = error.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                    // Half a frame of 1 kHz at 44.1 kHz is 0.036 of its 0.5.
                    assert!(worst < 0.04 * 44_100.0 / to.min(44_100) as f32, "{from}->{to}: {worst}");
                }
            }
        }
    }

    #[test]
    fn what_the_slower_rate_cannot_hold_is_left_out() {
        let mut converter = Converter::new(Format::DEFAULT, Format::NARROW).unwrap();
        let w = 6000.0 * std::f64::consts::TAU / 44_100.0;
        let high: Vec<i16> = (0..44_100).map(|n| ((f64::from(n) * w).sin() * 16_000.0) as i16).collect();
        let mut worst = 0;
        converter.push(&high, &mut |s| {
            worst = worst.max(s.iter().skip(100).map(|s| s.unsigned_abs()).max().unwrap_or(0));
        });
        assert!(worst < 16, "{worst}");
    }

    #[test]
    fn a_quick_pull_delays_by_less_than_a_millisecond() {
        for (from, to) in
            [(48_000, 44_100), (44_100, 48_000), (96_000, 44_100), (192_000, 44_100), (8_000, 44_100)]
        {
            let mut pull = Pull::quick(from, to, 1).unwrap();
            let mut fed = 0;
            let mut heard = vec![0.0; 4000];
            pull.pull(&mut heard, |feed| {
                feed.fill(1.0);
                fed += feed.len();
            });
            let half = heard.iter().position(|s| *s > 0.5).unwrap();
            let ms = half as f64 * 1e3 / f64::from(to);
            assert!(ms < if from == 8_000 { 4.1 } else { 0.8 }, "{from}->{to}: {ms} ms");
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
