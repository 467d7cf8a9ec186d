use super::*;
use crate::engine::record::sidecar::Gap;
use crate::engine::stream::queue::Position;
use proptest::prelude::*;
use std::collections::BTreeMap;

const ORIGIN: u64 = 1 << 33;

/// A tape that remembers.
#[derive(Default)]
struct Sheet(Vec<i16>, usize);

impl Tape for Sheet {
    fn sound(&mut self, samples: &[i16]) {
        self.0.extend(samples);
    }
    fn silence(&mut self, frames: u64) {
        assert!(frames < 100_000_000, "an unbounded gap");
        self.0.resize(self.0.len() + frames as usize * self.1.max(1), 0);
    }
    fn patch(&mut self, frame: u64, samples: &[i16]) {
        let at = frame as usize * self.1.max(1);
        self.0[at..at + samples.len()].copy_from_slice(samples);
    }
    fn add(&mut self, frame: u64, samples: &[i16]) {
        let at = frame as usize * self.1.max(1);
        for (there, sample) in self.0[at..].iter_mut().zip(samples) {
            *there = there.saturating_add(*sample);
        }
    }
}

/// 8 kHz: 8 frames are a millisecond.
fn mono() -> Format {
    Format::new(8_000, 1).unwrap()
}

fn head(source: u32, epoch: u32, frame: u64, arrival_ms: u64) -> Head {
    Head {
        source,
        epoch,
        position: Position(ORIGIN + frame),
        arrival: Micros(3_600_000_000 + arrival_ms * 1000),
        ..Head::default()
    }
}

struct Run {
    assembly: Assembly,
    sheet: Sheet,
}

impl Run {
    fn new(patience_ms: u64) -> Self {
        let assembly = Assembly::new(mono(), Duration::from_millis(patience_ms));
        Self { assembly, sheet: Sheet::default() }
    }

    fn take(&mut self, head: Head, samples: &[i16]) {
        let cut = samples.len() / 3;
        self.assembly.take(&head, &samples[..cut], &samples[cut..], &mut self.sheet);
    }

    /// A stretch of sound in packets of 10 ms, each arriving when its first frame is due.
    fn play(&mut self, source: u32, epoch: u32, frame: u64, from_ms: u64, ms: u64, value: i16) {
        for k in 0..ms / 10 {
            self.take(head(source, epoch, frame + k * 80, from_ms + k * 10), &[value; 80]);
        }
    }

    fn done(mut self) -> Vec<i16> {
        self.assembly.finish(&mut self.sheet);
        assert_eq!(self.assembly.written(), self.sheet.0.len() as u64);
        self.sheet.0
    }

    fn tally(&self, source: u32) -> &crate::engine::record::tally::Tally {
        self.assembly.lanes().find(|(n, _)| *n == source).unwrap().1.tally()
    }
}

/// The lengths and values of the stretches of a recording.
fn stretches(samples: &[i16]) -> Vec<(usize, i16)> {
    let mut out: Vec<(usize, i16)> = Vec::new();
    for &s in samples {
        match out.last_mut() {
            Some((count, value)) if *value == s => *count += 1,
            _ => out.push((1, s)),
        }
    }
    out
}

#[test]
fn all_but_a_moment_is_written_at_once() {
    let mut run = Run::new(1000);
    for k in 0..200 {
        run.play(1, 0, k * 80, k * 10, 10, 1);
        let behind = (k + 1) * 80 - run.assembly.written();
        assert!(behind <= 130 * 8, "{behind} frames after {k} packets");
    }
    assert_eq!(stretches(&run.done()), [(2_000 * 8, 1)]);
}

#[test]
fn a_first_packet_that_comes_second_is_still_first() {
    let mut run = Run::new(1000);
    run.take(head(1, 0, 8_000 - 80, 0), &[2; 80]);
    run.take(head(1, 0, 3_000, 1), &[1; 80]);
    run.take(head(1, 0, 2_000, 2), &[3; 80]);
    let got = stretches(&run.done());
    assert_eq!(got, [(80, 3), (920, 0), (80, 1), (4840, 0), (80, 2)]);
}

