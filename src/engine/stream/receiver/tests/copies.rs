//! Lost packets that copies bring back: once, in their place, counted as what they are, in every order of arrival.

use super::*;
use crate::engine::coding::{PCMU, REDUNDANT};
use crate::engine::wire::red::{self, Block};

const LONG: u32 = 100;
const FIRST: u16 = 65_500;
const FIRST_TIMESTAMP: u32 = u32::MAX - 2_000;

/// A sender's packets: `n` counts from its first.
#[derive(Clone, Copy)]
struct Stream {
    copies: u64,
    spacing: u64,
}

impl Stream {
    fn sound(n: u64) -> Vec<i16> {
        (0..LONG as u64).map(|i| (n * 97 + i * 3) as i16).collect()
    }

    fn header(n: u64, payload_type: u8) -> RtpHeader {
        RtpHeader {
            marker: false,
            payload_type,
            sequence: FIRST.wrapping_add(n as u16),
            timestamp: FIRST_TIMESTAMP.wrapping_add(n as u32 * LONG),
            ssrc: 5,
        }
    }

    /// With its older blocks, where it has some.
    fn packet(self, n: u64) -> Vec<u8> {
        let behind = (1..=self.copies).rev().map(|k| k * self.spacing).filter(|behind| *behind <= n);
        let blocks: Vec<(u64, Vec<u8>)> = behind.map(|behind| (behind, linear(n - behind))).collect();
        let blocks: Vec<Block> = blocks
            .iter()
            .map(|(behind, bytes)| Block { payload_type: 11, behind: (behind * LONG as u64) as u16, bytes })
            .collect();
        redundant(n, &blocks, &linear(n))
    }
}

fn linear(n: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    l16::encode(&Stream::sound(n), &mut bytes);
    bytes
}

fn redundant(n: u64, older: &[Block], newest: &[u8]) -> Vec<u8> {
    let payload_type = if older.is_empty() { 11 } else { REDUNDANT };
    let mut packet = Stream::header(n, payload_type).to_bytes().to_vec();
    if older.is_empty() {
        packet.extend_from_slice(newest);
    } else {
        red::write(older, Block { payload_type: 11, behind: 0, bytes: newest }, &mut packet);
    }
    packet
}

/// A receiver and what it delivered.
struct Ear {
    receiver: Receiver,
    heard: Vec<(Head, Vec<i16>)>,
}

impl Ear {
    fn new() -> Self {
        Self { receiver: receiver(1, Wire::Rtp, MONO).believed_at_once(), heard: Vec::new() }
    }

    fn take(&mut self, packet: &[u8], ms: u64) -> Result<Verdict, Malformed> {
        let heard = &mut self.heard;
        self.receiver.receive(packet, Micros(3_600_000_000 + ms * 1000), &mut |head, samples| {
            heard.push((head, samples.to_vec()));
        })
    }

    fn copy(&mut self, packet: &[u8], ms: u64) -> Result<Copied, Malformed> {
        let heard = &mut self.heard;
        self.receiver.receive_copy(packet, Micros(3_600_000_000 + ms * 1000), &mut |head, samples| {
            heard.push((head, samples.to_vec()));
        })
    }

    /// The numbers of what was delivered, and whether it was repaired.
    fn order(&self) -> Vec<(u64, bool)> {
        self.heard
            .iter()
            .map(|(head, _)| {
                let n = (head.sequence as u16).wrapping_sub(FIRST);
                (u64::from(n), matches!(head.origin, Origin::Repaired | Origin::Rough))
            })
            .collect()
    }

    fn lost_and_repaired(&self) -> (u64, u64) {
        let r = self.receiver.reception();
        (r.lost, r.repaired)
    }

    /// Whether each packet delivered holds its own sound in its own place, and none came twice.
    fn is_true(&self) -> bool {
        let mut seen = BTreeSet::new();
        let origin = u64::from(FIRST_TIMESTAMP);
        self.heard.iter().zip(self.order()).all(|((head, samples), (n, _))| {
            let offset = head.position.0 & 0xffff_ffff;
            let at = offset.wrapping_sub(origin) & 0xffff_ffff;
            seen.insert(n) && at == n * u64::from(LONG) && *samples == Stream::sound(n)
        })
    }
}

