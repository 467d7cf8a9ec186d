//! Sources, strangers and those that pose, in virtual time.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Once;

use super::super::scene::{RATE, SSRC, Scene, at, good, goodbye, packet, somewhere};
use super::super::strangers;
use super::*;
use crate::engine::networks::Networks;
use crate::engine::session::reporting::Way;

/// Ten seconds of a good source, and what somebody else does meanwhile.
fn with_company(max_sources: usize, mut company: impl FnMut(&mut Scene, u32)) -> Scene {
    let mut scene = Scene::new(max_sources);
    for number in 0..1000 {
        scene.hear(at(1), &good(number));
        company(&mut scene, number);
        scene.pass();
    }
    scene.finish();
    scene
}

fn same(one: &Scene, other: &Scene) -> bool {
    let (one_source, other_source) = (one.source(at(1)), other.source(at(1)));
    one_source.is_some()
        && one_source == other_source
        && one.tape.sound == other.tape.sound
        && one.tape.frames == other.tape.frames
        && one.heard == other.heard
}

#[test]
fn who_poses_as_a_source_changes_nothing_of_it_to_the_bit() {
    let alone = with_company(32, |_, _| {});
    assert_eq!(alone.source(at(1)).unwrap().reception.received, 1000);
    assert!(alone.tape.frames >= 441_000);
    let posed = with_company(32, |scene, number| {
        if number < 2 {
            return;
        }
        // Its next packets, its last ones, others of its numbers; its goodbye.
        scene.hear(at(66), &packet(SSRC, number as u16 + 1, (number + 1) * 441, 9));
        scene.hear(at(66), &packet(SSRC, number as u16, number * 441, 9));
        scene.hear(at(66), &packet(SSRC, number as u16 + 32_000, 1 << 31, 9));
        scene.hear(at(66), &goodbye(SSRC));
    });
    assert!(same(&alone, &posed));
    let stats = posed.sources.stats();
    assert_eq!((stats.wrong_source, stats.refused, stats.malformed), (4 * 998, 0, 0));
    assert_eq!((stats.sources.len(), stats.reception.received), (1, 1000));
    assert!(posed.said.iter().all(|letter| letter.way == Way::from(at(1))));
}

#[test]
fn another_may_take_the_place_of_one_that_is_idle_and_then_has_it() {
    let mut scene = Scene::new(32);
    let stream = |scene: &mut Scene, address, numbers: std::ops::Range<u32>| {
        for number in numbers {
            scene.hear(address, &good(number));
            scene.pass();
        }
    };
    stream(&mut scene, at(1), 0..100);
    (0..990).for_each(|_| scene.pass());
    stream(&mut scene, at(2), 1090..1095);
    assert!(scene.source(at(2)).is_none());
    (0..20).for_each(|_| scene.pass());
    // The network gave it another address.
    stream(&mut scene, at(2), 1115..1200);
    assert_eq!(scene.source(at(2)).unwrap().reception.received, 85);
    stream(&mut scene, at(1), 1200..1300);
    assert_eq!(scene.source(at(1)).unwrap().reception.received, 100);
    assert_eq!(scene.sources.stats().wrong_source, 105);
    assert_eq!(scene.sources.playing(), 1);
    // One that has said goodbye is over at once.
    scene.hear(at(2), &goodbye(SSRC));
    (0..15).for_each(|_| scene.pass());
    stream(&mut scene, at(1), 1315..1400);
    assert_eq!(scene.source(at(1)).unwrap().reception.received, 185);
}

#[test]
fn a_peer_that_starts_again_at_its_address_is_heard_at_once() {
    let mut scene = Scene::new(32);
    for number in 0..100 {
        scene.hear(at(1), &good(number));
        scene.pass();
    }
    for number in 0..100 {
        scene.hear(at(1), &packet(99, number as u16, number * 441, 0));
        scene.pass();
    }
    let stats = scene.sources.stats();
    assert_eq!((stats.sources.len(), stats.reception.received), (2, 200));
    assert_eq!((stats.wrong_source, stats.refused), (0, 0));
}

