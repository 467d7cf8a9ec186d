//! What a fitted predictor says about sound that is not there: beyond one edge, or between two.
//!
//! Between two edges the missing samples are those that make the predictor's squared error least over every
//! sample that they touch (A. J. E. M. Janssen, R. N. J. Veldhuis and L. B. Vries, "Adaptive interpolation of
//! discrete-time signals that can be modeled as autoregressive processes", 1986). With `order` known samples on both
//! sides the normal equations are Toeplitz: their rows are the autocorrelation of the predictor's own coefficients.
//! With fewer behind the hole, what lies beyond them is left out of the sum, and a short hole is solved for all the same.

use super::burg::Burg;
use super::kernel::Kernel;
use super::schur::Schur;
use super::toeplitz::Toeplitz;

/// Scratch for holes up to a length.
pub struct Interpolator {
    kernel: Kernel,
    toeplitz: Toeplitz,
    schur: Schur,
    line: Box<[f64]>,
    error: Box<[f64]>,
    row: Box<[f64]>,
    right: Box<[f64]>,
    hole: Box<[f64]>,
}

impl Interpolator {
    /// Room for holes of `hole` samples between two edges, for `reach` samples beyond one, and predictors up to `order`.
    pub fn new(kernel: Kernel, hole: usize, reach: usize, order: usize) -> Self {
        let room = |len| vec![0.0; len].into_boxed_slice();
        Self {
            kernel,
            toeplitz: Toeplitz::new(kernel, hole),
            schur: Schur::new(kernel, hole.min(SHORT_HOLE)),
            line: room(order + reach.max(hole + order)),
            error: room(hole + order),
            row: room(hole),
            right: room(hole),
            hole: room(hole),
        }
    }

    /// Continues `past` into `out` as `burg` predicts. At most `reach` samples; the rest of `out` is silence.
    pub fn extend(&mut self, burg: &Burg, past: impl DoubleEndedIterator<Item = f32>, out: &mut [f32]) {
        let order = burg.order();
        let predict = &burg.reversed()[..order];
        self.line[..order].fill(0.0);
        for (x, p) in self.line[..order].iter_mut().rev().zip(past.rev()) {
            *x = f64::from(p);
        }
        let (near, far) = out.split_at_mut(out.len().min(self.line.len() - order));
        for (i, out) in near.iter_mut().enumerate() {
            let next = -self.kernel.dot(predict, &self.line[i..i + order]);
            self.line[i + order] = next;
            *out = next as f32;
        }
        far.fill(0.0);
    }

    /// Whether a hole of `frames` can be filled with fewer samples known behind it than the predictor's order.
    pub fn needs_little_future(&self, frames: usize) -> bool {
        frames <= self.schur.most()
    }

    /// Fills `out`, the hole between `past` and `future`. False, and `out` as it was, where the hole is longer than
    /// there is room for, an edge is too short for the predictor's order, or the equations have no solution.
    pub fn fill(&mut self, burg: &Burg, past: &[f32], future: &[f32], out: &mut [f32]) -> bool {
        let (order, n) = (burg.order(), out.len());
        let known = order.min(future.len());
        let full = known == order;
        if n > self.hole.len() || order > past.len() || !(full || self.needs_little_future(n)) {
            return false;
        }
        self.set_right_side(burg, past, &future[..known], n);
        let (filter, kernel) = (burg.filter(), self.kernel);
        let (right, hole) = (&self.right[..n], &mut self.hole[..n]);
        let solved = if full {
            for (lag, r) in self.row[..n].iter_mut().enumerate() {
                *r = filter.get(lag..).map_or(0.0, |shifted| kernel.dot(shifted, filter));
            }
            self.toeplitz.solve(&self.row[..n], right, hole)
        } else {
            // Each diagonal is a sum of products, cut off where the known future ends: later the nearer the row is.
            let rows = n + known;
            let (column, loss) = self.schur.matrix(n);
            for (lag, (column, loss)) in column.iter_mut().zip(loss).enumerate() {
                let shifted = filter.get(lag..).unwrap_or(&[]);
                *column = kernel.dot(&shifted[..shifted.len().min(rows - lag)], filter);
                *loss = filter.get(rows - lag).copied().unwrap_or(0.0);
            }
            hole.copy_from_slice(right);
            self.schur.solve(hole)
        };
        if solved {
            for (out, &x) in out.iter_mut().zip(hole.iter()) {
                *out = x as f32;
            }
        }
        solved
    }

