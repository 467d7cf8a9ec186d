//! How far off a noisy figure has been all the time lately: bursts of packets and pulls shift what is measured of a delay,
//! and sound must not be stretched back and forth after them.

/// A figure's least and greatest of the last span or two.
#[derive(Clone, Copy, Debug)]
pub struct Trend {
    /// Of this span, and of the one before.
    low: [f64; 2],
    high: [f64; 2],
    /// Frames until the span is over.
    left: usize,
    span: usize,
}

impl Trend {
    /// With spans of so many frames, knowing nothing.
    pub fn new(span: usize) -> Self {
        Self { low: [0.0; 2], high: [0.0; 2], left: span, span }.anew()
    }

    /// The figure is `value`, for `frames` frames.
    pub fn note(&mut self, value: f64, frames: usize) {
        self.low[0] = self.low[0].min(value);
        self.high[0] = self.high[0].max(value);
        self.left = self.left.saturating_sub(frames);
        if self.left == 0 {
            self.low = [value, self.low[0]];
            self.high = [value, self.high[0]];
            self.left = self.span;
        }
    }

    /// The figure was changed on purpose, by so much.
    pub fn shift(&mut self, by: f64) {
        self.low.iter_mut().chain(&mut self.high).for_each(|bound| *bound += by);
    }

    /// What was known is of no more use.
    pub fn forget(&mut self) {
        *self = self.anew();
    }

    /// By how much the figure was always off, at least: above zero or below. Zero where it was both, or nobody knows yet.
    pub fn steady(&self) -> f64 {
        let low = self.low[0].min(self.low[1]);
        let high = self.high[0].max(self.high[1]);
        if low > 0.0 {
            low
        } else if high < 0.0 {
            high
        } else {
            0.0
        }
    }

    /// Until a whole span has passed, anything may have been.
    fn anew(mut self) -> Self {
        (self.low, self.high) = ([f64::INFINITY, f64::NEG_INFINITY], [f64::NEG_INFINITY, f64::INFINITY]);
        self.left = self.span;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_swings_is_not_off_and_what_stays_is_by_its_least() {
        let mut trend = Trend::new(1000);
        for n in 0..40 {
            trend.note(f64::from(n % 4) * 10.0 - 15.0, 100);
            assert!(trend.steady().abs() < 1e-9);
        }
        for n in 0..30 {
            trend.note(f64::from(n % 4) * 10.0 + 5.0, 100);
        }
        assert!((trend.steady() - 5.0).abs() < 1e-9);
        trend.shift(-3.0);
        assert!((trend.steady() - 2.0).abs() < 1e-9);
        trend.forget();
        trend.note(-7.0, 100);
        assert!(trend.steady().abs() < 1e-9, "nobody knows yet");
    }
}
