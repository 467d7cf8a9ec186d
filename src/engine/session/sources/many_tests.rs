//! Many sources, in virtual time: what they take, and what is done when they are too many.

use std::sync::Arc;

use super::*;
use crate::engine::config::Output;
use crate::engine::counting::held;
use crate::engine::format::Format;
use crate::engine::playout::live::Bounds;
use crate::engine::playout::render::{Render, Renderer, Starved};
use crate::engine::stream::queue::{PacketReader, packet_queue};
use crate::engine::wire::rtp::RtpHeader;

const MS: Duration = Duration::from_millis(1);

/// A server without sockets, and its speaker.
struct Hall {
    sources: Sources,
    renderer: Renderer,
    now: Micros,
    out: Vec<f32>,
    packet: Vec<u8>,
}

impl Hall {
    fn new(max_sources: usize, output: Output) -> Self {
        let config = ServerConfig { output, max_sources, ..ServerConfig::default() };
        let mut sources = Sources::new(config);
        let (renderer, roster, controls) =
            Renderer::new(Format::DEFAULT, max_sources, 441, 200 * MS).unwrap();
        controls.set_bounds(Bounds::default());
        sources.set_roster(roster);
        Self { sources, renderer, now: Micros(3_600_000_000), out: vec![0.0; 441], packet: Vec::new() }
    }

    /// Packet `n` of a source, a voice of its own.
    fn hear(&mut self, source: u32, n: u32) {
        let header = RtpHeader {
            marker: false,
            payload_type: 11,
            sequence: n as u16,
            timestamp: n * 441,
            ssrc: 1_000_000 + source * 100,
        };
        self.packet.clear();
        header.write(&mut self.packet);
        for at in 0..441 {
            let time = (n * 441 + at) as f32 / 44_100.0;
            let sample = (time * (200.0 + source as f32)).sin() * 1_000.0;
            self.packet.extend_from_slice(&(sample as i16).to_be_bytes());
        }
        let address = SocketAddr::from(([127, 0, 0, 1], 10_000 + (source % 50_000) as u16));
        self.sources.datagram(address.into(), self.now, &self.packet);
    }

    fn pass(&mut self, frames: usize) {
        self.sources.letters(self.now);
        self.sources.sweep(self.now);
        self.out.resize(frames, 0.0);
        self.renderer.render(self.now, &mut self.out, Starved::Advance);
        self.now = self.now + Format::DEFAULT.duration(frames as u64);
    }

    fn fall_silent(&mut self) {
        for _ in 0..120 {
            self.pass(4410);
        }
    }

    fn record(&mut self) -> PacketReader {
        let (queue, recorder) = packet_queue(4096, 20 * 44_100, 1);
        self.sources.set_recorder(Some((queue, Arc::default())));
        recorder
    }
}

#[test]
fn a_playing_source_takes_64_kibibytes_and_an_idle_one_4() {
    let count = 64;
    let mut hall = Hall::new(64, Output::Null);
    // What is made once for all.
    (0..5).for_each(|n| {
        hall.hear(9_999, n);
        hall.pass(441);
    });
    hall.fall_silent();
    let before = held();
    for n in 0..300 {
        for source in 0..count {
            // Losses, so that everything is in use.
            if (n + source) % 50 != 7 {
                hall.hear(source, n);
            }
        }
        hall.pass(441);
    }
    assert_eq!(hall.sources.playing(), count as usize);
    let playing = (held() - before) / i64::from(count);
    hall.fall_silent();
    assert_eq!(hall.sources.playing(), 0);
    let idle = (held() - before) / i64::from(count);
    println!("{playing} bytes a playing source, {idle} bytes an idle one");
    assert!(playing <= 64 << 10, "{playing} bytes");
    assert!(idle <= 4 << 10, "{idle} bytes");
}

#[test]
fn ten_thousand_sources_that_come_and_go_leave_nothing_behind() {
    let mut hall = Hall::new(128, Output::Null);
    let mut after = Vec::new();
    for round in 0..100 {
        for n in 0..4 {
            for source in 0..100 {
                hall.hear(round * 100 + source, n);
            }
            hall.pass(441);
        }
        assert_eq!(hall.sources.playing(), 100);
        hall.fall_silent();
        after.push(held());
    }
    let (early, late) = (after[9], after[99]);
    assert!(late - early < 16 << 10, "{early} bytes after 1,000 sources, {late} after 10,000");
    let stats = hall.sources.stats();
    assert_eq!((stats.reception.received, stats.reception.lost), (40_000, 0), "nothing of them is forgotten");
}

#[test]
fn the_newest_of_too_many_are_not_heard_but_counted_and_recorded_and_are_heard_again() {
    let mut hall = Hall::new(8, Output::Null);
    let mut recorder = hall.record();
    let (mut n, mut kept) = (0, 0);
    let mut run = |hall: &mut Hall, rounds: u32| {
        let before: Vec<u64> = played(hall);
        for _ in 0..rounds {
            (0..5).for_each(|source| hall.hear(source, n));
            n += 1;
            hall.pass(441);
            while recorder.pop(|_, _| kept += 1) {}
        }
        let after = played(hall);
        (0..5).map(|at| after[at] - before.get(at).copied().unwrap_or(0) > 0).collect::<Vec<_>>()
    };
    assert_eq!(run(&mut hall, 200), [true; 5]);
    hall.renderer.keep_players(2);
    run(&mut hall, 100);
    assert_eq!(run(&mut hall, 100), [true, true, false, false, false]);
    assert_eq!(hall.sources.stats().unheard, 3);
    hall.renderer.keep_players(4);
    run(&mut hall, 100);
    assert_eq!(run(&mut hall, 100), [true, true, true, true, false]);
    assert_eq!(hall.sources.stats().unheard, 1);
    let stats = hall.sources.stats();
    assert_eq!((stats.reception.received, kept), (5 * u64::from(n), 5 * n));
    assert_eq!((stats.reception.lost, stats.dropped_local), (0, 0));
}

#[test]
fn without_an_output_sources_are_counted_and_recorded() {
    let mut hall = Hall::new(8, Output::None);
    let mut recorder = hall.record();
    for n in 0..300 {
        hall.hear(1, n);
        hall.pass(441);
    }
    let stats = hall.sources.stats();
    assert_eq!((stats.reception.received, stats.dropped_local, stats.unheard), (300, 0, 0));
    assert_eq!((stats.playback.frames_played, hall.renderer.players()), (0, 0));
    assert_eq!((0..1000).filter(|_| recorder.pop(|_, _| ())).count(), 300);
}

fn played(hall: &Hall) -> Vec<u64> {
    hall.sources.stats().sources.iter().map(|source| source.playback.frames_played).collect()
}
