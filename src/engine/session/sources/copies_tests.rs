//! Streams and their copies from one address: one source, whatever is lost, whoever comes first.

use std::net::SocketAddr;

use super::*;
use crate::engine::config::{Output, ServerConfig};
use crate::engine::stats::ServerStats;
use crate::engine::wire::rtp::RtpHeader;

const SSRC: u32 = 0x1234_5678;

struct Scene {
    sources: Sources,
    now: u64,
}

impl Scene {
    fn new() -> Self {
        let config = ServerConfig { output: Output::Null, ..ServerConfig::default() };
        Self { sources: Sources::new(config), now: 3_600_000 }
    }

    fn hear(&mut self, port: u16, ssrc: u32, n: u32) {
        let way: Way = SocketAddr::from(([192, 0, 2, 1], port)).into();
        let (sequence, timestamp) = (n as u16, n * 441);
        let header = RtpHeader { payload_type: 11, sequence, timestamp, ssrc, marker: false };
        let mut packet = header.to_bytes().to_vec();
        packet.resize(RtpHeader::LEN + 882, n as u8);
        self.sources.datagram(way, Micros(self.now * 1000), &packet);
    }

    /// Packet `n`, and the copies that go with it of those `spacing` and twice `spacing` before; what `lost` names is lost.
    fn send(&mut self, n: u32, spacing: u32, lost: &dyn Fn(u32, u32) -> bool) {
        for copy in 0..3 {
            let Some(n) = n.checked_sub(copy * spacing) else { continue };
            if !lost(copy, n) {
                let ssrc = if copy == 0 { SSRC } else { (!SSRC).wrapping_sub(copy - 1) };
                self.hear(5004, ssrc, n);
            }
        }
        self.now += 10;
    }

    fn stats(&mut self) -> ServerStats {
        self.sources.finish();
        self.sources.stats()
    }
}

#[test]
fn copies_repair_their_source_and_are_no_sources() {
    let mut scene = Scene::new();
    for n in 0..200 {
        scene.send(n, 1, &|copy, n| (n * 7 + copy * 3) % 5 == 1 && n > 0);
    }
    let stats = scene.stats();
    assert_eq!((stats.sources.len(), stats.malformed), (1, 0));
    let r = stats.reception;
    assert_eq!((r.expected, r.received, r.duplicated), (200, 200 - r.lost, 0));
    assert!(r.lost > 30 && r.repaired >= r.lost - 1, "{r:?}");
    assert_eq!(stats.sources[0].ssrc, SSRC);
}

#[test]
fn before_the_source_is_believed_its_copies_are_passed_over() {
    let mut scene = Scene::new();
    // Packet 0, its copies, and after a loss packet 2.
    scene.send(0, 1, &|_, _| false);
    scene.send(1, 1, &|copy, n| copy == 0 && n == 1);
    scene.send(2, 1, &|_, _| false);
    let stats = scene.stats();
    assert_eq!((stats.sources.len(), stats.malformed), (1, 0));
    assert_eq!((stats.reception.lost, stats.reception.repaired), (1, 1));
}

#[test]
fn a_copy_that_was_believed_first_gives_way_to_its_source() {
    for spacing in [1, 3, 8] {
        let mut scene = Scene::new();
        // The source's first packets are lost; both of its copies are there.
        for n in 0..100 {
            scene.send(n, spacing, &|copy, n| copy == 0 && n < 2 * spacing + 5);
        }
        let stats = scene.stats();
        let names: Vec<u32> = stats.sources.iter().map(|source| source.ssrc).collect();
        assert_eq!(names, [SSRC], "spacing {spacing}");
        assert_eq!(stats.malformed, 0);
        let r = stats.reception;
        assert_eq!((r.lost, r.restarts), (r.repaired, 0), "{r:?}");
    }
}

#[test]
fn the_same_ssrc_from_elsewhere_is_another_source() {
    let mut scene = Scene::new();
    for n in 0..20 {
        scene.hear(5004, SSRC, n);
        scene.hear(6000, !SSRC, n);
        scene.now += 10;
    }
    assert_eq!(scene.stats().sources.len(), 2);
}

#[test]
fn what_goes_by_a_copys_name_and_does_not_fit_is_malformed_and_never_heard() {
    let mut scene = Scene::new();
    for n in 0..50 {
        scene.hear(5004, SSRC, 1000 + n);
        if n > 5 {
            scene.hear(5004, !SSRC, 40_000 + n);
        }
        scene.now += 10;
    }
    let stats = scene.stats();
    assert_eq!((stats.sources.len(), stats.malformed), (1, 44));
    assert_eq!((stats.reception.received, stats.reception.lost), (50, 0));
}

#[test]
fn copies_of_what_was_before_a_restart_are_not_heard() {
    let mut scene = Scene::new();
    let mut copy_of = Vec::new();
    for n in (0..50).chain(30_000..30_050) {
        scene.hear(5004, SSRC, n);
        copy_of.push(n);
        if copy_of.len() > 4 {
            scene.hear(5004, !SSRC, copy_of[copy_of.len() - 4]);
        }
        scene.now += 10;
    }
    let stats = scene.stats();
    assert_eq!((stats.sources.len(), stats.reception.restarts), (1, 1));
    assert_eq!((stats.reception.received, stats.reception.lost), (100, 0));
}
