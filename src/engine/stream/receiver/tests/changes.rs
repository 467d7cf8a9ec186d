//! Sources that change their coding, and packets without sound.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::engine::codec::{g711, l24};
use crate::engine::coding::{COMFORT_NOISE, Coding, DYNAMIC, Payload, REDUNDANT};
use crate::engine::stream::digits::Digit;
use crate::engine::wire::red::{self, Block};

const WIDE: u8 = 97;
const EVENTS: u8 = 101;

/// A receiver of a source that begins in one coding, and its sound by place.
struct Ear {
    receiver: Receiver,
    laid: BTreeMap<u64, i16>,
    heads: Vec<Head>,
    channels: usize,
}

impl Ear {
    fn new(first: u8) -> Self {
        let types = types();
        let encoding = types.sound(first).unwrap();
        let receiver = Receiver::new(7, Wire::Rtp, encoding, &types).unwrap();
        Self { receiver, laid: BTreeMap::new(), heads: vec![], channels: encoding.format.channels() }
    }

    fn take(&mut self, packet: &[u8], ms: u64) -> Result<Verdict, Malformed> {
        let Self { receiver, laid, heads, channels } = self;
        receiver.receive(packet, Micros(1_000_000 + ms * 1_000), &mut |head, samples| {
            lay(laid, heads, *channels, head, samples);
        })
    }

    fn rest(&mut self) {
        let Self { receiver, laid, heads, channels } = self;
        receiver.rest_sound(&mut |head, samples| lay(laid, heads, *channels, head, samples));
    }

    /// Expected, received, lost, malformed ones not counted.
    fn counts(&self) -> (u64, u64, u64) {
        let r = self.receiver.reception();
        (r.expected, r.received, r.lost)
    }

    /// The sound from the first frame on, all of it there.
    fn sound(&self) -> Vec<i16> {
        let first = self.laid.keys().next().unwrap();
        assert!(self.laid.keys().zip(*first..).all(|(at, n)| *at == n), "a hole");
        self.laid.values().copied().collect()
    }
}

fn lay(laid: &mut BTreeMap<u64, i16>, heads: &mut Vec<Head>, channels: usize, head: Head, samples: &[i16]) {
    assert_eq!(samples.len(), head.frames as usize * channels);
    for (n, frame) in samples.chunks(channels).enumerate() {
        assert!(laid.insert(head.position.0 + n as u64, frame[0]).is_none(), "two sounds in one place");
    }
    heads.push(head);
}

fn types() -> PayloadTypes {
    let mut types = PayloadTypes::new(Format::NARROW);
    types.set(WIDE, Payload::Sound(Encoding::l16(Format::new(48_000, 2).unwrap())));
    types
}

fn tone(rate: u32, from: u32, frames: u32) -> Vec<i16> {
    let w = 300.0 * std::f64::consts::TAU / f64::from(rate);
    (from..from + frames).map(|n| ((f64::from(n) * w).sin() * 8_000.0) as i16).collect()
}

/// 20 ms of a tone that goes on through all codings: packet `n`.
fn payload(payload_type: u8, n: u32) -> Vec<u8> {
    let encoding = types().sound(payload_type).unwrap();
    let frames = encoding.format.rate() / 50;
    let mono = tone(encoding.format.rate(), n * frames, frames);
    let samples: Vec<i16> =
        mono.iter().flat_map(|s| std::iter::repeat_n(*s, encoding.format.channels())).collect();
    let mut out = Vec::new();
    match encoding.coding {
        Coding::L16 => l16::encode(&samples, &mut out),
        Coding::Pcmu => g711::encode_mu(&samples, &mut out),
        Coding::Pcma => g711::encode_a(&samples, &mut out),
        Coding::L24 | Coding::Opus => unreachable!(),
    }
    out
}

fn packet(payload_type: u8, sequence: u32, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let sequence = sequence as u16;
    let header = RtpHeader { marker: false, payload_type, sequence, timestamp, ssrc: 5 };
    let mut out = header.to_bytes().to_vec();
    out.extend_from_slice(payload);
    out
}

