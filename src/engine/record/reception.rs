//! Records what arrived, in sequence order: the server's recorder. The rules are [`assembly`](super::assembly)'s.
//!
//! Guaranteed: what the queue held when [`ReceptionRecorder::stop`] was called is in the file. A process that is killed
//! loses what is held back for what may belong before it ([`HOLD`](super::assembly::HOLD)). A disk that is full ends the recording
//! valid, which is told at once; the queue is emptied on.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle, park_timeout};
use std::time::Duration;

use super::Recorded;
use super::assembly::Counts;
use super::track::Track;
pub use super::track::{Labels, Notes};
use super::wav::WavWriter;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::Format;
use crate::engine::stream::queue::PacketReader;
use crate::engine::time::{Clock, Micros};

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
    /// Records the packets of a queue to the file at `path`, emptying one that is there; late ones are put in their
    /// place for `patience` of sound. The notes go beside it, with `.json` for `.wav`.
    pub fn start(
        path: PathBuf,
        format: Format,
        packets: PacketReader,
        patience: Duration,
        notes: Notes,
    ) -> Result<Self> {
        let writer = WavWriter::create(&path, format)?;
        let shared = Arc::new(Shared::default());
        {
            let mut inner = lock(&shared.inner);
            inner.state.recording = true;
            inner.state.path = path;
        }
        let clock = Clock::new();
        let track = Track::new(writer, patience, notes, clock.now());
        let worker = Worker { packets, track, shared: shared.clone(), told: false };
        let thread = Builder::new()
            .name("as-record".into())
            .spawn(move || worker.run(clock))
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

/// The thread "as-record".
struct Worker {
    packets: PacketReader,
    track: Track,
    shared: Arc<Shared>,
    /// The error that ended it was told.
    told: bool,
}

impl Worker {
    fn run(mut self, clock: Clock) {
        let _ending = Ending(self.shared.clone());
        loop {
            // Looked at before the queue: what was in it by then is read.
            let stopping = self.shared.stop.load(Ordering::Acquire);
            self.read_packets(clock.now());
            if stopping || (self.packets.is_abandoned() && self.packets.is_empty()) {
                break;
            }
            self.track.round(clock.now());
            self.publish();
            if let Some(error) = self.track.error().filter(|_| !self.told) {
                self.told = true;
                log::error!(target: TARGET, "{error}");
            }
            park_timeout(ROUND);
        }
        self.complete();
    }

    /// Takes all packets that wait, a queue's worth at most.
    fn read_packets(&mut self, now: Micros) {
        let Self { packets, track, .. } = self;
        for _ in 0..MOST_AT_ONCE {
            if !packets.pop(|head, samples| track.take(head, samples, now)) {
                break;
            }
        }
    }

    fn complete(self) {
        self.publish();
        let Self { track, shared, told, .. } = self;
        let counts = track.assembly().counts();
        let recorded = track.complete();
        if let Some(error) = recorded.error.as_ref().filter(|_| !told) {
            log::error!(target: TARGET, "{error}");
        }
        let mut inner = lock(&shared.inner);
        inner.state.recording = false;
        inner.state.frames = recorded.frames;
        inner.state.counts = counts;
        inner.state.error.clone_from(&recorded.error);
        inner.recorded = Some(recorded);
    }

    fn publish(&self) {
        let mut inner = lock(&self.shared.inner);
        inner.state.recording = self.track.error().is_none();
        inner.state.frames = self.track.frames();
        inner.state.sources = self.track.assembly().lanes().count();
        inner.state.counts = self.track.assembly().counts();
        inner.state.error = self.track.error().cloned();
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const TARGET: &str = "audiostream.server";
/// How often the queue is looked at.
const ROUND: Duration = Duration::from_millis(20);
/// Packets taken before anything else is looked after.
const MOST_AT_ONCE: usize = 100_000;
/// How long stopping waits for the disk.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
