//! Puts the packets of many sources, in whatever order they come, into one recording, as they come. Pure.
//!
//! Guaranteed: a source that is alone is recorded bit-exactly from its first frame to its last, by position, whatever the
//! order of arrival within the patience; what is missing is silence of exact length; of a doubled packet the first copy counts.
//! Several sources at once are summed with saturation, each bit-exact in its own place: its beginning, a new epoch's too,
//! is placed by arrival, against the least delayed packet of lately. No source's haste, pause or lie changes another's place.
//! Sound goes to the tape within [`HOLD`]; what comes later than that is patched in. A frame that comes later than the
//! patience is counted, never written; every frame is either written, late, doubled or refused, and counted as such.
//! Memory is bounded, and silence never grows faster than the clock, ten seconds at a time excepted.
//!
//! Not guaranteed: that several sources stay aligned to the frame for hours. Their clocks drift; one that falls behind the
//! foremost by half the patience is set forward, with silence in the seam. Nor that a sum is exact which was written more than the
//! patience before another source's late sound came to the same place: there it is added to what was clipped already.

use std::collections::BTreeMap;
use std::time::Duration;

use super::lane::{Fit, Lane, MAX_PARTS};
use super::lead::Lead;
use super::part::{Part, Resumed};
use super::tally::ChangeKind;
use crate::engine::format::Format;
use crate::engine::stream::queue::Head;
use crate::engine::time::Micros;

/// Where the assembled sound goes.
pub trait Tape {
    /// The next frames.
    fn sound(&mut self, samples: &[i16]);
    /// The next frames are this much silence.
    fn silence(&mut self, frames: u64);
    /// The frames from `frame` on, all there already, are these instead.
    fn patch(&mut self, frame: u64, samples: &[i16]);
    /// To the frames from `frame` on, all there already, these are added, with saturation.
    fn add(&mut self, frame: u64, samples: &[i16]);
}

/// A recording in the making.
pub struct Assembly {
    format: Format,
    /// In frames, as all that follows.
    patience: u64,
    hold: u64,
    lanes: BTreeMap<u32, Lane>,
    /// Frames given to the tape: what comes next.
    written: u64,
    /// One past the furthest frame known.
    reach: u64,
    /// One past the furthest frame of which it is not known any more who sounded there.
    forgotten: u64,
    /// The recording's clock, set by the foremost source that is no faster than a sound card may be.
    lead: Lead,
    /// The clock's first lead, and when that was.
    anchor: Option<(i64, i64)>,
    /// The latest arrival.
    latest: Micros,
    counts: Counts,
    joined: Vec<i16>,
    scratch: Vec<i16>,
    sum: Vec<i32>,
}

/// What could not be recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames that came later than the patience.
    pub too_late_frames: u64,
    /// Packets that no rule could place: absurd ones, and those of too many sources at once.
    pub refused_packets: u64,
    /// Their frames.
    pub refused_frames: u64,
    /// Sources that are gone and forgotten, to bound the list.
    pub forgotten_sources: u64,
}

impl Assembly {
    /// Nothing yet; late sound is put in its place for `patience` (50 ms to 10 s) of sound.
    pub fn new(format: Format, patience: Duration) -> Self {
        let patience = patience.clamp(Duration::from_millis(50), Duration::from_secs(10));
        Self {
            format,
            patience: format.frames(patience) as u64,
            hold: format.frames(HOLD.min(patience)) as u64,
            lanes: BTreeMap::new(),
            written: 0,
            reach: 0,
            forgotten: 0,
            lead: Lead::default(),
            anchor: None,
            latest: Micros::ZERO,
            counts: Counts::default(),
            joined: Vec::new(),
            scratch: vec![0; CHUNK * format.channels()],
            sum: vec![0; CHUNK * format.channels()],
        }
    }

    /// Takes one packet; its samples come in two runs, as from `PacketReader::pop`.
    pub fn take(&mut self, head: &Head, first: &[i16], second: &[i16], tape: &mut impl Tape) {
        let channels = self.format.channels();
        if !first.len().is_multiple_of(channels) && !second.is_empty() {
            // A frame lies across the ring's end.
            let mut joined = std::mem::take(&mut self.joined);
            joined.clear();
            joined.extend(first.iter().chain(second));
            self.take_frames(head, &joined, &[], tape);
            self.joined = joined;
        } else {
            self.take_frames(head, first, second, tape);
        }
    }

