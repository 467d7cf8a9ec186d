//! Sources that come, fall silent and go, in virtual time.

use std::time::Duration;

use super::super::scene::{SSRC, Scene, at, good, goodbye, packet, somewhere};
use super::*;
use crate::engine::config::Wire;
use crate::engine::stats::Presence;
use crate::engine::time::Micros;

impl Scene {
    /// A hundredth of a second each, with the packets of these numbers.
    fn stream(&mut self, address: std::net::SocketAddr, numbers: std::ops::Range<u32>) {
        for number in numbers {
            self.hear(address, &good(number));
            self.pass();
        }
    }

    fn wait(&mut self, seconds: u64) {
        (0..seconds * 100).for_each(|_| self.pass());
    }

    /// What has happened, without its numbers.
    fn told(&self) -> Vec<(EventKind, u32)> {
        let told = self.sources.events().wait(None, Duration::ZERO);
        told.events.iter().map(|event| (event.kind, event.source)).collect()
    }

    fn presence(&self) -> Vec<Presence> {
        self.sources.stats().sources.iter().map(|source| source.presence).collect()
    }
}

#[test]
fn a_source_joins_falls_idle_resumes_and_is_lost_when_nothing_comes_of_it() {
    let mut scene = Scene::new(32);
    scene.stream(at(1), 0..100);
    assert_eq!(scene.told(), [(EventKind::Joined, 1)]);
    scene.wait(11);
    assert_eq!((scene.told().last(), scene.presence()), (Some(&(EventKind::Idle, 1)), vec![Presence::Idle]));
    // Its numbers go on, as its clock has.
    scene.stream(at(1), 1200..1300);
    assert_eq!(scene.told().last(), Some(&(EventKind::Resumed, 1)));
    assert_eq!(scene.presence(), [Presence::Playing]);
    scene.wait(29);
    assert_eq!(scene.presence(), [Presence::Idle]);
    scene.wait(2);
    assert_eq!((scene.told().last(), scene.presence()), (Some(&(EventKind::Lost, 1)), vec![Presence::Left]));
    scene.stream(at(1), 4400..4500);
    let kinds: Vec<_> = scene.told().iter().map(|(kind, _)| kind.name()).collect();
    assert_eq!(kinds, ["joined", "idle", "resumed", "idle", "lost", "joined"]);
    assert!(scene.told().iter().all(|(_, source)| *source == 1), "it keeps its number");
    let times: Vec<_> =
        scene.sources.events().wait(None, Duration::ZERO).events.iter().map(|event| event.at).collect();
    assert!(times.is_sorted() && times[1].since(times[0]) >= Duration::from_secs(10));
}

#[test]
fn reports_keep_a_silent_source_from_being_lost() {
    let mut scene = Scene::new(32);
    scene.stream(at(1), 0..100);
    let mut report = Vec::new();
    crate::engine::wire::rtcp::write_receiver_report(SSRC, &[], &mut report);
    crate::engine::wire::rtcp::write_description(SSRC, &[(1, "it is me")], &mut report);
    for _ in 0..12 {
        scene.wait(5);
        scene.hear(at(1), &report);
    }
    assert_eq!(scene.told(), [(EventKind::Joined, 1), (EventKind::Idle, 1)]);
    scene.wait(31);
    assert_eq!(scene.told().last(), Some(&(EventKind::Lost, 1)));
}

#[test]
fn a_goodbye_is_told_once_and_who_comes_again_joins() {
    let mut scene = Scene::new(32);
    scene.stream(at(1), 0..100);
    (0..3).for_each(|_| scene.hear(at(1), &goodbye(SSRC)));
    scene.wait(60);
    assert_eq!(scene.told(), [(EventKind::Joined, 1), (EventKind::Left, 1)]);
    scene.stream(at(1), 6100..6200);
    assert_eq!(scene.told().last(), Some(&(EventKind::Joined, 1)));
}

#[test]
fn a_connection_that_is_closed_is_left_and_one_that_breaks_is_lost() {
    let mut scene = Scene::new(32);
    for number in 0..50 {
        for last in [1, 2] {
            let bytes = packet(u32::from(last), number as u16, number * 441, 0);
            let now = scene.now;
            scene.sources.framed(at(last), Wire::Rtp, now, &bytes);
        }
        scene.pass();
    }
    // Connections fall silent, and are no less there for it.
    scene.wait(50);
    assert_eq!(scene.presence(), [Presence::Idle; 2]);
    let now = scene.now;
    scene.sources.disconnected(at(1), None, now);
    scene.sources.disconnected(at(2), Some("connection reset by peer"), now);
    scene.sources.disconnected(at(3), None, now);
    let told = scene.sources.events().wait(None, Duration::ZERO).events;
    let last: Vec<_> = told[4..].iter().map(|e| (e.kind, e.source, e.detail.as_str())).collect();
    assert_eq!(
        last,
        [(EventKind::Left, 1, "its connection was closed"), (EventKind::Lost, 2, "connection reset by peer")]
    );
    assert_eq!(scene.presence(), [Presence::Left; 2]);
}

