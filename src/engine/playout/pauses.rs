//! Where a sender was silent: its timestamps jumped and its sequence numbers did not, so nothing was lost (RFC 7587 §3.1.3).

use crate::engine::stream::queue::{Head, Position};

/// The pauses of lately.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pauses {
    last: Option<Head>,
    known: [(Position, Position); KEPT],
    next: usize,
}

impl Pauses {
    /// Takes note of a packet.
    pub fn arrived(&mut self, head: &Head) {
        if head.frames == 0 {
            // One without sound: nothing is missing where it is.
            let last = self.last.as_mut();
            if let Some(last) = last.filter(|l| l.epoch == head.epoch && l.sequence + 1 == head.sequence) {
                last.sequence = head.sequence;
            }
            return;
        }
        if let Some(last) = self.last.filter(|last| last.epoch == head.epoch) {
            if head.sequence <= last.sequence {
                return;
            }
            let end = last.position.plus(last.frames as usize);
            if head.sequence == last.sequence + 1 && head.position > end {
                self.known[self.next] = (end, head.position);
                self.next = (self.next + 1) % KEPT;
            }
        } else {
            *self = Self::default();
        }
        self.last = Some(*head);
    }

    /// Whether the sender was silent at `position`.
    pub fn cover(&self, position: Position) -> bool {
        self.known.iter().any(|(from, to)| (from..to).contains(&&position))
    }
}

/// More than lie within the longest delay, as a rule: silence is told of every 400 ms.
const KEPT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn head(sequence: u64, position: u64) -> Head {
        Head { sequence, position: Position(position), frames: 960, ..Head::default() }
    }

    #[test]
    fn only_what_the_sender_left_out_is_a_pause() {
        let mut pauses = Pauses::default();
        for (sequence, position) in
            [(5, 10_000), (6, 10_960), (7, 30_000), (9, 40_000), (8, 35_000), (10, 40_960)]
        {
            pauses.arrived(&head(sequence, position));
        }
        let covered = [10_000, 11_919, 11_920, 29_999, 30_000, 32_000, 37_000, 40_000, 50_000]
            .map(|at| pauses.cover(Position(at)));
        assert_eq!(covered, [false, false, true, true, false, false, false, false, false]);
    }
}
