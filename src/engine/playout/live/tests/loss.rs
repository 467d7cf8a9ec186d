//! Packets that are lost or late.

use super::*;
use crate::engine::sim::config::LinkConfig;
use crate::engine::sim::draw::Share;
use crate::engine::sim::presets;
use crate::engine::sim::trace::{CALM, TROUBLE, trouble};

#[test]
fn late_loss_is_one_in_a_hundred_at_most_on_every_preset() {
    for preset in presets::ALL {
        for (packet, block, seed) in [(441, 441, 1), (220, 220, 2), (110, 441, 3), (882, 220, 4)] {
            let length = 90 * S;
            let link = LinkConfig { seed, ..preset.config };
            let scenario = scenario(packet, length).link(link);
            let mut rig = Rig::new(&scenario, block, Bounds::default());
            rig.sound = silence;
            let mut early = Playback::default();
            let (mut target, mut delay, mut count) = (0.0, 0.0, 0.0);
            for call in calls(card(block), length) {
                let h = rig.pull(call);
                if h.at.since(START) < 30 * S {
                    early = h.figures;
                } else {
                    target += h.figures.delay_target_ms;
                    delay += h.figures.delay_ms;
                    count += 1.0;
                }
            }
            let f = rig.figures();
            let packets = (60 * RATE / packet) as f64;
            let late = (f.late_packets - early.late_packets) as f64 / packets * 100.0;
            let underruns = (f.underruns - early.underruns) as f64 / packets * 100.0;
            println!(
                "{:10} {packet:3}/{block:3}: late {late:.2} %, waited for {underruns:.2} %, delay {:.1} of {:.1} ms, \
                 concealed {:.2} %, shortened {:.2} %, lengthened {:.2} %, resets {}",
                preset.name,
                delay / count,
                target / count,
                f.frames_concealed as f64 / (90.0 * f64::from(RATE)) * 100.0,
                f.frames_accelerated as f64 / (90.0 * f64::from(RATE)) * 100.0,
                f.frames_expanded as f64 / (90.0 * f64::from(RATE)) * 100.0,
                f.resets
            );
            assert!(late + underruns <= 1.0, "{}: {late} + {underruns} %", preset.name);
        }
    }
}

