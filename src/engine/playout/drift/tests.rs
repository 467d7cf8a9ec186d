use super::*;
use crate::engine::playout::delay::{DelayEstimator, DelayMode};
use crate::engine::playout::fit::fitted_snr;
use crate::engine::playout::resample::Resampler;
use crate::engine::sim::clock::SoundCard;
use crate::engine::sim::config::LinkConfig;
use crate::engine::sim::draw::Share;
use crate::engine::sim::presets;
use crate::engine::sim::scenario::{START, Scenario};
use proptest::prelude::*;

const PULL: f64 = 0.01;
const TARGET: Duration = Duration::from_millis(20);

/// Levels alone: a delay that grows by `ppm` less what is applied, seen with `noise_us` of noise. Hands each second's
/// delay and applied ppm to `see`.
fn levels(
    ppm: impl Fn(f64) -> f64,
    noise_us: f64,
    seconds: u32,
    mut see: impl FnMut(u32, f64, f64),
) -> Drift {
    let mut d = Drift::new();
    let mut delay = 20_000.0;
    let mut state = 1u32;
    let mut wave = 0.0;
    for n in 0..seconds * 100 {
        let time = f64::from(n) * PULL;
        if n % 50 == 0 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            wave = f64::from((state >> 16) as i16) / 32_768.0 * noise_us;
        }
        let now = Micros(START.0 + u64::from(n) * 10_000);
        let applied = d.update(now, (delay + wave) as i64, TARGET);
        delay += (ppm(time) - applied) * PULL;
        if n % 100 == 0 {
            see(n / 100, delay, applied);
        }
    }
    d
}

#[test]
fn a_day_of_drift_leaves_the_delay_within_two_milliseconds() {
    let seconds = 86_400;
    for ppm in [-300.0, -100.0, -7.0, 0.0, 3.0, 50.0, 300.0] {
        let (mut worst_early, mut worst): (f64, f64) = (0.0, 0.0);
        let d = levels(
            |_| ppm,
            300.0,
            seconds,
            |second, delay, _| {
                let off = (delay - 20_000.0).abs();
                worst_early = worst_early.max(off);
                if second > 240 {
                    worst = worst.max(off);
                }
            },
        );
        println!(
            "{ppm} ppm: {:.2} known, off {worst:.0} us ({worst_early:.0} in the first minutes)",
            d.ppm()
        );
        assert!(worst < 2_000.0, "{ppm}: {worst}");
        assert!(worst_early < 10_000.0, "{ppm}: {worst_early}");
        assert!((d.ppm() - ppm).abs() < 3.0, "{ppm}: {}", d.ppm());
    }
}

#[test]
fn a_clock_that_wanders_with_the_day_is_followed() {
    let mut worst: f64 = 0.0;
    let wave = |t: f64| 100.0 + 20.0 * (t / 600.0).sin();
    levels(wave, 300.0, 7_200, |second, delay, _| {
        if second > 240 {
            worst = worst.max((delay - 20_000.0).abs());
        }
    });
    assert!(worst < 2_000.0, "{worst}");
}

#[test]
fn nothing_is_applied_where_nothing_drifts() {
    for noise in [0.0, 100.0, 1_000.0, 5_000.0] {
        levels(
            |_| 0.0,
            noise,
            3_600,
            |second, _, applied| {
                assert!(applied == 0.0, "{noise} us of noise: {applied} ppm after {second} s");
            },
        );
    }
}

/// A whole path: sender, link, delay estimator, a card that pulls; sound is played at a steady pace from the first packet on.
fn path(
    link: LinkConfig,
    sender_ppm: i32,
    card_ppm: i32,
    seconds: u64,
    mut see: impl FnMut(Micros, &Drift),
) -> Drift {
    const RATE: u32 = 44_100;
    let mode = DelayMode::Adaptive { least: Duration::ZERO, most: Duration::from_secs(2) };
    let mut e = DelayEstimator::new(RATE, mode);
    let mut d = Drift::new();
    let length = Duration::from_secs(seconds);
    let mut arrivals = Scenario::new(RATE, 441, length).link(link).sender_ppm(sender_ppm).run().peekable();
    // In frames, with a fraction: levels alone.
    let mut playing: Option<(u64, f64)> = None;
    let mut target = Duration::from_millis(11);
    for pull in SoundCard::new(START + Duration::from_secs(1), RATE, 441, card_ppm) {
        if pull.at >= START + length {
            break;
        }
        while let Some(a) = arrivals.next_if(|a| a.at <= pull.at) {
            e.arrived(a.position, a.frames, a.at);
            playing.get_or_insert((a.position.0, 0.0));
        }
        if let Some((origin, played)) = &mut playing {
            let position = crate::engine::stream::queue::Position((*origin as f64 + *played) as u64);
            let delay = e.delay_of(position, pull.at).unwrap_or_default();
            // Where the target moves, the stretcher has done its part at once.
            let before = std::mem::replace(&mut target, e.target() + Duration::from_millis(10));
            d.adjusted(target.as_micros() as i64 - before.as_micros() as i64);
            d.set_spread(e.target());
            let applied = d.update(pull.at, delay + target.as_micros() as i64, target);
            *played += 441.0 * (1.0 + applied * 1e-6);
            see(pull.at, &d);
        }
    }
    d
}

