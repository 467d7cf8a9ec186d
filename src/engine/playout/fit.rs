//! How clean a kilohertz came through, for tests.

/// The worst 100 ms at 44.1 kHz, dB.
pub fn worst_window(sound: &[f32]) -> f64 {
    sound.chunks_exact(4_410).map(fitted_snr).fold(f64::INFINITY, f64::min)
}

/// The SNR of a sine whose frequency, phase and level are fitted freely.
#[allow(clippy::many_single_char_names, reason = "the formulas' own names")]
pub fn fitted_snr(window: &[f32]) -> f64 {
    let mut w = std::f64::consts::TAU * 1_000.0 / 44_100.0;
    let mut best = f64::NEG_INFINITY;
    for _ in 0..4 {
        // Linear least squares in cos, sin and their change with the frequency (Gauss and Newton).
        let middle = window.len() as f64 / 2.0;
        let (a, b) = project(window, w);
        let (mut rr, mut re, mut error, mut signal) = (0.0, 0.0, 0.0, 0.0);
        for (n, &x) in window.iter().enumerate() {
            let t = n as f64 - middle;
            let (s, c) = (w * t).sin_cos();
            let fit = a * c + b * s;
            let slope = t * (b * c - a * s);
            let e = f64::from(x) - fit;
            rr += slope * slope;
            re += slope * e;
            error += e * e;
            signal += fit * fit;
        }
        best = best.max(10.0 * (signal / error).log10());
        w += re / rr;
    }
    best
}

fn project(window: &[f32], w: f64) -> (f64, f64) {
    let middle = window.len() as f64 / 2.0;
    let (mut cc, mut cs, mut ss, mut xc, mut xs) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (n, &x) in window.iter().enumerate() {
        let (s, c) = (w * (n as f64 - middle)).sin_cos();
        (cc, cs, ss) = (cc + c * c, cs + c * s, ss + s * s);
        (xc, xs) = (xc + f64::from(x) * c, xs + f64::from(x) * s);
    }
    let det = cc * ss - cs * cs;
    ((xc * ss - xs * cs) / det, (xs * cc - xc * cs) / det)
}
