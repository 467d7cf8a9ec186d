//! Comfort noise (RFC 3389): where a source has said so, its silence is noise of a level, until its sound comes again.
//!
//! Pure: the noise is the same every time. White: of what a packet says besides the level nothing is used.

use crate::engine::exact::exp;
use crate::engine::stream::queue::{Head, Position};

/// What one source's silence sounds like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Comfort {
    /// From where on there is noise, of which amplitude; or none.
    known: [(Position, f32); KEPT],
    next: usize,
    dice: u32,
}

impl Comfort {
    /// Takes note of a packet, with sound or without.
    pub fn arrived(&mut self, head: &Head) {
        let newest = self.newest();
        if let Some(level) = head.noise {
            // Uniform noise has its amplitude over the root of three as its level.
            let level = exp(-f64::from(level) * std::f64::consts::LN_10 / 20.0) * 3f64.sqrt();
            self.note(head.position, level as f32);
        } else if head.frames > 0 && newest.1 > 0.0 && head.position >= newest.0 {
            self.note(head.position, 0.0);
        }
    }

    /// Adds the noise that belongs to the frames from `at` on, if there is any.
    pub fn add(&mut self, at: Position, out: &mut [f32]) -> bool {
        let before = self.known.iter().filter(|(from, _)| *from <= at);
        let level = before.max_by_key(|(from, _)| *from).map_or(0.0, |(_, level)| *level);
        self.pour(level, out)
    }

    /// The same where the source has sent nothing for long.
    pub fn add_newest(&mut self, out: &mut [f32]) -> bool {
        self.pour(self.newest().1, out)
    }

    fn pour(&mut self, level: f32, out: &mut [f32]) -> bool {
        if level > 0.0 {
            for sample in out {
                self.dice = self.dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *sample += level * (self.dice as i32 as f32) / 2_147_483_648.0;
            }
        }
        level > 0.0
    }

    fn newest(&self) -> (Position, f32) {
        self.known[(self.next + KEPT - 1) % KEPT]
    }

    fn note(&mut self, from: Position, level: f32) {
        self.known[self.next] = (from, level);
        self.next = (self.next + 1) % KEPT;
    }
}

/// Changes that are remembered: levels are told of every 100 ms at most, as a rule.
const KEPT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn head(position: u64, frames: u32, noise: Option<u8>) -> Head {
        Head { position: Position(position), frames, noise, ..Head::default() }
    }

    fn level_db(comfort: &mut Comfort, at: u64) -> f64 {
        let mut out = vec![0.0; 8_000];
        comfort.add(Position(at), &mut out);
        let power: f64 = out.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 8_000.0;
        10.0 * power.log10()
    }

    #[test]
    fn noise_has_its_level_from_its_place_on_until_sound_comes() {
        let mut comfort = Comfort::default();
        comfort.arrived(&head(1_000, 160, None));
        comfort.arrived(&head(1_160, 0, Some(40)));
        comfort.arrived(&head(5_000, 0, Some(60)));
        comfort.arrived(&head(9_000, 160, None));
        assert!(level_db(&mut comfort, 1_159) < -200.0);
        assert!((level_db(&mut comfort, 1_160) + 40.0).abs() < 0.3);
        assert!((level_db(&mut comfort, 5_000) + 60.0).abs() < 0.3);
        assert!(level_db(&mut comfort, 9_000) < -200.0);
        assert!(!comfort.add_newest(&mut [0.0]));
    }
}
