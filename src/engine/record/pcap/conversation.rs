//! TCP as a capture shows it, made up from what a program reads and writes: a beginning, numbered bytes,
//! acknowledgements, an end.
//!
//! The kernel does not tell which segments there were; these are plausible, and their bytes and times are true.
//! Bounded: so many connections are remembered.

use std::collections::HashMap;
use std::io::{self, Write};

use super::{Ends, Fate, Pcap, Segment};
use crate::engine::time::Micros;

/// The connections of a capture.
#[derive(Debug, Default)]
pub struct Conversations {
    /// By who opened it and who was called.
    known: HashMap<Ends, Numbers>,
}

/// What is known of one connection: of the opener's direction, then of the other's.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    next: [u32; 2],
    /// Segments that nobody has acknowledged.
    waiting: [u32; 2],
}

impl Conversations {
    /// A connection has been made.
    pub fn open<W: Write>(&mut self, out: &mut Pcap<W>, at: Micros, ends: Ends) -> io::Result<()> {
        if self.known.len() >= MOST {
            return Ok(());
        }
        self.known.insert(ends, Numbers { next: [1, 1], waiting: [0, 0] });
        let window = WINDOW;
        let first = Segment { syn: true, window, ..Segment::default() };
        out.segment(at, ends, first, Fate::Passed)?;
        out.segment(at, swapped(ends), Segment { ack: Some(1), ..first }, Fate::Passed)?;
        let third = Segment { sequence: 1, ack: Some(1), window, ..Segment::default() };
        out.segment(at, ends, third, Fate::Passed)
    }

    /// Bytes went from one end to the other; one that is not known opened the connection unseen.
    pub fn data<W: Write>(
        &mut self,
        out: &mut Pcap<W>,
        at: Micros,
        ends: Ends,
        bytes: &[u8],
    ) -> io::Result<()> {
        let Some((numbers, way)) = self.find(ends) else {
            self.open(out, at, ends)?;
            // Where there is no room for it, it is not shown.
            return if self.known.contains_key(&ends) { self.data(out, at, ends, bytes) } else { Ok(()) };
        };
        for payload in bytes.chunks(LONGEST) {
            let sequence = numbers.next[way];
            let ack = Some(numbers.next[1 - way]);
            let segment =
                Segment { sequence, ack, push: true, window: WINDOW, payload, ..Segment::default() };
            out.segment(at, ends, segment, Fate::Passed)?;
            numbers.next[way] = sequence.wrapping_add(payload.len() as u32);
            numbers.waiting[way] += 1;
            // RFC 5681 §4.2: at least every second one.
            if numbers.waiting[way] >= 2 {
                numbers.waiting[way] = 0;
                let (sequence, ack) = (numbers.next[1 - way], Some(numbers.next[way]));
                let answer = Segment { sequence, ack, window: WINDOW, ..Segment::default() };
                out.segment(at, swapped(ends), answer, Fate::Passed)?;
            }
        }
        Ok(())
    }

    /// The first of the ends has closed the connection.
    pub fn close<W: Write>(&mut self, out: &mut Pcap<W>, at: Micros, ends: Ends) -> io::Result<()> {
        let Some((numbers, way)) = self.find(ends) else { return Ok(()) };
        let (mine, other) = (numbers.next[way], numbers.next[1 - way]);
        self.known.remove(&ends);
        self.known.remove(&swapped(ends));
        let end = |sequence, ack, fin| Segment {
            sequence,
            ack: Some(ack),
            fin,
            window: WINDOW,
            ..Segment::default()
        };
        out.segment(at, ends, end(mine, other, true), Fate::Passed)?;
        out.segment(at, swapped(ends), end(other, mine.wrapping_add(1), true), Fate::Passed)?;
        out.segment(at, ends, end(mine.wrapping_add(1), other.wrapping_add(1), false), Fate::Passed)
    }

    /// A connection's numbers, and which of its directions this is.
    fn find(&mut self, ends: Ends) -> Option<(&mut Numbers, usize)> {
        let (key, way) = if self.known.contains_key(&ends) { (ends, 0) } else { (swapped(ends), 1) };
        self.known.get_mut(&key).map(|numbers| (numbers, way))
    }
}

fn swapped((from, to): Ends) -> Ends {
    (to, from)
}

/// More than a server holds.
const MOST: usize = 4096;
const WINDOW: u32 = 65_535;
/// What fits into one packet of IP, with its headers.
const LONGEST: usize = 65_000;
