//! What playing costs the device's callback: packets of 10 ms come in, and the render object is pulled for a block of
//! 10 ms, with one source and with several, whole and with a packet lost. Against a copy of the same block.

use std::f32::consts::TAU;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use _engine::engine::format::Format;
use _engine::engine::playout::live::Bounds;
use _engine::engine::playout::player::Player;
use _engine::engine::playout::render::{Render, Renderer, Starved};
use _engine::engine::stream::queue::{Head, PacketWriter, Position, packet_queue};
use _engine::engine::time::Micros;
use divan::Bencher;

fn main() {
    divan::main();
}

#[divan::bench]
fn copy(bencher: Bencher) {
    let (from, mut to) = ([0.5_f32; FRAMES], [0.0_f32; FRAMES]);
    bencher.bench_local(|| black_box(&mut to).copy_from_slice(black_box(&from)));
}

#[divan::bench(args = [1, 8, 32])]
fn pull(bencher: Bencher, sources: usize) {
    let mut room = Room::new(sources);
    bencher.bench_local(|| black_box(room.pass_10_ms(true)));
}

/// 200 ms of one source, of whose 20 packets so many are lost.
#[divan::bench(args = [0, 1])]
fn pull_20_with_lost(bencher: Bencher, lost: u32) {
    let mut room = Room::new(1);
    bencher.bench_local(|| {
        for packet in 0..20 {
            black_box(room.pass_10_ms(packet >= lost));
        }
    });
}

/// Sources that send, and the render object that plays them.
struct Room {
    writers: Vec<PacketWriter>,
    renderer: Renderer,
    sound: Vec<i16>,
    out: [f32; FRAMES],
    passed: u64,
}

impl Room {
    /// Past the start: all sources sound.
    fn new(sources: usize) -> Self {
        let (renderer, mut roster, _) =
            Renderer::new(Format::DEFAULT, sources, FRAMES, Duration::from_secs(1)).expect("a plain format");
        let writers = (0..sources)
            .map(|_| {
                let (writer, reader) = packet_queue(64, 64 * FRAMES, 1);
                let player = Player::live(reader, Format::DEFAULT, Bounds::default().most, Arc::default());
                assert!(roster.add(player), "there is room for every source");
                writer
            })
            .collect();
        let mut room = Self { writers, renderer, sound: voice(), out: [0.0; FRAMES], passed: 0 };
        for _ in 0..100 {
            room.pass_10_ms(true);
        }
        assert_eq!(room.pass_10_ms(true), FRAMES, "every frame sounds");
        room
    }

    fn pass_10_ms(&mut self, sent: bool) -> usize {
        let now = Micros(START + self.passed * 10_000);
        let head = Head {
            sequence: self.passed,
            position: Position((1 << 32) + self.passed * FRAMES as u64),
            arrival: now,
            frames: FRAMES as u32,
            ..Head::default()
        };
        let from = self.passed as usize * FRAMES % self.sound.len();
        for writer in self.writers.iter_mut().filter(|_| sent) {
            assert!(writer.push(head, &self.sound[from..from + FRAMES]), "playing makes room");
        }
        self.passed += 1;
        self.renderer.render(now, &mut self.out, Starved::Advance)
    }
}

/// A second that has a pitch, formants of a kind and pauses.
fn voice() -> Vec<i16> {
    let sample = |n: usize| {
        let time = n as f32 / 44_100.0;
        let tones: f32 = (1..=12).map(|k| (TAU * 110.0 * k as f32 * time).sin() / k as f32).sum();
        (tones * (TAU * 3.0 * time).sin().max(0.0) * 8000.0) as i16
    };
    (0..100 * FRAMES).map(sample).collect()
}

/// 10 ms of mono at 44.1 kHz.
const FRAMES: usize = 441;
/// Any moment but the clock's first.
const START: u64 = 1_000_000_000;
