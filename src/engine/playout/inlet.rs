//! The entrance of a player: its packet queue, the window that orders what comes, and where it stands in it.

use super::buffer::Timeline;
use super::counters::PlayerCounters;
use crate::engine::format::{Format, to_f32};
use crate::engine::stream::queue::{Head, PacketReader, Position};
use std::sync::Arc;

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

/// The most frames that can be copied at once.
pub const STRIDE: usize = 1024;

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
            scratch: vec![0; STRIDE * format.channels()].into(),
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

    /// Copies the frames from `from` on as floats, [`STRIDE`] at most; missing ones are silence.
    pub fn copy(&mut self, from: Position, out: &mut [f32]) {
        let scratch = &mut self.scratch[..out.len()];
        self.timeline.read(from, scratch);
        for (to, sample) in out.iter_mut().zip(scratch) {
            *to = to_f32(*sample);
        }
    }
}
