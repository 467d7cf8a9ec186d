use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;
use crate::engine::codec::l16;
use crate::engine::config::BlockSize;
use crate::engine::format::Format;
use crate::engine::stream::sender::{Outline, Sender};
use crate::engine::wire::rtp::RtpHeader;

mod changes;
mod copies;
#[cfg(feature = "opus")]
mod opus;

const MONO: Format = Format::DEFAULT;
const FRAMES: u32 = 441;

fn receiver(number: u32, wire: Wire, format: Format) -> Receiver {
    Receiver::new(number, wire, Encoding::l16(format), &PayloadTypes::new(format)).unwrap()
}

/// A receiver, what it delivered, and what it refused.
struct Bench {
    receiver: Receiver,
    heads: Vec<Head>,
    first_samples: Vec<i16>,
    refused: u64,
}

impl Bench {
    fn new(wire: Wire) -> Self {
        Self { receiver: receiver(7, wire, MONO), heads: vec![], first_samples: vec![], refused: 0 }
    }

    fn bytes(&mut self, packet: &[u8], ms: u64) -> Result<Verdict, Malformed> {
        let (heads, firsts) = (&mut self.heads, &mut self.first_samples);
        let verdict =
            self.receiver.receive(packet, Micros(3_600_000_000 + ms * 1000), &mut |head, samples| {
                assert_eq!(samples.len(), head.frames as usize);
                heads.push(head);
                firsts.push(samples.first().copied().unwrap_or_default());
            });
        self.refused += self.receiver.take_refused() + u64::from(verdict.is_err());
        verdict
    }

    fn rtp(&mut self, sequence: u16, timestamp: u32, ms: u64) -> Verdict {
        self.bytes(&rtp_packet(sequence, timestamp, 1), ms).unwrap()
    }

    /// Packet `n` of a stream that sends every 10 ms.
    fn nth(&mut self, n: u16, ms: u64) -> Verdict {
        self.rtp(n, u32::from(n) * FRAMES, ms)
    }

    fn classic(&mut self, sequence: u16, ms: u64) -> Verdict {
        self.bytes(&classic_packet(sequence, 1), ms).unwrap()
    }

    fn sequences(&self) -> Vec<u16> {
        self.heads.iter().map(|head| head.sequence as u16).collect()
    }

    fn counts(&self) -> (u64, u64, u64, u64, u64) {
        let r = self.receiver.reception();
        (r.expected, r.received, r.lost, r.duplicated, r.reordered)
    }
}

fn rtp_packet(sequence: u16, timestamp: u32, blocks: usize) -> Vec<u8> {
    let header = RtpHeader { marker: false, payload_type: 11, sequence, timestamp, ssrc: 5 };
    let mut out = header.to_bytes().to_vec();
    l16::encode(&vec![sequence as i16; 441 * blocks], &mut out);
    out
}

fn classic_packet(sequence: u16, blocks: usize) -> Vec<u8> {
    let mut out = Vec::new();
    classic::write(sequence, &vec![sequence as i16; 441 * blocks], &mut out);
    out
}

#[test]
fn two_packets_are_believed_and_neither_is_lost() {
    for wire in [Wire::Rtp, Wire::Classic] {
        let mut b = Bench::new(wire);
        let mut send = |n, ms| if wire == Wire::Rtp { b.nth(n, ms) } else { b.classic(n, ms) };
        assert_eq!(send(0, 0), Verdict::Held);
        assert_eq!(send(1, 10), Verdict::Believed);
        assert_eq!(send(2, 20), Verdict::Accepted);
        assert_eq!(b.sequences(), [0, 1, 2]);
        assert_eq!(b.counts(), (3, 3, 0, 0, 0));
        assert!(b.heads.windows(2).all(|w| w[1].position.distance(w[0].position) == 441));
        assert!(b.heads.iter().all(|h| h.source == 7 && h.epoch == 0 && h.position.0 >= 1 << 32));
    }
}

#[test]
fn a_lost_or_swapped_second_packet_loses_not_the_first() {
    let mut b = Bench::new(Wire::Rtp);
    b.nth(5, 0);
    assert_eq!(b.nth(7, 20), Verdict::Believed);
    assert_eq!(b.counts(), (3, 2, 1, 0, 0));
    let mut b = Bench::new(Wire::Rtp);
    b.nth(6, 0);
    assert_eq!(b.nth(5, 1), Verdict::Believed);
    assert_eq!(b.counts(), (2, 2, 0, 0, 1));
    assert_eq!(b.heads[0].position.distance(b.heads[1].position), 441);
}

