//! A window on one source's sound, by position: packets go in wherever they belong, whenever they come.
//!
//! Guaranteed: memory is fixed when it is made; no packet, however long, early, late or doubled, writes outside the
//! window or over sound that is already there (the first copy counts); every frame is either present or not, and
//! what is not present reads as silence. What a codec made up gives way to what was received.

use crate::engine::stream::queue::{Origin, Position};

/// Sound from [`start`](Self::start) on, `capacity` frames long, with holes.
pub struct Timeline {
    channels: usize,
    mask: u64,
    samples: Box<[i16]>,
    present: Box<[u64]>,
    /// Present, but made up by the codec, or rough.
    made_up: Box<[u64]>,
    has_made_up: bool,
    start: Position,
    end: Position,
}

/// Where the frames of a packet went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// Frames written.
    pub written: usize,
    /// Frames that were there already.
    pub doubled: usize,
    /// Frames before the window: too late.
    pub behind: usize,
    /// Frames past the window: too early to be held.
    pub beyond: usize,
}

/// A stretch of frames that are all present or all missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Whether there is sound.
    pub present: bool,
    /// Its length.
    pub frames: usize,
}

impl Timeline {
    /// An empty window of at least `capacity` frames (rounded up to a power of two, 64 at least).
    pub fn new(capacity: usize, channels: usize) -> Self {
        let capacity = capacity.max(64).next_power_of_two();
        Self {
            channels,
            mask: capacity as u64 - 1,
            samples: vec![0; capacity * channels].into(),
            present: vec![0; capacity / 64].into(),
            made_up: vec![0; capacity / 64].into(),
            has_made_up: false,
            start: Position::default(),
            end: Position::default(),
        }
    }

    /// How many frames the window spans.
    pub fn capacity(&self) -> usize {
        self.mask as usize + 1
    }

    /// The first position that can be held.
    pub fn start(&self) -> Position {
        self.start
    }

    /// One past the last frame present; `start` where nothing is.
    pub fn end(&self) -> Position {
        self.end
    }

    /// Whether nothing is present.
    pub fn is_empty(&self) -> bool {
        self.end == self.start
    }

    /// Forgets everything and begins anew at `start`.
    pub fn reset(&mut self, start: Position) {
        self.present.fill(0);
        self.made_up.fill(0);
        self.has_made_up = false;
        self.start = start;
        self.end = start;
    }

    /// Puts a received packet's samples (in two runs, see `PacketReader::pop`) where they belong.
    pub fn insert(&mut self, at: Position, first: &[i16], second: &[i16]) -> Inserted {
        self.insert_from(Origin::Received, at, first, second)
    }

    /// The same for a packet of this origin: what a codec made up, or is rough, goes only where nothing is, what was
    /// revised only where something was.
    pub fn insert_from(&mut self, origin: Origin, at: Position, first: &[i16], second: &[i16]) -> Inserted {
        let frames = (first.len() + second.len()) / self.channels;
        let mut result = Inserted::default();
        let behind = self.start.distance(at).clamp(0, frames as i64) as usize;
        let room = at.distance(self.start).saturating_add(frames as i64) - self.capacity() as i64;
        let beyond = room.clamp(0, (frames - behind) as i64) as usize;
        result.behind = behind;
        result.beyond = beyond;
        let split = first.len() / self.channels;
        let mut frame = behind;
        let last = frames - beyond;
        let made_up = matches!(origin, Origin::Concealed | Origin::Rough);
        let revised = origin == Origin::Revised;
        if revised && behind > 0 {
            // What was heard of it was the other one.
            return result;
        }
        if self.has_made_up && !made_up && !revised {
            self.uncover(at.plus(frame), last - frame);
        }
        while frame < last {
            let run = self.run(at.plus(frame), last - frame);
            if run.present == revised {
                let (from, to) = (frame, frame + run.frames);
                if from < split {
                    let stop = to.min(split);
                    self.write(at.plus(from), &first[from * self.channels..stop * self.channels]);
                }
                if to > split {
                    let begin = from.max(split);
                    self.write(
                        at.plus(begin),
                        &second[(begin - split) * self.channels..(to - split) * self.channels],
                    );
                }
                if made_up {
                    mark(&mut self.made_up, self.mask, at.plus(from), run.frames, true);
                    self.has_made_up = true;
                }
                result.written += run.frames;
            } else {
                result.doubled += run.frames;
            }
            frame += run.frames;
        }
        if result.written > 0 {
            self.end = self.end.max(at.plus(last));
        }
        result
    }

