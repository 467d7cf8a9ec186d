//! What a stranger can send.

use assert_no_alloc::assert_no_alloc;
use proptest::prelude::*;

use super::super::Refused;
use super::*;

#[test]
fn every_length_of_payload_comes_back_as_it_was() {
    for form in FORMS {
        let (mut sealer, mut opener) = (sealer(form), opener(form));
        for len in 0..64 {
            let packet = sound(len, usize::from(len));
            assert_eq!(open(&mut opener, &seal(&mut sealer, &packet)), Ok(packet), "{form:?} {len}");
            let packet = report(usize::from(len));
            assert_eq!(
                open_report(&mut opener, &seal_report(&mut sealer, &packet)),
                Ok(packet),
                "{form:?} {len}"
            );
        }
    }
}

#[test]
fn the_sender_of_a_sealed_packet_is_found_before_it_is_opened() {
    for form in FORMS {
        let mut sealer = sealer(form);
        assert_eq!(super::super::ssrc(&seal(&mut sealer, &sound(1, 0))), Some(SSRC));
        assert_eq!(super::super::ssrc(&seal_report(&mut sealer, &report(0))), Some(SSRC));
    }
    assert_eq!(super::super::ssrc(&sound(1, 0)[..11]), None);
    assert_eq!(super::super::ssrc(&report(0)[..7]), None);
    assert_eq!(super::super::ssrc(&[]), None);
}

#[test]
fn any_flipped_bit_is_refused_and_changes_nothing() {
    for form in FORMS {
        // Both before the first authentic packet, and after.
        for is_known in [false, true] {
            let (mut sealer, mut opener) = (sealer(form), Opener::new(&key(form), Way::ToServer, SSRC, 4));
            let first = (seal(&mut sealer, &sound(1, 9)), seal_report(&mut sealer, &report(5)));
            if is_known {
                assert!(open(&mut opener, &first.0).is_ok() && open_report(&mut opener, &first.1).is_ok());
            }
            let sealed = seal(&mut sealer, &sound(2, 9));
            let sealed_report = seal_report(&mut sealer, &report(5));
            for bit in 0..sealed.len() * 8 {
                assert!(open(&mut opener, &flipped(&sealed, bit)).is_err(), "{form:?} {bit}");
            }
            for bit in 0..sealed_report.len() * 8 {
                assert!(open_report(&mut opener, &flipped(&sealed_report, bit)).is_err(), "{form:?} {bit}");
            }
            assert_eq!(opener.peer().is_some(), is_known);
            assert_eq!(open(&mut opener, &sealed), Ok(sound(2, 9)), "{form:?}");
            assert_eq!(open_report(&mut opener, &sealed_report), Ok(report(5)), "{form:?}");
        }
    }
}

#[test]
fn anything_cut_off_or_put_on_is_refused() {
    for form in FORMS {
        let (mut sealer, mut opener) = (sealer(form), Opener::new(&key(form), Way::ToServer, SSRC, 4));
        let mut sealed = seal(&mut sealer, &sound(1, 40));
        let mut sealed_report = seal_report(&mut sealer, &report(40));
        for len in 0..sealed.len() {
            let least = 12 + super::super::rtp_overhead(form);
            let refused = open(&mut opener, &sealed[..len]).unwrap_err();
            assert_eq!(refused == Refused::Short, len < least, "{form:?} {len}");
            assert!(open(&mut opener, &sealed[len..]).is_err() || len == 0);
        }
        for len in 0..sealed_report.len() {
            let least = 8 + super::super::rtcp_overhead(form);
            let refused = open_report(&mut opener, &sealed_report[..len]).unwrap_err();
            assert_eq!(refused == Refused::Short, len < least, "{form:?} {len}");
        }
        sealed.push(0);
        sealed_report.push(0);
        assert!(open(&mut opener, &sealed).is_err());
        assert!(open_report(&mut opener, &sealed_report).is_err());
    }
}

#[test]
fn a_replay_is_refused_however_often() {
    for form in FORMS {
        let (mut sealer, mut opener) = (sealer(form), opener(form));
        let all: Vec<_> = (0..300).map(|n| seal(&mut sealer, &sound(n, 10))).collect();
        let reports: Vec<_> = (0..300).map(|_| seal_report(&mut sealer, &report(12))).collect();
        assert!(all.iter().all(|sealed| open(&mut opener, sealed).is_ok()));
        assert!(reports.iter().all(|sealed| open_report(&mut opener, sealed).is_ok()));
        for _ in 0..2 {
            assert!(all.iter().all(|sealed| open(&mut opener, sealed) == Err(Refused::Replayed)));
            assert!(reports.iter().all(|sealed| open_report(&mut opener, sealed) == Err(Refused::Replayed)));
        }
        sealer.skip_to(2_000, 2_000);
        assert!(open(&mut opener, &seal(&mut sealer, &sound(2_001, 10))).is_ok());
        assert!(open_report(&mut opener, &seal_report(&mut sealer, &report(12))).is_ok());
        assert!(all.iter().all(|sealed| open(&mut opener, sealed) == Err(Refused::TooOld)));
        assert!(reports.iter().all(|sealed| open_report(&mut opener, sealed) == Err(Refused::TooOld)));
    }
}

