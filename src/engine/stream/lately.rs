//! Where the last packets lay: what is there already, and which number a copy's sound has.
//!
//! A copy of earlier sound says where it belongs, not which packet it was. Its neighbours tell, also where the sender was silent between
//! two packets or changed their length.

use super::queue::{Head, Position};
use crate::engine::ahead;

/// The last packets that were delivered, by their numbers.
pub struct Lately {
    /// No memory before there is one.
    ring: Option<Box<[Put; KEPT]>>,
}

/// A packet that was delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Put {
    /// Its extended sequence number; zero for none.
    pub sequence: u64,
    /// Where its first frame belongs.
    pub position: Position,
    /// Its length.
    pub frames: u32,
    /// Whether it is what was sent, by itself or by an exact copy.
    pub whole: bool,
}

impl Lately {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { ring: None }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.ring = None;
    }

    fn puts(&self) -> impl Iterator<Item = &Put> {
        self.ring.iter().flat_map(|ring| ring.iter())
    }

    /// A packet is delivered.
    pub fn note(&mut self, head: &Head, whole: bool) {
        self.ring.get_or_insert_with(|| Box::new([Put::default(); KEPT]))[slot(head.sequence)] =
            Put { sequence: head.sequence, position: head.position, frames: head.frames, whole };
    }

    /// Has the processor fetch where this number is noted.
    pub fn fetch(&self, sequence: u64) {
        if let Some(ring) = &self.ring {
            ahead::fetch(&ring[slot(sequence)]);
        }
    }

    /// What was delivered as this number.
    pub fn get(&self, sequence: u64) -> Option<&Put> {
        self.ring
            .as_ref()
            .map(|ring| &ring[slot(sequence)])
            .filter(|put| put.sequence == sequence && sequence > 0)
    }

    /// The number of the packet of `frames` frames at `at`, before the packet `near`; `None` where its sound is there, or cannot be.
    pub fn missing_at(&self, at: Position, frames: u32, near: &Head) -> Option<u64> {
        let back = near.position.distance(at);
        if frames == 0 || back < i64::from(frames) {
            return None;
        }
        let steps = (back as u64).div_ceil(u64::from(frames));
        let guess = near.sequence.checked_sub(steps)?;
        let exact = back as u64 == steps * u64::from(frames);
        if exact && self.get(guess).is_some_and(|put| put.position == at && put.whole) {
            return None;
        }
        // The nearest on either side.
        let (mut below, mut above) = (None, Put::of(near));
        for put in self.puts().filter(|put| put.sequence > 0) {
            if put.position == at && put.whole {
                return None;
            } else if put.position < at && below.is_none_or(|below: Put| below.position < put.position) {
                below = Some(*put);
            } else if put.position > at && put.position < above.position {
                above = *put;
            }
        }
        let below = below?;
        let fits = at.distance(below.end()) >= 0 && above.position.distance(at) >= i64::from(frames);
        if !fits || below.sequence + 1 >= above.sequence {
            return None;
        }
        if below.sequence < guess && guess < above.sequence {
            return Some(guess);
        }
        // The sender was silent somewhere behind it.
        let steps = (above.position.distance(at) as u64).div_ceil(u64::from(frames));
        Some(above.sequence.saturating_sub(steps).clamp(below.sequence + 1, above.sequence - 1))
    }

    /// Whether a packet of this number can lie there, between those known before and after it.
    pub fn fits(&self, head: &Head) -> bool {
        self.puts().filter(|put| put.sequence > 0).all(|put| {
            if put.sequence < head.sequence {
                head.position.distance(put.end()) >= 0
            } else {
                put.sequence > head.sequence && put.position.distance(head.position) >= i64::from(head.frames)
            }
        })
    }
}

impl Put {
    fn of(head: &Head) -> Self {
        Self { sequence: head.sequence, position: head.position, frames: head.frames, whole: true }
    }

    fn end(&self) -> Position {
        self.position.plus(self.frames as usize)
    }
}

fn slot(sequence: u64) -> usize {
    sequence as usize % KEPT
}

/// More than four copies of fifty packets' spacing reach back.
const KEPT: usize = 208;

#[cfg(test)]
mod tests {
    use super::*;

    fn head(sequence: u64, position: u64, frames: u32) -> Head {
        Head { sequence, position: Position(position), frames, ..Head::default() }
    }

    fn after(packets: &[(u64, u64)]) -> Lately {
        let mut lately = Lately::new();
        for &(sequence, position) in packets {
            lately.note(&head(sequence, position, 10), true);
        }
        lately
    }

    #[test]
    fn a_missing_packet_has_the_number_that_its_place_says() {
        let lately = after(&[(100, 1000), (101, 1010), (104, 1040)]);
        let near = head(106, 1060, 10);
        let missing = |at| lately.missing_at(Position(at), 10, &near);
        assert_eq!([missing(1020), missing(1030), missing(1050)], [Some(102), Some(103), Some(105)]);
        assert_eq!([missing(1000), missing(1010), missing(1040)], [None; 3], "there already");
        assert_eq!(
            [missing(1025), missing(1015), missing(990), missing(1055)],
            [Some(102), None, None, None]
        );
    }

    #[test]
    fn a_silence_of_the_sender_shifts_no_numbers() {
        // Seventy frames of silence: before 102, behind it, and behind 103 of two that are missing.
        let lately = after(&[(101, 1010)]);
        assert_eq!(lately.missing_at(Position(1090), 10, &head(103, 1100, 10)), Some(102));
        assert_eq!(lately.missing_at(Position(1020), 10, &head(103, 1100, 10)), Some(102));
        assert_eq!(lately.missing_at(Position(1030), 10, &head(104, 1110, 10)), Some(102));
        assert_eq!(lately.missing_at(Position(1090), 10, &head(102, 1100, 10)), None, "nothing is missing");
    }

    #[test]
    fn a_packet_fits_between_its_neighbours_only() {
        let lately = after(&[(101, 1010), (103, 1030)]);
        assert!(lately.fits(&head(102, 1020, 10)));
        assert!(!lately.fits(&head(102, 1021, 10)) && !lately.fits(&head(102, 1019, 10)));
        assert!(!lately.fits(&head(102, 1020, 11)) && !lately.fits(&head(103, 1030, 10)));
        assert!(lately.fits(&head(104, 9000, 10)) && !lately.fits(&head(104, 1039, 10)));
    }
}
