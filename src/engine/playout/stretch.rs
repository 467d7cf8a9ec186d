//! Makes sound shorter or longer by one pitch period, where that is least heard (WSOLA, as in `NetEq`'s accelerate and
//! preemptive expand).
//!
//! Guaranteed: what is outside the join is copied bit by bit, first and last frame included; the join is a cross-fade of two
//! stretches that are alike, never a jump; all channels are joined alike; no allocation after construction. A join takes
//! the first two periods of what it is given.

use crate::engine::exact::power;

/// Removes and adds periods of one stream's sound.
pub struct Stretcher {
    channels: usize,
    /// The shortest and longest period in frames: 2.5 and 15 ms.
    least: usize,
    most: usize,
    /// Frames that the coarse search takes as one.
    coarse: usize,
    thinned: Box<[f32]>,
    /// How loud sound was lately, as a mean square that falls slowly.
    loud: f32,
    fall: f32,
}

/// Where a join is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// In pauses only.
    InPauses,
    /// In pauses, and where two periods are nearly the same.
    WhereAlike,
    /// Here, at the best period there is.
    Now,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stretched {
    /// Frames written.
    pub frames: usize,
    /// Frames removed or added; zero where the sound was copied as it was.
    pub changed: usize,
}

/// A period, and how alike the sound is to itself one period later, -1 to 1.
#[derive(Clone, Copy)]
struct Period {
    frames: usize,
    likeness: f32,
}

impl Stretcher {
    /// For sound of `rate` Hz and `channels` channels.
    pub fn new(rate: u32, channels: usize) -> Self {
        let rate = rate.max(8_000) as usize;
        let (least, most) = (rate / 400, rate * 3 / 200);
        let coarse = (rate / COARSE_RATE).max(1);
        Self {
            channels: channels.max(1),
            least,
            most,
            coarse,
            thinned: vec![0.0; 2 * most / coarse].into(),
            loud: 0.0,
            fall: 1.0 - 1.0 / (2.0 * rate as f32),
        }
    }

    /// The most frames that one call removes or adds; twice as many are enough to look for any period.
    pub fn longest(&self) -> usize {
        self.most
    }

    /// Takes note of sound that is heard, so that pauses are known by comparison.
    pub fn hear(&mut self, block: &[f32]) {
        let frames = block.len() / self.channels;
        self.loud = mean_square(block).max(self.loud * power(self.fall, frames.min(1 << 20) as u32));
        if !self.loud.is_finite() {
            self.loud = 0.0;
        }
    }

    /// Copies `input` (interleaved) to `out`, shorter by one period of at most `at_most` frames. `out` holds all of `input`
    /// at least.
    pub fn accelerate(
        &mut self,
        input: &[f32],
        out: &mut [f32],
        at_most: usize,
        urgency: Urgency,
    ) -> Stretched {
        let Some(period) = self.join(input, at_most, urgency) else {
            return copied(input, out, self.channels);
        };
        let one = period.frames * self.channels;
        // The first period fades into the second; the rest follows.
        fade(&input[..one], &input[one..2 * one], &mut out[..one], self.channels, period.likeness);
        let rest = input.len() - one;
        out[one..rest].copy_from_slice(&input[2 * one..]);
        Stretched { frames: rest / self.channels, changed: period.frames }
    }

    /// Copies `input` to `out`, longer by one period of at most `at_most` frames. `out` holds `input` and
    /// [`longest`](Self::longest) frames more at least, or else the sound is copied as it is.
    pub fn expand(&mut self, input: &[f32], out: &mut [f32], at_most: usize, urgency: Urgency) -> Stretched {
        let room = out.len().saturating_sub(input.len()) / self.channels;
        let Some(period) = self.join(input, at_most.min(room), urgency) else {
            return copied(input, out, self.channels);
        };
        let one = period.frames * self.channels;
        // The second period fades into the first, which is so heard twice.
        out[..one].copy_from_slice(&input[..one]);
        fade(&input[one..2 * one], &input[..one], &mut out[one..2 * one], self.channels, period.likeness);
        out[2 * one..input.len() + one].copy_from_slice(&input[one..]);
        Stretched { frames: input.len() / self.channels + period.frames, changed: period.frames }
    }

    /// The period to join at, where the sound and the urgency allow one.
    fn join(&mut self, input: &[f32], at_most: usize, urgency: Urgency) -> Option<Period> {
        let most = self.most.min(at_most).min(input.len() / self.channels / 2);
        if most < self.least {
            return None;
        }
        let near = &input[..2 * most * self.channels];
        let power = mean_square(near);
        if power == 0.0 {
            return Some(Period { frames: most, likeness: 1.0 });
        }
        if !power.is_finite() {
            return None;
        }
        let quiet = power < SILENT || power < self.loud * QUIET;
        if urgency == Urgency::InPauses && !quiet {
            return None;
        }
        let period = self.search(near, most);
        (quiet || urgency == Urgency::Now || period.likeness >= ALIKE).then_some(period)
    }

