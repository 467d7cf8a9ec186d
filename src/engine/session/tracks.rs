//! The sources that are recorded each by itself, as the network thread sees them.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use crate::engine::error::Result;
use crate::engine::format::Format;
use crate::engine::record::sidecar::About;
use crate::engine::record::tracks::{Place, Take, TrackWriter};
use crate::engine::stats::{Reception, Recordings};
use crate::engine::stream::queue::Head;

/// Where packets of sources go that are recorded by themselves.
pub struct Tracks {
    writer: TrackWriter,
    /// All sources are recorded, to this folder.
    each: Option<PathBuf>,
    refused: u64,
    dropped: u64,
}

/// Whether a source is recorded by itself.
#[derive(Default)]
pub enum Recorded {
    /// It never was.
    #[default]
    Never,
    /// It is.
    Now(Box<Running>),
    /// It was, until it fell silent or left.
    Before(Arc<Take>),
    /// It was, until it was asked to be no more.
    Enough(Arc<Take>),
    /// It should be, and others are already.
    Refused,
}

/// A source's take.
pub struct Running {
    number: u32,
    /// What everybody sees of it.
    pub take: Arc<Take>,
    /// What the source had counted before.
    pub before: Reception,
}

impl Tracks {
    /// For the other end of `writer`.
    pub fn new(writer: TrackWriter) -> Self {
        Self { writer, each: None, refused: 0, dropped: 0 }
    }

    /// Records all sources from now on, to `folder`.
    pub fn record_each(&mut self, folder: PathBuf) {
        self.each = Some(folder);
    }

    /// Whether a source that is not recorded should be from its next packet on.
    pub fn wants(&self, recorded: &Recorded) -> bool {
        self.each.is_some() && !matches!(recorded, Recorded::Now(_) | Recorded::Enough(_))
    }

    /// Begins to record a source that has counted `before`, to a file in the folder for all.
    pub fn begin_each(
        &mut self,
        recorded: &mut Recorded,
        format: Format,
        before: Reception,
        about: impl FnOnce() -> About,
    ) {
        let Some(folder) = &self.each else { return };
        let waits = matches!(recorded, Recorded::Refused);
        if waits && !self.writer.has_room() {
            return;
        }
        match self.writer.begin(format, about(), Place::Folder(folder.clone())) {
            Ok((number, take)) => *recorded = Recorded::now(number, take, before),
            Err(why) if !waits => {
                self.refused += 1;
                // Told once, and counted from then on.
                if self.refused == 1 {
                    log::error!(target: TARGET, "a source is not recorded: {why}");
                }
                *recorded = Recorded::Refused;
            }
            Err(_) => {}
        }
    }

    /// Begins to record a source to a file of its own.
    pub fn begin(
        &mut self,
        recorded: &mut Recorded,
        format: Format,
        before: Reception,
        about: About,
        place: Place,
    ) -> Result<()> {
        let (number, take) = self.writer.begin(format, about, place)?;
        *recorded = Recorded::now(number, take, before);
        Ok(())
    }

    /// Hands over a packet of a source, where that is recorded.
    pub fn record(&mut self, recorded: &Recorded, head: Head, samples: &[i16]) {
        if let Recorded::Now(running) = recorded
            && !head.origin.is_made_up()
            && !self.writer.push(running.number, head, samples)
        {
            self.dropped += 1;
            running.take.about.lock().unwrap_or_else(PoisonError::into_inner).dropped += 1;
        }
    }

    /// Ends all takes but those with these numbers.
    pub fn keep(&mut self, numbers: &[u32]) {
        self.writer.end(|number| numbers.contains(&number));
    }

    /// What is to be told of them all.
    pub fn counts(&self) -> Recordings {
        Recordings {
            running: self.writer.running(),
            refused: self.refused,
            failed: self.writer.failed(),
            dropped: self.dropped,
        }
    }
}

impl Recorded {
    fn now(number: u32, take: Arc<Take>, before: Reception) -> Self {
        Self::Now(Box::new(Running { number, take, before }))
    }

    /// The take that runs, or the last one.
    pub fn take(&self) -> Option<&Arc<Take>> {
        match self {
            Self::Now(running) => Some(&running.take),
            Self::Before(take) | Self::Enough(take) => Some(take),
            Self::Never | Self::Refused => None,
        }
    }

    /// The number of the take that runs.
    pub fn number(&self) -> Option<u32> {
        if let Self::Now(running) = self { Some(running.number) } else { None }
    }

    /// It is over: the source has gone, or (`enough`) nobody wants more of it.
    pub fn end(&mut self, enough: bool) {
        *self = match std::mem::take(self) {
            Self::Now(running) if enough => Self::Enough(running.take),
            Self::Now(running) => Self::Before(running.take),
            Self::Before(take) if enough => Self::Enough(take),
            other => other,
        };
    }
}

const TARGET: &str = "audiostream.server";