#[test]
fn hundreds_of_forged_packets_do_not_move_the_stream() {
    for form in FORMS {
        let (mut sealer, mut opener) = (sealer(form), opener(form));
        assert!(open(&mut opener, &seal(&mut sealer, &sound(1, 10))).is_ok());
        for n in 0..900_u16 {
            let mut forged = sound(n.wrapping_mul(73), 60);
            if n.is_multiple_of(2) {
                // The nonce of the true sender, as who listens can see it.
                forged.extend([n as u8; 20]);
                forged.extend(NONCE.0);
            }
            let refused = open(&mut opener, &forged);
            assert!(refused.is_err(), "{form:?} {n}");
        }
        assert_eq!(open(&mut opener, &seal(&mut sealer, &sound(2, 10))), Ok(sound(2, 10)), "{form:?}");
    }
}

#[test]
fn plain_packets_are_refused() {
    for form in FORMS {
        let mut opener = opener(form);
        assert!(open(&mut opener, &sound(1, 882)).is_err());
        assert!(open(&mut opener, &sound(1, 4)).is_err());
        assert_eq!(open_report(&mut opener, &report(0)), Err(Refused::Short));
        assert!(open_report(&mut opener, &report(60)).is_err());
        assert!(opener.peer().is_none());
    }
}

#[test]
fn reports_that_are_authentic_but_not_encrypted_are_refused() {
    for form in FORMS {
        let (mut sealer, mut opener) = (sealer(form), opener(form));
        let mut sealed = seal_report(&mut sealer, &report(20));
        let flag = sealed.len()
            - match form {
                KeyForm::AesCm => 14,
                KeyForm::AesGcm => 4,
                KeyForm::Audiostream => 20,
            };
        assert_eq!(sealed[flag], 0x80);
        sealed[flag] = 0;
        assert_eq!(open_report(&mut opener, &sealed), Err(Refused::Plain));
    }
}

#[test]
fn another_key_another_direction_and_another_source_open_nothing() {
    for form in FORMS {
        let mut sealer = sealer(form);
        let sealed = seal(&mut sealer, &sound(1, 10));
        let sealed_report = seal_report(&mut sealer, &report(10));
        let other = match form {
            KeyForm::AesCm => Key::parse("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0f").unwrap(),
            KeyForm::AesGcm => Key::parse("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHQ==").unwrap(),
            KeyForm::Audiostream => Key::from_random([9; 32]),
        };
        let mut stranger = Opener::new(&other, Way::ToServer, SSRC, Opener::SEARCH);
        assert_eq!(open(&mut stranger, &sealed), Err(Refused::Tag));
        assert_eq!(open_report(&mut stranger, &sealed_report), Err(Refused::Tag));
        let mut elsewhere = Opener::new(&key(form), Way::ToServer, SSRC + 1, Opener::SEARCH);
        assert_eq!(open(&mut elsewhere, &sealed), Err(Refused::Source));
        assert_eq!(open_report(&mut elsewhere, &sealed_report), Err(Refused::Source));
    }
    let sealed = seal(&mut sealer(KeyForm::Audiostream), &sound(1, 10));
    for way in [Way::ToClient(NONCE), Way::ToClient(Nonce([1; 16]))] {
        let mut reflected = Opener::new(&key(KeyForm::Audiostream), way, SSRC, Opener::SEARCH);
        assert_eq!(open(&mut reflected, &sealed), Err(Refused::Tag));
    }
}

#[test]
fn answers_are_for_the_client_that_was_heard() {
    let key = key(KeyForm::Audiostream);
    let mut heard = opener(KeyForm::Audiostream);
    assert_eq!(heard.peer(), None);
    assert!(open_report(&mut heard, &seal_report(&mut sealer(KeyForm::Audiostream), &report(0))).is_ok());
    assert_eq!(heard.peer(), Some(NONCE));
    let mut answers = Sealer::new(&key, Way::ToClient(NONCE), Nonce([7; 16]), SSRC);
    let answer = seal_report(&mut answers, &report(16));
    let mut client = Opener::new(&key, Way::ToClient(NONCE), SSRC, 0);
    assert_eq!(open_report(&mut client, &answer), Ok(report(16)));
    let mut another = Opener::new(&key, Way::ToClient(Nonce([3; 16])), SSRC, 0);
    assert_eq!(open_report(&mut another, &answer), Err(Refused::Tag));
}