    /// The period at which the first and the second are most alike: coarsely, then to the frame.
    fn search(&mut self, near: &[f32], most: usize) -> Period {
        let step = self.coarse * self.channels;
        let count = near.len() / step;
        for (thin, group) in self.thinned.iter_mut().zip(near.chunks_exact(step)) {
            *thin = group.iter().sum();
        }
        let thinned = &self.thinned[..count];
        let best = |range: std::ops::RangeInclusive<usize>, sound: &[f32], channels: usize| {
            let candidates = range.map(|frames| {
                // Over all that there is, not over one period: a decaying tone is like itself at any short lag.
                let lag = frames * channels;
                Period { frames, likeness: likeness(&sound[..sound.len() - lag], &sound[lag..]) }
            });
            candidates.max_by(|a, b| a.likeness.total_cmp(&b.likeness))
        };
        let shortest = Period { frames: self.least, likeness: 0.0 };
        let rough = best(self.least.div_ceil(self.coarse)..=count / 2, thinned, 1).unwrap_or(shortest);
        let middle = (rough.frames * self.coarse).clamp(self.least, most);
        let range = middle.saturating_sub(self.coarse).max(self.least)..=(middle + self.coarse).min(most);
        best(range, near, self.channels).unwrap_or(shortest)
    }
}

/// The correlation of two stretches by the mean of their powers: 1 where they are the same, 0 where both are silent.
fn likeness(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [[0.0f32; LANES]; 3];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for lane in 0..LANES {
            sums[0][lane] += a[lane] * b[lane];
            sums[1][lane] += a[lane] * a[lane];
            sums[2][lane] += b[lane] * b[lane];
        }
    }
    let rest = a.chunks_exact(LANES).remainder().iter().zip(b.chunks_exact(LANES).remainder());
    for (a, b) in rest {
        sums[0][0] += a * b;
        sums[1][0] += a * a;
        sums[2][0] += b * b;
    }
    let [ab, aa, bb] = sums.map(|s| s.iter().sum::<f32>());
    let scale = aa + bb;
    if scale > 0.0 { 2.0 * ab / scale } else { 0.0 }
}

/// From `a` to `b`, smoothly, at an even loudness for stretches of this likeness.
fn fade(a: &[f32], b: &[f32], out: &mut [f32], channels: usize, likeness: f32) {
    let both = 2.0 * likeness.clamp(0.0, 1.0);
    let frames = out.len() / channels;
    let sources = a.chunks_exact(channels).zip(b.chunks_exact(channels));
    for (n, (out, (a, b))) in out.chunks_exact_mut(channels).zip(sources).enumerate() {
        let t = n as f32 / frames as f32;
        let rise = t * t * (3.0 - 2.0 * t);
        let fall = 1.0 - rise;
        let scale = 1.0 / (fall * fall + rise * rise + both * fall * rise).sqrt();
        for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
            *out = (a * fall + b * rise) * scale;
        }
    }
}

fn copied(input: &[f32], out: &mut [f32], channels: usize) -> Stretched {
    out[..input.len()].copy_from_slice(input);
    Stretched { frames: input.len() / channels, changed: 0 }
}

fn mean_square(sound: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (blocks, rest) = sound.as_chunks::<LANES>();
    for x in blocks {
        for (sum, x) in sums.iter_mut().zip(x) {
            *sum += x * x;
        }
    }
    for (sum, x) in sums.iter_mut().zip(rest) {
        *sum += x * x;
    }
    sums.iter().sum::<f32>() / sound.len().max(1) as f32
}