/// Plays `scenario` without the packets that `lose` names; hands each pull to `see`.
fn play(
    scenario: &Scenario,
    block: usize,
    length: Duration,
    lose: fn(&Arrival) -> bool,
    mut see: impl FnMut(&Heard<'_>),
) -> Playback {
    let mut rig = Rig::new(scenario, block, Bounds::default());
    rig.lose = lose;
    for call in calls(card(block), length) {
        see(&rig.pull(call));
    }
    rig.figures()
}

#[test]
fn one_lost_packet_costs_one_packet_and_no_delay() {
    for (packet, block) in [(441, 441), (441, 220), (220, 441), (220, 220), (110, 110)] {
        let lose: fn(&Arrival) -> bool = |a| {
            a.at.since(START) > S
                && a.at.since(START)
                    <= S + Duration::from_micros(u64::from(a.frames) * 1_000_000 / u64::from(RATE))
        };
        let mut heard = Vec::new();
        let mut worst: f64 = 0.0;
        let figures = play(&scenario(packet, 4 * S), block, 4 * S - 100 * MS, lose, |h| {
            heard.extend(ints(h.sound));
            if h.at.since(START) > 2 * S {
                worst = worst.max((h.figures.delay_ms - h.figures.delay_target_ms).abs());
            }
        });
        let label = format!("packet {packet}, block {block}");
        assert_eq!((figures.frames_concealed, figures.concealments), (u64::from(packet), 1), "{label}");
        assert_eq!((figures.late_packets, figures.underruns, figures.resets), (0, 0, 0), "{label}");
        assert_eq!((figures.frames_accelerated, figures.frames_expanded), (0, 0), "{label}");
        assert!(worst < 0.1, "{label}: {worst}");
        // All but the packet and its join is there, in its place.
        let start = heard.iter().position(|s| *s != 0).unwrap();
        let shift = i32::from(heard[start]);
        let wrong = |(n, s): (usize, &i16)| i32::from(*s) != (shift - 1 + n as i32) % 30_000 + 1;
        let changed = heard[start..].iter().enumerate().filter(|(n, s)| wrong((*n, s))).count();
        let join = Concealer::new(Format::DEFAULT).join_frames();
        assert!(changed <= packet as usize + join, "{label}: {changed} frames changed");
    }
}

#[test]
fn a_packet_that_is_late_and_not_lost_is_heard_whole_a_little_later() {
    for late in [15, 30, 60] {
        // The path holds everything back for a moment, then lets it go.
        let scenario = scenario(441, 8 * S).stall(2 * S, late * MS);
        let mut heard = Vec::new();
        let (mut highest, mut last) = (0.0f64, 0.0);
        let figures = play(
            &scenario,
            441,
            8 * S - 100 * MS,
            |_| false,
            |h| {
                heard.extend(ints(h.sound));
                highest = highest.max(h.figures.delay_ms);
                last = h.figures.delay_ms - h.figures.delay_target_ms;
            },
        );
        println!("late by {late} ms: {highest} ms at most, {last} ms too long at the end, {figures:?}");
        assert_eq!((figures.late_packets, figures.resets, figures.concealments), (0, 0, 1));
        assert_eq!(figures.underruns, 1);
    }
}

#[test]
fn after_a_spike_of_300_ms_the_delay_is_back_within_ten_seconds() {
    let sounds: [(&str, fn(u64) -> i16); 2] = [("voice", voice), ("noise", noise)];
    for (name, sound) in sounds {
        for stall in [100, 300, 1_000, 3_000] {
            let length = 50 * S;
            let scenario = scenario(441, length).stall(20 * S, stall * MS);
            let mut rig = Rig::new(&scenario, 441, Bounds::default());
            rig.sound = sound;
            let mut back = None;
            let (mut highest, mut silent) = (0.0f64, 0);
            for call in calls(card(441), length - 100 * MS) {
                let h = rig.pull(call);
                let since = h.at.since(START).saturating_sub(20 * S + stall * MS);
                highest = highest.max(h.figures.delay_ms);
                if !since.is_zero() {
                    silent += usize::from(h.sound.iter().all(|s| *s == 0.0));
                    // A stall of a second is remembered for a while: the target itself is some milliseconds higher.
                    if h.figures.delay_ms > if stall > 300 { 30.0 } else { 22.0 } {
                        back = None;
                    } else {
                        back = back.or(Some(since));
                    }
                }
            }
            let f = rig.figures();
            println!(
                "{name}, stall of {stall} ms: up to {highest:.0} ms, back after {back:?}, silent for {silent} blocks, \
                 concealed {}, shortened {}, lengthened {}, resets {}, late {}",
                f.frames_concealed, f.frames_accelerated, f.frames_expanded, f.resets, f.late_packets
            );
            let within = if stall > 300 { 25 * S } else { 10 * S };
            assert!(back.unwrap() < within, "{stall}: {back:?}");
            assert!(silent <= 2, "{stall}: {silent} silent blocks after sound came again");
        }
    }
}

#[test]
fn a_path_that_becomes_longer_costs_its_length_and_no_more() {
    for step in [20, 100, 300] {
        for path in ["lan", "wifi"] {
            let link = presets::find(path).unwrap().config;
            let link = LinkConfig { spike: Share(0), loss: LinkConfig::default().loss, ..link };
            let length = 40 * S;
            let scenario = scenario(441, length).link(link).delay(30 * S, link.delay + step * MS);
            let mut rig = Rig::new(&scenario, 441, Bounds::default());
            rig.sound = voice;
            let (mut before, mut highest, mut off) = (Playback::default(), 0.0f64, 0.0f64);
            for call in calls(card(441), length - 100 * MS) {
                let h = rig.pull(call);
                let since = h.at.since(START);
                if since < 30 * S {
                    before = h.figures;
                } else if since > 32_500 * MS {
                    highest = highest.max(h.figures.delay_target_ms);
                    off = off.max(h.figures.delay_ms - h.figures.delay_target_ms);
                }
            }
            let f = rig.figures();
            let expanded = (f.frames_expanded - before.frames_expanded) as f64 / f64::from(RATE) * 1e3;
            println!(
                "{path}, {step} ms longer: target {:.1}, then {highest:.1} ms; at most {off:.1} ms above it, {expanded:.1} \
                 ms put in; {f:?}",
                before.delay_target_ms
            );
            assert!(highest <= before.delay_target_ms + 4.0, "{path}, {step} ms: {highest}");
            // Up to a packet is put in where it is not yet known that it was the path.
            assert!(expanded <= 12.0, "{path}, {step} ms longer: {expanded} ms put in");
            assert_eq!((f.resets, f.late_packets), (0, 0));
        }
    }
}

#[test]
fn uneven_bursts_play_without_a_gap() {
    // ffmpeg sends a frame of 2,048 samples at once: four packets of 441 and one of 284.
    let mut rig = Rig::new(&scenario(441, Duration::ZERO), 441, Bounds::default());
    let mut position = 1u64 << 32;
    let mut sequence = 0;
    let mut heard = Vec::new();
    let mut bursts = 0;
    for call in calls(card(441), 10 * S) {
        while START + Format::DEFAULT.duration(bursts * 2_048) <= call.at {
            let arrival = START + Format::DEFAULT.duration(bursts * 2_048);
            bursts += 1;
            for frames in [441, 441, 441, 441, 284] {
                let samples: Vec<i16> = (position..position + u64::from(frames)).map(ramp).collect();
                let head =
                    Head { sequence, position: Position(position), arrival, frames, ..Head::default() };
                assert!(rig.writer.push(head, &samples));
                position += u64::from(frames);
                sequence += 1;
            }
        }
        heard.extend(ints(rig.pull(call).sound));
    }
    let f = rig.figures();
    println!("{f:?}");
    let start = heard.iter().position(|s| *s != 0).unwrap();
    assert!(is_ramp(&heard[start..]));
    assert_eq!((f.frames_concealed, f.underruns, f.late_packets), (0, 0, 0));
}

#[test]
fn bursts_sent_by_a_coarse_clock_play_without_a_gap_from_the_second_second_on() {
    // ffmpeg looks at the clock every 10 ms and a little, and sends the bursts that are due.
    const LOOK: u64 = 10_080;
    let sounds: [fn(u64) -> i16; 2] = [voice, noise];
    for (sound, sizes) in sounds.into_iter().flat_map(|s| {
        let sizes: [&[u32]; 2] = [&[441, 441, 441, 441, 284], &[730, 730, 588]];
        sizes.map(|sizes| (s, sizes))
    }) {
        let mut rig = Rig::new(&scenario(441, Duration::ZERO), 441, Bounds::default());
        let (mut position, mut sequence, mut bursts) = (1u64 << 32, 0, 0);
        let mut young = Playback::default();
        for call in calls(card(441), 60 * S) {
            loop {
                let due = Format::DEFAULT.duration(bursts * 2_048).as_micros() as u64;
                let arrival = START + Duration::from_micros(due.div_ceil(LOOK) * LOOK + bursts * 7_919 % 150);
                if arrival > call.at {
                    break;
                }
                bursts += 1;
                for &frames in sizes {
                    let samples: Vec<i16> = (position..position + u64::from(frames)).map(sound).collect();
                    let head =
                        Head { sequence, position: Position(position), arrival, frames, ..Head::default() };
                    assert!(rig.writer.push(head, &samples));
                    position += u64::from(frames);
                    sequence += 1;
                }
            }
            let figures = rig.pull(call).figures;
            if call.at.since(START) < S {
                young = figures;
            }
        }
        let f = rig.figures();
        println!("{young:?}\n{f:?}");
        assert_eq!((f.frames_concealed, f.underruns), (young.frames_concealed, young.underruns));
        assert!(f.delay_ms < 65.0, "{f:?}");
    }
}

#[test]
fn seeded_traces_leave_no_delay_behind() {
    let traces = if cfg!(debug_assertions) { 60 } else { 3_000 };
    let mut concealed = 0;
    for seed in 0..traces {
        let text = ["loss=2", "loss=5,burst=3", "loss=10", "loss=1,jitter=2"][seed as usize % 4];
        let link = LinkConfig { seed, ..LinkConfig::parse(text).unwrap() };
        let length = 6 * S;
        let scenario = scenario(441, length).link(link);
        let mut rig = Rig::new(&scenario, 441, Bounds::default());
        rig.sound = voice;
        rig.renderer.set_tier(Tier::Pitch);
        let mut last = Playback::default();
        for call in calls(card(441), length - 100 * MS) {
            last = rig.pull(call).figures;
        }
        concealed += last.frames_concealed;
        let off = last.delay_ms - last.delay_target_ms;
        assert!(off < 20.0 && last.delay_target_ms < 50.0, "seed {seed}, {text}: {last:?}");
    }
    println!("{concealed} frames concealed");
}

#[test]
fn after_any_trouble_the_delay_is_back_and_the_sound_whole() {
    // A million of them are in `benches/traces.rs`.
    let traces = if cfg!(debug_assertions) { 100 } else { 3_000 };
    let amiss = |f: &Playback| f.frames_concealed + f.underruns + f.resets + f.late_packets;
    for seed in 0..traces {
        let mut rig = Rig::new(&trouble(seed, RATE, 882), 882, Bounds::default());
        rig.sound = voice;
        rig.renderer.set_tier(Tier::Pitch);
        let mut calm: Option<(Micros, Playback)> = None;
        let back = calls(card(882), TROUBLE + CALM).find(|call| {
            let f = rig.pull(*call).figures;
            let (since, before) = *calm.get_or_insert((call.at, f));
            // A block, a packet of look-ahead, and a little.
            if call.at.since(START) < TROUBLE || f.delay_ms > 70.0 || amiss(&f) > amiss(&before) {
                calm = None;
            }
            call.at.since(since) > S && f.frames_played - before.frames_played > u64::from(RATE) * 9 / 10
        });
        assert!(back.is_some(), "seed {seed}: {:?}", rig.figures());
    }
}

#[test]
fn long_bursts_are_not_stretched_after() {
    // Devices with large buffers hand over 200 ms at once: twenty packets, then nothing.
    for (burst_ms, late_ms) in [(200u64, 0u64), (200, 15), (185, 5), (100, 10), (60, 4)] {
        for block in [441, 220, 1024] {
            for (name, sound) in [("voice", voice as fn(u64) -> i16), ("noise", noise)] {
                let mut rig = Rig::new(&scenario(441, Duration::ZERO), block, Bounds::default());
                let (mut sent, mut bursts) = (0u64, 0u64);
                let mut early = Playback::default();
                let (mut least, mut most) = (f64::INFINITY, 0.0f64);
                for call in calls(card(block), 40 * S) {
                    loop {
                        let mut x = bursts.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                        x = (x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40;
                        let late = Duration::from_micros(x % (late_ms * 1000 + 1));
                        let arrival = START + MS * (burst_ms * bursts) as u32 + late;
                        if arrival > call.at {
                            break;
                        }
                        bursts += 1;
                        while (sent + 1) * 441 * 1000 <= bursts * burst_ms * 44_100 {
                            let position = Position((1 << 32) + sent * 441);
                            let samples: Vec<i16> = (position.0..position.0 + 441).map(sound).collect();
                            let head =
                                Head { sequence: sent, position, arrival, frames: 441, ..Head::default() };
                            assert!(rig.writer.push(head, &samples));
                            sent += 1;
                        }
                    }
                    let h = rig.pull(call);
                    if h.at.since(START) < 10 * S {
                        early = h.figures;
                    } else {
                        least = least.min(h.figures.delay_ms - h.figures.delay_target_ms);
                        most = most.max(h.figures.delay_ms - h.figures.delay_target_ms);
                    }
                }
                let f = rig.figures();
                let label = format!("bursts of {burst_ms} ms, late by {late_ms}, block {block}, {name}");
                println!("{label}: {least:.1} to {most:.1} ms off; first {early:?}, then {f:?}");
                assert_eq!(
                    (f.frames_accelerated, f.frames_expanded),
                    (early.frames_accelerated, early.frames_expanded),
                    "{label}"
                );
                assert_eq!((f.resets, f.late_packets), (0, 0), "{label}");
            }
        }
    }
}
