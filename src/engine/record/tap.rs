//! Records what the audio callback hands over: the client's recorder.
//!
//! Guaranteed: all that is pushed after [`TapRecorder::start`] has returned is recorded, in order, frame by frame; a
//! recording of N frames has N frames. Pushing never waits, allocates or locks. Where the disk is so slow that the
//! queue (ten seconds) overflows, the sound that does not fit is dropped, counted, and silence of its length recorded in its place.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle, park, park_timeout};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

use super::Recorded;
use super::folder;
use super::local_time::LocalTime;
use super::wav::WavWriter;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::Format;

/// The audio callback's end.
pub struct TapWriter {
    samples: Producer<i16>,
    marks: Producer<Mark>,
    shared: Arc<Shared>,
    channels: usize,
    /// The recording that the samples last pushed belong to.
    take: u64,
    /// Samples pushed since the beginning.
    pushed: u64,
    /// Frames dropped since the last mark.
    missed: u64,
}

impl TapWriter {
    /// Hands over interleaved samples, whole frames; ignored while nothing is being recorded. Wait-free.
    pub fn push(&mut self, samples: &[i16]) {
        let take = self.shared.take.load(Ordering::Acquire);
        if take == 0 {
            return;
        }
        let frames = samples.len() / self.channels;
        let mut fit = (self.samples.slots() / self.channels).min(frames);
        if take != self.take || self.missed > 0 {
            let missed = if take == self.take { self.missed } else { 0 };
            let mark = Mark { at: self.pushed, take, missed };
            if fit > 0 && self.marks.push(mark).is_ok() {
                self.take = take;
                self.missed = 0;
            } else {
                fit = 0;
            }
        }
        let count = fit * self.channels;
        if self.samples.push_entire_slice(&samples[..count]).is_ok() {
            self.pushed += count as u64;
        }
        if fit < frames {
            let lost = (frames - fit) as u64;
            self.missed += lost;
            self.shared.dropped.fetch_add(lost, Ordering::Relaxed);
        }
    }
}

/// The controlling end: owns the thread "as-record".
pub struct TapRecorder {
    shared: Arc<Shared>,
    format: Format,
    /// Held while a recording is started, stopped or closed: one at a time.
    control: Mutex<Control>,
}

struct Control {
    thread: Option<JoinHandle<()>>,
    takes: u64,
}

/// What a recorder is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecorderState {
    /// Whether something is being recorded now.
    pub recording: bool,
    /// Frames in the file that is being written, or in the last one.
    pub frames: u64,
    /// The file that is being written, or the last one.
    pub path: Option<PathBuf>,
    /// The last recording that was finished.
    pub last: Option<Recorded>,
    /// What ended the last recording before its time; gone when the next begins.
    pub error: Option<Error>,
    /// Frames that the queue had no room for since this recorder was made; silence stands in their place.
    pub dropped_frames: u64,
}

impl TapRecorder {
    /// The two ends, and a thread that sleeps until something is to be recorded.
    pub fn new(format: Format) -> Result<(TapWriter, Self)> {
        let frames = format.rate() as usize * QUEUE_SECONDS;
        let (samples_in, samples_out) = RingBuffer::new(frames * format.channels());
        let (marks_in, marks_out) = RingBuffer::new(MARKS);
        let shared = Arc::new(Shared::default());
        let worker = Worker {
            samples: samples_out,
            marks: marks_out,
            shared: shared.clone(),
            channels: format.channels(),
            take: 0,
            read: 0,
        };
        let thread = Builder::new()
            .name("as-record".into())
            .spawn(move || worker.run())
            .map_err(|e| Error::io(ErrorKind::Recording, "cannot start the recorder's thread", &e))?;
        let writer = TapWriter {
            samples: samples_in,
            marks: marks_in,
            shared: shared.clone(),
            channels: format.channels(),
            take: 0,
            pushed: 0,
            missed: 0,
        };
        let control = Mutex::new(Control { thread: Some(thread), takes: 0 });
        Ok((writer, Self { shared, format, control }))
    }

    /// Records from now on to a new file in `folder`, named by the time; for `frames` frames, or until stopped.
    pub fn start(&self, folder: &Path, frames: Option<u64>) -> Result<PathBuf> {
        let mut control = lock(&self.control);
        let thread = control.live_thread()?.thread().clone();
        if let Some(running) = &lock(&self.shared.inner).running {
            let text = format!("already recording to {}: stop that first", running.path.display());
            return Err(Error::new(ErrorKind::State, text));
        }
        let (path, file) = folder::place_open(folder, None, LocalTime::now())?;
        let writer = WavWriter::take_over(file, &path, self.format).inspect_err(|_| {
            // What could not even be begun leaves no empty file behind.
            let _ = std::fs::remove_file(&path);
        })?;
        control.takes += 1;
        let take = control.takes;
        let mut inner = lock(&self.shared.inner);
        inner.running = Some(Running { path: path.clone(), folder: folder.into() });
        inner.error = None;
        inner.stop = false;
        inner.job = Some(Job { writer, take, left: frames, missed: 0 });
        self.shared.frames.store(0, Ordering::Relaxed);
        self.shared.take.store(take, Ordering::Release);
        drop(inner);
        thread.unpark();
        Ok(path)
    }

