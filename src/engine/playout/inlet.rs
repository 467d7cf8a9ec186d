//! The entrance of a player: its packet queue, the window that orders what comes, and where it stands in it.

use std::sync::Arc;
use std::time::Duration;

use super::buffer::Timeline;
use super::counters::PlayerCounters;
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
