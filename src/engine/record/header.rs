//! The first bytes of a WAV file: RIFF, or RF64 (EBU Tech 3306) past 4 GiB. Pure.

use crate::engine::format::Format;

/// The header's length, the same for RIFF and RF64, so that it can be rewritten in place.
pub const HEADER_LEN: usize = 80;

/// The header of a file of 16-bit PCM that holds `data_bytes` bytes of sound behind it.
///
/// While the file's size fits 32 bits it is a plain RIFF file with a JUNK chunk; past that the JUNK chunk's place
/// becomes `ds64` with the sizes in 64 bits (EBU Tech 3306 §3).
pub fn encode(format: Format, data_bytes: u64) -> [u8; HEADER_LEN] {
    let riff_bytes = data_bytes + (HEADER_LEN as u64 - 8);
    let small = u32::try_from(riff_bytes).ok();
    let data_size = if small.is_some() { data_bytes as u32 } else { u32::MAX };
    let frame_bytes = format.frame_bytes() as u64;

    let mut header = [0; HEADER_LEN];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        header[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(if small.is_some() { b"RIFF" } else { b"RF64" });
    put(&small.unwrap_or(u32::MAX).to_le_bytes());
    put(b"WAVE");
    put(if small.is_some() { b"JUNK" } else { b"ds64" });
    put(&28u32.to_le_bytes());
    if small.is_some() {
        put(&[0; 28]);
    } else {
        put(&riff_bytes.to_le_bytes());
        put(&data_bytes.to_le_bytes());
        put(&(data_bytes / frame_bytes).to_le_bytes());
        put(&0u32.to_le_bytes());
    }
    put(b"fmt ");
    put(&16u32.to_le_bytes());
    put(&1u16.to_le_bytes());
    put(&(format.channels() as u16).to_le_bytes());
    put(&format.rate().to_le_bytes());
    put(&(format.rate() * frame_bytes as u32).to_le_bytes());
    put(&(frame_bytes as u16).to_le_bytes());
    put(&16u16.to_le_bytes());
    put(b"data");
    put(&data_size.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_is_riff_and_one_past_4_gib_rf64() {
        let edge = u64::from(u32::MAX) - 72;
        assert_eq!(&encode(Format::DEFAULT, edge - 1)[..4], b"RIFF");
        let big = encode(Format::DEFAULT, edge + 1);
        assert_eq!(&big[..8], b"RF64\xff\xff\xff\xff");
        assert_eq!(&big[12..16], b"ds64");
        assert_eq!(big[28..36], (edge + 1).to_le_bytes());
        assert_eq!(big[36..44], (edge.div_ceil(2)).to_le_bytes());
        assert_eq!(big[76..], [0xff; 4]);
    }
}