#[test]
fn a_copy_is_no_evidence_but_is_counted() {
    let mut b = Bench::new(Wire::Rtp);
    for ms in 0..9 {
        assert_eq!(b.nth(5, ms), Verdict::Held);
    }
    assert_eq!(b.receiver.held(), 9);
    assert!(!b.receiver.is_believed());
    b.nth(6, 10);
    assert_eq!(b.counts(), (2, 10, 0, 8, 0));
    assert_eq!(b.receiver.reception().bytes, 10 * 894);
    assert_eq!(b.receiver.reception().frames, 2 * 441);
    assert_eq!(b.receiver.held(), 0);
}

#[test]
fn noise_is_never_believed_and_every_packet_is_accounted_for() {
    let mut b = Bench::new(Wire::Rtp);
    for n in 0..100u32 {
        assert_eq!(b.rtp((n * 7919) as u16, n.wrapping_mul(2_654_435_761), 10 * u64::from(n)), Verdict::Held);
    }
    assert_eq!((b.receiver.held(), b.refused), (4, 96));
    assert!(b.heads.is_empty());
}

#[test]
fn over_tcp_the_first_packet_is_believed() {
    let mut b = Bench::new(Wire::Classic);
    b.receiver = receiver(1, Wire::Classic, MONO).believed_at_once();
    assert_eq!(b.classic(9, 0), Verdict::Believed);
    assert_eq!(b.classic(10, 0), Verdict::Accepted);
    assert_eq!(b.sequences(), [9, 10]);
}

#[test]
fn gaps_copies_and_late_packets_are_told_apart() {
    let mut b = Bench::new(Wire::Rtp);
    b.nth(65, 0);
    b.nth(66, 10);
    assert_eq!(b.nth(70, 50), Verdict::Gap { last: 66, now: 70, missing: 3 });
    assert_eq!(b.nth(68, 51), Verdict::Reordered);
    assert_eq!(b.nth(68, 52), Verdict::Duplicate);
    assert_eq!(b.nth(70, 53), Verdict::Duplicate);
    assert_eq!(b.counts(), (6, 6, 2, 2, 1));
    assert_eq!(b.sequences(), [65, 66, 70, 68]);
    assert_eq!(b.receiver.last_sequence(), 70);
}

#[test]
fn packets_of_any_length_lie_where_their_timestamps_say() {
    let mut b = Bench::new(Wire::Rtp);
    let mut timestamp = 4_294_967_000u32;
    for (n, bytes) in [882, 882, 882, 882, 568, 882].into_iter().enumerate() {
        let mut packet = rtp_packet(n as u16, timestamp, 1);
        packet.truncate(12 + bytes);
        b.bytes(&packet, n as u64 * 10).unwrap();
        timestamp = timestamp.wrapping_add(bytes as u32 / 2);
    }
    let lengths: Vec<i64> = b.heads.windows(2).map(|w| w[1].position.distance(w[0].position)).collect();
    assert_eq!(lengths, [441, 441, 441, 441, 284]);
    assert_eq!(b.receiver.reception().frames, 5 * 441 + 284);
}

#[test]
fn what_is_not_this_sources_sound_is_malformed() {
    let mut b = Bench::new(Wire::Rtp);
    let good = rtp_packet(1, 0, 1);
    b.bytes(&good, 0).unwrap();
    let mut other = good.clone();
    other[11] ^= 1;
    assert_eq!(b.bytes(&other, 0), Err(Malformed::Source));
    other.clone_from(&good);
    other[1] = 10;
    assert_eq!(b.bytes(&other, 0), Err(Malformed::Frames), "half a frame of stereo");
    assert_eq!(b.bytes(&good[..good.len() - 1], 0), Err(Malformed::Frames));
    assert_eq!(b.bytes(&[], 0), Err(Malformed::Short));
    let mut b = Bench::new(Wire::Classic);
    assert_eq!(b.bytes(&good, 0), Err(Malformed::Length));
}

#[test]
fn an_honest_pause_of_an_hour_is_no_new_epoch() {
    let mut b = Bench::new(Wire::Rtp);
    b.nth(0, 0);
    b.nth(1, 10);
    assert_eq!(b.rtp(2, 3600 * 44_100, 3_600_000), Verdict::Accepted);
    assert_eq!(b.heads[2].epoch, 0);
    assert_eq!(b.heads[2].position.distance(b.heads[0].position), 3600 * 44_100);
}