    /// Writes what is due at `now`: all that there is once nothing has arrived for [`HOLD`].
    pub fn settle(&mut self, now: Micros, tape: &mut impl Tape) {
        let (frame, hold, surplus) = (self.frames_at(now), self.hold as i64, self.surplus());
        for lane in self.lanes.values_mut() {
            lane.decide_resumed(frame, hold, surplus);
        }
        if frame - self.frames_at(self.latest) >= self.hold as i64 {
            self.finish(tape);
        } else {
            self.write_due(tape);
        }
    }

    /// Writes all that there is.
    pub fn finish(&mut self, tape: &mut impl Tape) {
        for lane in self.lanes.values_mut() {
            lane.end_resumed();
        }
        while self.place_before(u64::MAX, tape) {}
        self.write_to(self.reach, tape);
    }

    /// Whether the recording may still begin earlier than it does.
    pub const fn is_beginning(&self) -> bool {
        self.forgotten == 0 && self.reach <= self.patience
    }

    /// Frames given to the tape so far.
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// What could not be recorded.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The sources, by number.
    pub fn lanes(&self) -> impl Iterator<Item = (u32, &Lane)> {
        self.lanes.iter().map(|(&number, lane)| (number, lane))
    }

    fn take_frames(&mut self, head: &Head, first: &[i16], second: &[i16], tape: &mut impl Tape) {
        let channels = self.format.channels();
        let frames = (first.len() + second.len()) / channels;
        if frames == 0 || frames > LONGEST_PACKET || head.position.0 >= POSITION_LIMIT {
            return self.refuse(frames as u64);
        }
        self.latest = self.latest.max(head.arrival);
        let Some(index) = self.find_part(head, frames as u64, tape) else { return };
        self.note_arrival(head, index);
        self.make_room_before(head, index, tape);

        let (arrival, hold, surplus) = (self.frames_at(head.arrival), self.hold as i64, self.surplus());
        let Some(lane) = self.lanes.get_mut(&head.source) else { return };
        self.reach = self.reach.max(lane.extend(index, head, frames, arrival).unwrap_or(0));
        lane.decide_resumed(arrival, hold, surplus);
        let is_placed = lane.parts[index].place.is_some();
        // What is older goes out first, and so makes room.
        self.write_due(tape);
        if !is_placed {
            while self.place_before(self.reach.saturating_sub(self.hold), tape) {}
            self.write_due(tape);
        }
        self.insert(head, first, second, tape);
    }

    /// Puts a packet into the part used last, and on the tape where that has gone by.
    fn insert(&mut self, head: &Head, first: &[i16], second: &[i16], tape: &mut impl Tape) {
        let channels = self.format.channels();
        let frames = (first.len() + second.len()) / channels;
        let (written, patience, window) = (self.written, self.patience, self.window());
        let Some(lane) = self.lanes.get_mut(&head.source) else { return };
        let Some(part) = lane.last_used() else { return };
        let at = part.place.map_or(written as i64, |place| (head.position.0 as i64).wrapping_add(place));
        let end = (at + frames as i64).max(0) as u64;
        let gone_by = part.silences(at.max(0) as u64, end.min(written));
        let inserted = part.insert(head.position, first, second, patience, window, channels);
        if part.place.is_some() && part.end.distance(part.first) > patience as i64 {
            self.forgotten = self.forgotten.max(part.end_in_recording(0).saturating_sub(patience));
        }
        lane.tally.late_frames += inserted.behind as u64;
        lane.tally.doubled_frames += inserted.doubled as u64;
        self.counts.too_late_frames += inserted.behind as u64;
        if inserted.beyond > 0 {
            self.counts.refused_packets += 1;
            self.counts.refused_frames += inserted.beyond as u64;
        }
        let begin = (at + inserted.behind as i64).max(0) as u64;
        for (from, to) in gone_by {
            if to > begin {
                self.patch(head.source, from.max(begin), to, tape);
            }
        }
    }

