//! Sources that change their coding, packets without sound, and what is not understood.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use super::scene::{MS, SSRC, Scene, at, packet as sound};
use crate::engine::codec::g711;
use crate::engine::session::events::EventKind;
use crate::engine::session::forwarding::{self, Forwarding};
use crate::engine::wire::rtp::RtpHeader;

fn rtp(payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let header = RtpHeader { payload_type, sequence, timestamp, ssrc: SSRC, ..RtpHeader::default() };
    let mut out = header.to_bytes().to_vec();
    out.extend_from_slice(payload);
    out
}

/// 10 ms of a constant in G.711.
fn narrow(payload_type: u8, sequence: u16, timestamp: u32) -> Vec<u8> {
    let mut payload = Vec::new();
    match payload_type {
        0 => g711::encode_mu(&[8_000; 80], &mut payload),
        _ => g711::encode_a(&[8_000; 80], &mut payload),
    }
    rtp(payload_type, sequence, timestamp, &payload)
}

fn kinds(scene: &Scene) -> Vec<EventKind> {
    scene.sources.events().wait(None, Duration::ZERO).events.iter().map(|event| event.kind).collect()
}

#[test]
fn a_source_that_changes_its_coding_is_recorded_and_heard_all_along() {
    let mut scene = Scene::new(1);
    for n in 0..150u16 {
        let timestamp = u32::from(n) * 80;
        let bytes = match n / 50 {
            0 => narrow(0, n, timestamp),
            1 => narrow(8, n, timestamp),
            _ => sound(SSRC, n, u32::from(n) * 441 + 12_345, 0),
        };
        scene.hear(at(1), &bytes);
        scene.pass();
    }
    (0..50).for_each(|_| scene.pass());
    scene.finish();
    let stats = scene.sources.stats();
    let source = &stats.sources[0];
    assert_eq!((stats.malformed, source.reception.received, source.reception.lost), (0, 150, 0));
    assert_eq!(source.coding.to_string(), "L16/44100/1");
    assert_eq!(source.reception.restarts, 0);
    assert_eq!(scene.tape.frames, 150 * 441, "every frame is in the recording, and no more");
    // 1.0 s of the constant, away from its beginning.
    let there =
        scene.tape.sound[1_000..43_000].iter().filter(|s| (i32::from(**s) - 8_000).abs() < 400).count();
    assert!(there > 41_900, "{there}");
    assert_eq!(kinds(&scene), [EventKind::Joined]);
}

#[test]
fn a_key_is_an_event_once_and_nothing_of_it_is_lost_or_malformed() {
    let mut scene = Scene::new(1);
    let mut sequence = 0;
    let mut send = |scene: &mut Scene, bytes: &dyn Fn(u16) -> Vec<u8>| {
        scene.hear(at(1), &bytes(sequence));
        sequence += 1;
        scene.pass();
    };
    for n in 0..30u32 {
        send(&mut scene, &|sequence| sound(SSRC, sequence, n * 441, 0));
    }
    for (end, ticks) in [(0u8, 441u16), (0, 882), (0x80, 1_323), (0x80, 1_323), (0x80, 1_323)] {
        let [a, b] = ticks.to_be_bytes();
        send(&mut scene, &|sequence| rtp(101, sequence, 30 * 441, &[11, end | 0x0a, a, b]));
    }
    for n in 35..60u32 {
        send(&mut scene, &|sequence| sound(SSRC, sequence, n * 441, 0));
    }
    send(&mut scene, &|sequence| rtp(127, sequence, 60 * 441, &[9; 960]));
    send(&mut scene, &|sequence| rtp(11, sequence, 61 * 441, &[]));
    let stats = scene.sources.stats();
    let source = &stats.sources[0];
    assert_eq!((stats.malformed, source.reception.received, source.reception.lost), (0, 62, 0));
    assert_eq!(source.playback.frames_concealed, 0, "the sender was silent: nothing was missing");
    let events = scene.sources.events().wait(None, Duration::ZERO).events;
    let keys: Vec<_> = events.iter().filter(|event| event.kind == EventKind::Digit).collect();
    assert_eq!(keys.len(), 1);
    assert_eq!((keys[0].detail.as_str(), keys[0].source), ("#, 30 ms", source.number));
    assert_eq!(keys[0].digit.map(|digit| (digit.code, digit.duration)), Some((11, 30 * MS)));
}

