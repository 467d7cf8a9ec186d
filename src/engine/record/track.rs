//! One recording in the making: packets put in order, their file, and the notes beside it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, io};

use super::Recorded;
use super::assembly::{Assembly, Counts, Tape};
use super::folder;
use super::sidecar::{About, First, Sidecar};
use super::wav::WavWriter;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::stream::queue::{Head, Position};
use crate::engine::time::Micros;

/// What the sources are called in the notes: number and text. Whoever knows them adds them.
pub type Labels = Arc<Mutex<Vec<(u32, String)>>>;

/// What goes into the notes and does not come with the packets.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// When the recording began, ISO 8601.
    pub started: String,
    /// What the sources are called.
    pub labels: Labels,
    /// Packets that the recorder had no room for.
    pub dropped: Arc<AtomicU64>,
    /// The one source that it is of, where it is of one.
    pub about: Option<Arc<Mutex<About>>>,
}

/// A recording in the making. Moments are those of the recorder's thread, stamps of packets excepted.
pub(super) struct Track {
    assembly: Assembly,
    reel: Reel,
    sidecar: PathBuf,
    notes: Notes,
    first: Option<First>,
    /// The last packet's stamp and when it was read: the two clocks need not agree.
    last: (Micros, Micros),
    synced: Micros,
    noted: Micros,
    interval: Duration,
    /// What was told of sound that could not be recorded, and when.
    told: ((u64, u64), Micros),
    /// Packets that came after an error had ended the file.
    after_error: u64,
}

/// The file, and the error that ended it.
struct Reel {
    writer: WavWriter,
    error: Option<Error>,
}

impl Track {
    /// To be written by `writer`; late packets are put in their place for `patience` of sound.
    pub(super) fn new(writer: WavWriter, patience: Duration, notes: Notes, now: Micros) -> Self {
        Self {
            assembly: Assembly::new(writer.format(), patience),
            sidecar: sidecar_path(writer.path()),
            reel: Reel { writer, error: None },
            notes,
            first: None,
            last: (Micros::ZERO, now),
            synced: now,
            noted: now,
            interval: NOTES_EVERY,
            told: ((0, 0), Micros::ZERO),
            after_error: 0,
        }
    }

    /// Gives the file another name, by the rules of [`folder::place`]; the notes go with it.
    pub(super) fn rename(&mut self, folder: &Path, name: &str) -> Result<PathBuf> {
        let path = folder::rename_into(self.reel.writer.path(), folder, name)?;
        self.reel.writer.set_path(&path);
        let before = std::mem::replace(&mut self.sidecar, sidecar_path(&path));
        // They are written anew, also where there were none so far.
        let _ = fs::rename(before, &self.sidecar);
        Ok(path)
    }

    /// Takes a packet.
    pub(super) fn take(&mut self, head: &Head, samples: &[i16], now: Micros) {
        if self.reel.error.is_some() {
            self.after_error += 1;
            return;
        }
        self.last = (self.last.0.max(head.arrival), now);
        if self.assembly.is_beginning() {
            self.first =
                Some(self.first.map_or(First::new(head), |first| {
                    first.or_before(head, self.reel.writer.format().rate())
                }));
        }
        self.assembly.take(head, samples, &[], &mut self.reel);
    }

    /// Now and then: what is due is written, the disk is asked to follow, the notes are renewed.
    pub(super) fn round(&mut self, now: Micros) {
        if self.last.0 > Micros::ZERO && self.reel.error.is_none() {
            self.assembly.settle(self.last.0 + now.since(self.last.1), &mut self.reel);
        }
        if now.since(self.synced) >= SYNC_EVERY {
            self.synced = now;
            let result = self.reel.writer.sync();
            self.reel.note(result);
        }
        if now.since(self.told.1) >= TELL_EVERY {
            self.tell(now);
        }
        if now.since(self.noted) >= self.interval {
            // Long notes are renewed less often.
            let length = self.write_notes(false).unwrap_or(0);
            self.interval = NOTES_EVERY + Duration::from_micros(length as u64 * 10);
            self.noted = now;
        }
    }

