//! Where the parts of a sealed packet are. Nothing is believed here but lengths.

use super::cipher::{ENCRYPTED, Place};
use super::derive::Nonce;
use super::{aes_cm, gcm};
use crate::engine::key::KeyForm;

/// A sealed packet, taken apart.
pub struct Sealed<'a> {
    /// In clear, under the tag.
    pub header: &'a [u8],
    pub encrypted: &'a [u8],
    pub tag: &'a [u8],
    /// The rollover counter where one is told; of RTCP the E flag and index.
    pub word: Option<u32>,
    /// The sender's; zeros with foreign keys.
    pub nonce: Nonce,
}

impl<'a> Sealed<'a> {
    /// `None` where the packet is too short for what must be there.
    pub fn rtp(packet: &'a [u8], form: KeyForm) -> Option<Self> {
        let (header, rest) = packet.split_at_checked(header_len(packet)?)?;
        let (rest, nonce) = split_nonce(rest, form)?;
        let (rest, word) = match form {
            KeyForm::Audiostream => split_word(rest).map(|(rest, word)| (rest, Some(word)))?,
            KeyForm::AesCm | KeyForm::AesGcm => (rest, None),
        };
        let (encrypted, tag) = split_tag(rest, form)?;
        Some(Self { header, encrypted, tag, word, nonce })
    }

    /// `None` where the packet is too short for what must be there.
    pub fn rtcp(packet: &'a [u8], form: KeyForm) -> Option<Self> {
        let (header, rest) = packet.split_at_checked(RTCP_HEADER_LEN)?;
        let (rest, nonce) = split_nonce(rest, form)?;
        let (encrypted, tag, word);
        if form == KeyForm::AesCm {
            // RFC 3711 §3.4 has the tag last, RFC 7714 §9.2 the index.
            let (before, last) = split_tag(rest, form)?;
            tag = last;
            (encrypted, word) = split_word(before)?;
        } else {
            let (before, last) = split_word(rest)?;
            word = last;
            (encrypted, tag) = split_tag(before, form)?;
        }
        Some(Self { header, encrypted, tag, word: Some(word), nonce })
    }

    /// The sequence number of an RTP packet.
    pub fn sequence(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// The place that an RTCP packet says it has; `None` where it says that it is not encrypted.
    pub fn rtcp_place(&self, ssrc: u32) -> Option<Place> {
        let word = self.word.filter(|word| word & ENCRYPTED != 0)?;
        Some(Place { ssrc, index: u64::from(word & !ENCRYPTED), is_rtcp: true })
    }
}

/// Length of an RTP header with contributing sources and extension; `None` where it reaches past the end.
pub fn header_len(packet: &[u8]) -> Option<usize> {
    let fixed = packet.first_chunk::<RTP_HEADER_LEN>()?;
    let mut len = RTP_HEADER_LEN + 4 * usize::from(fixed[0] & 0x0f);
    if fixed[0] & EXTENSION != 0 {
        let &[_, _, n0, n1] = packet.get(len..)?.first_chunk::<4>()?;
        len += 4 + 4 * usize::from(u16::from_be_bytes([n0, n1]));
    }
    (len <= packet.len()).then_some(len)
}

/// The sender that an RTP packet names.
pub fn rtp_ssrc(packet: &[u8]) -> Option<u32> {
    packet.get(8..12).map(|bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// The sender that an RTCP packet names.
pub fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    packet.get(4..8).map(|bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn split_nonce(bytes: &[u8], form: KeyForm) -> Option<(&[u8], Nonce)> {
    match form {
        KeyForm::Audiostream => bytes.split_last_chunk().map(|(rest, nonce)| (rest, Nonce(*nonce))),
        KeyForm::AesCm | KeyForm::AesGcm => Some((bytes, Nonce::default())),
    }
}

fn split_word(bytes: &[u8]) -> Option<(&[u8], u32)> {
    bytes.split_last_chunk().map(|(rest, word)| (rest, u32::from_be_bytes(*word)))
}

fn split_tag(bytes: &[u8], form: KeyForm) -> Option<(&[u8], &[u8])> {
    let len = if form == KeyForm::AesCm { aes_cm::TAG_LEN } else { gcm::TAG_LEN };
    bytes.split_at_checked(bytes.len().checked_sub(len)?)
}

/// RTP's fixed header.
pub const RTP_HEADER_LEN: usize = 12;
/// What RTCP leaves in clear: the first packet's header and SSRC.
pub const RTCP_HEADER_LEN: usize = 8;
/// A rollover counter, or E flag and index.
pub const WORD_LEN: usize = 4;
const EXTENSION: u8 = 0x10;
