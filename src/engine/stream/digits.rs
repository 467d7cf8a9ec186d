//! Telephone events (RFC 4733) put together from their packets: each is told once, with the whole length it had.
//!
//! The packets of one event have its beginning as their timestamp and say how long it has been so far; the last comes three times.
//! An event whose end was lost is over when another begins, or when nothing has come of it for [`OVER_AFTER`].

use std::collections::VecDeque;
use std::time::Duration;

use crate::engine::time::Micros;
use crate::engine::wire::event::{self, Event};

/// A telephone event that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digit {
    /// What was pressed, as in [`Event::code`].
    pub code: u8,
    /// How long, by its last packet.
    pub duration: Duration,
}

/// The events of one source.
#[derive(Default)]
pub struct Digits {
    pending: Option<Pending>,
    /// Where those began that were told last.
    told: VecDeque<(u8, u32)>,
    over: VecDeque<Digit>,
}

struct Pending {
    code: u8,
    /// Where it began; and the segment at hand, for one of more than 65,535 ticks (§2.5.1.3).
    begin: u32,
    segment: u32,
    /// Ticks of the segments before, and of this one.
    before: u64,
    ticks: u16,
    rate: u32,
    heard: Micros,
}

impl Digits {
    /// Takes the payload of a packet with this timestamp, of `rate` ticks a second.
    pub fn take(&mut self, payload: &[u8], timestamp: u32, rate: u32, arrival: Micros) {
        let mut begin = timestamp;
        for event in event::parse(payload) {
            self.note(event, begin, rate, arrival);
            begin = begin.wrapping_add(event.duration.into());
        }
    }

    /// Time passes.
    pub fn sweep(&mut self, now: Micros) {
        if self.pending.as_ref().is_some_and(|pending| now.since(pending.heard) >= OVER_AFTER) {
            self.end();
        }
    }

    /// The next event that is over.
    pub fn pop(&mut self) -> Option<Digit> {
        self.over.pop_front()
    }

    fn note(&mut self, event: Event, begin: u32, rate: u32, arrival: Micros) {
        if self.told.contains(&(event.code, begin)) {
            return;
        }
        match &mut self.pending {
            Some(pending) if pending.code == event.code && pending.segment == begin => {
                pending.ticks = pending.ticks.max(event.duration);
                pending.heard = arrival;
            }
            Some(pending) if pending.code == event.code && pending.goes_on_at(begin) => {
                pending.before += u64::from(pending.ticks);
                (pending.segment, pending.ticks) = (begin, event.duration);
                pending.heard = arrival;
            }
            // It came late.
            Some(pending) if (begin.wrapping_sub(pending.begin) as i32) < 0 => return,
            _ => {
                self.end();
                let (code, ticks) = (event.code, event.duration);
                self.pending =
                    Some(Pending { code, begin, segment: begin, before: 0, ticks, rate, heard: arrival });
            }
        }
        if event.end {
            self.end();
        }
    }

    fn end(&mut self) {
        let Some(pending) = self.pending.take() else { return };
        if self.told.len() == REMEMBERED {
            self.told.pop_front();
        }
        self.told.push_back((pending.code, pending.segment));
        if self.over.len() < REMEMBERED {
            let ticks = pending.before + u64::from(pending.ticks);
            let duration = Duration::from_micros(ticks * 1_000_000 / u64::from(pending.rate.max(1)));
            self.over.push_back(Digit { code: pending.code, duration });
        }
    }
}

impl Pending {
    /// Whether a segment that begins there is the next of it: this one is as long as one can be.
    fn goes_on_at(&self, begin: u32) -> bool {
        self.ticks == u16::MAX && begin == self.segment.wrapping_add(self.ticks.into())
    }
}

/// After so long without a packet an event is over.
const OVER_AFTER: Duration = Duration::from_secs(1);
/// Events that are known not to be told again, and that wait to be told.
const REMEMBERED: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn told(digits: &mut Digits) -> Vec<(u8, u64)> {
        std::iter::from_fn(|| digits.pop()).map(|d| (d.code, d.duration.as_millis() as u64)).collect()
    }

    fn payload(code: u8, end: bool, ticks: u16) -> [u8; 4] {
        let [a, b] = ticks.to_be_bytes();
        [code, u8::from(end) << 7 | 0x0a, a, b]
    }

    #[test]
    fn a_digit_is_told_once_though_its_end_comes_three_times() {
        let mut digits = Digits::default();
        let mut take =
            |at: u32, end: bool, ticks: u16| digits.take(&payload(5, end, ticks), at, 8_000, Micros::ZERO);
        (1..=4).for_each(|n| take(1_000, false, n * 160));
        (0..3).for_each(|_| take(1_000, true, 800));
        take(1_000, false, 640);
        take(3_000, true, 400);
        assert_eq!(told(&mut digits), [(5, 100), (5, 50)]);
    }

    #[test]
    fn one_whose_end_was_lost_is_told_when_another_begins_or_nothing_more_comes() {
        let mut digits = Digits::default();
        digits.take(&payload(1, false, 480), 0, 8_000, Micros::ZERO);
        assert_eq!(told(&mut digits), []);
        digits.take(&payload(2, false, 160), 4_000, 8_000, Micros(500_000));
        assert_eq!(told(&mut digits), [(1, 60)]);
        digits.take(&payload(1, true, 480), 0, 8_000, Micros(510_000));
        digits.sweep(Micros(1_400_000));
        assert_eq!(told(&mut digits), []);
        digits.sweep(Micros(1_500_000));
        assert_eq!(told(&mut digits), [(2, 20)]);
    }

    #[test]
    fn a_long_one_comes_in_segments_and_several_in_one_packet() {
        let mut digits = Digits::default();
        digits.take(&payload(16, false, u16::MAX), 100, 8_000, Micros::ZERO);
        digits.take(&payload(16, true, 8_001), 100 + u32::from(u16::MAX), 8_000, Micros::ZERO);
        assert_eq!(told(&mut digits), [(16, 9_192)]);
        let both = [payload(3, true, 800), payload(4, true, 400)].concat();
        digits.take(&both, 200_000, 8_000, Micros::ZERO);
        digits.take(&both, 200_000, 8_000, Micros::ZERO);
        assert_eq!(told(&mut digits), [(3, 100), (4, 50)]);
    }
}