#[test]
fn a_pause_is_silence_of_its_own_length_and_listed() {
    let mut run = Run::new(1000);
    run.play(1, 0, 0, 0, 500, 1);
    run.assembly.settle(Micros(3_600_000_000 + 3_000_000), &mut run.sheet);
    assert_eq!(run.assembly.written(), 4_000);
    run.play(1, 0, 60_000 * 8, 60_000, 500, 2);
    run.assembly.finish(&mut run.sheet);
    assert!(run.tally(1).gaps().eq([Gap { frame: 4_000, frames: 59_500 * 8 }]));
    assert_eq!(run.tally(1).frames, 8_000);
    assert_eq!(stretches(&run.done()), [(4_000, 1), (59_500 * 8, 0), (4_000, 2)]);
}

#[test]
fn a_packet_later_than_the_patience_is_counted_and_not_written() {
    let mut run = Run::new(500);
    run.play(1, 0, 0, 0, 100, 1);
    run.play(1, 0, 110 * 8, 110, 1_000, 1);
    run.take(head(1, 0, 100 * 8, 1_110), &[9; 80]);
    assert_eq!(run.assembly.counts().too_late_frames, 80);
    assert_eq!(run.tally(1).late_frames, 80);
    assert_eq!(stretches(&run.done()), [(800, 1), (80, 0), (8_000, 1)]);
}

#[test]
fn two_sources_are_summed_each_in_its_place() {
    let mut run = Run::new(500);
    for k in 0..300 {
        run.take(head(1, 0, k * 80, k * 10), &[20_000; 80]);
        if (100..200).contains(&k) {
            run.take(head(2, 0, 7 + k * 80, k * 10), &[20_000; 80]);
        }
    }
    assert_eq!(stretches(&run.done()), [(8_000, 20_000), (8_000, 32_767), (8_000, 20_000)]);
}

#[test]
fn between_two_lives_the_clock_runs_on() {
    let mut run = Run::new(500);
    run.play(1, 0, 0, 0, 1_000, 1);
    run.assembly.settle(Micros(3_600_000_000 + 5_000_000), &mut run.sheet);
    run.play(2, 0, 999, 20_000, 1_000, 2);
    assert_eq!(stretches(&run.done()), [(8_000, 1), (152_000, 0), (8_000, 2)]);
}

#[test]
fn a_new_epoch_is_placed_by_arrival_behind_the_old_one() {
    let mut run = Run::new(500);
    run.play(1, 0, 0, 0, 1_000, 1);
    run.play(1, 1, 1 << 40, 1_500, 300, 2);
    // It starts anew while its old sound is still to be heard.
    run.play(1, 2, 5, 1_700, 1_000, 3);
    run.assembly.finish(&mut run.sheet);
    assert_eq!(run.tally(1).epochs, 3);
    assert_eq!(stretches(&run.done()), [(8_000, 1), (4_000, 0), (2_400, 2), (8_000, 3)]);
}

#[test]
fn a_jump_that_the_clock_denies_makes_no_gap() {
    let mut run = Run::new(500);
    run.play(1, 0, 0, 0, 1_000, 1);
    // A stray: it must come somewhere, and that is behind what goes on.
    run.take(head(1, 0, 1 << 40, 1_000), &[9; 80]);
    run.play(1, 0, 8_000, 1_000, 1_000, 1);
    run.assembly.finish(&mut run.sheet);
    let got = run.done();
    assert_eq!(stretches(&got), [(16_000, 1), (80, 9)]);
}

#[test]
fn gaps_never_outgrow_the_clock() {
    let mut run = Run::new(500);
    for k in 0..1_000u64 {
        run.take(head(1, 0, k * 72_000, k), &[1; 80]);
    }
    assert!(run.done().len() < 8_000 * 40);
}

#[test]
fn a_source_alone_may_be_faster_than_the_clock() {
    let mut run = Run::new(500);
    let samples: Vec<i16> = (0..800_000).map(|i| i as i16).collect();
    for (k, packet) in samples.chunks(80).enumerate() {
        run.take(head(1, 0, k as u64 * 80, k as u64 / 100), packet);
    }
    assert_eq!(run.done(), samples);
}

#[test]
fn one_that_runs_ahead_does_not_tear_the_others_apart() {
    let mut run = Run::new(500);
    for k in 0..3_000u64 {
        run.take(head(1, 0, k * 80, k * 10), &[1; 80]);
        for j in 0..10 {
            run.take(head(2, 0, (k * 10 + j) * 80, k * 10), &[2; 80]);
        }
    }
    run.assembly.finish(&mut run.sheet);
    assert_eq!(run.assembly.counts(), Counts::default());
    assert_eq!(stretches(&run.done()), [(240_000, 3), (9 * 240_000, 2)]);
}

