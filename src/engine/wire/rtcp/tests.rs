use proptest::prelude::*;

use super::*;
use crate::engine::printable::printable;

fn block() -> ReportBlock {
    ReportBlock {
        ssrc: 0x0102_0304,
        fraction_lost: 5,
        lost: -2,
        highest: 0x0001_fffe,
        jitter: 7,
        last_sr: 8,
        delay: 9,
    }
}

fn parsed(bytes: &[u8]) -> Vec<Packet<'_>> {
    Compound::parse(bytes).unwrap().packets().collect()
}

#[test]
fn reports_are_laid_out_as_rfc_3550_draws_them() {
    let mut out = Vec::new();
    write_receiver_report(0xaabb_ccdd, &[block()], &mut out);
    let drawn = [
        [0x81, 201, 0, 7],
        [0xaa, 0xbb, 0xcc, 0xdd],
        [1, 2, 3, 4],
        [5, 0xff, 0xff, 0xfe],
        [0, 1, 0xff, 0xfe],
        [0, 0, 0, 7],
        [0, 0, 0, 8],
        [0, 0, 0, 9],
    ];
    assert_eq!(out, drawn.concat());
    out.clear();
    let info = SenderInfo { ntp: 0x0102_0304_0506_0708, timestamp: 9, packets: 10, octets: 11 };
    write_sender_report(1, &info, &[], &mut out);
    let head = [0x80, 200, 0, 6, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 9, 0, 0, 0, 10, 0, 0, 0, 11];
    assert_eq!(out, head);
}

#[test]
fn a_whole_compound_is_read_as_it_was_written() {
    let mut out = Vec::new();
    let info = SenderInfo { ntp: 1 << 40, timestamp: 2, packets: 3, octets: 4 };
    let metrics = VoipMetrics {
        ssrc: 6,
        loss_rate: 1,
        burst_ms: 515,
        gmin: 16,
        buffer_limit_ms: 500,
        ..VoipMetrics::default()
    };
    let echo = Dlrr { ssrc: 7, last_rr: 8, delay: 9 };
    write_sender_report(5, &info, &[block(), block()], &mut out);
    write_description(5, &[(CNAME, "häuschen"), (TOOL, "")], &mut out);
    let measurement =
        Measurement { ssrc: 6, first: 65_535, interval: (1, 2), interval_time: 3, time: 1 << 40 | 5 };
    let extended = Extended {
        reference_time: Some(77),
        echo: Some(echo),
        metrics: Some(metrics),
        measurement: Some(measurement),
    };
    write_extended(5, &extended, &mut out);
    write_application(5, *b"test", &[1, 2, 3], &mut out);
    write_goodbye(&[5, 6], "so long\u{7}", &mut out);
    assert!(out.len().is_multiple_of(4));

    let packets = parsed(&out);
    assert_eq!(packets.len(), 5);
    let Packet::SenderReport { ssrc: 5, info: read, blocks } = packets[0] else { panic!() };
    assert_eq!(read, info);
    assert!(blocks.iter().eq([block(), block()]));
    let Packet::Description(chunks) = packets[1] else { panic!() };
    let said: Vec<_> =
        chunks.iter().flat_map(|c| c.items.iter().map(move |i| (c.ssrc, i.kind, i.text()))).collect();
    assert_eq!(said, [(5, CNAME, "häuschen".into()), (5, TOOL, String::new())]);
    let Packet::Extended { ssrc: 5, blocks } = packets[2] else { panic!() };
    let blocks: Vec<_> = blocks.iter().collect();
    assert_eq!(blocks[0], ExtendedBlock::ReferenceTime(77));
    let ExtendedBlock::Dlrr(echoes) = blocks[1] else { panic!() };
    assert!(echoes.iter().eq([echo]));
    assert_eq!(blocks[2], ExtendedBlock::Voip(metrics));
    assert_eq!(blocks[3], ExtendedBlock::Measurement(measurement));
    assert_eq!(packets[3], Packet::Application { ssrc: 5, name: *b"test", data: &[1, 2, 3, 0] });
    let Packet::Goodbye(goodbye) = packets[4] else { panic!() };
    assert!(goodbye.sources().eq([5, 6]));
    // A bell in a log rings at a stranger's will.
    assert_eq!(goodbye.reason(), "so long\\u{7}");
}

#[test]
fn a_compound_that_begins_with_no_report_is_of_reduced_size() {
    let mut out = Vec::new();
    write_goodbye(&[1], "", &mut out);
    assert!(Compound::parse(&out).unwrap().is_reduced());
    let mut whole = Vec::new();
    write_receiver_report(1, &[], &mut whole);
    whole.extend_from_slice(&out);
    assert!(!Compound::parse(&whole).unwrap().is_reduced());
}

#[test]
fn padding_stands_at_the_end_only() {
    let report = [0x80, 201, 0, 1, 0, 0, 0, 1];
    let padded = [0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4];
    let both = [report.as_slice(), padded.as_slice()].concat();
    assert_eq!(parsed(&both).len(), 2);
    let swapped = [padded.as_slice(), report.as_slice()].concat();
    assert_eq!(Compound::parse(&swapped), Err(Malformed::Padding));
    for length in [0, 1, 3, 8, 12] {
        let mut wrong = padded;
        wrong[11] = length;
        assert!(Compound::parse(&wrong).is_err(), "{length}");
    }
}

