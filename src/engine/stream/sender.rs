//! One sender: sound in, packets out, numbered and stamped.
//!
//! Sound of any length goes in; packets of the right length come out as soon as they are full. After the first packets nothing
//! allocates.

use std::time::Duration;

use crate::engine::codec::l16;
use crate::engine::config::{BlockSize, Wire};
use crate::engine::format::Format;
use crate::engine::wire::classic;
use crate::engine::wire::rtp::{self, RtpHeader};

/// Packetises one stream.
pub struct Sender {
    wire: Wire,
    format: Format,
    ssrc: u32,
    sequence: u16,
    /// Of the packet that is being filled.
    timestamp: u32,
    marker: bool,
    plan: Plan,
    /// Which of the block's packets is being filled.
    part: usize,
    /// The packet that is being filled: room for its header, then payload.
    packet: Vec<u8>,
    /// Frames dropped since the packet that is being filled was begun.
    skipped: u64,
    packets: u64,
}

impl Sender {
    /// A sender of blocks of `block`. On RTP a packet lasts `ptime`, or as long as [`block`](BlockSize) and
    /// [`MAX_PACKET`] allow, and `first_sequence` and `first_timestamp` should be random (RFC 3550 §5.1). The classic wire starts at
    /// 0 and carries whole blocks; there all of that does not matter.
    pub fn new(
        wire: Wire,
        format: Format,
        block: BlockSize,
        ptime: Option<Duration>,
        ssrc: u32,
        first_sequence: u16,
        first_timestamp: u32,
    ) -> Self {
        let block = block.frames(format);
        let (plan, sequence) = match wire {
            Wire::Classic => (Plan { frames: block, packets: 1 }, 0),
            Wire::Rtp => (Plan::rtp(format, block, ptime), first_sequence),
        };
        let mut sender = Self {
            wire,
            format,
            ssrc,
            sequence,
            timestamp: first_timestamp,
            marker: true,
            plan,
            part: 0,
            packet: Vec::with_capacity(RtpHeader::LEN + plan.longest() * format.frame_bytes()),
            skipped: 0,
            packets: 0,
        };
        sender.begin();
        sender
    }

    /// Takes sound (whole frames, interleaved), and hands every packet that is full to `emit`.
    pub fn push(&mut self, mut samples: &[i16], emit: &mut dyn FnMut(&[u8])) {
        debug_assert!(samples.len().is_multiple_of(self.format.channels()), "whole frames");
        self.close_gap(emit);
        while !samples.is_empty() {
            let room = self.full_bytes() - self.packet.len();
            let (now, later) = samples.split_at(samples.len().min(room / 2));
            match self.wire {
                Wire::Rtp => l16::encode(now, &mut self.packet),
                Wire::Classic => l16::encode_le(now, &mut self.packet),
            }
            samples = later;
            if self.packet.len() == self.full_bytes() {
                self.part = (self.part + 1) % self.plan.packets;
                self.send(emit);
            }
        }
    }

    /// Sound that was captured and dropped before it came here. Timestamps go on, sequence numbers do not: the network lost nothing.
    /// The classic wire cannot say it.
    pub fn skip(&mut self, frames: usize) {
        self.skipped += frames as u64;
    }

    /// Sends what is left at the end: a shorter packet on RTP, one filled up with silence on the classic wire.
    pub fn flush(&mut self, emit: &mut dyn FnMut(&[u8])) {
        if self.filled() == 0 {
            return;
        }
        if self.wire == Wire::Classic {
            self.packet.resize(self.full_bytes(), 0);
        }
        self.part = 0;
        self.send(emit);
    }

    /// The frames of a packet; of the longest, where a block does not divide evenly.
    pub fn frames_per_packet(&self) -> usize {
        self.plan.longest()
    }

    /// The next packet's sequence number.
    pub fn next_sequence(&self) -> u16 {
        self.sequence
    }

    /// Packets sent so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// The synchronisation source; it means nothing on the classic wire.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Where dropped sound was, a packet ends and the next begins after it.
    fn close_gap(&mut self, emit: &mut dyn FnMut(&[u8])) {
        if self.skipped == 0 || self.wire == Wire::Classic {
            return;
        }
        self.flush(emit);
        self.part = 0;
        self.timestamp = self.timestamp.wrapping_add(self.skipped as u32);
        self.skipped = 0;
        self.marker = true;
    }

