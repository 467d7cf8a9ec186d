use proptest::prelude::*;

use super::*;
use crate::engine::coding::PayloadTypes;

const MONO: Format = Format::DEFAULT;

fn ten() -> BlockSize {
    BlockSize::from_ms(10.0).unwrap()
}

/// Pushes in pieces, and gives all packets and the mishaps.
fn take(
    deframer: &mut Deframer,
    bytes: &[u8],
    mut piece: impl FnMut() -> usize,
) -> (Vec<Vec<u8>>, Vec<Malformed>) {
    let (mut packets, mut wrong) = (Vec::new(), Vec::new());
    let mut drain = |deframer: &mut Deframer| {
        while let Some(next) = deframer.next() {
            match next {
                Ok(packet) => packets.push(packet.bytes().to_vec()),
                Err(why) => wrong.push(why),
            }
        }
        assert!(deframer.rest().len() <= deframer.limit());
    };
    let mut rest = bytes;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(piece().clamp(1, rest.len()));
        deframer.push(now);
        drain(deframer);
        rest = later;
    }
    deframer.finish();
    drain(deframer);
    (packets, wrong)
}

fn classic_packets(first: u16, count: u16, chunks: usize, sample: impl Fn(usize) -> i16) -> Vec<Vec<u8>> {
    let mut n = 0;
    (0..count)
        .map(|i| {
            let samples: Vec<i16> = (0..441 * chunks)
                .map(|_| {
                    n += 1;
                    sample(n)
                })
                .collect();
            let mut out = Vec::new();
            classic::write(first.wrapping_add(i), &samples, &mut out);
            out
        })
        .collect()
}

fn rtp_packets(first: u16, count: u16, bytes: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|i| {
            let sequence = first.wrapping_add(i);
            let header = rtp::RtpHeader { sequence, payload_type: 11, ssrc: 77, ..rtp::RtpHeader::default() };
            let mut out = header.to_bytes().to_vec();
            out.resize(12 + bytes, i as u8);
            out
        })
        .collect()
}

#[test]
fn a_stream_of_frames_may_begin_without_sound() {
    let types = PayloadTypes::new(MONO);
    let other = |payload_type: u8, payload: &[u8]| {
        let header = rtp::RtpHeader { sequence: 9, payload_type, ssrc: 77, ..rtp::RtpHeader::default() };
        [&header.to_bytes()[..], payload].concat()
    };
    for first in [other(101, &[1, 10, 0, 80]), other(13, &[50]), other(0, &[]), other(127, &[0; 60])] {
        let mut packets = vec![first];
        packets.extend(rtp_packets(10, 3, 882));
        let mut deframer = Deframer::new(None, types.clone(), MONO, ten());
        let mut piece = 0;
        let (got, wrong) = take(&mut deframer, &framed(&packets), || {
            piece += 1;
            1 + piece % 7
        });
        assert_eq!((got, wrong), (packets, vec![]));
        assert_eq!(deframer.wire(), Some(Wire::Rtp));
    }
}

fn framed(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for packet in packets {
        write_frame(packet, &mut out);
    }
    out
}

fn noise(n: usize) -> i16 {
    ((n as u32).wrapping_mul(2_654_435_761) >> 16) as i16
}

/// The least significant bits of a quiet microphone.
fn hiss(n: usize) -> i16 {
    noise(n) >> 14
}

#[test]
fn every_classic_size_is_found_whatever_the_sound_and_the_hint() {
    for chunks in 1..=15 {
        for (name, sample) in [("noise", noise as fn(usize) -> i16), ("hiss", hiss), ("silence", |_| 0)] {
            for (first, hint) in [(0, 10.0), (0, 150.0), (65_534, 10.0), (1000, 40.0)] {
                let packets = classic_packets(first, 40, chunks, sample);
                let mut deframer =
                    Deframer::new(None, PayloadTypes::new(MONO), MONO, BlockSize::from_ms(hint).unwrap());
                let (got, wrong) = take(&mut deframer, &packets.concat(), || 4000);
                assert_eq!(wrong, [], "{name} {chunks} from {first}");
                assert!(got == packets, "{name} {chunks} from {first}");
                assert_eq!(deframer.wire(), Some(Wire::Classic));
            }
        }
    }
}

