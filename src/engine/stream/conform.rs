//! A source's packets in another format than the recording's: made into packets of the recording's. Pure.
//!
//! Guaranteed: positions are scaled the same way always, so that whatever order packets come in, sound and silence have their exact places
//! and lengths, to the frame of the recording. What came in order is converted as one sound; a packet that came late is
//! converted by itself, with half the filter's length of fading at its edges.
//!
//! Not guaranteed: that sound is handed on at once. The filter's length of it waits for what follows, or for [`Conform::rest`].

use crate::engine::error::Result;
use crate::engine::format::Format;
use crate::engine::rate::Converter;
use crate::engine::stream::queue::{Head, Position};

/// Converts one source.
pub struct Conform {
    from: Format,
    to: Format,
    /// What comes in order.
    stream: Converter,
    run: Option<Run>,
    /// What comes late.
    single: Converter,
    out: Vec<i16>,
}

/// Sound in order.
#[derive(Clone, Copy)]
struct Run {
    /// Of the packet that came last.
    last: Head,
    /// One past its last frame.
    end: Position,
    /// Where the run begins in the recording's frames.
    base: Position,
    /// Frames handed on.
    given: u64,
}

impl Conform {
    /// From a source's format to a recording's.
    pub fn new(from: Format, to: Format) -> Result<Self> {
        Ok(Self {
            from,
            to,
            stream: Converter::new(from, to)?,
            run: None,
            single: Converter::new(from, to)?,
            out: Vec::new(),
        })
    }

    /// Takes a packet; hands on what it completes.
    pub fn take(&mut self, head: Head, samples: &[i16], deliver: &mut dyn FnMut(Head, &[i16])) {
        let follows = self.run.is_some_and(|run| run.last.epoch == head.epoch && head.position == run.end);
        let late = self.run.is_some_and(|run| run.last.epoch == head.epoch && head.position < run.end);
        if late {
            let (base, end) = (self.scale(head.position), self.scale(end_of(&head)));
            self.out.clear();
            let out = &mut self.out;
            self.single.push(samples, &mut |sound| out.extend_from_slice(sound));
            self.single.finish(Some(end.0 - base.0), &mut |sound| out.extend_from_slice(sound));
            hand_on(head, base, &self.out, self.to, deliver);
            return;
        }
        if !follows {
            self.rest(deliver);
        }
        let base = self.scale(head.position);
        let mut run = self.run.unwrap_or(Run { last: head, end: head.position, base, given: 0 });
        (run.last, run.end) = (head, end_of(&head));
        self.out.clear();
        let out = &mut self.out;
        self.stream.push(samples, &mut |sound| out.extend_from_slice(sound));
        run.given += hand_on(head, run.base.plus(run.given as usize), &self.out, self.to, deliver);
        self.run = Some(run);
    }

    /// Hands on what still waits: nothing follows for now.
    pub fn rest(&mut self, deliver: &mut dyn FnMut(Head, &[i16])) {
        let Some(run) = self.run.take() else { return };
        let frames = self.scale(run.end).0 - run.base.0;
        self.out.clear();
        let out = &mut self.out;
        self.stream.finish(Some(frames), &mut |sound| out.extend_from_slice(sound));
        hand_on(run.last, run.base.plus(run.given as usize), &self.out, self.to, deliver);
    }

    fn scale(&self, position: Position) -> Position {
        let scaled =
            (u128::from(position.0) * u128::from(self.to.rate())).div_ceil(u128::from(self.from.rate()));
        Position(scaled.min(u128::from(u64::MAX >> 1)) as u64)
    }
}

/// Hands on sound that begins at `position`, in packets of bearable length. Returns its frames.
fn hand_on(
    head: Head,
    position: Position,
    samples: &[i16],
    format: Format,
    deliver: &mut dyn FnMut(Head, &[i16]),
) -> u64 {
    let channels = format.channels();
    let mut at = position;
    for piece in samples.chunks(LONGEST_FRAMES * channels) {
        let frames = piece.len() / channels;
        deliver(Head { position: at, frames: frames as u32, ..head }, piece);
        at = at.plus(frames);
    }
    at.0 - position.0
}

fn end_of(head: &Head) -> Position {
    head.position.plus(head.frames as usize)
}

/// The longest packet handed on.
const LONGEST_FRAMES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: u64 = (1 << 32) + 7;

    fn head(n: u64, frames: u32) -> Head {
        Head { sequence: n, position: Position(FIRST + n * u64::from(frames)), frames, ..Head::default() }
    }

    fn tone(rate: u32, from: u64, frames: u32) -> Vec<i16> {
        let w = 500.0 * std::f64::consts::TAU / f64::from(rate);
        (from..from + u64::from(frames)).map(|n| ((n as f64 * w).sin() * 8000.0) as i16).collect()
    }

    /// What comes out of packets of 20 ms, by position.
    fn laid_out(from: u32, to: u32, order: &[u64]) -> std::collections::BTreeMap<u64, i16> {
        let mut conform = Conform::new(Format::new(from, 1).unwrap(), Format::new(to, 1).unwrap()).unwrap();
        let frames = from / 50;
        let mut laid = std::collections::BTreeMap::new();
        let mut lay = |head: Head, samples: &[i16]| {
            assert_eq!(samples.len(), head.frames as usize);
            for (i, s) in samples.iter().enumerate() {
                assert!(laid.insert(head.position.0 + i as u64, *s).is_none(), "nothing is written twice");
            }
        };
        for &n in order {
            let head = head(n, frames);
            conform.take(head, &tone(from, n * u64::from(frames), frames), &mut lay);
        }
        conform.rest(&mut lay);
        laid
    }

    #[test]
    fn sound_is_exactly_as_long_as_it_was_and_in_its_place() {
        for (from, to) in [(48_000, 44_100), (8_000, 44_100), (44_100, 48_000), (96_000, 44_100)] {
            let order: Vec<u64> = (0..50).collect();
            let laid = laid_out(from, to, &order);
            let scaled = |n: u64| (u128::from(n) * u128::from(to)).div_ceil(u128::from(from)) as u64;
            let (first, end) = (scaled(FIRST), scaled(FIRST + 50 * u64::from(from / 50)));
            assert_eq!(laid.len() as u64, end - first);
            assert_eq!((*laid.keys().next().unwrap(), *laid.keys().last().unwrap()), (first, end - 1));
            let w = 500.0 * std::f64::consts::TAU / f64::from(to);
            let worst = laid
                .iter()
                .skip(500)
                .take(laid.len() - 1000)
                .map(|(at, s)| (f64::from(*s) - ((at - first) as f64 * w).sin() * 8000.0).abs())
                .fold(0.0, f64::max);
            // A frame's worth of 500 Hz is the most that rounding a place may cost.
            assert!(worst < 1.5 * w * 8000.0, "{from}->{to}: {worst}");
        }
    }

    #[test]
    fn a_lost_packet_leaves_a_hole_of_its_length_and_a_late_one_fills_it() {
        let whole = laid_out(48_000, 44_100, &[0, 1, 2, 3, 4, 5]);
        let hole = laid_out(48_000, 44_100, &[0, 1, 3, 4, 5]);
        assert_eq!(whole.len() - hole.len(), 882);
        let late = laid_out(48_000, 44_100, &[0, 1, 3, 2, 4, 5]);
        assert_eq!(late.len(), whole.len());
        assert!(late.keys().eq(whole.keys()));
    }
}
