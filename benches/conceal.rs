//! What concealing one packet costs, by tier and length of packet.

use std::time::Duration;

use _engine::engine::format::Format;
use _engine::engine::playout::conceal::{Concealer, Tier};
use divan::Bencher;

fn main() {
    divan::main();
}

const PACKETS: [(u32, u64); 5] =
    [(44_100, 10_000), (44_100, 5_000), (44_100, 2_500), (48_000, 10_000), (16_000, 10_000)];

/// Something like a voice: a pulse train through two resonances, and a little noise.
fn voice(format: Format, frames: usize) -> Vec<f32> {
    let (mut noise, mut y) = (1u32, [0.0f32; 4]);
    let period = format.rate() as usize / 110;
    (0..frames)
        .map(|n| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let hiss = (noise >> 8) as f32 / 16_777_216.0 - 0.5;
            let x = if n % period == 0 { 0.2 } else { 0.0 } + hiss * 0.002;
            let a = x + 1.95 * y[0] - 0.96 * y[1];
            let b = a * 0.05 + 1.7 * y[2] - 0.9 * y[3];
            y = [a, y[0], b, y[2]];
            b * 0.1
        })
        .collect()
}

#[divan::bench(args = Tier::ALL, consts = [0, 1, 2, 3, 4])]
fn two_sided<const PACKET: usize>(bencher: Bencher<'_, '_>, tier: Tier) {
    let (mut concealer, sound, frames) = set_up::<PACKET>();
    let mut out = vec![0.0; frames];
    bencher.bench_local(|| {
        let (past, future) = (&sound[..8_000], &sound[8_000 + frames..8_000 + 2 * frames]);
        concealer.interpolate(divan::black_box(past), future, 0, &mut out, tier);
    });
}

#[divan::bench(args = Tier::ALL, consts = [0, 1, 2, 3, 4])]
fn one_sided<const PACKET: usize>(bencher: Bencher<'_, '_>, tier: Tier) {
    let (mut concealer, sound, frames) = set_up::<PACKET>();
    let mut out = vec![0.0; frames];
    bencher.bench_local(|| concealer.extrapolate(divan::black_box(&sound[..8_000]), 0, &mut out, tier));
}

/// Three packets at once, as in a burst whose end is known.
#[divan::bench(args = Tier::ALL)]
fn a_hole_of_30_ms(bencher: Bencher<'_, '_>, tier: Tier) {
    let (mut concealer, sound, frames) = set_up::<0>();
    let mut out = vec![0.0; 3 * frames];
    bencher.bench_local(|| {
        concealer.interpolate(divan::black_box(&sound[..8_000]), &sound[9_323..9_764], 0, &mut out, tier);
    });
}

fn set_up<const PACKET: usize>() -> (Concealer, Vec<f32>, usize) {
    let (rate, micros) = PACKETS[PACKET];
    let format = Format::new(rate, 1).expect("a format of ours");
    (Concealer::new(format), voice(format, 12_000), format.frames(Duration::from_micros(micros)))
}
