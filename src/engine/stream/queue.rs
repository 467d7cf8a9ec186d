//! A bounded queue of packets from one thread to another: wait-free at both ends, no allocation after it is made.
//!
//! Heads and samples travel in two rings, so that packets of any length fit without waste. A packet that does not
//! fit is refused whole and counted at the writing end; the reader never sees half of one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rtrb::{Consumer, Producer, RingBuffer};

use crate::engine::time::Micros;

/// A place in a source's sound: frames since an arbitrary start, never wrapping. Extended from the RTP timestamp
/// or, on the classic wire, from the sequence number; it begins beyond 2^32, so that earlier places can be named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// `frames` further on.
    #[must_use]
    pub fn plus(self, frames: usize) -> Self {
        Self(self.0 + frames as u64)
    }

    /// Signed frames from `other` to here.
    pub fn distance(self, other: Self) -> i64 {
        self.0.wrapping_sub(other.0) as i64
    }
}

/// What is known of a packet besides its samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Which source of the session: its number counts up and is never used again.
    pub source: u32,
    /// How often the source has started anew; a new epoch's positions have nothing to do with the last one's.
    pub epoch: u32,
    /// The extended sequence number (RFC 3550 A.1).
    pub sequence: u64,
    /// Where its first frame belongs.
    pub position: Position,
    /// When the kernel received it.
    pub arrival: Micros,
    /// Its length in frames.
    pub frames: u32,
    /// How it came by its samples.
    pub origin: Origin,
}

/// How a packet came by its samples. Where two have the same place, the better one counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// It was received.
    #[default]
    Received,
    /// It was lost, and is whole again by a copy or by the codec's own redundancy.
    Repaired,
    /// It was lost, and came in another, rougher coding beside a later packet.
    Rough,
    /// It was lost, and the codec made up what belongs there.
    Concealed,
    /// It was delivered before, and is decoded anew now that what comes before it is known: takes its own place.
    Revised,
}

impl Origin {
    /// Whether the decoder made it by itself: no packet has come with it.
    pub fn is_made_up(self) -> bool {
        matches!(self, Self::Concealed | Self::Revised)
    }
}

/// Makes a queue for `packets` packets that hold `samples` samples in all, of `channels` channels.
pub fn packet_queue(packets: usize, samples: usize, channels: usize) -> (PacketWriter, PacketReader) {
    let (heads_in, heads_out) = RingBuffer::new(packets);
    let (samples_in, samples_out) = RingBuffer::new(samples);
    let dropped = Arc::new(AtomicU64::new(0));
    (
        PacketWriter { heads: heads_in, samples: samples_in, dropped },
        PacketReader { heads: heads_out, samples: samples_out, channels },
    )
}

/// The writing end.
pub struct PacketWriter {
    heads: Producer<Head>,
    samples: Producer<i16>,
    dropped: Arc<AtomicU64>,
}

impl PacketWriter {
    /// Queues one packet; false, and counted, where it does not fit.
    pub fn push(&mut self, head: Head, samples: &[i16]) -> bool {
        let fits = !self.heads.is_full() && self.samples.slots() >= samples.len();
        let pushed = fits && self.samples.push_entire_slice(samples).is_ok() && self.heads.push(head).is_ok();
        if !pushed {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        pushed
    }

    /// Packets refused so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Whether the reading end is gone.
    pub fn is_abandoned(&self) -> bool {
        self.heads.is_abandoned()
    }
}

/// The reading end.
pub struct PacketReader {
    heads: Consumer<Head>,
    samples: Consumer<i16>,
    channels: usize,
}

impl PacketReader {
    /// Hands the oldest packet's head and samples (in two runs, where the ring wraps) to `take`; false where there is none.
    pub fn pop(&mut self, take: impl FnOnce(&Head, &[i16], &[i16])) -> bool {
        let Ok(head) = self.heads.pop() else { return false };
        let count = head.frames as usize * self.channels;
        // The samples were written before the head, so they are all there.
        if let Ok(chunk) = self.samples.read_chunk(count) {
            let (first, second) = chunk.as_slices();
            take(&head, first, second);
            chunk.commit_all();
        }
        true
    }

    /// The oldest packet's head, left where it is.
    pub fn peek(&self) -> Option<Head> {
        self.heads.peek().ok().copied()
    }

    /// Whether nothing is waiting.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Whether the writing end is gone; what is queued can still be read.
    pub fn is_abandoned(&self) -> bool {
        self.heads.is_abandoned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(frames: u32) -> Head {
        Head { frames, ..Head::default() }
    }

    #[test]
    fn packets_come_out_as_they_went_in_across_the_ring_end() {
        let (mut w, mut r) = packet_queue(4, 10, 1);
        for round in 0..20i16 {
            assert!(w.push(head(7), &[round; 7]));
            let mut got: Vec<i16> = Vec::new();
            assert!(r.pop(|_, a, b| got.extend(a.iter().chain(b))));
            assert_eq!(got, [round; 7]);
        }
        assert!(!r.pop(|_, _, _| unreachable!()));
    }

    #[test]
    fn a_packet_that_does_not_fit_is_refused_whole_and_counted() {
        let (mut w, mut r) = packet_queue(4, 10, 1);
        assert!(w.push(head(6), &[1; 6]));
        assert!(!w.push(head(6), &[2; 6]));
        assert_eq!(w.dropped(), 1);
        assert!(r.pop(|h, a, _| {
            assert_eq!(h.frames, 6);
            assert_eq!(a, [1; 6]);
        }));
        assert!(r.is_empty());
    }
}
