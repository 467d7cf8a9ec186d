//! What was recorded of one source: counts, and where silence stands between its sounds. Pure.

use super::sidecar::Gap;

/// What was recorded of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The recording's frame that its first one became.
    pub first_frame: Option<u64>,
    /// Frames written.
    pub frames: u64,
    /// Packets that came, copies and late ones included.
    pub packets: u64,
    /// Frames that came too late.
    pub late_frames: u64,
    /// Frames that were there already: copies.
    pub doubled_frames: u64,
    /// How often it began, restarts included.
    pub epochs: u64,
    /// Gaps that are not listed any more.
    pub more_gaps: u64,
    changes: Vec<Change>,
    /// Its stretches of sound, by frames of the recording.
    runs: Vec<(u64, u64)>,
    most_gaps: usize,
}

/// Where a source's sound is placed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The recording's frame where it goes on.
    pub frame: u64,
    /// Why.
    pub kind: ChangeKind,
}

/// Why a source's sound is placed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It began anew, or its timestamps did.
    Reset,
    /// Its timestamps do not tell its place: it paused and they did not, or they claim more sound than there was time for.
    Moved,
    /// It is coded in another way from here on: its payload type.
    Coding(u8),
}

impl ChangeKind {
    /// One word for the notes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Moved => "moved",
            Self::Coding(_) => "coding",
        }
    }
}

impl Tally {
    /// Of nothing yet; so many gaps are listed.
    pub(super) fn new(most_gaps: usize) -> Self {
        Self { most_gaps, ..Self::default() }
    }

    /// Where silence stands between its sounds.
    pub fn gaps(&self) -> impl Iterator<Item = Gap> {
        self.runs.windows(2).map(|pair| Gap { frame: pair[0].1, frames: pair[1].0 - pair[0].1 })
    }

    /// How many gaps are listed.
    pub fn listed_gaps(&self) -> usize {
        self.runs.len().saturating_sub(1)
    }

    /// Where it was placed anew.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Notes that it is placed anew.
    pub(super) fn note_change(&mut self, change: Change) {
        if self.changes.len() < MOST_CHANGES {
            self.changes.push(change);
        }
    }

    /// Notes that the frames from `from` to `to` are sound, of which nothing was so far.
    pub(super) fn note_sound(&mut self, from: u64, to: u64) {
        self.first_frame = Some(self.first_frame.map_or(from, |first| first.min(from)));
        self.frames += to - from;
        // Mostly it follows the last one, or fills a gap of lately.
        let after = self.runs.iter().rposition(|run| run.0 <= from).map_or(0, |index| index + 1);
        let joins_before = after > 0 && self.runs[after - 1].1 >= from;
        let joins_after = self.runs.get(after).is_some_and(|run| run.0 <= to);
        match (joins_before, joins_after) {
            (true, true) => self.runs[after - 1].1 = self.runs.remove(after).1,
            (true, false) => self.runs[after - 1].1 = self.runs[after - 1].1.max(to),
            (false, true) => self.runs[after].0 = from,
            (false, false) if self.runs.is_empty() || self.listed_gaps() < self.most_gaps => {
                self.runs.insert(after, (from, to));
            }
            (false, false) => {
                self.more_gaps += 1;
                let run = &mut self.runs[after.saturating_sub(1)];
                *run = (run.0.min(from), run.1.max(to));
            }
        }
    }

    /// Forgets what was written: it is written anew, `frames` further on.
    pub(super) fn rewind(&mut self, frames: u64) {
        (self.first_frame, self.frames, self.more_gaps) = (None, 0, 0);
        self.runs.clear();
        for change in &mut self.changes {
            change.frame += frames;
        }
    }
}

/// Changes listed of one source.
const MOST_CHANGES: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the order in which frames become sound, gaps are what is left between the first and the last.
        #[test]
        fn gaps_are_what_no_run_covers(pieces in Just((0u64..40).collect::<Vec<_>>()).prop_shuffle(), take in 1usize..40) {
            let mut tally = Tally::new(100);
            let mut covered = [false; 400];
            for piece in &pieces[..take] {
                tally.note_sound(piece * 10, piece * 10 + 7 + piece % 4);
                covered[(piece * 10) as usize..(piece * 10 + 7 + piece % 4) as usize].fill(true);
            }
            let first = covered.iter().position(|c| *c).unwrap();
            let last = covered.iter().rposition(|c| *c).unwrap();
            let mut listed = [false; 400];
            for gap in tally.gaps() {
                listed[gap.frame as usize..(gap.frame + gap.frames) as usize].fill(true);
            }
            prop_assert!((first..=last).all(|at| listed[at] != covered[at]));
            prop_assert_eq!(tally.frames, covered.iter().filter(|c| **c).count() as u64);
            prop_assert_eq!(tally.first_frame, Some(first as u64));
        }
    }

    #[test]
    fn what_is_not_listed_is_counted() {
        let mut tally = Tally::new(2);
        for run in 0..10 {
            tally.note_sound(run * 10, run * 10 + 5);
        }
        assert_eq!((tally.listed_gaps(), tally.more_gaps, tally.frames), (2, 7, 50));
    }
}