    /// Tells what could not be recorded since that was told last.
    fn tell(&mut self, now: Micros) {
        let Counts { too_late_frames, refused_packets, .. } = self.assembly.counts();
        if (too_late_frames, refused_packets) != self.told.0 {
            self.told = ((too_late_frames, refused_packets), now);
            log::warn!(
                target: TARGET,
                "{}: {too_late_frames} frames came too late for their place, {refused_packets} packets could not be placed",
                self.reel.writer.path().display()
            );
        }
    }

    /// Writes all that there is, and the notes.
    pub(super) fn complete(mut self) -> Recorded {
        if self.reel.error.is_none() {
            self.assembly.finish(&mut self.reel);
        }
        self.tell(self.last.1);
        let mut recorded = Recorded::complete(&mut self.reel.writer, self.reel.error.clone());
        self.reel.error.clone_from(&recorded.error);
        if let Err(error) = self.write_notes(true) {
            let what = format!("cannot write {}", self.sidecar.display());
            recorded.error.get_or_insert(Error::io(ErrorKind::Recording, what, &error));
        }
        recorded
    }

    /// What was put in order.
    pub(super) fn assembly(&self) -> &Assembly {
        &self.assembly
    }

    /// Frames in the file.
    pub(super) fn frames(&self) -> u64 {
        self.reel.writer.frames()
    }

    /// What ended it before its time.
    pub(super) fn error(&self) -> Option<&Error> {
        self.reel.error.as_ref()
    }

    /// Replaces the notes in one step of the file system; returns their length.
    fn write_notes(&self, finished: bool) -> io::Result<usize> {
        let file = self.reel.writer.path().file_name().unwrap_or_default().to_string_lossy();
        let labels = self.notes.labels.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let about = self.notes.about.as_ref();
        let about = about.map(|about| about.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let json = Sidecar {
            file: &file,
            format: self.reel.writer.format(),
            frames: self.reel.writer.frames(),
            started: &self.notes.started,
            finished,
            error: self.reel.error.as_ref(),
            unrecorded: self.after_error + self.notes.dropped.load(Ordering::Relaxed),
            assembly: &self.assembly,
            labels: &labels,
            about: about.as_ref().map(|about| (about, self.first)),
        }
        .encode();
        let new = self.sidecar.with_extension("json.new");
        fs::write(&new, &json).and_then(|()| fs::rename(&new, &self.sidecar)).inspect_err(|_| {
            let _ = fs::remove_file(&new);
        })?;
        Ok(json.len())
    }
}

impl Tape for Reel {
    fn sound(&mut self, samples: &[i16]) {
        let result = self.writer.append(samples);
        self.note(result);
    }

    fn silence(&mut self, frames: u64) {
        let result = self.writer.append_silence(frames);
        self.note(result);
    }

    fn patch(&mut self, frame: u64, samples: &[i16]) {
        let result = self.writer.patch(frame, samples);
        self.note(result);
    }

    fn add(&mut self, frame: u64, samples: &[i16]) {
        let result = self.writer.add(frame, samples);
        self.note(result);
    }
}

impl Reel {
    fn note(&mut self, result: Result<()>) {
        if let Err(error) = result {
            self.error.get_or_insert(error);
        }
    }
}

impl First {
    fn new(head: &Head) -> Self {
        Self { position: head.position, arrival: head.arrival, epoch: head.epoch }
    }

    /// This, or a packet that belongs before it: its sound began earlier by so much.
    fn or_before(self, head: &Head, rate: u32) -> Self {
        let earlier = self.position.distance(head.position);
        if head.epoch != self.epoch || earlier <= 0 {
            return self;
        }
        let position = Position(head.position.0);
        let arrival = Micros(self.arrival.0.saturating_sub(earlier as u64 * 1_000_000 / u64::from(rate)));
        Self { position, arrival, ..self }
    }
}

/// Where the notes of the recording at `path` go; never the recording itself.
fn sidecar_path(path: &Path) -> PathBuf {
    let beside = path.with_extension("json");
    if beside == path { path.with_extension("json.json") } else { beside }
}

/// How often the disk is asked to follow where the sound is too sparse to bring that about.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// How often it is told what could not be recorded.
const TELL_EVERY: Duration = Duration::from_secs(10);
const TARGET: &str = "audiostream.server";
/// How often the notes are renewed.
const NOTES_EVERY: Duration = Duration::from_secs(5);
