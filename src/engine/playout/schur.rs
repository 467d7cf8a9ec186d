//! Systems of equations whose symmetric, positive definite matrix is nearly constant along its diagonals.

use super::kernel::Kernel;

/// The generalised Schur algorithm (T. Kailath and A. H. Sayed, "Displacement structure", 1995): Cholesky's factor,
/// column by column, in n² steps where a general solver takes n³.
///
/// The matrix is given by its first column and by what its diagonals lose from one row to the next:
/// `m[i][j] = m[i - 1][j - 1] - loss[i] * loss[j]`. Its displacement has rank three: the column, the column without its
/// head, and the loss; one rotation and one hyperbolic rotation for each column clear the latter two.
pub struct Schur {
    kernel: Kernel,
    /// Cholesky's factor, column after column, each from the diagonal down.
    lower: Box<[f64]>,
    size: usize,
    column: Box<[f64]>,
    loss: Box<[f64]>,
}

impl Schur {
    /// Room for `size` unknowns (200 kB for 220).
    pub fn new(kernel: Kernel, size: usize) -> Self {
        let room = |len| vec![0.0; len].into_boxed_slice();
        Self { kernel, lower: room(size * (size + 1) / 2), size, column: room(size), loss: room(size) }
    }

    /// The most unknowns.
    pub fn most(&self) -> usize {
        self.size
    }

    /// The matrix of `size` rows, to be filled in before it is solved: its first column, and what its diagonals lose at
    /// each row (at the first nothing, whatever it says).
    pub fn matrix(&mut self, size: usize) -> (&mut [f64], &mut [f64]) {
        let size = size.min(self.size);
        (&mut self.column[..size], &mut self.loss[..size])
    }

    /// Solves in place: `x` is the right-hand side, then the solution. Uses the matrix up. False, and `x` meaningless,
    /// where it is not positive definite, or has no room.
    pub fn solve(&mut self, x: &mut [f64]) -> bool {
        let n = x.len();
        if n > self.size || n == 0 {
            return n == 0;
        }
        let kernel = self.kernel;
        let (column, loss) = (&mut self.column[..n], &mut self.loss[..n]);
        let head = column[0];
        // Not a number is not above.
        if !(head > 0.0 && head < f64::INFINITY) {
            return false;
        }
        let scale = head.sqrt().recip();
        for (l, c) in self.lower.iter_mut().zip(column.iter_mut()) {
            *c *= scale;
            *l = *c;
        }
        let least = f64::EPSILON * head.sqrt();
        let mut from = 0;
        for i in 0..n {
            let (above, below) = self.lower[from..].split_at_mut(n - i);
            // Forwards, along with the factor.
            x[i] /= above[0];
            let known = x[i];
            kernel.add_scaled(&mut x[i + 1..], -known, &above[1..]);
            let rest = i + 1..n;
            if rest.is_empty() {
                break;
            }
            let (c, u) = (column[i + 1], loss[i + 1]);
            let both = c.hypot(u);
            let turn = if both > 0.0 { (c / both, u / both) } else { (1.0, 0.0) };
            let ratio = both / above[0];
            let rest_of = ((1.0 - ratio) * (1.0 + ratio)).sqrt();
            if rest_of.is_nan() || above[0] * rest_of <= least {
                return false;
            }
            // The column before, one row further down, is what the next is made of.
            kernel.schur(
                &above[..n - i - 1],
                &mut below[..n - i - 1],
                &mut column[rest.clone()],
                &mut loss[rest],
                turn,
                (ratio, rest_of),
            );
            from += n - i;
        }
        for i in (0..n).rev() {
            let (now, behind) = x.split_at_mut(i + 1);
            let l = &self.lower[from..from + n - i];
            now[i] = (now[i] - kernel.dot(&l[1..], behind)) / l[0];
            from = from.saturating_sub(n - i + 1);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of a filter's convolution matrix, `known` more of them than columns; their product with themselves.
    fn product(filter: &[f64], n: usize, known: usize) -> Vec<Vec<f64>> {
        let a = |lag: usize| filter.get(lag).copied().unwrap_or(0.0);
        let entry = |i: usize, j: usize| (i.max(j)..n + known).map(|r| a(r - i) * a(r - j)).sum();
        (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect()
    }

    fn set(schur: &mut Schur, filter: &[f64], matrix: &[Vec<f64>], known: usize) {
        let n = matrix.len();
        let (column, loss) = schur.matrix(n);
        for i in 0..n {
            column[i] = matrix[i][0];
            loss[i] = filter.get(n + known - i).copied().unwrap_or(0.0);
        }
    }

    #[test]
    fn the_solution_solves() {
        // A resonance and its like: near to what cannot be solved.
        let filter: Vec<f64> =
            (0..40).map(|i| if i == 0 { 1.0 } else { -0.12 * (f64::from(i) * 0.31).cos() }).collect();
        let mut schur = Schur::new(Kernel::detect(), 70);
        for (n, known) in [(1, 3), (2, 0), (60, 0), (60, 1), (60, 20), (60, 39), (70, 100), (20, 5)] {
            let matrix = product(&filter, n, known);
            set(&mut schur, &filter, &matrix, known);
            let right: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
            let mut x = right.clone();
            assert!(schur.solve(&mut x));
            for (i, right) in right.iter().enumerate() {
                let sum: f64 = (0..n).map(|j| matrix[i][j] * x[j]).sum();
                assert!((sum - right).abs() < 1e-9, "{n}, {known}, row {i}: {sum} is not {right}");
            }
        }
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_is_refused() {
        let mut schur = Schur::new(Kernel::detect(), 3);
        for (column, loss) in [
            ([1.0, 2.0, 0.0], [0.0; 3]),
            ([1.0, 1.0, 1.0], [0.0; 3]),
            ([1.0, 0.0, 0.0], [0.0, 1.5, 0.0]),
            ([0.0; 3], [0.0; 3]),
            ([-1.0, 0.0, 0.0], [0.0; 3]),
            ([f64::NAN; 3], [0.0; 3]),
            ([f64::INFINITY; 3], [0.0; 3]),
            ([1.0, 0.0, 0.0], [0.0, f64::NAN, 0.0]),
        ] {
            let (c, l) = schur.matrix(3);
            c.copy_from_slice(&column);
            l.copy_from_slice(&loss);
            assert!(!schur.solve(&mut [1.0; 3]), "{column:?}, {loss:?}");
        }
        assert!(!schur.solve(&mut [1.0; 4]), "no room");
        assert!(schur.solve(&mut []));
    }
}
