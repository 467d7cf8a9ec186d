//! Sequence numbers have 16 bits, a stream has more packets.

use super::super::{NotSealed, Refused};
use super::*;

#[test]
fn a_stream_is_opened_over_the_wrap() {
    for form in FORMS {
        let (mut sealer, mut opener) = (sealer(form), opener(form));
        for n in 65_500_u32..65_600 {
            let packet = sound(n as u16, 30);
            assert_eq!(open(&mut opener, &seal(&mut sealer, &packet)), Ok(packet), "{form:?} {n}");
        }
    }
}

#[test]
fn packets_may_come_in_any_order_over_the_wrap() {
    for form in FORMS {
        let (mut sealer, mut opener) = (sealer(form), opener(form));
        let packets: Vec<_> = (65_436_u32..65_636).map(|n| sound(n as u16, 8)).collect();
        let sealed: Vec<_> = packets.iter().map(|packet| seal(&mut sealer, packet)).collect();
        // A stride that is prime to 199 visits every packet but the first once.
        let order: Vec<_> = std::iter::once(0).chain((1..200).map(|n| 1 + n * 77 % 199)).collect();
        for &n in &order {
            assert_eq!(open(&mut opener, &sealed[n]).as_ref(), Ok(&packets[n]), "{form:?} {n}");
        }
        for n in order {
            assert_eq!(open(&mut opener, &sealed[n]), Err(Refused::Replayed), "{form:?} {n}");
        }
    }
}

#[test]
fn the_first_packet_may_be_from_after_the_wrap_and_the_next_from_before() {
    for form in FORMS {
        let (mut sealer, mut opener) = (sealer(form), opener(form));
        let before = seal(&mut sealer, &sound(0xffff, 8));
        let after = seal(&mut sealer, &sound(0, 8));
        assert!(open(&mut opener, &after).is_ok(), "{form:?}");
        assert!(open(&mut opener, &before).is_ok(), "{form:?}");
    }
}

#[test]
fn thirty_thousand_packets_may_be_lost_over_the_wrap() {
    for form in FORMS {
        let (mut sealer, mut opener) = (sealer(form), opener(form));
        for wrap in 0..3_u64 {
            let first = sound(50_000, 8);
            assert_eq!(open(&mut opener, &seal(&mut sealer, &first)), Ok(first), "{form:?}");
            sealer.skip_to((wrap << 16) + 79_999, 0);
            let last = sound((80_000_u32 % 65_536) as u16, 8);
            assert_eq!(open(&mut opener, &seal(&mut sealer, &last)), Ok(last), "{form:?}");
            // More than 2^15 packets lost in a row would be one too many, to the next turn too.
            assert!(open(&mut opener, &seal(&mut sealer, &sound(40_000, 8))).is_ok(), "{form:?}");
        }
    }
}

#[test]
fn who_joins_late_finds_the_rollover_counter() {
    for form in FORMS {
        for rollover in [1, 3, u64::from(Opener::SEARCH) - 1] {
            let (mut sealer, mut opener) = (sealer(form), opener(form));
            sealer.skip_to((rollover << 16) + 100, 0);
            let packet = sound(101, 20);
            assert_eq!(open(&mut opener, &seal(&mut sealer, &packet)), Ok(packet), "{form:?} {rollover}");
            // And what was on its way before.
            sealer.skip_to((rollover << 16) - 2, 0);
            let earlier = sound(0xffff, 20);
            assert_eq!(open(&mut opener, &seal(&mut sealer, &earlier)), Ok(earlier), "{form:?} {rollover}");
        }
    }
}

#[test]
fn the_search_has_the_bound_that_was_given() {
    for form in [KeyForm::AesCm, KeyForm::AesGcm] {
        for (search, rollover, expected) in
            [(1, 0, true), (1, 1, false), (4, 3, true), (4, 4, false), (0, 0, false)]
        {
            let mut sealer = sealer(form);
            sealer.skip_to((rollover << 16) + 100, 0);
            let mut opener = Opener::new(&key(form), Way::ToServer, SSRC, search);
            let opened = open(&mut opener, &seal(&mut sealer, &sound(101, 20)));
            assert_eq!(opened.is_ok(), expected, "{form:?} {search} {rollover}");
        }
    }
}

