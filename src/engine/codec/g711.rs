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
