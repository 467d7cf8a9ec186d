//! Copies in another coding than the sound's: low-rate Opus in packets of linear PCM (RFC 2198).
//!
//! Such a copy costs nothing until it is needed: the last few are kept as they came. When one is, they are decoded in order, so that the decoder
//! knows what went before, and its sound is converted to the rate of the source, each frame in its place: the
//! filter is fed what lies before the copy, and what the codec expects behind it, so that nothing is delayed or cut off.

use std::collections::VecDeque;

use super::queue::Position;
use crate::engine::codec::decoder::{Decoder, Snapshot};
use crate::engine::coding::{Coding, Encoding};
use crate::engine::error::Result;
use crate::engine::format::{Format, to_f32, to_i16};
use crate::engine::rate::Run;

/// Decodes the copies beside one source's sound.
pub struct Standby {
    encoding: Encoding,
    decoder: Decoder,
    fresh: Snapshot,
    /// The decoder's state after the copy decoded last.
    after: Snapshot,
    rates: Option<Run>,
    /// Copied, not decoded yet, oldest first.
    waiting: VecDeque<Copy>,
    spare: Vec<Vec<u8>>,
    /// Where what is decoded ends.
    end: Option<Position>,
    /// What was decoded last, at its own rate.
    sound: Vec<i16>,
    floats: Vec<f32>,
    /// Frames of the past that the filter is fed, at the rate of the copies; and how many they are at the source's.
    past: (usize, usize),
    rate: u32,
}

struct Copy {
    at: Position,
    /// Its length at the source's rate.
    frames: u32,
    payload: Vec<u8>,
}

impl Standby {
    /// For a source whose sound has the format `source`, and copies in `encoding`, as many channels as the source.
    pub fn new(source: Format, encoding: Encoding) -> Result<Self> {
        let decoder = Decoder::new(encoding)?;
        let mut fresh = Snapshot::default();
        decoder.snapshot(&mut fresh);
        let (from, to) = (encoding.format.rate(), source.rate());
        let rates = (from != to).then(|| Run::new(from, to, source.channels())).transpose()?;
        Ok(Self {
            encoding,
            decoder,
            fresh,
            after: Snapshot::default(),
            rates,
            waiting: VecDeque::with_capacity(KEPT + 1),
            spare: Vec::new(),
            end: None,
            sound: Vec::new(),
            floats: Vec::new(),
            past: past(from, to),
            rate: to,
        })
    }

    /// The encoding in which copies beside `source` would come, where it is one that they can come in.
    pub fn encoding(source: Encoding, copy: Encoding) -> Option<Encoding> {
        let channels = source.format.channels();
        let copy = match copy.coding {
            Coding::Opus => Encoding { coding: Coding::Opus, format: Format::opus(channels) },
            _ => copy,
        };
        (copy != source && copy.format.channels() == channels).then_some(copy)
    }

    /// What it decodes.
    pub const fn decodes(&self) -> Encoding {
        self.encoding
    }

    /// The sender has begun anew.
    pub fn reset(&mut self) {
        self.end = None;
        while let Some(copy) = self.waiting.pop_front() {
            self.spare.push(copy.payload);
        }
    }

