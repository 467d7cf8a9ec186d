//! The inner loops of concealment, compiled twice on x86-64: for the baseline, and for AVX2 where the machine has it.
//!
//! Guaranteed: both give the same bits. Sums run in a fixed number of lanes and nothing is fused, so that which
//! machine plays a stream never changes what is heard.

/// Which of the two compilations runs; found once, when the object that uses it is made.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    #[cfg(target_arch = "x86_64")]
    avx2: bool,
}

impl Kernel {
    /// The best that this machine can do.
    pub fn detect() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            avx2: std::arch::is_x86_feature_detected!("avx2"),
        }
    }
}

/// A method of [`Kernel`] whose body is also compiled with AVX2 enabled.
macro_rules! dispatched {
    ($(#[$doc:meta])* $name:ident, $body:ident ( $($arg:ident : $type:ty),* ) $(-> $result:ty)?) => {
        impl Kernel {
            $(#[$doc])*
            #[inline]
            pub fn $name(self, $($arg: $type),*) $(-> $result)? {
                #[cfg(target_arch = "x86_64")]
                {
                    #[target_feature(enable = "avx2")]
                    fn wide($($arg: $type),*) $(-> $result)? {
                        $body($($arg),*)
                    }
                    if self.avx2 {
                        #[allow(unsafe_code, reason = "a function compiled for AVX2 is called where AVX2 is")]
                        // SAFETY: `avx2` is true only where `detect` found the feature; `wide` is otherwise safe code.
                        return unsafe { wide($($arg),*) };
                    }
                }
                $body($($arg),*)
            }
        }
    };
}

dispatched! {
    /// One step of a lattice, in place: `f + k b` and `b + k f`. As long as the shorter one.
    lattice, lattice_body(f: &mut [f32], b: &mut [f32], k: f32)
}

dispatched! {
    /// The weighted `sum w f b` and `sum w (f f + b b)`. As long as the shortest one.
    correlate, correlate_body(f: &[f32], b: &[f32], w: &[f32]) -> (f64, f64)
}

dispatched! {
    /// One step of a polynomial recursion, in place: `f + k b` and `b + k f`. As long as the shorter one.
    rotate, rotate_body(f: &mut [f64], b: &mut [f64], k: f64)
}

dispatched! {
    /// `x + g s`, in place. As long as the shorter one.
    add_scaled, add_scaled_body(x: &mut [f64], g: f64, s: &[f64])
}

dispatched! {
    /// One step of Schur's algorithm: `c` and `u` are turned into each other by an angle's cosine and sine, then `b` and `c`
    /// hyperbolically by a ratio, given with the root of one less its square; the new `b` goes to `to`. The mixed form, which
    /// is the stable one. As long as the shortest one.
    schur, schur_body(b: &[f64], to: &mut [f64], c: &mut [f64], u: &mut [f64], turn: (f64, f64), ratio: (f64, f64))
}

dispatched! {
    /// The inner product. As long as the shorter one.
    dot, dot_body(a: &[f64], b: &[f64]) -> f64
}

dispatched! {
    /// The inner products of `a` and of `b` with `c`. As long as the shortest one.
    dot_pair, dot_pair_body(a: &[f64], b: &[f64], c: &[f64]) -> (f64, f64)
}

#[allow(clippy::inline_always, reason = "it must be compiled into its caller to be compiled for AVX2")]
#[inline(always)]
fn lattice_body(f: &mut [f32], b: &mut [f32], k: f32) {
    for (f, b) in f.iter_mut().zip(b) {
        let old = *f;
        *f += k * *b;
        *b += k * old;
    }
}

#[allow(clippy::inline_always, reason = "it must be compiled into its caller to be compiled for AVX2")]
#[inline(always)]
fn correlate_body(f: &[f32], b: &[f32], w: &[f32]) -> (f64, f64) {
    const LANES: usize = 16;
    let len = f.len().min(b.len()).min(w.len());
    let (f, f_rest) = f[..len].as_chunks::<LANES>();
    let (b, b_rest) = b[..len].as_chunks::<LANES>();
    let (w, w_rest) = w[..len].as_chunks::<LANES>();
    let (mut cross, mut power) = ([0.0; LANES], [0.0; LANES]);
    for ((f, b), w) in f.iter().zip(b).zip(w) {
        for i in 0..LANES {
            cross[i] += w[i] * (f[i] * b[i]);
            power[i] += w[i] * (f[i] * f[i] + b[i] * b[i]);
        }
    }
    for (i, ((f, b), w)) in f_rest.iter().zip(b_rest).zip(w_rest).enumerate() {
        cross[i] += w * (f * b);
        power[i] += w * (f * f + b * b);
    }
    (cross.iter().map(|&c| f64::from(c)).sum(), power.iter().map(|&p| f64::from(p)).sum())
}

#[allow(clippy::inline_always, reason = "it must be compiled into its caller to be compiled for AVX2")]
#[inline(always)]
fn rotate_body(f: &mut [f64], b: &mut [f64], k: f64) {
    for (f, b) in f.iter_mut().zip(b) {
        let old = *f;
        *f += k * *b;
        *b += k * old;
    }
}

#[allow(clippy::inline_always, reason = "it must be compiled into its caller to be compiled for AVX2")]
#[inline(always)]
fn add_scaled_body(x: &mut [f64], g: f64, s: &[f64]) {
    for (x, s) in x.iter_mut().zip(s) {
        *x += g * s;
    }
}

#[allow(clippy::inline_always, reason = "it must be compiled into its caller to be compiled for AVX2")]
#[inline(always)]
fn schur_body(
    b: &[f64],
    to: &mut [f64],
    c: &mut [f64],
    u: &mut [f64],
    (cosine, sine): (f64, f64),
    (ratio, rest): (f64, f64),
) {
    let scale = rest.recip();
    for (((b, to), c), u) in b.iter().zip(to).zip(c).zip(u) {
        let turned = cosine * *c + sine * *u;
        *u = cosine * *u - sine * *c;
        *to = (*b - ratio * turned) * scale;
        *c = rest * turned - ratio * *to;
    }
}

#[allow(clippy::inline_always, reason = "it must be compiled into its caller to be compiled for AVX2")]
#[inline(always)]
fn dot_body(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 16;
    let len = a.len().min(b.len());
    let (a, a_rest) = a[..len].as_chunks::<LANES>();
    let (b, b_rest) = b[..len].as_chunks::<LANES>();
    let mut sum = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            sum[i] += a[i] * b[i];
        }
    }
    for (i, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        sum[i] += a * b;
    }
    sum.iter().sum()
}

