//! Concealment: sound in the place of packets that are not there.
//!
//! Guaranteed: whatever the input, the output is finite and no louder than one and a half times the peak of the
//! sound around the hole; silence stays silence; a long hole fades to silence and stays there. Nothing is allocated
//! after construction; no clock, no state between holes: the same input gives the same output.
//!
//! Not guaranteed: time. [`Tier`] is an argument, for whoever measures.
//!
//! An autoregressive model whose order spans a pitch period is fitted by Burg's method to the sound before the hole
//! and, where it is known, behind it. Between two edges the hole is filled by least squares, beyond one the sound is
//! continued by prediction. The channels are concealed each for itself.

use std::f64::consts::FRAC_PI_2;
use std::sync::Arc;
use std::time::Duration;

use super::burg::Burg;
use super::interpolate::Interpolator;
use super::kernel::Kernel;
use super::repetition::{Repetition, repeated, repeated_backwards};
use crate::engine::exact::{power, sin};
use crate::engine::format::Format;

/// How dear concealment may be, dearest and best first. The number is the model's order at 44.1 kHz; at other rates it
/// spans the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// 10 ms: a deep voice's pitch period.
    #[default]
    Ar440,
    /// 5.8 ms: a high voice's pitch period.
    Ar256,
    /// 2.9 ms.
    Ar128,
    /// 1.5 ms: the vocal tract alone.
    Ar64,
    /// No model: the last pitch period is repeated.
    Pitch,
}

impl Tier {
    /// All tiers, dearest first.
    pub const ALL: [Self; 5] = [Self::Ar440, Self::Ar256, Self::Ar128, Self::Ar64, Self::Pitch];

    /// The next cheaper tier; the cheapest is its own.
    #[must_use]
    pub fn cheaper(self) -> Self {
        Self::ALL[(self as usize + 1).min(Self::ALL.len() - 1)]
    }

    /// The next dearer tier; the dearest is its own.
    #[must_use]
    pub fn dearer(self) -> Self {
        Self::ALL[(self as usize).saturating_sub(1)]
    }

    /// The longest hole, in frames at `rate` Hz, that is filled by least squares: their cost grows with its square,
    /// whatever the order, and both sides have little to say about the middle of a longer one.
    fn longest_fill(self, rate: u32) -> usize {
        let ms = match self {
            Self::Ar440 | Self::Pitch => LONGEST_FILL_MS,
            Self::Ar256 => 25,
            Self::Ar128 => 20,
            Self::Ar64 => 15,
        };
        rate as usize * ms / 1_000
    }

    /// The model's order at `rate` Hz; zero where there is no model.
    pub fn order(self, rate: u32) -> usize {
        let order = match self {
            Self::Ar440 => 440,
            Self::Ar256 => 256,
            Self::Ar128 => 128,
            Self::Ar64 => 64,
            Self::Pitch => return 0,
        };
        (order * rate as usize + 22_050) / 44_100
    }
}

/// Conceals holes in sound of one format.
pub struct Concealer {
    rate: u32,
    channels: usize,
    hold: usize,
    silent_after: usize,
    edge: usize,
    join: usize,
    burg: Burg,
    interpolator: Interpolator,
    repetition: Repetition,
    past: Window,
    future: Window,
    voice: Box<[f32]>,
    rise: Box<[f32]>,
    /// Holes that were modelled since somebody looked, and the time that all concealment took.
    modelled: u32,
    took: Duration,
    watch: Option<Watch>,
}

/// Tells how long something has been going on.
pub type Watch = Arc<dyn Fn() -> Duration + Send + Sync>;

impl Concealer {
    /// All scratch for sound of `format` (about half a megabyte at 44.1 kHz).
    pub fn new(format: Format) -> Self {
        let frames = |ms: usize| format.rate() as usize * ms / 1_000;
        let kernel = Kernel::detect();
        let order = one_sided(Tier::Ar440.order(format.rate()));
        let (past, future) = (frames(PAST_MS), frames(FUTURE_MS));
        Self {
            rate: format.rate(),
            channels: format.channels(),
            hold: frames(HOLD_MS),
            silent_after: frames(SILENT_AFTER_MS),
            edge: frames(EDGE_MS),
            join: frames(JOIN_MS),
            burg: Burg::new(kernel, past, future, order),
            interpolator: Interpolator::new(kernel, frames(LONGEST_FILL_MS), frames(SILENT_AFTER_MS), order),
            repetition: Repetition::new(kernel, format.rate(), past),
            past: Window::new(past),
            future: Window::new(future),
            voice: vec![0.0; frames(SILENT_AFTER_MS)].into(),
            rise: vec![0.0; frames(EDGE_MS)].into(),
            modelled: 0,
            took: Duration::ZERO,
            watch: None,
        }
    }

