//! Between a device's samples and the stream's: type, channels, rate. Where nothing differs, not a bit does.

use std::time::Duration;

use crate::engine::error::Result;
use crate::engine::format::{Format, to_f32, to_i16};

use crate::engine::rate::{Pull, Push};

/// What a device was opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) rate: u32,
    pub(super) channels: usize,
}

impl Layout {
    /// How long so many interleaved samples take.
    pub(super) fn time_of(self, samples: usize) -> Duration {
        let frames = (samples / self.channels) as u64;
        Duration::from_micros(frames * 1_000_000 / u64::from(self.rate))
    }
}

/// A device's sample type.
pub(super) trait Sample: Copy + 'static {
    fn float(self) -> f32;
    fn from_float(value: f32) -> Self;
    /// The slice itself where the type is the stream's own.
    fn as_i16(_: &[Self]) -> Option<&[i16]> {
        None
    }
    /// The slice itself where the type is the render's own.
    fn as_f32(_: &mut [Self]) -> Option<&mut [f32]> {
        None
    }
}

impl Sample for i16 {
    fn float(self) -> f32 {
        to_f32(self)
    }
    fn from_float(value: f32) -> Self {
        to_i16(value)
    }
    fn as_i16(samples: &[Self]) -> Option<&[i16]> {
        Some(samples)
    }
}

impl Sample for f32 {
    fn float(self) -> f32 {
        self
    }
    fn from_float(value: f32) -> Self {
        value
    }
    fn as_f32(samples: &mut [Self]) -> Option<&mut [f32]> {
        Some(samples)
    }
}

impl Sample for i32 {
    fn float(self) -> f32 {
        self as f32 / 2_147_483_648.0
    }
    fn from_float(value: f32) -> Self {
        // `as` saturates.
        (value * 2_147_483_648.0) as Self
    }
}

/// From the device: pieces of any size in, the stream's `i16` out.
pub(super) struct Intake {
    device: Layout,
    format: Format,
    resampler: Option<Push>,
    floats: Box<[f32]>,
    ints: Box<[i16]>,
}

impl Intake {
    pub(super) fn new(device: Layout, format: Format) -> Result<Self> {
        let channels = format.channels();
        let resampler = (device.rate != format.rate())
            .then(|| Push::new(device.rate, format.rate(), channels))
            .transpose()?;
        Ok(Self {
            device,
            format,
            resampler,
            floats: vec![0.0; PIECE_FRAMES * channels].into(),
            ints: vec![0; PIECE_FRAMES * channels].into(),
        })
    }

    /// Frames of the stream that the conversion delays the sound by.
    pub(super) fn delay(&self) -> usize {
        self.resampler.as_ref().map_or(0, Push::delay)
    }

    /// How long so many interleaved device samples take.
    pub(super) fn time_of(&self, samples: usize) -> Duration {
        self.device.time_of(samples)
    }

    /// Converts interleaved device samples; `deliver` gets whole frames of the stream, once or more.
    pub(super) fn push<S: Sample>(&mut self, samples: &[S], mut deliver: impl FnMut(&[i16])) {
        let channels = self.format.channels();
        if self.resampler.is_none()
            && channels == self.device.channels
            && let Some(same) = S::as_i16(samples)
        {
            deliver(same);
            return;
        }
        for piece in samples.chunks(PIECE_FRAMES * self.device.channels) {
            let mut used = 0;
            for (from, to) in
                piece.chunks_exact(self.device.channels).zip(self.floats.chunks_exact_mut(channels))
            {
                gather(from, to);
                used += channels;
            }
            let ints = &mut self.ints;
            let mut round = |floats: &[f32]| {
                for part in floats.chunks(ints.len()) {
                    for (i, f) in ints.iter_mut().zip(part) {
                        *i = to_i16(*f);
                    }
                    deliver(&ints[..part.len()]);
                }
            };
            match &mut self.resampler {
                Some(resampler) => resampler.push(&self.floats[..used], round),
                None => round(&self.floats[..used]),
            }
        }
    }
}

/// To the device: pieces of any size asked for, the render's `f32` pulled for them.
pub(super) struct Outlet {
    device: Layout,
    format: Format,
    resampler: Option<Pull>,
    floats: Box<[f32]>,
}

impl Outlet {
    pub(super) fn new(device: Layout, format: Format) -> Result<Self> {
        let channels = format.channels();
        let resampler = (device.rate != format.rate())
            .then(|| Pull::new(format.rate(), device.rate, channels))
            .transpose()?;
        Ok(Self { device, format, resampler, floats: vec![0.0; PIECE_FRAMES * channels].into() })
    }

    /// Frames of the stream that may be asked for beyond what the device plays.
    pub(super) fn appetite(&self) -> usize {
        self.resampler.as_ref().map_or(0, Pull::appetite)
    }

