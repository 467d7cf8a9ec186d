//! Payloads to sound, whatever the coding.

use super::opus::{OpusDecoder, OpusSnapshot};
use super::{g711, l16, l24, toc};
use crate::engine::coding::{Coding, Encoding};
use crate::engine::error::Result;

/// Decodes one source's payloads to interleaved samples in its encoding's format.
///
/// Payloads may hold any bytes. Those that are not whole are told by [`frames`](Self::frames); no others should be decoded.
pub struct Decoder {
    encoding: Encoding,
    /// In a box: most sources have none.
    opus: Option<Box<OpusDecoder>>,
}

/// A copy of a decoder's state; empty to begin with.
#[derive(Default)]
pub struct Snapshot {
    opus: Option<Box<OpusSnapshot>>,
}

impl Decoder {
    /// The longest hole that is bridged with more than the redundancy that follows it: 200 ms at 48 kHz.
    pub const MAX_BRIDGE_FRAMES: u32 = 9_600;

    /// A decoder of `encoding`; refused for Opus where this build has none, or at another rate than 48 kHz.
    pub fn new(encoding: Encoding) -> Result<Self> {
        let opus = match encoding.coding {
            Coding::Opus => Some(Box::new(OpusDecoder::new(encoding.format)?)),
            _ => None,
        };
        Ok(Self { encoding, opus })
    }

    /// What it decodes.
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Frames in `payload`; `None` where it is malformed: empty, not a whole number of frames, or no Opus packet (RFC 6716 §3.4).
    pub fn frames(&self, payload: &[u8]) -> Option<u32> {
        frames(self.encoding, payload)
    }

    /// Appends the sound of the next payload in order; `false`, and nothing appended, where it is malformed or the codec refuses it.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> bool {
        let Some(frames) = self.frames(payload) else { return false };
        match self.encoding.coding {
            Coding::L16 => l16::decode(payload, out),
            Coding::L24 => l24::decode(payload, out),
            Coding::Pcmu => g711::decode_mu(payload, out),
            Coding::Pcma => g711::decode_a(payload, out),
            Coding::Opus => return self.opus.as_mut().is_some_and(|opus| opus.decode(payload, frames, out)),
        }
        true
    }

    /// Whether a hole must be bridged before what follows it is decoded (Opus); the others remember nothing.
    pub const fn is_stateful(&self) -> bool {
        self.opus.is_some()
    }

    /// Makes up the `frames` frames before `next` and appends them, the last of them from the redundancy in `next` (in-band FEC, DRED)
    /// where it has some. Returns how many of the last frames are so repaired.
    ///
    /// No more than [`MAX_BRIDGE_FRAMES`](Self::MAX_BRIDGE_FRAMES) are appended, those right before `next`: of a longer hole the caller leaves
    /// the first part silent, and what is not repaired of the last is silent too. A stateless coding appends silence.
    pub fn bridge(&mut self, frames: u32, next: &[u8], out: &mut Vec<i16>) -> u32 {
        let whole = frames <= Self::MAX_BRIDGE_FRAMES;
        let frames = frames.min(Self::MAX_BRIDGE_FRAMES);
        let Some(opus) = &mut self.opus else {
            out.resize(out.len() + frames as usize * self.encoding.format.channels(), 0);
            return 0;
        };
        // What is no packet repairs nothing.
        let next = if toc::frames(next).is_some() { next } else { &[] };
        let start = out.len();
        let repaired = opus.bridge(frames, next, out);
        if !whole {
            let silent = (frames - repaired) as usize * self.encoding.format.channels();
            out[start..start + silent].fill(0);
        }
        repaired
    }

    /// Copies the state, so that a packet that was only late can be decoded after all. Allocates the first time only.
    pub fn snapshot(&self, into: &mut Snapshot) {
        if let Some(opus) = &self.opus {
            opus.snapshot(into.opus.get_or_insert_default());
        }
    }

    /// Takes on the state of the decoder of the same encoding that `from` was taken of. An empty snapshot, or one of another encoding, changes nothing.
    pub fn restore(&mut self, from: &Snapshot) {
        if let (Some(opus), Some(snapshot)) = (&mut self.opus, &from.opus) {
            opus.restore(snapshot);
        }
    }
}

/// Frames in a payload of `encoding`; `None` where it is malformed.
pub fn frames(encoding: Encoding, payload: &[u8]) -> Option<u32> {
    let Some(sample_bytes) = encoding.coding.sample_bytes() else { return toc::frames(payload) };
    let frame_bytes = sample_bytes * encoding.format.channels();
    let whole = !payload.is_empty() && payload.len().is_multiple_of(frame_bytes);
    whole.then_some((payload.len() / frame_bytes) as u32)
}

/// Whether this build decodes it.
pub const fn can_decode(coding: Coding) -> bool {
    cfg!(feature = "opus") || !matches!(coding, Coding::Opus)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::format::Format;

    fn decoder(coding: Coding, channels: u16) -> Decoder {
        let rate = if coding == Coding::Opus { 48_000 } else { 8_000 };
        Decoder::new(Encoding { coding, format: Format::new(rate, channels).unwrap() }).unwrap()
    }

    #[test]
    fn half_a_frame_and_nothing_at_all_are_malformed() {
        for (coding, frame_bytes) in
            [(Coding::L16, 4), (Coding::L24, 6), (Coding::Pcmu, 2), (Coding::Pcma, 2)]
        {
            let mut decoder = decoder(coding, 2);
            let payload = vec![0x55; frame_bytes * 3];
            assert_eq!(decoder.frames(&payload), Some(3), "{coding:?}");
            let mut out = vec![];
            for wrong in [&payload[1..], &[]] {
                assert_eq!(decoder.frames(wrong), None, "{coding:?}");
                assert!(!decoder.decode(wrong, &mut out));
            }
            assert!(out.is_empty());
            assert!(decoder.decode(&payload, &mut out));
            assert_eq!(out.len(), 6, "{coding:?}");
        }
    }

    #[test]
    fn a_stateless_coding_is_bridged_with_silence() {
        let mut decoder = decoder(Coding::L16, 2);
        assert!(!decoder.is_stateful());
        let mut out = vec![5];
        assert_eq!(decoder.bridge(3, &[1, 2], &mut out), 0);
        assert_eq!(out, [5, 0, 0, 0, 0, 0, 0]);
        out.clear();
        decoder.bridge(u32::MAX, &[], &mut out);
        assert_eq!(out.len(), Decoder::MAX_BRIDGE_FRAMES as usize * 2);
        let mut snapshot = Snapshot::default();
        decoder.snapshot(&mut snapshot);
        decoder.restore(&snapshot);
    }

    #[cfg(not(feature = "opus"))]
    #[test]
    fn without_opus_the_error_says_how_to_build_it() {
        let error = Decoder::new(Encoding { coding: Coding::Opus, format: Format::opus(1) }).err().unwrap();
        assert!(error.message().contains("feature 'opus'"));
    }
}
