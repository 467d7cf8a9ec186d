//! Where packets begin within pulls.

use super::*;

/// A length of packets and one of pulls, and how far apart the places are where packets begin: one frame where none are
/// kept.
const PAIRS: [(u32, usize, usize); 9] = [
    (441, 441, 441),
    (220, 220, 220),
    (110, 110, 1),
    (110, 220, 1),
    (220, 110, 1),
    (441, 882, 441),
    (882, 441, 441),
    (220, 441, 1),
    (441, 1024, 1),
];

/// The delays, µs, at which each tenth of a block of phase between packets and pulls is played.
fn delays(packet: u32, block: usize) -> Vec<f64> {
    let length = 3 * S;
    let tenths = (0..10u32).map(|tenth| {
        let phase = Format::DEFAULT.duration(block as u64) * tenth / 10;
        let mut rig = Rig::new(&scenario(packet, length), block, Bounds::default());
        let start = START - 500 * MS + Duration::from_micros(7) + phase;
        let mut heard = Vec::new();
        for call in calls(SoundCard::new(start, RATE, block, 0).late_by(MS / 2, 1), length - 100 * MS) {
            heard.extend(ints(rig.pull(call).sound));
        }
        let f = rig.figures();
        let start = heard.iter().position(|s| *s != 0).unwrap();
        let label = format!("packet {packet}, block {block}, phase {tenth}: {f:?}");
        assert!(heard.len() - start > 2 * RATE as usize && is_ramp(&heard[start..]), "{label}");
        assert_eq!((f.underruns, f.frames_concealed, f.late_packets, f.resets), (0, 0, 0, 0), "{label}");
        assert!((f.delay_ms - f.delay_target_ms).abs() < 1.5, "{label}");
        f.delay_ms * 1e3
    });
    tenths.collect()
}

#[test]
fn a_steady_stream_waits_for_the_pull_that_needs_it_and_no_longer() {
    for (packet, block, cell) in PAIRS {
        let delays = delays(packet, block);
        let most = delays.iter().copied().fold(0.0, f64::max);
        let mean = delays.iter().sum::<f64>() / 10.0;
        println!("packet {packet}, block {block}: {mean:.0} us, {most:.0} us at most");
        // What lies between the first and the last place, a margin of a millisecond, the lateness of the calls; and as
        // much of a cell as the phase happens to be: half of one, taken over all.
        let frame = 1e6 / f64::from(RATE);
        let least = (block - cell) as f64 * frame + 1_500.0;
        assert!(most < least + cell as f64 * frame, "packet {packet}, block {block}: {most}");
        assert!(mean < least + (0.5 * cell as f64) * frame + 100.0, "packet {packet}, block {block}: {mean}");
    }
}

#[test]
fn a_phase_that_slides_is_followed_before_a_pull_finds_nothing() {
    let (length, phases) = if cfg!(debug_assertions) {
        (20 * S, [0, 6].iter())
    } else {
        (45 * S, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].iter())
    };
    for (packet, block) in [(441, 441), (220, 220), (441, 882)] {
        for ppm in [300, 100, -50, -100, -300] {
            for phase in phases.clone() {
                let mut rig = Rig::new(&scenario(packet, length).sender_ppm(ppm), block, Bounds::default());
                rig.sound = voice;
                let tenth = Format::DEFAULT.duration(block as u64) / 10;
                let start = START - 500 * MS + Duration::from_micros(7) + tenth * *phase;
                let card = SoundCard::new(start, RATE, block, 0).late_by(MS / 2, 1);
                let mut highest = 0.0f64;
                for call in calls(card, length - 100 * MS) {
                    highest = highest.max(rig.pull(call).figures.delay_ms);
                }
                let f = rig.figures();
                let label =
                    format!("packet {packet}, block {block}, {ppm} ppm, phase {phase}: {highest}, {f:?}");
                // Where packets come hardly before they are needed, a sender slow by 300 ppm can use that up before its
                // drift is known: once.
                let near = ppm < -100 && ![0, 6].contains(phase);
                let (most, frames) = if near { (1, block as u64 + 20) } else { (0, 0) };
                assert!(f.underruns <= most && f.frames_concealed <= frames, "{label}");
                assert_eq!((f.late_packets, f.resets), (0, 0), "{label}");
                let block_ms = 1e3 * block as f64 / f64::from(RATE);
                assert!(highest < block_ms + 8.0, "{label}");
            }
        }
    }
}

