use super::*;
use crate::engine::sim::config::LinkConfig;
use crate::engine::sim::draw::Share;
use crate::engine::sim::presets;
use crate::engine::sim::scenario::{START, Scenario};
use proptest::prelude::*;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const FREE: DelayMode = DelayMode::Adaptive { least: Duration::ZERO, most: Duration::from_secs(2) };

/// Runs a scenario and hands each packet's moment, relative delay and the target that it met to `see`.
fn watch(scenario: &Scenario, mut see: impl FnMut(Micros, Duration, Duration)) -> DelayEstimator {
    let mut e = DelayEstimator::new(44_100, FREE);
    let mut seen = std::collections::HashSet::new();
    for a in scenario.run() {
        if seen.insert(a.sequence) {
            let target = e.target();
            if let Some(delay) = e.arrived(a.position, a.frames, a.at) {
                see(a.at, delay, target);
            }
        }
    }
    e
}

#[test]
fn one_packet_in_a_hundred_is_late_on_every_preset() {
    for preset in presets::ALL {
        for (frames, seed) in [(441, 1), (441, 2), (220, 3), (882, 4), (2646, 5)] {
            let link = LinkConfig { seed, ..preset.config };
            let scenario = Scenario::new(44_100, frames, S * 330).link(link);
            let (mut all, mut late, mut sum) = (0, 0, 0.0);
            watch(&scenario, |at, delay, target| {
                if at.since(START) >= 30 * S {
                    all += 1;
                    late += u64::from(delay > target);
                    sum += target.as_secs_f64() * 1e3;
                }
            });
            let percent = late as f64 / all as f64 * 100.0;
            println!(
                "{:10} {frames:4} frames: {percent:.2} % late, target {:.1} ms",
                preset.name,
                sum / all as f64
            );
            assert!(percent <= 1.0, "{} {frames} frames, seed {seed}: {percent} % late", preset.name);
        }
    }
}

#[test]
fn a_spike_raises_the_target_and_is_forgotten_within_ten_seconds() {
    for (name, at) in
        [("lan", 20), ("lan", 40), ("lan", 200), ("satellite", 40), ("wifi", 100), ("cellular", 60)]
    {
        let preset = presets::find(name).unwrap();
        let link = LinkConfig { spike: Share(0), ..preset.config };
        let scenario = Scenario::new(44_100, 441, S * (at + 20)).link(link).stall(S * at, 300 * MS);
        let (mut before, mut highest, mut back) = (Duration::ZERO, Duration::ZERO, None);
        watch(&scenario, |moment, _, target| {
            let now = moment.since(START);
            if now < S * at {
                before = target;
            } else {
                highest = highest.max(target);
                if target > before + 5 * MS {
                    back = None;
                } else {
                    back = back.or(Some(now));
                }
            }
        });
        assert!(highest >= before + 20 * MS, "{highest:?}");
        let back = back.unwrap().saturating_sub(S * at + 300 * MS);
        println!("{}: {before:?} -> {highest:?}, back after {back:?}", preset.name);
        assert!(back < S * 10, "{}: {back:?}", preset.name);
    }
}

#[test]
fn a_longer_path_costs_delay_for_seconds_only() {
    let link = presets::find("wifi").unwrap().config;
    let scenario = Scenario::new(44_100, 441, S * 60).link(link).delay(S * 30, 200 * MS);
    let (mut highest, mut last) = (Duration::ZERO, Duration::ZERO);
    watch(&scenario, |at, _, target| {
        highest = highest.max(target);
        if at.since(START) > S * 36 {
            last = last.max(target);
        }
    });
    assert!(highest > 190 * MS && last < 60 * MS, "{highest:?} {last:?}");
}

#[test]
fn a_longer_path_is_known_for_one_after_two_seconds() {
    for step in [20, 100, 300] {
        for path in ["lan", "wifi"] {
            let link = LinkConfig { spike: Share(0), ..presets::find(path).unwrap().config };
            let scenario =
                Scenario::new(44_100, 441, S * 40).link(link).delay(S * 30, link.delay + step * MS);
            let (mut before, mut after) = (Duration::ZERO, Duration::ZERO);
            watch(&scenario, |at, _, target| {
                let now = at.since(START);
                if now < S * 30 {
                    before = target;
                } else if now > S * 30 + 2_500 * MS {
                    after = after.max(target);
                }
            });
            println!("{path}, {step} ms longer: {before:?}, then {after:?}");
            assert!(after <= before + 4 * MS, "{path}, {step} ms longer: {before:?}, then {after:?}");
        }
    }
}

