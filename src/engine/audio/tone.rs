//! A sine of 440 Hz at -12 dBFS.

use crate::engine::format::Format;

use super::pacer::Halt;
use super::source::{Filled, Source};

/// The tone.
pub(super) struct Tone {
    rate: u64,
    channels: usize,
    frame: u64,
}

impl Tone {
    pub(super) fn new(format: Format) -> Self {
        Self { rate: u64::from(format.rate()), channels: format.channels(), frame: 0 }
    }
}

impl Source for Tone {
    fn fill(&mut self, out: &mut [i16], _: &Halt) -> Filled {
        for frame in out.chunks_exact_mut(self.channels) {
            // Whole cycles drop out before the float: the phase is exact for ever.
            let phase = (self.frame * HERTZ % self.rate) as f64 / self.rate as f64;
            frame.fill(((phase * std::f64::consts::TAU).sin() * PEAK).round() as i16);
            self.frame += 1;
        }
        Filled::Whole
    }
}

const HERTZ: u64 = 440;
/// 10^(-12/20) of full scale.
const PEAK: f64 = 0.251_188_643_150_958 * 32_767.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_sine_of_440_hz_at_minus_12_dbfs() {
        let mut out = vec![0; 44_100 * 2];
        Tone::new(Format::new(44_100, 2).unwrap()).fill(&mut out, &Halt::default());
        let left: Vec<i16> = out.chunks_exact(2).map(|f| f[0]).collect();
        assert!(out.chunks_exact(2).all(|f| f[0] == f[1]));
        assert_eq!(left.iter().max(), Some(&8231));
        let ups = left.windows(2).filter(|w| w[0] < 0 && w[1] >= 0).count();
        assert_eq!(ups, 439);
    }
}
