use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::engine::coding::{Coding, Encoding};
use crate::engine::config::{BlockSize, Wire};
use crate::engine::format::Format;
use crate::engine::stream::sender::Sender;

const SSRC: u32 = 0xdead_beef;

fn outline(coding: Coding, rate: u32, channels: u16, ptime_ms: u64) -> Outline {
    let format = Format::new(rate, channels).unwrap();
    let outline =
        Outline::l16(Wire::Rtp, format, BlockSize::default(), Some(Duration::from_millis(ptime_ms)));
    Outline { encoding: Encoding { coding, format }, payload_type: 77, ..outline }
}

/// A datagram, apart from its bytes.
#[derive(Clone, Debug)]
struct Sent {
    bytes: Vec<u8>,
    copies: u8,
    is_copy: bool,
}

/// A stream's packets as they would be alone, and what is sent.
struct Stream {
    sender: Sender,
    repeater: Repeater,
    plain: Vec<Vec<u8>>,
    sent: Vec<Sent>,
    noise: u32,
}

impl Stream {
    fn new(outline: &Outline, redundancy: Redundancy, spacing: u8) -> Self {
        let sender = Sender::new(outline, SSRC, 65_530, u32::MAX - 3_000).unwrap();
        let frames = sender.frames_per_packet();
        let repeater = Repeater::new(outline, frames, SSRC, redundancy, spacing).unwrap().unwrap();
        Self { sender, repeater, plain: Vec::new(), sent: Vec::new(), noise: 1 }
    }

    /// Sends so many samples of noise, different everywhere.
    fn push(&mut self, samples: usize) {
        let sound: Vec<i16> = (0..samples)
            .map(|_| {
                self.noise = self.noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (self.noise >> 16) as i16
            })
            .collect();
        let Self { sender, repeater, plain, sent, .. } = self;
        sender.push(&sound, &mut take(repeater, plain, sent));
    }

    fn flush(&mut self) {
        let Self { sender, repeater, plain, sent, .. } = self;
        sender.flush(&mut take(repeater, plain, sent));
        repeater.flush(&mut |out| sent.push(Sent::from(out)));
    }
}

fn take(repeater: &mut Repeater, plain: &mut Vec<Vec<u8>>, sent: &mut Vec<Sent>) -> impl FnMut(&Packet<'_>) {
    |packet| {
        plain.push(packet.to_vec());
        repeater.push(packet, &mut |out| sent.push(Sent::from(out)));
    }
}

impl From<Outgoing<'_>> for Sent {
    fn from(out: Outgoing<'_>) -> Self {
        Self { bytes: out.bytes.to_vec(), copies: out.copies, is_copy: out.is_copy }
    }
}

/// What a receiver can make of what comes through: the payload of each sequence number.
fn received<'a>(datagrams: impl Iterator<Item = &'a Sent>, frame_bytes: usize) -> BTreeMap<u16, Vec<u8>> {
    let mut found = BTreeMap::new();
    for sent in datagrams {
        let (header, payload) = rtp::parse(&sent.bytes).unwrap();
        assert_eq!(sent.is_copy, header.ssrc != SSRC);
        if header.payload_type != REDUNDANT {
            found.insert(header.sequence, payload.to_vec());
            continue;
        }
        let blocks = red::parse(payload).unwrap();
        assert_eq!(blocks.older().len(), usize::from(sent.copies));
        found.insert(header.sequence, blocks.newest().bytes.to_vec());
        for block in blocks.older() {
            let back = usize::from(block.behind) * frame_bytes / block.bytes.len();
            found.insert(header.sequence.wrapping_sub(back as u16), block.bytes.to_vec());
        }
    }
    found
}

fn payloads(stream: &Stream) -> BTreeMap<u16, Vec<u8>> {
    let parsed = stream.plain.iter().map(|packet| rtp::parse(packet).unwrap());
    parsed.map(|(header, payload)| (header.sequence, payload.to_vec())).collect()
}