#[test]
fn a_clock_that_drifts_is_set_forward_without_losing_sound() {
    // Source 2 runs 1 % slow against source 1, for three minutes: 1.8 s in all.
    let mut run = Run::new(1_000);
    let (mut sent, packets) = (0u64, 18_000u64);
    for k in 0..packets {
        run.take(head(1, 0, k * 80, k * 10), &[1; 80]);
        if sent * 1010 <= k * 1000 {
            run.take(head(2, 0, sent * 80, k * 10), &[2; 80]);
            sent += 1;
        }
    }
    run.assembly.finish(&mut run.sheet);
    assert_eq!(run.tally(1).frames, packets * 80);
    assert_eq!(run.tally(2).frames, sent * 80);
    assert_eq!(run.assembly.counts(), Counts::default());
    let gaps: Vec<Gap> = run.tally(2).gaps().collect();
    assert!((1..=4).contains(&gaps.len()), "{gaps:?}");
}

#[test]
fn a_sender_whose_positions_rest_in_pauses_goes_on_where_the_clock_is() {
    let mut run = Run::new(500);
    for k in 0..1_000u64 {
        run.take(head(1, 0, k * 80, k * 10), &[1; 80]);
        if k < 100 {
            run.take(head(2, 0, k * 80, k * 10), &[2; 80]);
        } else if k >= 500 {
            run.take(head(2, 0, (k - 400) * 80, k * 10), &[2; 80]);
        }
    }
    assert_eq!(stretches(&run.done()), [(8_000, 3), (32_000, 1), (40_000, 3)]);
}

#[test]
fn stereo_frames_survive_the_rings_end() {
    let format = Format::new(8_000, 2).unwrap();
    let mut assembly = Assembly::new(format, Duration::from_millis(500));
    let mut sheet = Sheet(Vec::new(), 2);
    assembly.take(&head(1, 0, 0, 0), &[1, 2, 3], &[4, 5, 6], &mut sheet);
    assembly.take(&head(1, 0, 5, 0), &[7, 8], &[], &mut sheet);
    assembly.finish(&mut sheet);
    assert_eq!(sheet.0, [1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 7, 8]);
}

#[test]
fn hostile_heads_do_no_harm() {
    let mut run = Run::new(500);
    for position in [0, 1, ORIGIN, (1 << 60) - 1, 1 << 60, u64::MAX] {
        for arrival in [0, 1, 3_600_000_000, u64::MAX / 1_000_000] {
            for epoch in [0, 5, 1, u32::MAX] {
                let position = Position(position);
                let head = Head { position, arrival: Micros(arrival), epoch, ..Head::default() };
                run.take(head, &[1; 30]);
                run.take(head, &[]);
                run.take(Head { source: epoch, ..head }, &[1; 200]);
            }
        }
    }
    let counts = run.assembly.counts();
    assert!(counts.refused_packets > 0);
}

#[test]
fn sources_without_end_are_forgotten_in_turn() {
    let mut run = Run::new(50);
    for k in 0..MAX_LANES as u64 + 500 {
        run.take(head(k as u32, 0, 0, k * 100), &[1; 80]);
    }
    assert!(run.assembly.lanes().count() <= MAX_LANES);
    assert_eq!(run.assembly.counts().forgotten_sources, 500);
    assert_eq!(run.assembly.counts().refused_packets, 0);
}

#[derive(Clone, Debug)]
struct Sent {
    frames: usize,
    pause: u64,
    delay_ms: u64,
    copy_delay_ms: Option<u64>,
    lost: bool,
}

fn sent() -> impl Strategy<Value = Sent> {
    (
        1usize..300,
        prop_oneof![20 => Just(0u64), 1 => 1u64..40_000],
        0u64..400,
        prop_oneof![4 => Just(None), 1 => (0u64..400).prop_map(Some)],
        prop::bool::weighted(0.1),
    )
        .prop_map(|(frames, pause, delay_ms, copy_delay_ms, lost)| Sent {
            frames,
            pause,
            delay_ms,
            copy_delay_ms,
            lost,
        })
}

