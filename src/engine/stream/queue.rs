//! A bounded queue of packets from one thread to another: wait-free at both ends; the reading end neither allocates nor
//! frees, and the writing end of a stocked queue neither.
//!
//! Packets travel in boxes of their own: the reader may keep one where it is, and gives it back when it is done, to be
//! written to again. So memory follows what is under way, and stays warm. A packet that does not fit is refused whole and
//! counted at the writing end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rtrb::{Consumer, Producer, RingBuffer};

use crate::engine::ahead;
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
    /// Its length in frames; zero for one that was received and holds no sound.
    pub frames: u32,
    /// What its payload was by RFC 3551, or by a description; zero on the classic wire.
    pub payload_type: u8,
    /// Of one without sound: from it on there is noise so many dB below full scale, until sound comes (RFC 3389).
    pub noise: Option<u8>,
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

/// A packet's head and samples. Shared by what waits for a place of its own in a player; whoever is the last gives it back.
#[derive(Debug, Default)]
pub struct Packet {
    /// What is known of it.
    pub head: Head,
    /// Its sound, interleaved.
    pub samples: Vec<i16>,
}

/// Makes a queue for `packets` packets that hold `samples` samples in all, those included that the reader keeps; of
/// `channels` channels.
pub fn packet_queue(packets: usize, samples: usize, channels: usize) -> (PacketWriter, PacketReader) {
    let (fresh_in, fresh_out) = RingBuffer::new(packets);
    let (spent_in, spent_out) = RingBuffer::new(packets);
    let dropped = Arc::new(AtomicU64::new(0));
    let room = Room { packets, samples };
    let spare = Spare { packets: Vec::new(), kept: SPARE, piece: None };
    (
        PacketWriter { fresh: fresh_in, spent: spent_out, spare, room, dropped },
        PacketReader { fresh: fresh_out, spent: spent_in, channels },
    )
}

/// The same for an audio thread to write to: all `packets` are made here, each with room for `piece` samples, so that the
/// writing end neither allocates nor frees either. A longer packet does not fit.
pub fn stocked_queue(packets: usize, piece: usize, channels: usize) -> (PacketWriter, PacketReader) {
    let (mut writer, reader) = packet_queue(packets, packets * piece, channels);
    let made = || Arc::new(Packet { samples: Vec::with_capacity(piece), ..Packet::default() });
    writer.spare = Spare {
        packets: std::iter::repeat_with(made).take(packets).collect(),
        kept: packets,
        piece: Some(piece),
    };
    (writer, reader)
}

/// The writing end.
pub struct PacketWriter {
    fresh: Producer<Arc<Packet>>,
    spent: Consumer<Arc<Packet>>,
    spare: Spare,
    room: Room,
    dropped: Arc<AtomicU64>,
}

/// Packets to be written to again.
struct Spare {
    packets: Vec<Arc<Packet>>,
    /// How many are kept.
    kept: usize,
    /// The samples each has room for, where none may be made while writing.
    piece: Option<usize>,
}

/// What may still be under way.
struct Room {
    packets: usize,
    samples: usize,
}

impl PacketWriter {
    /// Queues one packet; false, and counted, where it does not fit.
    pub fn push(&mut self, head: Head, samples: &[i16]) -> bool {
        if !self.fits(samples.len()) {
            self.take_back();
        }
        let pushed = self.fits(samples.len()) && {
            self.room.packets -= 1;
            self.room.samples -= samples.len();
            let packet = self.packet(head, samples);
            self.fresh.push(packet).is_ok()
        };
        if !pushed {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        // For the next one, so that it can be fetched in time.
        self.take_back();
        pushed
    }

    /// Has the processor fetch what the next packet is written to; first, what is known of that.
    pub fn fetch(&self, first: bool) {
        match self.spare.packets.last() {
            Some(packet) if first => ahead::fetch(&**packet),
            Some(packet) => ahead::fetch(&packet.samples[..]),
            None => {}
        }
    }

    /// Packets refused so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Whether the reading end is gone.
    pub fn is_abandoned(&self) -> bool {
        self.fresh.is_abandoned()
    }

    fn fits(&self, samples: usize) -> bool {
        let most = self.spare.piece.unwrap_or(self.room.samples).min(self.room.samples);
        self.room.packets > 0 && samples <= most
    }

    fn take_back(&mut self) {
        while let Ok(packet) = self.spent.pop() {
            self.room.packets += 1;
            self.room.samples += packet.samples.len();
            if self.spare.packets.len() < self.spare.kept {
                self.spare.packets.push(packet);
            }
        }
    }

    /// Used again, so that memory stays what it is while packets come and go.
    fn packet(&mut self, head: Head, samples: &[i16]) -> Arc<Packet> {
        if let Some(mut packet) = self.spare.packets.pop()
            && let Some(spare) = Arc::get_mut(&mut packet)
            && (self.spare.piece.is_some() || spare.samples.capacity() <= 2 * samples.len())
        {
            spare.head = head;
            spare.samples.clear();
            spare.samples.extend_from_slice(samples);
            return packet;
        }
        Arc::new(Packet { head, samples: samples.to_vec() })
    }
}

/// The reading end.
pub struct PacketReader {
    fresh: Consumer<Arc<Packet>>,
    spent: Producer<Arc<Packet>>,
    channels: usize,
}

impl PacketReader {
    /// Hands the oldest packet's head and samples to `take`; false where there is none.
    pub fn pop(&mut self, take: impl FnOnce(&Head, &[i16])) -> bool {
        let Some(packet) = self.take() else { return false };
        take(&packet.head, &packet.samples);
        self.give_back(packet);
        true
    }

