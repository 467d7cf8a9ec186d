//! One source of a recording: stretches of its sound, each with its place in the recording. Pure.

use super::part::Part;
use super::tally::{Change, ChangeKind, Tally};
use crate::engine::stream::queue::{Head, Origin};

/// One source.
pub struct Lane {
    pub(super) parts: Vec<Part>,
    epoch: Option<u32>,
    pub(super) tally: Tally,
    /// When its first packet came, in frames of the clock.
    born: i64,
    /// Frames that its positions skipped.
    skipped: u64,
    /// The newest epoch's highest sequence number.
    highest: u64,
    /// The payload type of its newest packet, and that one's sequence number.
    coding: Option<(u8, u64)>,
    /// One past the last frame of the recording of the parts that were dropped.
    dropped_to: u64,
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
            tally: Tally::new(most_gaps),
            born,
            skipped: 0,
            highest: 0,
            coding: None,
            dropped_to: 0,
        }
    }

    /// What was recorded of it so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Where a packet belongs that came at `arrival` (in frames of the clock; `lead` makes it a frame of the recording): to the part
    /// used last that it fits.
    pub(super) fn fit(&self, head: &Head, arrival: i64, lead: Option<i64>, slack: u64, patience: u64) -> Fit {
        let mut order: [usize; MAX_PARTS] = std::array::from_fn(|i| i);
        let order = &mut order[..self.parts.len()];
        order.sort_by_key(|&i| u64::MAX - self.parts[i].used);
        // What belonged to a part that is forgotten is late, too.
        let mut known = self.dropped_to > 0 && self.epoch == Some(head.epoch);
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
                // Lost packets are no lie, however fast the sound comes.
                let ahead = lead.map_or(0, |lead| {
                    (head.position.0 as i64).wrapping_add(part.offset(self.floor(index))) - arrival - lead
                });
                let is_loss = self.skipped + gap as u64 <= self.tally.frames / 4;
                if gap == 0 || is_loss || ahead <= slack as i64 {
                    return Fit::Part(index);
                }
            }
        }
        // What comes after all that was is not late, wherever its position leads.
        let is_newest = self.epoch != Some(head.epoch) || head.sequence > self.highest;
        if (known && !is_newest) || self.epoch.is_some_and(|newest| head.epoch < newest) {
            Fit::TooLate
        } else {
            Fit::New
        }
    }

    /// Whether the clock agrees that `gap` frames are missing before a packet that came at `arrival`, give or take `slack`.
    fn allows_gap(&self, part: &Part, gap: u64, arrival: i64, slack: u64) -> bool {
        let since = |moment: i64| (arrival - moment).max(0) as u64 + slack;
        gap == 0 || (gap <= since(part.newest) && self.skipped + gap <= since(self.born))
    }

    /// Whether a packet begins another epoch than the newest.
    pub(super) fn is_new_epoch(&self, head: &Head) -> bool {
        self.epoch != Some(head.epoch)
    }

    /// Begins an epoch, or goes on in it.
    pub(super) fn enter(&mut self, head: &Head) {
        if self.is_new_epoch(head) {
            self.epoch = Some(head.epoch);
            self.highest = head.sequence;
            self.coding = self.coding.map(|(coding, _)| (coding, 0));
            self.tally.epochs += 1;
        }
    }

    /// Counts a packet into a part, the last used from now on; returns the recording's frame one past the part's last, and none
    /// while it is not known where that may be.
    pub(super) fn extend(&mut self, index: usize, head: &Head, frames: usize, arrival: i64) -> Option<u64> {
        let floor = self.floor(index);
        if self.epoch == Some(head.epoch) {
            self.highest = self.highest.max(head.sequence);
        }
        self.note_coding(index, head, floor);
        let part = &mut self.parts[index];
        // Every packet of the source counts one further.
        part.used = self.tally.packets;
        self.skipped += head.position.distance(part.end).max(0) as u64;
        part.extend(head.position, frames, arrival);
        part.resumed.is_none().then(|| part.end_in_recording(floor))
    }

    /// Lists it where the newest packet is coded in another way than the one before.
    fn note_coding(&mut self, index: usize, head: &Head, floor: u64) {
        if head.origin != Origin::Received || self.coding.is_some_and(|(_, newest)| head.sequence < newest) {
            return;
        }
        let before = self.coding.replace((head.payload_type, head.sequence));
        if before.is_some_and(|(before, _)| before != head.payload_type) {
            let frame = (head.position.0 as i64 + self.parts[index].offset(floor)).max(0) as u64;
            self.tally.note_change(Change { frame, kind: ChangeKind::Coding(head.payload_type) });
        }
    }

    /// Decides where parts go on that began after a pause, as far as that is known at `now` (in frames of the clock).
    pub(super) fn decide_resumed(&mut self, now: i64, patience: i64, surplus: i64) {
        for part in &mut self.parts {
            part.decide_resumed(now, patience, surplus);
        }
    }

    /// The first frame of the recording that a part may take.
    fn floor(&self, index: usize) -> u64 {
        let mut floor = self.dropped_to;
        for part in &self.parts[..index] {
            floor = floor.max(part.end_in_recording(floor));
        }
        floor
    }

    /// The same at the end: by arrival.
    pub(super) fn end_resumed(&mut self) {
        for part in &mut self.parts {
            part.resumed = None;
        }
    }

    /// Decides where parts begin that would begin before `frame`; returns which.
    pub(super) fn place_before(&mut self, frame: u64) -> Vec<usize> {
        let mut placed = Vec::new();
        for index in 0..self.parts.len() {
            if self.parts[index].place.is_some() || self.parts[index].resumed.is_some() {
                continue;
            }
            let floor = self.floor(index);
            let part = &mut self.parts[index];
            let start = part.start_in_recording(floor);
            if start < frame {
                part.place = Some(part.offset(floor));
                part.floor = floor;
                placed.push(index);
                if let Some(kind) = part.change {
                    self.tally.note_change(Change { frame: start, kind });
                }
            }
        }
        placed
    }

    /// The first frame from `from` on that has sound, `limit` at most.
    pub(super) fn next_sound(&self, from: u64, limit: u64) -> u64 {
        self.parts.iter().map(|p| p.next_sound(from, limit)).min().unwrap_or(limit)
    }

    /// The parts that sound within `frames` from `from` on.
    pub(super) fn sounding(&self, from: u64, frames: usize) -> impl Iterator<Item = &Part> {
        let to = from + frames as u64;
        self.parts.iter().filter(move |p| p.next_sound(from, to) < to)
    }

    /// Notes what sounds within `frames` from `from` on as written.
    pub(super) fn note_written(&mut self, from: u64, frames: usize) {
        let to = from + frames as u64;
        for part in &self.parts {
            let mut at = part.next_sound(from, to);
            while at < to {
                let end = part.sound_end(at, to);
                self.tally.note_sound(at, end);
                at = part.next_sound(end, to);
            }
        }
    }

    /// All that was written is written anew, `frames` further on.
    pub(super) fn shift(&mut self, frames: u64) {
        self.tally.rewind(frames);
        for part in &mut self.parts {
            part.shift(frames as i64);
        }
    }

    /// Gives back the memory of parts of which all is `written` and that have had no packet since `idle`, and all but the last used
    /// of those; returns one past the furthest frame that is forgotten so.
    pub(super) fn rest(&mut self, idle: i64, written: u64) -> u64 {
        let mut forgotten = 0;
        for part in &mut self.parts {
            if part.newest < idle && part.timeline.is_some() && part.is_written(written) {
                forgotten = forgotten.max(part.end_in_recording(0));
                part.timeline = None;
            }
        }
        if self.parts.len() > 1 {
            let last = self.parts.iter().map(|p| p.used).max();
            let keep = |p: &Part| p.timeline.is_some() || p.place.is_none() || Some(p.used) == last;
            let gone = self.parts.iter().filter(|p| !keep(p)).map(|p| p.end_in_recording(0)).max();
            self.dropped_to = self.dropped_to.max(gone.unwrap_or(0));
            self.parts.retain(keep);
        }
        forgotten
    }

    /// The part that the last packet belongs to.
    pub(super) fn last_used(&mut self) -> Option<&mut Part> {
        self.parts.iter_mut().max_by_key(|p| p.used)
    }

    /// Whether it has parts without a place yet.
    pub(super) fn is_undecided(&self) -> bool {
        self.parts.iter().any(|part| part.place.is_none() && part.resumed.is_none())
    }

    /// One past the last frame of the recording of the part that was used longest ago.
    pub(super) fn oldest_end(&self) -> u64 {
        self.oldest().map_or(0, |index| self.parts[index].end_in_recording(0))
    }

    fn oldest(&self) -> Option<usize> {
        (0..self.parts.len()).min_by_key(|&index| self.parts[index].used)
    }

    /// Drops the part that was used longest ago, of which all is written; returns one past the furthest frame that is forgotten so.
    pub(super) fn drop_oldest_part(&mut self) -> u64 {
        let end = self.oldest().map_or(0, |index| self.parts.remove(index).end_in_recording(0));
        self.dropped_to = self.dropped_to.max(end);
        end
    }

    /// Whether it holds nothing.
    pub(super) fn is_idle(&self) -> bool {
        self.parts.iter().all(|p| p.timeline.is_none())
    }

    /// When its last packet came, in frames of the clock.
    pub(super) fn newest(&self) -> i64 {
        self.parts.iter().map(|p| p.newest).max().unwrap_or(i64::MIN)
    }
}

/// Parts of one source held at once.
pub(super) const MAX_PARTS: usize = 4;