/// Head, samples: as they arrive.
type Arrived = Vec<(Head, Vec<i16>)>;

/// What arrives of a source, and its frames by position.
fn deliver(source: u32, packets: &[Sent], delayed: bool) -> (Arrived, BTreeMap<u64, i16>) {
    let mut arrived = Arrived::new();
    let mut frames = BTreeMap::new();
    let mut at = 0u64;
    for (number, packet) in packets.iter().enumerate() {
        at += packet.pause;
        let samples: Vec<i16> =
            (0..packet.frames).map(|k| (number as i16 + 1) * 50 + k as i16 % 40).collect();
        let mut send = |delay_ms: u64| {
            let mut head = head(source, 0, at, delay_ms * u64::from(delayed));
            head.arrival = head.arrival + Duration::from_micros(at * 125);
            arrived.push((head, samples.clone()));
        };
        if !packet.lost {
            send(packet.delay_ms);
            if let Some(delay_ms) = packet.copy_delay_ms {
                send(delay_ms);
            }
            frames.extend(samples.iter().enumerate().map(|(k, &s)| (at + k as u64, s)));
        }
        at += packet.frames as u64;
    }
    (arrived, frames)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// A source alone: whatever the order within the patience, losses and copies.
    #[test]
    fn the_order_of_arrival_leaves_no_trace(
        packets in prop::collection::vec(sent(), 1..120), settle in any::<bool>(),
    ) {
        let (mut arrived, frames) = deliver(1, &packets, true);
        arrived.sort_by_key(|(head, _)| head.arrival);
        let mut run = Run::new(500);
        for (head, samples) in &arrived {
            if settle {
                run.assembly.settle(head.arrival, &mut run.sheet);
            }
            run.take(*head, samples);
        }
        run.assembly.finish(&mut run.sheet);
        if let Some((&first, _)) = frames.first_key_value() {
            let last = *frames.last_key_value().unwrap().0;
            let want: Vec<i16> = (first..=last).map(|f| frames.get(&f).copied().unwrap_or(0)).collect();
            let tally = run.tally(1);
            let gaps: u64 = tally.gaps().map(|g| g.frames).sum();
            prop_assert_eq!(tally.frames, frames.len() as u64);
            prop_assert_eq!(gaps + tally.frames, want.len() as u64);
            prop_assert_eq!(run.done(), want);
        }
    }

    /// Two sources: the sum of both, each placed by the arrival of its first frame.
    #[test]
    fn two_sources_make_the_sum_of_both(
        first in prop::collection::vec(sent(), 1..60),
        second in prop::collection::vec(sent(), 1..60),
        offset_ms in 0u64..3_000,
    ) {
        let (mut arrived, one) = deliver(1, &first, false);
        let (later, two) = deliver(2, &second, false);
        arrived.extend(later.into_iter().map(|(mut head, samples)| {
            head.arrival = head.arrival + Duration::from_millis(offset_ms);
            (head, samples)
        }));
        arrived.sort_by_key(|(head, _)| head.arrival);
        prop_assume!(!one.is_empty() || !two.is_empty());
        let shift = offset_ms * 8;
        let mut want = BTreeMap::<u64, i16>::new();
        for (at, sample) in one.iter().map(|(a, s)| (*a, *s)).chain(two.iter().map(|(a, s)| (a + shift, *s))) {
            let total = want.entry(at).or_default();
            *total = total.saturating_add(sample);
        }
        let start = *want.first_key_value().unwrap().0;
        let end = *want.last_key_value().unwrap().0;
        let want: Vec<i16> = (start..=end).map(|f| want.get(&f).copied().unwrap_or(0)).collect();
        let mut run = Run::new(500);
        for (head, samples) in &arrived {
            run.take(*head, samples);
        }
        prop_assert_eq!(run.done(), want);
    }

    /// Anything at all: bounded, and no panic.
    #[test]
    fn noise_stays_bounded(
        packets in prop::collection::vec(
            (0u32..4, 0u32..3, prop_oneof![0u64..20_000, 0u64..1 << 61], 0u64..5_000, 0usize..200), 1..200),
    ) {
        let mut run = Run::new(200);
        for (source, epoch, frame, arrival, frames) in packets {
            run.take(head(source, epoch, frame, arrival), &vec![1; frames]);
        }
        prop_assert!(run.done().len() < 8_000 * 300);
    }
}