    /// The part of its source's sound that a packet belongs to, made where it is a new one; `None`, and counted, where
    /// it comes too late or cannot be placed.
    fn find_part(&mut self, head: &Head, frames: u64, tape: &mut impl Tape) -> Option<usize> {
        if !self.lanes.contains_key(&head.source) && !self.make_lane(head) {
            self.refuse(frames);
            return None;
        }
        let patience = self.patience as i64;
        let arrival = self.frames_at(head.arrival);
        let slack = u64::from(self.format.rate()) * GAP_SLACK_SECONDS;
        let others = self.others_sound(head);
        let global = self.lead.get();
        let lane = self.lanes.get_mut(&head.source)?;
        lane.tally.packets += 1;
        let (mut offset, mut resumed) = (None, None);
        match lane.fit(head, arrival, global, slack, self.patience) {
            Fit::Part(index) => {
                let part = &mut lane.parts[index];
                let Some(place) = part.place else { return Some(index) };
                let in_order = head.position.distance(part.end) >= 0;
                if !in_order || !others {
                    return Some(index);
                }
                let lead = (head.position.0 as i64).wrapping_add(place) - arrival;
                let away = arrival - part.newest >= patience;
                let behind = global.map_or(0, |global| global - lead);
                if away && behind > patience / 2 {
                    // It was gone, and its positions did not move on.
                    resumed = Some(Resumed { place, since: arrival });
                } else if let (Some(own), Some(global)) = (part.lead.get(), global)
                    && global - own > patience / 2
                    && (own - patience / 8..=own).contains(&lead)
                    && arrival - part.born >= patience
                {
                    // Not this packet is late, its whole source has fallen behind, and does not catch up.
                    offset = Some(place + (global - own));
                } else {
                    return Some(index);
                }
                part.closed = true;
            }
            Fit::TooLate => {
                lane.tally.late_frames += frames;
                self.counts.too_late_frames += frames;
                return None;
            }
            Fit::New => {}
        }
        let change = match lane.parts.last() {
            None if lane.tally.epochs == 0 => None,
            _ if lane.is_new_epoch(head) => Some(ChangeKind::Reset),
            _ => Some(ChangeKind::Moved),
        };
        if lane.parts.len() >= MAX_PARTS {
            self.make_part_room(head.source, tape);
        }
        let guess = self.clock(head.arrival) - head.position.0 as i64;
        let lane = self.lanes.get_mut(&head.source)?;
        lane.enter(head);
        let part = Part { change, resumed, ..Part::new(head, arrival, offset, guess) };
        lane.parts.push(part);
        Some(lane.parts.len() - 1)
    }

    /// Lets a packet's arrival tell where its part, or the recording's clock, stands.
    fn note_arrival(&mut self, head: &Head, index: usize) {
        let arrival = self.frames_at(head.arrival);
        let clock = self.clock(head.arrival);
        let bucket = head.arrival.0 / LEAD_BUCKET_US;
        let Some(lane) = self.lanes.get_mut(&head.source) else { return };
        let part = &mut lane.parts[index];
        if let Some(place) = part.place {
            let lead = (head.position.0 as i64).wrapping_add(place) - arrival;
            part.lead.note(bucket, lead);
            let (first, since) = *self.anchor.get_or_insert((lead, arrival));
            // Who is faster than any sound card does not set the clock.
            if lead - first <= self.patience as i64 / 4 + (arrival - since).max(0) / DRIFT_LIMIT {
                self.lead.note(bucket, lead);
            }
        } else if part.resumed.is_none() {
            part.delayed_less(clock - head.position.0 as i64, self.hold as i64);
        }
    }

    /// A packet from before the first frame of the recording came later than that, while all is still known: everything is written
    /// anew, further on.
    fn make_room_before(&mut self, head: &Head, index: usize, tape: &mut impl Tape) {
        if !self.is_beginning() {
            return;
        }
        let Some(part) = self.lanes.get_mut(&head.source).and_then(|lane| lane.parts.get_mut(index)) else {
            return;
        };
        let Some(place) = part.place.filter(|_| part.floor == 0) else { return };
        let before = -(head.position.0 as i64).wrapping_add(place);
        if before <= 0 || before > self.patience as i64 {
            return;
        }
        part.first = part.first.min(head.position);
        for lane in self.lanes.values_mut() {
            lane.shift(before as u64);
        }
        self.lead.shift(before);
        self.anchor = self.anchor.map(|(lead, since)| (lead + before, since));
        self.reach += before as u64;
        let mut from = 0;
        while from < self.written {
            let frames = (self.written - from).min(CHUNK as u64) as usize;
            self.mix(from, frames);
            for lane in self.lanes.values_mut() {
                lane.note_written(from, frames);
            }
            tape.patch(from, &self.scratch[..frames * self.format.channels()]);
            from += frames as u64;
        }
    }