#[test]
fn a_jump_of_the_timestamp_needs_two_packets() {
    for jump in [1u32 << 31, 0x7fff_ffff, 44_100 * 60, 0u32.wrapping_sub(44_100 * 60)] {
        let mut b = Bench::new(Wire::Rtp);
        b.nth(0, 0);
        b.nth(1, 10);
        assert_eq!(b.rtp(2, jump, 20), Verdict::Held);
        assert_eq!(b.nth(3, 30), Verdict::Gap { last: 1, now: 3, missing: 1 });
        assert_eq!((b.refused, b.heads.len()), (1, 3));
        assert_eq!(b.rtp(4, jump, 40), Verdict::Held);
        assert_eq!(b.rtp(5, jump.wrapping_add(441), 50), Verdict::Rebased);
        assert_eq!(b.rtp(6, jump.wrapping_add(882), 60), Verdict::Accepted);
        let epochs: Vec<u32> = b.heads.iter().map(|head| head.epoch).collect();
        assert_eq!(epochs, [0, 0, 0, 1, 1, 1]);
        assert_eq!(b.counts(), (7, 6, 1, 0, 0));
        assert_eq!(b.receiver.reception().restarts, 0);
    }
}

#[test]
fn a_restart_is_believed_with_its_second_packet() {
    for wire in [Wire::Rtp, Wire::Classic] {
        let mut b = Bench::new(wire);
        for n in 0..200 {
            if wire == Wire::Rtp {
                b.nth(n, u64::from(n) * 10)
            } else {
                b.classic(n, u64::from(n) * 10)
            };
        }
        let mut send = |n: u16, ms| match wire {
            Wire::Rtp => b.rtp(n, 3_000_000_000 + u32::from(n) * 441, ms),
            Wire::Classic => b.classic(n, ms),
        };
        assert_eq!(send(0, 3000), Verdict::Held);
        assert_eq!(send(1, 3010), Verdict::Restarted);
        assert_eq!(send(2, 3020), Verdict::Accepted);
        assert_eq!(b.counts(), (203, 203, 0, 0, 0));
        assert_eq!(b.receiver.reception().restarts, 1);
        assert_eq!(b.heads[200].epoch, 1);
        assert_eq!(b.heads[201].position.distance(b.heads[200].position), 441);
        assert_eq!(b.sequences()[200..], [0, 1, 2]);
    }
}

#[test]
fn a_restart_after_a_silence_is_seen_among_known_numbers() {
    let mut b = Bench::new(Wire::Classic);
    for n in 0..50 {
        b.classic(n, u64::from(n) * 10);
    }
    assert_eq!(b.classic(0, 5000), Verdict::Held);
    assert_eq!(b.classic(1, 5010), Verdict::Restarted);
    assert_eq!(b.heads.len(), 52);
}

#[test]
fn one_odd_packet_is_no_restart() {
    for odd in [40_000u16, 20_000, 65_000] {
        let mut b = Bench::new(Wire::Rtp);
        b.nth(0, 0);
        b.nth(1, 10);
        assert_eq!(b.nth(odd, 15), Verdict::Held);
        assert_eq!(b.nth(2, 20), Verdict::Accepted);
        assert_eq!((b.refused, b.receiver.reception().restarts), (1, 0));
        assert_eq!(b.counts(), (3, 3, 0, 0, 0));
    }
}

#[test]
fn a_long_outage_is_a_gap_and_no_restart() {
    for wire in [Wire::Rtp, Wire::Classic] {
        for missing in [4000u16, 30_000, 50_000] {
            let mut b = Bench::new(wire);
            for n in 0..10 {
                if wire == Wire::Rtp {
                    b.nth(n, u64::from(n) * 10)
                } else {
                    b.classic(n, u64::from(n) * 10)
                };
            }
            let now = 10 + missing;
            let ms = u64::from(now) * 10 + 150;
            let verdict = if wire == Wire::Rtp { b.nth(now, ms) } else { b.classic(now, ms) };
            assert_eq!(verdict, Verdict::Gap { last: 9, now, missing: u64::from(missing) });
            assert_eq!(b.counts(), (u64::from(now) + 1, 11, u64::from(missing), 0, 0));
            assert_eq!(b.heads[10].position.distance(b.heads[0].position), i64::from(now) * 441);
        }
    }
}