/// Every frame that came is written, late, a copy or refused.
fn identity(run: &Run, frames: u64) {
    let tallies: Vec<_> = run.assembly.lanes().map(|(_, lane)| lane.tally()).collect();
    let sum = |count: fn(&crate::engine::record::tally::Tally) -> u64| -> u64 {
        tallies.iter().map(|t| count(t)).sum()
    };
    let counts = run.assembly.counts();
    assert_eq!(sum(|t| t.late_frames), counts.too_late_frames);
    assert_eq!(
        sum(|t| t.frames) + sum(|t| t.doubled_frames) + counts.too_late_frames + counts.refused_frames,
        frames
    );
}

#[test]
fn bursts_are_in_their_place_alone_and_beside_another() {
    // 200 s of sound: nothing for 20 s, then all of it at once; another speaks all the time.
    for others in [false, true] {
        let mut run = Run::new(3_000);
        for k in 0..20_000u64 {
            if others {
                run.take(head(1, 0, k * 80, k * 10), &[1; 80]);
            }
            if k % 2_000 == 1_999 {
                for j in k - 1_999..=k {
                    run.take(Head { sequence: j, ..head(2, 0, j * 80, k * 10) }, &[2; 80]);
                }
            }
        }
        run.assembly.finish(&mut run.sheet);
        identity(&run, 20_000 * 80 * if others { 2 } else { 1 });
        assert_eq!(run.assembly.counts(), Counts::default());
        assert_eq!(run.tally(2).gaps().count(), 0);
        let got = stretches(&run.done());
        // The other is heard first; the first burst came 20 s later, and is no more than 120 ms late.
        let want =
            if others { vec![(158_960, 1), (1_441_040, 3), (158_960, 2)] } else { vec![(1_600_000, 2)] };
        assert_eq!(got, want);
    }
}

#[test]
fn a_sender_that_stops_for_20_s_and_catches_up_is_whole_and_where_it_was() {
    let mut run = Run::new(3_000);
    for k in 0..7_500u64 {
        run.take(head(1, 0, k * 80, k * 10), &[1; 80]);
        let due = if (2_000..4_000).contains(&k) {
            0..0
        } else if k == 4_000 {
            2_000..4_001
        } else {
            k..k + 1
        };
        for j in due {
            run.take(Head { sequence: j, ..head(2, 0, j * 80, k * 10) }, &[2; 80]);
        }
    }
    run.assembly.finish(&mut run.sheet);
    identity(&run, 15_000 * 80);
    assert_eq!(stretches(&run.done()), [(7_500 * 80, 3)]);
}

#[test]
fn who_is_faster_than_real_time_changes_nothing_of_anothers_part() {
    let speaker = |fast: bool| {
        let mut run = Run::new(3_000);
        for k in 0..3_000u64 {
            run.take(head(1, 0, k * 80, k * 10 + k % 7), &[(k % 90) as i16 + 1; 80]);
            // From the 5th second on, fifty packets of silence for each of its own.
            for j in 0..if fast && k >= 500 { 50 } else { 0 } {
                run.take(head(2, 0, ((k - 500) * 50 + j) * 80, k * 10), &[0; 80]);
            }
        }
        run.assembly.finish(&mut run.sheet);
        assert_eq!(run.assembly.counts(), Counts::default());
        run.sheet.0
    };
    let (alone, beside) = (speaker(false), speaker(true));
    assert_eq!(beside.len(), (500 - 12 + 2_500 * 50) * 80);
    assert_eq!(alone, beside[..alone.len()]);
}

#[test]
fn a_source_that_begins_anew_all_the_time_changes_nothing_of_one_that_catches_up() {
    let mut run = Run::new(3_000);
    for k in 0..7_500u64 {
        let due = if (2_000..4_000).contains(&k) {
            0..0
        } else if k == 4_000 {
            2_000..4_001
        } else {
            k..k + 1
        };
        run.take(head(1, 0, k * 80, k * 10), &[1; 80]);
        for j in due {
            run.take(Head { sequence: j, ..head(2, 0, j * 80, k * 10) }, &[2; 80]);
            if j % 10 == 0 {
                run.take(head(3, j as u32, 7, k * 10), &[4; 80]);
            }
        }
    }
    run.assembly.finish(&mut run.sheet);
    identity(&run, (15_000 + 750) * 80);
    let sound = run.done();
    let own: Vec<i16> = sound.iter().map(|s| s & 3).collect();
    assert_eq!(stretches(&own)[0], (7_500 * 80, 3));
}