#[test]
fn the_configured_size_is_known_after_a_few_packets() {
    let packets = classic_packets(0, 5, 1, |_| 0);
    let mut deframer = Deframer::new(None, PayloadTypes::new(MONO), MONO, ten());
    deframer.push(&packets.concat());
    assert!(deframer.next().is_some());
}

#[test]
fn one_packet_and_a_close_are_enough() {
    for chunks in [1, 4, 15] {
        let packets = classic_packets(0, 1, chunks, noise);
        let mut deframer = Deframer::new(None, PayloadTypes::new(MONO), MONO, ten());
        assert_eq!(take(&mut deframer, &packets.concat(), || 100), (packets, vec![]));
    }
    let packets = rtp_packets(9, 1, 882);
    let mut deframer = Deframer::new(None, PayloadTypes::new(MONO), MONO, ten());
    assert_eq!(take(&mut deframer, &framed(&packets), || 100), (packets, vec![]));
    assert_eq!(deframer.wire(), Some(Wire::Rtp));
}

#[test]
fn frames_are_known_by_their_second_header() {
    let packets = rtp_packets(65_535, 2, 882);
    let bytes = framed(&packets);
    let mut deframer = Deframer::new(None, PayloadTypes::new(MONO), MONO, ten());
    deframer.push(&bytes[..896 + 13]);
    assert!(deframer.next().is_none());
    deframer.push(&bytes[896 + 13..896 + 14]);
    assert_eq!(deframer.next(), Some(Ok(Packet::Rtp(&packets[0]))));
    assert_eq!(deframer.next(), None);
    assert_eq!(deframer.wire(), Some(Wire::Rtp));
}

#[test]
fn control_packets_do_not_hide_the_sound() {
    let mut packets = rtp_packets(1, 3, 100);
    packets.insert(1, vec![0x80, 200, 0, 1, 0, 0, 0, 77]);
    packets.insert(0, vec![0x80, 200, 0, 1, 0, 0, 0, 77]);
    let mut deframer = Deframer::new(None, PayloadTypes::new(MONO), MONO, ten());
    assert_eq!(take(&mut deframer, &framed(&packets), || 7), (packets, vec![]));
}

#[test]
fn a_frame_too_long_for_sound_ends_the_connection() {
    let packets = rtp_packets(1, 3, 100);
    let bytes = [framed(&packets), vec![0xff, 0xff, 1, 2, 3], framed(&packets)].concat();
    let mut deframer = Deframer::new(Some(Wire::Rtp), PayloadTypes::new(MONO), MONO, ten());
    assert_eq!(take(&mut deframer, &bytes, || 50), (packets, vec![Malformed::FrameLength]));
    assert!(deframer.is_hopeless());
}

#[test]
fn null_packets_are_passed_over() {
    let packets = rtp_packets(1, 2, 100);
    let bytes = [framed(&packets[..1]), vec![0, 0], framed(&packets[1..])].concat();
    let mut deframer = Deframer::new(Some(Wire::Rtp), PayloadTypes::new(MONO), MONO, ten());
    assert_eq!(take(&mut deframer, &bytes, || 50), (packets, vec![]));
}

#[test]
fn a_run_of_frames_that_are_no_rtp_is_hopeless() {
    let junk = framed(&vec![vec![7; 40]; 20]);
    let mut deframer = Deframer::new(Some(Wire::Rtp), PayloadTypes::new(MONO), MONO, ten());
    let (packets, _) = take(&mut deframer, &junk, || 50);
    assert_eq!(packets.len(), 8, "each is counted by its receiver");
    assert!(deframer.is_hopeless());
}

#[test]
fn a_request_for_a_web_page_is_neither() {
    let mut deframer = Deframer::new(None, PayloadTypes::new(MONO), MONO, ten());
    let bytes = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(take(&mut deframer, bytes, || 10), (vec![], vec![Malformed::Unrecognised]));
    assert!(deframer.is_hopeless());
}

#[test]
fn lost_synchrony_is_found_again_and_counted() {
    for first in [0, 700] {
        let packets = classic_packets(first, 60, 2, hiss);
        let mut bytes = packets.concat();
        bytes.drain(20_000..20_123);
        let mut deframer = Deframer::new(Some(Wire::Classic), PayloadTypes::new(MONO), MONO, ten());
        let (got, wrong) = take(&mut deframer, &bytes, || 1500);
        assert_eq!(wrong, [Malformed::LostSync]);
        let whole = 20_000 / 1766;
        assert!(got[..whole] == packets[..whole]);
        // The packet that was cut took the next one's head for its own tail.
        assert!(got[whole + 1..] == packets[whole + 2..], "from {first}: {} packets", got.len());
    }
}