    /// From now on the time is taken with `watch`.
    pub fn set_watch(&mut self, watch: Watch) {
        self.watch = Some(watch);
    }

    /// How long concealment took since this was asked last; zero without a watch.
    pub fn take_time(&mut self) -> Duration {
        std::mem::take(&mut self.took)
    }

    /// How often sound was modelled, which is dear, since this was asked last.
    pub fn take_modelled(&mut self) -> u32 {
        std::mem::take(&mut self.modelled)
    }

    /// How many frames of past are looked at; more are welcome and ignored.
    pub fn past_frames(&self) -> usize {
        self.past.samples.len()
    }

    /// How many frames of future are looked at; more are welcome and ignored.
    pub fn future_frames(&self) -> usize {
        self.future.samples.len()
    }

    /// How long a join is, in frames.
    pub fn join_frames(&self) -> usize {
        self.join
    }

    /// Continues `past` into `out`. All sound is interleaved; a shorter past serves less well.
    ///
    /// `already` frames at the end of `past` were themselves made by this method for the same hole: their fade goes on.
    pub fn extrapolate(&mut self, past: &[f32], already: usize, out: &mut [f32], tier: Tier) {
        self.timed(|own| own.extend(past, already, out, tier));
    }

    fn extend(&mut self, past: &[f32], already: usize, out: &mut [f32], tier: Tier) {
        self.modelled += u32::from(tier != Tier::Pitch);
        let twin = self.twin_channels(past, &[]);
        for channel in 0..self.channels {
            if channel == 1 && twin {
                copy_first_channel(out);
                break;
            }
            self.past.take_last(past, channel, self.channels);
            self.continue_past(already, out.len() / self.channels, tier);
            let gains = (already..).map(|frame| self.gain(frame));
            let voice = self.voice.iter().copied().chain(std::iter::repeat(0.0));
            for ((out, x), gain) in channel_of(out, channel, self.channels).zip(voice).zip(gains) {
                *out = x * gain;
            }
        }
    }

    /// Fills `out`, the whole rest of a hole, between `past` and `future`, the sound that follows it directly.
    ///
    /// `already` frames at the end of `past` were made by [`extrapolate`](Self::extrapolate) for the same hole and have
    /// been heard: what is filled now begins where they ended.
    pub fn interpolate(&mut self, past: &[f32], future: &[f32], already: usize, out: &mut [f32], tier: Tier) {
        self.timed(|own| own.connect(past, future, already, out, tier));
    }

    fn connect(&mut self, past: &[f32], future: &[f32], already: usize, out: &mut [f32], tier: Tier) {
        if future.len() < self.channels {
            self.extend(past, already, out, tier);
            return;
        }
        if out.len() / self.channels > tier.longest_fill(self.rate) {
            self.bridge(past, future, already, out, tier);
            return;
        }
        self.modelled += u32::from(tier != Tier::Pitch);
        let twin = self.twin_channels(past, future);
        for channel in 0..self.channels {
            if channel == 1 && twin {
                copy_first_channel(out);
                break;
            }
            self.past.take_last(past, channel, self.channels);
            self.future.take_first(future, channel, self.channels);
            self.fill(already, out.len() / self.channels, tier);
            for (out, x) in channel_of(out, channel, self.channels).zip(&self.voice) {
                *out = *x;
            }
        }
    }

    fn timed(&mut self, work: impl FnOnce(&mut Self)) {
        let began = self.watch.as_ref().map(|watch| watch());
        work(self);
        if let (Some(watch), Some(began)) = (&self.watch, began) {
            self.took += watch().saturating_sub(began);
        }
    }