#[test]
fn what_is_lost_comes_with_the_next_packets() {
    let stream = Stream { copies: 2, spacing: 1 };
    let mut ear = Ear::new();
    for n in (0..60).filter(|n| ![5, 6, 20, 33, 34, 35].contains(n)) {
        ear.take(&stream.packet(n), n * 10).unwrap();
    }
    assert_eq!(ear.lost_and_repaired(), (6, 5));
    assert!(ear.is_true());
    let order = ear.order();
    let at = order.iter().position(|(n, _)| *n == 7).unwrap();
    assert_eq!(order[at - 2..=at], [(5, true), (6, true), (7, false)], "oldest first");
    assert!(!order.iter().any(|(n, _)| *n == 33), "three in a row are one too many");
    let (repaired, carrier) = (&ear.heard[at - 1].0, &ear.heard[at].0);
    assert_eq!((repaired.arrival, repaired.frames), (carrier.arrival, LONG));
}

#[test]
fn an_original_that_comes_after_its_repair_is_received_and_not_delivered_again() {
    let stream = Stream { copies: 1, spacing: 1 };
    let mut ear = Ear::new();
    for n in [0, 1, 3] {
        ear.take(&stream.packet(n), n * 10).unwrap();
    }
    assert_eq!(ear.lost_and_repaired(), (1, 1));
    assert_eq!(ear.take(&stream.packet(2), 31), Ok(Verdict::Reordered));
    assert_eq!(ear.lost_and_repaired(), (0, 0));
    assert_eq!(ear.order(), [(0, false), (1, false), (2, true), (3, false)]);
    assert_eq!(ear.receiver.reception().frames, 4 * u64::from(LONG));
}

#[test]
fn what_was_before_the_first_packet_is_not_brought() {
    let stream = Stream { copies: 2, spacing: 1 };
    let mut ear = Ear::new();
    for n in 10..14 {
        ear.take(&stream.packet(n), n * 10).unwrap();
    }
    assert_eq!((ear.heard.len(), ear.lost_and_repaired()), (4, (0, 0)));
    // Nor is anything delivered before a second packet agrees; then what is missing between them is.
    let mut ear = Ear::new();
    ear.receiver.at_once = false;
    ear.take(&stream.packet(20), 200).unwrap();
    assert!(ear.heard.is_empty());
    assert_eq!(ear.take(&stream.packet(22), 220), Ok(Verdict::Believed));
    assert_eq!(ear.order(), [(20, false), (21, true), (22, false)]);
}

#[test]
fn plain_and_redundant_packets_are_one_stream() {
    let (plain, redundant) = (Stream { copies: 0, spacing: 1 }, Stream { copies: 1, spacing: 1 });
    let mut ear = Ear::new();
    ear.receiver.at_once = false;
    for n in 0..40 {
        let stream = if n % 3 == 0 { plain } else { redundant };
        ear.take(&stream.packet(n), n * 10).unwrap();
    }
    let r = ear.receiver.reception();
    assert_eq!((r.received, r.lost, r.restarts), (40, 0, 0));
    assert!(ear.is_true() && ear.heard.len() == 40);
}

#[test]
fn what_is_no_redundant_payload_of_this_source_is_malformed_and_changes_nothing() {
    let mut ear = Ear::new();
    for n in [0, 1, 3] {
        ear.take(&Stream { copies: 0, spacing: 1 }.packet(n), n * 10).unwrap();
    }
    let before = ear.receiver.reception();
    let sound = linear(2);
    let older = |payload_type, behind| [Block { payload_type, behind, bytes: &sound }];
    let nested = redundant(4, &older(REDUNDANT, 200), &linear(4));
    assert_eq!(ear.take(&nested, 40), Err(Malformed::PayloadType));
    let whole = redundant(4, &older(11, 200), &linear(4));
    assert_eq!(ear.take(&whole[..whole.len() - 1], 40), Err(Malformed::Frames));
    assert_eq!(ear.take(&whole[..14], 40), Err(Malformed::Short));
    assert_eq!(ear.take(&redundant(4, &older(11, 200).repeat(16), &linear(4)), 40), Err(Malformed::Header));
    assert_eq!((ear.receiver.reception(), ear.heard.len()), (before, 3));
    // Older blocks that cannot be are passed over: unknown, empty, not whole, over what is there, in the future, too long ago.
    let odd = [
        Block { payload_type: 77, behind: 200, bytes: &sound },
        Block { payload_type: 11, behind: 200, bytes: &[] },
        Block { payload_type: 11, behind: 200, bytes: &sound[..3] },
        Block { payload_type: 11, behind: 250, bytes: &sound },
        Block { payload_type: 11, behind: 0, bytes: &sound },
        Block { payload_type: 11, behind: 16_000, bytes: &sound },
    ];
    ear.take(&redundant(4, &odd, &linear(4)), 40).unwrap();
    assert_eq!((ear.lost_and_repaired(), ear.heard.len()), ((1, 0), 4));
    ear.take(&redundant(5, &older(11, 300).repeat(3), &linear(5)), 50).unwrap();
    assert_eq!((ear.lost_and_repaired(), ear.heard.len()), ((1, 1), 6), "the same three times is once");
    assert!(ear.is_true());
}