/// The coarse search's rate: a voice's pitch is below a tenth of it.
const COARSE_RATE: usize = 5_000;
const LANES: usize = 8;
/// `NetEq`'s threshold: two periods this alike can be joined unheard.
const ALIKE: f32 = 0.9;
/// A pause is this much less than the loudest of some two seconds (-24 dB) …
const QUIET: f32 = 0.004;
/// … or below -66 dBFS.
const SILENT: f32 = 2.5e-7;

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "what is copied is the same to the bit")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: u32 = 44_100;

    fn sine(frequency: f64, frames: usize, channels: usize) -> Vec<f32> {
        let w = std::f64::consts::TAU * frequency / f64::from(RATE);
        (0..frames * channels).map(|n| (0.5 * (w * (n / channels) as f64).sin()) as f32).collect()
    }

    /// A voice-like sound: a pulse train through a decay, slowly changing.
    fn voice(frequency: f64, frames: usize) -> Vec<f32> {
        let mut y = [0.0f64; 2];
        let mut phase = 0.0;
        let next = |n: usize| {
            phase += frequency * (1.0 + 0.02 * (n as f64 * 1e-4).sin()) / f64::from(RATE);
            let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
            phase -= pulse;
            let out = 1.96 * y[0] - 0.965 * y[1] + pulse;
            y = [out, y[0]];
            (out * 0.02) as f32
        };
        (0..frames).map(next).collect()
    }

    fn steepest(sound: &[f32], channels: usize) -> f32 {
        sound[channels..].iter().zip(sound).map(|(b, a)| (b - a).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_sine_is_joined_without_a_kink_and_copied_elsewhere() {
        for frequency in [70.0, 200.0, 440.0, 1000.0, 3300.0] {
            for channels in [1, 2] {
                let mut s = Stretcher::new(RATE, channels);
                let input = sine(frequency, 2646, channels);
                let limit = steepest(&input, channels) * 1.06 + 1e-4;
                let mut out = vec![9.0; input.len() + s.longest() * channels];
                let got = s.accelerate(&input, &mut out, usize::MAX, Urgency::WhereAlike);
                let one = got.changed * channels;
                assert!((110..=661).contains(&got.changed), "{frequency}: {got:?}");
                assert_eq!(got.frames, 2646 - got.changed);
                assert_eq!(out[0], input[0]);
                assert_eq!(out[one..input.len() - one], input[2 * one..]);
                assert!(steepest(&out[..input.len() - one], channels) <= limit, "{frequency}");

                let got = s.expand(&input, &mut out, usize::MAX, Urgency::WhereAlike);
                let one = got.changed * channels;
                assert_eq!(got.frames, 2646 + got.changed);
                assert_eq!(out[..one], input[..one]);
                assert_eq!(out[2 * one..input.len() + one], input[one..]);
                assert!(steepest(&out[..input.len() + one], channels) <= limit, "{frequency}");
            }
        }
    }

    #[test]
    fn a_voice_loses_whole_periods() {
        for pitch in [90.0, 130.0, 220.0] {
            let mut s = Stretcher::new(RATE, 1);
            let input = voice(pitch, 8820);
            let mut out = vec![0.0; 8820];
            let got = s.accelerate(&input[4410..], &mut out, usize::MAX, Urgency::WhereAlike);
            let periods = got.changed as f64 * pitch / f64::from(RATE);
            assert!(got.changed > 0 && (periods - periods.round()).abs() < 0.06, "{pitch}: {periods}");
        }
    }

    #[test]
    fn noise_is_left_alone_until_it_must_not_be_or_is_a_pause() {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from((state >> 16) as i16) / 65_536.0
        };
        let loud: Vec<f32> = (0..1323).map(|_| next()).collect();
        let quiet: Vec<f32> = loud.iter().map(|x| x * 0.01).collect();
        let mut out = vec![0.0; 2000];
        let mut s = Stretcher::new(RATE, 1);
        s.hear(&loud);
        let mut got = |sound: &[f32], urgency| s.accelerate(sound, &mut out, usize::MAX, urgency).changed;
        assert_eq!(got(&loud, Urgency::InPauses), 0);
        assert_eq!(got(&loud, Urgency::WhereAlike), 0);
        assert!(got(&loud, Urgency::Now) > 0);
        assert!(got(&quiet, Urgency::InPauses) > 0);
        assert_eq!(got(&[0.0; 1323], Urgency::InPauses), 661);
    }

    #[test]
    fn no_more_is_changed_than_was_asked() {
        let mut s = Stretcher::new(RATE, 1);
        let input = sine(440.0, 1323, 1);
        let mut out = vec![0.0; 2000];
        for at_most in [0, 50, 109, 110, 200, 400] {
            let got = s.accelerate(&input, &mut out, at_most, Urgency::Now);
            assert!(got.changed <= at_most && (got.changed > 0) == (at_most >= 110), "{got:?}");
        }
        assert_eq!(s.accelerate(&input[..200], &mut out, 999, Urgency::Now).changed, 0);
        assert!(s.accelerate(&input[..441], &mut out, 999, Urgency::Now).changed > 0);
        assert_eq!(s.expand(&input, &mut out[..1323], 999, Urgency::Now).changed, 0);
    }

    proptest! {
        /// Any sound, rate and length: nothing panics, the ends stay, the lengths agree.
        #[test]
        fn the_ends_stay_where_they_are(
            sound in prop::collection::vec(prop_oneof![-1.0f32..1.0, Just(0.0), any::<f32>()], 0..3000),
            rate in 8_000u32..192_001, channels in 1usize..3, at_most in 0usize..4000, shorter: bool,
        ) {
            let mut s = Stretcher::new(rate, channels);
            s.hear(&sound);
            let sound = &sound[..sound.len() / channels * channels];
            let mut out = vec![0.0; sound.len() + s.longest() * channels];
            let got = if shorter {
                s.accelerate(sound, &mut out, at_most, Urgency::Now)
            } else {
                s.expand(sound, &mut out, at_most, Urgency::Now)
            };
            let frames = sound.len() / channels;
            prop_assert_eq!(got.frames, if shorter { frames - got.changed } else { frames + got.changed });
            prop_assert!(got.changed <= at_most);
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            let tail = sound.len().saturating_sub(2 * got.changed * channels);
            let end = got.frames * channels;
            prop_assert_eq!(bits(&out[end - tail..end]), bits(&sound[sound.len() - tail..]));
        }
    }
}