#[test]
fn what_is_too_large_for_one_packet_goes_in_streams_of_copies() {
    let means = |outline: &Outline, redundancy, spacing| {
        let frames = Sender::new(outline, 1, 0, 0).unwrap().frames_per_packet();
        Repeater::new(outline, frames, 1, redundancy, spacing).unwrap().unwrap().means()
    };
    let l16 = |ptime| outline(Coding::L16, 44_100, 1, ptime);
    assert_eq!(means(&l16(10), Redundancy::Copies(1), 1), Means::Streams);
    assert_eq!(means(&l16(5), Redundancy::Copies(1), 1), Means::Blocks);
    assert_eq!(means(&l16(5), Redundancy::Copies(2), 1), Means::Blocks);
    assert_eq!(means(&l16(5), Redundancy::Copies(3), 1), Means::Streams);
    assert_eq!(means(&l16(5), Redundancy::Auto, 1), Means::Blocks);
    let telephone = outline(Coding::Pcmu, 8_000, 1, 20);
    assert_eq!(means(&telephone, Redundancy::Copies(4), 25), Means::Blocks);
    assert_eq!(means(&telephone, Redundancy::Copies(4), 26), Means::Streams, "14 bits of frames");
    assert!(Repeater::new(&telephone, 160, 1, Redundancy::None, 1).unwrap().is_none());
}

#[test]
fn blocks_go_oldest_first_with_the_packet_as_it_was() {
    let mut stream = Stream::new(&outline(Coding::Pcma, 8_000, 1, 10), Redundancy::Copies(2), 3);
    stream.push(80 * 8);
    let types: Vec<u8> =
        stream.sent.iter().map(|sent| rtp::parse(&sent.bytes).unwrap().0.payload_type).collect();
    assert_eq!(types, [77, 77, 77, 116, 116, 116, 116, 116]);
    assert_eq!(stream.sent.iter().map(|sent| sent.copies).collect::<Vec<_>>(), [0, 0, 0, 1, 1, 1, 2, 2]);
    let (header, payload) = rtp::parse(&stream.sent[7].bytes).unwrap();
    let (plain, alone) = rtp::parse(&stream.plain[7]).unwrap();
    assert_eq!(RtpHeader { payload_type: 77, ..header }, plain);
    let blocks = red::parse(payload).unwrap();
    assert_eq!(blocks.older().iter().map(|block| block.behind).collect::<Vec<_>>(), [480, 240]);
    assert!(blocks.older()[0].bytes == &stream.plain[1][12..] && blocks.older()[0].payload_type == 77);
    assert!(blocks.older()[1].bytes == &stream.plain[4][12..] && blocks.newest().bytes == alone);
}

#[test]
fn a_copy_is_the_packet_under_another_name() {
    let mut stream = Stream::new(&outline(Coding::L16, 44_100, 1, 10), Redundancy::Copies(2), 2);
    stream.push(441 * 5);
    stream.flush();
    let seen: Vec<(u16, u32)> = stream
        .sent
        .iter()
        .map(|sent| rtp::parse(&sent.bytes).unwrap().0)
        .map(|header| (header.sequence.wrapping_sub(65_530), header.ssrc))
        .collect();
    let (one, two) = (!SSRC, !SSRC - 1);
    let first =
        [(0, SSRC), (1, SSRC), (2, SSRC), (0, one), (3, SSRC), (1, one), (4, SSRC), (2, one), (0, two)];
    let owed = [(3, one), (1, two), (4, one), (2, two), (3, two), (4, two)];
    assert_eq!(seen, [&first[..], &owed[..]].concat());
    for copy in &stream.sent {
        let of = rtp::parse(&copy.bytes).unwrap().0.sequence.wrapping_sub(65_530);
        let plain = &stream.plain[usize::from(of)];
        assert!(copy.bytes[..8] == plain[..8] && copy.bytes[12..] == plain[12..]);
    }
    stream.sent.clear();
    stream.flush();
    assert!(stream.sent.is_empty(), "nothing is owed twice");
}

