//! Programs that read what sources send or what is played of them.

use super::Sources;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::playout::tap::{Tap, Whose};
use crate::engine::session::frames::{FrameStream, Wanted};
use crate::engine::time::Clock;

impl Sources {
    /// Begins to hand out frames.
    pub fn frames(&mut self, wanted: Wanted, clock: Clock) -> Result<FrameStream> {
        if let Whose::Source(number) = wanted.whose
            && !self.entries.values().any(|entry| entry.number == number)
        {
            return Err(Error::new(ErrorKind::State, "the source has left, and is forgotten"));
        }
        let (tap, stream) = wanted.open(self.config.max_sources, clock)?;
        if wanted.raw {
            self.out.readers.retain(|reader| !reader.is_closed());
            if self.out.readers.len() >= MOST_READERS {
                return Err(too_many());
            }
            self.out.readers.push(tap);
        } else {
            self.play_to(tap)?;
        }
        Ok(stream)
    }

    /// Whether a source has left, or is forgotten.
    pub fn has_left(&self, number: u32) -> bool {
        let entry = self.entries.values().find(|entry| entry.number == number);
        entry.is_none_or(|entry| entry.gone && !entry.outlet.is_playing())
    }

    fn play_to(&mut self, tap: Tap) -> Result<()> {
        let Some(roster) = &mut self.out.roster else {
            return Err(Error::new(ErrorKind::State, "there is no output: open it first"));
        };
        roster.sweep();
        if roster.tap(tap) { Ok(()) } else { Err(too_many()) }
    }
}

fn too_many() -> Error {
    Error::new(ErrorKind::State, format!("more than {MOST_READERS} read frames: close some"))
}

/// Programs that read packets at once; as many may read what is played.
const MOST_READERS: usize = 256;
