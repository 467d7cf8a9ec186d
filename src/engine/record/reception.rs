//! Records what arrived, in sequence order: the server's recorder. The rules are [`assembly`](super::assembly)'s.
//!
//! Guaranteed: what the queue held when [`ReceptionRecorder::stop`] was called is in the file. A process that is killed
//! loses what is held back for packets that may still come (the patience). A disk that is full ends the recording valid; the queue is emptied on.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle, park_timeout};
use std::time::Duration;
use std::{fs, io};

use super::Recorded;
use super::assembly::{Assembly, Counts, Tape};
use super::sidecar::Sidecar;
use super::wav::WavWriter;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::Format;
use crate::engine::stream::queue::PacketReader;
use crate::engine::time::{Clock, Micros};

/// What the sources are called in the notes: number and text. Whoever knows them adds them.
pub type Labels = Arc<Mutex<Vec<(u32, String)>>>;

/// What goes into the notes and does not come with the packets.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// When the recording began, ISO 8601.
    pub started: String,
    /// What the sources are called.
    pub labels: Labels,
}

/// A recording that runs, and its thread "as-record".
pub struct ReceptionRecorder {
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

/// What a server's recorder is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceptionState {
    /// Whether the file is still being written.
    pub recording: bool,
    /// Frames in the file.
    pub frames: u64,
    /// The file.
    pub path: PathBuf,
    /// Sources heard, those forgotten left out.
    pub sources: usize,
    /// What could not be recorded.
    pub counts: Counts,
    /// What ended the recording before its time.
    pub error: Option<Error>,
}

impl ReceptionRecorder {
    /// Records the packets of a queue to the file at `path`, emptying one that is there; each is held back for `patience`
    /// of sound, so that later ones can take their place before it. The notes go beside it, with `.json` for `.wav`.
    pub fn start(
        path: PathBuf,
        format: Format,
        packets: PacketReader,
        patience: Duration,
        notes: Notes,
    ) -> Result<Self> {
        let writer = WavWriter::create(&path, format)?;
        let sidecar = sidecar_path(&path);
        let shared = Arc::new(Shared::default());
        {
            let mut inner = lock(&shared.inner);
            inner.state.recording = true;
            inner.state.path = path;
        }
        let worker = Worker {
            packets,
            assembly: Assembly::new(format, patience),
            reel: Reel { writer, error: None },
            sidecar,
            notes,
            shared: shared.clone(),
        };
        let thread = Builder::new()
            .name("as-record".into())
            .spawn(move || worker.run())
            .map_err(|e| Error::io(ErrorKind::Recording, "cannot start the recorder's thread", &e))?;
        Ok(Self { thread: Some(thread), shared })
    }

    /// Records what the queue still holds and returns the finished recording; waits some seconds at most.
    pub fn stop(mut self) -> Result<Recorded> {
        self.finish()
    }

    /// What is going on.
    pub fn state(&self) -> ReceptionState {
        lock(&self.shared.inner).state.clone()
    }

    fn finish(&mut self) -> Result<Recorded> {
        let gone = || Error::new(ErrorKind::Recording, "the recorder's thread has died");
        let Some(thread) = self.thread.take() else { return Err(gone()) };
        self.shared.stop.store(true, Ordering::Release);
        thread.thread().unpark();
        let inner = lock(&self.shared.inner);
        let waited = self.shared.changed.wait_timeout_while(inner, STOP_PATIENCE, |i| !i.ended);
        let (inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let (ended, recorded, path) = (inner.ended, inner.recorded.clone(), inner.state.path.clone());
        drop(inner);
        if !ended {
            let seconds = STOP_PATIENCE.as_secs();
            let text = format!("the disk is too slow: {} is not finished after {seconds} s", path.display());
            return Err(Error::new(ErrorKind::Recording, text));
        }
        let _ = thread.join();
        recorded.ok_or_else(gone)
    }
}

impl Drop for ReceptionRecorder {
    fn drop(&mut self) {
        if self.thread.is_some() {
            let _ = self.finish();
        }
    }
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    state: ReceptionState,
    recorded: Option<Recorded>,
    ended: bool,
}

/// The file, and the error that ended it.
struct Reel {
    writer: WavWriter,
    error: Option<Error>,
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
}

impl Reel {
    fn note(&mut self, result: Result<()>) {
        if let Err(error) = result {
            self.error.get_or_insert(error);
        }
    }
}

/// The thread "as-record".
struct Worker {
    packets: PacketReader,
    assembly: Assembly,
    reel: Reel,
    sidecar: PathBuf,
    notes: Notes,
    shared: Arc<Shared>,
}

impl Worker {
    fn run(mut self) {
        let _ending = Ending(self.shared.clone());
        let clock = Clock::new();
        // The last packet's stamp and, on this thread's clock, when it was read: the two clocks need not agree.
        let mut last = (Micros::ZERO, clock.now());
        let mut synced = clock.now();
        let mut noted = clock.now();
        let mut interval = NOTES_EVERY;
        loop {
            // Looked at before the queue: what was in it by then is read.
            let stopping = self.shared.stop.load(Ordering::Acquire);
            if let Some(arrival) = self.read_packets() {
                last = (last.0.max(arrival), clock.now());
            }
            let now = clock.now();
            if last.0 > Micros::ZERO && self.reel.error.is_none() {
                self.assembly.settle(last.0 + now.since(last.1), &mut self.reel);
            }
            if stopping || (self.packets.is_abandoned() && self.packets.is_empty()) {
                break;
            }
            if now.since(synced) >= SYNC_EVERY {
                synced = now;
                let result = self.reel.writer.sync();
                self.reel.note(result);
            }
            if now.since(noted) >= interval {
                // Long notes are renewed less often.
                let length = self.write_notes(false).unwrap_or(0);
                interval = NOTES_EVERY + Duration::from_micros(length as u64 * 10);
                noted = clock.now();
            }
            self.publish();
            park_timeout(ROUND);
        }
        self.complete();
    }

