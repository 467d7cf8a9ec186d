//! The entrance of a player: its packet queue, the window that orders what comes, and where it stands in it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::comfort::Comfort;
use super::counters::PlayerCounters;
use super::ledger::{Kind, Ledger};
use super::tape::HISTORY;
use super::window::{Inserted, Window};
use crate::engine::ahead;
use crate::engine::format::Format;
use crate::engine::stream::queue::{Head, PacketReader, Position};

/// Packets of one source, in order, with holes.
pub struct Inlet {
    /// Where they come from.
    pub reader: PacketReader,
    /// Where they wait.
    pub window: Window,
    /// Their format.
    pub format: Format,
    /// What is counted.
    pub counters: Arc<PlayerCounters>,
    /// The next frame to give out.
    pub position: Position,
    /// Which stretch of positions that is.
    pub epoch: u32,
    /// The length of the last packet, frames.
    pub packet_frames: usize,
    /// What was given out last was made up by the codec.
    made_up: bool,
    /// Whether what comes in the place of lost packets is rough, not made up.
    pub rough: bool,
    /// What the frames are that are given out.
    pub ledger: Ledger,
    /// What silence sounds like.
    pub comfort: Comfort,
}

/// Frames that are given out at once.
pub const STRIDE: usize = 960;

/// The longest stretch that is looked at as one: two of the longest pitch periods.
pub const LOOK: Duration = Duration::from_millis(30);

impl Inlet {
    /// With a window of `window` frames.
    pub fn new(reader: PacketReader, format: Format, window: usize, counters: Arc<PlayerCounters>) -> Self {
        Self {
            reader,
            window: Window::new(window, format.frames(HISTORY), format.channels()),
            format,
            counters,
            position: Position::default(),
            epoch: 0,
            packet_frames: 0,
            made_up: false,
            rough: false,
            ledger: Ledger::default(),
            comfort: Comfort::default(),
        }
    }

    /// Empties the window for a stretch that begins with the packet `head`, with room for one that it overtook.
    pub fn begin(&mut self, head: &Head) {
        if head.epoch != self.epoch {
            self.comfort = Comfort::default();
        }
        self.epoch = head.epoch;
        self.position = head.position;
        let room = self.window.capacity() as u64 / 4;
        self.window.reset(Position(head.position.0.saturating_sub(room)), &mut self.reader);
    }

    /// Has the processor fetch what playing needs; first, where the rest is.
    pub fn fetch(&self, first: bool) {
        if first {
            ahead::fetch(self);
            ahead::fetch(&*self.counters);
        } else {
            self.window.fetch();
        }
        self.reader.fetch();
    }

    /// Whether all sound that was taken is given out.
    pub fn is_played_out(&self) -> bool {
        self.window.end() <= self.position
    }

    /// Whether nothing more will come, and all is given out.
    pub fn is_finished(&self) -> bool {
        self.reader.is_abandoned() && self.reader.is_empty() && self.is_played_out()
    }

    /// Moves on by `frames`.
    pub fn step(&mut self, frames: usize) {
        self.position = self.position.plus(frames);
        self.window.advance(self.position, &mut self.reader);
    }

    /// Puts the packet that comes next in its place. Nothing was heard yet if `first`: then it may be the place to begin at.
    pub fn put(&mut self, first: bool) -> Inserted {
        let Some(packet) = self.reader.take() else { return Inserted::default() };
        let place = packet.head.position;
        if first && place < self.position && place >= self.window.start() {
            // It was overtaken by the one that came first.
            self.position = place;
        }
        self.window.insert(packet, &mut self.reader)
    }

    /// Passes over the packet that comes next.
    pub fn pass_over(&mut self) {
        if let Some(packet) = self.reader.take() {
            self.reader.give_back(packet);
        }
    }

    /// Counts the next `frames` frames, which are there, as given out: played, or concealed where the codec made them up.
    pub fn count_played(&mut self, frames: usize) {
        let mut done = 0;
        while done < frames {
            let run = self.window.made_up(self.position.plus(done), frames - done);
            let made_up = run.present && !self.rough;
            let begins = !std::mem::replace(&mut self.made_up, made_up) && made_up;
            let counters = &self.counters;
            if begins {
                counters.concealments.fetch_add(1, Relaxed);
            }
            let counter = if made_up { &counters.frames_concealed } else { &counters.frames_played };
            counter.fetch_add(run.frames as u64, Relaxed);
            done += run.frames;
        }
    }

    /// The next `frames` frames, which are there, are given out as they are: counted, and noted.
    pub fn give_out(&mut self, frames: usize) {
        let mut done = 0;
        while self.ledger.is_kept() && done < frames {
            let at = self.position.plus(done);
            let run = self.window.made_up(at, frames - done);
            let kind = if run.present && !self.rough { Kind::Lost } else { Kind::Heard };
            self.ledger.note(kind, at, run.frames);
            done += run.frames;
        }
        self.count_played(frames);
    }

    /// The longest stretch that is looked at as one, frames.
    pub fn longest_copy(&self) -> usize {
        self.format.frames(LOOK).max(STRIDE)
    }

    /// Whether the packet lies within the window.
    pub fn fits(&self, head: &Head) -> bool {
        let room = self.window.start().plus(self.window.capacity());
        head.position.plus(head.frames as usize).distance(room) <= 0
    }

    /// Copies the frames from `from` on as floats; missing ones are silence.
    pub fn copy(&self, from: Position, out: &mut [f32]) {
        self.window.copy(from, out);
    }
}