    /// The run that begins at `from`, `limit` frames at most; what lies outside the window is missing.
    pub fn run(&self, from: Position, limit: usize) -> Run {
        self.run_of(&self.present, from, limit)
    }

    /// The same of what a codec made up, or is rough: `present` says that it is.
    pub fn made_up(&self, from: Position, limit: usize) -> Run {
        if !self.has_made_up {
            return Run { present: false, frames: limit };
        }
        self.run_of(&self.made_up, from, limit)
    }

    /// Whether the frame at `at` is there.
    pub fn is_present(&self, at: Position) -> bool {
        self.is_set(&self.present, at)
    }

    fn run_of(&self, bitmap: &[u64], from: Position, limit: usize) -> Run {
        let present = self.is_set(bitmap, from);
        let mut frames = 0;
        while frames < limit {
            let offset = from.plus(frames).distance(self.start);
            if offset < 0 || offset >= self.capacity() as i64 {
                if present {
                    break;
                }
                // Before the window up to its start, or past it for good.
                frames += if offset < 0 { offset.unsigned_abs() as usize } else { limit };
                continue;
            }
            let index = from.plus(frames).0 & self.mask;
            let bit = index % 64;
            let word = bitmap[(index / 64) as usize] >> bit;
            let same = if present { (!word).trailing_zeros() } else { word.trailing_zeros() } as usize;
            // The window need not begin at a word: its last word may hold its first frames, too.
            let reach = (64 - bit as usize).min(self.capacity() - offset as usize);
            frames += same.min(reach);
            if same < reach {
                break;
            }
        }
        Run { present, frames: frames.min(limit) }
    }

    fn is_set(&self, bitmap: &[u64], at: Position) -> bool {
        let offset = at.distance(self.start);
        if offset < 0 || offset >= self.capacity() as i64 {
            return false;
        }
        let index = at.0 & self.mask;
        bitmap[(index / 64) as usize] >> (index % 64) & 1 == 1
    }

    /// Copies the frames from `from` on into `out` (interleaved); missing ones are silence. Returns how many were present.
    pub fn read(&self, from: Position, out: &mut [i16]) -> usize {
        let frames = out.len() / self.channels;
        let mut done = 0;
        let mut found = 0;
        while done < frames {
            let run = self.run(from.plus(done), frames - done);
            let target = &mut out[done * self.channels..(done + run.frames) * self.channels];
            if run.present {
                self.copy_out(from.plus(done), target);
                found += run.frames;
            } else {
                target.fill(0);
            }
            done += run.frames;
        }
        found
    }

    /// Moves the window's start to `to`, forgetting what lies before it; never backwards.
    pub fn advance(&mut self, to: Position) {
        let step = to.distance(self.start);
        if step <= 0 {
            return;
        }
        if step >= self.capacity() as i64 {
            self.reset(to);
            return;
        }
        mark(&mut self.present, self.mask, self.start, step as usize, false);
        if self.has_made_up {
            mark(&mut self.made_up, self.mask, self.start, step as usize, false);
        }
        self.start = to;
        self.end = self.end.max(to);
    }

    fn write(&mut self, at: Position, samples: &[i16]) {
        let index = (at.0 & self.mask) as usize * self.channels;
        let straight = samples.len().min(self.samples.len() - index);
        self.samples[index..index + straight].copy_from_slice(&samples[..straight]);
        self.samples[..samples.len() - straight].copy_from_slice(&samples[straight..]);
        mark(&mut self.present, self.mask, at, samples.len() / self.channels, true);
    }

    fn copy_out(&self, from: Position, out: &mut [i16]) {
        let index = (from.0 & self.mask) as usize * self.channels;
        let straight = out.len().min(self.samples.len() - index);
        let (head, tail) = out.split_at_mut(straight);
        head.copy_from_slice(&self.samples[index..index + straight]);
        tail.copy_from_slice(&self.samples[..tail.len()]);
    }

    /// Takes out what is made up of the frames from `from` on, all within the window.
    fn uncover(&mut self, from: Position, frames: usize) {
        let mut done = 0;
        while done < frames {
            let run = self.made_up(from.plus(done), frames - done);
            if run.present {
                mark(&mut self.present, self.mask, from.plus(done), run.frames, false);
                mark(&mut self.made_up, self.mask, from.plus(done), run.frames, false);
            }
            done += run.frames;
        }
    }
}

