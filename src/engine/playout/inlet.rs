//! The entrance of a player: its packet queue, the window that orders what comes, and where it stands in it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::buffer::Timeline;
use super::counters::PlayerCounters;
use super::ledger::{Kind, Ledger};
use crate::engine::format::{Format, to_f32};
use crate::engine::stream::queue::{Head, PacketReader, Position};

/// Packets of one source, in order, with holes.
pub struct Inlet {
    /// Where they come from.
    pub reader: PacketReader,
    /// Where they wait.
    pub timeline: Timeline,
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
    scratch: Box<[i16]>,
}

/// Frames that are given out at once.
pub const STRIDE: usize = 1024;

/// The longest stretch that is looked at as one: two of the longest pitch periods.
const LOOK: Duration = Duration::from_millis(30);

impl Inlet {
    /// With a window of `window` frames.
    pub fn new(reader: PacketReader, format: Format, window: usize, counters: Arc<PlayerCounters>) -> Self {
        Self {
            reader,
            timeline: Timeline::new(window, format.channels()),
            format,
            counters,
            position: Position::default(),
            epoch: 0,
            packet_frames: 0,
            made_up: false,
            rough: false,
            ledger: Ledger::default(),
            scratch: vec![0; format.frames(LOOK).max(STRIDE) * format.channels()].into(),
        }
    }

    /// Empties the window for a stretch that begins with the packet `head`, with room for one that it overtook.
    pub fn begin(&mut self, head: &Head) {
        self.epoch = head.epoch;
        self.position = head.position;
        let room = self.timeline.capacity() as u64 / 4;
        self.timeline.reset(Position(head.position.0.saturating_sub(room)));
    }

    /// Whether all sound that was taken is given out.
    pub fn is_played_out(&self) -> bool {
        self.timeline.end() <= self.position
    }

    /// Whether nothing more will come, and all is given out.
    pub fn is_finished(&self) -> bool {
        self.reader.is_abandoned() && self.reader.is_empty() && self.is_played_out()
    }

    /// Moves on by `frames`.
    pub fn step(&mut self, frames: usize) {
        self.position = self.position.plus(frames);
        self.timeline.advance(self.position);
    }

    /// Counts the next `frames` frames, which are there, as given out: played, or concealed where the codec made them up.
    pub fn count_played(&mut self, frames: usize) {
        let mut done = 0;
        while done < frames {
            let run = self.timeline.made_up(self.position.plus(done), frames - done);
            let made_up = run.present && !self.rough;
            let begins = !std::mem::replace(&mut self.made_up, made_up) && made_up;
            let counters = &self.counters;
            counters.concealments.fetch_add(u64::from(begins), Relaxed);
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
            let run = self.timeline.made_up(at, frames - done);
            let kind = if run.present && !self.rough { Kind::Lost } else { Kind::Heard };
            self.ledger.note(kind, at, run.frames);
            done += run.frames;
        }
        self.count_played(frames);
    }

    /// The most frames that [`copy`](Self::copy) copies at once.
    pub fn longest_copy(&self) -> usize {
        self.scratch.len() / self.format.channels()
    }

    /// Whether the packet lies within the window.
    pub fn fits(&self, head: &Head) -> bool {
        let room = self.timeline.start().plus(self.timeline.capacity());
        head.position.plus(head.frames as usize).distance(room) <= 0
    }

    /// Copies the frames from `from` on as floats; missing ones are silence.
    pub fn copy(&mut self, from: Position, out: &mut [f32]) {
        let scratch = &mut self.scratch[..out.len()];
        self.timeline.read(from, scratch);
        for (to, sample) in out.iter_mut().zip(scratch) {
            *to = to_f32(*sample);
        }
    }
}
