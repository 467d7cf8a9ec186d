//! A coding with a memory: holes bridged and repaired, late packets decoded in their place, silence left alone.

use super::*;
use crate::engine::codec::encoder::{Encoder, Settings};
use crate::engine::coding::{Coding, OPUS};
use crate::engine::playout::buffer::Timeline;

const PACKET: u32 = 960;

/// Opus packets as a sender would make them, of a voice-like sound.
struct Packets {
    encoder: Encoder,
    channels: usize,
    sequence: u16,
    timestamp: u32,
    at: usize,
}

impl Packets {
    fn new(channels: usize) -> Self {
        Self { encoder: encoder(channels), channels, sequence: 65_530, timestamp: u32::MAX - 5000, at: 0 }
    }

    /// The next packet, of so many frames.
    fn next(&mut self, frames: u32) -> Vec<u8> {
        let mut packet = Vec::new();
        let header = RtpHeader {
            payload_type: OPUS,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: 5,
            marker: false,
        };
        header.write(&mut packet);
        let sound: Vec<i16> =
            (self.at..self.at + frames as usize).flat_map(|n| vec![voice(n); self.channels]).collect();
        self.encoder.encode(&sound, &mut packet).unwrap();
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(frames);
        self.at += frames as usize;
        packet
    }

    fn many(&mut self, count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|_| self.next(PACKET)).collect()
    }
}

/// A receiver of Opus and all that it delivered.
struct Ear {
    receiver: Receiver,
    heard: Vec<(Head, Vec<i16>)>,
}

impl Ear {
    fn new(channels: usize) -> Self {
        let encoding = Encoding { coding: Coding::Opus, format: Format::opus(channels) };
        let types = PayloadTypes::new(Format::opus(channels));
        let receiver = Receiver::new(1, Wire::Rtp, encoding, &types).unwrap();
        Self { receiver: receiver.believed_at_once(), heard: Vec::new() }
    }

    fn take(&mut self, packet: &[u8], ms: u64) -> Result<Verdict, Malformed> {
        let heard = &mut self.heard;
        let channels = self.receiver.encoding.format.channels();
        self.receiver.receive(packet, Micros(3_600_000_000 + ms * 1000), &mut |head, samples| {
            assert_eq!(samples.len(), head.frames as usize * channels);
            heard.push((head, samples.to_vec()));
        })
    }

    fn all(channels: usize, packets: &[Vec<u8>], order: impl IntoIterator<Item = usize>) -> Self {
        let mut ear = Self::new(channels);
        for n in order {
            ear.take(&packets[n], n as u64 * 20).unwrap();
        }
        ear
    }

    fn of(&self, origin: Origin) -> Vec<&(Head, Vec<i16>)> {
        self.heard.iter().filter(|(head, _)| head.origin == origin).collect()
    }

    /// Whether what was delivered covers each frame from the first to the last once.
    fn is_seamless(&self) -> bool {
        let mut spans: Vec<(u64, u64)> =
            self.heard.iter().map(|(h, _)| (h.position.0, h.position.0 + u64::from(h.frames))).collect();
        spans.sort_unstable();
        spans.windows(2).all(|pair| pair[0].1 == pair[1].0)
    }
}

fn encoder(channels: usize) -> Encoder {
    let encoding = Encoding { coding: Coding::Opus, format: Format::opus(channels) };
    let settings = Settings { bitrate: 24_000, fec: true, loss_percent: 20, ..Settings::default() };
    Encoder::new(encoding, settings).unwrap()
}

fn voice(n: usize) -> i16 {
    let t = n as f64 / 48_000.0;
    let phase = std::f64::consts::TAU * (130.0 * t + 4.0 * (3.0 * t).sin());
    let buzz: f64 = (1..20).map(|k| (f64::from(k) * phase).sin() / f64::from(k)).sum();
    (4000.0 * buzz * (0.6 + 0.4 * (8.0 * t).sin())) as i16
}

#[test]
fn a_lost_packet_is_repaired_from_the_one_after_it() {
    let packets = Packets::new(1).many(60);
    let ear = Ear::all(1, &packets, (0..60).filter(|n| n % 7 != 5));
    let r = ear.receiver.reception();
    assert_eq!(r.lost, 8);
    assert!(r.repaired >= 4, "{} of 8", r.repaired);
    assert_eq!(r.repaired, ear.of(Origin::Repaired).len() as u64);
    assert_eq!(ear.of(Origin::Concealed).len() as u64, 8 - r.repaired);
    assert!(ear.is_seamless());
    // It is like what was lost, which silence and a foreign place are not.
    let whole = Ear::all(1, &packets, 0..60);
    for (head, samples) in ear.of(Origin::Repaired) {
        let (_, real) = &whole.heard[(head.sequence - whole.heard[0].0.sequence) as usize];
        let dot =
            |a: &[i16], b: &[i16]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let alike = dot(samples, real) / (dot(samples, samples) * dot(real, real)).sqrt();
        assert!(alike > 0.5, "{alike}");
    }
}

