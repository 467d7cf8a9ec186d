//! What 10 ms of playing cost the device's callback: a packet comes in, and the render object is pulled for a block, with
//! one source and with several. Nothing is lost. Against a copy of the same block.

use std::hint::black_box;
use std::time::Duration;

use _engine::engine::format::Format;
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
    // Past the start, when all sources sound.
    for _ in 0..100 {
        room.pass_10_ms();
    }
    assert_eq!(room.pass_10_ms(), FRAMES, "every frame sounds");
    bencher.bench_local(|| black_box(room.pass_10_ms()));
}

/// Sources that send without fault, and the render object that plays them.
struct Room {
    writers: Vec<PacketWriter>,
    renderer: Renderer,
    sound: Vec<i16>,
    out: [f32; FRAMES],
    passed: u64,
}

impl Room {
    fn new(sources: usize) -> Self {
        let (renderer, mut roster, _) =
            Renderer::new(Format::DEFAULT, sources, FRAMES, Duration::from_secs(1));
        let writers = (0..sources)
            .map(|_| {
                let (writer, reader) = packet_queue(64, 64 * FRAMES, 1);
                let added = roster.add(Player::new(reader, Format::DEFAULT, None));
                assert!(added.is_ok(), "there is room for every source");
                writer
            })
            .collect();
        let sound = (0..FRAMES as i16).map(|n| n * 20).collect();
        Self { writers, renderer, sound, out: [0.0; FRAMES], passed: 0 }
    }

    fn pass_10_ms(&mut self) -> usize {
        let now = Micros(START + self.passed * 10_000);
        for writer in &mut self.writers {
            let head = Head {
                sequence: self.passed,
                position: Position((1 << 32) + self.passed * FRAMES as u64),
                arrival: now,
                frames: FRAMES as u32,
                ..Head::default()
            };
            assert!(writer.push(head, &self.sound), "playing makes room");
        }
        self.passed += 1;
        self.renderer.render(now, &mut self.out, Starved::Advance)
    }
}

/// 10 ms of mono at 44.1 kHz.
const FRAMES: usize = 441;
/// Any moment but the clock's first.
const START: u64 = 1_000_000_000;
