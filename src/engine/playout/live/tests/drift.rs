//! Clocks that differ.

use super::*;
use crate::engine::playout::fit::worst_window;
use crate::engine::sim::config::LinkConfig;
use crate::engine::sim::presets;

fn sine(position: u64) -> i16 {
    // 1 kHz; the phase by whole periods (441 frames are ten), so that it is exact however large the position.
    let phase = (position % 441) as f64 / 44.1 * std::f64::consts::TAU;
    (32_000.0 * phase.sin()).round() as i16
}

#[test]
fn clocks_300_ppm_apart_keep_the_delay_within_two_milliseconds() {
    // A day in release.
    let minutes = if cfg!(debug_assertions) { 12 } else { 24 * 60 };
    for (sender, device) in [(150, -150), (-150, 150), (-300, 0), (0, -300)] {
        let length = 60 * S * minutes;
        let scenario = scenario(441, length).sender_ppm(sender);
        let mut rig = Rig::new(&scenario, 441, Bounds::default());
        rig.sound = noise;
        let card = SoundCard::new(START - 3 * S, RATE, 441, device).late_by(2 * MS, 1);
        let (mut worst, mut settled) = (0.0f64, Playback::default());
        for call in calls(card, length - 100 * MS) {
            let h = rig.pull(call);
            if h.at.since(START) < 240 * S {
                settled = h.figures;
            } else {
                worst = worst.max((h.figures.delay_ms - h.figures.delay_target_ms).abs());
            }
        }
        let f = rig.figures();
        println!("{sender} against {device} ppm: {worst:.2} ms off; at first {settled:?}; in the end {f:?}");
        assert!(worst < 2.0, "{worst}");
        assert!((f.drift_ppm - f64::from(sender - device)).abs() < 3.0);
        assert_eq!((f.underruns, f.late_packets, f.resets), (settled.underruns, 0, 0));
        assert_eq!(
            f.frames_accelerated + f.frames_expanded,
            settled.frames_accelerated + settled.frames_expanded
        );
    }
}

#[test]
fn a_kilohertz_keeps_ninety_decibels_while_the_resampler_switches_in() {
    // Ten minutes in release.
    let length = if cfg!(debug_assertions) { 90 * S } else { 600 * S };
    for (sender, device) in [(150, -150), (-150, 150)] {
        let scenario = scenario(441, length).sender_ppm(sender);
        // The headroom that a clock found to be slow eats up meanwhile.
        let bounds = Bounds { least: 30 * MS, ..Bounds::default() };
        let mut rig = Rig::new(&scenario, 441, bounds);
        rig.sound = sine;
        let card = SoundCard::new(START - 3 * S, RATE, 441, device);
        let mut heard = Vec::new();
        for call in calls(card, length - 100 * MS) {
            heard.extend(rig.pull(call).sound);
        }
        let f = rig.figures();
        let start = heard.iter().position(|s| *s != 0.0).unwrap();
        let worst = worst_window(&heard[start..]);
        println!("{sender} against {device} ppm: worst window {worst:.1} dB, {f:?}");
        assert!(worst > 90.0, "{worst}");
        assert_eq!((f.underruns, f.frames_accelerated, f.frames_expanded), (0, 0, 0));
    }
}

#[test]
fn a_tenth_of_loss_and_a_tenth_of_drift_are_endured() {
    // NetEq's own trial; 10,000 s in release.
    let length = if cfg!(debug_assertions) { 150 * S } else { 10_000 * S };
    let sounds: [(&str, fn(u64) -> i16); 2] = [("voice", voice), ("noise", noise)];
    for (name, sound) in sounds {
        for ppm in [100_000, -100_000] {
            let link = LinkConfig::parse("loss=10,seed=3").unwrap();
            let scenario = scenario(441, length).link(link).sender_ppm(ppm);
            let mut rig = Rig::new(&scenario, 441, Bounds::default());
            rig.sound = sound;
            rig.renderer.set_tier(Tier::Pitch);
            let mut highest = 0.0f64;
            for call in calls(card(441), length - 100 * MS) {
                highest = highest.max(rig.pull(call).figures.delay_ms);
            }
            let f = rig.figures();
            println!("{name} {ppm} ppm: {highest:.0} ms at most, {f:?}");
            assert!(highest < 200.0, "{highest}");
            assert_eq!(f.resets, 0);
        }
    }
}

