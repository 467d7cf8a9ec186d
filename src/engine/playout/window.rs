//! A window on one source's sound, by position: packets go in wherever they belong, whenever they come, and stay as they
//! are until their sound is over.
//!
//! Guaranteed: no allocation after it is made, nothing is freed; no packet, however long, early, late or doubled, counts
//! outside the window or over sound that is already there (the first copy counts); every frame is either present or not,
//! and what is not present reads as silence. What a codec made up gives way to what was received. What was given out
//! last stays readable for a while.

use std::sync::Arc;

use crate::engine::ahead;
use crate::engine::format::to_f32;
use crate::engine::stream::queue::{Origin, Packet, PacketReader, Position};

/// Sound from [`start`](Self::start) on, `capacity` frames long, with holes.
pub struct Window {
    channels: usize,
    capacity: usize,
    /// Frames before the start that are kept.
    past: usize,
    /// By position, none over another.
    pieces: Vec<Piece>,
    /// How many of them end before the start, and are only remembered.
    over: usize,
    has_made_up: bool,
    start: Position,
    end: Position,
}

/// Where the frames of a packet went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// Frames that count.
    pub written: usize,
    /// Frames that were there already.
    pub doubled: usize,
    /// Frames before the window: too late.
    pub behind: usize,
    /// Frames past the window, or more pieces than can be kept: too early to be held.
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

/// A part of a packet.
struct Piece {
    at: Position,
    packet: Arc<Packet>,
    frames: u32,
    /// Made up by the codec, or rough.
    made_up: bool,
}

impl Piece {
    fn end(&self) -> Position {
        self.at.plus(self.frames as usize)
    }
}

impl Window {
    /// An empty window of at least `capacity` frames (rounded up to a power of two, 64 at least) that remembers `past`
    /// frames of what was given out.
    pub fn new(capacity: usize, past: usize, channels: usize) -> Self {
        Self {
            channels,
            capacity: capacity.max(64).next_power_of_two(),
            past,
            pieces: Vec::with_capacity((capacity / FRAMES_A_PIECE).max(LEAST_PIECES)),
            over: 0,
            has_made_up: false,
            start: Position::default(),
            end: Position::default(),
        }
    }

    /// Makes room for packets of `frames` frames: before it is played from, for this allocates.
    pub fn expect(&mut self, frames: usize) {
        self.pieces.reserve_exact((self.capacity + self.past) / frames.max(1) + 1);
    }

    /// How many frames the window spans.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The first position that can be held.
    pub fn start(&self) -> Position {
        self.start
    }

    /// One past the last frame present; `start` where nothing is.
    pub fn end(&self) -> Position {
        self.end
    }

    /// Has the processor fetch the sound at the start.
    pub fn fetch(&self) {
        if let Some(piece) = self.pieces.get(self.over) {
            ahead::fetch(&piece.packet.samples[..]);
        }
    }

    /// Forgets everything and begins anew at `start`.
    pub fn reset(&mut self, start: Position, queue: &mut PacketReader) {
        for piece in self.pieces.drain(..) {
            queue.give_back(piece.packet);
        }
        self.over = 0;
        self.has_made_up = false;
        self.start = start;
        self.end = start;
    }

    /// Keeps a packet where it belongs, and gives back to `queue` what is not needed. What a codec made up, or is rough, goes
    /// only where nothing is; what was revised only where something was.
    pub fn insert(&mut self, packet: Arc<Packet>, queue: &mut PacketReader) -> Inserted {
        let at = packet.head.position;
        let frames = packet.samples.len() / self.channels;
        let mut result = Inserted::default();
        let behind = self.start.distance(at).clamp(0, frames as i64) as usize;
        let room = at.distance(self.start).saturating_add(frames as i64) - self.capacity as i64;
        let beyond = room.clamp(0, (frames - behind) as i64) as usize;
        (result.behind, result.beyond) = (behind, beyond);
        let made_up = matches!(packet.head.origin, Origin::Concealed | Origin::Rough);
        let revised = packet.head.origin == Origin::Revised;
        let (mut from, to) = (at.plus(behind), at.plus(frames - beyond));
        if (revised && behind > 0) || to.distance(from) <= 0 {
            // What was heard of a revised one was the other.
            queue.give_back(packet);
            return result;
        }
        if self.has_made_up && !made_up && !revised {
            self.uncover(from, to, queue);
        }
        while to.distance(from) > 0 {
            let left = to.distance(from) as usize;
            // Mostly it comes after all that is there.
            let run =
                if from >= self.end { Run { present: false, frames: left } } else { self.run(from, left) };
            if run.present == revised {
                if revised {
                    self.cut(from, from.plus(run.frames), queue);
                }
                if self.place(from, run.frames, made_up, &packet) {
                    result.written += run.frames;
                } else {
                    result.beyond += run.frames;
                }
            } else {
                result.doubled += run.frames;
            }
            from = from.plus(run.frames);
        }
        if result.written > 0 {
            self.end = self.end.max(to);
            self.has_made_up |= made_up;
        }
        queue.give_back(packet);
        result
    }