    fn make_lane(&mut self, head: &Head) -> bool {
        if self.lanes.len() >= MAX_LANES {
            let idle = self.lanes.iter().find(|(_, l)| l.is_idle()).map(|(&number, _)| number);
            let Some(number) = idle else { return false };
            self.lanes.remove(&number);
            self.counts.forgotten_sources += 1;
        }
        let listed = self.lanes.values().map(|l| l.tally().listed_gaps()).sum::<usize>();
        let most_gaps = if listed < MAX_GAPS { MAX_GAPS_PER_SOURCE } else { 0 };
        let lane = Lane::new(self.frames_at(head.arrival), most_gaps);
        self.lanes.insert(head.source, lane);
        true
    }

    /// Decides where parts begin that would begin before `frame`, and patches what has gone by of them; false where there is none.
    fn place_before(&mut self, frame: u64, tape: &mut impl Tape) -> bool {
        let undecided = |(&number, lane): (&u32, &Lane)| lane.is_undecided().then_some(number);
        let numbers: Vec<u32> = self.lanes.iter().filter_map(undecided).collect();
        let mut placed = false;
        for number in numbers {
            placed |= self.place_lane(number, frame, tape);
        }
        placed
    }

    /// The same of one source.
    fn place_lane(&mut self, source: u32, frame: u64, tape: &mut impl Tape) -> bool {
        let Some(lane) = self.lanes.get_mut(&source) else { return false };
        let placed = lane.place_before(frame);
        let mut gone_by = Vec::new();
        for &index in &placed {
            let part = &lane.parts[index];
            self.reach = self.reach.max(part.end_in_recording(0));
            gone_by.extend(part.sounds(part.start_in_recording(0), self.written));
        }
        for (from, to) in gone_by {
            self.patch(source, from, to, tape);
        }
        !placed.is_empty()
    }

    /// Makes room for another part of a source: those used longest ago are written, and forgotten.
    fn make_part_room(&mut self, source: u32, tape: &mut impl Tape) {
        let Some(lane) = self.lanes.get_mut(&source) else { return };
        lane.end_resumed();
        while self.place_lane(source, u64::MAX, tape) {}
        while let Some(lane) = self.lanes.get_mut(&source).filter(|lane| lane.parts.len() >= MAX_PARTS) {
            let end = lane.oldest_end();
            if end > self.written {
                self.write_to(end, tape);
            } else {
                self.forgotten = self.forgotten.max(lane.drop_oldest_part());
            }
        }
    }

    /// Whether another source than this packet's sounds at present.
    fn others_sound(&self, head: &Head) -> bool {
        let since = self.frames_at(head.arrival) - self.patience as i64;
        self.lanes.iter().any(|(&number, lane)| number != head.source && lane.newest() >= since)
    }

    /// Gives the tape what is old enough.
    fn write_due(&mut self, tape: &mut impl Tape) {
        if self.reach >= self.written + self.hold + u64::from(self.format.rate() / 100) {
            while self.place_before(self.reach - self.hold, tape) {}
            self.write_to(self.reach - self.hold, tape);
        }
    }

    /// Gives the tape everything before `to`.
    fn write_to(&mut self, to: u64, tape: &mut impl Tape) {
        while self.written < to {
            let next = self.lanes.values().map(|l| l.next_sound(self.written, to)).min().unwrap_or(to);
            if next > self.written {
                tape.silence(next - self.written);
                self.written = next;
            } else {
                let frames = (to - self.written).min(CHUNK as u64) as usize;
                self.mix(self.written, frames);
                for lane in self.lanes.values_mut() {
                    lane.note_written(self.written, frames);
                }
                tape.sound(&self.scratch[..frames * self.format.channels()]);
                self.written += frames as u64;
            }
        }
        let idle = self.frames_at(self.latest) - self.patience as i64;
        for lane in self.lanes.values_mut() {
            self.forgotten = self.forgotten.max(lane.rest(idle, self.written));
        }
    }