#[test]
fn a_source_that_begins_with_a_key_has_the_format_of_its_sound_and_misses_nothing() {
    for first in [0u8, 11] {
        let mut scene = Scene::new(1);
        for n in 0..5u16 {
            scene.hear(at(1), &rtp(101, n, 1_000, &[1, 10, 0, 80]));
            scene.pass();
        }
        for n in 5..50u16 {
            let bytes = if first == 0 {
                narrow(0, n, u32::from(n) * 80)
            } else {
                sound(SSRC, n, u32::from(n) * 441, 0)
            };
            scene.hear(at(1), &bytes);
            scene.pass();
        }
        let source = scene.source(at(1)).unwrap();
        assert_eq!((source.reception.received, source.reception.lost), (50, 0));
        let frames = if first == 0 { 80 } else { 441 };
        assert_eq!(source.reception.frames, 45 * frames);
        assert_eq!(scene.sources.stats().malformed, 0);
    }
}

#[test]
fn the_silence_after_comfort_noise_has_its_level_until_sound_comes() {
    let mut scene = Scene::new(1);
    for n in 0..50u16 {
        scene.hear(at(1), &narrow(0, n, u32::from(n) * 80));
        scene.pass();
    }
    scene.hear(at(1), &rtp(13, 50, 50 * 80, &[40]));
    let db = |scene: &Scene| {
        let last = &scene.heard[scene.heard.len() - 8_820..];
        10.0 * (last.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 8_820.0).log10()
    };
    // Before the source is thought to pause, and after.
    for _ in 0..3 {
        (0..60).for_each(|_| scene.pass());
        assert!((db(&scene) + 40.0).abs() < 1.5, "{}", db(&scene));
    }
    let n = 230u32;
    for n in n..n + 60 {
        scene.hear(at(1), &narrow(0, (n - 179) as u16, n * 80));
        scene.pass();
    }
    assert!((db(&scene) + 12.2).abs() < 0.5, "{}", db(&scene));
    (0..150).for_each(|_| scene.pass());
    assert!(db(&scene) < -200.0);
    assert_eq!(scene.source(at(1)).unwrap().reception.lost, 0);
}

#[test]
fn all_that_a_source_sends_is_sent_on_whatever_it_holds() {
    let ear = UdpSocket::bind("127.0.0.1:0").unwrap();
    ear.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let path = forwarding::parse(&ear.local_addr().unwrap().to_string()).unwrap();
    let mut scene = Scene::new(1);
    scene.sources.set_forwarding(Forwarding::connect(&[path]).unwrap());
    let sent = [
        rtp(101, 0, 0, &[1, 10, 0, 80]),
        narrow(0, 1, 80),
        narrow(8, 2, 160),
        sound(SSRC, 3, 240, 0),
        rtp(13, 4, 681, &[40]),
        rtp(11, 5, 681, &[]),
        rtp(127, 6, 681, &[7; 33]),
        rtp(101, 7, 681, &[1, 0x8a, 0, 80]),
        narrow(0, 8, 999),
    ];
    for bytes in &sent {
        scene.hear(at(1), bytes);
        scene.pass();
    }
    scene.sources.flush_forwarding();
    let mut bytes = [0; 2_000];
    for sent in &sent {
        let length = ear.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], &sent[..]);
    }
}

#[test]
fn what_nothing_describes_makes_no_source_and_is_counted() {
    let mut scene = Scene::new(1);
    for n in 0..20u16 {
        scene.hear(at(1), &rtp(127, n, u32::from(n) * 80, &[5; 960]));
        scene.hear(SocketAddr::from(([192, 0, 2, 2], 1)), &[3; 228]);
        scene.pass();
    }
    let stats = scene.sources.stats();
    assert_eq!((stats.malformed, stats.sources.len()), (40, 0));
    assert_eq!(scene.sources.held(), (0, 0));
}