/// The worst difference from the tone at the rate of the first coding.
fn worst(sound: &[i16], rate: u32) -> f64 {
    let want = tone(rate, 0, sound.len() as u32);
    sound.iter().zip(want).map(|(a, b)| f64::from((i32::from(*a) - i32::from(b)).abs())).fold(0.0, f64::max)
}

#[test]
fn every_packet_is_decoded_by_its_own_type_and_the_stream_goes_on() {
    let mut ear = Ear::new(0);
    for n in 0..200u32 {
        // µ-law, A-law, linear, and back; one by one at last.
        let payload_type = match n {
            0..50 => 0,
            50..100 => 8,
            100..150 => DYNAMIC,
            _ => [0, 8, DYNAMIC][n as usize % 3],
        };
        let packet = packet(payload_type, 65_500 + n, n * 160, &payload(payload_type, n));
        ear.take(&packet, u64::from(n) * 20).unwrap();
    }
    assert_eq!(ear.counts(), (200, 200, 0));
    let sound = ear.sound();
    assert_eq!(sound.len(), 200 * 160);
    assert!(worst(&sound, 8_000) < 300.0, "{}", worst(&sound, 8_000));
    // What is linear is not changed by a bit.
    assert_eq!(sound[100 * 160..150 * 160], tone(8_000, 16_000, 8_000));
    assert!(ear.heads.iter().all(|head| head.epoch == 0));
    let of: Vec<u8> = [0, 49, 50, 100, 149].map(|n: usize| ear.heads[n].payload_type).into();
    assert_eq!(of, [0, 0, 8, DYNAMIC, DYNAMIC]);
}

#[test]
fn another_rate_and_more_channels_are_made_into_the_first_and_no_frame_is_missing() {
    for first in [0, 11, WIDE] {
        let mut ear = Ear::new(first);
        let rate = types().sound(first).unwrap().format.rate();
        for n in 0..120u32 {
            let payload_type = [first, 11, WIDE, 0][n as usize / 30];
            let frames = types().sound(payload_type).unwrap().format.rate() / 50;
            // Each coding's timestamps begin anywhere.
            let timestamp = n * frames + 77_777 * u32::from(payload_type != first);
            let packet = packet(payload_type, n, timestamp, &payload(payload_type, n));
            ear.take(&packet, u64::from(n) * 20).unwrap();
        }
        ear.rest();
        assert_eq!(ear.counts(), (120, 120, 0));
        let sound = ear.sound();
        assert_eq!(sound.len() as u32, 120 * rate / 50);
        // Away from the changes it is the same tone, in its place to a frame.
        let edge = rate as usize / 50;
        for part in 0..4 {
            let (from, to) = (part * 30 * edge + edge, (part + 1) * 30 * edge - edge);
            let want = tone(rate, 0, to as u32);
            let off = |n: usize| (i32::from(sound[n]) - i32::from(want[n])).abs();
            let worst = (from..to).map(off).max().unwrap();
            assert!(worst < 800, "from {first}, part {part}: {worst}");
        }
        assert!(ear.heads.iter().all(|head| head.epoch == 0));
    }
}

#[cfg(feature = "opus")]
#[test]
fn opus_takes_turns_with_others_and_makes_nothing_up_between() {
    use crate::engine::codec::{Encoder, Settings};
    use crate::engine::coding::OPUS;
    let encoding = Encoding { coding: Coding::Opus, format: Format::opus(1) };
    let mut encoder = Encoder::new(encoding, Settings::default()).unwrap();
    let mut ear = Ear::new(0);
    for n in 0..100u32 {
        let is_opus = n / 20 % 2 == 1;
        let bytes = if is_opus {
            let mut out = Vec::new();
            _ = encoder.encode(&tone(48_000, n * 960, 960), &mut out);
            packet(OPUS, n, 5 + n * 960, &out)
        } else {
            packet(0, n, n * 160, &payload(0, n))
        };
        ear.take(&bytes, u64::from(n) * 20).unwrap();
    }
    ear.rest();
    assert_eq!(ear.counts(), (100, 100, 0));
    assert_eq!(ear.sound().len(), 16_000);
    assert!(ear.heads.iter().all(|head| head.origin == Origin::Received));
}

