//! Low-rate Opus of the sound of linear packets, for redundancy beside them: a block for each packet.
//!
//! A block decodes to exactly the sound of its packet. For that the encoder is fed ahead by what it delays, so that a block is
//! made only when the sound after its packet is there: [`Beside::new`] knows how many packets later at most.

use crate::engine::codec::encoder::{Encoder, Settings};
use crate::engine::coding::{Coding, Encoding};
use crate::engine::error::{Error, Result};
use crate::engine::format::Format;
use crate::engine::rate::Converter;
use crate::engine::stream::sender::{MAX_PACKET, OPUS_DELAY, OPUS_FRAMES};
use crate::engine::wire::red;
use crate::engine::wire::rtp::RtpHeader;

/// Encodes the sound of packets beside them.
pub struct Beside {
    encoder: Encoder,
    converter: Converter,
    /// Frames and samples of a packet.
    step: u32,
    samples: usize,
    /// Samples of a block.
    length: usize,
    /// Sound at 48 kHz that is not encoded yet.
    waiting: Vec<i16>,
    block: Vec<u8>,
    /// Where the next packet begins, if it follows the last.
    follows: Option<u32>,
    /// Where the next block begins.
    next: u32,
    /// The next blocks only bring the encoder up to it: so many.
    leading: usize,
}

impl Beside {
    /// Beside packets of `frames` frames each, for blocks that go `spacing` packets later.
    pub fn new(format: Format, frames: usize, spacing: u8) -> Result<Self> {
        let encoding = Encoding { coding: Coding::Opus, format: Format::opus(format.channels()) };
        let block_frames = block_frames(format, frames)?;
        let settings = Settings { bitrate: BITRATE, fec: false, ..Settings::default() };
        let mut encoder = Encoder::new(encoding, settings)?;
        encoder.keep_waveform();
        let converter = Converter::new(format, encoding.format)?;
        let ahead = OPUS_DELAY + converter.lag();
        let least = ahead.div_ceil(block_frames);
        if least > usize::from(spacing) {
            return Err(Error::config(format!(
                "redundancy='opus' is ready {} ms after its sound: with packets of {} ms use spacing={least} or more",
                milliseconds(ahead),
                milliseconds(block_frames),
            )));
        }
        Ok(Self {
            encoder,
            converter,
            step: frames as u32,
            samples: frames * format.channels(),
            length: block_frames * format.channels(),
            waiting: Vec::new(),
            block: Vec::new(),
            follows: None,
            next: 0,
            leading: 0,
        })
    }

    /// Takes the sound of the next packet; `made` gets each block that it completes, and where the block's sound begins. Packets
    /// of another length have no block, nor has the sound before a gap that was not encoded by then.
    pub fn push(&mut self, timestamp: u32, sound: &[i16], made: &mut dyn FnMut(u32, &[u8])) {
        if sound.len() != self.samples {
            self.follows = None;
            return;
        }
        if self.follows != Some(timestamp) {
            self.begin(timestamp);
        }
        self.follows = Some(timestamp.wrapping_add(self.step));
        let Self { converter, waiting, .. } = self;
        converter.push(sound, &mut |sound| waiting.extend_from_slice(sound));
        let whole = self.waiting.len() / self.length * self.length;
        for piece in self.waiting[..whole].chunks_exact(self.length) {
            self.block.clear();
            let encoded = self.encoder.encode(piece, &mut self.block);
            if self.leading > 0 {
                self.leading -= 1;
                continue;
            }
            if encoded.is_ok() {
                made(self.next, &self.block);
            }
            self.next = self.next.wrapping_add(self.step);
        }
        self.waiting.drain(..whole);
    }

    /// Sound begins anew. Silence before it, so that its first frame lies as far into a block as the encoder delays it.
    fn begin(&mut self, timestamp: u32) {
        self.converter.finish(Some(0), &mut |_| ());
        let channels = self.samples / self.step as usize;
        let delay = OPUS_DELAY * channels;
        self.leading = delay.div_ceil(self.length);
        self.waiting.clear();
        self.waiting.resize(self.leading * self.length - delay, 0);
        self.next = timestamp;
    }
}

/// The frames of an Opus block that lasts exactly as long as a packet does; where there is none, what would do.
fn block_frames(format: Format, frames: usize) -> Result<usize> {
    let (rate, frame) = (u64::from(format.rate()), format.frame_bytes());
    // At 48 kHz; `None` where that is no whole number of frames.
    let at_48_khz = |frames: usize| {
        let scaled = frames as u64 * OPUS_RATE;
        scaled.is_multiple_of(rate).then(|| (scaled / rate) as usize)
    };
    let fits = |frames: usize, block: usize| {
        let block_bytes = BITRATE as usize * block / OPUS_RATE as usize / 8;
        RtpHeader::LEN + red::HEADER + 1 + frames * frame + block_bytes <= MAX_PACKET
    };
    if let Some(block) = at_48_khz(frames)
        && OPUS_FRAMES.contains(&block)
        && fits(frames, block)
    {
        return Ok(block);
    }
    let possible = |rate: u64, block: usize| {
        let scaled = block as u64 * rate;
        scaled.is_multiple_of(OPUS_RATE) && fits((scaled / OPUS_RATE) as usize, block)
    };
    let longest = |rate| OPUS_FRAMES.into_iter().rev().find(|&block| possible(rate, block));
    let advice = match (longest(rate), longest(OPUS_RATE)) {
        (Some(block), _) => format!("set ptime={}", milliseconds(block)),
        (None, Some(block)) => format!("use rate={OPUS_RATE} with ptime={}", milliseconds(block)),
        (None, None) => "use redundancy=1".into(),
    };
    Err(Error::config(format!(
        "redundancy='opus' needs packets that last exactly as long as one of Opus and leave room for it, not {:.3} ms: {advice}",
        frames as f64 * 1e3 / format.rate() as f64
    )))
}

