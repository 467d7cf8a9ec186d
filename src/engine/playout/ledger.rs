//! What the frames are that a player makes ready and gives out: received or not, and where they belong.
//!
//! Guaranteed: nothing here allocates; as many frames are given out as were asked for. Kept only where somebody wants to know.
//!
//! Not guaranteed: that a note is exact where there are more stretches at once than are remembered.

use crate::engine::stream::queue::Position;

/// How it came to some frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// They are nobody's: the time before the first packet is due, or after the last.
    #[default]
    Nothing,
    /// They were received.
    Heard,
    /// They stand for sound that is missing.
    Lost,
}

/// Frames of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// How it came to them.
    pub kind: Kind,
    /// Where the first belongs.
    pub position: Position,
    /// Their number.
    pub frames: u32,
}

/// One player's.
#[derive(Debug, Default)]
pub struct Ledger {
    kept: bool,
    ready: Stretches,
    given: Stretches,
}

#[derive(Debug, Default)]
struct Stretches {
    all: [Stretch; MOST],
    count: usize,
}

impl Ledger {
    /// Whether anything is noted.
    pub fn is_kept(&self) -> bool {
        self.kept
    }

    /// Notes from now on, or no longer; `ready` is what waits at that moment. What was given out before is forgotten.
    pub fn keep(&mut self, kept: bool, ready: Stretch) {
        if kept && !self.kept {
            self.ready.count = 0;
            self.ready.push(ready);
        }
        self.kept = kept;
        self.given.count = 0;
    }

    /// So many frames were made ready.
    pub fn note(&mut self, kind: Kind, position: Position, frames: usize) {
        if self.kept {
            self.ready.push(Stretch { kind, position, frames: frames as u32 });
        }
    }

    /// So many of those that are ready are given out.
    pub fn give(&mut self, frames: usize) {
        let mut left = frames as u32;
        let mut whole = 0;
        for stretch in &mut self.ready.all[..self.ready.count] {
            let now = stretch.frames.min(left);
            self.given.push(Stretch { frames: now, ..*stretch });
            left -= now;
            if now < stretch.frames {
                stretch.frames -= now;
                stretch.position = stretch.position.plus(now as usize);
                break;
            }
            whole += 1;
        }
        self.ready.all.copy_within(whole..self.ready.count, 0);
        self.ready.count -= whole;
    }

    /// What is ready will not be given out.
    pub fn forget_ready(&mut self) {
        self.ready.count = 0;
    }

    /// What was given out since [`keep`](Self::keep) was asked last.
    pub fn given(&self) -> &[Stretch] {
        &self.given.all[..self.given.count]
    }
}

impl Stretches {
    fn push(&mut self, stretch: Stretch) {
        if stretch.frames == 0 {
            return;
        }
        if let Some(last) = self.all[..self.count].last_mut() {
            let joins = last.kind == stretch.kind
                && (last.kind == Kind::Nothing
                    || last.position.plus(last.frames as usize) == stretch.position);
            if joins || self.count == MOST {
                last.frames += stretch.frames;
                return;
            }
        }
        self.all[self.count] = stretch;
        self.count += 1;
    }
}

/// Stretches remembered; in one pull there are seldom more than three.
const MOST: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kept() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.keep(true, Stretch::default());
        ledger
    }

    #[test]
    fn what_is_given_out_is_what_was_made_ready_in_pieces_of_any_length() {
        let mut ledger = kept();
        ledger.note(Kind::Heard, Position(100), 30);
        ledger.note(Kind::Heard, Position(130), 10);
        ledger.note(Kind::Lost, Position(140), 20);
        ledger.give(35);
        assert_eq!(ledger.given(), [Stretch { kind: Kind::Heard, position: Position(100), frames: 35 }]);
        ledger.keep(true, Stretch::default());
        ledger.give(25);
        let rest = Stretch { kind: Kind::Heard, position: Position(135), frames: 5 };
        assert_eq!(ledger.given(), [rest, Stretch { kind: Kind::Lost, position: Position(140), frames: 20 }]);
    }

    #[test]
    fn nothing_is_noted_where_nobody_wants_to_know() {
        let mut ledger = Ledger::default();
        ledger.note(Kind::Lost, Position(1), 20);
        ledger.keep(true, Stretch { kind: Kind::Heard, position: Position(7), frames: 3 });
        ledger.give(3);
        assert_eq!(ledger.given(), [Stretch { kind: Kind::Heard, position: Position(7), frames: 3 }]);
    }

    proptest! {
        /// However many stretches there are, none of their frames gets lost.
        #[test]
        fn as_many_frames_are_given_out_as_are_asked_for(
            made in prop::collection::vec((0u8..3, 1usize..50, any::<bool>()), 1..80), piece in 1usize..200,
        ) {
            let mut ledger = kept();
            let mut all = 0;
            for (kind, frames, jump) in made {
                let kind = [Kind::Nothing, Kind::Heard, Kind::Lost][kind as usize];
                ledger.note(kind, Position(all as u64 * if jump { 2 } else { 1 }), frames);
                all += frames;
            }
            while all > 0 {
                let now = piece.min(all);
                ledger.keep(true, Stretch::default());
                ledger.give(now);
                prop_assert_eq!(ledger.given().iter().map(|s| s.frames as usize).sum::<usize>(), now);
                all -= now;
            }
        }
    }
}