#[test]
fn a_repeated_stream_repairs_and_is_counted_nowhere() {
    let plain = Stream { copies: 0, spacing: 1 };
    let mut ear = Ear::new();
    assert_eq!(ear.copy(&plain.packet(0), 0), Ok(Copied::Ignored), "nobody is believed yet");
    let mut alone = Ear::new();
    for n in 0..60 {
        if n % 5 != 3 {
            ear.take(&plain.packet(n), n * 10).unwrap();
            alone.take(&plain.packet(n), n * 10).unwrap();
        }
        if n >= 2 {
            let copied = ear.copy(&plain.packet(n - 2), n * 10 + 7).unwrap();
            assert_eq!(copied == Copied::Repaired, (n - 2) % 5 == 3);
        }
    }
    let r = ear.receiver.reception();
    assert_eq!(Reception { repaired: 0, ..r }, alone.receiver.reception());
    assert_eq!((r.lost, r.repaired), (12, 11), "the last one's copy is under way");
    assert_eq!(ear.copy(&plain.packet(58), 600), Ok(Copied::Repaired));
    assert_eq!(ear.lost_and_repaired(), (12, 12));
    assert!(ear.is_true() && ear.heard.len() == 60);
}

#[test]
fn a_copy_that_overtakes_counts_once_its_packet_is_known_to_be_lost() {
    let plain = Stream { copies: 0, spacing: 1 };
    let mut ear = Ear::new();
    ear.take(&plain.packet(0), 0).unwrap();
    ear.take(&plain.packet(1), 10).unwrap();
    assert_eq!(ear.copy(&plain.packet(3), 30), Ok(Copied::Repaired));
    assert_eq!(ear.copy(&plain.packet(2), 30), Ok(Copied::Repaired));
    assert_eq!(ear.copy(&plain.packet(2), 30), Ok(Copied::Needless));
    assert_eq!(ear.lost_and_repaired(), (0, 0));
    assert_eq!(ear.take(&plain.packet(3), 31), Ok(Verdict::Gap { last: 65_501, now: 65_503, missing: 1 }));
    assert_eq!(ear.lost_and_repaired(), (1, 1));
    assert!(ear.is_true() && ear.heard.len() == 4, "the original of 3 was not delivered again");
}

#[test]
fn a_copy_that_does_not_fit_is_refused() {
    let plain = Stream { copies: 0, spacing: 1 };
    let mut ear = Ear::new();
    for n in [0, 1, 2, 4, 5] {
        ear.take(&plain.packet(n), n * 10).unwrap();
    }
    let with = |change: fn(&mut RtpHeader), frames: u64| {
        let mut header = Stream::header(3, 11);
        change(&mut header);
        let mut packet = header.to_bytes().to_vec();
        packet.extend_from_slice(&linear(3)[..2 * frames as usize]);
        packet
    };
    for wrong in [
        with(|header| header.timestamp = header.timestamp.wrapping_add(1), 100),
        with(|header| header.timestamp = header.timestamp.wrapping_add(1 << 30), 100),
        with(|header| header.sequence = header.sequence.wrapping_add(1), 100),
        with(|header| header.sequence = header.sequence.wrapping_add(30_000), 100),
        with(|header| header.sequence = header.sequence.wrapping_sub(20_000), 100),
    ] {
        assert_eq!(ear.copy(&wrong, 50), Err(Malformed::Incoherent));
    }
    assert_eq!(ear.copy(&with(|header| header.payload_type = 10, 100), 50), Err(Malformed::PayloadType));
    assert_eq!(ear.heard.len(), 5);
    assert_eq!(ear.copy(&with(|header| header.ssrc = !5, 100), 50), Ok(Copied::Repaired));
    assert!(ear.is_true());
}

