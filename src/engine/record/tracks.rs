//! Records several sources, each to a file of its own, by one thread and through one queue.
//!
//! Guaranteed: what was pushed into a take before its [`end`](TrackWriter::end) is in its file; a take is a file from its first
//! packet to its end, put in order as [`assembly`](super::assembly) does it. At most [`MOST_TAKES`] files are open. Neither
//! pushing nor ending waits for the disk; what the queue has no room for is counted, and is silence in the file.
//!
//! A process that is killed loses what is held back for what may belong before it ([`HOLD`](super::assembly::HOLD)).

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle, park_timeout};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::folder;
use super::local_time::LocalTime;
use super::naming::file_name;
use super::shares::Shares;
use super::sidecar::About;
use super::sync::SyncThread;
use super::track::{Notes, Track};
use super::wav::WavWriter;
use super::{QUEUE_PACKETS, QUEUE_SAMPLES, Recorded};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::Format;
use crate::engine::stream::queue::{Head, PacketReader, PacketWriter, packet_queue};
use crate::engine::time::{Clock, Micros};

/// One recording of one source, as everybody sees it.
pub struct Take {
    format: Format,
    /// What its notes say of the source; whoever knows more brings it up to date.
    pub about: Arc<Mutex<About>>,
    state: Mutex<TakeState>,
    changed: Condvar,
}

/// How far a recording is.
#[derive(Clone, Debug, Default)]
pub struct TakeState {
    /// The file; `None` before it is made.
    pub path: Option<PathBuf>,
    /// Frames in it.
    pub frames: u64,
    /// What ended it before its time, or kept it from beginning.
    pub error: Option<Error>,
    /// It is over; with a file there is [`recorded`](Self::recorded).
    pub is_over: bool,
    /// The finished recording.
    pub recorded: Option<Recorded>,
}

/// Where a take goes.
pub enum Place {
    /// To this file, which is new.
    File(PathBuf, File),
    /// To a new file in this folder, named by what the source is called; where that is not known at once, the file is renamed when it
    /// is, within [`NAME_PATIENCE`].
    Folder(PathBuf),
}

/// The network thread's end.
pub struct TrackWriter {
    queue: PacketWriter,
    shares: Shares,
    orders: Sender<Order>,
    running: Vec<(u32, Arc<Take>)>,
    next: u32,
    shared: Arc<Shared>,
}

/// The controlling end: owns the thread "as-record".
pub struct TrackRecorder {
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

enum Order {
    Begin(u32, Arc<Take>, Place),
    End(u32),
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// Takes that are not over.
    open: AtomicUsize,
    failed: AtomicU64,
    ended: Mutex<bool>,
    changed: Condvar,
}

impl TrackRecorder {
    /// Starts the thread; packets are held back for `patience` of sound.
    pub fn start(patience: Duration) -> Result<(TrackWriter, Self)> {
        let failed = |e| Error::io(ErrorKind::Recording, "cannot start the recorder's thread", &e);
        let (queue, packets) = packet_queue(QUEUE_PACKETS, QUEUE_SAMPLES, 1);
        let (orders, ordered) = bounded(2 * MOST_TAKES);
        let shared = Arc::new(Shared::default());
        let worker = Worker {
            packets,
            orders: ordered,
            takes: HashMap::new(),
            ending: Vec::new(),
            disk: SyncThread::start().map_err(failed)?,
            patience,
            lines: Lines::default(),
            shared: Arc::clone(&shared),
        };
        let thread = Builder::new().name("as-record".into()).spawn(move || worker.run()).map_err(failed)?;
        let writer = TrackWriter {
            queue,
            shares: Shares::default(),
            orders,
            running: Vec::new(),
            next: 0,
            shared: Arc::clone(&shared),
        };
        Ok((writer, Self { thread: Some(thread), shared }))
    }

    /// Ends all takes and the thread; waits some seconds at most.
    pub fn stop(mut self) -> Result<()> {
        self.finish()
    }

    fn finish(&mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        self.shared.stop.store(true, Ordering::Release);
        thread.thread().unpark();
        let ended = lock(&self.shared.ended);
        let waited = self.shared.changed.wait_timeout_while(ended, STOP_PATIENCE, |ended| !*ended);
        let (ended, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !*ended {
            let seconds = STOP_PATIENCE.as_secs();
            let text = format!("the disk is too slow: recordings are not finished after {seconds} s");
            return Err(Error::new(ErrorKind::Recording, text));
        }
        drop(ended);
        let _ = thread.join();
        Ok(())
    }
}

impl Drop for TrackRecorder {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

impl TrackWriter {
    /// Begins a take of sound in that format; an error where as many as may run already.
    pub fn begin(&mut self, format: Format, about: About, place: Place) -> Result<(u32, Arc<Take>)> {
        if !self.has_room() {
            let text =
                format!("{MOST_TAKES} sources are being recorded, which is the most: stop another first");
            return Err(Error::new(ErrorKind::State, text));
        }
        let take = Arc::new(Take::new(format, about));
        if let Place::File(path, _) = &place {
            take.state().path = Some(path.clone());
        }
        self.next = self.next.wrapping_add(1);
        if self.orders.try_send(Order::Begin(self.next, Arc::clone(&take), place)).is_err() {
            return Err(Error::new(ErrorKind::Recording, "the disk is too slow to begin another recording"));
        }
        self.shared.open.fetch_add(1, Ordering::AcqRel);
        self.running.push((self.next, Arc::clone(&take)));
        Ok((self.next, take))
    }