#[test]
fn nothing_is_searched_for_after_the_first_packet() {
    for form in [KeyForm::AesCm, KeyForm::AesGcm] {
        let (mut sealer, mut opener) = (sealer(form), opener(form));
        assert!(open(&mut opener, &seal(&mut sealer, &sound(5, 8))).is_ok());
        sealer.skip_to(5 << 16, 0);
        assert_eq!(open(&mut opener, &seal(&mut sealer, &sound(6, 8))), Err(Refused::Tag), "{form:?}");
    }
}

#[test]
fn with_our_own_key_a_silence_of_any_length_is_survived() {
    let (mut sealer, mut opener) = (sealer(KeyForm::Audiostream), opener(KeyForm::Audiostream));
    assert!(open(&mut opener, &seal(&mut sealer, &sound(5, 8))).is_ok());
    sealer.skip_to(5_000_000 << 16, 0);
    assert!(open(&mut opener, &seal(&mut sealer, &sound(6, 8))).is_ok());
}

#[test]
fn a_sealer_stops_before_it_uses_a_counter_twice() {
    for form in FORMS {
        let mut sealer = sealer(form);
        let mut out = Vec::new();
        sealer.skip_to((1 << 48) - 2, (1 << 31) - 1);
        assert_eq!(sealer.seal_rtp(&sound(0xffff, 8), &mut out), Ok(()));
        assert_eq!(sealer.seal_rtp(&sound(0, 8), &mut out), Err(NotSealed::Exhausted));
        assert!(out.is_empty());
        assert_eq!(sealer.seal_rtp(&sound(0xffff, 8), &mut out), Err(NotSealed::Repeated));
        assert_eq!(sealer.seal_rtp(&sound(1, 8), &mut out), Err(NotSealed::Exhausted));
        assert_eq!(sealer.seal_rtcp(&report(0), &mut out), Ok(()));
        assert_eq!(sealer.seal_rtcp(&report(0), &mut out), Err(NotSealed::Exhausted));
        assert!(out.is_empty());
    }
}

#[test]
fn the_last_packet_that_can_be_sealed_is_opened() {
    let (mut sealer, mut opener) = (sealer(KeyForm::Audiostream), opener(KeyForm::Audiostream));
    sealer.skip_to((1 << 48) - 3, (1 << 31) - 2);
    for n in [0xfffe, 0xffff] {
        assert!(open(&mut opener, &seal(&mut sealer, &sound(n, 8))).is_ok());
    }
    for _ in 0..2 {
        assert!(open_report(&mut opener, &seal_report(&mut sealer, &report(4))).is_ok());
    }
}

#[test]
fn a_sealer_takes_what_goes_forward_only() {
    for form in FORMS {
        let mut sealer = sealer(form);
        let mut out = Vec::new();
        for (sequence, expected) in [
            (100, Ok(())),
            (100, Err(NotSealed::Repeated)),
            (99, Err(NotSealed::Repeated)),
            (101, Ok(())),
            (101 + 0x8000, Err(NotSealed::Repeated)),
            (101 + 0x7fff, Ok(())),
            (50, Ok(())),
        ] {
            assert_eq!(sealer.seal_rtp(&sound(sequence, 8), &mut out), expected, "{sequence}");
        }
    }
}

#[test]
fn a_sealer_takes_packets_of_its_source_only() {
    for form in FORMS {
        let mut sealer = Sealer::new(&key(form), Way::ToServer, NONCE, SSRC + 1);
        let mut out = vec![1];
        assert_eq!(sealer.seal_rtp(&sound(1, 8), &mut out), Err(NotSealed::Source));
        assert_eq!(sealer.seal_rtcp(&report(8), &mut out), Err(NotSealed::Source));
        let too_long = vec![0x80; 70_000];
        for not_rtp in [&sound(1, 8)[..11], &[0x40; 40], &[0x90; 14], &[], &too_long] {
            assert_eq!(sealer.seal_rtp(not_rtp, &mut out), Err(NotSealed::Header));
        }
        for not_rtcp in [&report(0)[..7], &[0x40; 40], &[], &too_long] {
            assert_eq!(sealer.seal_rtcp(not_rtcp, &mut out), Err(NotSealed::Header));
        }
        assert!(out.is_empty());
    }
}