#[test]
fn with_one_source_allowed_no_other_is_heard_until_it_is_idle() {
    let alone = with_company(1, |_, _| {});
    let company = with_company(1, |scene, number| {
        if number > 1 {
            scene.hear(at(2), &packet(5, number as u16, number * 441, 3));
            let mut classic = (number as u16).to_le_bytes().to_vec();
            classic.resize(884, 1);
            scene.hear(at(3), &classic);
        }
    });
    assert!(same(&alone, &company));
    assert_eq!(company.sources.stats().refused, 2 * 998);
    assert_eq!(company.sources.stats().sources.len(), 1);

    let mut scene = Scene::new(1);
    for number in 0..100 {
        scene.hear(at(1), &good(number));
        scene.pass();
    }
    for number in 0..1200u32 {
        scene.hear(at(2), &packet(5, number as u16, number * 441, 3));
        scene.pass();
    }
    // After 10 s, and up to half a second more.
    let second = scene.source(at(2)).unwrap();
    assert!((140..=200).contains(&second.reception.received), "{}", second.reception.received);
    assert_eq!(second.reception.lost, 0);
    assert_eq!(scene.sources.stats().refused + second.reception.received, 1200);
}

#[test]
fn one_address_has_eight_sources_and_this_machine_as_many_as_there_may_be() {
    for (address, most) in [(at(9), 8), (SocketAddr::from(([127, 0, 0, 1], 5004)), 20)] {
        let mut scene = Scene::new(32);
        for number in 0..100u32 {
            scene.hear(at(1), &good(number));
            for ssrc in 100..120 {
                scene.hear(address, &packet(ssrc, number as u16, number * 441, ssrc));
            }
            scene.pass();
        }
        assert_eq!(scene.sources.playing(), 1 + most);
        let good = scene.source(at(1)).unwrap();
        assert_eq!((good.reception.received, good.reception.lost, good.dropped_local), (100, 0, 0));
    }
}

#[test]
fn a_sender_that_begins_anew_each_second_is_heard_each_time() {
    // From elsewhere eight sources may play at once; of a server for two, two may.
    for most in [32, 2] {
        let mut scene = Scene::new(most);
        for second in 0..20u32 {
            for number in 0..100 {
                scene.hear(at(9), &packet(100 + second, number as u16, number * 441, second));
                scene.pass();
            }
            // It is started again.
            for _ in 0..if most == 2 { 120 } else { 0 } {
                scene.pass();
            }
        }
        assert_eq!(scene.sources.stats().refused, 0, "of a server for {most}");
        assert_eq!(scene.sources.stats().reception.received, 2_000);
        assert_eq!(scene.sources.stats().dropped_local, 0);
    }
}

/// Ten thousand names, a hundred of them every 10 ms, each with as many packets.
fn flood(packets: u32, name: impl Fn(u32) -> (SocketAddr, u32)) -> (Scene, usize) {
    let mut most = 0;
    let scene = with_company(32, |scene, number| {
        if (100..200).contains(&number) {
            for n in (number - 100) * 100..(number - 99) * 100 {
                let (address, ssrc) = name(n);
                for sequence in 0..packets {
                    scene.hear(address, &packet(ssrc, sequence as u16, sequence * 441, n));
                }
            }
            let (strangers, all) = scene.sources.held();
            assert!(strangers <= strangers::MOST);
            most = most.max(all);
        }
    });
    (scene, most)
}

