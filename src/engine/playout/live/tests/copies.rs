//! Copies that repair, from the sender's packets to the ear: what they cost in delay, and when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;
use crate::engine::coding::{Encoding, PayloadTypes};
use crate::engine::config::{BlockSize, Redundancy, Wire};
use crate::engine::sim::config::LinkConfig;
use crate::engine::sim::draw::Direction;
use crate::engine::sim::link::Link;
use crate::engine::stats::Reception;
use crate::engine::stream::receiver::Receiver;
use crate::engine::stream::repeat::{Outgoing, Repeater};
use crate::engine::stream::sender::{Outline, Packet};
use crate::engine::wire::rtp::RtpHeader;

const LENGTH: Duration = Duration::from_secs(60);
const WARM: Duration = Duration::from_secs(20);

/// Means from [`WARM`] on.
struct Figures {
    delay_ms: f64,
    target_ms: f64,
    /// Of all frames, how many were made up.
    concealed: f64,
    reception: Reception,
}

/// Sends every 10 ms over `link`, with this redundancy, each datagram by itself, and plays what comes.
fn listen(link: &str, redundancy: Redundancy, spacing: u8) -> Figures {
    let encoding = Encoding::l16(Format::DEFAULT);
    let types = PayloadTypes::new(Format::DEFAULT);
    let outline = Outline::l16(Wire::Rtp, Format::DEFAULT, BlockSize::default(), None);
    let mut repeater = Repeater::new(&outline, 441, 7, redundancy, spacing).unwrap();
    // Copies go their own way, so that the stream's fate is the same with them and without.
    let config = LinkConfig::parse(link).unwrap();
    let mut links = [config.seed, config.seed + 100].map(|seed| Link::new(LinkConfig { seed, ..config }));
    let mut under_way = BinaryHeap::new();
    let mut sent = 0u64;
    for n in 0..LENGTH.as_millis() as u64 / 10 {
        let (sequence, timestamp) = (n as u16, n as u32 * 441);
        let header = RtpHeader { payload_type: 11, sequence, timestamp, ssrc: 7, marker: false };
        let mut bytes = header.to_bytes().to_vec();
        let sound: Vec<i16> = (n * 441..n * 441 + 441).map(ramp).collect();
        bytes.extend(sound.iter().flat_map(|sample| sample.to_be_bytes()));
        let mut send = |bytes: &[u8], is_copy: bool| {
            for at in links[usize::from(is_copy)].send(START + n as u32 * 10 * MS, Direction::Up, bytes.len())
            {
                sent += 1;
                under_way.push(Reverse((at, sent, is_copy, bytes.to_vec())));
            }
        };
        match &mut repeater {
            None => send(&bytes, false),
            Some(repeater) => {
                let packet = Packet { bytes: &bytes, sound: &sound, frames: 441 };
                repeater.push(&packet, &mut |Outgoing { bytes, is_copy, .. }| send(bytes, is_copy));
            }
        }
    }
    let mut rig = Rig::new(&scenario(441, Duration::ZERO), 441, Bounds::default());
    let mut receiver = Receiver::new(1, Wire::Rtp, encoding, &types).unwrap();
    let (mut delay_ms, mut target_ms, mut pulls, mut early) = (0.0, 0.0, 0.0, 0);
    for call in calls(card(441), LENGTH) {
        while under_way.peek().is_some_and(|Reverse((at, ..))| *at <= call.at)
            && let Some(Reverse((at, _, is_copy, bytes))) = under_way.pop()
        {
            let writer = &mut rig.writer;
            let mut deliver = |head: Head, samples: &[i16]| assert!(writer.push(head, samples));
            if is_copy {
                receiver.receive_copy(&bytes, at, &mut deliver).unwrap();
            } else {
                receiver.receive(&bytes, at, &mut deliver).unwrap();
            }
        }
        let heard = rig.pull(call);
        if heard.at.since(START) < WARM {
            early = heard.figures.frames_concealed;
        } else {
            delay_ms += heard.figures.delay_ms;
            target_ms += heard.figures.delay_target_ms;
            pulls += 1.0;
        }
    }
    let figures = rig.figures();
    assert_eq!((figures.late_packets, figures.resets), (0, 0));
    Figures {
        delay_ms: delay_ms / pulls,
        target_ms: target_ms / pulls,
        concealed: (figures.frames_concealed - early) as f64 / (pulls * 441.0),
        reception: receiver.reception(),
    }
}

#[test]
fn two_copies_of_a_fifth_lost_cost_30_ms_at_most_and_nothing_where_nothing_is_lost() {
    let alone = listen("delay=20,seed=3", Redundancy::None, 1);
    let unneeded = listen("delay=20,seed=3", Redundancy::Copies(2), 1);
    assert!((unneeded.delay_ms - alone.delay_ms).abs() < 0.01, "{} {}", unneeded.delay_ms, alone.delay_ms);
    assert!((unneeded.target_ms - alone.target_ms).abs() < 0.01);
    assert_eq!((unneeded.reception.repaired, unneeded.concealed), (0, 0.0));
    for seed in [3, 4] {
        let lossy = listen(&format!("delay=20,loss=20,seed={seed}"), Redundancy::Copies(2), 1);
        let r = lossy.reception;
        println!(
            "delay {:.1} ms for {:.1}, target {:.1} for {:.1}, concealed {:.2} %, {r:?}",
            lossy.delay_ms,
            alone.delay_ms,
            lossy.target_ms,
            alone.target_ms,
            lossy.concealed * 100.0
        );
        assert!(lossy.delay_ms - alone.delay_ms <= 30.5, "{} {}", lossy.delay_ms, alone.delay_ms);
        assert!(lossy.target_ms - alone.target_ms <= 30.5, "{} {}", lossy.target_ms, alone.target_ms);
        assert!(r.lost > 1_000 && r.lost - r.repaired < r.lost / 15, "{r:?}");
        assert!(lossy.concealed < 0.025, "{}", lossy.concealed);
    }
}

#[test]
fn jitter_alone_costs_no_more_delay_with_copies_than_without() {
    for redundancy in [Redundancy::Copies(1), Redundancy::Copies(3)] {
        let alone = listen("delay=30,jitter=8,seed=9", Redundancy::None, 1);
        let copied = listen("delay=30,jitter=8,seed=9", redundancy, 1);
        println!("{:.1} ms for {:.1}", copied.target_ms, alone.target_ms);
        assert!(copied.target_ms < alone.target_ms + 2.0);
        assert_eq!(copied.reception.lost, 0);
    }
}