#[test]
fn a_second_sender_with_the_same_key_is_another() {
    let form = KeyForm::Audiostream;
    let mut opener = opener(form);
    assert!(open(&mut opener, &seal(&mut sealer(form), &sound(1, 10))).is_ok());
    let mut second = Sealer::new(&key(form), Way::ToServer, Nonce([0x5a; 16]), SSRC);
    assert_eq!(open(&mut opener, &seal(&mut second, &sound(2, 10))), Err(Refused::Nonce));
    assert_eq!(open_report(&mut opener, &seal_report(&mut second, &report(0))), Err(Refused::Nonce));
}

#[test]
fn nothing_allocates_once_the_output_has_grown() {
    for form in FORMS {
        let (mut sealer, mut opener) = (sealer(form), opener(form));
        let (mut sealed, mut opened) = (Vec::new(), Vec::new());
        let packets: Vec<_> = (0..20).map(|n| sound(n, 882)).collect();
        sealer.seal_rtp(&packets[0], &mut sealed).unwrap();
        opener.open_rtp(&sealed, &mut opened).unwrap();
        let forged = flipped(&sealed, 900);
        assert_no_alloc(|| {
            for packet in &packets[1..] {
                sealer.seal_rtp(packet, &mut sealed).unwrap();
                opener.open_rtp(&sealed, &mut opened).unwrap();
                assert_eq!(opened.len(), packet.len());
                sealer.seal_rtcp(&packet[..100], &mut sealed).unwrap_err();
                opener.open_rtp(&forged, &mut opened).unwrap_err();
            }
        });
    }
}

#[test]
fn what_is_printed_of_both_ends_is_no_key() {
    let printed = format!("{:?} {:?}", sealer(KeyForm::AesCm), opener(KeyForm::AesCm));
    assert_eq!(
        printed,
        "Sealer { form: AesCm, ssrc: 168496141, .. } Opener { key: Key(AesCm, ..), ssrc: 168496141, .. }"
    );
}

proptest! {
    #[test]
    fn no_bytes_are_opened(
        form in prop::sample::select(&FORMS[..]),
        mut bytes in prop::collection::vec(any::<u8>(), 0..120),
        is_ours: bool,
        is_known: bool,
    ) {
        let mut opener = Opener::new(&key(form), Way::ToServer, SSRC, 2);
        let mut sealer = sealer(form);
        if is_known {
            prop_assert!(open(&mut opener, &seal(&mut sealer, &sound(1, 10))).is_ok());
        }
        if is_ours && bytes.len() > 12 {
            bytes[8..12].copy_from_slice(&SSRC.to_be_bytes());
            bytes[0] &= 0x3f;
        }
        prop_assert!(open(&mut opener, &bytes).is_err());
        if is_ours && bytes.len() > 12 {
            bytes[4..8].copy_from_slice(&SSRC.to_be_bytes());
        }
        prop_assert!(open_report(&mut opener, &bytes).is_err());
        prop_assert!(open(&mut opener, &seal(&mut sealer, &sound(2, 10))).is_ok());
    }

    /// Each authentic packet is opened once, if it comes within the window; whatever is done to the others.
    #[test]
    fn a_disturbed_stream_is_opened_as_an_undisturbed_one(
        form in prop::sample::select(&FORMS[..]),
        start: u16,
        steps in prop::collection::vec((1_u16..400, 0_u8..4, any::<prop::sample::Index>()), 1..60),
    ) {
        let (mut sealer, mut opener) = (sealer(form), opener(form));
        let mut sequence = start;
        let mut earlier: Vec<Vec<u8>> = Vec::new();
        for (step, disturbance, at) in steps {
            sequence = sequence.wrapping_add(step);
            let packet = sound(sequence, 24);
            let sealed = seal(&mut sealer, &packet);
            match disturbance {
                1 => prop_assert!(open(&mut opener, &flipped(&sealed, at.index(sealed.len() * 8))).is_err()),
                2 => prop_assert!(open(&mut opener, &sealed[..at.index(sealed.len())]).is_err()),
                3 if !earlier.is_empty() => {
                    prop_assert!(open(&mut opener, &earlier[at.index(earlier.len())]).is_err());
                }
                _ => {}
            }
            prop_assert_eq!(open(&mut opener, &sealed), Ok(packet));
            earlier.push(sealed);
        }
    }
}

fn flipped(packet: &[u8], bit: usize) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[bit / 8] ^= 1 << (bit % 8);
    packet
}
