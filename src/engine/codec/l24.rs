//! Linear PCM of 24 bits, big-endian, to our 16 (RFC 3190 §4). Received only.

/// Big-endian bytes to the nearest 16-bit samples (a half goes up), saturating; appends. A last sample that is not whole is not decoded.
pub fn decode(payload: &[u8], out: &mut Vec<i16>) {
    out.extend(payload.as_chunks().0.iter().map(|&[high, middle, low]| {
        // `low` is what is lost of the sample: half or more of a step takes it up by one.
        i16::from_be_bytes([high, middle]).saturating_add(i16::from(low >> 7))
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(sample: i32) -> i16 {
        let mut out = Vec::new();
        decode(&sample.to_be_bytes()[1..], &mut out);
        assert_eq!(out.len(), 1);
        out[0]
    }

    #[test]
    fn the_nearest_sample_is_taken() {
        assert_eq!([0, 127, 128, 255, 256].map(decoded), [0, 0, 1, 1, 1]);
        assert_eq!([-1, -128, -129, -256, -384, -385].map(decoded), [0, 0, -1, -1, -1, -2]);
    }

    #[test]
    fn the_loudest_sample_does_not_wrap() {
        assert_eq!(
            [0x7f_ff7f, 0x7f_ff80, 0x7f_ffff, -0x80_0000].map(decoded),
            [32_767, 32_767, 32_767, -32_768]
        );
    }

    #[test]
    fn a_part_of_a_sample_is_not_decoded() {
        let mut out = vec![7];
        decode(&[1, 2, 3, 4, 5], &mut out);
        assert_eq!(out, [7, 0x0102]);
    }

    proptest! {
        #[test]
        fn samples_of_16_bits_pass_unchanged(sample: i16) {
            prop_assert_eq!(decoded(i32::from(sample) << 8), sample);
        }
    }
}