#[allow(clippy::inline_always, reason = "it must be compiled into its caller to be compiled for AVX2")]
#[inline(always)]
fn dot_pair_body(a: &[f64], b: &[f64], c: &[f64]) -> (f64, f64) {
    const LANES: usize = 8;
    let len = a.len().min(b.len()).min(c.len());
    let (a, a_rest) = a[..len].as_chunks::<LANES>();
    let (b, b_rest) = b[..len].as_chunks::<LANES>();
    let (c, c_rest) = c[..len].as_chunks::<LANES>();
    let (mut first, mut second) = ([0.0; LANES], [0.0; LANES]);
    for ((a, b), c) in a.iter().zip(b).zip(c) {
        for i in 0..LANES {
            first[i] += a[i] * c[i];
            second[i] += b[i] * c[i];
        }
    }
    for (i, ((a, b), c)) in a_rest.iter().zip(b_rest).zip(c_rest).enumerate() {
        first[i] += a * c;
        second[i] += b * c;
    }
    (first.iter().sum(), second.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn every_machine_gives_the_same_bits() {
        let (wide, plain) = (Kernel::detect(), Kernel { avx2: false });
        for len in [0, 1, 15, 16, 17, 441, 1_000] {
            let a: Vec<f64> = (0..len).map(|i| (f64::from(i) * 0.7).sin()).collect();
            let b: Vec<f64> = (0..len).map(|i| (f64::from(i) * 1.3).cos()).collect();
            let (f, g): (Vec<f32>, Vec<f32>) = a.iter().zip(&b).map(|(&a, &b)| (a as f32, b as f32)).unzip();
            let run = |k: Kernel| {
                let (mut a2, mut b2, mut f2, mut g2) = (a.clone(), b.clone(), f.clone(), g.clone());
                k.rotate(&mut a2, &mut b2, 0.3);
                k.add_scaled(&mut a2, -0.7, &b);
                k.lattice(&mut f2, &mut g2, -0.9);
                let (mut c2, mut to) = (b.clone(), a.clone());
                k.schur(&a, &mut to, &mut c2, &mut b2, (0.6, 0.8), (0.5, 0.75f64.sqrt()));
                let sums = (k.dot(&a2, &b), k.dot_pair(&a2, &b2, &a), k.correlate(&f2, &g2, &f));
                (a2, b2, c2, to, f2, g2, sums)
            };
            assert_eq!(run(wide), run(plain), "at {len}");
        }
    }
}