#[test]
fn a_packet_seconds_late_is_counted_in_its_place() {
    let mut b = Bench::new(Wire::Rtp);
    for n in (0..300).filter(|&n| n != 20) {
        b.nth(n, u64::from(n) * 10);
    }
    assert_eq!(b.nth(20, 3000), Verdict::Reordered);
    assert_eq!(b.counts(), (300, 300, 0, 0, 1));
    let mut b = Bench::new(Wire::Classic);
    for n in (0..300).filter(|&n| n != 20) {
        b.classic(n, u64::from(n) * 10);
    }
    assert_eq!(b.classic(20, 3000), Verdict::Held);
    b.classic(300, 3001);
    assert_eq!(b.counts(), (301, 301, 0, 0, 1));
}

#[test]
fn a_file_sent_at_once_is_one_stream() {
    let mut b = Bench::new(Wire::Rtp);
    for n in 0..6000 {
        b.nth(n, u64::from(n) / 10);
    }
    assert_eq!(b.counts(), (6000, 6000, 0, 0, 0));
    assert!(b.heads.iter().all(|head| head.epoch == 0));
}

#[test]
fn lies_about_gaps_cannot_inflate_positions() {
    let mut b = Bench::new(Wire::Rtp);
    let (mut sequence, mut timestamp) = (0u16, 0u32);
    for n in 0..2000u64 {
        let _ = b.rtp(sequence, timestamp, n * 10);
        sequence = sequence.wrapping_add(2900);
        timestamp = timestamp.wrapping_add(9 * 44_100);
    }
    for epoch in b.heads.chunk_by(|a, b| a.epoch == b.epoch) {
        let claimed = epoch.last().unwrap().position.distance(epoch[0].position);
        let passed = epoch.last().unwrap().arrival.signed_since(epoch[0].arrival) * 441 / 10_000;
        assert!(
            claimed <= 20 * 44_100 + passed * 21 / 20 + 441 * epoch.len() as i64,
            "{claimed} in {passed}"
        );
    }
}

