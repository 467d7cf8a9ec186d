//! A speech-like sound of our own: a glottal pulse train through the formants of a few vowels, with pauses.
//!
//! Three seconds that repeat without a seam; the same samples at every start, at any rate, far from clipping.

use std::f64::consts::{PI, TAU};

use crate::engine::exact::{cos, exp, sin};
use crate::engine::format::Format;

use super::pacer::Halt;
use super::source::{Filled, Source};

/// The voice.
pub(super) struct Voice {
    sound: Box<[i16]>,
    channels: usize,
    at: usize,
}

impl Voice {
    pub(super) fn new(format: Format) -> Self {
        Self { sound: synthesise(format.rate()), channels: format.channels(), at: 0 }
    }
}

impl Source for Voice {
    fn fill(&mut self, out: &mut [i16], _: &Halt) -> Filled {
        for frame in out.chunks_exact_mut(self.channels) {
            frame.fill(self.sound[self.at]);
            self.at = (self.at + 1) % self.sound.len();
        }
        Filled::Whole
    }
}

/// Its three seconds, mono.
pub fn synthesise(rate: u32) -> Box<[i16]> {
    let step = 1.0 / f64::from(rate);
    let frames = (SECONDS * f64::from(rate)) as usize;
    let mut formants = [Resonator::default(); 4];
    let mut phase = 0.0;
    let mut last = 0.0;
    let mut sound = vec![0.0; frames];
    for (frame, sample) in sound.iter_mut().enumerate() {
        let time = frame as f64 * step;
        let flow = match SYLLABLES.iter().find(|s| (s.start..s.start + s.length).contains(&time)) {
            Some(syllable) => {
                let along = (time - syllable.start) / syllable.length;
                for (index, formant) in formants.iter_mut().enumerate() {
                    let (from, to) = (syllable.from[index], syllable.to[index]);
                    // The vowel glides through the middle of the syllable.
                    let glide = ((along - 0.3) / 0.4).clamp(0.0, 1.0);
                    formant.tune(from + (to - from) * glide, BANDWIDTHS[index], step);
                }
                // The melody falls a little along each syllable, and wavers as a voice does.
                let pitch = syllable.pitch * (1.06 - 0.12 * along) * (1.0 + 0.012 * sin(TAU * 5.2 * time));
                phase = (phase + pitch * step).fract();
                glottal_flow(phase) * syllable.loudness * swell(time - syllable.start, syllable.length)
            }
            None => 0.0,
        };
        let voiced = formants.iter_mut().fold(flow, |sound, formant| formant.pass(sound));
        // The lips radiate the change of the flow.
        *sample = voiced - last;
        last = voiced;
    }
    let peak = sound.iter().fold(1e-9f64, |peak, s| peak.max(s.abs()));
    sound.iter().map(|s| (s / peak * PEAK * 32_767.0).round() as i16).collect()
}

/// Rosenberg's glottal pulse: opens over 40 % of the cycle, closes over 16 %.
fn glottal_flow(phase: f64) -> f64 {
    if phase < 0.4 {
        0.5 * (1.0 - cos(PI * phase / 0.4))
    } else if phase < 0.56 {
        cos(PI * (phase - 0.4) / 0.32)
    } else {
        0.0
    }
}

/// A syllable's loudness: 40 ms in, 90 ms out.
fn swell(time: f64, length: f64) -> f64 {
    let rise = (time / 0.04).clamp(0.0, 1.0);
    let fall = ((length - time) / 0.09).clamp(0.0, 1.0);
    (0.5 - 0.5 * cos(PI * rise)) * (0.5 - 0.5 * cos(PI * fall))
}

/// A two-pole resonance with unit gain at zero frequency (Klatt 1980).
#[derive(Clone, Copy, Default)]
struct Resonator {
    a: f64,
    b: f64,
    c: f64,
    y1: f64,
    y2: f64,
}

impl Resonator {
    fn tune(&mut self, hertz: f64, bandwidth: f64, step: f64) {
        if hertz * step > 0.45 {
            // Beyond what the rate can carry: it lets pass.
            (self.a, self.b, self.c) = (1.0, 0.0, 0.0);
            return;
        }
        let radius = exp(-PI * bandwidth * step);
        self.c = -radius * radius;
        self.b = 2.0 * radius * cos(TAU * hertz * step);
        self.a = 1.0 - self.b - self.c;
    }

    fn pass(&mut self, x: f64) -> f64 {
        let y = self.a * x + self.b * self.y1 + self.c * self.y2;
        (self.y1, self.y2) = (y, self.y1);
        y
    }
}

/// One syllable: when, how long (s), how high (Hz), and the formants (Hz) it goes from and to.
struct Syllable {
    start: f64,
    length: f64,
    pitch: f64,
    loudness: f64,
    from: [f64; 4],
    to: [f64; 4],
}

const fn syllable(
    start: f64,
    length: f64,
    pitch: f64,
    loudness: f64,
    from: [f64; 4],
    to: [f64; 4],
) -> Syllable {
    Syllable { start, length, pitch, loudness, from, to }
}

// Formants after Peterson and Barney (1952).
const AH: [f64; 4] = [730.0, 1090.0, 2440.0, 3400.0];
const EE: [f64; 4] = [270.0, 2290.0, 3010.0, 3600.0];
const OO: [f64; 4] = [300.0, 870.0, 2240.0, 3300.0];
const EH: [f64; 4] = [530.0, 1840.0, 2480.0, 3500.0];
const AW: [f64; 4] = [570.0, 840.0, 2410.0, 3300.0];

const SYLLABLES: [Syllable; 8] = [
    syllable(0.10, 0.24, 128.0, 0.9, AH, EE),
    syllable(0.36, 0.20, 122.0, 0.8, EH, EH),
    syllable(0.60, 0.34, 116.0, 1.0, AW, OO),
    syllable(1.22, 0.18, 132.0, 0.8, OO, EE),
    syllable(1.42, 0.22, 126.0, 0.9, AH, AH),
    syllable(1.68, 0.40, 108.0, 0.9, EE, EH),
    syllable(2.30, 0.16, 120.0, 0.7, AH, AW),
    syllable(2.48, 0.36, 102.0, 0.8, AW, AH),
];

const BANDWIDTHS: [f64; 4] = [70.0, 100.0, 150.0, 220.0];
const SECONDS: f64 = 3.0;
/// -8 dBFS.
const PEAK: f64 = 0.4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_speaks_and_pauses_and_repeats_without_a_seam() {
        for rate in [8_000, 44_100, 48_000] {
            let sound = synthesise(rate);
            assert_eq!(sound.len(), 3 * rate as usize);
            let peak = sound.iter().map(|s| s.unsigned_abs()).max().unwrap();
            assert!((13_000..=13_200).contains(&peak), "{rate}: {peak}");
            let loud = |from: f64, to: f64| {
                let part = &sound[(from * f64::from(rate)) as usize..(to * f64::from(rate)) as usize];
                (part.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / part.len() as f64).sqrt()
            };
            assert!(loud(0.65, 0.85) > 1500.0, "{rate}: {}", loud(0.65, 0.85));
            assert!(loud(1.05, 1.20) < 30.0, "{rate}: {}", loud(1.05, 1.20));
            assert!(sound[0].abs() < 2 && sound[sound.len() - 1].abs() < 40);
            assert_eq!(sound, synthesise(rate));
        }
    }
}