    /// Keeps the copy of the sound at `at`. Its length at the source's rate; `None` where it is no payload, or comes too late.
    pub fn keep(&mut self, at: Position, payload: &[u8]) -> Option<u32> {
        let frames = u64::from(self.decoder.frames(payload)?) * u64::from(self.rate)
            / u64::from(self.encoding.format.rate());
        let frames = u32::try_from(frames).ok().filter(|frames| *frames > 0)?;
        if self.end.is_some_and(|end| at < end) || payload.len() > LONGEST {
            return None;
        }
        let place = self.waiting.partition_point(|copy| copy.at < at);
        if let Some(copy) = self.waiting.get(place).filter(|copy| copy.at == at) {
            return Some(copy.frames);
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(payload);
        self.waiting.insert(place, Copy { at, frames, payload: bytes });
        if self.waiting.len() > KEPT {
            self.spare.extend(self.waiting.pop_front().map(|copy| copy.payload));
        }
        Some(frames)
    }

    /// Decodes the copy kept at `at`, at the source's rate, interleaved, into `out`; false where it is not there.
    pub fn render(&mut self, at: Position, out: &mut Vec<i16>) -> bool {
        out.clear();
        if !self.waiting.iter().any(|copy| copy.at == at) {
            return false;
        }
        while let Some(copy) = self.waiting.pop_front() {
            let decoded = self.decode(&copy);
            let found = copy.at == at;
            let frames = copy.frames as usize;
            self.spare.push(copy.payload);
            if found {
                if decoded {
                    self.convert(frames, out);
                }
                return decoded;
            }
        }
        false
    }

    fn decode(&mut self, copy: &Copy) -> bool {
        let channels = self.encoding.format.channels();
        let own = self.decoder.frames(&copy.payload).unwrap_or(0);
        let gap = self.end.map(|end| copy.at.distance(end));
        match gap.map(|gap| (gap + i64::from(copy.frames) / 2) / i64::from(copy.frames)) {
            // What was lost with its packet.
            Some(0) => {}
            Some(lost @ 1..=MOST_BRIDGED) => {
                _ = self.decoder.bridge(lost as u32 * own, &copy.payload, &mut self.sound);
            }
            _ => {
                self.decoder.restore(&self.fresh);
                self.sound.clear();
            }
        }
        self.end = Some(copy.at.plus(copy.frames as usize));
        let decoded = self.decoder.decode(&copy.payload, &mut self.sound);
        // The past and this.
        let kept = (self.past.0 + own as usize) * channels;
        let missing = kept.saturating_sub(self.sound.len());
        self.sound.splice(..0, std::iter::repeat_n(0, missing));
        self.sound.drain(..self.sound.len() - kept);
        decoded
    }

    /// The sound of the copy decoded last, `frames` at the source's rate.
    fn convert(&mut self, frames: usize, out: &mut Vec<i16>) {
        let channels = self.encoding.format.channels();
        let skipped = self.past.1 * channels;
        let Some(run) = &mut self.rates else {
            out.extend_from_slice(&self.sound[skipped..]);
            out.resize(frames * channels, 0);
            return;
        };
        let kept = self.sound.len();
        self.decoder.snapshot(&mut self.after);
        let future = self.encoding.format.rate() / FUTURE_PER_SECOND;
        self.decoder.bridge(future, &[], &mut self.sound);
        self.decoder.restore(&self.after);
        self.floats.clear();
        self.floats.extend(self.sound.iter().map(|sample| to_f32(*sample)));
        self.sound.truncate(kept);
        let end = skipped + frames * channels;
        let mut at = 0;
        let mut take = |sound: &[f32]| {
            let (from, to) = (skipped.clamp(at, at + sound.len()), end.clamp(at, at + sound.len()));
            out.extend(sound[from - at..to - at].iter().map(|sample| to_i16(*sample)));
            at += sound.len();
        };
        run.push(&self.floats, &mut take);
        run.finish(None, &mut take);
        out.resize(frames * channels, 0);
    }
}

/// Enough of the past for the filter, in whole frames at either rate where there are such.
fn past(from: u32, to: u32) -> (usize, usize) {
    let least = (from / PAST_PER_SECOND) as usize;
    let divisor = gcd(from, to);
    let (from_unit, to_unit) = ((from / divisor) as usize, (to / divisor) as usize);
    let units = least.div_ceil(from_unit);
    if units * from_unit <= 4 * least {
        (units * from_unit, units * to_unit)
    } else {
        (least, (least as u64 * u64::from(to) / u64::from(from)) as usize)
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Copies kept undecoded: what a decoder wants to have heard before it sounds as it would have.
const KEPT: usize = 8;
/// Copies missing in a row that the decoder bridges; after more it begins anew.
const MOST_BRIDGED: i64 = 3;
/// The longest older block.
const LONGEST: usize = 1_023;
/// The filter, 8 ms at most to either side, is fed a hundredth of a second of the past …
const PAST_PER_SECOND: u32 = 100;
/// … and as much of what may come.
const FUTURE_PER_SECOND: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_is_whole_frames_at_both_rates() {
        for (from, to) in [(48_000, 44_100), (48_000, 16_000), (48_000, 22_050), (8_000, 44_100)] {
            let (own, source) = past(from, to);
            assert_eq!(own as u64 * u64::from(to), source as u64 * u64::from(from), "{from} {to}");
            assert!(own >= (from / 100) as usize && own <= (from / 25) as usize, "{from} {to}: {own}");
        }
        assert_eq!(past(48_000, 47_999).0, 480);
    }

    #[test]
    fn copies_are_kept_in_order_few_and_once() {
        let encoding = Encoding { coding: Coding::Pcmu, format: Format::NARROW };
        let mut standby = Standby::new(Format::DEFAULT, encoding).unwrap();
        for n in [0, 2, 1, 1, 2] {
            assert_eq!(standby.keep(Position(n * 441), &[0x55; 80]), Some(441));
        }
        assert_eq!(standby.waiting.iter().map(|copy| copy.at.0 / 441).collect::<Vec<_>>(), [0, 1, 2]);
        let mut out = vec![1];
        assert!(standby.render(Position(441), &mut out));
        assert_eq!(out.len(), 441);
        assert!(!standby.render(Position(441), &mut out) && out.is_empty(), "it was given");
        assert_eq!(standby.keep(Position(0), &[0x55; 80]), None, "too late");
        assert_eq!(standby.keep(Position(882), &[]), None);
        for n in 3..20 {
            standby.keep(Position(n * 441), &[0x55; 80]);
        }
        assert_eq!((standby.waiting.len(), standby.waiting[0].at.0 / 441), (KEPT, 12));
    }
}
