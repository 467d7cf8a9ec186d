//! Packets that are under way, each until its time: bounded in number and in bytes.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::engine::time::Micros;

/// Holds packets, each with the place of its peer.
#[derive(Default)]
pub struct Line {
    heap: BinaryHeap<Waiting>,
    bytes: usize,
    order: u64,
}

/// A packet that is under way.
pub struct Waiting {
    /// When it arrives.
    pub at: Micros,
    /// Whose it is.
    pub place: usize,
    /// What it carries.
    pub packet: Box<[u8]>,
    order: u64,
}

impl Line {
    /// Keeps `packet` until `at`; false where there is no room.
    pub fn push(&mut self, at: Micros, place: usize, packet: &[u8]) -> bool {
        if self.heap.len() == MOST_PACKETS || self.bytes + packet.len() > MOST_BYTES {
            return false;
        }
        self.bytes += packet.len();
        self.heap.push(Waiting { at, place, packet: packet.into(), order: self.order });
        self.order += 1;
        true
    }

    /// The next packet that is due at `now`; what is due at one time keeps its order.
    pub fn pop(&mut self, now: Micros) -> Option<Waiting> {
        if self.next_at()? > now {
            return None;
        }
        let waiting = self.heap.pop()?;
        self.bytes -= waiting.packet.len();
        Some(waiting)
    }

    /// When the next packet is due.
    pub fn next_at(&self) -> Option<Micros> {
        self.heap.peek().map(|waiting| waiting.at)
    }
}

/// The earliest is the greatest.
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiting {}

/// Packets under way at most: three seconds of ten thousand a second.
pub const MOST_PACKETS: usize = 32_768;
/// Their bytes at most: 60 s of 4 Mbit/s.
pub const MOST_BYTES: usize = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_out_by_time_and_then_by_order() {
        let mut line = Line::default();
        for (at, place) in [(30, 2), (10, 0), (30, 3), (20, 1)] {
            assert!(line.push(Micros(at), place, &[place as u8]));
        }
        assert_eq!(line.next_at(), Some(Micros(10)));
        assert!(line.pop(Micros(9)).is_none());
        let out: Vec<_> = std::iter::from_fn(|| line.pop(Micros(30)))
            .map(|waiting| (waiting.at.0, waiting.place, waiting.packet[0]))
            .collect();
        assert_eq!(out, [(10, 0, 0), (20, 1, 1), (30, 2, 2), (30, 3, 3)]);
    }

    #[test]
    fn it_is_bounded_in_packets_and_in_bytes() {
        let mut line = Line::default();
        assert!((0..MOST_PACKETS).all(|_| line.push(Micros(1), 0, &[])));
        assert!(!line.push(Micros(1), 0, &[]));
        assert!(line.pop(Micros(1)).is_some() && line.push(Micros(1), 0, &[]));
        let mut line = Line::default();
        let long = vec![0; 1 << 16];
        assert!((0..MOST_BYTES >> 16).all(|_| line.push(Micros(1), 0, &long)));
        assert!(!line.push(Micros(1), 0, &[0]));
        assert!(line.pop(Micros(1)).is_some() && line.push(Micros(1), 0, &long));
    }
}