    /// Takes all packets that wait, a queue's worth at most; returns the latest arrival.
    fn read_packets(&mut self) -> Option<Micros> {
        let mut latest = None;
        for _ in 0..MOST_AT_ONCE {
            let Self { packets, assembly, reel, .. } = self;
            let ended = reel.error.is_some();
            let popped = packets.pop(|head, samples| {
                latest = latest.max(Some(head.arrival));
                if !ended {
                    assembly.take(head, samples, &[], reel);
                }
            });
            if !popped {
                break;
            }
        }
        latest
    }

    fn complete(mut self) {
        if self.reel.error.is_none() {
            self.assembly.finish(&mut self.reel);
        }
        let mut recorded = Recorded::complete(&mut self.reel.writer, self.reel.error.clone());
        self.reel.error.clone_from(&recorded.error);
        if let Err(error) = self.write_notes(true) {
            let what = format!("cannot write {}", self.sidecar.display());
            recorded.error.get_or_insert(Error::io(ErrorKind::Recording, what, &error));
        }
        self.publish();
        let Self { reel, shared, .. } = self;
        drop(reel);
        let mut inner = lock(&shared.inner);
        inner.state.recording = false;
        inner.state.error.clone_from(&recorded.error);
        inner.recorded = Some(recorded);
    }

    fn publish(&self) {
        let mut inner = lock(&self.shared.inner);
        inner.state.recording = self.reel.error.is_none();
        inner.state.frames = self.reel.writer.frames();
        inner.state.sources = self.assembly.lanes().count();
        inner.state.counts = self.assembly.counts();
        inner.state.error.clone_from(&self.reel.error);
    }

    /// Replaces the notes in one step of the file system; returns their length.
    fn write_notes(&self, finished: bool) -> io::Result<usize> {
        let file = self.reel.writer.path().file_name().unwrap_or_default().to_string_lossy();
        let labels = lock(&self.notes.labels).clone();
        let json = Sidecar {
            file: &file,
            format: self.reel.writer.format(),
            frames: self.reel.writer.frames(),
            started: &self.notes.started,
            finished,
            error: self.reel.error.as_ref(),
            assembly: &self.assembly,
            labels: &labels,
        }
        .encode();
        let new = self.sidecar.with_extension("json.new");
        fs::write(&new, &json).and_then(|()| fs::rename(&new, &self.sidecar)).inspect_err(|_| {
            let _ = fs::remove_file(&new);
        })?;
        Ok(json.len())
    }
}

/// Tells whoever waits that the thread ends, in whatever way.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        let mut inner = lock(&self.0.inner);
        inner.ended = true;
        inner.state.recording = false;
        drop(inner);
        self.0.changed.notify_all();
    }
}

/// Where the notes of the recording at `path` go; never the recording itself.
fn sidecar_path(path: &Path) -> PathBuf {
    let beside = path.with_extension("json");
    if beside == path { path.with_extension("json.json") } else { beside }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often the queue is looked at.
const ROUND: Duration = Duration::from_millis(20);
/// Packets taken before anything else is looked after.
const MOST_AT_ONCE: usize = 100_000;
/// How often the disk is asked to follow where the sound is too sparse to bring that about.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// How often the notes are renewed.
const NOTES_EVERY: Duration = Duration::from_secs(5);
/// How long stopping waits for the disk.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