#[test]
fn a_block_of_another_coding_fills_the_missing_packets_frames_only() {
    // G.711 at 8 kHz beside L16 at 44.1 kHz: 80 frames beside 441.
    let tone = |n: u64, rate: f64| ((n as f64 / rate * 110.0 * std::f64::consts::TAU).sin() * 8_000.0) as i16;
    let mut ear = Ear::new();
    let packet = |n: u64| {
        let sound: Vec<i16> = (n * 441..n * 441 + 441).map(|i| tone(i, 44_100.0)).collect();
        let mut newest = Vec::new();
        l16::encode(&sound, &mut newest);
        let mut copy = Vec::new();
        if n > 1 {
            let low: Vec<i16> = (n * 80 - 160..n * 80 - 80).map(|i| tone(i, 8_000.0)).collect();
            crate::engine::codec::g711::encode_mu(&low, &mut copy);
        }
        let header = RtpHeader { timestamp: n as u32 * 441, ..Stream::header(n, REDUNDANT) };
        let mut packet = header.to_bytes().to_vec();
        let older = [Block { payload_type: PCMU, behind: 882, bytes: &copy }];
        red::write(
            &older[..usize::from(n > 1)],
            Block { payload_type: 11, behind: 0, bytes: &newest },
            &mut packet,
        );
        packet
    };
    for n in (0..51).filter(|n| n % 7 != 6) {
        ear.take(&packet(n), n * 10).unwrap();
    }
    assert_eq!(ear.lost_and_repaired(), (7, 7));
    for (head, samples) in ear.heard.iter().filter(|(head, _)| head.origin == Origin::Rough) {
        let start = head.position.0 & 0xffff_ffff;
        assert_eq!((samples.len(), start % 441), (441, 0));
        // G.711 knows nothing of the future: what the filter takes of it, 8 ms, is silence.
        let worst = (0..80).map(|i| (samples[i] - tone(start + i as u64, 44_100.0)).abs()).max().unwrap();
        assert!(worst < 400, "{start}: {worst}");
    }
    // The original of one that came so is better, and delivered too.
    let heard = ear.heard.len();
    ear.take(&packet(48), 505).unwrap();
    assert_eq!((ear.heard.len(), ear.heard[heard].0.origin), (heard + 1, Origin::Received));
    assert_eq!(ear.lost_and_repaired(), (6, 6));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Against a plain model: originals and copies in any order, each any number of times.
    #[test]
    fn the_counts_agree_with_sets(
        steps in prop::collection::vec((0u64..12, 0u64..40, any::<bool>(), 0u8..4), 1..120),
        copies in 0u64..4, spacing in 1u64..4,
    ) {
        let stream = Stream { copies, spacing };
        let mut ear = Ear::new();
        let (mut received, mut put, mut repaired) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (mut newest, mut total) = (40u64, 0);
        for (step, back, is_copy, kind) in steps {
            newest += if kind == 0 { step } else { step / 6 };
            let n = if kind < 2 { newest } else { newest.saturating_sub(back) };
            let ms = newest * 10;
            if is_copy {
                let copied = ear.copy(&Stream { copies: 0, spacing: 1 }.packet(n), ms).unwrap();
                let Some(&lowest) = received.first() else {
                    prop_assert_eq!(copied, Copied::Ignored);
                    continue;
                };
                let used = n > lowest && put.insert(n);
                prop_assert_eq!(copied == Copied::Repaired, used);
                if used {
                    repaired.insert(n);
                }
                continue;
            }
            ear.take(&stream.packet(n), ms).unwrap();
            total += 1;
            if !received.insert(n) {
                continue;
            }
            let lowest = *received.first().unwrap();
            for k in (1..=copies).rev() {
                if let Some(older) = n.checked_sub(k * spacing)
                    && older > lowest
                    && put.insert(older)
                {
                    repaired.insert(older);
                }
            }
            put.insert(n);
        }
        prop_assume!(!received.is_empty());
        let (lowest, highest) = (*received.first().unwrap(), *received.last().unwrap());
        let r = ear.receiver.reception();
        prop_assert_eq!(r.received, total);
        prop_assert_eq!(r.lost, highest - lowest + 1 - received.len() as u64);
        let mended = repaired.iter().filter(|n| **n < highest && !received.contains(n)).count();
        prop_assert_eq!(r.repaired, mended as u64);
        prop_assert!(r.repaired <= r.lost);
        prop_assert_eq!(ear.heard.len(), put.len());
        prop_assert!(ear.is_true());
    }

    /// Whatever the payloads and places: no panic, nothing twice, no count out of step.
    #[test]
    fn no_copies_hurt(
        steps in prop::collection::vec(
            (0u8..6, any::<u16>(), any::<u32>(), prop::collection::vec((0u8..128, 0u16..0x4000, 0usize..260), 0..6)), 1..80,
        ),
    ) {
        let mut ear = Ear::new();
        let (mut sequence, mut timestamp) = (0u16, 0u32);
        let noise: Vec<u8> = (0..300u32).map(|n| (n * n) as u8).collect();
        for (n, (kind, jump, stamp, blocks)) in steps.into_iter().enumerate() {
            sequence = sequence.wrapping_add(if kind == 0 { jump } else { 1 + u16::from(kind == 2) });
            timestamp = if kind == 1 { stamp } else { timestamp.wrapping_add(LONG) };
            let types = [11, 111, 0, 8, REDUNDANT];
            let blocks: Vec<Block> = blocks
                .iter()
                .map(|&(t, behind, length)| Block {
                    payload_type: types.get(t as usize % 8).copied().unwrap_or(t),
                    behind: if t > 64 { behind } else { behind % 5 * LONG as u16 },
                    bytes: &noise[..length],
                })
                .collect();
            let header = RtpHeader { payload_type: REDUNDANT, sequence, timestamp, ssrc: 5, marker: false };
            let mut packet = header.to_bytes().to_vec();
            red::write(&blocks, Block { payload_type: 11, behind: 0, bytes: &noise[..200] }, &mut packet);
            if kind == 5 {
                let _ = ear.copy(&packet, n as u64 * 10);
            } else {
                let _ = ear.take(&packet, n as u64 * 10);
            }
            let r = ear.receiver.reception();
            prop_assert_eq!(r.lost + r.received, r.expected + r.duplicated);
            prop_assert!(r.repaired <= r.lost);
        }
        prop_assert!(ear.heard.iter().all(|(head, samples)| head.frames as usize == samples.len()));
    }
}

