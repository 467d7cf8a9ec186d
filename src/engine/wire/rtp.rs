//! RTP's fixed header (RFC 3550 §5.1), and whether a packet may be sound that we know.

use super::Malformed;
use super::content::content_of;
use crate::engine::coding::{Encoding, PayloadTypes};

/// The parts of an RTP header that mean something to us; contributing sources and extensions are passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RtpHeader {
    /// The first packet after silence (RFC 3551 §4.1).
    pub marker: bool,
    /// What the payload is, 0 to 127.
    pub payload_type: u8,
    /// Counts packets, and wraps.
    pub sequence: u16,
    /// Counts frames, and wraps: where the payload's first frame belongs.
    pub timestamp: u32,
    /// The synchronisation source.
    pub ssrc: u32,
}

impl RtpHeader {
    /// Bytes that [`write`](Self::write) writes.
    pub const LEN: usize = 12;

    /// Appends the header: no padding, extension or contributing sources.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bytes());
    }

    /// The header as on the wire.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0] = VERSION << 6;
        bytes[1] = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        bytes[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        bytes
    }
}

/// Splits a packet into header and payload. Whatever its first byte announces must fit: contributing sources, one header
/// extension (§5.3.1), padding. An empty payload is valid RTP.
pub fn parse(packet: &[u8]) -> Result<(RtpHeader, &[u8]), Malformed> {
    let Some((fixed, mut rest)) = packet.split_first_chunk::<{ RtpHeader::LEN }>() else {
        return Err(Malformed::Short);
    };
    let [flags, second, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3] = *fixed;
    if flags >> 6 != VERSION {
        return Err(Malformed::Version);
    }
    let contributing = usize::from(flags & 0x0f) * 4;
    rest = rest.get(contributing..).ok_or(Malformed::Header)?;
    if flags & EXTENSION != 0 {
        let (&[_, _, n0, n1], body) = rest.split_first_chunk::<4>().ok_or(Malformed::Header)?;
        let words = usize::from(u16::from_be_bytes([n0, n1]));
        rest = body.get(words * 4..).ok_or(Malformed::Header)?;
    }
    if flags & PADDING != 0 {
        let padding = usize::from(*rest.last().ok_or(Malformed::Padding)?);
        if padding == 0 || padding > rest.len() {
            return Err(Malformed::Padding);
        }
        rest = &rest[..rest.len() - padding];
    }
    let header = RtpHeader {
        marker: second & 0x80 != 0,
        payload_type: second & 0x7f,
        sequence: u16::from_be_bytes([s0, s1]),
        timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
        ssrc: u32::from_be_bytes([i0, i1, i2, i3]),
    };
    Ok((header, rest))
}

/// The synchronisation source of what may be RTP.
pub fn ssrc(packet: &[u8]) -> Option<u32> {
    packet.get(8..12)?.first_chunk().map(|ssrc| u32::from_be_bytes(*ssrc))
}

/// Whether a packet on a port that RTP and RTCP share is RTCP: packet types 192 to 223 (RFC 5761 §4).
pub fn is_rtcp(packet: &[u8]) -> bool {
    matches!(packet, [flags, 192..=223, ..] if flags >> 6 == VERSION)
}

/// Whether a packet could be sound over RTP: header, known payload type, whole frames.
pub fn could_be(packet: &[u8], types: &PayloadTypes) -> bool {
    sound_of(packet, types).is_some()
}

/// The header of a packet that could be sound, and what its payload is; of a redundant one (RFC 2198), its newest block.
pub fn sound_of(packet: &[u8], types: &PayloadTypes) -> Option<(RtpHeader, Encoding)> {
    let (header, content) = content_of(packet, types)?;
    Some((header, content.sound()?))
}

