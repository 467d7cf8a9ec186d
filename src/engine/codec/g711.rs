//! The telephone's 8 bits a sample: µ-law and A-law (ITU-T G.711, RFC 3551 §4.5.14).
//!
//! The standard codes samples of 14 bits (µ-law) and 13 bits (A-law); here they stand at the upper end of 16, as everywhere.
//! Encoding picks the interval that the standard's decision values say; what is decoded encodes to the same sound again.
//! All functions append to what the buffer holds.

/// Samples to µ-law bytes.
pub fn encode_mu(samples: &[i16], out: &mut Vec<u8>) {
    out.extend(samples.iter().map(|&sample| mu_from(sample)));
}

/// µ-law bytes to samples.
pub fn decode_mu(payload: &[u8], out: &mut Vec<i16>) {
    out.extend(payload.iter().map(|&byte| MU[byte as usize]));
}

/// Samples to A-law bytes.
pub fn encode_a(samples: &[i16], out: &mut Vec<u8>) {
    out.extend(samples.iter().map(|&sample| a_from(sample)));
}

/// A-law bytes to samples.
pub fn decode_a(payload: &[u8], out: &mut Vec<i16>) {
    out.extend(payload.iter().map(|&byte| A[byte as usize]));
}

/// G.711, table 2: eight segments a side, each twice as coarse as the one before it; all bits are inverted.
const fn mu_from(sample: i16) -> u8 {
    // 14 bits; -1 is the magnitude 0 of the negative side, as in the ITU's own software (G.191).
    let value = sample >> 2;
    let magnitude = if value < 0 { !value } else { value };
    let biased = (if magnitude > MU_CLIP { MU_CLIP } else { magnitude }) + MU_BIAS;
    // The highest bit set, 5 to 12, names the segment; the four below it the step.
    let segment = 10 - biased.leading_zeros() as u8;
    let step = (biased >> (segment + 1)) as u8 & 0x0f;
    !((if value < 0 { 0x80 } else { 0 }) | segment << 4 | step)
}

const fn mu_to(byte: u8) -> i16 {
    let code = !byte;
    let (segment, step) = ((code >> 4) & 7, (code & 0x0f) as i16);
    let magnitude = (((step << 1) + MU_BIAS) << segment) - MU_BIAS;
    (if code & 0x80 == 0 { magnitude } else { -magnitude }) << 2
}

/// G.711, table 1: the two lowest segments are equally fine; every second bit is inverted.
const fn a_from(sample: i16) -> u8 {
    // 12 bits and a sign; -1 is the magnitude 0 of the negative side.
    let value = sample >> 4;
    let magnitude = if value < 0 { !value } else { value };
    let (segment, step) = if magnitude < 32 {
        (magnitude as u8 >> 4, magnitude as u8 & 0x0f)
    } else {
        let segment = 12 - magnitude.leading_zeros() as u8;
        (segment, (magnitude >> (segment - 1)) as u8 & 0x0f)
    };
    ((if value < 0 { 0 } else { 0x80 }) | segment << 4 | step) ^ A_INVERTED
}

const fn a_to(byte: u8) -> i16 {
    let code = byte ^ A_INVERTED;
    let (segment, step) = ((code >> 4) & 7, (code & 0x0f) as i16);
    let magnitude = match segment {
        0 => (step << 1) + 1,
        _ => ((step << 1) + 33) << (segment - 1),
    };
    (if code & 0x80 == 0 { -magnitude } else { magnitude }) << 3
}

/// What is added to a magnitude of 13 bits so that segments begin at powers of two.
const MU_BIAS: i16 = 33;
/// The largest magnitude: the virtual decision value 8159 less one, for the steps begin there.
const MU_CLIP: i16 = 8_158;
const A_INVERTED: u8 = 0x55;
const MU: [i16; 256] = table(true);
const A: [i16; 256] = table(false);

const fn table(mu: bool) -> [i16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = if mu { mu_to(byte as u8) } else { a_to(byte as u8) };
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The standard's decision values of one side, from the width of each interval.
    fn decisions(width: impl Fn(usize) -> i32) -> Vec<i32> {
        let mut sum = 0;
        let ends = (0..128).map(|n| {
            sum += width(n);
            sum
        });
        std::iter::once(0).chain(ends).collect()
    }

    #[test]
    fn mu_law_has_the_values_of_table_2() {
        // In 14 bits. The first interval is the half of one, for it goes on below zero.
        let x = decisions(|n| if n == 0 { 1 } else { 2 << (n / 16) });
        assert_eq!(
            [16, 32, 48, 64, 80, 96, 112, 128].map(|n| x[n]),
            [31, 95, 223, 479, 991, 2015, 4063, 8159]
        );
        for n in 0..128 {
            let y = if n == 0 { 0 } else { x[n].midpoint(x[n + 1]) };
            assert_eq!(i32::from(MU[255 - n]), y * 4, "positive {n}");
            assert_eq!(i32::from(MU[127 - n]), -y * 4, "negative {n}");
            for sample in x[n] as i16 * 4..=(x[n + 1] * 4 - 1) as i16 {
                assert_eq!(mu_from(sample), (255 - n) as u8, "{sample}");
                assert_eq!(mu_from(!sample), (127 - n) as u8, "{}", !sample);
            }
        }
        // What is louder than the last decision value.
        assert_eq!([mu_from(i16::MAX), mu_from(i16::MIN)], [0x80, 0x00]);
        assert_eq!([MU[0x80], MU[0x00]], [32_124, -32_124]);
    }

    #[test]
    fn a_law_has_the_values_of_table_1() {
        // In 13 bits. The two first segments are equally fine.
        let x = decisions(|n| 1 << (n / 16).max(1));
        assert_eq!([32, 48, 64, 80, 96, 112, 128].map(|n| x[n]), [64, 128, 256, 512, 1024, 2048, 4096]);
        for n in 0..128 {
            let y = x[n].midpoint(x[n + 1]);
            assert_eq!(i32::from(A[(0x80 | n) ^ 0x55]), y * 8, "positive {n}");
            assert_eq!(i32::from(A[n ^ 0x55]), -y * 8, "negative {n}");
            for sample in (x[n] * 8) as i16..=(x[n + 1] * 8 - 1) as i16 {
                assert_eq!(a_from(sample), (0x80 | n) as u8 ^ 0x55, "{sample}");
                assert_eq!(a_from(!sample), n as u8 ^ 0x55, "{}", !sample);
            }
        }
        assert_eq!([A[0xaa], A[0x2a]], [32_256, -32_256]);
    }

    #[test]
    fn a_second_passage_changes_nothing() {
        for byte in 0..=255u8 {
            assert_eq!(a_from(A[byte as usize]), byte);
            // µ-law has two zeros.
            assert_eq!(mu_from(MU[byte as usize]), if byte == 0x7f { 0xff } else { byte });
        }
    }

    #[test]
    fn every_byte_is_a_sample() {
        let bytes: Vec<u8> = (0..=255).collect();
        for (decode, encode) in [
            (decode_mu as fn(&[u8], &mut Vec<i16>), encode_mu as fn(&[i16], &mut Vec<u8>)),
            (decode_a, encode_a),
        ] {
            let (mut samples, mut back) = (vec![1], vec![2]);
            decode(&bytes, &mut samples);
            encode(&samples[1..], &mut back);
            assert_eq!((samples.len(), samples[0], back.len(), back[0]), (257, 1, 257, 2));
        }
    }
}
