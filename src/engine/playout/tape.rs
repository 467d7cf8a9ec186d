//! What one source has given out lately and what is ready to be given out next, in one stretch of memory.
//!
//! Guaranteed: no allocation after construction; at least [`HISTORY`] of what was written last can be read back, however
//! much of it was taken already.

use std::time::Duration;

use crate::engine::format::Format;

/// Interleaved floats: written at the end, taken from the middle, remembered at the front.
pub struct Tape {
    channels: usize,
    samples: Box<[f32]>,
    /// In samples: what lies before was taken, what lies behind `end` is not written.
    taken: usize,
    end: usize,
    history: usize,
    /// Samples that were written since the last [`clear`](Self::clear), up to the whole memory.
    written: usize,
}

/// How much of what was heard is remembered: what concealment looks at, and a little.
pub const HISTORY: Duration = Duration::from_millis(31);

impl Tape {
    /// For sound of `format`, with room for `ahead` frames that are ready or being made.
    pub fn new(format: Format, ahead: usize) -> Self {
        let channels = format.channels();
        let history = format.frames(HISTORY) * channels;
        let samples = history + ahead * channels;
        Self { channels, samples: vec![0.0; samples].into(), taken: 0, end: 0, history, written: 0 }
    }

    /// Frames that are ready.
    pub fn ready(&self) -> usize {
        (self.end - self.taken) / self.channels
    }

    /// Room for `frames` more, to be filled and then kept by [`keep`](Self::keep).
    pub fn room(&mut self, frames: usize) -> &mut [f32] {
        let count = frames * self.channels;
        if self.end + count > self.samples.len() {
            let from = self.taken.min(self.end.saturating_sub(self.history));
            self.samples.copy_within(from..self.end, 0);
            self.taken -= from;
            self.end -= from;
        }
        let room = self.samples.len() - self.end;
        &mut self.samples[self.end..self.end + count.min(room)]
    }

    /// The first `frames` frames of the room are filled.
    pub fn keep(&mut self, frames: usize) {
        let count = (frames * self.channels).min(self.samples.len() - self.end);
        self.end += count;
        self.written = (self.written + count).min(self.samples.len());
    }

    /// The last `frames` frames that were written, or as many as are remembered; and room for `more` behind them.
    pub fn past_and_room(&mut self, frames: usize, more: usize) -> (&[f32], &mut [f32]) {
        let room = self.room(more).len();
        let past = (frames * self.channels).min(self.end).min(self.written).min(self.history);
        let (before, after) = self.samples.split_at_mut(self.end);
        (&before[before.len() - past..], &mut after[..room])
    }

    /// The ready frames, `frames` at most; they count as taken.
    pub fn take(&mut self, frames: usize) -> &[f32] {
        let from = self.taken;
        self.taken = (self.taken + frames * self.channels).min(self.end);
        &self.samples[from..self.taken]
    }

    /// Forgets what is ready and not taken.
    pub fn forget_ready(&mut self) {
        self.end = self.taken;
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        (self.taken, self.end, self.written) = (0, 0, 0);
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "what is kept is the same to the bit")]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_what_was_written_and_the_past_is_remembered() {
        let format = Format::new(8_000, 2).unwrap();
        let mut tape = Tape::new(format, 1000);
        let (mut written, mut taken) = (0u32, 0u32);
        for round in 0..500usize {
            let frames = 50 + round % 60;
            for sample in tape.room(frames) {
                *sample = written as f32;
                written += 1;
            }
            tape.keep(frames);
            let (past, room) = tape.past_and_room(240, 100);
            assert_eq!(room.len(), 200);
            assert!(past.len() == 240 * 2 || past.len() == written as usize);
            assert!(past.iter().rev().zip((0..written).rev()).all(|(p, w)| *p as u32 == w));
            while tape.ready() > 70 {
                for sample in tape.take(70) {
                    assert_eq!(*sample as u32, taken);
                    taken += 1;
                }
            }
        }
    }
}