#[test]
fn after_a_stall_packets_are_back_at_their_places() {
    for (packet, block) in [(441, 441), (220, 220), (441, 882)] {
        for tenth in 0..10 {
            let length = 20 * S;
            let mut rig =
                Rig::new(&scenario(packet, length).stall(3 * S, 100 * MS), block, Bounds::default());
            rig.sound = voice;
            let phase = Format::DEFAULT.duration(block as u64) * tenth / 10;
            let card = SoundCard::new(START - 500 * MS + Duration::from_micros(7) + phase, RATE, block, 0);
            let mut before = Playback::default();
            for call in calls(card, length - 100 * MS) {
                let h = rig.pull(call);
                if h.at.since(START) < 3 * S {
                    before = h.figures;
                }
            }
            let f = rig.figures();
            let label = format!("packet {packet}, block {block}, phase {tenth}: {before:?}, then {f:?}");
            // Less than the shortest period cannot be left out.
            assert!((f.delay_ms - before.delay_ms).abs() < 2.6, "{label}");
            assert_eq!((f.underruns, f.late_packets, f.resets), (1, 0, 0), "{label}");
        }
    }
}

#[test]
fn a_source_that_was_held_back_begins_with_what_is_due() {
    for (packet, block) in [(441, 441), (220, 220), (110, 110)] {
        for held in [40, 61, 97, 333] {
            let length = 3 * S;
            let mut rig = Rig::new(&scenario(packet, length), block, Bounds::default());
            let card = SoundCard::new(START + held * MS, RATE, block, 0);
            let mut highest = 0.0f64;
            for call in calls(card, length - 100 * MS) {
                highest = highest.max(rig.pull(call).figures.delay_ms);
            }
            let f = rig.figures();
            let label = format!("packet {packet}, block {block}, held {held} ms: {highest}, {f:?}");
            assert_eq!((f.underruns, f.frames_concealed, f.frames_accelerated), (0, 0, 0), "{label}");
            assert!(highest < 1e3 * block as f64 / f64::from(RATE) + 2.5, "{label}");
        }
    }
}

#[test]
fn a_source_of_which_only_the_oldest_sound_was_handed_over_waits_for_what_is_due() {
    const HELD: Duration = Duration::from_millis(15);
    for (packet, block) in [(441, 441), (220, 220), (110, 110)] {
        for late in 0..10u64 {
            let length = 3 * S;
            let mut rig = Rig::new(&scenario(packet, length), block, Bounds::default());
            // Two packets had to come before it was believed; those that came while its player was made are behind them.
            rig.handed =
                |a| if a.sequence < 2 { a.at.max(START + HELD) } else { a.at.max(START + HELD + MS) };
            let card = SoundCard::new(START + HELD + Duration::from_micros(late * 100), RATE, block, 0);
            let mut highest = 0.0f64;
            for call in calls(card, length - 100 * MS) {
                highest = highest.max(rig.pull(call).figures.delay_ms);
            }
            let f = rig.figures();
            let label = format!("packet {packet}, block {block}, {late}: {highest}, {f:?}");
            assert_eq!((f.underruns, f.frames_concealed, f.frames_accelerated), (0, 0, 0), "{label}");
            assert!(highest < 1e3 * block as f64 / f64::from(RATE) + 2.5, "{label}");
        }
    }
}

#[test]
fn a_source_that_falls_silent_after_what_was_held_back_is_not_waited_for() {
    let mut rig = Rig::new(&scenario(441, 20 * MS), 441, Bounds::default());
    rig.handed = |_| START + 200 * MS;
    for call in calls(SoundCard::new(START, RATE, 441, 0), 3 * S) {
        rig.pull(call);
    }
    let f = rig.figures();
    assert_eq!(
        (f.frames_played, f.underruns, f.frames_concealed, f.delay_ms.to_bits()),
        (0, 0, 0, 0),
        "{f:?}"
    );
}

#[test]
fn a_pull_of_an_odd_size_moves_the_places_and_they_are_found_again() {
    let length = 8 * S;
    for odd in [462, 300, 882] {
        let mut rig = Rig::new(&scenario(441, length), 441, Bounds::default());
        rig.sound = voice;
        let mut done = 0u64;
        for n in 0.. {
            let at = START - 500 * MS + Duration::from_micros(4_700) + Format::DEFAULT.duration(done);
            if at.since(START) > length - 100 * MS {
                break;
            }
            let frames: usize = if n == 200 { odd } else { 441 };
            // An odd one comes when its last frame is due, as all do.
            let late = Format::DEFAULT.duration(frames.saturating_sub(441) as u64);
            done += frames as u64;
            rig.pull(Call { at: at + late, frames });
        }
        let f = rig.figures();
        assert!(f.underruns <= 1 && f.frames_concealed <= 441 && f.late_packets == 0, "{odd}: {f:?}");
        assert!(f.delay_ms < 14.0, "{odd}: {f:?}");
    }
}
