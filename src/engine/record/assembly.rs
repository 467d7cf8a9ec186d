//! Puts the packets of many sources, in whatever order they come, into one recording. Pure.
//!
//! Guaranteed: a source that is alone is recorded bit-exactly from its first frame to its last, by position, whatever the
//! order of arrival within the patience; what is missing is silence of exact length; of a doubled packet the first copy counts.
//! Several sources at once are summed with saturation, each bit-exact in its own place: its beginning, a new epoch's too,
//! is placed by arrival, against the least delayed packet of lately. A frame that comes later than the patience is counted, never written.
//! Memory is bounded, and silence never grows faster than the clock, ten seconds at a time excepted.
//!
//! Not guaranteed: that several sources stay aligned to the frame for hours. Their clocks drift; one that falls behind the
//! foremost by half the patience is set forward, with silence in the seam.

use std::collections::BTreeMap;
use std::time::Duration;

use super::lane::{Fit, Lane, MAX_PARTS};
use super::lead::Lead;
use super::part::Part;
use crate::engine::format::Format;
use crate::engine::stream::queue::Head;
use crate::engine::time::Micros;

/// Where the assembled sound goes, in order.
pub trait Tape {
    /// The next frames.
    fn sound(&mut self, samples: &[i16]);
    /// The next frames are this much silence.
    fn silence(&mut self, frames: u64);
}

/// A recording in the making.
pub struct Assembly {
    format: Format,
    /// In frames.
    patience: u64,
    lanes: BTreeMap<u32, Lane>,
    /// Frames given to the tape: what comes next.
    written: u64,
    /// One past the furthest frame known.
    reach: u64,
    /// The recording's clock, set by the foremost source.
    lead: Lead,
    /// The greatest lead ever.
    peak: Option<i64>,
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
    /// Frames that came when their place was written already, copies of what is there included.
    pub too_late_frames: u64,
    /// Packets that no rule could place: too many sources or restarts at once, or sound far ahead of the clock.
    pub refused_packets: u64,
    /// Sources that are gone and forgotten, to bound the list.
    pub forgotten_sources: u64,
}

impl Assembly {
    /// Nothing yet; sound is held back for `patience` (50 ms to 10 s) of sound before it is written.
    pub fn new(format: Format, patience: Duration) -> Self {
        let patience = patience.clamp(Duration::from_millis(50), Duration::from_secs(10));
        Self {
            format,
            patience: format.frames(patience) as u64,
            lanes: BTreeMap::new(),
            written: 0,
            reach: 0,
            lead: Lead::default(),
            peak: None,
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

    /// Writes all that there is once nothing has arrived for as long as the patience.
    pub fn settle(&mut self, now: Micros, tape: &mut impl Tape) {
        if self.written < self.reach
            && self.frames_at(now) - self.frames_at(self.latest) >= self.patience as i64
        {
            self.finish(tape);
        }
    }

    /// Writes all that there is.
    pub fn finish(&mut self, tape: &mut impl Tape) {
        self.place_before(u64::MAX);
        self.write_to(self.reach, tape);
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
            self.counts.refused_packets += 1;
            return;
        }
        self.latest = self.latest.max(head.arrival);
        let Some(index) = self.find_part(head, frames as u64) else { return };
        self.note_arrival(head, index);

        let (arrival, window) = (self.frames_at(head.arrival), self.window());
        let Some(lane) = self.lanes.get_mut(&head.source) else { return };
        self.reach = self.reach.max(lane.extend(index, head.position, frames, arrival, self.written));
        // What is older than the patience goes out first, and so makes room.
        let margin = self.patience.max(frames as u64);
        if self.reach >= self.written + margin + u64::from(self.format.rate() / 100) {
            while self.place_before(self.reach - margin) {}
            // Writing may tidy parts away, but never the one used last.
            self.write_to(self.reach - margin, tape);
        }
        let Some(lane) = self.lanes.get_mut(&head.source) else { return };
        let Some(part) = lane.last_used() else { return };
        let inserted = part.insert(head.position, first, second, self.written, window, channels);
        lane.tally.late_frames += inserted.behind as u64;
        self.counts.too_late_frames += inserted.behind as u64;
        self.counts.refused_packets += u64::from(inserted.beyond > 0);
    }

    /// The part of its source's sound that a packet belongs to, made where it is a new one; `None`, and counted, where
    /// it comes too late or cannot be placed.
    fn find_part(&mut self, head: &Head, frames: u64) -> Option<usize> {
        if !self.lanes.contains_key(&head.source) && !self.make_lane(head) {
            self.counts.refused_packets += 1;
            return None;
        }
        let (patience, written) = (self.patience, self.written);
        let arrival = self.frames_at(head.arrival);
        let rate = self.format.rate();
        let slack = u64::from(rate) * GAP_SLACK_SECONDS;
        let others = self.others_sound(head);
        let global = self.lead.get();
        let lane = self.lanes.get_mut(&head.source)?;
        lane.tally.packets += 1;
        let mut offset = None;
        match lane.fit(head, arrival, slack, patience) {
            Fit::Part(index) => {
                let part = &lane.parts[index];
                let Some(place) = part.place else { return Some(index) };
                let at = (head.position.0 as i64).wrapping_add(place);
                let in_order = head.position.distance(part.end) >= 0;
                if !in_order || !others {
                    return Some(index);
                }
                let lead = at - arrival;
                let away = arrival - part.newest >= patience as i64;
                if away && at + frames as i64 <= written as i64 {
                    // It was gone and its positions did not move on: a new beginning, placed by arrival.
                } else if let (Some(own), Some(global)) = (part.lead.get(), global)
                    && global - own > patience as i64 / 2
                    && lead >= own - patience as i64 / 8
                {
                    // Not this packet is late, its whole source has fallen behind.
                    offset = Some(place + (global - own));
                } else {
                    let ahead = self.peak.map_or(0, |peak| (lead - peak).max(0) as u64);
                    if lane.may_push(ahead, arrival, slack) {
                        return Some(index);
                    }
                    // Alone it may be as fast as it likes; among others it would tear their sound apart.
                    self.counts.refused_packets += 1;
                    return None;
                }
                lane.parts[index].closed = true;
            }
            Fit::TooLate => {
                lane.tally.late_frames += frames;
                self.counts.too_late_frames += frames;
                return None;
            }
            Fit::New => {}
        }
        if lane.parts.len() >= MAX_PARTS && !lane.drop_idle_part() {
            self.counts.refused_packets += 1;
            return None;
        }
        let guess = self.clock(head.arrival) - head.position.0 as i64;
        self.place_lane(head.source);
        let lane = self.lanes.get_mut(&head.source)?;
        if lane.epoch != Some(head.epoch) {
            lane.epoch = Some(head.epoch);
            lane.tally.epochs += 1;
        }
        lane.parts.push(Part::new(head, arrival, offset, guess));
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
            self.lead.note(bucket, lead);
            self.peak = self.peak.max(Some(lead));
        } else {
            part.guess = part.guess.min(clock - head.position.0 as i64);
        }
    }