#[test]
fn who_goes_on_from_another_address_has_left_the_first() {
    let mut scene = Scene::new(32);
    scene.stream(at(1), 0..100);
    // The sweep has just been: silent for 10 s, and not yet retired.
    while scene.told().len() == 1 {
        let now = scene.now;
        scene.hear(at(2), &good(100 + now.since(Micros(3_601_000_000)).as_millis() as u32 / 10));
        scene.pass();
    }
    let told = scene.told();
    assert!(told[1] == (EventKind::Left, 1) || told[1] == (EventKind::Idle, 1), "{told:?}");
    assert!(scene.sources.playing() <= 1);
}

#[test]
fn a_source_that_stops_has_no_player_after_its_time_and_costs_its_entry_only() {
    let mut scene = Scene::new(32);
    scene.stream(at(1), 0..100);
    assert_eq!((scene.sources.playing(), scene.players()), (1, 1));
    scene.wait(9);
    assert_eq!((scene.sources.playing(), scene.players()), (1, 1));
    scene.wait(3);
    assert_eq!((scene.sources.playing(), scene.players()), (0, 0));
    assert_eq!(scene.sources.stats().sources[0].reception.received, 100, "its figures stay");
}

#[test]
fn ten_thousand_sources_that_come_and_go_are_counted_told_and_forgotten() {
    let mut scene = Scene::new(32);
    let sent = 4;
    for n in 0..10_000u32 {
        for sequence in 0..sent {
            scene.hear(somewhere(n), &packet(n, sequence, u32::from(sequence) * 441, n)[..100]);
        }
        scene.hear(somewhere(n), &goodbye(n));
        if n % 16 == 15 {
            (0..12).for_each(|_| scene.pass());
            let held = (scene.sources.playing(), scene.players());
            assert!(held.0 <= 32 && held.1 <= 64, "{held:?}");
        }
    }
    // Those that still wait for the speaker's room have their turn, and a second each.
    scene.wait(6);
    let stats = scene.sources.stats();
    assert_eq!(stats.reception.received, 10_000 * u64::from(sent), "in the sums, those forgotten too");
    assert_eq!((stats.malformed, stats.refused, stats.dropped_local), (0, 0, 0));
    assert!(stats.sources.len() <= 300, "{} remembered", stats.sources.len());
    assert_eq!((scene.sources.playing(), scene.players()), (0, 0));
    let told = scene.sources.events().wait(None, Duration::ZERO);
    assert_eq!((told.next, told.events.len()), (20_000, crate::engine::session::events::MOST));
    assert_eq!(
        told.events.iter().map(|event| event.source).max(),
        Some(10_000),
        "numbers are never given again"
    );
}

/// Five seconds of an honest source beside one that is muted and does what `deed` says, a hundredth of a second at a time.
fn beside(deed: impl Fn(&mut Scene, u32)) -> Scene {
    let mut scene = Scene::new(32);
    for number in 0..500 {
        scene.hear(at(1), &good(number));
        if number == 20 {
            // Silence, until it is muted.
            for sequence in 0..2u16 {
                let mut bytes = packet(5, sequence, u32::from(sequence) * 441, 0);
                bytes[12..].fill(0);
                scene.hear(at(2), &bytes);
            }
            scene.sources.set_muted(2, true).unwrap();
        } else if number > 20 {
            deed(&mut scene, number);
        }
        scene.pass();
    }
    scene
}

/// What another source does, packet after packet.
type Deed = fn(&mut Scene, u32);

#[test]
fn a_source_that_floods_jumps_or_changes_format_leaves_another_ones_part_as_it_is_to_the_bit() {
    let quiet =
        beside(|scene, number| scene.hear(at(2), &packet(5, number as u16 - 19, (number - 19) * 441, 1)));
    let own = quiet.source(at(1)).unwrap();
    assert_eq!((own.reception.received, own.reception.lost), (500, 0));
    assert!(quiet.heard.iter().any(|sample| *sample != 0.0));
    let deeds: [(&str, Deed); 3] = [
        ("flood", |scene, number| {
            for n in (number - 21) * 100..(number - 20) * 100 {
                scene.hear(at(2), &packet(5, n as u16 + 2, (n + 2) * 441, 1));
            }
        }),
        ("jumps", |scene, number| {
            let (sequence, timestamp) =
                (number.wrapping_mul(9_973) >> 3, number.wrapping_mul(0x9e37_79b9) >> 2);
            scene.hear(at(2), &packet(5, sequence as u16, timestamp, 1));
            scene.hear(at(2), &packet(5, (sequence as u16).wrapping_add(1), timestamp.wrapping_add(441), 1));
        }),
        ("formats", |scene, number| {
            let mut bytes = packet(5, number as u16 - 19, (number - 19) * 441, 1);
            bytes[1] = [10, 0, 8, 11, 127][number as usize % 5];
            bytes.truncate(12 + 882 - number as usize % 7);
            scene.hear(at(2), &bytes);
        }),
    ];
    for (what, deed) in deeds {
        let scene = beside(deed);
        assert!(scene.heard == quiet.heard, "{what}: something else is heard");
        assert!(scene.source(at(1)).as_ref() == Some(&own), "{what}: other figures");
    }
}