    /// Whether another take may begin.
    pub fn has_room(&self) -> bool {
        self.shared.open.load(Ordering::Acquire) < MOST_TAKES
    }

    /// Hands over a packet of a take; false, and counted, where there is no room.
    pub fn push(&mut self, take: u32, head: Head, samples: &[i16]) -> bool {
        self.shares.admit(take, samples.len(), self.queue.free(), QUEUE_SAMPLES)
            && self.queue.push(Head { source: take, ..head }, samples)
    }

    /// Ends the takes that are not to go on.
    pub fn end(&mut self, mut goes_on: impl FnMut(u32) -> bool) {
        let orders = &self.orders;
        // One that cannot be told now is told next time.
        self.running.retain(|(take, _)| goes_on(*take) || orders.try_send(Order::End(*take)).is_err());
    }

    /// Files that could not be made or grow.
    pub fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Takes that have begun and were not ended.
    pub fn running(&self) -> usize {
        self.running.len()
    }
}

impl Take {
    fn new(format: Format, about: About) -> Self {
        let about = Arc::new(Mutex::new(about));
        Self { format, about, state: Mutex::default(), changed: Condvar::new() }
    }

    /// How far it is.
    pub fn progress(&self) -> TakeState {
        self.state().clone()
    }

    /// Waits until it is over, some seconds at most.
    pub fn wait(&self) -> Result<Option<Recorded>> {
        let waited = self.changed.wait_timeout_while(self.state(), STOP_PATIENCE, |state| !state.is_over);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !state.is_over {
            return Err(Error::new(
                ErrorKind::Recording,
                "the disk is too slow: the recording is not finished",
            ));
        }
        Ok(state.recorded.clone())
    }

    fn state(&self) -> MutexGuard<'_, TakeState> {
        lock(&self.state)
    }

    fn is_named(&self) -> bool {
        let about = lock(&self.about);
        about.name.is_some() || about.cname.is_some()
    }
}

/// The thread "as-record".
struct Worker {
    packets: PacketReader,
    orders: Receiver<Order>,
    takes: HashMap<u32, Running>,
    /// Takes whose packets are all in the queue or read.
    ending: Vec<u32>,
    disk: SyncThread,
    patience: Duration,
    lines: Lines,
    shared: Arc<Shared>,
}

struct Running {
    take: Arc<Take>,
    stage: Stage,
    /// Where its file lies under the source's address, until it is known what the source is called; and since when.
    nameless: Option<(PathBuf, Micros)>,
}

enum Stage {
    Rolling(Box<Track>),
    /// Nothing more can be written.
    Failed,
}

impl Worker {
    fn run(mut self) {
        let _ending = Ending(Arc::clone(&self.shared));
        let clock = Clock::new();
        loop {
            // Looked at before the queues: what was in them by then is read.
            let stopping = self.shared.stop.load(Ordering::Acquire);
            let now = clock.now();
            self.hear(now);
            let ending = std::mem::take(&mut self.ending);
            self.read_packets(now);
            for number in ending {
                self.end(number, now);
            }
            let gone = self.packets.is_abandoned() && self.packets.is_empty() && self.orders.is_empty();
            if stopping || gone {
                break;
            }
            self.round(now);
            park_timeout(ROUND);
        }
        let rest: Vec<u32> = self.takes.keys().copied().collect();
        for number in rest {
            self.end(number, clock.now());
        }
        self.disk.join();
    }

    fn hear(&mut self, now: Micros) {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Begin(number, take, place) => {
                    let (stage, nameless) = match place {
                        Place::File(path, file) => (self.roll(&take, &path, file, now), None),
                        Place::Folder(folder) => {
                            let stage = self.place(&take, &folder, now);
                            (stage, (!take.is_named()).then_some((folder, now)))
                        }
                    };
                    self.takes.insert(number, Running { take, stage, nameless });
                }
                Order::End(number) => self.ending.push(number),
            }
        }
    }

    /// Takes all packets that wait, a queue's worth at most.
    fn read_packets(&mut self, now: Micros) {
        for _ in 0..QUEUE_PACKETS {
            let Some(packet) = self.packets.take() else { break };
            if !self.takes.contains_key(&packet.head.source) {
                // Its beginning was ordered before it was queued.
                self.hear(now);
            }
            if let Some(running) = self.takes.get_mut(&packet.head.source) {
                match &mut running.stage {
                    Stage::Rolling(track) => track.take(&packet.head, &packet.samples, now),
                    Stage::Failed => lock(&running.take.about).dropped += 1,
                }
            }
            self.packets.give_back(packet);
        }
    }

