//! The format of sound: sample rate and channels of 16-bit linear PCM, and the arithmetic on it.
//!
//! A *frame* is one sample for each channel. Inside the engine sound is interleaved `i16`, and interleaved
//! `f32` in [-1, 1) where it is mixed; the two convert into each other without loss.

use std::time::Duration;

use super::error::{Error, Result};

/// Sample rate and channel count of a stream of 16-bit samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    rate: u32,
    channels: u16,
}

impl Format {
    /// 44.1 kHz mono: the original's sound, and RTP's static payload type 11 (RFC 3551 §6).
    pub const DEFAULT: Self = Self { rate: 44_100, channels: 1 };

    /// The same in stereo: payload type 10.
    pub const STEREO: Self = Self { rate: 44_100, channels: 2 };

    /// 8 kHz mono: the telephone's.
    pub const NARROW: Self = Self { rate: 8_000, channels: 1 };

    /// What Opus is decoded to: 48 kHz, mono or stereo.
    pub const fn opus(channels: usize) -> Self {
        Self { rate: 48_000, channels: if channels == 2 { 2 } else { 1 } }
    }

    /// A format of `rate` Hz (8,000 to 192,000) and 1 or 2 channels.
    pub fn new(rate: u32, channels: u16) -> Result<Self> {
        if !(8_000..=192_000).contains(&rate) {
            return Err(Error::config(format!("rate must be 8000 to 192000 Hz, not {rate}")));
        }
        if !(1..=2).contains(&channels) {
            return Err(Error::config(format!("channels must be 1 (mono) or 2 (stereo), not {channels}")));
        }
        Ok(Self { rate, channels })
    }

    /// Frames a second.
    pub const fn rate(self) -> u32 {
        self.rate
    }

    /// Samples in a frame.
    pub const fn channels(self) -> usize {
        self.channels as usize
    }

    /// Whole frames in `time`, rounded down: 10 ms of 44.1 kHz are 441, 5 ms are 220, 2.5 ms are 110.
    pub fn frames(self, time: Duration) -> usize {
        (time.as_micros() * u128::from(self.rate) / 1_000_000) as usize
    }

    /// Bytes of one frame.
    pub const fn frame_bytes(self) -> usize {
        self.channels as usize * 2
    }

    /// How long `frames` take, to the nearest microsecond.
    pub fn duration(self, frames: u64) -> Duration {
        // Divided in 64 bits where that is enough, which is nearly always: many are asked for in each pull.
        let rate = u64::from(self.rate);
        Duration::from_micros(match frames.checked_mul(1_000_000).and_then(|us| us.checked_add(rate / 2)) {
            Some(us) => us / rate,
            None => ((u128::from(frames) * 1_000_000 + u128::from(rate / 2)) / u128::from(rate)) as u64,
        })
    }
}

impl Default for Format {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A 16-bit sample as a float in [-1, 1): exact.
pub fn to_f32(sample: i16) -> f32 {
    f32::from(sample) / 32_768.0
}

/// The nearest 16-bit sample, saturating; the inverse of [`to_f32`].
pub fn to_i16(sample: f32) -> i16 {
    // `as` saturates, and takes a NaN to zero.
    (sample * 32_768.0).round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_survives_the_way_through_f32() {
        for s in i16::MIN..=i16::MAX {
            assert_eq!(to_i16(to_f32(s)), s);
        }
    }

    #[test]
    fn block_lengths_are_the_originals() {
        let f = Format::DEFAULT;
        assert_eq!(f.frames(Duration::from_millis(10)), 441);
        assert_eq!(f.frames(Duration::from_millis(5)), 220);
        assert_eq!(f.frames(Duration::from_micros(2_500)), 110);
    }
}
