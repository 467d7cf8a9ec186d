//! A stretch of one source's sound within which positions tell the whole truth: an epoch, as a rule. Pure.

use super::lead::Lead;
use crate::engine::playout::buffer::{Inserted, Timeline};
use crate::engine::stream::queue::{Head, Position};

/// One stretch, with its place in the recording.
pub(super) struct Part {
    pub(super) epoch: u32,
    /// What is not written yet; none where that is nothing.
    pub(super) timeline: Option<Timeline>,
    /// The lowest position.
    pub(super) first: Position,
    /// One past the highest position.
    pub(super) end: Position,
    /// Frame of the recording less position, once decided.
    pub(super) place: Option<i64>,
    /// The same, as the least delayed packet so far has it.
    pub(super) guess: i64,
    /// When its latest packet came, in frames of the clock.
    pub(super) newest: i64,
    /// The number of its source's packet that was its last.
    pub(super) used: u64,
    /// It goes on in another part and takes only what is late.
    pub(super) closed: bool,
    pub(super) lead: Lead,
}

impl Part {
    /// The part that begins with a packet that came at `arrival`, in frames of the clock.
    pub(super) fn new(head: &Head, arrival: i64, place: Option<i64>, guess: i64) -> Self {
        Self {
            epoch: head.epoch,
            timeline: None,
            first: head.position,
            end: head.position,
            place,
            guess,
            newest: arrival,
            used: 0,
            closed: false,
            lead: Lead::default(),
        }
    }

    /// Counts a packet in.
    pub(super) fn extend(&mut self, at: Position, frames: usize, arrival: i64) {
        self.newest = self.newest.max(arrival);
        self.end = self.end.max(at.plus(frames));
        if self.place.is_none() {
            self.first = self.first.min(at);
        }
    }

    /// Frame of the recording less position, decided or as it would be now; it begins at `floor` at the earliest.
    pub(super) fn offset(&self, floor: u64) -> i64 {
        self.place.unwrap_or(self.guess.max(floor as i64 - self.first.0 as i64))
    }

    /// The recording's frame where it begins.
    pub(super) fn start_in_recording(&self, floor: u64) -> u64 {
        (self.first.0 as i64 + self.offset(floor)).max(0) as u64
    }

    /// The recording's frame where it ends so far.
    pub(super) fn end_in_recording(&self, floor: u64) -> u64 {
        (self.end.0 as i64 + self.offset(floor)).max(0) as u64
    }

    /// Puts a packet where it belongs, but not before what is `written`; `window` frames are held.
    pub(super) fn insert(
        &mut self,
        at: Position,
        first: &[i16],
        second: &[i16],
        written: u64,
        window: usize,
        channels: usize,
    ) -> Inserted {
        let earliest = self.place.map_or(Position(0), |place| position_of(written, place));
        let look_back = Position(at.0.saturating_sub(window as u64 / LOOK_BACK)).max(earliest);
        let timeline = self.timeline.get_or_insert_with(|| {
            let mut timeline = Timeline::new(window + window / LOOK_BACK as usize, channels);
            timeline.reset(look_back);
            timeline
        });
        timeline.advance(earliest);
        if at < timeline.start() && timeline.start() > earliest {
            let fits = timeline.end().0.saturating_sub(timeline.capacity() as u64);
            extend_back(timeline, look_back.max(Position(fits)), channels);
        }
        timeline.insert(at, first, second)
    }

    /// The first frame of the recording from `from` on where it has sound, `limit` at most.
    pub(super) fn next_sound(&self, from: u64, limit: u64) -> u64 {
        let (Some(place), Some(timeline)) = (self.place, &self.timeline) else { return limit };
        let run = timeline.run(position_of(from, place), (limit - from) as usize);
        if run.present { from } else { from + run.frames as u64 }
    }

    /// One past the last frame of the recording of the sound that it has at `from`, `limit` at most.
    pub(super) fn sound_end(&self, from: u64, limit: u64) -> u64 {
        let (Some(place), Some(timeline)) = (self.place, &self.timeline) else { return limit };
        from + timeline.run(position_of(from, place), (limit - from) as usize).frames as u64
    }

    /// Its sound from the recording's frame `from` on, silence where there is none.
    pub(super) fn read(&self, from: u64, out: &mut [i16]) {
        match (self.place, &self.timeline) {
            (Some(place), Some(timeline)) => {
                timeline.read(position_of(from, place), out);
            }
            _ => out.fill(0),
        }
    }

    /// Forgets what lies before the recording's frame `written`.
    pub(super) fn advance(&mut self, written: u64) {
        if let (Some(place), Some(timeline)) = (self.place, &mut self.timeline) {
            timeline.advance(position_of(written, place));
        }
    }

    /// Whether it holds no sound.
    pub(super) fn is_silent(&self) -> bool {
        self.timeline.as_ref().is_none_or(Timeline::is_empty)
    }
}

fn position_of(frame: u64, place: i64) -> Position {
    Position((frame as i64 - place).max(0) as u64)
}

/// Makes the window begin at `start`, earlier than it does.
fn extend_back(timeline: &mut Timeline, start: Position, channels: usize) {
    let mut wider = Timeline::new(timeline.capacity(), channels);
    wider.reset(start);
    let mut at = timeline.start();
    while at < timeline.end() {
        let run = timeline.run(at, timeline.end().distance(at) as usize);
        if run.present {
            let mut samples = vec![0; run.frames * channels];
            timeline.read(at, &mut samples);
            wider.insert(at, &samples, &[]);
        }
        at = at.plus(run.frames);
    }
    *timeline = wider;
}

/// The part of a window that is kept for packets earlier than the first that came.
const LOOK_BACK: u64 = 8;