/// Of frames at 48 kHz, as an argument has them.
fn milliseconds(frames: usize) -> f64 {
    frames as f64 * 1e3 / OPUS_RATE as f64
}

/// Bits a second: a voice in wide band, coarse but whole.
const BITRATE: u32 = 24_000;
const OPUS_RATE: u64 = 48_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(rate: u32, channels: u16, frames: usize, spacing: u8) -> String {
        let format = Format::new(rate, channels).unwrap();
        Beside::new(format, frames, spacing)
            .err()
            .map_or_else(String::new, |error| error.message().to_owned())
    }

    #[test]
    fn what_does_not_fit_says_what_does() {
        assert!(refused(44_100, 2, 147, 1).contains("use rate=48000 with ptime=5"));
        assert!(refused(48_000, 2, 240 + 80, 1).contains("set ptime=5"));
        assert!(refused(22_050, 1, 220, 1).contains("set ptime=20"));
        assert!(refused(16_000, 1, 640, 1).contains("set ptime=20"), "it would not fit into 1,400 bytes");
        assert!(refused(192_000, 2, 320, 1).contains("rate=48000"));
    }

    #[cfg(feature = "opus")]
    mod with_opus {
        use super::*;
        use crate::engine::codec::Decoder;

        #[test]
        fn a_block_must_be_ready_when_it_goes() {
            assert_eq!(refused(44_100, 1, 441, 1), "");
            assert_eq!(refused(48_000, 1, 480, 1), "");
            assert!(refused(48_000, 2, 240, 1).contains("spacing=2"));
            assert_eq!(refused(48_000, 2, 240, 2), "");
            assert!(refused(16_000, 1, 160, 1).contains("spacing=2"));
        }

        /// A sound that resembles itself nowhere else: a voice's band, its pitch gliding.
        fn glide(format: Format, frames: usize) -> Vec<i16> {
            (0..frames)
                .flat_map(|n| {
                    let t = n as f64 / f64::from(format.rate());
                    // The integral of a pitch of 180 Hz that swings and rises.
                    let phase = 180.0 * t + 60.0 / 7.0 * (1.0 - (7.0 * t).cos()) + 20.0 * t * t;
                    let wave: f64 = (1..8)
                        .map(|k| (phase * std::f64::consts::TAU * f64::from(k)).sin() / f64::from(k))
                        .sum();
                    vec![(wave * 6_000.0) as i16; format.channels()]
                })
                .collect()
        }

        fn correlation(a: &[i16], b: &[i16]) -> f64 {
            let dot = |x: &[i16], y: &[i16]| {
                x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>()
            };
            dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1.0)
        }

        #[test]
        fn a_block_decodes_to_exactly_the_sound_that_its_timestamp_names() {
            for (rate, channels, frames, spacing) in
                [(44_100, 1, 441, 1), (48_000, 2, 240, 2), (16_000, 1, 320, 1)]
            {
                let format = Format::new(rate, channels as u16).unwrap();
                let opus = Format::opus(format.channels());
                let mut beside = Beside::new(format, frames, spacing).unwrap();
                let packets = 2 * rate as usize / frames;
                let sound = glide(format, packets * frames);
                let reference = glide(opus, packets * frames * 48_000 / rate as usize);
                let mut decoder = Decoder::new(Encoding { coding: Coding::Opus, format: opus }).unwrap();
                let (mut heard, mut expected, start) = (Vec::new(), u32::MAX - 10_000, u32::MAX - 10_000);
                for (n, packet) in sound.chunks_exact(frames * format.channels()).enumerate() {
                    let now = start.wrapping_add((n * frames) as u32);
                    beside.push(now, packet, &mut |timestamp, block| {
                        assert_eq!(timestamp, expected, "in order");
                        assert!(now.wrapping_sub(timestamp) <= u32::from(spacing) * frames as u32, "in time");
                        expected = expected.wrapping_add(frames as u32);
                        assert!(decoder.decode(block, &mut heard));
                    });
                }
                let skip = 4_800 * format.channels();
                let closeness = |off: isize| {
                    let from = skip.strict_add_signed(off * channels as isize);
                    correlation(
                        &heard[skip..heard.len() - skip],
                        &reference[from..][..heard.len() - 2 * skip],
                    )
                };
                let best = (-120..=120).max_by(|a, b| closeness(*a).total_cmp(&closeness(*b))).unwrap_or(0);
                // Opus's own filters are that far off in the modes that they differ in.
                assert!(best.abs() <= 4, "{rate}: {best} frames off");
                assert!(closeness(0) > 0.95, "{rate}: {}", closeness(0));
            }
        }

        #[test]
        fn after_a_gap_blocks_begin_anew_in_their_places() {
            let mut beside = Beside::new(Format::DEFAULT, 441, 1).unwrap();
            let mut places = Vec::new();
            for timestamp in [0, 441, 882, 5_000, 5_441, 5_882] {
                beside.push(timestamp, &[100; 441], &mut |at, _| places.push(at));
            }
            beside.push(6_323, &[100; 200], &mut |at, _| places.push(at));
            for timestamp in [6_523, 6_964] {
                beside.push(timestamp, &[100; 441], &mut |at, _| places.push(at));
            }
            assert_eq!(places, [0, 441, 5_000, 5_441, 6_523]);
        }
    }
}
