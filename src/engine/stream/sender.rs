//! One sender: sound in, packets out, numbered and stamped.
//!
//! Sound of any length goes in; packets of the right length come out as soon as they are full. After the first packets nothing
//! allocates.

use std::ops::Deref;
use std::time::Duration;

use crate::engine::codec::encoder::{Encoder, Settings};
use crate::engine::coding::{Coding, DYNAMIC, Encoding, PayloadTypes};
use crate::engine::config::{BlockSize, ClientConfig, Wire};
use crate::engine::error::Result;
use crate::engine::format::Format;
use crate::engine::wire::classic;
use crate::engine::wire::rtp::RtpHeader;

/// What a sender sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    /// The packet format.
    pub wire: Wire,
    /// What sound becomes; on the classic wire its format counts alone.
    pub encoding: Encoding,
    /// What stands for that in RTP.
    pub payload_type: u8,
    /// The block that the sound comes in.
    pub block: BlockSize,
    /// The RTP packet's length, where the block does not say it.
    pub ptime: Option<Duration>,
    /// How it is encoded.
    pub settings: Settings,
}

impl Outline {
    /// What a client of this configuration sends.
    pub fn of(config: &ClientConfig) -> Self {
        let &ClientConfig { ref audio, wire, ptime, .. } = config;
        Self {
            wire,
            encoding: config.encoding(),
            payload_type: config.payload_type(),
            block: audio.block,
            ptime,
            settings: Settings::of(config),
        }
    }

    /// Linear PCM, under the payload type that is known without an SDP.
    pub fn l16(wire: Wire, format: Format, block: BlockSize, ptime: Option<Duration>) -> Self {
        let encoding = Encoding::l16(format);
        let payload_type = PayloadTypes::new(format).type_of(encoding).unwrap_or(DYNAMIC);
        Self { wire, encoding, payload_type, block, ptime, settings: Settings::default() }
    }
}

/// A finished packet. It stands for its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// As they go over the wire.
    pub bytes: &'a [u8],
    /// What was encoded: whole frames, interleaved.
    pub sound: &'a [i16],
    /// How many frames that is.
    pub frames: u32,
}

impl Deref for Packet<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

/// Packetises one stream.
pub struct Sender {
    wire: Wire,
    encoding: Encoding,
    payload_type: u8,
    encoder: Encoder,
    ssrc: u32,
    sequence: u16,
    /// Of the packet that is being filled.
    timestamp: u32,
    marker: bool,
    plan: Plan,
    /// How later blocks are cut, from the next block on.
    next_plan: Option<Plan>,
    outline: Outline,
    /// Which of the block's packets is being filled.
    part: usize,
    /// The sound of the packet that is being filled.
    sound: Vec<i16>,
    /// The packet as it is sent.
    packet: Vec<u8>,
    /// Frames dropped since the packet that is being filled was begun.
    skipped: u64,
    /// Sound may still be in the encoder.
    owed: bool,
    packets: u64,
}

impl Sender {
    /// A sender of blocks. On RTP a packet lasts `ptime`, or as long as the block and [`MAX_PACKET`] allow; an Opus packet without
    /// `ptime` as long as the block, where Opus has that length, or 20 ms. `first_sequence` and `first_timestamp` should be random
    /// (RFC 3550 §5.1). The classic wire starts at 0 and carries whole blocks; there all of that does not matter.
    pub fn new(outline: &Outline, ssrc: u32, first_sequence: u16, first_timestamp: u32) -> Result<Self> {
        let &Outline { wire, encoding, payload_type, block, settings, .. } = outline;
        let frames = block.frames(encoding.format);
        let (plan, sequence, coding) = match wire {
            Wire::Classic => (Plan { frames, packets: 1 }, 0, Coding::L16),
            Wire::Rtp => (Plan::rtp(outline, MAX_PACKET), first_sequence, encoding.coding),
        };
        let samples = plan.longest() * encoding.format.channels();
        Ok(Self {
            wire,
            encoding,
            payload_type,
            encoder: Encoder::new(Encoding { coding, ..encoding }, settings)?,
            ssrc,
            sequence,
            timestamp: first_timestamp,
            marker: true,
            plan,
            next_plan: None,
            outline: *outline,
            part: 0,
            sound: Vec::with_capacity(samples),
            packet: Vec::with_capacity(RtpHeader::LEN + samples * 2),
            skipped: 0,
            owed: false,
            packets: 0,
        })
    }

