//! Elementary functions that have the same bits on every machine.
//!
//! Those of `std` are the C library's, or the compiler's where it knows the argument: their last bit is nobody's. What decides
//! a count anywhere below must not depend on it, or the lab's figures would be other ones elsewhere. Additions,
//! multiplications, divisions and square roots are exact by IEEE 754 and need nothing.

pub use libm::{cos, exp, log2, log10, pow, sin};

/// A whole power, multiplied in one fixed order.
pub fn power<T: Copy + std::ops::Mul<Output = T> + From<u8>>(mut base: T, mut exponent: u32) -> T {
    let mut result = T::from(1);
    while exponent > 0 {
        if exponent % 2 == 1 {
            result = result * base;
        }
        base = base * base;
        exponent /= 2;
    }
    result
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "that is the promise")]
mod tests {
    use super::*;

    #[test]
    fn powers_are_products() {
        assert_eq!(power(1.5f64, 0), 1.0);
        assert_eq!(power(1.5f64, 5), 1.5 * 1.5 * 1.5 * 1.5 * 1.5);
        assert!((power(0.999f32, 1 << 10) - 0.999f32.powi(1 << 10)).abs() < 1e-5);
    }

    #[test]
    fn the_last_bits_are_those_of_every_machine() {
        let sum = |function: fn(f64) -> f64| {
            (1..=1000).fold(0u64, |sum, n| sum.rotate_left(5) ^ function(f64::from(n) * 0.007).to_bits())
        };
        let all =
            [exp, sin, cos, log2, log10, |x| pow(x, -0.25)].map(|function| format!("{:016x}", sum(function)));
        assert_eq!(all, PINNED);
    }

    const PINNED: [&str; 6] = [
        "9c9529e52b82ab1a",
        "a5f515c7f9d89465",
        "0e38370d9af06ef1",
        "bcb4165bcf73d754",
        "d0029c6be8527d70",
        "62409bcf64d07f09",
    ];
}