    /// Fades from `continuation`, which was to be heard, into the beginning of `follows`, which has come after all: as
    /// long as the shortest of both and [`join_frames`](Self::join_frames).
    pub fn join(&mut self, continuation: &[f32], follows: &mut [f32]) {
        let frames = self.join.min(continuation.len().min(follows.len()) / self.channels);
        let frame_pairs =
            continuation.chunks_exact(self.channels).zip(follows.chunks_exact_mut(self.channels));
        for (n, (old, new)) in frame_pairs.take(frames).enumerate() {
            let w = rise(n, frames);
            for (old, new) in old.iter().zip(new) {
                let old = if old.is_finite() { *old } else { 0.0 };
                *new = old + w * (*new - old);
            }
        }
    }

    /// A hole too long to be filled as one: out of the past, and shortly before the future into it.
    fn bridge(&mut self, past: &[f32], future: &[f32], already: usize, out: &mut [f32], tier: Tier) {
        self.extend(past, already, out, tier);
        let first = out.len() / self.channels - self.edge;
        for channel in 0..self.channels {
            self.past.take_last(past, channel, self.channels);
            self.future.take_first(future, channel, self.channels);
            self.lead_in(already, tier);
            for (n, out) in channel_of(out, channel, self.channels).skip(first).enumerate() {
                let w = rise(n, self.edge);
                *out += w * (self.rise[n] - *out);
            }
        }
    }

    /// One channel's continuation without its fade, into `voice`.
    fn continue_past(&mut self, already: usize, frames: usize, tier: Tier) {
        let frames = frames.min(self.silent_after.saturating_sub(already));
        self.voice.fill(0.0);
        if frames == 0 || self.past.is_silent() {
            return;
        }
        // What was heard of this hole has faded already: the model sees it as it was before.
        let len = self.past.len;
        for back in 1..=already.min(len) {
            let gain = self.gain(already - back).max(FAINTEST);
            self.past.samples[len - back] /= gain;
        }
        let bound = self.past.peak() * LOUDEST;
        let past = &self.past.samples[..len];
        let voice = &mut self.voice[..frames];
        let order = one_sided(tier.order(self.rate));
        if order > 0 {
            self.burg.fit(past, already, &[], order);
        }
        if order > 0 && self.burg.order() >= LEAST_ORDER {
            self.interpolator.extend(&self.burg, past.iter().copied(), voice);
        } else {
            let period = self.repetition.period(past);
            for (n, x) in voice.iter_mut().enumerate() {
                *x = repeated(past, period, n);
            }
        }
        limit(voice, bound);
    }

    /// One channel's hole, into `voice`.
    fn fill(&mut self, already: usize, frames: usize, tier: Tier) {
        let (past, future) = (self.past.all(), self.future.all());
        let voice = &mut self.voice[..frames];
        voice.fill(0.0);
        if self.past.is_silent() && self.future.is_silent() {
            return;
        }
        let reach = if self.interpolator.needs_little_future(frames) { usize::MAX } else { future.len() };
        let order = tier.order(self.rate).min(past.len()).min(reach);
        let mut done = false;
        if order >= LEAST_ORDER {
            self.burg.fit(past, already, future, order);
            done =
                self.burg.order() >= LEAST_ORDER && self.interpolator.fill(&self.burg, past, future, voice);
        }
        if !done {
            let period = self.repetition.period(past);
            for (n, x) in voice.iter_mut().enumerate() {
                let before = repeated(past, period, n);
                let behind = repeated_backwards(future, period, frames - 1 - n);
                *x = before + rise(n, frames) * (behind - before);
            }
        }
        limit(voice, self.past.peak().max(self.future.peak()) * LOUDEST);
    }

    /// What leads into one channel's future, into `rise`, without its fade.
    fn lead_in(&mut self, already: usize, tier: Tier) {
        let (past, future) = (self.past.all(), self.future.all());
        self.rise.fill(0.0);
        if self.future.is_silent() {
            return;
        }
        let order = tier.order(self.rate).min(future.len());
        if order >= LEAST_ORDER {
            self.burg.fit(past, already, future, order);
        }
        if order >= LEAST_ORDER && self.burg.order() >= LEAST_ORDER {
            // A predictor fits its sound backwards in time just as well.
            self.interpolator.extend(&self.burg, future.iter().rev().copied(), &mut self.rise);
        } else {
            let period = self.repetition.period(future);
            for (n, x) in self.rise.iter_mut().enumerate() {
                *x = repeated_backwards(future, period, n);
            }
        }
        self.rise.reverse();
        limit(&mut self.rise, self.future.peak() * LOUDEST);
    }