    fn make_lane(&mut self, head: &Head) -> bool {
        if self.lanes.len() >= MAX_LANES {
            let idle = self.lanes.iter().find(|(_, l)| l.is_idle()).map(|(&number, _)| number);
            let Some(number) = idle else { return false };
            self.lanes.remove(&number);
            self.counts.forgotten_sources += 1;
        }
        let listed = self.lanes.values().map(|l| l.tally.gaps.len()).sum::<usize>();
        let most_gaps = if listed < MAX_GAPS { MAX_GAPS_PER_SOURCE } else { 0 };
        let lane = Lane::new(self.frames_at(head.arrival), most_gaps);
        self.lanes.insert(head.source, lane);
        true
    }

    /// Decides where parts begin that would begin before `frame`; false where there is none.
    fn place_before(&mut self, frame: u64) -> bool {
        let written = self.written;
        let placed = self.lanes.values_mut().filter_map(|lane| lane.place_before(frame, written)).max();
        self.reach = self.reach.max(placed.unwrap_or(0));
        placed.is_some()
    }

    /// Decides where all parts of one source begin.
    fn place_lane(&mut self, source: u32) {
        let placed = self.lanes.get_mut(&source).and_then(|lane| lane.place_before(u64::MAX, self.written));
        self.reach = self.reach.max(placed.unwrap_or(0));
    }

    /// Whether another source than this packet's sounds at present.
    fn others_sound(&self, head: &Head) -> bool {
        let since = self.frames_at(head.arrival) - self.patience as i64;
        self.lanes.iter().any(|(&number, lane)| number != head.source && lane.newest() >= since)
    }

    /// Gives the tape everything before `to`.
    fn write_to(&mut self, to: u64, tape: &mut impl Tape) {
        while self.written < to {
            let next = self.lanes.values().map(|l| l.next_sound(self.written, to)).min().unwrap_or(to);
            if next > self.written {
                tape.silence(next - self.written);
                self.written = next;
            } else {
                let frames = (to - self.written).min(CHUNK as u64);
                self.mix(frames as usize, tape);
                self.written += frames;
            }
            for lane in self.lanes.values_mut() {
                lane.advance(self.written);
            }
        }
        let idle = self.frames_at(self.latest) - self.patience as i64;
        for lane in self.lanes.values_mut() {
            lane.rest(idle);
        }
    }

    /// Sums the next frames of all sources.
    fn mix(&mut self, frames: usize, tape: &mut impl Tape) {
        let count = frames * self.format.channels();
        let scratch = &mut self.scratch[..count];
        let sum = &mut self.sum[..count];
        let mut voices = 0;
        scratch.fill(0);
        for part in self.lanes.values_mut().filter_map(|l| l.sounding(self.written, frames)).flatten() {
            if voices == 1 {
                // Only where there is more than one need they be summed.
                for (total, &sample) in sum.iter_mut().zip(scratch.iter()) {
                    *total = i32::from(sample);
                }
            }
            part.read(self.written, scratch);
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
        tape.sound(scratch);
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

    /// A moment as frames since the clock's start.
    fn frames_at(&self, moment: Micros) -> i64 {
        (u128::from(moment.0) * u128::from(self.format.rate()) / 1_000_000) as i64
    }

    /// Frames that a part's window holds.
    fn window(&self) -> usize {
        self.patience as usize + LONGEST_PACKET.max(self.format.rate() as usize)
    }
}

/// Sources held at once; past that the oldest that is silent is forgotten.
pub const MAX_LANES: usize = 4096;
/// Gaps listed of one source.
pub const MAX_GAPS_PER_SOURCE: usize = 10_000;
/// Gaps listed of all sources, about.
pub const MAX_GAPS: usize = 100_000;
/// How much longer a gap may be than the arrival times tell, and how far one of several sources may run ahead of the clock.
const GAP_SLACK_SECONDS: u64 = 10;
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
