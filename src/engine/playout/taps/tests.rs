//! What programs get of several sources, in virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use assert_no_alloc::assert_no_alloc;

use super::super::player::Player;
use super::super::render::{Render, Renderer, Roster, Starved};
use super::super::tap::{Block, Frames, Measure, Whose, tap};
use crate::engine::format::{Format, to_i16};
use crate::engine::stream::queue::{Head, PacketWriter, Position, packet_queue};
use crate::engine::time::Micros;

const PACKET: usize = 441;
const FIRST: u64 = 1 << 33;
const START: Micros = Micros(3_600_000_000);

struct Room {
    renderer: Renderer,
    roster: Roster,
    out: Vec<f32>,
    pulls: u64,
    starved: Starved,
}

struct Talker {
    writer: PacketWriter,
    number: u32,
    sent: u64,
    /// What was not lost.
    sound: Vec<i16>,
}

/// A block as its reader keeps it.
#[derive(Clone, Debug, PartialEq)]
struct Kept {
    source: u32,
    position: u64,
    samples: Vec<i16>,
    lost: usize,
    dropped: u64,
}

impl Room {
    fn new() -> Self {
        let (renderer, roster, _) =
            Renderer::new(Format::DEFAULT, 4, PACKET, Duration::from_millis(200)).unwrap();
        Self { renderer, roster, out: vec![0.0; PACKET], pulls: 0, starved: Starved::Advance }
    }

    fn enter(&mut self, number: u32) -> Talker {
        let (writer, reader) = packet_queue(100, 100_000, 1);
        let player = if self.starved == Starved::Advance {
            Player::live(reader, Format::DEFAULT, Duration::from_millis(500), Arc::default())
        } else {
            Player::whole(reader, Format::DEFAULT, Arc::default())
        };
        assert!(self.roster.add(player.numbered(number)));
        Talker { writer, number, sent: 0, sound: Vec::new() }
    }

    fn tap(&mut self, whose: Whose, length: usize, queue: usize) -> Frames {
        let (tap, frames) = tap(Measure { whose, length, queue, sources: 4 }, Box::new(|| {}));
        assert!(self.roster.tap(tap));
        frames
    }

    /// Where its packets are, 3 ms later the pull.
    fn pull(&mut self) -> Vec<i16> {
        let now = START + Format::DEFAULT.duration(self.pulls * PACKET as u64) + Duration::from_millis(3);
        assert_no_alloc(|| self.renderer.render(now, &mut self.out, self.starved));
        self.roster.sweep();
        self.pulls += 1;
        self.out.iter().map(|sample| to_i16(*sample)).collect()
    }
}

impl Talker {
    fn send(&mut self, room: &Room, lost: bool) {
        let samples: Vec<i16> = (0..PACKET as u64)
            .map(|n| {
                (((self.sent * PACKET as u64 + n) * 7_919 + u64::from(self.number)) % 9_001) as i16 - 4_500
            })
            .collect();
        let head = Head {
            source: self.number,
            sequence: self.sent,
            position: Position(FIRST + self.sent * PACKET as u64),
            arrival: START + Format::DEFAULT.duration(room.pulls * PACKET as u64),
            frames: PACKET as u32,
            ..Head::default()
        };
        self.sent += 1;
        if !lost {
            assert!(self.writer.push(head, &samples));
            self.sound.extend(samples);
        }
    }
}

fn kept(block: &Block) -> Kept {
    assert_eq!(block.lost.len(), block.frames());
    let lost: usize = block.lost.iter().map(|lost| usize::from(*lost)).sum();
    assert_eq!(block.is_harmed, lost > 0);
    Kept {
        source: block.source,
        position: block.position.0,
        samples: block.samples.clone(),
        lost,
        dropped: block.dropped,
    }
}

fn all(frames: &mut Frames) -> Vec<Kept> {
    std::iter::from_fn(|| frames.next(kept)).collect()
}

#[test]
fn an_unharmed_source_comes_as_it_was_sent_from_its_first_frame_to_its_last() {
    for starved in [Starved::Advance, Starved::Wait] {
        let mut room = Room { starved, ..Room::new() };
        let (mut one, mut each) =
            (room.tap(Whose::Source(7), 300, 1000), room.tap(Whose::Each, PACKET, 1000));
        let mut talkers = [room.enter(3), room.enter(7)];
        for _ in 0..50 {
            for talker in &mut talkers {
                talker.send(&room, false);
            }
            room.pull();
        }
        let sent = talkers.map(|talker| talker.sound);
        for _ in 0..150 {
            room.pull();
        }
        let heard = all(&mut one);
        assert!(heard.iter().all(|block| block.source == 7 && block.lost == 0 && block.dropped == 0));
        assert!(heard[..heard.len() - 1].iter().all(|block| block.samples.len() == 300));
        assert!(heard.windows(2).all(|w| w[1].position - w[0].position == 300) && heard[0].position == FIRST);
        assert!(heard.into_iter().flat_map(|block| block.samples).eq(sent[1].iter().copied()));
        let heard = all(&mut each);
        for (number, sent) in [(3, &sent[0]), (7, &sent[1])] {
            let its = heard.iter().filter(|block| block.source == number);
            assert!(
                its.flat_map(|block| block.samples.clone()).eq(sent.iter().copied()),
                "{number} {starved:?}"
            );
        }
        drop(room);
        assert!(one.is_over() && each.is_over());
    }
}

