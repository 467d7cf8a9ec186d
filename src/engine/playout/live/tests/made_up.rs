//! Silences of the sender's, and what a codec made up or brought back in the place of what was lost.

use super::*;
use crate::engine::stream::queue::{Origin, Position};

const PACKET: u64 = 441;
/// What is rough is nothing but this.
const ROUGH: i16 = -20_000;

/// Plays packets of 10 ms that arrive at these times with these origins, for so long; the sound heard and the figures.
fn played(packets: &[(u64, u64, Origin, u64)], ms: u64, fixed: Option<Duration>) -> (Vec<i16>, Playback) {
    let format = Format::DEFAULT;
    let (mut renderer, mut roster, controls) = Renderer::new(format, 2, PACKET as usize, S).unwrap();
    controls.set_bounds(Bounds { fixed, ..Bounds::default() });
    let (mut writer, reader) = packet_queue(1024, 2 * RATE as usize, 1);
    let counters = Arc::<PlayerCounters>::default();
    assert!(roster.add(Player::live(reader, format, Bounds::default().most, Arc::clone(&counters))));
    let mut packets = packets.iter().copied().peekable();
    let mut heard = Vec::new();
    for call in 0..ms / 10 {
        while let Some((sequence, slot, origin, arrival)) = packets.next_if(|p| p.3 <= call * 10) {
            let position = Position((1 << 32) + slot * PACKET);
            let sound = (slot * PACKET..(slot + 1) * PACKET).map(ramp);
            let samples: Vec<i16> = sound.map(|s| if origin == Origin::Rough { ROUGH } else { s }).collect();
            let arrival = START + Duration::from_millis(arrival);
            let head = Head { sequence, position, arrival, frames: PACKET as u32, origin, ..Head::default() };
            assert!(writer.push(head, &samples));
        }
        let mut out = [0.0; PACKET as usize];
        let now = START + Duration::from_millis(call * 10 + 3);
        assert_no_alloc(|| renderer.render(now, &mut out, Starved::Advance));
        heard.extend(ints(&out));
    }
    (heard, counters.snapshot())
}

#[test]
fn silence_that_the_sender_left_out_is_no_loss_and_makes_no_delay() {
    // Talk for 600 ms, then one packet every 400 ms, then talk again; timestamps jump, sequence numbers do not.
    let mut packets = Vec::new();
    let (mut sequence, mut slot) = (0, 0);
    let mut send = |slots: u64| {
        packets.push((sequence, slot, Origin::Received, slot * 10));
        (sequence, slot) = (sequence + 1, slot + slots);
    };
    for round in 0..12 {
        for _ in 0..60 {
            send(1);
        }
        for _ in 0..round % 4 {
            send(40);
        }
    }
    let end = slot * 10;
    let (_, figures) = played(&packets, end, None);
    assert_eq!((figures.concealments, figures.frames_concealed), (0, 0), "{figures:?}");
    assert_eq!((figures.underruns, figures.late_packets, figures.resets), (0, 0, 0), "{figures:?}");
    assert!(figures.delay_target_ms < 15.0, "{figures:?}");
}

#[test]
fn what_a_codec_made_up_is_heard_counted_concealed_and_gives_way() {
    let mut packets: Vec<_> = (0..100).map(|n| (n, n, Origin::Received, n * 10)).collect();
    // 40 is lost for good; 60 comes 4 ms after 61, before it is to be heard.
    packets[40] = (40, 40, Origin::Concealed, 410);
    packets[60].2 = Origin::Concealed;
    packets[60].3 = 610;
    packets.insert(62, (60, 60, Origin::Received, 610));
    let (heard, figures) = played(&packets, 1000, Some(60 * MS));
    let start = heard.iter().position(|s| *s != 0).unwrap();
    let sound = &heard[start..];
    // The ramp is what the codec made up here, so that nothing but the counters tells of it.
    assert!(is_ramp(&sound[..90 * PACKET as usize]));
    assert_eq!((figures.frames_concealed, figures.concealments), (PACKET, 1), "{figures:?}");
    assert_eq!(figures.late_packets, 0);
}

#[test]
fn what_was_repaired_too_late_is_not_a_late_packet_but_moves_the_delay() {
    let mut packets: Vec<_> = (0..600).map(|n| (n, n, Origin::Received, n * 10)).collect();
    for n in (50..590).step_by(10) {
        // Brought back 20 ms after its time, with the packet after the next.
        packets[n].2 = Origin::Repaired;
        packets[n].3 = n as u64 * 10 + 20;
    }
    packets.sort_by_key(|p| (p.3, p.0));
    let (_, figures) = played(&packets, 6000, None);
    assert_eq!(figures.late_packets, 0, "{figures:?}");
    assert!(figures.delay_target_ms > 25.0, "{figures:?}");
}

#[test]
fn rough_sound_is_heard_between_its_edges_and_a_short_one_not_at_all() {
    let mut packets: Vec<_> = (0..100).map(|n| (n, n, Origin::Received, n * 10)).collect();
    for n in [40, 60, 61, 62, 63] {
        packets[n].2 = Origin::Rough;
    }
    let (heard, figures) = played(&packets, 1000, Some(60 * MS));
    let start = heard.iter().position(|s| *s != 0).unwrap();
    let sound = &heard[start..][..90 * PACKET as usize];
    assert!(is_ramp(&sound[..40 * PACKET as usize]) && is_ramp(&sound[64 * PACKET as usize..]));
    let edge = Format::DEFAULT.frames(5 * MS);
    let is_rough = |frames: std::ops::Range<usize>| sound[frames].iter().all(|s| *s == ROUGH);
    let (from, to) = (60 * PACKET as usize + edge, 64 * PACKET as usize - edge);
    assert!(is_rough(from..to) && !is_rough(from - 1..to) && !is_rough(from..to + 1));
    assert!(sound[40 * PACKET as usize..][..PACKET as usize].windows(2).all(|pair| pair != [ROUGH; 2]));
    let made = PACKET + 2 * edge as u64;
    assert_eq!((figures.frames_concealed, figures.concealments), (made, 2), "{figures:?}");
}