/// The sender's half and the receiver's: low-rate Opus beside linear sound, at the rates that cards have.
#[cfg(feature = "opus")]
#[test]
fn opus_beside_linear_sound_fills_its_holes_in_their_place() {
    use crate::engine::config::Redundancy;
    use crate::engine::stream::repeat::Repeater;
    use crate::engine::stream::sender::Packet;

    for (rate, channels) in [(44_100, 1), (48_000, 1), (16_000, 1), (16_000, 2)] {
        let format = Format::new(rate, channels).unwrap();
        let frames = rate / 100;
        let outline = Outline::l16(Wire::Rtp, format, BlockSize::default(), None);
        let mut repeater = Repeater::new(&outline, frames as usize, 5, Redundancy::Opus, 3).unwrap().unwrap();
        let voice = |n: u64| -> Vec<i16> {
            (n * u64::from(frames)..(n + 1) * u64::from(frames))
                .flat_map(|i| {
                    let t = i as f64 / f64::from(rate);
                    let phase = std::f64::consts::TAU * (130.0 * t + 4.0 * (3.0 * t).sin());
                    let sum: f64 = (1..12).map(|k| (f64::from(k) * phase).sin() / f64::from(k)).sum();
                    vec![(4_000.0 * sum) as i16; usize::from(channels)]
                })
                .collect()
        };
        let types = PayloadTypes::new(format);
        let receiver = Receiver::new(1, Wire::Rtp, outline.encoding, &types).unwrap();
        let mut ear = Ear { receiver: receiver.believed_at_once(), heard: Vec::new() };
        for n in 0..100u64 {
            let sound = voice(n);
            let header = RtpHeader {
                payload_type: outline.payload_type,
                timestamp: n as u32 * frames,
                ..Stream::header(n, 0)
            };
            let mut bytes = header.to_bytes().to_vec();
            l16::encode(&sound, &mut bytes);
            repeater.push(&Packet { bytes: &bytes, sound: &sound, frames }, &mut |out| {
                if n < 20 || n % 9 > 1 {
                    ear.take(out.bytes, n * 10).unwrap();
                }
            });
        }
        let r = ear.receiver.reception();
        assert!(r.lost > 15 && r.lost - r.repaired <= 2, "{rate}: {r:?}");
        for (head, samples) in ear.heard.iter().filter(|(head, _)| head.origin == Origin::Rough) {
            let start = head.position.0 & 0xffff_ffff;
            let whole: Vec<i16> = (0..3).flat_map(|n| voice(start / u64::from(frames) + n - 1)).collect();
            let channels = usize::from(channels);
            let middle = whole.len() as i64 / 3;
            let alike = |lag: i64| {
                let from = (middle + lag * channels as i64) as usize;
                let real = &whole[from..from + samples.len()];
                let dot = |a: &[i16], b: &[i16]| {
                    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
                };
                dot(samples, real) / (dot(samples, samples) * dot(real, real)).sqrt()
            };
            let best = (-40..=40).max_by(|a, b| alike(*a).total_cmp(&alike(*b))).unwrap();
            // The codec itself shifts phases by a fifth of a millisecond.
            let near = best.unsigned_abs() * 3_000 <= u64::from(rate);
            assert!(near && alike(0) > 0.5 && alike(best) > 0.7, "{rate} {start}: {}, best {best}", alike(0));
        }
    }
}