#[test]
fn a_lost_packet_is_marked_frame_by_frame_in_its_place() {
    for starved in [Starved::Advance, Starved::Wait] {
        let mut room = Room { starved, ..Room::new() };
        let (mut frames, mut mix) = (room.tap(Whose::Each, 100, 1000), room.tap(Whose::Mix, 100, 1000));
        let mut talker = room.enter(1);
        for n in 0..100 {
            talker.send(&room, n == 40);
            room.pull();
        }
        let heard = all(&mut frames);
        let harmed: Vec<&Kept> = heard.iter().filter(|block| block.lost > 0).collect();
        let from = FIRST + 40 * PACKET as u64;
        assert_eq!(harmed.iter().map(|block| block.lost).sum::<usize>(), PACKET);
        assert!(harmed.iter().all(|b| b.position + 100 > from && b.position < from + PACKET as u64));
        assert!(heard.windows(2).all(|w| w[1].position - w[0].position == 100), "concealed, not left out");
        assert_eq!(all(&mut mix).iter().map(|block| block.lost).sum::<usize>(), PACKET);
    }
}

#[test]
fn a_reader_that_is_slow_loses_blocks_by_count_and_nobody_hears_of_it() {
    let play = |slow: bool| {
        let mut room = Room::new();
        let mut talkers = [room.enter(1), room.enter(2)];
        let mut frames = slow.then(|| room.tap(Whose::Each, PACKET, 10));
        let (mut heard, mut taken, mut dropped) = (Vec::new(), 0, 0);
        for n in 0..200 {
            for talker in &mut talkers {
                talker.send(&room, n % 17 == 3);
            }
            heard.extend(room.pull());
            if let Some(frames) = frames.as_mut().filter(|_| n % 20 == 19) {
                for block in all(frames) {
                    taken += block.samples.len();
                    dropped += block.dropped;
                }
            }
        }
        if let Some(frames) = &frames {
            // Of the 20 blocks of each time 10 found room.
            assert_eq!(taken as u64 + frames.dropped(), 2 * 200 * PACKET as u64);
            assert_eq!(frames.dropped(), 2 * 200 * PACKET as u64 * 3 / 4);
            assert!(dropped <= frames.dropped() && dropped > frames.dropped() * 8 / 10);
        }
        heard
    };
    assert!(play(true) == play(false));
}

#[test]
fn a_reader_that_has_gone_makes_room_for_another() {
    let mut room = Room::new();
    for _ in 0..3 * super::MOST_TAPS {
        let frames = room.tap(Whose::Each, PACKET, 1);
        room.pull();
        drop(frames);
    }
    room.pull();
    let mut last = room.tap(Whose::Mix, PACKET, 10);
    room.pull();
    assert_eq!(all(&mut last).len(), 1);
}

#[test]
fn a_source_that_pauses_leaves_no_sound_behind() {
    let mut room = Room::new();
    let mut frames = room.tap(Whose::Source(1), 1_000, 1000);
    let mut talker = room.enter(1);
    for n in 0..400 {
        if !(50..200).contains(&n) {
            talker.send(&room, false);
        }
        room.pull();
        if n == 199 {
            let heard = all(&mut frames);
            let sound = heard.iter().map(|block| block.samples.len() - block.lost).sum::<usize>();
            assert_eq!(sound, 50 * PACKET);
        }
    }
    let after = all(&mut frames);
    assert_eq!(after[0].position, FIRST + 50 * PACKET as u64, "a block never reaches over the pause");
}

#[test]
fn a_sleeping_reader_is_called_once_and_a_busy_one_never() {
    let calls = Arc::new(AtomicUsize::new(0));
    let bell = Arc::clone(&calls);
    let mut room = Room::new();
    let measure = Measure { whose: Whose::Mix, length: PACKET, queue: 100, sources: 1 };
    let (tap, mut frames) = tap(measure, Box::new(move || _ = bell.fetch_add(1, Relaxed)));
    assert!(room.roster.tap(tap));
    for _ in 0..5 {
        room.pull();
    }
    assert_eq!(calls.load(Relaxed), 0);
    assert!(frames.arm(), "there is something already");
    assert_eq!(all(&mut frames).len(), 5);
    assert!(!frames.arm());
    for _ in 0..5 {
        room.pull();
    }
    assert_eq!(calls.load(Relaxed), 1);
    frames.close();
    assert!(frames.arm());
}