    fn send(&mut self, emit: &mut dyn FnMut(&[u8])) {
        let frames = self.filled() / self.format.frame_bytes();
        match self.wire {
            Wire::Classic => self.packet[..classic::HEADER].copy_from_slice(&self.sequence.to_le_bytes()),
            Wire::Rtp => {
                let header = RtpHeader {
                    marker: self.marker,
                    payload_type: rtp::payload_type(self.format),
                    sequence: self.sequence,
                    timestamp: self.timestamp,
                    ssrc: self.ssrc,
                };
                self.packet[..RtpHeader::LEN].copy_from_slice(&header.to_bytes());
            }
        }
        emit(&self.packet);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(frames as u32);
        self.marker = false;
        self.packets += 1;
        self.begin();
    }

    fn begin(&mut self) {
        self.packet.clear();
        self.packet.resize(self.header_bytes(), 0);
    }

    /// Bytes of sound in the packet that is being filled.
    fn filled(&self) -> usize {
        self.packet.len() - self.header_bytes()
    }

    fn full_bytes(&self) -> usize {
        self.header_bytes() + self.plan.part(self.part) * self.format.frame_bytes()
    }

    fn header_bytes(&self) -> usize {
        match self.wire {
            Wire::Rtp => RtpHeader::LEN,
            Wire::Classic => classic::HEADER,
        }
    }
}

/// How a block is cut into packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    frames: usize,
    packets: usize,
}

impl Plan {
    fn rtp(format: Format, block: usize, ptime: Option<Duration>) -> Self {
        let most = (MAX_PACKET - RtpHeader::LEN) / format.frame_bytes();
        if let Some(ptime) = ptime {
            return Self { frames: format.frames(ptime).clamp(1, most), packets: 1 };
        }
        let least = block.div_ceil(most);
        // Equal packets, if that does not double their number; else they differ by a frame.
        let even = (least..=2 * least).find(|&packets| block.is_multiple_of(packets));
        Self { frames: block, packets: even.unwrap_or(least) }
    }

    /// The frames of one of the block's packets.
    fn part(self, index: usize) -> usize {
        self.frames * (index + 1) / self.packets - self.frames * index / self.packets
    }

    fn longest(self) -> usize {
        self.frames.div_ceil(self.packets)
    }
}

