//! Linear PCM of 16 bits as bytes: big-endian as RTP's L16 has it (RFC 3551 §4.5.11), little-endian as the classic wire and WAV do.
//!
//! All four append to what the buffer holds. A last byte that makes no sample is not decoded; whoever knows the channels
//! has refused it before, for a payload that is not a whole number of frames is malformed.

/// Samples to big-endian bytes.
pub fn encode(samples: &[i16], out: &mut Vec<u8>) {
    append(samples, i16::to_be_bytes, out);
}

/// Big-endian bytes to samples.
pub fn decode(payload: &[u8], out: &mut Vec<i16>) {
    extend(payload, i16::from_be_bytes, out);
}

/// Samples to little-endian bytes.
pub fn encode_le(samples: &[i16], out: &mut Vec<u8>) {
    append(samples, i16::to_le_bytes, out);
}

/// Little-endian bytes to samples.
pub fn decode_le(payload: &[u8], out: &mut Vec<i16>) {
    extend(payload, i16::from_le_bytes, out);
}

fn extend(payload: &[u8], sample: impl Fn([u8; 2]) -> i16, out: &mut Vec<i16>) {
    let (pairs, start) = (payload.as_chunks().0, out.len());
    out.resize(start + pairs.len(), 0);
    for (out, &pair) in out[start..].iter_mut().zip(pairs) {
        *out = sample(pair);
    }
}

/// Resizing first lets the loop run over two slices of known length, which the compiler turns into SIMD.
fn append(samples: &[i16], bytes: impl Fn(i16) -> [u8; 2], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + samples.len() * 2, 0);
    for (pair, &sample) in out[start..].as_chunks_mut().0.iter_mut().zip(samples) {
        *pair = bytes(sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn l16_is_big_endian_and_classic_little() {
        let (mut big, mut little) = (Vec::new(), Vec::new());
        encode(&[0x0102, -2], &mut big);
        encode_le(&[0x0102, -2], &mut little);
        assert_eq!(big, [1, 2, 0xff, 0xfe]);
        assert_eq!(little, [2, 1, 0xfe, 0xff]);
    }

    #[test]
    fn half_a_sample_is_not_decoded() {
        let mut out = Vec::new();
        decode(&[0, 1, 2], &mut out);
        decode_le(&[1, 0, 2], &mut out);
        decode(&[9], &mut out);
        assert_eq!(out, [1, 1]);
    }

    proptest! {
        #[test]
        fn sound_survives_both_orders(samples: Vec<i16>) {
            let (mut bytes, mut back) = (vec![7], vec![]);
            encode(&samples, &mut bytes);
            decode(&bytes[1..], &mut back);
            prop_assert_eq!(&back, &samples);
            bytes.clear();
            back.clear();
            encode_le(&samples, &mut bytes);
            decode_le(&bytes, &mut back);
            prop_assert_eq!(&back, &samples);
        }
    }
}
