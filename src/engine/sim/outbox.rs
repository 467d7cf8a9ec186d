//! Packets on their way: a bounded queue ordered by arrival time, for a simulated path between live sockets.
//!
//! Guaranteed: no allocation after it is made; what does not fit is refused and counted; equal times keep their order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::engine::time::Micros;

/// Holds up to `packets` packets of up to `bytes` bytes, each with a tag such as its destination.
pub struct Outbox<T> {
    heap: BinaryHeap<Reverse<(Micros, u64, usize)>>,
    free: Vec<usize>,
    tags: Box<[Option<T>]>,
    lengths: Box<[usize]>,
    store: Box<[u8]>,
    bytes: usize,
    order: u64,
    dropped: u64,
}

impl<T: Copy> Outbox<T> {
    /// An empty one.
    pub fn new(packets: usize, bytes: usize) -> Self {
        Self {
            heap: BinaryHeap::with_capacity(packets),
            free: (0..packets).rev().collect(),
            tags: vec![None; packets].into(),
            lengths: vec![0; packets].into(),
            store: vec![0; packets * bytes].into(),
            bytes,
            order: 0,
            dropped: 0,
        }
    }

    /// Keeps `packet` until `at`; false, and counted, where it is too long or the box is full.
    pub fn push(&mut self, at: Micros, tag: T, packet: &[u8]) -> bool {
        let slot = if packet.len() <= self.bytes { self.free.pop() } else { None };
        let Some(slot) = slot else {
            self.dropped += 1;
            return false;
        };
        self.store[slot * self.bytes..][..packet.len()].copy_from_slice(packet);
        self.lengths[slot] = packet.len();
        self.tags[slot] = Some(tag);
        self.heap.push(Reverse((at, self.order, slot)));
        self.order += 1;
        true
    }

    /// The next packet that is due at `now`; what it borrows is valid until the next push.
    pub fn pop(&mut self, now: Micros) -> Option<(Micros, T, &[u8])> {
        if self.next_at()? > now {
            return None;
        }
        let Reverse((at, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        let tag = self.tags[slot].take()?;
        Some((at, tag, &self.store[slot * self.bytes..][..self.lengths[slot]]))
    }

    /// When the next packet is due.
    pub fn next_at(&self) -> Option<Micros> {
        self.heap.peek().map(|&Reverse((at, ..))| at)
    }

    /// Packets inside.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing is inside.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Packets refused so far.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_out_by_time_and_then_by_order() {
        let mut b = Outbox::new(4, 8);
        for (at, tag) in [(30, 'c'), (10, 'a'), (30, 'd'), (20, 'b')] {
            assert!(b.push(Micros(at), tag, &[tag as u8; 3]));
        }
        assert!(b.pop(Micros(9)).is_none());
        let mut got = Vec::new();
        while let Some((at, tag, bytes)) = b.pop(Micros(30)) {
            assert_eq!(bytes, [tag as u8; 3]);
            got.push((at.0, tag));
        }
        assert_eq!(got, [(10, 'a'), (20, 'b'), (30, 'c'), (30, 'd')]);
    }

    #[test]
    fn a_full_box_refuses_and_counts() {
        let mut b = Outbox::new(2, 4);
        assert!(!b.push(Micros(1), (), &[0; 5]));
        assert!(b.push(Micros(1), (), &[0; 4]));
        assert!(b.push(Micros(1), (), &[]));
        assert!(!b.push(Micros(1), (), &[0; 1]));
        assert_eq!((b.dropped(), b.len()), (2, 2));
        assert!(b.pop(Micros(1)).is_some());
        assert!(b.push(Micros(0), (), &[0; 1]));
    }
}