#[test]
fn what_is_lost_or_late_at_a_change_has_its_place() {
    let mut ear = Ear::new(0);
    // Packet 9 is the last of µ-law, and late; 10 is the first of 44.1 kHz, and lost.
    for (n, ms) in [(7, 140), (8, 160), (11, 220), (9, 221), (12, 240), (13, 260)] {
        let payload_type = if n < 10 { 0 } else { 11 };
        let timestamp = n * if n < 10 { 160 } else { 882 };
        ear.take(&packet(payload_type, n, timestamp, &payload(payload_type, n)), ms).unwrap();
    }
    ear.rest();
    assert_eq!(ear.counts(), (7, 6, 1));
    let base = ear.laid.keys().next().unwrap();
    let there: Vec<u64> =
        (0..7).filter(|n| (0..160).all(|at| ear.laid.contains_key(&(base + n * 160 + at)))).collect();
    assert_eq!(there, [0, 1, 2, 4, 5, 6]);
}

#[test]
fn a_change_after_a_restart_or_a_pause_is_heard_from_its_first_packet() {
    let mut ear = Ear::new(0);
    for n in 0..10u32 {
        ear.take(&packet(0, n, n * 160, &payload(0, n)), u64::from(n) * 20).unwrap();
    }
    // After 5 s of silence, numbers going on.
    for n in 0..10u32 {
        let ms = 5_000 + u64::from(n) * 20;
        ear.take(&packet(8, 10 + n, 40_000 + n * 160, &payload(8, n)), ms).unwrap();
    }
    // After 20 s, from anywhere, at another rate.
    for n in 0..10u32 {
        let ms = 25_000 + u64::from(n) * 20;
        ear.take(&packet(11, 40_000 + n, n * 882, &payload(11, n)), ms).unwrap();
    }
    ear.rest();
    let r = ear.receiver.reception();
    assert_eq!((r.received, r.lost, r.restarts), (30, 0, 1));
    assert_eq!(ear.laid.len(), 30 * 160);
    assert_eq!(ear.receiver.encoding(), Encoding::l16(Format::DEFAULT));
}

#[test]
fn a_lost_packet_of_the_coding_before_comes_back_by_redundancy() {
    let mut ear = Ear::new(0);
    for n in (0..20u32).filter(|n| *n != 9) {
        let (own, before) = (if n < 10 { 0 } else { 8 }, if n <= 10 { 0 } else { 8 });
        let (now, older) = (payload(own, n), payload(before, n.max(1) - 1));
        let mut bytes = packet(REDUNDANT, n, n * 160, &[]);
        let block = [Block { payload_type: before, behind: 160, bytes: &older }];
        red::write(
            &block[..usize::from(n > 0)],
            Block { payload_type: own, behind: 0, bytes: &now },
            &mut bytes,
        );
        ear.take(&bytes, u64::from(n) * 20).unwrap();
    }
    let r = ear.receiver.reception();
    assert_eq!((r.received, r.lost, r.repaired), (19, 1, 1));
    assert_eq!(ear.sound().len(), 20 * 160);
    assert!(worst(&ear.sound(), 8_000) < 300.0);
}

