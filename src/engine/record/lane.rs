//! One source of a recording: stretches of its sound, each with its place in the recording. Pure.

use super::part::Part;
use super::sidecar::Gap;
use crate::engine::stream::queue::{Head, Position};

/// One source.
pub struct Lane {
    pub(super) parts: Vec<Part>,
    pub(super) epoch: Option<u32>,
    pub(super) tally: Tally,
    /// One past its last frame that was written.
    heard_to: Option<u64>,
    most_gaps: usize,
    /// When its first packet came, in frames of the clock.
    born: i64,
    /// Frames that its positions skipped.
    skipped: u64,
    /// Frames by which it has pushed the recording ahead of the clock while others sounded.
    pushed: u64,
}

/// What was recorded of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The recording's frame that its first one became.
    pub first_frame: Option<u64>,
    /// Frames written.
    pub frames: u64,
    /// Packets that came, copies and late ones included.
    pub packets: u64,
    /// Frames that came too late.
    pub late_frames: u64,
    /// How often it began, restarts included.
    pub epochs: u64,
    /// Where silence stands between its sounds.
    pub gaps: Vec<Gap>,
    /// Gaps that are not listed any more.
    pub more_gaps: u64,
}

/// Where a packet belongs.
pub(super) enum Fit {
    /// To this part.
    Part(usize),
    /// To none that there is: a new one.
    New,
    /// To one that is long over.
    TooLate,
}

impl Lane {
    /// A source whose first packet came at `born`, in frames of the clock.
    pub(super) fn new(born: i64, most_gaps: usize) -> Self {
        Self {
            parts: Vec::new(),
            epoch: None,
            tally: Tally::default(),
            heard_to: None,
            most_gaps,
            born,
            skipped: 0,
            pushed: 0,
        }
    }

    /// What was recorded of it so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Where a packet belongs that came at `arrival` (in frames of the clock): to the part used last that it fits.
    pub(super) fn fit(&self, head: &Head, arrival: i64, slack: u64, patience: u64) -> Fit {
        let mut order: [usize; MAX_PARTS] = std::array::from_fn(|i| i);
        let order = &mut order[..self.parts.len()];
        order.sort_by_key(|&i| u64::MAX - self.parts[i].used);
        let mut known = false;
        for &index in order.iter() {
            let part = &self.parts[index];
            if part.epoch != head.epoch {
                continue;
            }
            let gap = head.position.distance(part.end);
            if gap < 0 {
                known = true;
                if head.position.distance(part.first) >= -(patience as i64) {
                    return Fit::Part(index);
                }
            } else if !part.closed && self.allows_gap(part, gap as u64, arrival, slack) {
                return Fit::Part(index);
            }
        }
        if known || self.epoch.is_some_and(|newest| head.epoch < newest) { Fit::TooLate } else { Fit::New }
    }

    /// Whether the clock agrees that `gap` frames are missing before a packet that came at `arrival`, give or take `slack`.
    fn allows_gap(&self, part: &Part, gap: u64, arrival: i64, slack: u64) -> bool {
        let since = |moment: i64| (arrival - moment).max(0) as u64 + slack;
        gap <= since(part.newest) && self.skipped + gap <= since(self.born)
    }

    /// Lets it push the recording `frames` further ahead of the clock, if it has not done too much of that: `slack` in
    /// all, and what a fast sound card may.
    pub(super) fn may_push(&mut self, frames: u64, arrival: i64, slack: u64) -> bool {
        let drift = (arrival - self.born).max(0) as u64 / DRIFT_LIMIT;
        let allowed = self.pushed + frames <= slack + drift;
        self.pushed += if allowed { frames } else { 0 };
        allowed
    }

    /// Counts a packet into a part, the last used from now on; returns the recording's frame one past the part's last.
    pub(super) fn extend(
        &mut self,
        index: usize,
        at: Position,
        frames: usize,
        arrival: i64,
        written: u64,
    ) -> u64 {
        let floor = self.floor(index, written);
        let part = &mut self.parts[index];
        // Every packet of the source counts one further.
        part.used = self.tally.packets;
        self.skipped += at.distance(part.end).max(0) as u64;
        part.extend(at, frames, arrival);
        part.end_in_recording(floor)
    }

