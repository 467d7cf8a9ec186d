//! Small systems of equations with any symmetric, positive definite matrix.

use super::kernel::Kernel;

/// Cholesky's factorisation: n³ / 6 steps, for up to [`MOST`](Self::MOST) unknowns.
pub struct Cholesky {
    kernel: Kernel,
    /// The lower triangle, row after row.
    lower: Box<[f64]>,
    size: usize,
}

impl Cholesky {
    /// As many unknowns as are solved in about the time that a fit takes.
    pub const MOST: usize = 256;

    /// Room for [`MOST`](Self::MOST) unknowns (260 kB).
    pub fn new(kernel: Kernel) -> Self {
        Self { kernel, lower: vec![0.0; row_start(Self::MOST)].into(), size: 0 }
    }

    /// The matrix of `size` rows, to be set before it is solved.
    pub fn set(&mut self, size: usize, row: usize, column: usize, value: f64) {
        self.size = size.min(Self::MOST);
        self.lower[row_start(row.max(column)) + row.min(column)] = value;
    }

    /// Solves in place: `x` is the right-hand side, then the solution. Uses the matrix up. False, and `x` meaningless,
    /// where it is not positive definite or not of the length of `x`.
    pub fn solve(&mut self, x: &mut [f64]) -> bool {
        let n = x.len();
        if n != self.size {
            return false;
        }
        for i in 0..n {
            let (above, row) = self.lower.split_at_mut(row_start(i));
            let row = &mut row[..=i];
            for j in 0..i {
                let other = &above[row_start(j)..=row_start(j) + j];
                row[j] = (row[j] - self.kernel.dot(&row[..j], &other[..j])) / other[j];
            }
            let square = row[i] - self.kernel.dot(&row[..i], &row[..i]);
            if square.is_nan() || square <= row[i] * f64::EPSILON {
                return false;
            }
            row[i] = square.sqrt();
            x[i] = (x[i] - self.kernel.dot(&row[..i], &x[..i])) / row[i];
        }
        for i in (0..n).rev() {
            let row = &self.lower[row_start(i)..=row_start(i) + i];
            let (before, rest) = x.split_at_mut(i);
            rest[0] /= row[i];
            self.kernel.add_scaled(before, -rest[0], row);
        }
        true
    }
}

fn row_start(row: usize) -> usize {
    row * (row + 1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_solution_solves() {
        let n = 60;
        let value = |i: usize, j: usize| {
            1.0 / (1.0 + i.abs_diff(j) as f64) + if i == j { 1.0 + i as f64 * 0.1 } else { 0.0 }
        };
        let mut cholesky = Cholesky::new(Kernel::detect());
        for i in 0..n {
            for j in 0..=i {
                cholesky.set(n, i, j, value(i, j));
            }
        }
        let right: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
        let mut x = right.clone();
        assert!(cholesky.solve(&mut x));
        for (i, right) in right.iter().enumerate() {
            let sum: f64 = (0..n).map(|j| value(i, j) * x[j]).sum();
            assert!((sum - right).abs() < 1e-12, "row {i}: {sum} is not {right}");
        }
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_is_refused() {
        let mut cholesky = Cholesky::new(Kernel::detect());
        for (i, j, value) in [(0, 0, 1.0), (1, 0, 2.0), (1, 1, 1.0)] {
            cholesky.set(2, i, j, value);
        }
        assert!(!cholesky.solve(&mut [1.0, 1.0]));
        assert!(!cholesky.solve(&mut [1.0]));
    }
}