    fn round(&mut self, now: Micros) {
        let numbers: Vec<u32> = self.takes.keys().copied().collect();
        for number in numbers {
            let Some(mut running) = self.takes.remove(&number) else { continue };
            running.name(now);
            if let Stage::Rolling(track) = &mut running.stage {
                track.round(now);
                running.take.state().frames = track.frames();
                if let Some(error) = track.error().cloned() {
                    self.fail(&running.take, error, now);
                    let Stage::Rolling(track) = std::mem::replace(&mut running.stage, Stage::Failed) else {
                        continue;
                    };
                    // The file is closed, valid; the source is not over.
                    let recorded = track.complete();
                    running.take.state().recorded = Some(recorded);
                }
            }
            self.takes.insert(number, running);
        }
    }

    /// Makes the file of a take in a folder.
    fn place(&mut self, take: &Arc<Take>, folder: &Path, now: Micros) -> Stage {
        let time = LocalTime::now();
        let name = file_name(lock(&take.about).title(), time);
        match folder::place_open(folder, Some(&name), time) {
            Ok((path, file)) => {
                take.state().path = Some(path.clone());
                self.roll(take, &path, file, now)
            }
            Err(error) => {
                self.fail(take, error, now);
                Stage::Failed
            }
        }
    }

    fn roll(&mut self, take: &Arc<Take>, path: &Path, file: File, now: Micros) -> Stage {
        let notes = Notes {
            started: LocalTime::now().to_string(),
            about: Some(Arc::clone(&take.about)),
            ..Notes::default()
        };
        match WavWriter::take_over_beside(file, path, take.format, &self.disk) {
            Ok(writer) => Stage::Rolling(Box::new(Track::new(writer, self.patience, notes, now))),
            Err(error) => {
                // What could not even be begun leaves no empty file behind.
                let _ = fs::remove_file(path);
                take.state().path = None;
                self.fail(take, error, now);
                Stage::Failed
            }
        }
    }

    fn end(&mut self, number: u32, now: Micros) {
        let Some(mut running) = self.takes.remove(&number) else { return };
        running.name(now);
        if let Stage::Rolling(track) = running.stage {
            let recorded = track.complete();
            if let Some(error) = recorded.error.clone() {
                self.fail(&running.take, error, now);
            } else if self.lines.may_tell(now) {
                let seconds = recorded.format.duration(recorded.frames).as_secs_f64();
                let Recorded { path, bytes, .. } = &recorded;
                log::info!(target: TARGET, "Recording saved: {} ({seconds:.2} s, {bytes} bytes)", path.display());
            }
            running.take.state().recorded = Some(recorded);
        }
        let mut state = running.take.state();
        state.is_over = true;
        if let Some(recorded) = &state.recorded {
            state.frames = recorded.frames;
        }
        drop(state);
        running.take.changed.notify_all();
        self.shared.open.fetch_sub(1, Ordering::AcqRel);
    }

    fn fail(&mut self, take: &Take, error: Error, now: Micros) {
        self.shared.failed.fetch_add(1, Ordering::Relaxed);
        if self.lines.may_tell(now) {
            log::error!(target: TARGET, "{} is not recorded any more: {error}", lock(&take.about).title());
        }
        take.state().error = Some(error);
    }
}

impl Running {
    /// Names the file by what the source is called, once that is known.
    fn name(&mut self, now: Micros) {
        let Some((folder, since)) = &self.nameless else { return };
        if self.take.is_named()
            && let Stage::Rolling(track) = &mut self.stage
        {
            let name = file_name(lock(&self.take.about).title(), LocalTime::now());
            // Where it cannot be renamed, it keeps the address for a name.
            if let Ok(path) = track.rename(folder, &name) {
                self.take.state().path = Some(path);
            }
            self.nameless = None;
        } else if now.since(*since) >= NAME_PATIENCE {
            self.nameless = None;
        }
    }
}

/// Sources come and go as they like: lines in any second, beyond which nothing is told.
#[derive(Default)]
struct Lines {
    second: Micros,
    told: u32,
}

impl Lines {
    fn may_tell(&mut self, now: Micros) -> bool {
        if now.since(self.second) >= Duration::from_secs(1) {
            *self = Self { second: now, told: 0 };
        }
        self.told += 1;
        self.told <= MOST_LINES
    }
}

/// Tells whoever waits that the thread ends, in whatever way.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        *lock(&self.0.ended) = true;
        self.0.changed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Recordings of sources at once: each has a file open and holds seconds of sound, about 0.8 MB of mono at 44.1 kHz.
pub const MOST_TAKES: usize = 128;
/// How often the queue is looked at.
const ROUND: Duration = Duration::from_millis(20);
/// How long a file may be renamed by what its source says that it is called.
const NAME_PATIENCE: Duration = Duration::from_secs(2);
/// How long stopping waits for the disk.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
const MOST_LINES: u32 = 20;
const TARGET: &str = "audiostream.server";

#[cfg(test)]
#[path = "tracks_tests.rs"]
mod tests;
