//! When a device pulls: how early it may ask for a frame, whatever the sizes and the jitter of its pulls.
//!
//! Guaranteed: fixed memory; any sizes and times are taken. The moments that come out advance with the frames pulled, not
//! with the jitter of the calls: each is the earliest at which the device, by its habit of the last second, would have
//! asked.

use std::time::Duration;

use super::grid::common;
use super::transit::{Observed, Transit};
use crate::engine::format::Format;
use crate::engine::stream::queue::Position;
use crate::engine::time::Micros;

/// A device's pulls, observed.
#[derive(Clone, Debug)]
pub struct Pulse {
    format: Format,
    pulls: Transit,
    /// Frames pulled so far.
    pulled: Position,
    /// The last call, and how many frames it has asked for: some callers ask in pieces, all at one moment.
    called: Micros,
    call: usize,
    /// The largest of the last calls, frames.
    block: usize,
    largest: usize,
    /// What the last pulls were all multiples of, frames: of this span, and of the one before.
    steps: [usize; 2],
    /// Calls since the usual block was judged.
    seen: u32,
    /// What it was said to be, until the second call.
    usual: Option<usize>,
}

/// One pull, without its jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// When a block that begins with this pull's first frame would have been pulled at the earliest.
    pub now: Micros,
    /// How many frames are usually pulled at once.
    pub block: usize,
    /// What all pulls are multiples of lately, frames.
    pub step: usize,
}

impl Pulse {
    /// Of a device that pulls about `block` frames of `format` at a time.
    pub fn new(format: Format, block: usize) -> Self {
        Self {
            format,
            pulls: Transit::new(format.rate()).brief(),
            pulled: Position(FIRST),
            called: Micros::ZERO,
            call: 0,
            block,
            largest: 0,
            steps: [0, block],
            seen: 0,
            usual: Some(block),
        }
    }

    /// `frames` frames are pulled at `now`.
    pub fn pull(&mut self, now: Micros, frames: usize) -> Beat {
        self.note(now, frames);
        let first = self.pulled;
        self.pulled = first.plus(frames);
        // The last frame is asked for the earliest before its turn, so pulls are known by their ends.
        let late = match self.pulls.observe(self.pulled, now) {
            Observed::Transit(transit) => transit.saturating_sub(self.pulls.floor(now)),
            Observed::Unbelieved => i64::MAX,
            Observed::Anew => 0,
        };
        let block = self.format.duration(self.block as u64);
        if late > (LATEST + block * 2).as_micros() as i64 {
            // The device has stood still; what it asked for before was to fill it.
            self.steps = [0, frames];
            self.pulls = Transit::new(self.format.rate()).brief();
            self.pulls.observe(self.pulled, now);
        }
        let needed = self.pulls.earliest(first, now).unwrap_or(now);
        Beat { now: needed + block, block: self.block, step: common(self.steps[0], self.steps[1]) }
    }

    /// Devices pull a block at a time, but some pull two at the start: a figure that forgets.
    fn note(&mut self, now: Micros, frames: usize) {
        if now != self.called {
            (self.called, self.call) = (now, 0);
            self.seen += 1;
            if self.seen == 2
                && let Some(usual) = self.usual.take()
            {
                // The first call may have been to fill the device.
                (self.block, self.largest) = (usual, 0);
            }
            if self.seen > MEMORY {
                self.block = self.largest;
                (self.largest, self.seen) = (0, 1);
            }
            if self.seen % STEP_MEMORY == 1 && self.steps[0] > 0 {
                self.steps = [0, self.steps[0]];
            }
        }
        self.call = self.call.saturating_add(frames);
        self.block = self.block.max(self.call);
        self.largest = self.largest.max(self.call);
        // Where a call comes in pieces, nobody knows yet where it ends, but it does so at a multiple of this.
        self.steps[0] = common(self.steps[0], frames);
    }
}