#[test]
fn ten_thousand_names_leave_a_good_source_and_the_tables_as_they_are() {
    let one_address = |n| (at(66), 1000 + n);
    let everywhere = |n| (somewhere(n), 1000 + n);
    let alone = with_company(32, |_, _| {});
    // What is believed of them, at most.
    for (scene, most, believed) in
        vec![flood(1, one_address), flood(1, everywhere), flood(2, one_address), flood(2, everywhere)]
            .into_iter()
            .zip([0, 0, 8, 31])
            .map(|((scene, most), believed)| (scene, most, believed))
    {
        let stats = scene.sources.stats();
        println!("{most} entries at most, {} refused, {} malformed", stats.refused, stats.malformed);
        assert!(most <= 1 + believed + strangers::MOST, "{most} entries");
        assert_eq!(stats.sources.len(), 1 + believed);
        assert_eq!(scene.source(at(1)).unwrap().reception, alone.source(at(1)).unwrap().reception);
        // Every packet is accounted for.
        let sent = if believed == 0 { 10_000 } else { 20_000 };
        assert_eq!(stats.reception.received - 1000 + stats.refused + stats.malformed, sent);
        if believed == 0 {
            assert!(same(&alone, &scene));
        }
    }
}

#[test]
fn sources_that_come_and_go_leave_sums_and_few_entries() {
    let mut scene = Scene::new(32);
    let mut most = 0;
    for n in 0..3000u32 {
        let address = somewhere(n);
        for sequence in 0..3 {
            scene.hear(address, &packet(n, sequence, u32::from(sequence) * 441, n));
            scene.pass();
        }
        scene.hear(address, &goodbye(n));
        if n % 8 == 7 {
            (0..12).for_each(|_| scene.pass());
        }
        most = most.max(scene.sources.held().1);
    }
    assert!(most <= MOST_SILENT + 1 + 32 + strangers::MOST, "{most}");
    let stats = scene.sources.stats();
    assert!(stats.sources.len() <= MOST_SILENT + 1 + 32);
    assert_eq!(stats.reception.received + stats.refused + stats.malformed, 9000);
    assert!(stats.reception.received > 8900, "{}", stats.reception.received);
}

#[test]
fn a_source_starts_while_a_flood_from_everywhere_goes_on() {
    let mut scene = Scene::new(32);
    let mut names = 0;
    for number in 0..500u32 {
        if number >= 100 {
            scene.hear(at(1), &good(number));
        }
        // 10,000 packets a second.
        for _ in 0..100 {
            names += 1;
            scene.hear(somewhere(names), &packet(names, 1, names, 0)[..60]);
        }
        scene.pass();
    }
    let received = scene.source(at(1)).map_or(0, |source| source.reception.received);
    assert!(received > 300, "{received} of 400");
}

#[test]
fn other_networks_are_refused_and_counted() {
    let mut scene = Scene::new(32);
    scene.sources.config.allow = Networks::parse(&["192.0.2.0/24"]).unwrap();
    for address in [at(1), somewhere(1)] {
        assert_eq!(scene.sources.lets_in(address, scene.now), address == at(1));
    }
    assert_eq!(scene.sources.stats().refused, 1);
}

thread_local! {
    static LINES: Cell<u64> = const { Cell::new(0) };
}

/// Counts the lines of each thread.
struct Counter;

impl log::Log for Counter {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            LINES.set(LINES.get() + 1);
        }
    }

    fn flush(&self) {}
}

fn count_lines() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if log::set_logger(&Counter).is_ok() {
            log::set_max_level(log::LevelFilter::Info);
        }
    });
    LINES.set(0);
}