    /// The first frame of the recording that a part may take.
    pub(super) fn floor(&self, index: usize, written: u64) -> u64 {
        let mut floor = written;
        for part in &self.parts[..index] {
            floor = floor.max(part.end_in_recording(floor));
        }
        floor
    }

    /// Decides where parts begin that would begin before `frame`; returns the furthest end of those, if any.
    pub(super) fn place_before(&mut self, frame: u64, written: u64) -> Option<u64> {
        let mut reach = None;
        for index in 0..self.parts.len() {
            if self.parts[index].place.is_none() {
                let floor = self.floor(index, written);
                let part = &mut self.parts[index];
                if part.start_in_recording(floor) < frame {
                    part.place = Some(part.offset(floor));
                    reach = reach.max(Some(part.end_in_recording(floor)));
                }
            }
        }
        reach
    }

    /// The first frame from `from` on that has sound, `limit` at most.
    pub(super) fn next_sound(&self, from: u64, limit: u64) -> u64 {
        self.parts.iter().map(|p| p.next_sound(from, limit)).min().unwrap_or(limit)
    }

    /// The parts that sound within `frames` from `from` on, which are noted as written. `None` where none does.
    pub(super) fn sounding(&mut self, from: u64, frames: usize) -> Option<impl Iterator<Item = &Part>> {
        let to = from + frames as u64;
        if self.next_sound(from, to) == to {
            return None;
        }
        for index in 0..self.parts.len() {
            let mut at = self.parts[index].next_sound(from, to);
            while at < to {
                let end = self.parts[index].sound_end(at, to);
                self.note_sound(at, end);
                at = self.parts[index].next_sound(end, to);
            }
        }
        Some(self.parts.iter().filter(move |p| p.next_sound(from, to) < to))
    }

    /// Forgets what lies before `written`.
    pub(super) fn advance(&mut self, written: u64) {
        for part in &mut self.parts {
            part.advance(written);
        }
    }

    /// Gives back the memory of parts without sound that have had none since `idle`, and all but the last used of those.
    pub(super) fn rest(&mut self, idle: i64) {
        for part in &mut self.parts {
            if part.newest < idle && part.is_silent() {
                part.timeline = None;
            }
        }
        if self.parts.len() > 1 {
            let last = self.parts.iter().map(|p| p.used).max();
            self.parts.retain(|p| p.timeline.is_some() || p.place.is_none() || Some(p.used) == last);
        }
    }

    /// The part that the last packet belongs to.
    pub(super) fn last_used(&mut self) -> Option<&mut Part> {
        self.parts.iter_mut().max_by_key(|p| p.used)
    }

    /// Drops a part that holds no sound; false where there is none.
    pub(super) fn drop_idle_part(&mut self) -> bool {
        let idle = self.parts.iter().position(|p| p.place.is_some() && p.is_silent());
        idle.map(|index| self.parts.remove(index)).is_some()
    }

    /// Whether it holds nothing.
    pub(super) fn is_idle(&self) -> bool {
        self.parts.iter().all(|p| p.timeline.is_none())
    }

    /// When its last packet came, in frames of the clock.
    pub(super) fn newest(&self) -> i64 {
        self.parts.iter().map(|p| p.newest).max().unwrap_or(i64::MIN)
    }

    fn note_sound(&mut self, from: u64, to: u64) {
        let tally = &mut self.tally;
        tally.first_frame.get_or_insert(from);
        tally.frames += to - from;
        if let Some(end) = self.heard_to
            && from > end
        {
            if tally.gaps.len() < self.most_gaps {
                tally.gaps.push(Gap { frame: end, frames: from - end });
            } else {
                tally.more_gaps += 1;
            }
        }
        self.heard_to = self.heard_to.max(Some(to));
    }
}

/// Parts of one source held at once.
pub(super) const MAX_PARTS: usize = 4;
/// One frame in so many is what a sound card's clock may be fast.
const DRIFT_LIMIT: u64 = 1_000;
