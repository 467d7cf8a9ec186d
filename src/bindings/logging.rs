//! Engine log records on their way to Python's `logging`.
//!
//! The global logger of the `log` crate is ours: on any thread it queues or drops, and never waits for the GIL. One
//! thread, `as-control`, hands the queue to pyo3-log. Third-party records below WARN never get in.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use log::{Level, LevelFilter, Log, Metadata, Record};
use pyo3::prelude::*;

/// Records below `level` (Python's numbers: 10 DEBUG … 50 CRITICAL) are not even queued.
#[pyfunction]
pub fn set_log_level(level: u32) {
    log::set_max_level(match level {
        0..=9 => LevelFilter::Trace,
        10..=19 => LevelFilter::Debug,
        20..=29 => LevelFilter::Info,
        30..=39 => LevelFilter::Warn,
        40..=50 => LevelFilter::Error,
        _ => LevelFilter::Off,
    });
}

/// Makes sure that records get to Python, from this process, at the level that `logging` now wants.
pub fn open(py: Python<'_>) -> PyResult<()> {
    follow_level(py)?;
    let gate = GATE.get_or_init(Gate::new);
    // A second call in a process only fails to be first.
    let _ = log::set_logger(gate);
    let mut control = CONTROL.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if gate.process.swap(process, Relaxed) != process || control.is_none() {
        // After fork() the thread is the parent's.
        std::mem::forget(control.take());
        gate.over.store(false, Relaxed);
        gate.open.store(true, Relaxed);
        let logger = pyo3_log::Logger::new(py, pyo3_log::Caching::Loggers)?.filter(LevelFilter::Trace);
        let thread = std::thread::Builder::new().name("as-control".into()).spawn(move || gate.carry(&logger));
        *control = Some(thread?);
    }
    Ok(())
}

/// Carries what is queued and nothing after it, for [`LAST`] at most: a slow handler does not keep the program.
pub fn close() {
    let thread = CONTROL.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(gate) = GATE.get()
        && gate.process.load(Relaxed) == std::process::id()
    {
        gate.open.store(false, Relaxed);
        if let Some(thread) = thread {
            thread.thread().unpark();
            gate.end_within(LAST, &thread);
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

struct Gate {
    queue: Sender<Line>,
    lines: Receiver<Line>,
    dropped: AtomicU64,
    open: AtomicBool,
    /// Set when the time for the last records is over: those that wait are dropped.
    over: AtomicBool,
    process: AtomicU32,
}

struct Line {
    level: Level,
    target: String,
    text: String,
}

impl Gate {
    fn new() -> Self {
        let (queue, lines) = bounded(QUEUE);
        Self {
            queue,
            lines,
            dropped: AtomicU64::new(0),
            open: AtomicBool::new(false),
            over: AtomicBool::new(false),
            process: AtomicU32::new(0),
        }
    }

    /// Gives `thread` so long for what waits, and a handler so long again for the record that it is at.
    fn end_within(&self, limit: Duration, thread: &JoinHandle<()>) {
        for over in [false, true] {
            self.over.store(over, Relaxed);
            for _ in 0..limit.as_millis() / LOOK_EVERY.as_millis() {
                if thread.is_finished() {
                    return;
                }
                std::thread::park_timeout(LOOK_EVERY);
            }
        }
    }

    /// The control thread. It looks rather than waits: a waiting receiver would make the senders take a lock.
    fn carry(&self, logger: &pyo3_log::Logger) {
        let mut rounds = 0u32;
        loop {
            let open = self.open.load(Relaxed);
            let carried = self.carry_batch(logger);
            // Of what is dropped at the end there is one line.
            let tell = !carried || !self.over.load(Relaxed);
            let dropped = if tell { self.dropped.swap(0, Relaxed) } else { 0 };
            if dropped > 0 {
                hand_over(
                    logger,
                    Level::Warn,
                    "audiostream",
                    &format!("{dropped} log records were dropped: logging is too slow"),
                );
            }
            rounds += 1;
            if rounds.is_multiple_of(LEVEL_ROUNDS) && open {
                Python::try_attach(|py| follow_level(py).ok());
            }
            if !carried {
                if !open {
                    return;
                }
                std::thread::park_timeout(LOOK_EVERY);
            }
        }
    }

    fn carry_batch(&self, logger: &pyo3_log::Logger) -> bool {
        // Taken before the GIL is: a queue that was cut in a push by fork() keeps nobody but this thread waiting.
        let lines: Vec<Line> = self.lines.try_iter().take(BATCH).collect();
        !lines.is_empty()
            && Python::try_attach(|_| {
                for line in &lines {
                    if self.over.load(Relaxed) {
                        self.dropped.fetch_add(1, Relaxed);
                    } else {
                        hand_over(logger, line.level, &line.target, &line.text);
                    }
                }
            })
            .is_some()
    }
}

/// What a record counts as. A sound server that goes away is an ERROR to its client, whether or not a stream is on it; our own
/// warnings tell of those that were.
fn level_of(metadata: &Metadata<'_>) -> Level {
    if metadata.target().starts_with("pulseaudio") { Level::Debug } else { metadata.level() }
}

impl Log for Gate {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("audiostream") || metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        let ours = self.open.load(Relaxed) && self.process.load(Relaxed) == std::process::id();
        if !ours || !self.enabled(record.metadata()) {
            return;
        }
        let level = level_of(record.metadata());
        if level > log::max_level() {
            return;
        }
        if self.queue.is_full() {
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        let line = Line { level, target: record.target().into(), text: record.args().to_string() };
        if self.queue.try_send(line).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    fn flush(&self) {}
}

fn hand_over(logger: &pyo3_log::Logger, level: Level, target: &str, text: &str) {
    logger.log(&Record::builder().level(level).target(target).args(format_args!("{text}")).build());
}

/// Takes the level of Python's logger `audiostream`.
fn follow_level(py: Python<'_>) -> PyResult<()> {
    let logger = py.import("logging")?.call_method1("getLogger", ("audiostream",))?;
    set_log_level(logger.call_method0("getEffectiveLevel")?.extract()?);
    Ok(())
}

static GATE: OnceLock<Gate> = OnceLock::new();
static CONTROL: Mutex<Option<JoinHandle<()>>> = Mutex::new(None);
/// How long the last records may take at exit, and the one of them that is being handled then.
const LAST: Duration = Duration::from_millis(1000);
const QUEUE: usize = 8192;
const BATCH: usize = 128;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Looks between two questions for the level.
const LEVEL_ROUNDS: u32 = 25;
