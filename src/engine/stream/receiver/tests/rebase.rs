//! Timestamps that begin anew while sequence numbers go on.

use super::*;

#[test]
fn prompts_that_begin_at_one_timestamp_are_heard_in_their_order() {
    let mut b = Bench::new(Wire::Rtp);
    let mut sequence = 65_000u16;
    for prompt in 0..5u64 {
        for n in 0..300u32 {
            b.rtp(sequence, 320 + n * FRAMES, prompt * 3_000 + u64::from(n) * 10);
            sequence = sequence.wrapping_add(1);
        }
    }
    assert_eq!(b.counts(), (1_500, 1_500, 0, 0, 0));
    assert_eq!(b.receiver.reception().resets, 4);
    for (n, head) in b.heads.iter().enumerate() {
        assert_eq!(u64::from(head.epoch), n as u64 / 300);
        assert_eq!(head.position.distance(b.heads[n / 300 * 300].position), (n % 300) as i64 * 441);
    }
}

#[test]
fn a_jump_back_by_anything_is_a_new_time_base_with_its_first_packet() {
    for back in [0, 1, 441, 4_410, 44_100, 3 * 44_100, 9 * 44_100] {
        for start in [0u32, 5 * 44_100, u32::MAX - 44_100] {
            for lost in [0u16, 1, 50] {
                let mut b = Bench::new(Wire::Rtp);
                (0..100).for_each(|n| {
                    b.rtp(n, start.wrapping_add(u32::from(n) * 441), u64::from(n) * 10);
                });
                let at = start.wrapping_add(99 * 441).wrapping_sub(back);
                let ms = 1_000 + u64::from(lost) * 10;
                assert_eq!(b.rtp(100 + lost, at, ms), Verdict::Rebased, "{back} {start} {lost}");
                assert_eq!(b.rtp(101 + lost, at.wrapping_add(441), ms + 10), Verdict::Accepted);
                let lost = u64::from(lost);
                assert_eq!(b.counts(), (102 + lost, 102, lost, 0, 0));
                assert_eq!(b.receiver.reception().resets, 1);
                assert_eq!(b.heads[101].position.distance(b.heads[100].position), 441);
            }
        }
    }
}

#[test]
fn what_is_really_reordered_is_no_new_time_base() {
    let mut b = Bench::new(Wire::Rtp);
    for n in [0, 1, 2, 4, 3, 7, 5, 6, 8] {
        b.nth(n, u64::from(n) * 10);
    }
    // The first of the new base is overtaken by the second.
    assert_eq!(b.rtp(10, 320 + 441, 100), Verdict::Rebased);
    assert_eq!(b.rtp(9, 320, 101), Verdict::Reordered);
    assert_eq!(b.counts(), (11, 11, 0, 0, 4));
    assert_eq!(b.heads[10].position.distance(b.heads[9].position), -441);
    assert_eq!((b.heads[10].epoch, b.receiver.reception().resets), (1, 1));
}

#[test]
fn a_jump_forward_is_no_longer_a_pause_than_has_passed() {
    let mut b = Bench::new(Wire::Rtp);
    (0..100).for_each(|n| {
        b.nth(n, u64::from(n) * 10);
    });
    // Eight seconds in ten milliseconds are none; in eight seconds they are a pause.
    assert_eq!(b.rtp(100, 100 * 441 + 8 * 44_100, 1_000), Verdict::Rebased);
    assert_eq!(b.rtp(101, 101 * 441 + 8 * 44_100, 1_010), Verdict::Accepted);
    assert_eq!(b.rtp(102, 102 * 441 + 16 * 44_100, 9_020), Verdict::Accepted);
    assert_eq!((b.heads[102].epoch, b.receiver.reception().resets), (1, 1));
}