#[test]
fn every_preset_without_drift_stays_bit_exact() {
    for preset in presets::ALL {
        // Many starts, where little is known, and some long runs.
        for seed in 0..40 {
            let seconds = if seed < 2 { 900 } else { 60 };
            let link = LinkConfig { seed, ..preset.config };
            let mut worst: f64 = 0.0;
            path(link, 0, 0, seconds, |_, d| worst = worst.max(d.applied_ppm().abs()));
            assert!(worst == 0.0, "{}, seed {seed}: {worst}", preset.name);
        }
    }
}

#[test]
fn every_presets_drift_is_found() {
    for preset in presets::ALL {
        let link = LinkConfig { seed: 5, spike: Share(0), ..preset.config };
        for (sender, card) in [(150, -150), (-100, 50)] {
            let mut settled = None;
            let truth = f64::from(sender - card);
            let d = path(link, sender, card, 900, |now, d| {
                if (d.ppm() - truth).abs() > 20.0 {
                    settled = None;
                } else {
                    settled = settled.or(Some(now));
                }
            });
            let settled = settled.map(|s| s.since(START).as_secs());
            println!(
                "{:10} {truth} ppm: known {:.1} ± {:.1}, within 20 after {settled:?} s",
                preset.name,
                d.ppm(),
                d.uncertainty_ppm()
            );
            assert!((d.ppm() - truth).abs() < 20.0, "{}: {} not {truth}", preset.name, d.ppm());
        }
    }
}

/// A kilohertz through the resampler, each 10 ms at the ratio that `ppm` says; the worst 100 ms of it, dB.
fn worst_window(blocks: u64, mut ppm: impl FnMut(u64) -> f64) -> f64 {
    let mut r = Resampler::new(1);
    let mut worst = f64::INFINITY;
    let mut place = 0u64;
    let mut window = Vec::new();
    for n in 0..blocks {
        r.set_ppm(ppm(n));
        let take = r.needed(441) as u64;
        let w = std::f64::consts::TAU * 1_000.0 / 44_100.0;
        let input: Vec<f32> = (place..place + take).map(|k| (0.5 * (w * k as f64).sin()) as f32).collect();
        place += take;
        let mut out = [0.0; 441];
        r.process(&input, &mut out);
        window.extend(out);
        if window.len() == 4410 {
            worst = worst.min(fitted_snr(&window));
            window.clear();
        }
    }
    worst
}

#[test]
fn a_kilohertz_keeps_ninety_decibels_while_the_loop_moves_the_ratio() {
    // Ten minutes in release.
    let seconds = if cfg!(debug_assertions) { 90 } else { 600 };
    for drift in [300.0, -300.0] {
        let mut d = Drift::new();
        let mut delay = 20_000.0;
        let worst = worst_window(seconds * 100, |n| {
            let applied = d.update(Micros(START.0 + n * 10_000), delay as i64, TARGET);
            delay += (drift - applied) * PULL;
            applied
        });
        assert!((d.applied_ppm() - drift).abs() < 100.0);
        println!("{drift} ppm: worst window {worst:.1} dB");
        assert!(worst > 90.0, "{drift}: {worst} dB");
    }
}

#[test]
fn switching_in_and_out_keeps_ninety_decibels() {
    let worst = worst_window(4_000, |n| {
        let second = n as f64 * PULL;
        if second < 10.0 { (second - 1.0).min(11.0 - second).max(0.0) * 8.0 } else { 0.0 }
    });
    println!("in and out: worst window {worst:.1} dB");
    assert!(worst > 90.0, "{worst} dB");
}

#[test]
fn a_clock_that_changes_at_once_is_followed() {
    let (mut worst, mut late_worst): (f64, f64) = (0.0, 0.0);
    let d = levels(
        |t| if t < 1_000.0 { 100.0 } else { -100.0 },
        300.0,
        3_000,
        |second, delay, _| {
            let off = (delay - 20_000.0).abs();
            worst = worst.max(off);
            if second > 1_400 {
                late_worst = late_worst.max(off);
            }
        },
    );
    println!("a step of 200 ppm: off {worst:.0} us at worst, {late_worst:.0} us later, known {:.1}", d.ppm());
    assert!(worst < 12_000.0 && late_worst < 2_000.0, "{worst} {late_worst}");
}

#[test]
fn a_jump_of_the_delay_is_no_drift() {
    let mut d = Drift::new();
    for n in 0..60_000u64 {
        let jump = if n > 30_000 { 80_000 } else { 0 };
        let applied = d.update(
            Micros(START.0 + n * 10_000),
            20_000 + jump,
            TARGET + Duration::from_micros(jump as u64),
        );
        assert!(applied == 0.0, "{applied} at {n}");
        if n == 45_000 {
            d.resume();
        }
    }
    assert!(d.ppm().abs() < 2.0);
}

proptest! {
    #[test]
    fn wild_observations_leave_it_finite_and_bounded(
        steps in prop::collection::vec((any::<u64>(), any::<i64>(), any::<u64>(), any::<i64>(), 0u8..6), 1..200)
    ) {
        let mut d = Drift::new();
        let mut now = 1u64 << 40;
        for (at, delay, target, change, what) in steps {
            now = if what == 0 { at } else { now.saturating_add(at % 3_000_000) };
            let ppm = d.update(Micros(now), delay, Duration::from_micros(target));
            prop_assert!(ppm.is_finite() && ppm.abs() <= MOST_PPM);
            if what == 1 { d.adjusted(change); }
            if what == 2 { d.resume(); }
            prop_assert!(d.ppm().is_finite() && d.uncertainty_ppm().is_finite());
        }
    }
}
