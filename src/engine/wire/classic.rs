//! The original's packet: a sequence number (16 bits, little-endian), then PCM (16 bits, little-endian) in whole chunks of 10 ms.

use std::time::Duration;

use super::Malformed;
use crate::engine::codec::l16;
use crate::engine::format::Format;

/// Appends a packet; `samples` are a whole block, one to fifteen chunks.
pub fn write(sequence: u16, samples: &[i16], out: &mut Vec<u8>) {
    out.extend_from_slice(&sequence.to_le_bytes());
    l16::encode_le(samples, out);
}

/// Splits a packet into sequence number and PCM. There is nothing to believe but its length:
/// `2 + k · chunk` bytes with k from 1 to 15; with the original's format, `len % 882 == 2`.
pub fn parse(packet: &[u8], format: Format) -> Result<(u16, &[u8]), Malformed> {
    let (&sequence, pcm) = packet.split_first_chunk::<HEADER>().ok_or(Malformed::Short)?;
    let chunk = chunk_bytes(format);
    if !pcm.len().is_multiple_of(chunk) || !(1..=MAX_CHUNKS).contains(&(pcm.len() / chunk)) {
        return Err(Malformed::Length);
    }
    Ok((u16::from_le_bytes(sequence), pcm))
}

/// Whether a packet could be the session's sound on the classic wire.
pub fn could_be(packet: &[u8], session: Format) -> bool {
    parse(packet, session).is_ok()
}

/// The bytes of a packet of `chunks` chunks of 10 ms.
pub fn packet_bytes(format: Format, chunks: usize) -> usize {
    HEADER + chunks * chunk_bytes(format)
}

/// The original's CHUNK in bytes: 10 ms of sound, 882 bytes of 44.1 kHz mono.
pub fn chunk_bytes(format: Format) -> usize {
    format.frames(Duration::from_millis(10)) * format.frame_bytes()
}

/// Bytes before the sound.
pub const HEADER: usize = 2;

/// The chunks of the longest packet: 150 ms.
pub const MAX_CHUNKS: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_packet_is_little_endian_throughout() {
        let mut out = Vec::new();
        write(0x0102, &[0x0304, -2], &mut out);
        assert_eq!(out, [2, 1, 4, 3, 0xfe, 0xff]);
    }

    #[test]
    fn only_whole_chunks_are_believed() {
        let length = |bytes: usize| parse(&vec![0; bytes], Format::DEFAULT).map(|(_, pcm)| pcm.len());
        assert_eq!(length(1), Err(Malformed::Short));
        assert_eq!(length(2), Err(Malformed::Length));
        assert_eq!(length(884), Ok(882));
        assert_eq!(length(885), Err(Malformed::Length));
        assert_eq!(length(2 + 882 * 15), Ok(882 * 15));
        assert_eq!(length(2 + 882 * 16), Err(Malformed::Length));
    }

    #[test]
    fn our_rtp_packets_do_not_have_a_classic_length() {
        for payload in [147 * 4, 441 * 2, 441 * 4, 220 * 2, 110 * 2] {
            assert!(!could_be(&vec![0x80; 12 + payload], Format::DEFAULT));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            for rate in [8_000, 44_100] {
                let _ = parse(&bytes, Format::new(rate, 2).unwrap());
            }
        }

        #[test]
        fn what_is_written_is_read(sequence: u16, chunks in 1usize..=15, seed: u16) {
            let samples: Vec<i16> = (0..441 * chunks).map(|i| (i as u16).wrapping_mul(seed) as i16).collect();
            let mut bytes = Vec::new();
            write(sequence, &samples, &mut bytes);
            prop_assert_eq!(bytes.len(), packet_bytes(Format::DEFAULT, chunks));
            let (read, pcm) = parse(&bytes, Format::DEFAULT).unwrap();
            let mut decoded = Vec::new();
            l16::decode_le(pcm, &mut decoded);
            prop_assert_eq!((read, decoded), (sequence, samples));
        }
    }
}