/// What a liar does with its numbers, packet by packet: how far they go on, and how many packets in 10 ms. A lie that `lasts` is
/// told again and again.
fn lies(name: &str, lasts: bool, seconds: u64, per_turn: u32, step: impl Fn(u32) -> (u16, u32)) -> Scene {
    count_lines();
    let mut scene = Scene::new(32);
    let (mut sequence, mut timestamp, mut number) = (0u16, 0u32, 0u32);
    let mut delay = 0.0f64;
    for turn in 0..seconds * 100 {
        for _ in 0..per_turn {
            scene.hear(at(1), &packet(SSRC, sequence, timestamp, 0));
            number += 1;
            // At first it is honest.
            let (numbers, frames) = if number < 10 { (1, 441) } else { step(number) };
            sequence = sequence.wrapping_add(numbers);
            timestamp = timestamp.wrapping_add(frames);
        }
        scene.pass();
        if turn % 10 == 0 {
            delay = delay.max(scene.source(at(1)).map_or(0.0, |source| source.playback.delay_ms));
        }
    }
    scene.finish();
    let elapsed = scene.elapsed_frames();
    let Some(source) = scene.source(at(1)) else { panic!("{name}: not heard") };
    let lines = LINES.get();
    println!(
        "{name}: {:.2} s recorded of {seconds} s, delay {delay:.0} ms, {lines} lines, expected {} of {number} sent, restarts {}",
        scene.tape.frames as f64 / RATE as f64,
        source.reception.expected,
        source.reception.restarts
    );
    // Ten seconds ahead of the clock, a twentieth, and what is held back. All that was really sent is in it, and gaps as long as the
    // time that passed.
    let sound = u64::from(number) * 441;
    let lead = elapsed / 20 + 10 * RATE + RATE / 10;
    let bound = if per_turn > 1 { sound + elapsed + lead } else { elapsed + lead };
    // Sound that is stamped wrongly is as late as it says, up to what the window holds.
    let most_ms = if lasts { 2600.0 } else { 600.0 };
    assert!(scene.tape.frames <= bound, "{name}: {} frames recorded in {elapsed}", scene.tape.frames);
    assert!(delay <= most_ms, "{name}: {delay} ms");
    assert!(lines <= 402 * seconds + 10, "{name}: {lines} lines in {seconds} s");
    assert!(source.reception.expected <= u64::from(number) * 3001, "{name}: {source:?}");
    scene
}

#[test]
fn one_jump_of_sequence_or_timestamp_inflates_nothing() {
    for (name, numbers, frames) in [
        ("sequence + 32,000", 32_000, 441),
        ("sequence + 32,000 and its sound", 32_000, 32_000 * 441),
        ("timestamp + 2^31", 1, 1 << 31),
        ("timestamp + 2^31 - 1", 1, (1 << 31) - 1),
        ("both", 32_000, 1 << 31),
        ("back", 0u16.wrapping_sub(32_000), 0u32.wrapping_sub(1 << 30)),
    ] {
        let scene = lies(name, false, 10, 1, |n| if n == 500 { (numbers, frames) } else { (1, 441) });
        let extra = scene.tape.frames as i64 - 441_000;
        assert!(extra.abs() <= 4_410, "{name}: {extra} frames more");
        let reception = scene.source(at(1)).unwrap().reception;
        assert!(reception.expected <= 1001 && reception.received >= 999, "{name}: {reception:?}");
    }
}

#[test]
fn jumps_without_end_and_absurd_rates_keep_within_bounds() {
    lies(
        "a jump every second packet",
        true,
        20,
        1,
        |n| if n % 2 == 0 { (32_000, 1 << 31) } else { (1, 441) },
    );
    lies("every packet elsewhere, then one that follows", true, 20, 4, |n| {
        if n % 2 == 0 { (999, 400_000) } else { (1, 441) }
    });
    lies("gaps of 2,999", true, 20, 1, |_| (2_999, 441));
    lies("ten seconds ahead at every turn", true, 20, 1, |_| (2_999, 440_000));
    let scene = lies("a hundredfold rate", true, 10, 100, |_| (1, 441));
    assert_eq!(scene.sources.stats().refused + scene.sources.stats().reception.received, 100_000);
    lies("a hundredfold rate with gaps", true, 5, 100, |_| (3, 1323));
    lies("timestamps that stand", true, 10, 1, |_| (1, 0));
    lies("timestamps at tenfold speed", true, 20, 1, |_| (1, 4410));
}
