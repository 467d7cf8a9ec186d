//! How a payload holds sound, and what the payload types of a session mean.

use std::sync::Arc;

use std::fmt;

use super::error::{Error, Result};
use super::format::Format;

/// How samples become bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Coding {
    /// Linear PCM of 16 bits, big-endian (RFC 3551 §4.5.11).
    #[default]
    L16,
    /// Linear PCM of 24 bits, big-endian (RFC 3190 §4): received only.
    L24,
    /// G.711 µ-law (RFC 3551 §4.5.14).
    Pcmu,
    /// G.711 A-law (RFC 3551 §4.5.14).
    Pcma,
    /// Opus (RFC 6716, RFC 7587).
    Opus,
}

impl Coding {
    /// `"l16"`, `"l24"`, `"pcmu"`, `"pcma"` or `"opus"`, in any case: SDP's names too.
    pub fn parse(text: &str) -> Result<Self> {
        let all = [Self::L16, Self::L24, Self::Pcmu, Self::Pcma, Self::Opus];
        all.into_iter().find(|coding| coding.name().eq_ignore_ascii_case(text)).ok_or_else(|| {
            Error::config(format!("codec must be 'l16', 'pcmu', 'pcma' or 'opus', not {text:?}"))
        })
    }

    /// Its name in `codec=`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::L16 => "l16",
            Self::L24 => "l24",
            Self::Pcmu => "pcmu",
            Self::Pcma => "pcma",
            Self::Opus => "opus",
        }
    }

    /// Its name in SDP's `a=rtpmap` (RFC 8866 §6.6).
    pub const fn sdp_name(self) -> &'static str {
        match self {
            Self::L16 => "L16",
            Self::L24 => "L24",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::Opus => "opus",
        }
    }

    /// Bytes of one sample; `None` where packets are not made of samples.
    pub const fn sample_bytes(self) -> Option<usize> {
        match self {
            Self::L16 => Some(2),
            Self::L24 => Some(3),
            Self::Pcmu | Self::Pcma => Some(1),
            Self::Opus => None,
        }
    }
}

/// A coding, and the sound that comes out of it. Timestamps count its frames: Opus always is at 48 kHz (RFC 7587 §4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Encoding {
    /// How the bytes are made.
    pub coding: Coding,
    /// The decoded sound.
    pub format: Format,
}

impl Encoding {
    /// Linear PCM of 16 bits in a format.
    pub const fn l16(format: Format) -> Self {
        Self { coding: Coding::L16, format }
    }

    /// Whether a payload may be so many bytes long: whole frames, where it is made of samples.
    pub fn fits(self, bytes: usize) -> bool {
        let frame = self.coding.sample_bytes().map_or(1, |sample| sample * self.format.channels());
        bytes > 0 && bytes.is_multiple_of(frame)
    }
}

impl fmt::Display for Encoding {
    /// As in SDP's `a=rtpmap`: `L16/44100/1`. Opus always says two channels there (RFC 7587 §7).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channels = if self.coding == Coding::Opus { 2 } else { self.format.channels() };
        write!(f, "{}/{}/{channels}", self.coding.sdp_name(), self.format.rate())
    }
}

/// What a payload type stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    /// Sound.
    Sound(Encoding),
    /// Sound and copies of earlier sound (RFC 2198); the blocks inside name their own types.
    Redundant,
    /// Telephone events (RFC 4733), with timestamps of so many ticks a second.
    Events(u32),
    /// Comfort noise (RFC 3389), with timestamps of so many ticks a second.
    Comfort(u32),
}

/// The payload types of a session: the static ones of RFC 3551, ours for dynamic ones, or what an SDP says instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadTypes {
    /// One list for all sources: looked into with every packet.
    known: Arc<Vec<(u8, Payload)>>,
}

impl PayloadTypes {
    /// What is understood without an SDP. `session` is the format of the dynamic linear types, and how many channels Opus is decoded to.
    pub fn new(session: Format) -> Self {
        let sound = |coding, format| Payload::Sound(Encoding { coding, format });
        let mut types = Self::fixed();
        types.set(DYNAMIC, sound(Coding::L16, session));
        types.set(OPUS, sound(Coding::Opus, Format::opus(session.channels())));
        types.set(REDUNDANT, Payload::Redundant);
        types
    }