    /// The oldest packet, to be kept for a while; it takes up room in the queue until it is given back.
    pub fn take(&mut self) -> Option<Arc<Packet>> {
        self.fresh.pop().ok()
    }

    /// One is not needed any more. Nothing is freed here: that is done at the writing end.
    pub fn give_back(&mut self, packet: Arc<Packet>) {
        let mut packet = packet;
        if Arc::get_mut(&mut packet).is_some() {
            // There is room: no more packets are under way than the ring holds.
            let _ = self.spent.push(packet);
        }
    }

    /// The oldest packet's head, left where it is.
    pub fn peek(&self) -> Option<Head> {
        self.fresh.peek().ok().map(|packet| packet.head)
    }

    /// Has the processor fetch the oldest packet's head.
    pub fn fetch(&self) {
        if let Ok(packet) = self.fresh.peek() {
            ahead::fetch(&**packet);
        }
    }

    /// Samples of a frame.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Whether nothing is waiting.
    pub fn is_empty(&self) -> bool {
        self.fresh.is_empty()
    }

    /// Whether the writing end is gone; what is queued can still be read.
    pub fn is_abandoned(&self) -> bool {
        self.fresh.is_abandoned()
    }
}

/// Packets that are kept to be written to again, where they may be made and freed.
const SPARE: usize = 1;

#[cfg(test)]
mod tests {
    use assert_no_alloc::assert_no_alloc;

    use super::*;

    fn head(frames: u32) -> Head {
        Head { frames, ..Head::default() }
    }

    #[test]
    fn packets_come_out_as_they_went_in_however_often() {
        let (mut w, mut r) = packet_queue(4, 10, 1);
        for round in 0..20i16 {
            assert!(w.push(head(7), &[round; 7]));
            let mut got: Vec<i16> = Vec::new();
            assert!(r.pop(|_, samples| got.extend(samples)));
            assert_eq!(got, [round; 7]);
        }
        assert!(!r.pop(|_, _| unreachable!()));
    }

    #[test]
    fn a_packet_that_does_not_fit_is_refused_whole_and_counted() {
        let (mut w, mut r) = packet_queue(4, 10, 1);
        assert!(w.push(head(6), &[1; 6]));
        assert!(!w.push(head(6), &[2; 6]));
        assert_eq!(w.dropped(), 1);
        assert!(r.pop(|h, a| {
            assert_eq!(h.frames, 6);
            assert_eq!(a, [1; 6]);
        }));
        assert!(r.is_empty());
    }

    #[test]
    fn a_stocked_queue_writes_to_what_it_was_made_with_however_long_it_runs() {
        let (mut w, mut r) = stocked_queue(3, 4, 1);
        assert!(!w.push(head(5), &[0; 5]) && w.dropped() == 1);
        for round in 0..20i16 {
            assert_no_alloc(|| {
                for n in 1..=3 {
                    assert!(w.push(head(n as u32), &[round; 4][..n]));
                }
                assert!(!w.push(head(1), &[0]));
                for n in 1..=3 {
                    assert!(r.pop(|_, samples| assert_eq!(samples, &[round; 4][..n])));
                }
            });
        }
        assert_eq!(w.dropped(), 21);
    }

    #[test]
    fn what_the_reader_keeps_takes_up_room_and_is_written_to_again() {
        let (mut w, mut r) = packet_queue(2, 100, 1);
        assert!(w.push(head(2), &[1, 2]) && w.push(head(2), &[3, 4]));
        let (first, second) = (r.take().unwrap(), r.take().unwrap());
        let shared = Arc::clone(&second);
        assert!(r.is_empty() && !w.push(head(1), &[5]));
        let place = Arc::as_ptr(&first);
        r.give_back(first);
        assert!(w.push(head(2), &[6, 7]));
        assert_eq!(Arc::as_ptr(r.fresh.peek().unwrap()), place, "no new memory");
        // Half of it is still in use.
        r.give_back(second);
        assert!(!w.push(head(1), &[8]));
        r.give_back(shared);
        assert!(w.push(head(1), &[8]));
    }
}