/// Sends `sound` in pieces, gives back the packets.
fn packetise(sender: &mut Sender, sound: &[i16], pieces: &[usize], channels: usize) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut rest = sound;
    let mut sizes = pieces.iter().cycle();
    while !rest.is_empty() {
        let (now, later) = rest.split_at((sizes.next().unwrap() * channels).min(rest.len()));
        sender.push(now, &mut |packet| packets.push(packet.to_vec()));
        rest = later;
    }
    sender.flush(&mut |packet| packets.push(packet.to_vec()));
    packets
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_sent_is_received_bit_for_bit(
        is_rtp: bool, channels in 1u16..=2, rate in prop::sample::select(vec![8_000u32, 44_100, 48_000]),
        ms in 1usize..=15, ptime in prop::option::of(1u64..40), sequence: u16, timestamp: u32,
        frames in 1000usize..20_000, pieces in prop::collection::vec(1usize..3000, 1..20),
    ) {
        let wire = if is_rtp { Wire::Rtp } else { Wire::Classic };
        let format = Format::new(rate, channels).unwrap();
        let block = BlockSize::from_ms(ms as f64 * 10.0).unwrap();
        let ptime = ptime.map(Duration::from_millis);
        let mut sender = Sender::new(&Outline::l16(wire, format, block, ptime), 99, sequence, timestamp).unwrap();
        let sound: Vec<i16> = (0..frames * channels as usize).map(|i| (i * 40_503) as i16).collect();
        let packets = packetise(&mut sender, &sound, &pieces, channels as usize);
        prop_assert_eq!(sender.packets(), packets.len() as u64);
        let mut receiver = receiver(0, wire, format).believed_at_once();
        let mut heard: Vec<i16> = Vec::new();
        let mut next: Option<Position> = None;
        for packet in &packets {
            receiver.receive(packet, Micros(0), &mut |head, samples| {
                assert!(next.is_none_or(|next| next == head.position));
                next = Some(head.position.plus(head.frames as usize));
                heard.extend(samples);
            }).unwrap();
        }
        prop_assert_eq!(&heard[..sound.len()], &sound[..]);
        prop_assert!(heard[sound.len()..].iter().all(|&s| s == 0));
        prop_assert!(is_rtp || heard.len().is_multiple_of(block.frames(format) * channels as usize));
        prop_assert!(!is_rtp || heard.len() == sound.len());
        prop_assert_eq!(receiver.reception().lost, 0);
    }

    /// A network that loses, doubles, swaps and delays, over sequence wraps, against plain maps.
    #[test]
    fn every_count_is_what_the_network_did(
        is_rtp: bool, first: u16, first_timestamp: u32,
        fates in prop::collection::vec((0u8..10, 0u64..400, 0u64..300), 10..600),
    ) {
        let wire = if is_rtp { Wire::Rtp } else { Wire::Classic };
        let mut arrivals = Vec::new();
        for (n, (fate, delay, again)) in fates.into_iter().enumerate() {
            let sent = n as u64 * 10;
            if fate > 1 {
                arrivals.push((sent + delay, n));
            }
            if fate > 7 {
                arrivals.push((sent + delay + again, n));
            }
        }
        arrivals.sort_unstable();
        let mut b = Bench::new(wire);
        let mut seen: HashMap<usize, u64> = HashMap::new();
        for &(ms, n) in &arrivals {
            let sequence = first.wrapping_add(n as u16);
            let timestamp = first_timestamp.wrapping_add(n as u32 * 441);
            let packet = if is_rtp { rtp_packet(sequence, timestamp, 1) } else { classic_packet(sequence, 1) };
            prop_assert!(b.bytes(&packet, ms).is_ok());
            *seen.entry(n).or_default() += 1;
        }
        prop_assume!(seen.len() > 1);
        prop_assert_eq!((b.refused, b.receiver.held()), (0, 0));
        let (lowest, highest) = (*seen.keys().min().unwrap(), *seen.keys().max().unwrap());
        let expected = (highest - lowest + 1) as u64;
        let received: u64 = seen.values().sum();
        let mut reordered = 0;
        let mut distinct = BTreeSet::new();
        for &(_, n) in &arrivals {
            reordered += u64::from(distinct.last().is_some_and(|&last| n < last) && !distinct.contains(&n));
            distinct.insert(n);
        }
        let r = b.receiver.reception();
        prop_assert_eq!((r.expected, r.received, r.reordered), (expected, received, reordered));
        prop_assert_eq!(r.lost, expected - seen.len() as u64);
        prop_assert_eq!(r.duplicated, received - seen.len() as u64);
        prop_assert_eq!(r.frames, seen.len() as u64 * 441);
        prop_assert_eq!(r.restarts, 0);
        prop_assert_eq!(b.heads.len(), seen.len());
        // Every packet delivered lies where it was sent, and holds what was sent.
        let origin = b.heads.iter().map(|head| head.position).min().unwrap();
        for (head, &sample) in b.heads.iter().zip(&b.first_samples) {
            let n = lowest as i64 + head.position.distance(origin) / 441;
            prop_assert_eq!(head.position.distance(origin) % 441, 0);
            prop_assert_eq!(first.wrapping_add(n as u16) as i16, sample);
        }
    }

    #[test]
    fn no_packets_hurt(
        packets in prop::collection::vec((0u8..4, any::<u16>(), any::<u32>(), 0u64..100_000), 1..200), is_rtp: bool,
    ) {
        let mut b = Bench::new(if is_rtp { Wire::Rtp } else { Wire::Classic });
        let (mut ms, mut sent, mut received) = (0, 0u64, 0);
        let (mut sequence, mut timestamp) = (0u16, 0u32);
        for (kind, jump, stamp, wait) in packets {
            ms += if kind == 0 { wait } else { 10 };
            sequence = sequence.wrapping_add(if kind == 1 { jump } else { 1 });
            timestamp = if kind == 2 { stamp } else { timestamp.wrapping_add(441) };
            let blocks = 1 + usize::from(kind == 3 && jump % 2 == 0);
            let packet = if is_rtp { rtp_packet(sequence, timestamp, blocks) } else { classic_packet(sequence, blocks) };
            let _ = b.bytes(&packet, ms);
            sent += 1;
            let r = b.receiver.reception();
            prop_assert_eq!(r.received + b.refused + b.receiver.held(), sent);
            prop_assert_eq!(r.lost + r.received, r.expected + r.duplicated);
            prop_assert!(r.received >= received);
            received = r.received;
        }
        prop_assert_eq!(b.heads.len() as u64, { let r = b.receiver.reception(); r.received - r.duplicated });
    }
}
