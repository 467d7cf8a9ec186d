//! What an RTP payload is: sound, or one of those that hold none and are received all the same.

use super::rtp::{self, RtpHeader};
use super::{Malformed, event, red};
use crate::engine::coding::{DYNAMIC, Encoding, Payload, PayloadTypes};

/// What a payload holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Sound, of a length that is possible.
    Sound(Encoding),
    /// Telephone events (RFC 4733), with timestamps of so many ticks a second; zero where nothing says how many.
    Events(u32),
    /// Comfort noise (RFC 3389): its timestamps' ticks a second, and its level below full scale, dB.
    Comfort {
        /// Ticks a second.
        rate: u32,
        /// dB below full scale.
        level: u8,
    },
    /// Nothing: an empty payload, or padding only (RFC 3550 §5.1).
    Nothing,
    /// Nothing says what.
    Unknown,
}

impl Content {
    /// What a payload of this type is that is not redundant; an error where it cannot be that.
    pub fn of(payload_type: u8, payload: &[u8], types: &PayloadTypes) -> Result<Self, Malformed> {
        let Some((&first, _)) = payload.split_first() else { return Ok(Self::Nothing) };
        match types.get(payload_type) {
            Some(Payload::Sound(encoding)) if encoding.fits(payload.len()) => Ok(Self::Sound(encoding)),
            Some(Payload::Sound(_)) => Err(Malformed::Frames),
            Some(Payload::Redundant) => Err(Malformed::PayloadType),
            Some(Payload::Events(_)) if !payload.len().is_multiple_of(event::LEN) => Err(Malformed::Frames),
            Some(Payload::Events(rate)) => Ok(Self::Events(rate)),
            Some(Payload::Comfort(_)) if payload.len() > LONGEST_NOISE => Err(Malformed::Length),
            Some(Payload::Comfort(rate)) => Ok(Self::Comfort { rate, level: first & 0x7f }),
            None if payload_type >= DYNAMIC && event::looks_like(payload) => Ok(Self::Events(0)),
            None => Ok(Self::Unknown),
        }
    }

    /// The sound that it is.
    pub const fn sound(self) -> Option<Encoding> {
        match self {
            Self::Sound(encoding) => Some(encoding),
            _ => None,
        }
    }
}

/// The header of an RTP packet and what it holds; of a redundant one (RFC 2198), what its newest block does. `None` for what is not RTP, or cannot
/// be what its type says.
pub fn content_of(packet: &[u8], types: &PayloadTypes) -> Option<(RtpHeader, Content)> {
    if rtp::is_rtcp(packet) {
        return None;
    }
    let (header, payload) = rtp::parse(packet).ok()?;
    let (payload_type, payload) = match types.get(header.payload_type) {
        Some(Payload::Redundant) if !payload.is_empty() => {
            let newest = *red::parse(payload).ok()?.newest();
            (newest.payload_type, newest.bytes)
        }
        _ => (header.payload_type, payload),
    };
    Some((header, Content::of(payload_type, payload, types).ok()?))
}

/// The header of an RTP packet that a source may begin with: not one of which nothing says what it is.
pub fn beginning(packet: &[u8], types: &PayloadTypes) -> Option<RtpHeader> {
    let (header, content) = content_of(packet, types)?;
    let begins = match content {
        Content::Unknown => false,
        Content::Nothing => types.get(header.payload_type).is_some(),
        Content::Sound(_) | Content::Events(_) | Content::Comfort { .. } => true,
    };
    begins.then_some(header)
}

/// Bytes that comfort noise takes at most: its level, and how it sounds.
const LONGEST_NOISE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::coding::{COMFORT_NOISE, PCMU, REDUNDANT};
    use crate::engine::format::Format;

    fn packet(payload_type: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = RtpHeader { payload_type, ssrc: 7, ..RtpHeader::default() }.to_bytes().to_vec();
        out.extend_from_slice(payload);
        out
    }

    #[test]
    fn what_holds_no_sound_is_known_for_what_it_is() {
        let mut types = PayloadTypes::new(Format::DEFAULT);
        types.set(97, Payload::Events(16_000));
        types.set(98, Payload::Comfort(16_000));
        let of = |payload_type, payload: &[u8]| {
            content_of(&packet(payload_type, payload), &types).map(|(_, content)| content)
        };
        let digit = [5, 0x0a, 0, 160];
        assert_eq!(of(97, &digit), Some(Content::Events(16_000)));
        assert_eq!(of(97, &digit[..3]), None);
        assert_eq!(of(101, &digit), Some(Content::Events(0)), "by its form");
        assert_eq!(of(101, &[5, 0x4a, 0, 160]), Some(Content::Unknown), "a bit that is reserved");
        assert_eq!(of(COMFORT_NOISE, &[0xc1, 9]), Some(Content::Comfort { rate: 8_000, level: 0x41 }));
        assert_eq!(of(98, &[30]), Some(Content::Comfort { rate: 16_000, level: 30 }));
        assert_eq!(of(PCMU, &[]), Some(Content::Nothing));
        assert_eq!(of(REDUNDANT, &[]), Some(Content::Nothing));
        assert_eq!(of(REDUNDANT, &[97, 5, 0x0a, 0, 160]), Some(Content::Events(16_000)));
        assert_eq!(of(127, &[0; 960]), Some(Content::Unknown));
        assert_eq!(of(3, &digit), Some(Content::Unknown), "what is static is no event");
        assert_eq!(of(11, &[1]), None);
    }

    #[test]
    fn a_source_begins_with_what_is_known() {
        let types = PayloadTypes::new(Format::DEFAULT);
        let begins =
            |payload_type, payload: &[u8]| beginning(&packet(payload_type, payload), &types).is_some();
        assert!(begins(101, &[5, 0x0a, 0, 160]) && begins(13, &[60]) && begins(0, &[1]) && begins(0, &[]));
        assert!(!begins(101, &[]) && !begins(127, &[0; 960]) && !begins(11, &[1]));
        // RTCP on the same port (RFC 5761) is no sound of an unknown type.
        assert!(content_of(&[0x80, 200, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0], &types).is_none());
    }
}
