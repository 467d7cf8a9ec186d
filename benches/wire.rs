//! What a packet of 10 ms costs on its way to and from the wire: sound to packet (numbered, stamped, big-endian), and
//! packet to sound. Against a copy of the same bytes.

use std::hint::black_box;

use _engine::engine::codec::l16;
use _engine::engine::config::{BlockSize, Wire};
use _engine::engine::format::Format;
use _engine::engine::stream::sender::{Outline, Sender};
use _engine::engine::wire::{classic, rtp};
use divan::Bencher;

fn main() {
    divan::main();
}

#[divan::bench]
fn copy(bencher: Bencher) {
    let packet = packet_of(Wire::Rtp);
    let mut out = vec![0_u8; packet.len()];
    bencher.bench_local(|| black_box(&mut out[..]).copy_from_slice(black_box(&packet)));
}

#[divan::bench(args = [Wire::Rtp, Wire::Classic])]
fn sound_to_packet(bencher: Bencher, wire: Wire) {
    let sound = sound();
    let mut sender = sender(wire);
    bencher.bench_local(|| {
        sender.push(black_box(&sound), &mut |packet| {
            black_box(packet);
        });
    });
}

#[divan::bench(args = [Wire::Rtp, Wire::Classic])]
fn packet_to_sound(bencher: Bencher, wire: Wire) {
    let packet = packet_of(wire);
    let mut samples = Vec::with_capacity(FRAMES);
    bencher.bench_local(|| {
        samples.clear();
        let packet = black_box(&packet[..]);
        match wire {
            Wire::Rtp => l16::decode(rtp::parse(packet).expect("our own packet").1, &mut samples),
            Wire::Classic => {
                let (_, payload) = classic::parse(packet, Format::DEFAULT).expect("our own packet");
                l16::decode_le(payload, &mut samples);
            }
        }
        black_box(samples.len())
    });
}

fn packet_of(wire: Wire) -> Vec<u8> {
    let mut packet = Vec::new();
    sender(wire).push(&sound(), &mut |bytes| packet = bytes.to_vec());
    packet
}

fn sender(wire: Wire) -> Sender {
    Sender::new(&Outline::l16(wire, Format::DEFAULT, BlockSize::default(), None), 1, 2, 3)
        .expect("a valid outline")
}

fn sound() -> Vec<i16> {
    (0..FRAMES as i16).map(|n| n.wrapping_mul(149)).collect()
}

/// 10 ms of mono at 44.1 kHz.
const FRAMES: usize = 441;