    /// The static ones of RFC 3551: what they stand for needs no description.
    pub fn fixed() -> Self {
        let sound = |coding, format| Payload::Sound(Encoding { coding, format });
        let mut types = Self::empty();
        types.set(PCMU, sound(Coding::Pcmu, Format::NARROW));
        types.set(PCMA, sound(Coding::Pcma, Format::NARROW));
        types.set(L16_STEREO, sound(Coding::L16, Format::STEREO));
        types.set(L16_MONO, sound(Coding::L16, Format::DEFAULT));
        types.set(COMFORT_NOISE, Payload::Comfort(Format::NARROW.rate()));
        types
    }

    /// None at all.
    pub fn empty() -> Self {
        Self { known: Arc::default() }
    }

    /// Says what a type stands for.
    pub fn set(&mut self, payload_type: u8, payload: Payload) {
        let known = Arc::make_mut(&mut self.known);
        known.retain(|(known, _)| *known != payload_type);
        known.push((payload_type, payload));
    }

    /// What a type stands for; `None` for those that nobody told of.
    pub fn get(&self, payload_type: u8) -> Option<Payload> {
        self.known.iter().find(|(known, _)| *known == payload_type).map(|(_, payload)| *payload)
    }

    /// The sound that a type stands for.
    pub fn sound(&self, payload_type: u8) -> Option<Encoding> {
        match self.get(payload_type) {
            Some(Payload::Sound(encoding)) => Some(encoding),
            _ => None,
        }
    }

    /// The first type that stands for a sound.
    pub fn type_of(&self, encoding: Encoding) -> Option<u8> {
        self.known.iter().find(|(_, payload)| *payload == Payload::Sound(encoding)).map(|(known, _)| *known)
    }

    /// All, in the order in which they were told.
    pub fn iter(&self) -> impl Iterator<Item = (u8, Payload)> {
        self.known.iter().copied()
    }
}

/// G.711 µ-law, 8 kHz mono (RFC 3551 §6).
pub const PCMU: u8 = 0;
/// G.711 A-law, 8 kHz mono (RFC 3551 §6).
pub const PCMA: u8 = 8;
/// L16, 44.1 kHz, stereo (RFC 3551 §6).
pub const L16_STEREO: u8 = 10;
/// L16, 44.1 kHz, mono (RFC 3551 §6).
pub const L16_MONO: u8 = 11;
/// Comfort noise, 8 kHz (RFC 3389 §4).
pub const COMFORT_NOISE: u8 = 13;
/// The first dynamic payload type: L16 in any other format.
pub const DYNAMIC: u8 = 96;
/// Ours for Opus, and that of most programs.
pub const OPUS: u8 = 111;
/// Ours for RFC 2198.
pub const REDUNDANT: u8 = 116;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_coding_is_found_by_its_names() {
        for coding in [Coding::L16, Coding::L24, Coding::Pcmu, Coding::Pcma, Coding::Opus] {
            assert_eq!(Coding::parse(coding.name()), Ok(coding));
            assert_eq!(Coding::parse(coding.sdp_name()), Ok(coding));
        }
        assert!(Coding::parse("mp3").unwrap_err().message().contains("'opus'"));
    }

    #[test]
    fn types_say_what_they_carry_and_the_static_one_comes_first() {
        let session = Format::new(48_000, 2).unwrap();
        let types = PayloadTypes::new(session);
        let l16 = |format| Encoding { coding: Coding::L16, format };
        assert_eq!(types.type_of(l16(Format::DEFAULT)), Some(L16_MONO));
        assert_eq!(types.type_of(l16(session)), Some(DYNAMIC));
        assert_eq!(PayloadTypes::new(Format::DEFAULT).type_of(l16(Format::DEFAULT)), Some(L16_MONO));
        assert_eq!(types.sound(OPUS).unwrap().format, Format::opus(2));
        assert_eq!(types.get(REDUNDANT), Some(Payload::Redundant));
        assert_eq!(types.get(3), None);
    }

    #[test]
    fn what_is_told_last_counts() {
        let mut types = PayloadTypes::new(Format::DEFAULT);
        let l24 = Payload::Sound(Encoding { coding: Coding::L24, format: Format::DEFAULT });
        types.set(DYNAMIC, l24);
        assert_eq!(types.get(DYNAMIC), Some(l24));
        assert_eq!(types.iter().filter(|(known, _)| *known == DYNAMIC).count(), 1);
    }
}