    /// How loud frame `frame` of a hole is that only its past is known of.
    fn gain(&self, frame: usize) -> f32 {
        let left = self.silent_after.saturating_sub(frame) as f32;
        (left / (self.silent_after - self.hold) as f32).min(1.0)
    }

    /// Whether both channels of all that matters are the same: then one is concealed, and the other copied.
    fn twin_channels(&self, past: &[f32], future: &[f32]) -> bool {
        let past = &past[past.len() - past.len().min(self.past.samples.len() * self.channels)..];
        let future = &future[..future.len().min(self.future.samples.len() * self.channels)];
        self.channels == 2
            && [past, future].iter().all(|s| s.chunks_exact(2).all(|f| f[0].to_bits() == f[1].to_bits()))
    }
}

/// One channel of the sound on one side of a hole: finite and of a bounded size.
struct Window {
    samples: Box<[f32]>,
    len: usize,
}

impl Window {
    fn new(capacity: usize) -> Self {
        Self { samples: vec![0.0; capacity].into(), len: 0 }
    }

    fn take_last(&mut self, sound: &[f32], channel: usize, channels: usize) {
        let frames = sound.len() / channels;
        let skip = sound.len() % channels + frames.saturating_sub(self.samples.len()) * channels;
        self.take_first(&sound[skip..], channel, channels);
    }

    fn take_first(&mut self, sound: &[f32], channel: usize, channels: usize) {
        self.len = (sound.len() / channels).min(self.samples.len());
        for (x, frame) in self.samples.iter_mut().zip(sound.chunks_exact(channels)) {
            *x = if frame[channel].is_finite() { frame[channel].clamp(-BEYOND_ALL, BEYOND_ALL) } else { 0.0 };
        }
    }

    fn all(&self) -> &[f32] {
        &self.samples[..self.len]
    }

    fn peak(&self) -> f32 {
        self.all().iter().fold(0.0, |peak, x| x.abs().max(peak))
    }

    fn is_silent(&self) -> bool {
        self.peak() < INAUDIBLE
    }
}

fn channel_of(out: &mut [f32], channel: usize, channels: usize) -> impl Iterator<Item = &mut f32> {
    out.iter_mut().skip(channel).step_by(channels)
}

fn copy_first_channel(out: &mut [f32]) {
    for frame in out.chunks_exact_mut(2) {
        frame[1] = frame[0];
    }
}

fn limit(sound: &mut [f32], bound: f32) {
    for x in sound {
        // Infinities are bounded, what is not a number is silent.
        *x = if x.is_nan() { 0.0 } else { x.clamp(-bound, bound) };
    }
}

/// A squared sine from 0 to 1.
fn rise(n: usize, frames: usize) -> f32 {
    let phase = (n as f32 + 0.5) / frames as f32;
    power(sin(f64::from(phase) * FRAC_PI_2), 2) as f32
}

/// A one-sided model has no equations to solve and can afford a little more than a pitch period: in bursts of 3 worth
/// 0.04 PESQ.
fn one_sided(order: usize) -> usize {
    order * 7 / 6
}

/// Three to six pitch periods; 20 ms and 40 ms are both worse.
const PAST_MS: usize = 30;

/// Two packets of the usual length; the model gains little from more.
const FUTURE_MS: usize = 20;

/// How long a one-sided continuation keeps its loudness.
const HOLD_MS: usize = 15;

/// When it has fallen silent.
const SILENT_AFTER_MS: usize = 70;

/// The longest hole that is filled as one.
const LONGEST_FILL_MS: usize = 30;

/// How long before the far side of a longer hole the sound comes back.
const EDGE_MS: usize = 10;

/// How long the fade into late sound takes.
const JOIN_MS: usize = 5;

/// A model below this order predicts nothing.
const LEAST_ORDER: usize = 4;

/// Nothing is concealed louder than this, against the peak of the sound around.
const LOUDEST: f32 = 1.5;

/// The strongest fade that is undone.
const FAINTEST: f32 = 0.05;

/// A third of a step of 16 bits.
const INAUDIBLE: f32 = 1e-5;

/// Twelve decibels over full scale: what is more was never sound.
const BEYOND_ALL: f32 = 4.0;

#[cfg(test)]
#[path = "conceal_tests.rs"]
mod tests;