    /// Fills interleaved device samples; `render` fills whole frames of the stream, once or more.
    ///
    /// All pieces of one call are asked for at one moment, and that moment is what `render` should say: sound that comes
    /// while the device plays the first piece is too late for the second.
    pub(super) fn pull<S: Sample>(&mut self, out: &mut [S], mut render: impl FnMut(&mut [f32])) {
        let channels = self.format.channels();
        if self.resampler.is_none()
            && channels == self.device.channels
            && let Some(same) = S::as_f32(out)
        {
            render(same);
            return;
        }
        for piece in out.chunks_mut(PIECE_FRAMES * self.device.channels) {
            let frames = piece.len() / self.device.channels;
            let floats = &mut self.floats[..frames * channels];
            match &mut self.resampler {
                Some(resampler) => resampler.pull(floats, &mut render),
                None => render(floats),
            }
            for (from, to) in floats.chunks_exact(channels).zip(piece.chunks_exact_mut(self.device.channels))
            {
                scatter(from, to);
            }
        }
    }
}

/// A stream's frame from a device's: the first two channels count; one becomes two, two become their mean.
fn gather<S: Sample>(from: &[S], to: &mut [f32]) {
    match (from, to) {
        ([one], to) => to.fill(one.float()),
        ([left, right, ..], [one]) => *one = f32::midpoint(left.float(), right.float()),
        (from, to) => {
            for (t, f) in to.iter_mut().zip(from) {
                *t = f.float();
            }
        }
    }
}

/// A device's frame from a stream's: one becomes two, two become their mean on a device of one; the rest is silent.
fn scatter<S: Sample>(from: &[f32], to: &mut [S]) {
    match (from, to) {
        ([left, right], [one]) => *one = S::from_float(f32::midpoint(*left, *right)),
        ([one], to) => {
            let (front, rest) = to.split_at_mut(to.len().min(2));
            front.fill(S::from_float(*one));
            rest.fill(S::from_float(0.0));
        }
        (from, to) => {
            for (index, t) in to.iter_mut().enumerate() {
                *t = S::from_float(from.get(index).copied().unwrap_or(0.0));
            }
        }
    }
}

/// The most frames converted at once; larger callbacks go in pieces.
const PIECE_FRAMES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn intake<S: Sample>(device: Layout, format: Format, samples: &[S]) -> Vec<i16> {
        let mut got = Vec::new();
        Intake::new(device, format).unwrap().push(samples, |s| got.extend_from_slice(s));
        got
    }

    fn mono() -> Format {
        Format::DEFAULT
    }

    fn stereo() -> Format {
        Format::new(44_100, 2).unwrap()
    }

    #[test]
    fn what_need_not_be_converted_is_not_changed() {
        let all: Vec<i16> = (i16::MIN..=i16::MAX).collect();
        let floats: Vec<f32> = all.iter().map(|s| to_f32(*s)).collect();
        let layout = Layout { rate: 44_100, channels: 1 };
        assert_eq!(intake(layout, mono(), &all), all);
        assert_eq!(intake(layout, mono(), &floats), all);
        let wide: Vec<i32> = all.iter().map(|s| i32::from(*s) << 16).collect();
        assert_eq!(intake(layout, mono(), &wide), all);

        let mut outlet = Outlet::new(layout, mono()).unwrap();
        let mut out = vec![0i16; all.len()];
        let mut at = 0;
        outlet.pull(&mut out, |buffer| {
            buffer.copy_from_slice(&floats[at..at + buffer.len()]);
            at += buffer.len();
        });
        assert_eq!(out, all);
    }

    #[test]
    fn one_channel_becomes_two_and_two_become_their_mean() {
        let two = Layout { rate: 44_100, channels: 2 };
        let four = Layout { rate: 44_100, channels: 4 };
        let one = Layout { rate: 44_100, channels: 1 };
        assert_eq!(intake(two, mono(), &[10i16, 20, -4, -8]), [15, -6]);
        assert_eq!(intake(four, mono(), &[10i16, 20, 99, 99]), [15]);
        assert_eq!(intake(four, stereo(), &[10i16, 20, 99, 99]), [10, 20]);
        assert_eq!(intake(one, stereo(), &[7i16, 8]), [7, 7, 8, 8]);

        let mut out = [9i16; 4];
        Outlet::new(four, mono()).unwrap().pull(&mut out, |b| b.fill(to_f32(5)));
        assert_eq!(out, [5, 5, 0, 0]);
        let mut out = [9i16; 1];
        Outlet::new(one, stereo()).unwrap().pull(&mut out, |b| b.copy_from_slice(&[to_f32(10), to_f32(20)]));
        assert_eq!(out, [15]);
    }

    #[test]
    fn conversion_allocates_nothing() {
        let layout = Layout { rate: 48_000, channels: 2 };
        let mut intake = Intake::new(layout, mono()).unwrap();
        let mut outlet = Outlet::new(layout, mono()).unwrap();
        let piece = vec![0.25f32; 2 * 3000];
        let mut out = vec![0i16; 2 * 3000];
        let mut frames = 0;
        for _ in 0..10 {
            assert_no_alloc::assert_no_alloc(|| {
                intake.push(&piece, |s| frames += s.len());
                outlet.pull(&mut out, |b| b.fill(0.25));
            });
        }
        assert!((frames as i64 - 30_000 * 147 / 160).abs() < 200);
        assert!((i32::from(out[5999]) - 8192).abs() < 4);
    }
}