    /// The errors were the hole of `n` samples silent, each seeing the past, the future or both, as the missing samples
    /// see them.
    fn set_right_side(&mut self, burg: &Burg, past: &[f32], future: &[f32], n: usize) {
        let Self { kernel, line, error, right, .. } = self;
        let (order, filter, reversed) = (burg.order(), burg.filter(), burg.reversed());
        let line = &mut line[..order + n + future.len()];
        for (x, &p) in line[..order].iter_mut().zip(&past[past.len() - order..]) {
            *x = f64::from(p);
        }
        line[order..order + n].fill(0.0);
        for (x, &f) in line[order + n..].iter_mut().zip(future) {
            *x = f64::from(f);
        }
        let error = &mut error[..n + future.len()];
        for (i, e) in error.iter_mut().enumerate() {
            let before = i.min(order);
            let behind = (order + n).saturating_sub(i).min(order + 1);
            *e = kernel.dot(&reversed[..order - before], &line[i..order.max(i)])
                + kernel.dot(&reversed[behind..], &line[i + behind..=i + order]);
        }
        for (i, r) in right[..n].iter_mut().enumerate() {
            *r = -kernel.dot(filter, &error[i..]);
        }
    }
}

/// The longest hole that is filled with less than an order known behind it: 10 ms at usual rates (one megabyte).
const SHORT_HOLE: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn chord(n: usize) -> f32 {
        let t = n as f64;
        ((t * 0.142).sin() * 0.4 + (t * 0.031).cos() * 0.3) as f32
    }

    #[test]
    fn the_filled_hole_has_the_least_error() {
        // A whole order known behind the hole, and less.
        for known in [100, 20, 19, 7, 1] {
            has_the_least_error(known);
        }
    }

    fn has_the_least_error(known: usize) {
        let sound: Vec<f32> = (0..300).map(chord).collect();
        let mut burg = Burg::new(Kernel::detect(), 100, 100, 20);
        burg.fit(&sound[..100], 0, &sound[150..150 + known], 20);
        let mut interpolator = Interpolator::new(Kernel::detect(), 50, 50, 20);
        let mut filled = sound.clone();
        assert!(interpolator.fill(&burg, &sound[..100], &sound[150..150 + known], &mut filled[100..150]));
        let error = |x: &[f32]| -> f64 {
            (100..150 + known.min(20))
                .map(|n| {
                    let e: f64 = burg.filter().iter().enumerate().map(|(j, a)| a * f64::from(x[n - j])).sum();
                    e * e
                })
                .sum()
        };
        let least = error(&filled);
        for n in 100..150 {
            for step in [-0.001, 0.001] {
                let mut other = filled.clone();
                other[n] += step;
                assert!(error(&other) > least, "{known} known: a step of {step} at {n} is better");
            }
        }
    }

    #[test]
    fn it_refuses_what_it_cannot_do() {
        let sound: Vec<f32> = (0..400).map(chord).collect();
        let mut burg = Burg::new(Kernel::detect(), 400, 100, 20);
        burg.fit(&sound, 0, &[], 20);
        let mut interpolator = Interpolator::new(Kernel::detect(), 300, 50, 20);
        assert!(!interpolator.fill(&burg, &sound, &sound, &mut [0.0; 301]));
        assert!(interpolator.fill(&burg, &sound, &sound[..20], &mut [0.0; 300]));
        let mut interpolator = Interpolator::new(Kernel::detect(), 2 * SHORT_HOLE, 50, 20);
        assert!(!interpolator.fill(&burg, &sound, &sound[..19], &mut [0.0; SHORT_HOLE + 1]));
        assert!(interpolator.fill(&burg, &sound, &sound[..19], &mut [0.0; SHORT_HOLE]));
        assert!(interpolator.fill(&burg, &sound, &sound[..20], &mut [0.0; SHORT_HOLE + 1]));
        assert!(!interpolator.fill(&burg, &sound[..19], &sound, &mut [0.0; 50]));
    }
}
