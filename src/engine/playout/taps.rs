//! Those who read along what is played: of each source before its gain, of the mix before the output's.

use super::inlet::STRIDE;
use super::ledger::{Kind, Stretch};
use super::tap::{Pour, Tap, Whose};
use crate::engine::stream::queue::Position;
use crate::engine::time::Micros;

/// All taps of a renderer.
pub struct Taps {
    all: Vec<Tap>,
    /// Where the mix has come to.
    position: Position,
    /// Frames of the mix in which a source stands for missing sound.
    harmed: Box<[bool]>,
    stretches: Vec<Stretch>,
}

/// Taps that there may be at once.
pub const MOST_TAPS: usize = 256;

impl Taps {
    /// None yet.
    pub fn new() -> Self {
        Self {
            all: Vec::with_capacity(MOST_TAPS),
            position: Position::default(),
            harmed: vec![false; STRIDE].into(),
            stretches: Vec::with_capacity(STRIDE),
        }
    }

    /// Takes one in; given back where there is no room.
    pub fn admit(&mut self, tap: Tap) -> Option<Tap> {
        if self.all.len() == self.all.capacity() {
            return Some(tap);
        }
        self.all.push(tap);
        None
    }

    /// One that nobody reads any more.
    pub fn dismissed(&mut self) -> Option<Tap> {
        let place = self.all.iter().position(Tap::is_closed)?;
        Some(self.all.swap_remove(place))
    }

    /// Whether anybody wants to know what a source's frames are.
    pub fn want(&self, source: u32) -> bool {
        self.all.iter().any(|tap| tap.whose() == Whose::Mix || tap.wants(source))
    }

    /// What a source gives out.
    pub fn take(&mut self, source: Pour<'_>, now: Micros, sound: &[f32]) {
        if self.all.is_empty() {
            return;
        }
        for tap in self.all.iter_mut().filter(|tap| tap.wants(source.number)) {
            tap.take(source, now, sound);
        }
        let frames = (sound.len() / source.channels) as u64;
        let whole: u64 = source.stretches.iter().map(|stretch| u64::from(stretch.frames)).sum();
        let mut told = 0;
        for stretch in source.stretches {
            let from = told * frames / whole.max(1);
            told += u64::from(stretch.frames);
            if stretch.kind == Kind::Lost {
                let to = told * frames / whole.max(1);
                self.harmed[from as usize..to as usize].fill(true);
            }
        }
    }

    /// A source gives out nothing for now.
    pub fn pause(&mut self, source: u32, place: usize) {
        for tap in self.all.iter_mut().filter(|tap| tap.wants(source)) {
            tap.pause(source, place);
        }
    }

    /// A source is not played any more.
    pub fn leave(&mut self, source: u32) {
        for tap in self.all.iter_mut().filter(|tap| tap.wants(source)) {
            tap.leave(source);
        }
    }

    /// What all sources give out together.
    pub fn mix(&mut self, channels: usize, now: Micros, sound: &[f32]) {
        let frames = sound.len() / channels;
        let harmed = &mut self.harmed[..frames];
        if self.all.iter().any(|tap| tap.whose() == Whose::Mix) {
            self.stretches.clear();
            for (n, harmed) in harmed.iter().enumerate() {
                let kind = if *harmed { Kind::Lost } else { Kind::Heard };
                match self.stretches.last_mut() {
                    Some(last) if last.kind == kind => last.frames += 1,
                    _ => self.stretches.push(Stretch { kind, position: self.position.plus(n), frames: 1 }),
                }
            }
            for tap in self.all.iter_mut().filter(|tap| tap.whose() == Whose::Mix) {
                tap.take(Pour { number: 0, place: 0, channels, stretches: &self.stretches }, now, sound);
            }
        }
        harmed.fill(false);
        self.position = self.position.plus(frames);
    }
}

#[cfg(test)]
mod tests;
