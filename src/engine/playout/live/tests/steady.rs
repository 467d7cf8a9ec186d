//! A path that neither loses nor delays.

use super::*;

/// Plays a steady stream with these calls; says the delays in µs from a packet's arrival to the pull that takes its first
/// frame.
fn steady(packet: u32, block: usize, calls: impl Iterator<Item = Call>) -> Vec<u64> {
    let length = 4 * S;
    let mut rig = Rig::new(&scenario(packet, length), block, Bounds::default());
    let mut sent = scenario(packet, length).run().peekable();
    let first = sent.peek().unwrap().position.0;
    let mut heard = Vec::new();
    let mut waits = Vec::new();
    for call in calls {
        let h = rig.pull(call);
        let sound = ints(h.sound);
        if let Some(at) = sound.iter().position(|s| *s != 0) {
            heard.extend(&sound[at..]);
            let end = first + heard.len() as u64;
            while let Some(begun) = sent.next_if(|a| a.position.0 < end) {
                waits.push(h.at.since(begun.at).as_micros() as u64);
            }
        }
    }
    let figures = rig.figures();
    let label = format!("packet {packet}, block {block}");
    assert!(heard.len() > 3 * RATE as usize && is_ramp(&heard), "{label}: not bit-exact");
    assert_eq!(heard[0], ramp(first), "{label}");
    assert_eq!((figures.underruns, figures.frames_concealed, figures.late_packets), (0, 0, 0), "{label}");
    assert_eq!((figures.frames_accelerated, figures.frames_expanded, figures.resets), (0, 0, 0), "{label}");
    waits
}

fn micros(frames: usize) -> u64 {
    Format::DEFAULT.duration(frames as u64).as_micros() as u64
}

#[test]
fn a_steady_stream_is_bit_exact_and_waits_for_a_block_and_a_packet_at_most() {
    for packet in [441, 220, 110] {
        for block in [441, 220, 110, 1024] {
            let waits = steady(packet, block, calls(card(block), 4 * S - 100 * MS));
            let most = waits.iter().max().unwrap();
            println!("packet {packet}, block {block}: {most} us at most");
            assert!(
                *most <= micros(block) + micros(packet as usize),
                "packet {packet}, block {block}: {most}"
            );
        }
    }
}

#[test]
fn a_device_that_begins_with_two_blocks_and_calls_late_has_no_underrun() {
    for packet in [441, 220, 110] {
        for (block, late) in [(441, 4), (220, 2), (110, 1)] {
            for phase in 0..10 {
                for seed in 0..3 {
                    let start = START - 200 * MS + Duration::from_micros(317 + phase * 1_000);
                    let card = SoundCard::new(start, RATE, block, 0).late_by(late * MS, seed);
                    // The first call is for two blocks; the rest come when their sound is due.
                    let doubled =
                        |(n, c): (usize, Call)| Call { frames: c.frames * if n == 0 { 2 } else { 1 }, ..c };
                    let calls = card.enumerate().map(doubled);
                    let waits =
                        steady(packet, block, calls.take_while(|c| c.at.since(START) < 4 * S - 100 * MS));
                    let most = waits.iter().max().unwrap();
                    let bound = 2 * micros(block) + micros(packet as usize) + late as u64 * 1000;
                    assert!(*most <= bound, "packet {packet}, block {block}: {most}");
                }
            }
        }
    }
}

#[test]
fn pulls_of_all_sizes_are_bit_exact() {
    let sizes = [300, 582, 441, 100, 782];
    let mut done = 0u64;
    let calls = (0..).map(move |n: usize| {
        let frames = sizes[n % sizes.len()];
        let at = START - 200 * MS + Duration::from_micros(700) + Format::DEFAULT.duration(done);
        done += frames as u64;
        Call { at, frames }
    });
    for packet in [441, 220] {
        steady(packet, 441, calls.clone().take_while(|c| c.at.since(START) < 4 * S - 100 * MS));
    }
}