    /// Takes sound (whole frames, interleaved), and hands every packet that is full to `emit`.
    pub fn push(&mut self, mut samples: &[i16], emit: &mut dyn FnMut(&Packet<'_>)) {
        debug_assert!(samples.len().is_multiple_of(self.encoding.format.channels()), "whole frames");
        self.close_gap(emit);
        self.owed |= !samples.is_empty();
        while !samples.is_empty() {
            let room = self.full() - self.sound.len();
            let (now, later) = samples.split_at(samples.len().min(room));
            self.sound.extend_from_slice(now);
            samples = later;
            if self.sound.len() == self.full() {
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

    /// Sends what is left at the end: a shorter packet where RTP can have one, else one filled up with silence.
    pub fn flush(&mut self, emit: &mut dyn FnMut(&Packet<'_>)) {
        if self.encoding.coding == Coding::Opus && std::mem::take(&mut self.owed) {
            // The encoder's own delay, so that the last sound comes out of it.
            self.push(&[0; 2 * OPUS_DELAY][..OPUS_DELAY * self.encoding.format.channels()], emit);
            self.owed = false;
        }
        self.end_packet(emit);
    }

    /// From the next packet on Opus is encoded so; settings that it cannot have change nothing.
    pub fn adjust(&mut self, settings: Settings) {
        let adjusted = self.encoder.adjust(settings);
        debug_assert_eq!(adjusted, Ok(()));
    }

    /// From the next block on no packet is longer than `most` bytes, where the coding lets packets be cut: Opus, and the classic
    /// wire, stay as they are.
    pub fn limit(&mut self, most: usize) {
        if self.wire == Wire::Rtp {
            let plan = Plan::rtp(&self.outline, most.min(MAX_PACKET));
            self.next_plan = Some(plan).filter(|&plan| plan != self.plan);
            self.change_plan();
        }
    }

    fn change_plan(&mut self) {
        if self.part == 0
            && self.sound.is_empty()
            && let Some(plan) = self.next_plan.take()
        {
            self.plan = plan;
        }
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
    fn close_gap(&mut self, emit: &mut dyn FnMut(&Packet<'_>)) {
        if self.skipped == 0 || self.wire == Wire::Classic {
            return;
        }
        let added = self.end_packet(emit) as u64;
        self.part = 0;
        // Silence that was added stands for the first of what was dropped.
        self.timestamp = self.timestamp.wrapping_add(self.skipped.saturating_sub(added) as u32);
        self.skipped = 0;
        self.marker = true;
    }

    /// Sends the packet that is being filled, as short as it may be. Returns the frames of silence that were added.
    fn end_packet(&mut self, emit: &mut dyn FnMut(&Packet<'_>)) -> usize {
        if self.sound.is_empty() {
            return 0;
        }
        let channels = self.encoding.format.channels();
        let before = self.sound.len();
        if self.wire == Wire::Classic {
            self.sound.resize(self.full(), 0);
        } else if self.encoding.coding == Coding::Opus {
            let frames = before / channels;
            let length = OPUS_FRAMES.into_iter().find(|&length| length >= frames);
            self.sound.resize(length.map_or(self.full(), |length| length * channels), 0);
        }
        let added = (self.sound.len() - before) / channels;
        self.part = 0;
        self.send(emit);
        added
    }

    fn send(&mut self, emit: &mut dyn FnMut(&Packet<'_>)) {
        let frames = self.sound.len() / self.encoding.format.channels();
        self.packet.clear();
        let encoded = match self.wire {
            Wire::Classic => {
                classic::write(self.sequence, &self.sound, &mut self.packet);
                Ok(())
            }
            Wire::Rtp => {
                let header = RtpHeader {
                    marker: self.marker,
                    payload_type: self.payload_type,
                    sequence: self.sequence,
                    timestamp: self.timestamp,
                    ssrc: self.ssrc,
                };
                header.write(&mut self.packet);
                self.encoder.encode(&self.sound, &mut self.packet)
            }
        };
        debug_assert_eq!(encoded, Ok(()), "the plan knows the lengths");
        self.timestamp = self.timestamp.wrapping_add(frames as u32);
        if encoded.is_err() {
            self.sound.clear();
            return;
        }
        emit(&Packet { bytes: &self.packet, sound: &self.sound, frames: frames as u32 });
        self.sound.clear();
        self.sequence = self.sequence.wrapping_add(1);
        self.marker = false;
        self.packets += 1;
        self.change_plan();
    }

    /// Samples of the packet that is being filled.
    fn full(&self) -> usize {
        self.plan.part(self.part) * self.encoding.format.channels()
    }
}

/// How a block is cut into packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    frames: usize,
    packets: usize,
}

impl Plan {
    fn rtp(outline: &Outline, longest: usize) -> Self {
        let &Outline { encoding, block, ptime, .. } = outline;
        let format = encoding.format;
        let Some(sample_bytes) = encoding.coding.sample_bytes() else {
            let length = format.frames(ptime.unwrap_or(block.duration()));
            let frames = if OPUS_FRAMES.contains(&length) { length } else { OPUS_DEFAULT };
            return Self { frames, packets: 1 };
        };
        let most = (longest.saturating_sub(RtpHeader::LEN) / (sample_bytes * format.channels())).max(1);
        if let Some(ptime) = ptime {
            return Self { frames: format.frames(ptime).clamp(1, most), packets: 1 };
        }
        let block = block.frames(format);
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

/// The lengths that an Opus packet of ours can have: 2.5, 5, 10, 20, 40 and 60 ms at 48 kHz (RFC 6716 §2.1.4).
pub const OPUS_FRAMES: [usize; 6] = [120, 240, 480, 960, 1_920, 2_880];
/// 20 ms: what Opus is made for.
const OPUS_DEFAULT: usize = 960;
/// What the encoder delays, in frames of 48 kHz.
pub const OPUS_DELAY: usize = 312;

/// An RTP packet's bytes at most: with the headers below it within the MTU of Ethernet, and of most tunnels.
pub const MAX_PACKET: usize = 1400;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::wire::rtp;

    fn sender(wire: Wire, channels: u16, ms: f64, ptime: Option<Duration>) -> Sender {
        let format = Format::new(44_100, channels).unwrap();
        let outline = Outline::l16(wire, format, BlockSize::from_ms(ms).unwrap(), ptime);
        Sender::new(&outline, 9, 65_535, u32::MAX - 440).unwrap()
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
    fn packets_follow_a_path_that_narrows_and_no_sound_is_lost() {
        let format = Format::new(48_000, 2).unwrap();
        let outline = Outline::l16(Wire::Rtp, format, BlockSize::from_ms(20.0).unwrap(), None);
        let mut s = Sender::new(&outline, 9, 100, 1000).unwrap();
        let block = 960 * 2;
        let before = sent(&mut s, block);
        assert_eq!(before.iter().map(|p| p.0).collect::<Vec<_>>(), [1292; 3]);
        // It narrows in the middle of a block: that block ends as it began.
        let mut packets = sent(&mut s, 320 * 2);
        s.limit(1252);
        packets.extend(sent(&mut s, 640 * 2));
        packets.extend(sent(&mut s, block));
        let lengths: Vec<_> = packets.iter().map(|p| p.0).collect();
        assert_eq!(lengths, [1292, 1292, 1292, 972, 972, 972, 972]);
        assert_eq!(s.frames_per_packet(), 240);
        let (mut sequence, mut timestamp) = (103, 1960);
        for (length, header) in packets {
            assert_eq!((header.sequence, header.timestamp, header.marker), (sequence, timestamp, false));
            sequence += 1;
            timestamp += (length as u32 - 12) / 4;
        }
        assert_eq!(timestamp, 1000 + 3 * 960);
        // It narrows to less than any block can be cut to, and nothing breaks.
        s.limit(0);
        assert_eq!(sent(&mut s, block).len(), 960);
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
            let frames = BlockSize::from_ms(ms).unwrap().frames(s.encoding.format);
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
                    let size = BlockSize::from_ms(ms).unwrap();
                    let outline = Outline::l16(Wire::Rtp, format, size, None);
                    let (block, plan) = (size.frames(format), Plan::rtp(&outline, MAX_PACKET));
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
    fn a_g711_packet_is_as_long_as_the_block_at_a_byte_a_sample() {
        let encoding = Encoding { coding: Coding::Pcma, format: Format::NARROW };
        for (ms, ptime, frames) in [(10.0, None, 80), (150.0, None, 1200), (10.0, Some(30), 240)] {
            let block = BlockSize::from_ms(ms).unwrap();
            let ptime = ptime.map(Duration::from_millis);
            let outline = Outline {
                encoding,
                payload_type: 8,
                ..Outline::l16(Wire::Rtp, Format::NARROW, block, ptime)
            };
            let mut s = Sender::new(&outline, 9, 0, 0).unwrap();
            let packets = sent(&mut s, 2400);
            assert_eq!(packets.len(), 2400 / frames);
            assert!(packets.iter().all(|p| p.0 == 12 + frames && p.1.payload_type == 8));
            assert_eq!(packets[1].1.timestamp, frames as u32);
        }
    }

    #[cfg(feature = "opus")]
    #[test]
    fn opus_packets_have_lengths_of_opus_and_dropped_sound_moves_their_timestamps() {
        let encoding = Encoding { coding: Coding::Opus, format: Format::opus(1) };
        let make = |ms, ptime: Option<u64>| {
            let block = BlockSize::from_ms(ms).unwrap();
            let ptime = ptime.map(Duration::from_millis);
            let outline = Outline {
                encoding,
                payload_type: 111,
                ..Outline::l16(Wire::Rtp, Format::opus(1), block, ptime)
            };
            Sender::new(&outline, 9, 0, 0).unwrap()
        };
        for (ms, ptime, frames) in [
            (2.5, None, 120),
            (5.0, None, 240),
            (10.0, None, 480),
            (20.0, None, 960),
            (30.0, None, 960),
            (40.0, None, 1920),
            (60.0, None, 2880),
            (150.0, None, 960),
            (10.0, Some(60), 2880),
            (150.0, Some(5), 240),
        ] {
            assert_eq!(make(ms, ptime).frames_per_packet(), frames, "{ms} {ptime:?}");
        }
        let mut s = make(20.0, None);
        assert_eq!(sent(&mut s, 960 + 300).len(), 1);
        s.skip(5000);
        let packets = sent(&mut s, 960);
        let seen: Vec<_> = packets.iter().map(|p| (p.1.marker, p.1.sequence, p.1.timestamp)).collect();
        // The 300 frames go out as 10 ms; the silence that filled them up is a part of what was dropped.
        assert_eq!(seen, [(false, 1, 960), (true, 2, 960 + 300 + 5000)]);
        // The end is as long as the sound and the encoder's delay.
        sent(&mut s, 100);
        let mut rest = 0;
        s.flush(&mut |_| rest += 1);
        s.flush(&mut |_| rest += 1);
        assert_eq!((rest, s.packets()), (1, 4));
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
