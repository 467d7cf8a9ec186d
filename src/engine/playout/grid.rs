//! Where packets begin within the device's pulls.
//!
//! A packet has to be there when the pull comes that takes its first frame. Where that frame is the pull's first, the pull
//! comes as late as it can; where it is the last, all but a whole block earlier. Packets of one length and pulls of one
//! length meet at the same few places again and again, a [`cell`](Grid::cell) apart, as long as no clock slides: there
//! the places can be chosen, and only what they really need has to be waited for.

use std::time::Duration;

use crate::engine::format::Format;
use crate::engine::stream::queue::Position;

/// Where one source's packets begin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grid {
    /// The last packet's first frame.
    start: Position,
    /// The length of all packets lately, frames; zero before the first.
    packet: usize,
    /// Frames to come before packets are believed to be all alike again.
    doubted: usize,
}

impl Grid {
    /// A packet of `frames` frames begins at `start`.
    pub fn packet(&mut self, format: Format, start: Position, frames: usize) {
        let alike = self.packet == frames && start.distance(self.start) % frames.max(1) as i64 == 0;
        self.doubted = if alike || self.packet == 0 {
            self.doubted.saturating_sub(frames)
        } else {
            format.frames(DOUBT)
        };
        (self.start, self.packet) = (start, frames);
    }

    /// How far apart the places are where packets begin within pulls that are multiples of `step` frames; one frame where
    /// that is anywhere.
    pub fn cell(&self, step: usize) -> usize {
        if self.doubted > 0 { 1 } else { common(self.packet, step).max(1) }
    }

    /// The fewest frames from a packet's first to the end of its pull, if one pull ends at `end`: 1 to `cell`.
    pub fn ahead(&self, end: Position, cell: usize) -> usize {
        let cell = cell.max(1) as i64;
        (end.distance(self.start).wrapping_sub(1).rem_euclid(cell) + 1) as usize
    }
}

/// The greatest common divisor; of a number and zero, the number.
pub fn common(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common(b, a % b) }
}

/// For so much sound after a packet that was not like the others, packets may begin anywhere.
const DOUBT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packets_that_are_not_all_alike_begin_anywhere_for_two_seconds() {
        let mut grid = Grid::default();
        let mut at = Position(1 << 32);
        let mut come = |frames: usize| {
            grid.packet(Format::DEFAULT, at, frames);
            at = at.plus(frames);
            grid.cell(441)
        };
        assert_eq!([come(441), come(441), come(568), come(441)], [441, 441, 1, 1]);
        assert_eq!((0..300).position(|_| come(441) == 441), Some(199));
    }

    #[test]
    fn a_lost_or_overtaken_packet_changes_nothing() {
        let mut grid = Grid::default();
        for n in [0, 1, 3, 2, 9] {
            grid.packet(Format::DEFAULT, Position((1 << 32) + n * 220), 220);
            assert_eq!(grid.cell(440), 220);
        }
    }

    proptest! {
        /// Against a plain search through all pulls.
        #[test]
        fn no_packet_begins_nearer_to_its_pulls_end(packet in 1usize..40, step in 1usize..40, first in 0u64..40) {
            let mut grid = Grid::default();
            let start = Position(1 << 32);
            grid.packet(Format::DEFAULT, start, packet);
            let end = start.plus(first as usize);
            let mut least = usize::MAX;
            for n in 0..1600 {
                let begun = (first + n) % packet as u64 == 0;
                if begun {
                    least = least.min(step - n as usize % step);
                }
            }
            let cell = grid.cell(step);
            prop_assert_eq!((grid.ahead(end, cell), step % cell), (least, 0));
        }
    }
}