fn mark(bitmap: &mut [u64], mask: u64, from: Position, frames: usize, set: bool) {
    let mut done = 0;
    while done < frames {
        let index = (from.0 + done as u64) & mask;
        let bit = index % 64;
        let count = (64 - bit as usize).min(frames - done);
        let bits = (u64::MAX >> (64 - count)) << bit;
        let word = &mut bitmap[(index / 64) as usize];
        *word = if set { *word | bits } else { *word & !bits };
        done += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const ORIGIN: u64 = 1 << 32;

    fn at(frame: u64) -> Position {
        Position(ORIGIN + frame)
    }

    #[test]
    fn a_hole_reads_as_silence_of_its_own_length() {
        let mut t = Timeline::new(256, 1);
        t.reset(at(0));
        t.insert(at(0), &[1; 10], &[]);
        t.insert(at(20), &[2; 5], &[2; 5]);
        let mut out = [9; 40];
        assert_eq!(t.read(at(0), &mut out), 20);
        assert_eq!(out[..10], [1; 10]);
        assert_eq!(out[10..20], [0; 10]);
        assert_eq!(out[20..30], [2; 10]);
        assert_eq!(out[30..], [0; 10]);
        assert_eq!(t.run(at(10), 100), Run { present: false, frames: 10 });
    }

    #[test]
    fn the_first_copy_counts() {
        let mut t = Timeline::new(64, 2);
        t.reset(at(0));
        t.insert(at(4), &[1; 8], &[]);
        let again = t.insert(at(2), &[2; 6], &[2; 10]);
        assert_eq!(again, Inserted { written: 4, doubled: 4, behind: 0, beyond: 0 });
        let mut out = [0; 20];
        t.read(at(2), &mut out);
        assert_eq!(out, [2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 0, 0, 0, 0]);
    }

    #[test]
    fn what_was_made_up_fills_holes_only_and_gives_way() {
        let mut t = Timeline::new(256, 1);
        t.reset(at(0));
        t.insert(at(0), &[1; 10], &[]);
        let made = t.insert_from(Origin::Concealed, at(5), &[2; 15], &[]);
        assert_eq!((made.written, made.doubled), (10, 5));
        assert_eq!(t.made_up(at(10), 50), Run { present: true, frames: 10 });
        assert_eq!(t.made_up(at(0), 50), Run { present: false, frames: 10 });
        let real = t.insert_from(Origin::Repaired, at(12), &[3; 5], &[]);
        assert_eq!((real.written, real.doubled), (5, 0));
        let mut out = [9; 22];
        t.read(at(0), &mut out);
        assert_eq!(out, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 2, 2, 2, 0, 0]);
        assert_eq!(t.made_up(at(12), 50), Run { present: false, frames: 5 });
        t.advance(at(20));
        t.insert_from(Origin::Concealed, at(270), &[4; 2], &[]);
        assert_eq!(t.made_up(at(256), 50), Run { present: false, frames: 14 });
    }

    proptest! {
        /// Against a plain map of frames: any packets, any advances.
        #[test]
        fn it_agrees_with_a_map(steps in prop::collection::vec((0u64..400, 1usize..90, 0u64..30), 1..60)) {
            let mut t = Timeline::new(128, 1);
            let mut map = BTreeMap::new();
            t.reset(at(0));
            let (mut start, mut value) = (0u64, 0i16);
            for (offset, frames, step) in steps {
                value += 1;
                let base = (start + offset).saturating_sub(100);
                let samples = vec![value; frames];
                let cut = frames / 3;
                let got = t.insert(at(base), &samples[..cut], &samples[cut..]);
                prop_assert_eq!(got.written + got.doubled + got.behind + got.beyond, frames);
                for f in base..base + frames as u64 {
                    if f >= start && f < start + 128 {
                        map.entry(f).or_insert(value);
                    }
                }
                let mut out = [0; 200];
                let from = start.saturating_sub(20);
                let found = t.read(at(from), &mut out);
                let want: Vec<i16> = (from..from + 200).map(|f| map.get(&f).copied().unwrap_or(0)).collect();
                prop_assert_eq!(&out[..], &want[..]);
                prop_assert_eq!(found, map.len());
                let end = map.keys().last().map_or(start, |l| l + 1);
                prop_assert_eq!(t.end(), at(end));
                start += step * if step > 25 { 8 } else { 1 };
                t.advance(at(start));
                map.retain(|&f, _| f >= start);
            }
        }
    }
}