#[test]
fn a_last_packet_cut_short_is_malformed() {
    let packets = classic_packets(0, 20, 1, noise);
    let bytes = packets.concat();
    let mut deframer = Deframer::new(None, PayloadTypes::new(MONO), MONO, ten());
    let (got, wrong) = take(&mut deframer, &bytes[..bytes.len() - 2], || 5000);
    assert!(got == packets[..19]);
    assert_eq!(wrong, [Malformed::Truncated]);
}

#[test]
fn endless_nonsense_is_given_up_in_bounded_memory() {
    let junk: Vec<u8> = (0..600_000).map(|n| noise(n) as u8).collect();
    let mut deframer = Deframer::new(None, PayloadTypes::new(MONO), MONO, ten());
    let (packets, wrong) = take(&mut deframer, &junk, || 60_000);
    assert_eq!((packets.len(), wrong.len()), (0, 1));
    assert!(deframer.is_hopeless());
    let good = classic_packets(0, 20, 1, noise).concat();
    let mut deframer = Deframer::new(Some(Wire::Classic), PayloadTypes::new(MONO), MONO, ten());
    let (packets, wrong) = take(&mut deframer, &[good, junk].concat(), || 60_000);
    assert_eq!(packets.len(), 20);
    assert_eq!(wrong, [Malformed::LostSync, Malformed::Unrecognised]);
    assert!(deframer.is_hopeless());
}

#[test]
fn the_largest_format_is_found_too() {
    let format = Format::new(192_000, 2).unwrap();
    let mut packets = Vec::new();
    for sequence in 0..4 {
        let mut out = Vec::new();
        let samples: Vec<i16> = (0..1920 * 15 * 2).map(noise).collect();
        classic::write(sequence, &samples, &mut out);
        packets.push(out);
    }
    let mut deframer = Deframer::new(None, PayloadTypes::new(format), format, ten());
    assert!(take(&mut deframer, &packets.concat(), || 9000) == (packets, vec![]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn cutting_does_not_change_the_packets(
        chunks in 1usize..=15, first: u16, count in 1u16..30, rtp: bool, told: bool,
        pieces in prop::collection::vec(1usize..4000, 1..50),
    ) {
        let packets = if rtp { rtp_packets(first, count, chunks * 80) } else { classic_packets(first, count, chunks, noise) };
        let bytes = if rtp { framed(&packets) } else { packets.concat() };
        let wire = told.then_some(if rtp { Wire::Rtp } else { Wire::Classic });
        let mut next = pieces.iter().cycle();
        let mut deframer = Deframer::new(wire, PayloadTypes::new(MONO), MONO, ten());
        let (got, wrong) = take(&mut deframer, &bytes, || *next.next().unwrap());
        prop_assert_eq!(wrong, vec![]);
        prop_assert!(got == packets);
    }

    #[test]
    fn no_bytes_hurt(
        bytes in prop::collection::vec(any::<u8>(), 0..6000), zeros in 0usize..6000,
        pieces in prop::collection::vec(1usize..3000, 1..9), wire in 0..3,
    ) {
        let wire = [None, Some(Wire::Rtp), Some(Wire::Classic)][wire as usize];
        let mut next = pieces.iter().cycle();
        let mut deframer = Deframer::new(wire, PayloadTypes::new(MONO), MONO, ten());
        let bytes = [&bytes[..], &vec![0; zeros], &bytes].concat();
        take(&mut deframer, &bytes, || *next.next().unwrap());
    }
}

#[test]
fn a_short_control_packet_first_does_not_delay_the_sound() {
    let mut packets = rtp_packets(1, 2, 100);
    packets.insert(0, vec![0x80, 201, 0, 1, 0, 0, 0, 77]);
    let mut deframer = Deframer::new(None, PayloadTypes::new(MONO), MONO, ten());
    deframer.push(&framed(&packets));
    assert_eq!(deframer.next(), Some(Ok(Packet::Rtp(&packets[0]))));
}