#[test]
fn what_does_not_fit_is_malformed() {
    let error = |bytes: &[u8]| Compound::parse(bytes).unwrap_err();
    assert_eq!(error(&[]), Malformed::Short);
    assert_eq!(error(&[0x80, 201, 0]), Malformed::Short);
    assert_eq!(error(&[0x40, 201, 0, 0]), Malformed::Version);
    assert_eq!(error(&[0x80, 11, 0, 0]), Malformed::PayloadType);
    assert_eq!(error(&[0x80, 201, 0, 2, 0, 0, 0, 1]), Malformed::Header);
    // One block announced, none there.
    assert_eq!(error(&[0x81, 201, 0, 1, 0, 0, 0, 1]), Malformed::Header);
    // A chunk without its end; an item past it.
    assert_eq!(error(&[0x81, 202, 0, 2, 0, 0, 0, 1, 1, 2, 65, 66]), Malformed::Header);
    assert_eq!(error(&[0x81, 202, 0, 2, 0, 0, 0, 1, 1, 9, 65, 0]), Malformed::Header);
    // More sources, or a longer reason, than there is.
    assert_eq!(error(&[0x82, 203, 0, 1, 0, 0, 0, 1]), Malformed::Header);
    assert_eq!(error(&[0x80, 203, 0, 1, 4, 65, 66, 67]), Malformed::Header);
    // A reference time of one word; half an echo.
    assert_eq!(error(&[0x80, 207, 0, 3, 0, 0, 0, 1, 4, 0, 0, 1, 0, 0, 0, 0]), Malformed::Header);
    assert_eq!(error(&[0x80, 207, 0, 3, 0, 0, 0, 1, 5, 0, 0, 1, 0, 0, 0, 0]), Malformed::Header);
}

#[test]
fn long_texts_are_cut_between_characters_and_losses_at_24_bits() {
    let mut out = Vec::new();
    write_description(1, &[(NAME, &"ä".repeat(200))], &mut out);
    let [Packet::Description(chunks)] = parsed(&out)[..] else { panic!() };
    assert_eq!(chunks.iter().next().unwrap().items.iter().next().unwrap().text(), "ä".repeat(127));
    for (lost, read) in [(i32::MAX, 0x7f_ffff), (i32::MIN, -0x80_0000), (-1, -1)] {
        let mut out = Vec::new();
        write_receiver_report(1, &[ReportBlock { lost, ..block() }], &mut out);
        let [Packet::ReceiverReport { blocks, .. }] = parsed(&out)[..] else { panic!() };
        assert_eq!(blocks.iter().next().unwrap(), ReportBlock { lost: read, ..block() });
    }
}

/// Reads all there is to read.
fn read(compound: Compound<'_>) -> usize {
    let mut count = usize::from(compound.is_reduced());
    for packet in compound.packets() {
        count += match packet {
            Packet::SenderReport { blocks, .. } | Packet::ReceiverReport { blocks, .. } => {
                blocks.iter().count()
            }
            Packet::Description(chunks) => {
                chunks.iter().flat_map(|c| c.items.iter()).map(|i| i.text().len()).sum()
            }
            Packet::Goodbye(goodbye) => goodbye.sources().count() + goodbye.reason().len(),
            Packet::Extended { blocks, .. } => blocks.iter().count(),
            Packet::Application { data, .. } => data.len(),
            Packet::Other(_) => 0,
        };
    }
    count
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        mut bytes in prop::collection::vec(any::<u8>(), 0..96), kind in 200u8..208, count in 0u8..4,
    ) {
        // Random bytes alone hardly ever get past the first header.
        if bytes.len() >= 4 {
            let words = bytes.len() / 4;
            bytes.truncate(words * 4);
            bytes[..4].copy_from_slice(&[0x80 | count, kind, 0, words as u8 - 1]);
        }
        if let Ok(compound) = Compound::parse(&bytes) {
            prop_assert!(compound.packets().count() > 0);
            read(compound);
        }
    }

    #[test]
    fn blocks_come_back(
        ssrc: u32, fraction_lost: u8, lost in -0x80_0000i32..0x80_0000, highest: u32, jitter: u32, last_sr: u32,
        delay: u32, count in 0usize..40,
    ) {
        let block = ReportBlock { ssrc, fraction_lost, lost, highest, jitter, last_sr, delay };
        let mut out = Vec::new();
        write_receiver_report(ssrc, &vec![block; count], &mut out);
        let packets = parsed(&out);
        let [Packet::ReceiverReport { ssrc: read, blocks }] = packets[..] else { panic!() };
        prop_assert_eq!(read, ssrc);
        prop_assert!(blocks.iter().eq(vec![block; count.min(31)]));
    }

    #[test]
    fn texts_come_back(cname in "[ -~]{0,80}", name in "\\PC{0,60}", reason in "[ -~]{0,40}") {
        let mut out = Vec::new();
        write_description(9, &[(CNAME, &cname), (NAME, &name)], &mut out);
        write_goodbye(&[9], &reason, &mut out);
        let packets = parsed(&out);
        let [Packet::Description(chunks), Packet::Goodbye(goodbye)] = packets[..] else { panic!() };
        let texts: Vec<_> = chunks.iter().flat_map(|c| c.items.iter()).map(super::Item::text).collect();
        prop_assert_eq!(texts, [cname, printable(&name)]);
        prop_assert_eq!(goodbye.reason(), reason);
    }
}