/// Far from zero, so that moments before the first frame can be named.
const FIRST: u64 = 1 << 40;
/// After so many calls the usual block is judged anew.
const MEMORY: u32 = 64;
/// After so many, twice, one of another size is forgotten.
const STEP_MEMORY: u32 = 32;
/// A pull that is later than this, and two blocks, was not late: the device had stopped.
const LATEST: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_000_000_000;

    fn pulse() -> Pulse {
        Pulse::new(Format::DEFAULT, 441)
    }

    /// What a frame-by-frame device would have asked for at that moment.
    fn needed(beat: Beat) -> i64 {
        beat.now.signed_since(Micros(START)) - Format::DEFAULT.duration(beat.block as u64).as_micros() as i64
    }

    #[test]
    fn the_jitter_of_the_calls_is_gone_once_an_early_one_was_seen() {
        let mut p = pulse();
        for n in 0..1000u64 {
            let late = [0, 3_000, 1_500, 700][(n % 4) as usize];
            let beat = p.pull(Micros(START + n * 10_000 + late), 441);
            assert!((needed(beat) - (n as i64 - 1) * 10_000).abs() <= 1, "{n}");
            assert_eq!(beat.block, 441);
        }
    }

    #[test]
    fn pulls_of_any_size_make_one_schedule() {
        let mut p = pulse();
        let (mut done, mut worst) = (0u64, 0i64);
        for n in 0..2000u64 {
            let frames = [441, 300, 582, 882, 1][(n % 5) as usize];
            // Asked for a block before the first frame's turn.
            let turn = done as f64 / 44_100.0 * 1e6;
            let beat = p.pull(Micros(START + turn as u64), frames);
            if n > 10 {
                worst = worst.max((needed(beat) - (turn - 20_000.0) as i64).abs());
            }
            done += frames as u64;
        }
        assert!(worst <= 2, "{worst}");
    }

    #[test]
    fn pieces_of_one_call_are_one_block() {
        let (mut whole, mut pieces) = (pulse(), pulse());
        for n in 0..200u64 {
            let at = Micros(START + n * 10_000);
            let beat = whole.pull(at, 441);
            for (from, frames) in [(0, 59), (59, 59), (118, 300), (418, 23)] {
                let piece = pieces.pull(at, frames);
                if n > 0 {
                    assert_eq!((piece.block, piece.step), (441, 1));
                    let turn = beat.now + Format::DEFAULT.duration(from);
                    assert!(piece.now.signed_since(turn).abs() <= 2, "{n}");
                }
            }
        }
    }

    #[test]
    fn the_common_step_of_the_pulls_is_known_and_an_odd_one_is_forgotten() {
        let mut p = pulse();
        let mut done = 0;
        let mut step = |frames: usize| {
            let at = Micros(START + done as u64 * 1_000_000 / 44_100);
            done += frames;
            p.pull(at, frames).step
        };
        assert_eq!([step(882), step(441), step(441), step(462), step(441)], [441, 441, 441, 21, 21]);
        assert_eq!((0..100).position(|_| step(441) == 441), Some(59));
    }

    #[test]
    fn two_blocks_pulled_at_the_start_are_forgotten_at_once() {
        let mut p = pulse();
        let mut done = 0;
        let blocks: Vec<usize> = (0..50)
            .map(|n| {
                let at = Micros(START + done as u64 * 1_000_000 / 44_100);
                let frames = if n == 0 { 7056 } else { 3528 };
                done += frames;
                p.pull(at, frames).block
            })
            .collect();
        assert_eq!(blocks.iter().position(|block| *block == 3528), Some(1));
        assert!(blocks.is_sorted_by(|a, b| a >= b), "{blocks:?}");
    }

    #[test]
    fn a_device_that_stood_still_begins_anew() {
        let mut p = pulse();
        let mut at = START;
        for n in 0..300 {
            at += if n == 200 { 900_000 } else { 10_000 };
            let beat = p.pull(Micros(at), 441);
            assert_eq!(beat.now, Micros(at), "{n}");
        }
    }
}
