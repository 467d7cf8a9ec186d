//! How loud a stretch of sound is at its loudest.

/// The largest magnitude; zero for no sound, not a number where a sample is none.
///
/// Magnitudes are compared as whole numbers, which order as the floats do and put what is not a number above all: that
/// runs in lanes on any machine, where a chain of `f32::max` runs sample after sample.
pub fn peak(sound: &[f32]) -> f32 {
    let (blocks, rest) = sound.as_chunks::<LANES>();
    let mut most = [0i32; LANES];
    for block in blocks {
        for (most, x) in most.iter_mut().zip(block) {
            *most = magnitude(*x).max(*most);
        }
    }
    let rest = rest.iter().map(|x| magnitude(*x));
    f32::from_bits(most.into_iter().chain(rest).fold(0, i32::max) as u32)
}

fn magnitude(x: f32) -> i32 {
    // Without its sign bit it is never negative.
    (x.to_bits() & 0x7FFF_FFFF) as i32
}

const LANES: usize = 16;

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "a peak is one of the samples, to the bit")]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_loudest_sample_wherever_it_is() {
        assert_eq!(peak(&[]), 0.0);
        for len in [1, 15, 16, 17, 100] {
            for at in 0..len {
                let mut sound = vec![0.25f32; len];
                sound[at] = -0.75;
                assert_eq!(peak(&sound), 0.75);
                sound[at] = f32::NEG_INFINITY;
                assert_eq!(peak(&sound), f32::INFINITY);
                sound[at] = -f32::NAN;
                assert!(peak(&sound).is_nan());
            }
        }
        assert_eq!(peak(&[-0.0; 40]).to_bits(), 0);
    }
}
