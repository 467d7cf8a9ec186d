//! A stretch of one source's sound within which positions tell the whole truth: an epoch, as a rule. Pure.

use super::lead::Lead;
use super::tally::ChangeKind;
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
    /// The same, as its first packet had it.
    pub(super) first_guess: i64,
    /// When its first packet came, in frames of the clock.
    pub(super) born: i64,
    /// When its latest packet came.
    pub(super) newest: i64,
    /// The number of its source's packet that was its last.
    pub(super) used: u64,
    /// It goes on in another part and takes only what is late.
    pub(super) closed: bool,
    /// The first frame of the recording that it may take, once it has its place.
    pub(super) floor: u64,
    /// Why it is not what came before it.
    pub(super) change: Option<ChangeKind>,
    /// It began after a pause, and it is not known yet whether its sound is of then or of now.
    pub(super) resumed: Option<Resumed>,
    pub(super) lead: Lead,
}

/// Sound that goes on after a pause where it had ended: late sound, if it comes faster than it lasts, or a sender whose
/// positions rest in pauses.
#[derive(Clone, Copy)]
pub(super) struct Resumed {
    /// The place of what came before the pause.
    pub(super) place: i64,
    /// When it went on, in frames of the clock.
    pub(super) since: i64,
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
            first_guess: guess,
            born: arrival,
            newest: arrival,
            used: 0,
            closed: false,
            floor: 0,
            change: None,
            resumed: None,
            lead: Lead::default(),
        }
    }

    /// A packet's arrival says that it begins at `guess`: it was less delayed than those before it, by `most` more than the first.
    pub(super) fn delayed_less(&mut self, guess: i64, most: i64) {
        self.guess = self.guess.min(guess.max(self.first_guess - most));
    }

    /// Decides where it goes on, if that is known at `now` (in frames of the clock): where it had ended, as soon as its sound is
    /// `surplus` longer than it took to come; by arrival after `patience`.
    pub(super) fn decide_resumed(&mut self, now: i64, patience: i64, surplus: i64) {
        let Some(resumed) = self.resumed else { return };
        let passed = now - resumed.since;
        if self.end.distance(self.first) >= passed + surplus {
            (self.guess, self.first_guess) = (resumed.place, resumed.place);
            (self.change, self.resumed) = (None, None);
        } else if passed >= patience {
            self.resumed = None;
        }
    }

    /// Moves it `frames` further on in the recording.
    pub(super) fn shift(&mut self, frames: i64) {
        self.place = self.place.map(|place| place + frames);
        self.guess += frames;
        self.first_guess += frames;
        self.lead.shift(frames);
        if let Some(resumed) = &mut self.resumed {
            resumed.place += frames;
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

    /// Puts a packet where it belongs, but not before what it had `patience` frames ago; `window` frames are held.
    pub(super) fn insert(
        &mut self,
        at: Position,
        first: &[i16],
        second: &[i16],
        patience: u64,
        window: usize,
        channels: usize,
    ) -> Inserted {
        let earliest = self.place.map_or(Position(0), |place| {
            Position(self.end.0.saturating_sub(patience)).max(position_of(self.floor, place))
        });
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

    /// Whether all of it is before the recording's frame `written`.
    pub(super) fn is_written(&self, written: u64) -> bool {
        self.place.is_some() && self.end_in_recording(0) <= written
    }

    /// The frames of the recording from `from` to `to` where it has sound.
    pub(super) fn sounds(&self, from: u64, to: u64) -> Vec<(u64, u64)> {
        let mut sounds = Vec::new();
        let mut at = from;
        while at < to {
            let sound = self.next_sound(at, to);
            let end = if sound < to { self.sound_end(sound, to) } else { to };
            if end > sound {
                sounds.push((sound, end));
            }
            at = end;
        }
        sounds
    }

    /// The frames of the recording from `from` to `to` where it has none.
    pub(super) fn silences(&self, from: u64, to: u64) -> Vec<(u64, u64)> {
        let mut silences = Vec::new();
        let mut at = from;
        while at < to {
            let sound = self.next_sound(at, to);
            if sound > at {
                silences.push((at, sound));
            }
            at = if sound < to { self.sound_end(sound, to) } else { to };
        }
        silences
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