#[test]
fn the_first_packet_plays_without_waiting() {
    let mut e = DelayEstimator::new(44_100, DelayMode::Adaptive { least: 10 * MS, most: 2 * S });
    let position = Position(1 << 32);
    assert_eq!(e.due(position, Micros(7)), None);
    e.arrived(position, 441, Micros(5_000_000));
    assert_eq!(e.due(position, Micros(5_000_000)), Some(Micros(5_010_000)));
    assert_eq!(e.delay_of(position, Micros(5_012_000)), Some(12_000));
    assert_eq!(e.target_frames(), 441);
}

#[test]
fn bounds_and_a_fixed_delay_hold_from_the_moment_they_are_set() {
    let scenario = Scenario::new(44_100, 441, S * 30).link(presets::find("congested").unwrap().config);
    let mut e = watch(&scenario, |_, _, _| {});
    assert!(e.target() > 40 * MS);
    e.set_mode(DelayMode::Adaptive { least: Duration::ZERO, most: 15 * MS });
    assert_eq!(e.target(), 15 * MS);
    e.set_mode(DelayMode::Fixed(70 * MS));
    assert_eq!(e.target(), 70 * MS);
    e.set_mode(DelayMode::Adaptive { least: S, most: S * 2 });
    assert_eq!(e.target(), S);
    assert!((e.histogram().map(|b| b.share).sum::<f64>() - 1.0).abs() < 1e-6);
}

#[test]
fn overtaken_packets_are_waited_for_where_they_are_many() {
    let quiet = LinkConfig::parse("delay=20,jitter=1").unwrap();
    let target = |text| {
        let link = LinkConfig::parse(text).unwrap();
        watch(&Scenario::new(44_100, 441, S * 60).link(link), |_, _, _| {}).target()
    };
    let base = watch(&Scenario::new(44_100, 441, S * 60).link(quiet), |_, _, _| {}).target();
    assert!(base < 8 * MS, "{base:?}");
    assert!(target("delay=20,jitter=1,reorder=0.2") < 10 * MS);
    assert!(target("delay=20,jitter=1,reorder=3") >= 25 * MS);
}

/// `NetEq`'s own trial: a tenth of the packets lost, a tenth of drift.
#[test]
fn a_sender_ten_percent_slow_is_not_a_slow_network() {
    for ppm in [-100_000, 100_000] {
        let link = LinkConfig::parse("loss=10,seed=2").unwrap();
        let scenario = Scenario::new(44_100, 441, S * 1000).link(link).sender_ppm(ppm);
        let mut highest = Duration::ZERO;
        let e = watch(&scenario, |_, _, target| highest = highest.max(target));
        println!("{ppm}: highest {highest:?}, then {:?}", e.target());
        assert!(highest <= 190 * MS && e.target() <= 20 * MS, "{highest:?} {:?}", e.target());
    }
}

proptest! {
    /// Whatever comes, the target stays within its bounds and memory where it was.
    #[test]
    fn hostile_packets_move_nothing_beyond_its_bounds(
        packets in prop::collection::vec((any::<u64>(), any::<u32>(), any::<u64>(), 0u8..4), 1..400)
    ) {
        let mut e = DelayEstimator::new(44_100, DelayMode::Adaptive { least: 5 * MS, most: S });
        let room = e.recent.capacity();
        let (mut position, mut now) = (1u64 << 32, 1u64 << 32);
        for (jump, frames, step, what) in packets {
            match what {
                0 => position = jump,
                1 => position = position.wrapping_add(1 << 31),
                2 => now = step,
                _ => position = position.wrapping_add(u64::from(frames)),
            }
            now = now.wrapping_add(10_000);
            e.arrived(Position(position), frames, Micros(now));
            prop_assert!((5 * MS..=S).contains(&e.target()));
            let _ = (e.due(Position(position), Micros(now)), e.delay_of(Position(jump), Micros(step)));
            prop_assert!(e.histogram().all(|b| b.share.is_finite()));
        }
        prop_assert_eq!(e.recent.capacity(), room);
    }
}

#[test]
fn ten_thousand_copies_do_not_make_a_delay() {
    let mut e = watch(&Scenario::new(44_100, 441, S * 30), |_, _, _| {});
    for n in 0..10_000 {
        e.arrived(Position(1 << 33), 441, START + S * 30 + Duration::from_micros(n));
    }
    assert!(e.target() <= S * 2);
    assert!(e.recent.len() <= RECENT);
}
