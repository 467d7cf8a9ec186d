//! A device whose blocks are asked for in pieces, all at one moment: where its sound is converted.

use super::*;

/// Plays a steady stream in pieces of `piece` frames; says the longest time in µs from a packet's arrival to the call that takes
/// its first frame.
fn in_pieces(packet: u32, block: usize, piece: usize) -> u64 {
    let length = 4 * S;
    let mut rig = Rig::new(&scenario(packet, length), piece, Bounds::default());
    let mut sent = scenario(packet, length).run().peekable();
    let first = sent.peek().unwrap().position.0;
    let (mut heard, mut longest) = (Vec::new(), 0);
    // The device plays before anybody sends.
    let card = SoundCard::new(START - 200 * MS + Duration::from_micros(700), RATE, block, 0);
    for call in calls(card, length - 100 * MS) {
        for from in (0..block).step_by(piece) {
            let h = rig.pull(Call { frames: piece.min(block - from), ..call });
            let sound = ints(h.sound);
            let at = if heard.is_empty() { sound.iter().position(|s| *s != 0) } else { Some(0) };
            heard.extend(at.map_or(&[][..], |at| &sound[at..]));
            while let Some(begun) = sent.next_if(|a| a.position.0 < first + heard.len() as u64) {
                longest = longest.max(h.at.since(begun.at).as_micros() as u64);
            }
        }
    }
    let figures = rig.figures();
    let label = format!("packet {packet}, block {block} in pieces of {piece}");
    assert!(heard.len() > 3 * RATE as usize && is_ramp(&heard), "{label}: not bit-exact");
    assert_eq!((figures.underruns, figures.frames_concealed, figures.late_packets), (0, 0, 0), "{label}");
    assert_eq!((figures.frames_accelerated, figures.frames_expanded, figures.resets), (0, 0, 0), "{label}");
    longest
}

#[test]
fn pieces_of_one_moment_wait_no_longer_than_the_block_and_miss_nothing() {
    let micros = |frames: usize| Format::DEFAULT.duration(frames as u64).as_micros() as u64;
    for packet in [441, 220] {
        // Large callbacks in the converter's pieces; 10 ms of 48 kHz in the resampler's.
        for (block, piece) in [(2_048, 1_024), (3_000, 1_024), (441, 59), (1_764, 59)] {
            let longest = in_pieces(packet, block, piece);
            println!("packet {packet}, block {block} in pieces of {piece}: {longest} us at most");
            assert!(
                longest <= micros(block) + micros(packet as usize) + 1_000,
                "{packet}, {block}, {piece}: {longest}"
            );
        }
    }
}