    /// The run that begins at `from`, `limit` frames at most; what lies outside the window is missing.
    pub fn run(&self, from: Position, limit: usize) -> Run {
        self.run_of(from, limit, |_| true)
    }

    /// The same of what a codec made up, or is rough: `present` says that it is.
    pub fn made_up(&self, from: Position, limit: usize) -> Run {
        if !self.has_made_up {
            return Run { present: false, frames: limit };
        }
        self.run_of(from, limit, |piece| piece.made_up)
    }

    /// Whether the frame at `at` is there.
    pub fn is_present(&self, at: Position) -> bool {
        self.run(at, 1).present
    }

    fn run_of(&self, from: Position, limit: usize, counts: impl Fn(&Piece) -> bool) -> Run {
        // What is only remembered is not in the window.
        let end = from.plus(limit);
        let begin = from.max(self.start);
        let mut ahead = self.pieces[self.over..].iter().filter(|piece| piece.end() > begin && counts(piece));
        let first = ahead.next();
        if let Some(first) = first.filter(|first| first.at <= from && from >= self.start) {
            let mut at = first.end();
            for piece in ahead {
                if piece.at != at || at >= end {
                    break;
                }
                at = piece.end();
            }
            return Run { present: true, frames: (at.distance(from) as usize).min(limit) };
        }
        let until = first.map_or(end, |first| first.at.max(self.start));
        Run { present: false, frames: until.distance(from).clamp(0, limit as i64) as usize }
    }

    /// Copies the frames from `from` on as floats, those that were given out included as far as they are remembered; missing
    /// ones are silence. Returns how many were present.
    pub fn copy(&self, from: Position, out: &mut [f32]) -> usize {
        let end = from.plus(out.len() / self.channels);
        let (mut done, mut found) = (0, 0);
        for piece in self.pieces.iter().skip_while(|piece| piece.end() <= from) {
            if piece.at >= end {
                break;
            }
            let (first, last) = (piece.at.max(from), piece.end().min(end));
            let skip = first.distance(piece.packet.head.position) as usize * self.channels;
            let to = first.distance(from) as usize * self.channels;
            let count = last.distance(first) as usize * self.channels;
            out[done..to].fill(0.0);
            for (out, sample) in out[to..to + count].iter_mut().zip(&piece.packet.samples[skip..skip + count])
            {
                *out = to_f32(*sample);
            }
            done = to + count;
            found += count / self.channels;
        }
        out[done..].fill(0.0);
        found
    }

    /// Moves the window's start to `to`; never backwards. What lies far before it is given back to `queue`.
    pub fn advance(&mut self, to: Position, queue: &mut PacketReader) {
        if to.distance(self.start) <= 0 {
            return;
        }
        self.start = to;
        self.end = self.end.max(to);
        let rest = &self.pieces[self.over..];
        self.over += rest.iter().take_while(|piece| piece.end() <= to).count();
        let kept = Position(to.0.saturating_sub(self.past as u64));
        let gone = self.pieces[..self.over].iter().take_while(|piece| piece.end() <= kept).count();
        for piece in self.pieces.drain(..gone) {
            queue.give_back(piece.packet);
        }
        self.over -= gone;
    }

    /// Puts a part of `packet` where nothing is; false where there is no room.
    fn place(&mut self, at: Position, frames: usize, made_up: bool, packet: &Arc<Packet>) -> bool {
        if self.pieces.len() == self.pieces.capacity() {
            return false;
        }
        let index = self.pieces.iter().rposition(|piece| piece.at < at).map_or(0, |before| before + 1);
        self.pieces.insert(index, Piece { at, packet: Arc::clone(packet), frames: frames as u32, made_up });
        true
    }

    /// Takes out what is made up from `from` to `to`.
    fn uncover(&mut self, from: Position, to: Position, queue: &mut PacketReader) {
        let mut at = from;
        while to.distance(at) > 0 {
            let run = self.made_up(at, to.distance(at) as usize);
            if run.present {
                self.cut(at, at.plus(run.frames), queue);
            }
            at = at.plus(run.frames);
        }
    }

    /// Takes out all from `from`, which is in the window, to `to`.
    fn cut(&mut self, from: Position, to: Position, queue: &mut PacketReader) {
        let mut index = self.over;
        while let Some(piece) = self.pieces.get_mut(index) {
            let (at, end, made_up) = (piece.at, piece.end(), piece.made_up);
            if end <= from || at >= to {
                index += 1;
                continue;
            }
            if at < from {
                piece.frames = from.distance(at) as u32;
                if end > to {
                    // Its other half, if that can be kept.
                    let packet = Arc::clone(&piece.packet);
                    self.place(to, end.distance(to) as usize, made_up, &packet);
                    queue.give_back(packet);
                    return;
                }
                index += 1;
            } else if end > to {
                piece.frames = end.distance(to) as u32;
                piece.at = to;
                index += 1;
            } else {
                let piece = self.pieces.remove(index);
                queue.give_back(piece.packet);
            }
        }
    }
}

/// Pieces that are kept at once, by the window's frames, and at least: packets of 2.5 ms for the longest usual delay.
const FRAMES_A_PIECE: usize = 400;
const LEAST_PIECES: usize = 160;

#[cfg(test)]
mod tests;
