//! The receiving end: puts the stream together, and says what has arrived.
//!
//! It acknowledges as Linux does: at once while a connection is young, while there is a hole, when one is filled, at every
//! second segment, and when a program that reads at once has read all of what was pushed (`tcp_cleanup_rbuf`); else
//! after 40 ms.

use std::collections::BTreeMap;
use std::time::Duration;

use super::segment::{Sacks, Segment};
use crate::engine::time::Micros;

/// The receiving end.
#[derive(Clone, Debug, Default)]
pub struct Receiver {
    /// All before this has been delivered.
    next: u64,
    /// What has been acknowledged.
    said: u64,
    /// What lies beyond a hole, by its place.
    beyond: BTreeMap<u64, Vec<u8>>,
    /// The ranges beyond, the one that grew last first.
    ranges: Vec<(u64, u64)>,
    /// Acknowledgements that are still sent at once.
    quick: u32,
    /// What counts as a full segment.
    segment: u64,
    /// When a delayed acknowledgement is due.
    due: Option<Micros>,
    /// The timestamp to answer with.
    stamp: u32,
    duplicates: u64,
}

impl Receiver {
    /// Of a connection that has just been made.
    pub fn new() -> Self {
        Self { quick: QUICK, ..Self::default() }
    }

    /// When it has something to say though nothing arrives.
    pub fn poll(&self) -> Option<Micros> {
        self.due
    }

    /// Segments that brought nothing new.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// A segment has arrived: what is now in order goes to `deliver`; an acknowledgement may come back.
    pub fn receive(
        &mut self,
        now: Micros,
        segment: Segment,
        deliver: &mut dyn FnMut(Micros, &[u8]),
    ) -> Option<Segment> {
        let (start, end, push) = (segment.seq, segment.end(), segment.push);
        if start <= self.said {
            self.stamp = self.stamp.max(segment.stamp);
        }
        self.segment = (end - start).max(LEAST_SEGMENT);
        let known = end <= self.next || self.ranges.iter().any(|&(from, to)| from <= start && end <= to);
        if known {
            self.duplicates += 1;
            self.quick = self.quick.max(QUICK);
            return Some(self.acknowledge(now, Some((start, end))));
        }
        if start > self.next {
            self.beyond.entry(start).or_insert(segment.payload);
            self.extend(start, end);
            return Some(self.acknowledge(now, None));
        }
        let fresh = (self.next - start) as usize;
        deliver(now, &segment.payload[fresh..]);
        self.next = end;
        let hole = !self.ranges.is_empty();
        self.drain(now, deliver);
        if hole || self.quick > 0 || push || self.next - self.said > self.segment {
            return Some(self.acknowledge(now, None));
        }
        self.due.get_or_insert(now + DELAYED);
        None
    }

    /// Time has passed.
    pub fn advance(&mut self, now: Micros) -> Option<Segment> {
        (self.due? <= now).then(|| self.acknowledge(now, None))
    }

    fn acknowledge(&mut self, now: Micros, duplicate: Option<(u64, u64)>) -> Segment {
        self.said = self.next;
        self.due = None;
        self.quick = self.quick.saturating_sub(1);
        let mut sacks = Sacks::default();
        if let Some((start, end)) = duplicate {
            sacks.push_duplicate(start, end);
        }
        for &(start, end) in &self.ranges {
            sacks.push(start, end);
        }
        Segment { ack: self.next, sacks, stamp: millis(now), echo: self.stamp, ..Segment::default() }
    }

    /// Delivers what is no longer beyond a hole.
    fn drain(&mut self, now: Micros, deliver: &mut dyn FnMut(Micros, &[u8])) {
        while let Some(entry) = self.beyond.first_entry() {
            let start = *entry.key();
            if start > self.next {
                break;
            }
            let payload = entry.remove();
            let fresh = ((self.next - start) as usize).min(payload.len());
            if fresh < payload.len() {
                deliver(now, &payload[fresh..]);
                self.next = start + payload.len() as u64;
            }
        }
        let next = self.next;
        self.ranges.retain(|&(_, end)| end > next);
    }

    /// Joins `start..end` with the ranges it touches, and puts the result first.
    fn extend(&mut self, mut start: u64, mut end: u64) {
        self.ranges.retain(|&(from, to)| {
            let touches = from <= end && start <= to;
            if touches {
                (start, end) = (start.min(from), end.max(to));
            }
            !touches
        });
        self.ranges.insert(0, (start, end));
    }
}

/// The timestamp option's clock.
pub fn millis(now: Micros) -> u32 {
    (now.0 / 1000) as u32
}

/// Linux' `TCP_MAX_QUICKACKS`.
const QUICK: u32 = 16;
/// Linux' `TCP_ATO_MIN`.
const DELAYED: Duration = Duration::from_millis(40);
/// Linux' `TCP_MSS_DEFAULT`: shorter segments are not taken for full ones.
const LEAST_SEGMENT: u64 = 536;