#[test]
fn timestamps_that_begin_anew_lose_nothing_and_are_listed() {
    use crate::engine::record::tally::{Change, ChangeKind};
    let mut run = Run::new(3_000);
    for prompt in 0..5u64 {
        for k in 0..300 {
            let now = (prompt * 300 + k) * 10;
            let head = head(1, prompt as u32, 320 + k * 80, now);
            run.take(Head { sequence: prompt * 300 + k, ..head }, &[prompt as i16 + 1; 80]);
        }
    }
    run.assembly.finish(&mut run.sheet);
    identity(&run, 1_500 * 80);
    let resets: Vec<Change> = (1..5).map(|n| Change { frame: n * 24_000, kind: ChangeKind::Reset }).collect();
    assert_eq!(run.tally(1).changes(), resets);
    assert_eq!(stretches(&run.done()), [1, 2, 3, 4, 5].map(|n| (24_000, n)));
}

#[test]
fn another_coding_is_listed_where_it_begins() {
    use crate::engine::record::tally::{Change, ChangeKind};
    let mut run = Run::new(500);
    for k in 0..300u64 {
        let payload_type = if (100..200).contains(&k) { 8 } else { 0 };
        // Two come in the wrong order where it changes.
        let k = if k == 99 {
            100
        } else if k == 100 {
            99
        } else {
            k
        };
        let payload_type = if k == 99 {
            0
        } else if k == 100 {
            8
        } else {
            payload_type
        };
        run.take(Head { sequence: k, payload_type, ..head(1, 0, k * 80, k * 10) }, &[1; 80]);
    }
    let change = |frame, coding| Change { frame, kind: ChangeKind::Coding(coding) };
    assert_eq!(run.tally(1).changes(), [change(8_000, 8), change(16_000, 0)]);
}

#[test]
fn a_source_that_jumps_about_is_recorded_all_the_same() {
    // Its positions leap to and fro within an epoch, its sequence numbers go on: every leap is a place of its own.
    let mut run = Run::new(500);
    let mut sequence = 0;
    for (leap, base) in [0u64, 1 << 30, 5_000, 1 << 40, 77, 1 << 20, 3, 1 << 50].into_iter().enumerate() {
        for k in 0..100 {
            let head = head(1, 0, base + k * 80, (leap as u64 * 100 + k) * 10);
            run.take(Head { sequence, ..head }, &[leap as i16 + 1; 80]);
            sequence += 1;
        }
    }
    run.assembly.finish(&mut run.sheet);
    identity(&run, 800 * 80);
    assert_eq!(run.tally(1).frames, 800 * 80, "{:?} {:?}", run.assembly.counts(), run.tally(1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Pauses, bursts, lies, copies: no frame is unaccounted for, and the recording is no longer than the clock and the sound allow.
    #[test]
    fn every_frame_is_accounted_for(
        packets in prop::collection::vec(
            (0u32..3, prop_oneof![30 => Just(0u64), 1 => 1u64..400_000], prop_oneof![10 => Just(10u64), 1 => 0u64..8_000],
             prop_oneof![20 => Just(0u64), 1 => 1u64..60], prop::bool::weighted(0.02)), 1..400),
    ) {
        let mut run = Run::new(500);
        let (mut now, mut frames) = (0, 0);
        let mut next = [(0u32, 0u64, 0u64); 3];
        for (source, jump, wait, back, anew) in packets {
            now += wait;
            let (epoch, sequence, position) = &mut next[source as usize];
            if anew {
                *epoch += 1;
                *position = 7;
            }
            *position += jump;
            let at = position.saturating_sub(back * 80);
            let head = Head { sequence: sequence.saturating_sub(back), ..head(source, *epoch, at, now) };
            run.take(head, &[1; 80]);
            run.assembly.settle(Micros(3_600_000_000 + now * 1000), &mut run.sheet);
            (*sequence, *position) = (*sequence + 1, *position + 80);
            frames += 80;
        }
        run.assembly.finish(&mut run.sheet);
        identity(&run, frames);
        prop_assert!(run.assembly.written() <= now * 8 + frames + 4 * 10 * 8_000);
    }
}