#[test]
fn packets_without_sound_are_received_and_neither_lost_nor_malformed() {
    let mut ear = Ear::new(0);
    let mut sequence = 0;
    let mut send = |ear: &mut Ear, payload_type: u8, timestamp: u32, payload: &[u8]| {
        let ms = u64::from(timestamp) / 8;
        let verdict = ear.take(&packet(payload_type, sequence, timestamp, payload), ms);
        sequence += 1;
        assert!(verdict.is_ok(), "{payload_type}: {verdict:?}");
    };
    let speak = |n: u32| payload(0, n);
    for n in 0..10 {
        send(&mut ear, 0, n * 160, &speak(n));
    }
    // A key of 100 ms, its end told three times; all with the timestamp of its beginning.
    for (end, ticks) in [(0, 160u16), (0, 480), (0x80, 800), (0x80, 800), (0x80, 800)] {
        let [a, b] = ticks.to_be_bytes();
        send(&mut ear, EVENTS, 1_600, &[5, end | 0x0a, a, b]);
    }
    for n in 15..20 {
        send(&mut ear, 0, n * 160, &speak(n));
    }
    send(&mut ear, COMFORT_NOISE, 20 * 160, &[60]);
    send(&mut ear, 0, 25 * 160, &[]);
    send(&mut ear, 127, 26 * 160, &[1; 99]);
    for n in 40..50 {
        send(&mut ear, 0, n * 160, &speak(n));
    }
    assert_eq!(ear.counts(), (33, 33, 0));
    assert_eq!(ear.receiver.reception().frames, 25 * 160);
    assert!((ear.receiver.mean_frames() - 160.0).abs() < 1e-9);
    assert!(ear.receiver.reception().jitter_frames < 1e-9, "none of them makes any");
    let key = Digit { code: 5, duration: Duration::from_millis(100) };
    assert_eq!(ear.receiver.take_digit(Micros(2_000_000)), Some(key));
    assert_eq!(ear.receiver.take_digit(Micros(9_000_000)), None);
    let noise: Vec<Option<u8>> =
        ear.heads.iter().filter(|head| head.frames == 0).map(|head| head.noise).collect();
    assert_eq!(noise.iter().flatten().copied().collect::<Vec<_>>(), [60]);
    assert_eq!(noise.len(), 8);
}

#[test]
fn a_source_that_begins_without_sound_is_believed_and_misses_nothing() {
    let digit = [1, 10, 0, 160];
    for begins in [&[(EVENTS, &digit[..]); 3][..], &[(COMFORT_NOISE, &[50][..])], &[(0, &[][..]), (0, &[])]] {
        let mut ear = Ear::new(0);
        for (n, (payload_type, payload)) in begins.iter().enumerate() {
            let n = n as u32;
            ear.take(&packet(*payload_type, n, 0, payload), u64::from(n) * 20).unwrap();
        }
        let count = begins.len() as u32;
        for n in count..count + 5 {
            ear.take(&packet(0, n, n * 160, &payload(0, n)), u64::from(n) * 20).unwrap();
        }
        assert_eq!(ear.counts(), (u64::from(count) + 5, u64::from(count) + 5, 0));
        assert_eq!(ear.sound().len(), 5 * 160);
        assert_eq!(ear.heads.last().unwrap().epoch, 0);
    }
}

#[test]
fn padding_alone_is_no_sound_and_no_loss() {
    let mut ear = Ear::new(0);
    for n in 0..20u32 {
        let mut bytes = packet(0, n, n * 160, &payload(0, n));
        if n == 7 {
            bytes = packet(0, n, n * 160, &[0, 0, 0, 4]);
            bytes[0] |= 0x20;
        }
        ear.take(&bytes, u64::from(n) * 20).unwrap();
    }
    assert_eq!(ear.counts(), (20, 20, 0));
    assert_eq!(ear.laid.len(), 19 * 160);
}

#[test]
fn linear_sound_of_24_bits_takes_turns_with_16() {
    let mut types = types();
    let deep = Encoding { coding: Coding::L24, format: Format::NARROW };
    types.set(99, Payload::Sound(deep));
    let mut receiver = Receiver::new(1, Wire::Rtp, types.sound(DYNAMIC).unwrap(), &types).unwrap();
    let mut heard = Vec::new();
    for n in 0..10u32 {
        let payload_type = [DYNAMIC, 99][n as usize % 2];
        let sound = tone(8_000, n * 160, 160);
        let bytes: Vec<u8> = if payload_type == 99 {
            sound.iter().flat_map(|s| [s.to_be_bytes()[0], s.to_be_bytes()[1], 0]).collect()
        } else {
            payload(DYNAMIC, n)
        };
        let mut same = Vec::new();
        if payload_type == 99 {
            l24::decode(&bytes, &mut same);
            assert_eq!(same, sound);
        }
        let packet = packet(payload_type, n, n * 160, &bytes);
        receiver
            .receive(&packet, Micros(u64::from(n) * 20_000), &mut |_, samples| {
                heard.extend_from_slice(samples);
            })
            .unwrap();
    }
    assert_eq!(heard, tone(8_000, 0, 1_600));
}