const VERSION: u8 = 2;
const PADDING: u8 = 0x20;
const EXTENSION: u8 = 0x10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::format::Format;
    use proptest::prelude::*;

    fn header() -> RtpHeader {
        RtpHeader {
            marker: true,
            payload_type: 11,
            sequence: 0xfffe,
            timestamp: 0x0102_0304,
            ssrc: 0xdead_beef,
        }
    }

    fn packet(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        header().write(&mut out);
        out.extend_from_slice(payload);
        out
    }

    #[test]
    fn the_header_is_laid_out_as_rfc_3550_draws_it() {
        assert_eq!(packet(&[]), [0x80, 0x8b, 0xff, 0xfe, 1, 2, 3, 4, 0xde, 0xad, 0xbe, 0xef]);
    }

    #[test]
    fn contributing_sources_extension_and_padding_are_passed_over() {
        let mut p = packet(&[]);
        p[0] |= EXTENSION | PADDING | 2;
        p.extend_from_slice(&[0; 8]);
        p.extend_from_slice(&[0xbe, 0xde, 0, 1, 9, 9, 9, 9]);
        p.extend_from_slice(&[1, 2, 3, 4]);
        p.extend_from_slice(&[0, 0, 3]);
        assert_eq!(parse(&p), Ok((header(), &[1, 2, 3, 4][..])));
    }

    #[test]
    fn what_reaches_past_the_end_is_malformed() {
        let base = packet(&[1, 2, 3, 4]);
        assert_eq!(parse(&base[..11]), Err(Malformed::Short));
        let with = |flags: u8, tail: &[u8]| {
            let mut p = packet(tail);
            p[0] |= flags;
            parse(&p).map(|(_, payload)| payload.len())
        };
        assert_eq!(with(0xc0, &[]), Err(Malformed::Version));
        assert_eq!(with(2, &[0; 7]), Err(Malformed::Header));
        assert_eq!(with(EXTENSION, &[0; 3]), Err(Malformed::Header));
        assert_eq!(with(EXTENSION, &[0, 0, 0, 2, 0, 0, 0, 0]), Err(Malformed::Header));
        assert_eq!(with(PADDING, &[]), Err(Malformed::Padding));
        assert_eq!(with(PADDING, &[1, 0]), Err(Malformed::Padding));
        assert_eq!(with(PADDING, &[1, 3]), Err(Malformed::Padding));
        assert_eq!(with(PADDING, &[1, 2]), Ok(0));
    }

    #[test]
    fn control_packets_are_told_from_sound() {
        assert!(is_rtcp(&[0x80, 200, 0, 6]));
        assert!(is_rtcp(&[0x81, 223]));
        assert!(!is_rtcp(&[0x80, 224]));
        assert!(!is_rtcp(&[0x40, 200]));
        for (payload_type, _) in PayloadTypes::new(Format::DEFAULT).iter() {
            for marker in [false, true] {
                assert!(!is_rtcp(&RtpHeader { marker, payload_type, ..header() }.to_bytes()));
            }
        }
    }

    #[test]
    fn sound_is_of_a_known_type_and_whole() {
        let types = PayloadTypes::new(Format::new(48_000, 2).unwrap());
        let is_sound = |payload_type: u8, bytes: usize| {
            let mut p = RtpHeader { payload_type, ..header() }.to_bytes().to_vec();
            p.resize(p.len() + bytes, 0);
            could_be(&p, &types)
        };
        assert!(is_sound(11, 4) && is_sound(10, 4) && is_sound(96, 4) && is_sound(0, 3) && is_sound(111, 1));
        assert!(
            !is_sound(11, 0) && !is_sound(11, 3) && !is_sound(96, 6) && !is_sound(3, 4) && !is_sound(111, 0)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok((_, payload)) = parse(&bytes) {
                prop_assert!(payload.len() + RtpHeader::LEN <= bytes.len());
            }
            let _ = (is_rtcp(&bytes), could_be(&bytes, &PayloadTypes::new(Format::DEFAULT)));
        }

        #[test]
        fn what_is_written_is_read(
            marker: bool, payload_type in 0u8..128, sequence: u16, timestamp: u32, ssrc: u32,
            payload in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let header = RtpHeader { marker, payload_type, sequence, timestamp, ssrc };
            let mut bytes = Vec::new();
            header.write(&mut bytes);
            bytes.extend_from_slice(&payload);
            prop_assert_eq!(parse(&bytes), Ok((header, &payload[..])));
        }
    }
}
