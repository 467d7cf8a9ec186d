//! What concealing costs: all tiers, lengths of packet, mono and stereo, one packet lost and several, against a quarter of
//! the packet's time, which no call may take for long (`session/timed.rs` goes to a cheaper tier). Prints tables.

use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

use _engine::engine::format::Format;
use _engine::engine::playout::conceal::{Concealer, Tier};

fn main() {
    if !std::env::args().any(|a| a == "--bench") {
        // `cargo test --benches` runs every harness: nothing to do there.
        return;
    }
    println!("Microseconds for one hole (median of {ROUNDS}); * is more than a quarter of the packet's time");
    for (title, hole) in [
        ("one packet, the next one there", Hole { lost: 1, known: 1 }),
        ("one packet, the next two there", Hole { lost: 1, known: 2 }),
        ("two packets, the next one there", Hole { lost: 2, known: 1 }),
        ("three packets, the next one there", Hole { lost: 3, known: 1 }),
        ("one packet, nothing behind it", Hole { lost: 1, known: 0 }),
    ] {
        println!(
            "\n{title:36}{:>9}{:>9}{:>9}{:>9}{:>9}{:>10}",
            "440", "256", "128", "64", "pitch", "quarter"
        );
        for (rate, channels) in [(44_100, 1), (44_100, 2), (48_000, 1), (48_000, 2), (16_000, 1), (96_000, 2)]
        {
            for micros in [2_500, 5_000, 10_000, 20_000] {
                let format = Format::new(rate, channels).expect("a format of ours");
                row(format, Duration::from_micros(micros), hole);
            }
        }
    }
}

/// What is missing and what is known behind it, packets.
#[derive(Clone, Copy)]
struct Hole {
    lost: usize,
    known: usize,
}

fn row(format: Format, packet: Duration, hole: Hole) {
    let frames = format.frames(packet);
    let quarter = packet.as_micros() as f64 / 4.0;
    let mut line = format!(
        "{:>6} Hz, {}, {:>4} ms",
        format.rate(),
        if format.channels() == 1 { "mono  " } else { "stereo" },
        packet.as_micros() as f64 / 1e3
    );
    line = format!("{line:36}");
    for tier in Tier::ALL {
        let us = measure(format, frames, hole, tier);
        let mark = if us > quarter { '*' } else { ' ' };
        let _ = write!(line, "{us:>8.0}{mark}");
    }
    println!("{line}{quarter:>10.0}");
}

fn measure(format: Format, frames: usize, hole: Hole, tier: Tier) -> f64 {
    let channels = format.channels();
    let past = format.frames(Duration::from_millis(80));
    let sound = voice(format, past + (hole.lost + hole.known) * frames);
    let (before, rest) = sound.split_at(past * channels);
    let behind = &rest[hole.lost * frames * channels..];
    let mut out = vec![0.0; hole.lost * frames * channels];
    let mut concealer = Concealer::new(format);
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            #[allow(clippy::disallowed_methods, reason = "a bench measures time")]
            let began = Instant::now();
            if hole.known == 0 {
                concealer.extrapolate(black_box(before), 0, black_box(&mut out), tier);
            } else {
                concealer.interpolate(black_box(before), black_box(behind), 0, black_box(&mut out), tier);
            }
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[ROUNDS / 2].as_secs_f64() * 1e6
}

/// Something like a voice: a pulse train through two resonances, and a little noise; not the same on both sides.
fn voice(format: Format, frames: usize) -> Vec<f32> {
    let (mut noise, mut y) = (1u32, [0.0f32; 4]);
    let period = format.rate() as usize / 110;
    let mut next = |n: usize| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let hiss = (noise >> 8) as f32 / 16_777_216.0 - 0.5;
        let x = if n.is_multiple_of(period) { 0.2 } else { 0.0 } + hiss * 0.002;
        let a = x + 1.95 * y[0] - 0.96 * y[1];
        let b = a * 0.05 + 1.7 * y[2] - 0.9 * y[3];
        y = [a, y[0], b, y[2]];
        (b * 0.1, hiss * 0.01)
    };
    (0..frames)
        .flat_map(|n| {
            let (voice, hiss) = next(n);
            [voice, voice * 0.7 + hiss].into_iter().take(format.channels())
        })
        .collect()
}

/// Enough for a median that a busy machine does not move much.
const ROUNDS: usize = 41;