#[test]
fn no_block_is_sent_that_would_be_taken_for_another_packets() {
    let mut stream = Stream::new(&outline(Coding::Pcmu, 8_000, 1, 10), Redundancy::Copies(1), 1);
    stream.push(80 * 3 + 40);
    // With this gap the short packet's block would lie exactly one usual length behind.
    stream.sender.skip(40);
    stream.push(80 * 2);
    assert_eq!(stream.sent.iter().map(|sent| sent.copies).collect::<Vec<_>>(), [0, 1, 1, 1, 0, 1]);
    assert_eq!(received(stream.sent.iter(), 1), payloads(&stream));
    let all_but_one = stream.sent.iter().enumerate().filter(|(n, _)| *n != 2).map(|(_, sent)| sent);
    assert_eq!(received(all_but_one, 1), payloads(&stream), "the short one says where the one before is");
}

#[test]
fn copies_come_and_go_while_it_runs() {
    for (coding, rate) in [(Coding::Pcmu, 8_000), (Coding::L16, 44_100)] {
        let mut stream = Stream::new(&outline(coding, rate, 1, 10), Redundancy::Auto, 1);
        let packet = rate as usize / 100;
        stream.push(packet * 5);
        assert!(stream.sent.iter().all(|sent| sent.copies == 0));
        stream.repeater.set(Remedy { copies: 1, spacing: 3 });
        stream.push(packet * 4);
        assert_eq!(stream.sent.iter().map(|sent| usize::from(sent.copies)).sum::<usize>(), 4);
        stream.repeater.set(Remedy { copies: 2, spacing: 6 });
        stream.push(packet * 4);
        assert_eq!(stream.sent.iter().map(|sent| usize::from(sent.copies)).sum::<usize>(), 4 + 5);
        stream.repeater.set(Remedy { copies: 4, spacing: 50 });
        assert_eq!(stream.repeater.remedy(), Remedy { copies: 2, spacing: 6 }, "it has no room for more");
        stream.repeater.set(Remedy { copies: 0, spacing: 1 });
        stream.sent.clear();
        stream.push(packet * 20);
        stream.flush();
        assert!(stream.sent.iter().all(|sent| sent.copies == 0) && stream.sent.len() == 20);
    }
}

#[test]
fn packets_are_made_in_the_same_memory() {
    for (coding, rate) in [(Coding::Pcmu, 8_000), (Coding::L16, 44_100)] {
        let mut stream = Stream::new(&outline(coding, rate, 1, 10), Redundancy::Copies(2), 5);
        let mut places = BTreeSet::new();
        let sound = vec![7; rate as usize / 100];
        for _ in 0..200 {
            let Stream { sender, repeater, .. } = &mut stream;
            sender.push(&sound, &mut |packet| {
                repeater.push(packet, &mut |out| {
                    places.insert(out.bytes.as_ptr());
                });
            });
        }
        assert!(places.len() <= 12, "{} places", places.len());
    }
}

#[cfg(feature = "opus")]
#[test]
fn low_rate_opus_goes_beside_every_packet_but_the_first() {
    use crate::engine::codec::Decoder;

    let mut stream = Stream::new(&outline(Coding::L16, 48_000, 1, 10), Redundancy::Opus, 1);
    assert_eq!(stream.repeater.means(), Means::Beside);
    stream.push(480 * 50);
    assert_eq!(stream.sent.iter().map(|sent| usize::from(sent.copies)).sum::<usize>(), 49);
    let encoding = Encoding { coding: Coding::Opus, format: Format::opus(1) };
    let decoder = Decoder::new(encoding).unwrap();
    for (sent, plain) in stream.sent.iter().zip(&stream.plain).skip(1) {
        assert!(sent.bytes.len() <= MAX_PACKET);
        let (_, payload) = rtp::parse(&sent.bytes).unwrap();
        let blocks = red::parse(payload).unwrap();
        assert_eq!((blocks.older()[0].payload_type, blocks.older()[0].behind), (OPUS, 480));
        assert_eq!(decoder.frames(blocks.older()[0].bytes), Some(480));
        assert!(blocks.newest().payload_type == 77 && blocks.newest().bytes == &plain[12..]);
    }
}

