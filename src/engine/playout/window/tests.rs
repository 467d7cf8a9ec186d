use super::*;
use crate::engine::stream::queue::{Head, PacketWriter, packet_queue};
use proptest::prelude::*;
use std::collections::BTreeMap;

const ORIGIN: u64 = 1 << 32;

struct Room {
    window: Window,
    writer: PacketWriter,
    reader: PacketReader,
}

impl Room {
    fn new(capacity: usize, channels: usize) -> Self {
        let (writer, mut reader) = packet_queue(128, 1 << 20, channels);
        let mut window = Window::new(capacity, 0, channels);
        window.reset(at(0), &mut reader);
        Self { window, writer, reader }
    }

    fn insert_from(&mut self, origin: Origin, position: Position, samples: &[i16]) -> Inserted {
        assert!(self.writer.push(Head { position, origin, ..Head::default() }, samples));
        let packet = self.reader.take().unwrap();
        self.window.insert(packet, &mut self.reader)
    }

    fn insert(&mut self, position: Position, samples: &[i16]) -> Inserted {
        self.insert_from(Origin::Received, position, samples)
    }

    fn read(&self, from: Position, count: usize) -> Vec<i16> {
        let mut out = vec![9.0; count];
        self.window.copy(from, &mut out);
        out.into_iter().map(crate::engine::format::to_i16).collect()
    }

    fn advance(&mut self, to: Position) {
        self.window.advance(to, &mut self.reader);
    }
}

fn at(frame: u64) -> Position {
    Position(ORIGIN + frame)
}

#[test]
fn a_hole_reads_as_silence_of_its_own_length() {
    let mut room = Room::new(256, 1);
    room.insert(at(0), &[1; 10]);
    room.insert(at(20), &[2; 10]);
    let out = room.read(at(0), 40);
    assert_eq!(out[..10], [1; 10]);
    assert_eq!(out[10..20], [0; 10]);
    assert_eq!(out[20..30], [2; 10]);
    assert_eq!(out[30..], [0; 10]);
    assert_eq!(room.window.run(at(10), 100), Run { present: false, frames: 10 });
}

#[test]
fn the_first_copy_counts() {
    let mut room = Room::new(64, 2);
    room.insert(at(4), &[1; 8]);
    let again = room.insert(at(2), &[2; 16]);
    assert_eq!(again, Inserted { written: 4, doubled: 4, behind: 0, beyond: 0 });
    assert_eq!(room.read(at(2), 20), [2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 0, 0, 0, 0]);
}

#[test]
fn what_was_made_up_fills_holes_only_and_gives_way() {
    let mut room = Room::new(256, 1);
    room.insert(at(0), &[1; 10]);
    let made = room.insert_from(Origin::Concealed, at(5), &[2; 15]);
    assert_eq!((made.written, made.doubled), (10, 5));
    assert_eq!(room.window.made_up(at(10), 50), Run { present: true, frames: 10 });
    assert_eq!(room.window.made_up(at(0), 50), Run { present: false, frames: 10 });
    let real = room.insert_from(Origin::Repaired, at(12), &[3; 5]);
    assert_eq!((real.written, real.doubled), (5, 0));
    assert_eq!(room.read(at(0), 22), [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 2, 2, 2, 0, 0]);
    assert_eq!(room.window.made_up(at(12), 50), Run { present: false, frames: 5 });
    let revised = room.insert_from(Origin::Revised, at(8), &[4; 20]);
    assert_eq!((revised.written, revised.doubled), (12, 8), "only where something was");
    assert_eq!(room.read(at(6), 16), [1, 1, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 0, 0]);
    room.advance(at(20));
    room.insert_from(Origin::Concealed, at(270), &[4; 2]);
    assert_eq!(room.window.made_up(at(256), 50), Run { present: false, frames: 14 });
}

#[test]
fn what_was_given_out_last_is_remembered_and_not_there_any_more() {
    let mut room = Room::new(256, 1);
    room.window = Window::new(256, 20, 1);
    room.window.reset(at(0), &mut room.reader);
    for n in 0..30 {
        room.insert(at(n * 10), &[n as i16 + 1; 10]);
        room.advance(at(n * 10 + 5));
        assert!(room.window.is_present(at(n * 10 + 5)) && !room.window.is_present(at(n * 10 + 4)));
        let past = room.read(at((n * 10).saturating_sub(15)), 15);
        assert!(n < 2 || past[..5] == [n as i16 - 1; 5] && past[5..] == [n as i16; 10], "{past:?}");
        assert!(room.window.pieces.len() <= 4);
    }
}

#[test]
fn more_pieces_than_can_be_kept_are_refused_and_all_comes_back() {
    let mut room = Room::new(1 << 12, 1);
    let (writer, reader) = packet_queue(1000, 1 << 20, 1);
    (room.writer, room.reader) = (writer, reader);
    let put: Vec<Inserted> = (0..300).map(|n| room.insert(at(n * 2), &[1])).collect();
    assert_eq!(put.iter().filter(|put| put.written == 1).count(), LEAST_PIECES);
    assert_eq!(put[299], Inserted { beyond: 1, ..Inserted::default() });
    room.advance(at(1 << 13));
    assert!((0..1000).all(|_| room.writer.push(Head::default(), &[1])), "nothing is kept");
}

proptest! {
    /// Against a plain map of frames: any packets, any advances.
    #[test]
    fn it_agrees_with_a_map(steps in prop::collection::vec((0u64..400, 1usize..90, 0u64..30), 1..60)) {
        let mut room = Room::new(128, 1);
        let mut map = BTreeMap::new();
        let (mut start, mut value) = (0u64, 0i16);
        for (offset, frames, step) in steps {
            value += 1;
            let base = (start + offset).saturating_sub(100);
            let got = room.insert(at(base), &vec![value; frames]);
            prop_assert_eq!(got.written + got.doubled + got.behind + got.beyond, frames);
            for f in base..base + frames as u64 {
                if f >= start && f < start + 128 {
                    map.entry(f).or_insert(value);
                }
            }
            let want: Vec<i16> = (start..start + 200).map(|f| map.get(&f).copied().unwrap_or(0)).collect();
            prop_assert_eq!(room.read(at(start), 200), &want[..]);
            let mut place = start.saturating_sub(20);
            while place < start + 180 {
                let run = room.window.run(at(place), 200);
                let same = (place..place + 200).take_while(|f| map.contains_key(f) == run.present).count();
                prop_assert_eq!(run.frames, same, "{} {}", place, start);
                place += run.frames as u64;
            }
            let end = map.keys().last().map_or(start, |l| l + 1);
            prop_assert_eq!(room.window.end(), at(end));
            start += step * if step > 25 { 8 } else { 1 };
            room.advance(at(start));
            map.retain(|&f, _| f >= start);
        }
    }
}
