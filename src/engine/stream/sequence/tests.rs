use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const RATE: u32 = 44_100;

fn tracker_of(sequences: &[u16]) -> SequenceTracker {
    let mut tracker = SequenceTracker::new(RATE);
    for (i, &s) in sequences.iter().enumerate() {
        let extended = tracker.extend(s);
        tracker.count(extended, u32::from(s) * 441, Micros(i as u64 * 10_000));
    }
    tracker
}

fn counts(sequences: &[u16]) -> (u64, u64, u64, u64, u64) {
    let r = tracker_of(sequences).reception();
    (r.expected, r.received, r.lost, r.duplicated, r.reordered)
}

#[test]
fn nothing_is_lost_of_a_stream_that_wraps() {
    assert_eq!(counts(&[65_534, 65_535, 0, 1]), (4, 4, 0, 0, 0));
}

#[test]
fn what_is_known_survives_a_rest() {
    for losses in [3, 100] {
        let came: Vec<u16> = (1000..21_000).filter(|n| n % (20_000 / losses) != 7).collect();
        let (mut awake, mut rested) = (tracker_of(&came), tracker_of(&came));
        rested.rest();
        let same = |a: &SequenceTracker, b: &SequenceTracker| {
            (0..30_000).all(|n| a.place(a.extend(n)) == b.place(b.extend(n)))
        };
        assert!(same(&awake, &rested));
        for n in [20_999, 20_007, 21_005, 21_003] {
            let at = Micros(1 << 40);
            assert_eq!(awake.count(awake.extend(n), 0, at), rested.count(rested.extend(n), 0, at));
        }
        assert!(same(&awake, &rested));
        assert_eq!(awake.reception(), rested.reception());
    }
}

#[test]
fn the_first_packet_is_never_lost() {
    assert_eq!(counts(&[42]), (1, 1, 0, 0, 0));
    assert_eq!(counts(&[]), (0, 0, 0, 0, 0));
}

#[test]
fn a_gap_of_n_counts_n() {
    assert_eq!(counts(&[65_530, 65_531, 4, 5]), (12, 4, 8, 0, 0));
}

#[test]
fn a_late_packet_is_not_a_lost_one() {
    assert_eq!(counts(&[1, 2, 4, 5, 3]), (5, 5, 0, 0, 1));
}

#[test]
fn a_doubled_packet_makes_up_for_no_loss() {
    assert_eq!(counts(&[1, 2, 2, 2, 4]), (4, 5, 1, 2, 0));
}

#[test]
fn what_comes_before_the_first_was_expected_too() {
    assert_eq!(counts(&[0, 65_534, 1]), (4, 3, 1, 0, 1));
}

#[test]
fn a_packet_older_than_the_window_counts_as_a_copy() {
    let mut tracker = SequenceTracker::new(RATE);
    tracker.count(100_000, 0, Micros(0));
    tracker.count(100_000 + WINDOW as u64 + 1, 0, Micros(0));
    assert_eq!(tracker.place(100_001), Place::Copy(WINDOW as u64));
    assert_eq!(tracker.place(100_002), Place::Behind(WINDOW as u64 - 1));
}

#[test]
fn a_repaired_packet_is_counted_once_and_not_when_it_comes_after_all() {
    let mut tracker = tracker_of(&[10, 14]);
    let at = |s: u16| FIRST_CYCLE + u64::from(s);
    for s in [12, 13, 13, 14, 10, 3, 99] {
        tracker.repair(at(s));
    }
    let r = tracker.reception();
    // What came before the first packet may have been sent, and is lost only if an earlier one comes.
    assert_eq!((r.lost, r.repaired), (3, 2));
    tracker.count(at(13), 0, Micros(0));
    tracker.repair(at(13));
    let r = tracker.reception();
    assert_eq!((r.lost, r.repaired), (2, 1));
}

#[test]
fn counts_go_on_over_a_restart() {
    let mut tracker = tracker_of(&[10, 11, 13]);
    tracker.restart();
    for s in [5, 5, 7] {
        let extended = tracker.extend(s);
        tracker.count(extended, 0, Micros(0));
    }
    let r = tracker.reception();
    assert_eq!((r.expected, r.received, r.lost, r.duplicated, r.restarts), (4 + 3, 6, 2, 1, 1));
}

#[test]
fn an_even_stream_has_no_jitter_and_an_uneven_one_what_the_rfc_says() {
    assert!(tracker_of(&[1, 2, 3, 4, 5]).reception().jitter_frames < 1e-9);
    let mut tracker = SequenceTracker::new(RATE);
    let (mut expected, mut sum) = (0.0, 0.0);
    for i in 0..100u64 {
        // Every other packet is 1 ms late, so that every difference is 44.1 frames.
        tracker.count(FIRST_CYCLE + i, i as u32 * 441, Micros(i * 10_000 + i % 2 * 1000));
        if i > 0 {
            expected += (44.1 - expected) / 16.0;
            sum += expected;
        }
    }
    assert!((tracker.reception().jitter_frames - expected).abs() < 1e-9);
    assert!((tracker.reception().jitter_mean_frames - sum / 99.0).abs() < 1e-9);
}

#[test]
fn a_late_packet_adds_to_the_jitter_once() {
    let mut tracker = SequenceTracker::new(RATE);
    for (i, ms) in [(0, 0), (2, 20), (1, 20), (3, 30)] {
        tracker.count(FIRST_CYCLE + i, i as u32 * 441, Micros(ms * 1000));
    }
    // The late one is 10 ms off the newest; the next is compared with the newest again, and in time.
    let expected = 441.0 / 16.0 * (15.0 / 16.0);
    assert!((tracker.reception().jitter_frames - expected).abs() < 1e-9);
    // Three differences: none, the late one's, which stands for the mean so far, and the last.
    assert!((tracker.reception().jitter_mean_frames - expected / 3.0).abs() < 1e-9);
}

proptest! {
    /// Any loss, doubling and swapping within the window, over several wraps, against a plain set.
    #[test]
    fn it_agrees_with_a_set(
        first: u16,
        steps in prop::collection::vec((0u64..2500, 0u64..10_000, 1u64..4), 1..300),
    ) {
        let mut tracker = SequenceTracker::new(RATE);
        let mut set = BTreeSet::new();
        let (mut received, mut reordered) = (0, 0);
        let mut newest = FIRST_CYCLE + u64::from(first);
        for (ahead, behind, copies) in steps {
            let (ahead, behind) = if set.is_empty() { (0, 0) } else { (ahead, behind.min(8000)) };
            newest += ahead;
            let sequence = newest - behind.min(newest - FIRST_CYCLE);
            for _ in 0..copies {
                let extended = tracker.extend(sequence as u16);
                prop_assert_eq!(extended, sequence);
                tracker.count(extended, 0, Micros(0));
                received += 1;
                if set.last().is_some_and(|&last| sequence < last) && !set.contains(&sequence) {
                    reordered += 1;
                }
                set.insert(sequence);
            }
            newest = newest.max(sequence);
            let r = tracker.reception();
            let expected = set.last().unwrap() - set.first().unwrap() + 1;
            prop_assert_eq!(r.expected, expected);
            prop_assert_eq!(r.received, received);
            prop_assert_eq!(r.duplicated, received - set.len() as u64);
            prop_assert_eq!(r.lost, expected - set.len() as u64);
            prop_assert_eq!(r.reordered, reordered);
            prop_assert_eq!(r.lost, r.expected + r.duplicated - r.received);
        }
    }
}