#[test]
fn of_a_burst_the_last_is_repaired_and_the_others_are_made_up() {
    let packets = Packets::new(2).many(40);
    let ear = Ear::all(2, &packets, (0..40).filter(|n| !(20..24).contains(n)));
    assert_eq!(ear.receiver.reception().lost, 4);
    assert!(ear.is_seamless());
    let made: Vec<u64> = ear.of(Origin::Concealed).iter().map(|(head, _)| head.sequence).collect();
    assert_eq!(made.len() as u64 + ear.receiver.reception().repaired, 4);
    assert!(made.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[test]
fn a_late_packet_is_decoded_as_if_it_had_come_in_time() {
    let packets = Packets::new(1).many(30);
    let whole = Ear::all(1, &packets, 0..30);
    let order = (0..10).chain([12, 10, 11]).chain(13..30);
    let ear = Ear::all(1, &packets, order);
    let r = ear.receiver.reception();
    assert_eq!((r.lost, r.repaired, r.reordered), (0, 0, 2));
    for n in [10, 11] {
        let real = &whole.heard[n];
        let late = ear.of(Origin::Received).into_iter().find(|(h, _)| h.sequence == real.0.sequence).unwrap();
        assert!(late.1 == real.1, "packet {n} is what it would have been");
        assert_eq!(late.0.position, real.0.position);
    }
    // The second before the first: what is between them is not known yet.
    let ear = Ear::all(1, &packets, (0..10).chain([12, 11, 10]).chain(13..30));
    let late = ear.of(Origin::Received).into_iter().find(|(h, _)| h.sequence == whole.heard[10].0.sequence);
    assert!(late.unwrap().1 == whole.heard[10].1);
    assert_eq!(ear.receiver.reception().repaired, 0);
}

#[test]
fn after_a_copy_all_is_as_if_nothing_had_been_lost() {
    let packets = Packets::new(1).many(80);
    // Copies three packets later, but for that of packet 40.
    let lost = [10, 11, 20, 22, 40, 58, 59, 63];
    let mut ear = Ear::new(1);
    for n in (0..80usize).filter(|n| !lost.contains(n)) {
        let ms = n as u64 * 20;
        ear.take(&packets[n], ms).unwrap();
        if n != 43 && n >= 3 && lost.contains(&(n - 3)) {
            let (heard, arrival) = (&mut ear.heard, Micros(3_600_000_000 + ms * 1000));
            let copied = ear.receiver.receive_copy(&packets[n - 3], arrival, &mut |head, samples| {
                heard.push((head, samples.to_vec()));
            });
            assert_eq!(copied, Ok(Copied::Repaired));
        }
    }
    assert_eq!(ear.receiver.reception().lost, 8);
    let other = Ear::all(1, &packets, (0..80).filter(|n| *n != 40));
    let sound = |ear: &Ear| {
        let mut window = Timeline::new(100 * PACKET as usize, 1);
        window.reset(ear.heard[0].0.position);
        for (head, samples) in &ear.heard {
            window.insert_from(head.origin, head.position, samples, &[]);
        }
        let mut sound = vec![0; 80 * PACKET as usize];
        assert_eq!(window.read(ear.heard[0].0.position, &mut sound), sound.len());
        sound
    };
    let differ = sound(&ear).iter().zip(sound(&other)).position(|(a, b)| *a != b);
    assert_eq!(differ.map(|frame| frame / PACKET as usize), None);
}

#[test]
fn where_only_timestamps_jump_nothing_is_lost_or_made_up() {
    let mut packets = Packets::new(1);
    let mut ear = Ear::new(1);
    let mut ms = 0;
    for n in 0..60 {
        if n % 6 == 5 {
            // 400 ms of silence that the sender does not send (DTX).
            packets.timestamp = packets.timestamp.wrapping_add(19_200);
            ms += 400;
        }
        ear.take(&packets.next(PACKET), ms).unwrap();
        ms += 20;
    }
    let r = ear.receiver.reception();
    assert_eq!((r.lost, r.repaired, r.received), (0, 0, 60));
    assert_eq!(ear.heard.len(), 60);
    assert_eq!(ear.heard[5].0.position.distance(ear.heard[4].0.position), 960 + 19_200);
    // One lost on either side of a silence is one packet's worth, and not the silence's.
    packets.next(PACKET);
    packets.timestamp = packets.timestamp.wrapping_add(19_200);
    ear.take(&packets.next(PACKET), ms + 420).unwrap();
    assert_eq!(ear.receiver.reception().lost, 1);
    let made_up: u32 =
        ear.heard.iter().filter(|(h, _)| h.origin != Origin::Received).map(|(h, _)| h.frames).sum();
    assert_eq!(made_up, PACKET);
}

#[test]
fn packets_may_change_their_length_and_channels_in_mid_stream() {
    let mut packets = Packets::new(1);
    let mut ear = Ear::new(2);
    let mut ms = 0;
    for (n, frames) in [960, 480, 120, 2880, 240, 1920, 960, 960, 2880, 120].into_iter().enumerate() {
        let channels = 1 + n % 2;
        packets.channels = channels;
        packets.encoder = encoder(channels);
        let packet = packets.next(frames);
        if n != 7 {
            ear.take(&packet, ms).unwrap();
        }
        ms += u64::from(frames) / 48;
    }
    let lengths: Vec<u32> = ear.of(Origin::Received).iter().map(|(head, _)| head.frames).collect();
    assert_eq!(lengths, [960, 480, 120, 2880, 240, 1920, 960, 2880, 120]);
    assert!(ear.is_seamless(), "the lost one has its length from the timestamps");
    assert_eq!(ear.receiver.reception().lost, 1);
}

#[test]
fn a_restart_begins_with_a_decoder_that_remembers_nothing() {
    let first = Packets::new(1).many(10);
    let mut again = Packets::new(1);
    (again.sequence, again.timestamp) = (30_000, 77);
    let second = again.many(5);
    let mut ear = Ear::all(1, &first, 0..10);
    for (n, packet) in second.iter().enumerate() {
        ear.take(packet, 1000 + n as u64 * 20).unwrap();
    }
    let fresh = Ear::all(1, &second, 0..5);
    let heard: Vec<&Vec<i16>> = ear.heard.iter().filter(|(h, _)| h.epoch == 1).map(|(_, s)| s).collect();
    assert_eq!(heard.len(), 5);
    assert!(heard.iter().zip(&fresh.heard).all(|(a, (_, b))| *a == b));
}

#[test]
fn what_was_held_is_decoded_in_order_once_it_is_believed() {
    let packets = Packets::new(1).many(6);
    let whole = Ear::all(1, &packets, 0..6);
    let mut ear = Ear::new(1);
    ear.receiver.at_once = false;
    for n in [1, 0, 2, 3, 4, 5] {
        ear.take(&packets[n], n as u64 * 20).unwrap();
    }
    assert!(
        ear.heard
            == whole
                .heard
                .iter()
                .map(|(h, s)| {
                    let arrival = ear.heard.iter().find(|(g, _)| g.sequence == h.sequence).unwrap().0.arrival;
                    (Head { arrival, ..*h }, s.clone())
                })
                .collect::<Vec<_>>()
    );
    assert_eq!(ear.receiver.reception().reordered, 1);
}

#[test]
fn a_long_outage_is_bridged_at_its_edges_only() {
    let mut packets = Packets::new(1);
    let before = packets.many(20);
    packets.many(100);
    let after = packets.next(PACKET);
    let mut ear = Ear::all(1, &before, 0..20);
    ear.take(&after, 120 * 20).unwrap();
    assert_eq!(ear.receiver.reception().lost, 100);
    let end = ear.heard[19].0.position.plus(960);
    let made: Vec<&(Head, Vec<i16>)> = ear.of(Origin::Concealed);
    assert_eq!(made[0].0.position, end);
    let frames: u32 = made.iter().map(|(h, _)| h.frames).sum();
    assert!(frames <= 2880 + 960, "{frames}");
    for (head, _) in ear.of(Origin::Repaired) {
        assert_eq!(head.position.plus(head.frames as usize), ear.heard.last().unwrap().0.position);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is sent: no panic, no more sound than packets and their holes can account for.
    #[test]
    fn no_opus_packets_hurt(
        packets in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..40), 0u8..8, any::<u16>(), any::<u32>()), 1..60,
        ),
    ) {
        let mut ear = Ear::new(2);
        let (mut sequence, mut timestamp, mut ms) = (0u16, 0u32, 0);
        for (payload, kind, jump, stamp) in packets {
            sequence = sequence.wrapping_add(match kind { 0 => jump, 1 => jump % 50, _ => 1 });
            timestamp = match kind { 0 | 2 => stamp, 1 => timestamp.wrapping_add(stamp % 400_000), _ => timestamp.wrapping_add(960) };
            ms += if kind == 3 { u64::from(jump) } else { 20 };
            let mut packet = Vec::new();
            RtpHeader { payload_type: OPUS, sequence, timestamp, ssrc: 5, marker: false }.write(&mut packet);
            packet.extend(payload);
            let before = ear.heard.len();
            let _ = ear.take(&packet, ms);
            let fresh = ear.heard[before..].iter().filter(|(h, _)| h.origin != Origin::Revised);
            let frames: u32 = fresh.map(|(h, _)| h.frames).sum();
            prop_assert!(ear.heard.len() - before <= 64);
            prop_assert!(frames <= 4 * 5_760 + 9_600 + 5_760, "{frames}");
            let r = ear.receiver.reception();
            prop_assert_eq!(r.lost + r.received, r.expected + r.duplicated);
            prop_assert!(r.repaired <= r.lost);
        }
    }
}