#[cfg(feature = "opus")]
#[test]
fn opus_goes_again_in_opus() {
    let outline = outline(Coding::Opus, 48_000, 1, 20);
    let mut stream = Stream::new(&outline, Redundancy::Copies(2), 1);
    assert_eq!(stream.repeater.means(), Means::Blocks);
    stream.push(960 * 20);
    let sums: usize = stream.sent.iter().map(|sent| usize::from(sent.copies)).sum();
    assert!(sums >= 36, "{sums} copies");
    for (n, sent) in stream.sent.iter().enumerate().skip(2) {
        let (_, payload) = rtp::parse(&sent.bytes).unwrap();
        let blocks = red::parse(payload).unwrap();
        assert_eq!(blocks.newest().bytes, &stream.plain[n][12..]);
        for block in blocks.older() {
            assert_eq!(block.bytes, &stream.plain[n - usize::from(block.behind) / 960][12..]);
        }
    }
}

#[cfg(feature = "opus")]
#[test]
fn copies_that_come_while_it_runs_leave_the_bitrate_as_it_was() {
    let outline = outline(Coding::Opus, 48_000, 1, 20);
    let mut stream = Stream::new(&outline, Redundancy::Auto, 1);
    let spent = [0, 1, 2, 0].map(|copies| {
        let remedy = Remedy { copies, spacing: 1 };
        stream.sender.adjust(remedy.spending(outline.settings, Duration::from_millis(20)));
        stream.repeater.set(remedy);
        let before = stream.sent.len();
        stream.push(48_000);
        stream.sent[before..].iter().map(|sent| sent.bytes.len()).sum::<usize>()
    });
    assert!(spent[1..].iter().all(|spent_then| spent_then.abs_diff(spent[0]) * 10 < spent[0]), "{spent:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Blocks: a packet is whole where its own datagram or one that holds a copy came through; only those.
    #[test]
    fn a_packet_is_whole_where_one_copy_of_it_comes_in_a_later_packet(
        copies in 1u8..=4, spacing in 1u8..=6, lost in prop::collection::vec(any::<bool>(), 40),
    ) {
        let mut stream = Stream::new(&outline(Coding::Pcmu, 8_000, 1, 10), Redundancy::Copies(copies), spacing);
        stream.push(80 * 39 + 50);
        stream.flush();
        prop_assert_eq!(stream.sent.len(), 40);
        let came = |n: usize| lost.get(n) == Some(&false);
        let remedy = Remedy { copies, spacing };
        let whole: BTreeMap<u16, Vec<u8>> = payloads(&stream)
            .into_iter()
            .filter(|(sequence, _)| {
                let n = usize::from(sequence.wrapping_sub(65_530));
                came(n) || remedy.distances().any(|back| came(n + back as usize))
            })
            .collect();
        let through = stream.sent.iter().zip(&lost).filter(|(_, lost)| !**lost).map(|(sent, _)| sent);
        prop_assert!(received(through, 1) == whole);
    }

    /// Streams: every packet goes once and as often as it is to be copied, so that one is enough.
    #[test]
    fn a_packet_is_whole_where_one_copy_of_it_comes_in_another_stream(
        copies in 1u8..=4, spacing in 1u8..=50, survivor in prop::collection::vec(0u8..=4, 30),
    ) {
        let mut stream = Stream::new(&outline(Coding::L16, 44_100, 1, 10), Redundancy::Copies(copies), spacing);
        stream.push(441 * 29 + 50);
        stream.flush();
        prop_assert_eq!(stream.sent.len(), 30 * (1 + usize::from(copies)));
        let through = stream.sent.iter().filter(|sent| {
            let header = rtp::parse(&sent.bytes).unwrap().0;
            let kept = survivor[usize::from(header.sequence.wrapping_sub(65_530))].min(copies);
            header.ssrc == if kept == 0 { SSRC } else { copy_ssrc(SSRC, kept) }
        });
        prop_assert!(received(through, 2) == payloads(&stream));
    }
}