    /// Ends the recording and returns it, complete, under `filename` where one is given (by the rules of
    /// [`folder::place`]); `None` where nothing was being recorded. A bad name is refused and the recording goes on.
    pub fn stop(&self, filename: Option<&str>) -> Result<Option<Recorded>> {
        filename.map_or(Ok(()), folder::check_name)?;
        let control = lock(&self.control);
        self.stop_with(&control, filename)
    }

    /// What is going on.
    pub fn state(&self) -> RecorderState {
        let inner = lock(&self.shared.inner);
        let running = inner.running.as_ref().map(|r| r.path.clone());
        RecorderState {
            recording: running.is_some(),
            frames: match (&running, &inner.last) {
                (None, Some(last)) => last.frames,
                _ => self.shared.frames.load(Ordering::Relaxed),
            },
            path: running.or_else(|| inner.last.as_ref().map(|l| l.path.clone())),
            last: inner.last.clone(),
            error: inner.error.clone(),
            dropped_frames: self.shared.dropped.load(Ordering::Relaxed),
        }
    }

    /// Ends a recording that runs, and the thread; waits some seconds at most. May be called twice.
    pub fn close(&mut self) -> Result<Option<Recorded>> {
        let mut control = lock(&self.control);
        let recorded = self.stop_with(&control, None);
        let Some(thread) = control.thread.take() else { return recorded };
        lock(&self.shared.inner).quit = true;
        thread.thread().unpark();
        let inner = lock(&self.shared.inner);
        let waited = self.shared.changed.wait_timeout_while(inner, STOP_PATIENCE, |i| !i.ended);
        let (inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let ended = inner.ended;
        drop(inner);
        if ended {
            let _ = thread.join();
        }
        recorded
    }

    fn stop_with(&self, control: &Control, filename: Option<&str>) -> Result<Option<Recorded>> {
        let mut inner = lock(&self.shared.inner);
        let Some(running) = &inner.running else { return Ok(None) };
        let folder = running.folder.clone();
        self.shared.take.store(0, Ordering::Release);
        inner.stop = true;
        if let Some(thread) = &control.thread {
            thread.thread().unpark();
        }
        let waited = self.shared.changed.wait_timeout_while(inner, STOP_PATIENCE, |i| i.running.is_some());
        let (mut inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &inner.running {
            let text = format!(
                "the disk is too slow: {} is not finished after {} s (it will be, if the disk answers)",
                running.path.display(),
                STOP_PATIENCE.as_secs()
            );
            return Err(Error::new(ErrorKind::Recording, text));
        }
        if let (Some(name), Some(last)) = (filename, &mut inner.last) {
            last.path = folder::rename_into(&last.path, &folder, name)?;
        }
        Ok(inner.last.clone())
    }
}

impl Drop for TapRecorder {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

impl Control {
    fn live_thread(&self) -> Result<&JoinHandle<()>> {
        match &self.thread {
            Some(thread) if !thread.is_finished() => Ok(thread),
            Some(_) => Err(Error::new(ErrorKind::State, "the recorder's thread has died")),
            None => Err(Error::new(ErrorKind::State, "the recorder is closed")),
        }
    }
}

/// From here on the samples belong to recording `take`, `missed` frames after what came before.
#[derive(Clone, Copy)]
struct Mark {
    /// The number of the first such sample.
    at: u64,
    take: u64,
    missed: u64,
}

/// What both ends and the thread share.
#[derive(Default)]
struct Shared {
    /// The number of the recording that runs, counting from 1; 0 for none. All that the callback reads.
    take: AtomicU64,
    dropped: AtomicU64,
    /// Frames in the running recording's file.
    frames: AtomicU64,
    /// Never locked by the callback.
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    /// Waits to be taken by the thread.
    job: Option<Job>,
    /// From `start` until the file is complete.
    running: Option<Running>,
    last: Option<Recorded>,
    error: Option<Error>,
    stop: bool,
    quit: bool,
    /// The thread is about to return.
    ended: bool,
}

struct Running {
    path: PathBuf,
    folder: PathBuf,
}

struct Job {
    writer: WavWriter,
    take: u64,
    /// Frames still to come, where a number was asked for.
    left: Option<u64>,
    /// Frames that the queue had no room for.
    missed: u64,
}

/// The thread "as-record".
struct Worker {
    samples: Consumer<i16>,
    marks: Consumer<Mark>,
    shared: Arc<Shared>,
    channels: usize,
    /// The recording that the next sample belongs to.
    take: u64,
    /// Samples read since the beginning.
    read: u64,
}

impl Worker {
    fn run(mut self) {
        let _ending = Ending(self.shared.clone());
        let mut job: Option<Job> = None;
        let mut idle_rounds = 0;
        loop {
            let (stop, quit) = {
                let mut inner = lock(&self.shared.inner);
                job = job.or_else(|| inner.job.take());
                (inner.stop, inner.quit)
            };
            let Some(current) = &mut job else {
                if quit {
                    return;
                }
                park();
                continue;
            };
            let before = current.writer.frames();
            let mut result = self.pump(current);
            self.shared.frames.store(current.writer.frames(), Ordering::Relaxed);
            idle_rounds = if current.writer.frames() == before { idle_rounds + 1 } else { 0 };
            if idle_rounds == SYNC_AFTER_ROUNDS {
                result = result.and_then(|()| current.writer.sync());
            }
            if stop || current.left == Some(0) || result.is_err() {
                if let Some(done) = job.take() {
                    self.complete(done, result.err());
                }
            } else {
                park_timeout(ROUND);
            }
        }
    }

    /// Writes what has gathered.
    fn pump(&mut self, job: &mut Job) -> Result<()> {
        loop {
            // The mark of a sample is pushed before it: look for samples first.
            let waiting = self.samples.slots();
            if waiting == 0 || job.left == Some(0) {
                return Ok(());
            }
            let mut count = waiting;
            if let Ok(&mark) = self.marks.peek() {
                if mark.at == self.read {
                    let _ = self.marks.pop();
                    self.take = mark.take;
                    if mark.take == job.take {
                        job.tell_missed(mark.missed);
                        let silence = job.allow(mark.missed);
                        job.writer.append_silence(silence)?;
                    }
                    continue;
                }
                count = count.min((mark.at - self.read) as usize);
            }
            let Ok(chunk) = self.samples.read_chunk(count) else { return Ok(()) };
            let mut result = Ok(());
            if self.take == job.take {
                let frames = job.allow((count / self.channels) as u64) as usize;
                let (first, second) = chunk.as_slices();
                let wanted = frames * self.channels;
                let split = first.len().min(wanted);
                result = job.writer.append(&first[..split]);
                result = result.and_then(|()| job.writer.append(&second[..wanted - split]));
            }
            chunk.commit_all();
            self.read += count as u64;
            result?;
        }
    }

    fn complete(&self, mut job: Job, error: Option<Error>) {
        // A recording that ends by itself; one that was stopped has given way already, perhaps to the next.
        let _ = self.shared.take.compare_exchange(job.take, 0, Ordering::AcqRel, Ordering::Relaxed);
        let recorded = Recorded::complete(&mut job.writer, error);
        if let Some(error) = &recorded.error {
            log::error!(target: TARGET, "{error}");
        }
        if job.missed > 0 {
            let (path, missed) = (recorded.path.display(), job.missed);
            log::warn!(target: TARGET, "{path}: {missed} frames are silence in all, because the disk was too slow");
        }
        // The file is closed before anyone is told.
        drop(job);
        let mut inner = lock(&self.shared.inner);
        inner.error.clone_from(&recorded.error);
        inner.last = Some(recorded);
        inner.running = None;
        inner.stop = false;
        drop(inner);
        self.shared.changed.notify_all();
    }
}

impl Job {
    /// Counts frames that the queue had no room for; the first are told at once.
    fn tell_missed(&mut self, frames: u64) {
        if self.missed == 0 && frames > 0 {
            let path = self.writer.path().display();
            log::warn!(target: TARGET, "{path}: silence stands for {frames} frames, because the disk was too slow");
        }
        self.missed += frames;
    }

    /// How many of `frames` frames may still be recorded; they count as recorded.
    fn allow(&mut self, frames: u64) -> u64 {
        let allowed = self.left.map_or(frames, |left| left.min(frames));
        self.left = self.left.map(|left| left - allowed);
        allowed
    }
}

/// Tells whoever waits that the thread ends, in whatever way.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        let mut inner = lock(&self.0.inner);
        inner.ended = true;
        self.0.take.store(0, Ordering::Release);
        if inner.running.take().is_some() || std::thread::panicking() {
            inner.error = Some(Error::new(ErrorKind::Recording, "the recorder's thread has died"));
        }
        drop(inner);
        self.0.changed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const TARGET: &str = "audiostream";
/// What the queue holds.
const QUEUE_SECONDS: usize = 30;
/// Beginnings and overflows that the queue holds.
const MARKS: usize = 256;
/// How often the thread looks for sound while it records: a killed process loses this much, besides the header's lag.
const ROUND: Duration = Duration::from_millis(20);
/// Rounds without sound, one second, after which what is there goes to the disk.
const SYNC_AFTER_ROUNDS: u32 = 50;
/// How long stopping waits for the disk.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
