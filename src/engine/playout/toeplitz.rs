//! Systems of equations whose symmetric, positive definite matrix is constant along its diagonals.

use super::kernel::Kernel;

/// Levinson's recursion (N. Levinson, 1947): n² steps where a general solver takes n³.
pub struct Toeplitz {
    kernel: Kernel,
    forward: Box<[f64]>,
    reversed: Box<[f64]>,
    diagonals: Box<[f64]>,
}

impl Toeplitz {
    /// Room for `size` unknowns.
    pub fn new(kernel: Kernel, size: usize) -> Self {
        let room = || vec![0.0; size].into_boxed_slice();
        Self { kernel, forward: room(), reversed: room(), diagonals: room() }
    }

    /// Solves for `x`, where `row` is the matrix's first row and `right` the right-hand side; all of one length.
    /// False, and `x` meaningless, where the matrix is not positive definite.
    pub fn solve(&mut self, row: &[f64], right: &[f64], x: &mut [f64]) -> bool {
        let n = row.len();
        if n == 0 || n > self.forward.len() || right.len() != n || x.len() != n || row[0] <= 0.0 {
            return n == 0;
        }
        let kernel = self.kernel;
        let (forward, reversed) = (&mut self.forward[..n], &mut self.reversed[..n]);
        let diagonals = &mut self.diagonals[..n];
        for (d, r) in diagonals.iter_mut().zip(row.iter().rev()) {
            *d = *r;
        }
        forward.fill(0.0);
        reversed.fill(0.0);
        x.fill(0.0);
        forward[0] = 1.0;
        // The predictor of order m, reversed, lies at n - 1 - m: it grows downwards and is never moved.
        reversed[n - 1] = 1.0;
        let mut error = row[0];
        x[0] = right[0] / error;
        for m in 1..n {
            let lags = &diagonals[n - 1 - m..n - 1];
            let (predicted, reached) = kernel.dot_pair(&forward[..m], &x[..m], lags);
            let reflection = -predicted / error;
            kernel.rotate(&mut forward[..=m], &mut reversed[n - 1 - m..], reflection);
            error *= 1.0 - reflection * reflection;
            if error.is_nan() || error <= row[0] * f64::EPSILON {
                return false;
            }
            kernel.add_scaled(&mut x[..=m], (right[m] - reached) / error, &reversed[n - 1 - m..]);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_solution_solves() {
        let n = 50;
        let row: Vec<f64> =
            (0..n).map(|i| 0.9f64.powi(i) * (f64::from(i) * 0.3).cos() + f64::from(i == 0)).collect();
        let right: Vec<f64> = (0..n).map(|i| (f64::from(i) * 0.9).sin()).collect();
        let mut x = vec![0.0; n as usize];
        assert!(Toeplitz::new(Kernel::detect(), 64).solve(&row, &right, &mut x));
        for i in 0..n as usize {
            let sum: f64 = (0..n as usize).map(|j| row[i.abs_diff(j)] * x[j]).sum();
            assert!((sum - right[i]).abs() < 1e-12, "row {i}: {sum} is not {}", right[i]);
        }
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_is_refused() {
        let mut x = [0.0; 3];
        let mut toeplitz = Toeplitz::new(Kernel::detect(), 3);
        assert!(!toeplitz.solve(&[1.0, 1.0, 1.0], &[1.0; 3], &mut x));
        assert!(!toeplitz.solve(&[1.0, 2.0, 0.0], &[1.0; 3], &mut x));
        assert!(!toeplitz.solve(&[0.0; 3], &[1.0; 3], &mut x));
        assert!(!toeplitz.solve(&[f64::NAN; 3], &[1.0; 3], &mut x));
    }
}