/// How far the delay was from its target, at most, as the median of ten seconds, of one second, and at any moment, ms.
#[derive(Clone, Copy, Debug, Default)]
struct Off {
    ten: f64,
    one: f64,
    moment: f64,
    figures: Playback,
}

/// Plays `sound` for `length` over the path called `name`, the sender `ppm` fast against the device.
fn off(name: &str, seed: u64, ppm: i32, sound: fn(u64) -> i16, length: Duration) -> Off {
    let link = match name {
        "clean" => LinkConfig { delay: 20 * MS, ..LinkConfig::default() },
        name => presets::find(name).unwrap().config,
    };
    let scenario = scenario(441, length).link(LinkConfig { seed, ..link }).sender_ppm(ppm / 2);
    let mut rig = Rig::new(&scenario, 441, Bounds::default());
    rig.sound = sound;
    rig.renderer.set_tier(Tier::Pitch);
    let device = SoundCard::new(START + Duration::from_micros(3_300), RATE, 441, ppm / 2 - ppm);
    let mut worst = Off::default();
    let (mut tens, mut ones) = (Vec::new(), Vec::new());
    for call in calls(device, length - 100 * MS) {
        let h = rig.pull(call);
        if h.at.since(START) < 100 * MS {
            continue;
        }
        let off = h.figures.delay_ms - h.figures.delay_target_ms;
        worst.moment = worst.moment.max(off.abs());
        for (window, length, most) in [(&mut tens, 1_000, &mut worst.ten), (&mut ones, 100, &mut worst.one)] {
            window.push(off);
            if window.len() == length {
                window.sort_by(f64::total_cmp);
                *most = most.max(window[length / 2].abs());
                window.clear();
            }
        }
    }
    worst.figures = rig.figures();
    worst
}

#[test]
fn while_drift_is_being_found_the_delay_stays_within_two_milliseconds() {
    let (seeds, length) = if cfg!(debug_assertions) { (1, 32 * S) } else { (12, 240 * S) };
    for path in ["clean", "lan", "wifi"] {
        for seed in 1..=seeds {
            let still = off(path, seed, 0, voice, length).figures;
            for ppm in [300, -300, 100, -100, 20, -20] {
                let o = off(path, seed, ppm, voice, length);
                let f = o.figures;
                println!("{path}, {ppm} ppm, seed {seed}: {o:?}");
                assert!(o.ten < 2.0, "{path}, {ppm} ppm, seed {seed}: {}", o.ten);
                assert!((f.drift_ppm - f64::from(ppm)).abs() < 8.0, "{path}, {ppm} ppm: {}", f.drift_ppm);
                assert_eq!((f.late_packets, f.resets), (still.late_packets, 0));
                if path == "wifi" {
                    // What stalls cost there, they cost with and without drift; each puts the next elsewhere.
                    let allowed = still.underruns * 2 + 10;
                    assert!(f.underruns <= allowed, "{ppm} ppm: {} for {}", f.underruns, still.underruns);
                } else {
                    assert!(o.one < 2.0 && o.moment < 2.0, "{path}, {ppm} ppm, seed {seed}: {o:?}");
                    assert_eq!((f.underruns, f.frames_concealed), (0, 0));
                }
            }
        }
    }
}

#[test]
fn a_slow_sender_of_sound_without_pauses_causes_no_underrun() {
    for sound in [noise, sine] {
        for ppm in [-300, -200, -100, -50] {
            let o = off("lan", 1, ppm, sound, 60 * S);
            println!("{ppm} ppm: {o:?}");
            assert!(o.ten < 2.0, "{ppm}: {o:?}");
            assert_eq!((o.figures.underruns, o.figures.frames_concealed), (0, 0));
        }
    }
}