    /// Frames that were written as silence of a source are its sound now.
    fn patch(&mut self, source: u32, from: u64, to: u64, tape: &mut impl Tape) {
        let channels = self.format.channels();
        let mut at = from;
        while at < to {
            let frames = (to - at).min(CHUNK as u64) as usize;
            if at >= self.forgotten {
                self.mix(at, frames);
                tape.patch(at, &self.scratch[..frames * channels]);
            } else if let Some(lane) = self.lanes.get(&source) {
                let scratch = &mut self.scratch[..frames * channels];
                for part in lane.sounding(at, frames) {
                    part.read(at, scratch);
                    tape.add(at, scratch);
                }
            }
            if let Some(lane) = self.lanes.get_mut(&source) {
                lane.tally.note_sound(at, at + frames as u64);
            }
            at += frames as u64;
        }
    }

    /// Sums frames of all sources into the scratch.
    fn mix(&mut self, from: u64, frames: usize) {
        let count = frames * self.format.channels();
        let scratch = &mut self.scratch[..count];
        let sum = &mut self.sum[..count];
        let mut voices = 0;
        scratch.fill(0);
        for part in self.lanes.values().flat_map(|lane| lane.sounding(from, frames)) {
            if voices == 1 {
                // Only where there is more than one need they be summed.
                for (total, &sample) in sum.iter_mut().zip(scratch.iter()) {
                    *total = i32::from(sample);
                }
            }
            part.read(from, scratch);
            if voices > 0 {
                for (total, &sample) in sum.iter_mut().zip(scratch.iter()) {
                    *total = total.saturating_add(i32::from(sample));
                }
            }
            voices += 1;
        }
        if voices > 1 {
            for (sample, &total) in scratch.iter_mut().zip(sum.iter()) {
                *sample = total.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
            }
        }
    }

    /// The frame of the recording that belongs to a moment; the first moment asked for is frame 0.
    fn clock(&mut self, arrival: Micros) -> i64 {
        let frames = self.frames_at(arrival);
        if let Some(lead) = self.lead.get() {
            return frames + lead;
        }
        self.lead.note(arrival.0 / LEAD_BUCKET_US, -frames);
        0
    }

    fn refuse(&mut self, frames: u64) {
        self.counts.refused_packets += 1;
        self.counts.refused_frames += frames;
    }

    /// A moment as frames since the clock's start.
    fn frames_at(&self, moment: Micros) -> i64 {
        (u128::from(moment.0) * u128::from(self.format.rate()) / 1_000_000) as i64
    }

    /// How much more sound than time there is where late sound comes at once, in frames.
    fn surplus(&self) -> i64 {
        i64::from(self.format.rate() / 2)
    }

    /// Frames that a part's window holds.
    fn window(&self) -> usize {
        self.patience as usize + LONGEST_PACKET.max(self.format.rate() as usize)
    }
}

/// How long sound is held back, for what belongs before it: what a process that is killed loses.
pub const HOLD: Duration = Duration::from_millis(120);
/// Sources held at once; past that the oldest that is silent is forgotten.
pub const MAX_LANES: usize = 4096;
/// Gaps listed of one source.
pub const MAX_GAPS_PER_SOURCE: usize = 10_000;
/// Gaps listed of all sources, about.
pub const MAX_GAPS: usize = 100_000;
/// How much longer a gap may be than the arrival times tell.
const GAP_SLACK_SECONDS: u64 = 10;
/// One frame in so many is what a sound card's clock may be fast.
const DRIFT_LIMIT: i64 = 1_000;
/// The clock's memory is two of these.
const LEAD_BUCKET_US: u64 = 5_000_000;
/// Frames of the longest packet that is believed: what an RFC 4571 frame can hold.
const LONGEST_PACKET: usize = 32_768;
/// Frames mixed at once.
const CHUNK: usize = 4096;
/// Positions beyond are not believed: arithmetic on the others cannot overflow.
const POSITION_LIMIT: u64 = 1 << 60;

#[cfg(test)]
#[path = "assembly_tests.rs"]
mod tests;
