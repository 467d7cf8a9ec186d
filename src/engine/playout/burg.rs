//! Burg's method: a linear predictor fitted to what lies before and behind a hole.
//!
//! The lattice is run over both pieces at once, never across the hole, and one set of reflection coefficients
//! makes the error of both least, forward and backward in time (J. P. Burg, "Maximum entropy spectral analysis",
//! 1967; weighted as by D. N. Swingler, 1979). What is near the hole counts more: the weights of the past rise as a
//! squared sine. The predictor is always stable.
//!
//! The prediction errors are f32, the coefficients f64: measured on speech the errors' rounding changes nothing,
//! and costs half.

use super::kernel::Kernel;
use crate::engine::exact::{power, sin};

/// A predictor and all that is needed to fit it.
pub struct Burg {
    kernel: Kernel,
    forward_error: Box<[f32]>,
    backward_error: Box<[f32]>,
    weight: Box<[f32]>,
    taper: Box<[f32]>,
    forward: Box<[f64]>,
    reversed: Box<[f64]>,
    order: usize,
}

impl Burg {
    /// Room for pieces of `past` and `future` samples and for predictors up to `order`.
    pub fn new(kernel: Kernel, past: usize, future: usize, order: usize) -> Self {
        let step = std::f64::consts::FRAC_PI_2 / past.max(1) as f64;
        Self {
            kernel,
            forward_error: vec![0.0; past + future].into(),
            backward_error: vec![0.0; past + future].into(),
            weight: vec![0.0; past + future].into(),
            taper: (0..past).map(|i| power(sin((i as f64 + 0.5) * step), 2) as f32).collect(),
            forward: vec![0.0; order + 1].into(),
            reversed: vec![0.0; order + 1].into(),
            order: 0,
        }
    }

    /// Fits a predictor of `order`, or of a third of the samples if that is less. The last `doubtful` samples of the
    /// past, themselves made up, count half.
    pub fn fit(&mut self, past: &[f32], doubtful: usize, future: &[f32], order: usize) {
        let past = &past[past.len() - past.len().min(self.taper.len())..];
        let len = past.len() + future.len().min(self.forward_error.len() - past.len());
        let future = &future[..len - past.len()];
        self.forward_error[..past.len()].copy_from_slice(past);
        self.forward_error[past.len()..len].copy_from_slice(future);
        self.backward_error[..len].copy_from_slice(&self.forward_error[..len]);
        self.weight[..past.len()].copy_from_slice(&self.taper[self.taper.len() - past.len()..]);
        for w in &mut self.weight[past.len() - doubtful.min(past.len())..past.len()] {
            *w *= DOUBT;
        }
        self.weight[past.len()..len].fill(1.0);
        self.order = order.min(self.forward.len() - 1).min(len / 3);
        self.recurse(&[0..past.len(), past.len()..len]);
    }

    /// The order of the last fit.
    pub fn order(&self) -> usize {
        self.order
    }

    /// The prediction error filter of the last fit, `order + 1` coefficients of which the first is 1.
    pub fn filter(&self) -> &[f64] {
        &self.forward[..=self.order]
    }

    /// The same filter, last coefficient first: its product with `order + 1` samples in a row is the error at the last.
    pub fn reversed(&self) -> &[f64] {
        &self.reversed[..=self.order]
    }

    fn recurse(&mut self, pieces: &[std::ops::Range<usize>; 2]) {
        let Self { kernel, forward_error, backward_error, weight, forward, reversed, order, .. } = self;
        let len = pieces[1].end;
        let power: f64 = forward_error[..len].iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        let floor = 2.0 * (RELATIVE_FLOOR * power / len.max(1) as f64 + ABSOLUTE_FLOOR);
        forward[..=*order].fill(0.0);
        reversed[..=*order].fill(0.0);
        forward[0] = 1.0;
        // The polynomial of order m, reversed, lies at order - m: it grows downwards and is never moved.
        reversed[*order] = 1.0;
        for m in 1..=*order {
            let (mut cross, mut power) = (0.0, 0.0);
            for piece in pieces.iter().filter(|p| p.len() > m) {
                // The backward error of sample n at order m lies at n - m, so that pairs meet without a shift.
                let middle = piece.start + m - m / 2;
                let (c, p) = kernel.correlate(
                    &forward_error[piece.start + m..piece.end],
                    &backward_error[piece.start..piece.end - m],
                    &weight[middle..],
                );
                let count = (piece.len() - m) as f64;
                cross += c;
                power += p + floor * count;
            }
            let reflection = if power > 0.0 { (-2.0 * cross / power).clamp(-STABLE, STABLE) } else { 0.0 };
            for piece in pieces.iter().filter(|p| p.len() > m) {
                kernel.lattice(
                    &mut forward_error[piece.start + m..piece.end],
                    &mut backward_error[piece.start..piece.end - m],
                    reflection as f32,
                );
            }
            kernel.rotate(&mut forward[..=m], &mut reversed[*order - m..=*order], reflection);
        }
    }
}

/// What a made-up sample counts.
const DOUBT: f32 = 0.5;

/// A noise floor assumed in the sound, against its power: enough to keep the recursion sound where nothing is left to
/// predict. More costs pure tones dearly when they are continued, less when they are joined over two
/// packets; speech does not mind.
const RELATIVE_FLOOR: f64 = 1e-10;

/// The same, absolutely: far below the steps of 16 bits.
const ABSOLUTE_FLOOR: f64 = 1e-16;

/// Rounding must not make a predictor unstable.
const STABLE: f64 = 1.0 - 1e-12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_process_is_recognised() {
        // x[n] = 1.6 x[n-1] - 0.81 x[n-2] + noise
        let (mut noise, mut x) = (1u32, vec![0.0f32; 4_000]);
        for n in 2..x.len() {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            x[n] = 1.6 * x[n - 1] - 0.81 * x[n - 2] + (noise >> 8) as f32 / 16_777_216.0 - 0.5;
        }
        let mut burg = Burg::new(Kernel::detect(), 2_000, 2_000, 2);
        burg.fit(&x[..2_000], 0, &x[2_000..], 2);
        let filter = burg.filter();
        assert!((filter[1] + 1.6).abs() < 0.03 && (filter[2] - 0.81).abs() < 0.03, "{filter:?}");
        assert_eq!(burg.reversed(), [filter[2], filter[1], 1.0]);
    }

    #[test]
    fn a_short_piece_gets_a_low_order() {
        let mut burg = Burg::new(Kernel::detect(), 100, 100, 50);
        burg.fit(&[0.5; 20], 0, &[], 50);
        assert_eq!(burg.order(), 6);
        burg.fit(&[], 0, &[], 50);
        assert_eq!((burg.order(), burg.filter()), (0, &[1.0][..]));
    }
}