/// An RTP packet's bytes at most: with the headers below it within the MTU of Ethernet, and of most tunnels.
pub const MAX_PACKET: usize = 1400;

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(wire: Wire, channels: u16, ms: f64, ptime: Option<Duration>) -> Sender {
        let format = Format::new(44_100, channels).unwrap();
        Sender::new(wire, format, BlockSize::from_ms(ms).unwrap(), ptime, 9, 65_535, u32::MAX - 440)
    }

    /// The lengths in bytes, and the headers, of the packets that `push` makes of blocks of silence.
    fn sent(sender: &mut Sender, samples: usize) -> Vec<(usize, RtpHeader)> {
        let mut packets = Vec::new();
        sender.push(&vec![0; samples], &mut |packet| {
            packets.push((packet.len(), rtp::parse(packet).unwrap().0));
        });
        packets
    }

    #[test]
    fn the_default_packet_is_the_originals_sound_in_rtp() {
        let mut s = sender(Wire::Rtp, 1, 10.0, None);
        let packets = sent(&mut s, 882);
        assert_eq!(packets.iter().map(|p| p.0).collect::<Vec<_>>(), [894, 894]);
        let headers: Vec<_> = packets.iter().map(|p| (p.1.marker, p.1.sequence, p.1.timestamp)).collect();
        assert_eq!(headers, [(true, 65_535, u32::MAX - 440), (false, 0, 0)]);
        assert!(packets.iter().all(|p| p.1.payload_type == 11 && p.1.ssrc == 9));
        assert_eq!((s.next_sequence(), s.packets(), s.frames_per_packet()), (1, 2, 441));
    }

    #[test]
    fn a_long_block_goes_out_as_equal_packets() {
        let lengths = |channels, ms| {
            let mut s = sender(Wire::Rtp, channels, ms, None);
            let frames = BlockSize::from_ms(ms).unwrap().frames(s.format);
            let bytes = sent(&mut s, frames * channels as usize);
            bytes.iter().map(|p| (p.0 - 12) / (2 * channels as usize)).collect::<Vec<_>>()
        };
        assert_eq!(lengths(1, 150.0), [441; 15]);
        assert_eq!(lengths(2, 10.0), [147; 3]);
        assert_eq!(lengths(2, 150.0), [315; 21]);
        assert_eq!(lengths(1, 20.0), [441; 2]);
        assert_eq!(lengths(1, 2.5), [110]);
    }

    #[test]
    fn no_rtp_packet_is_too_long_and_none_of_a_block_differs_by_more_than_a_frame() {
        for rate in [8_000, 11_025, 22_050, 44_100, 47_999, 48_000, 96_000, 191_999, 192_000] {
            for channels in [1, 2] {
                for ms in [2.5, 5.0].into_iter().chain((1..=15).map(|n| f64::from(n) * 10.0)) {
                    let format = Format::new(rate, channels).unwrap();
                    let block = BlockSize::from_ms(ms).unwrap().frames(format);
                    let plan = Plan::rtp(format, block, None);
                    let parts: Vec<usize> = (0..plan.packets).map(|i| plan.part(i)).collect();
                    assert_eq!(parts.iter().sum::<usize>(), block);
                    let (least, most) = (*parts.iter().min().unwrap(), *parts.iter().max().unwrap());
                    assert!(least > 0 && most - least <= 1 && most == plan.longest());
                    assert!(most * format.frame_bytes() + 12 <= MAX_PACKET);
                }
            }
        }
    }

    #[test]
    fn ptime_sets_the_packet_apart_from_the_block() {
        let mut s = sender(Wire::Rtp, 1, 10.0, Some(Duration::from_millis(4)));
        assert_eq!(s.frames_per_packet(), 176);
        assert_eq!(sent(&mut s, 441).len(), 2);
        assert_eq!(sent(&mut s, 441).len(), 3);
        assert_eq!(sender(Wire::Rtp, 1, 10.0, Some(Duration::from_millis(150))).frames_per_packet(), 694);
    }

    #[test]
    fn dropped_sound_moves_the_timestamp_and_not_the_sequence() {
        let mut s = sender(Wire::Rtp, 1, 10.0, None);
        sent(&mut s, 441 + 100);
        s.skip(1000);
        s.skip(1);
        let packets = sent(&mut s, 441);
        let seen: Vec<_> = packets.iter().map(|p| (p.0, p.1.marker, p.1.sequence, p.1.timestamp)).collect();
        assert_eq!(seen, [(212, false, 0, 0), (894, true, 1, 1101)]);
        s.skip(5);
        assert_eq!(sent(&mut s, 441)[0].1.timestamp, 1101 + 441 + 5);
    }

    #[test]
    fn the_classic_wire_starts_at_zero_and_fills_its_last_packet_with_silence() {
        let mut s = sender(Wire::Classic, 1, 20.0, None);
        let mut packets: Vec<Vec<u8>> = Vec::new();
        s.push(&[0x0102; 1000], &mut |packet| packets.push(packet.to_vec()));
        s.skip(5000);
        s.flush(&mut |packet| packets.push(packet.to_vec()));
        s.flush(&mut |_| unreachable!("nothing is left"));
        assert_eq!(packets.iter().map(Vec::len).collect::<Vec<_>>(), [1766, 1766]);
        assert_eq!(packets[0][..4], [0, 0, 2, 1]);
        assert_eq!(packets[1][..4], [1, 0, 2, 1]);
        assert_eq!(packets[1][2 + 118 * 2..], [0; 1764 - 118 * 2]);
    }

    #[test]
    fn the_last_rtp_packet_is_as_long_as_its_sound() {
        let mut s = sender(Wire::Rtp, 2, 10.0, None);
        let mut lengths = Vec::new();
        s.push(&[1; 2 * 200], &mut |packet| lengths.push(packet.len()));
        s.flush(&mut |packet| lengths.push(packet.len()));
        assert_eq!(lengths, [12 + 147 * 4, 12 + 53 * 4]);
    }

    #[test]
    fn packets_are_made_in_the_same_memory() {
        let mut s = sender(Wire::Rtp, 2, 150.0, None);
        let mut places = std::collections::HashSet::new();
        for _ in 0..20 {
            s.push(&[1; 1001 * 2], &mut |packet| {
                places.insert(packet.as_ptr());
            });
        }
        assert_eq!(places.len(), 1);
    }
}
