//! A thread at the pace of a clock, for the ends that have no device to pace them.
//!
//! Guaranteed: beat *n* comes no earlier than its absolute time, so that nothing drifts; after a hiccup the beats
//! that are due follow each other quickly, none is left out. Only where a whole second was missed (a process that
//! was stopped) does the schedule itself move on.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use super::priority::promote;
use crate::engine::error::{Error, Result};
use crate::engine::format::Format;
use crate::engine::time::{Clock, Micros};

/// How a paced thread is told to end, and sleeps until then.
#[derive(Clone, Default)]
pub(super) struct Halt(Arc<(Mutex<Option<Ending>>, Condvar)>);

/// How to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Now.
    Abrupt,
    /// After what is still ready.
    Drained,
}

impl Halt {
    /// Ends it.
    pub(super) fn set(&self, ending: Ending) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(ending);
        self.0.1.notify_all();
    }

    /// Whether it is to end, and how.
    pub(super) fn get(&self) -> Option<Ending> {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps for `time` or until told to end.
    pub(super) fn sleep(&self, time: Duration) -> Option<Ending> {
        let state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (state, _) = self
            .0
            .1
            .wait_timeout_while(state, time, |ending| ending.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        *state
    }
}

/// The absolute schedule of blocks.
pub(super) struct Schedule {
    clock: Clock,
    format: Format,
    origin: Micros,
    frames: u64,
    last: Micros,
}

impl Schedule {
    pub(super) fn new(clock: Clock, format: Format) -> Self {
        let origin = clock.now();
        Self { clock, format, origin, frames: 0, last: origin }
    }

    /// Sleeps until `frames` more have had their time; says how to end where that was said meanwhile.
    pub(super) fn wait(&mut self, frames: usize, halt: &Halt) -> Option<Ending> {
        self.frames += frames as u64;
        let mut due = self.origin + self.format.duration(self.frames);
        let now = self.clock.now();
        if now.since(due) > LONGEST_HICCUP {
            self.origin = self.origin + now.since(due);
            due = now;
        }
        // Catching up, at four times the pace and no faster: what takes the sound may have missed its time, too.
        let due = due.max(self.last + self.format.duration(frames as u64) / 4);
        loop {
            let now = self.clock.now();
            if now >= due {
                self.last = now;
                return halt.get();
            }
            if let Some(ending) = halt.sleep(due.since(now)) {
                return Some(ending);
            }
        }
    }

    /// Begins anew from here: what was waited for came late by itself.
    pub(super) fn rebase(&mut self) {
        self.origin = self.clock.now();
        self.frames = 0;
        self.last = self.origin;
    }
}

/// A named thread that ends when told to, joined with a deadline.
pub(super) struct Paced {
    halt: Halt,
    done: Receiver<()>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Paced {
    pub(super) fn spawn(name: &str, work: impl FnOnce(Halt) + Send + 'static) -> Result<Self> {
        let halt = Halt::default();
        let own = halt.clone();
        let (finished, done) = bounded(1);
        let thread = thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                // Paced threads stand in for devices. Where it is refused, they are as punctual as the system is.
                let _ = promote();
                work(own);
                let _ = finished.send(());
            })
            .map_err(|e| Error::device(format!("cannot start the thread {name}: {e}")))?;
        Ok(Self { halt, done, thread: Some(thread) })
    }

    /// Ends it; false where it did not end in `limit`. May be called twice.
    pub(super) fn stop(&mut self, ending: Ending, limit: Duration) -> bool {
        let Some(thread) = self.thread.take() else { return true };
        self.halt.set(ending);
        // A thread that panicked has dropped its end: that is an answer, too.
        if self.done.recv_timeout(limit) == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
            self.halt.set(Ending::Abrupt);
            return false;
        }
        thread.join().is_ok()
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        self.stop(Ending::Abrupt, STOP_LIMIT);
    }
}

/// Further behind than this, and the schedule moves instead.
const LONGEST_HICCUP: Duration = Duration::from_secs(1);
/// How long the end of a thread is waited for.
pub(super) const STOP_LIMIT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> Format {
        Format::new(8_000, 1).unwrap()
    }

    #[test]
    fn the_schedule_does_not_drift() {
        let clock = Clock::new();
        let halt = Halt::default();
        let mut schedule = Schedule::new(clock, block());
        let start = clock.now();
        for _ in 0..50 {
            schedule.wait(40, &halt);
        }
        let took = clock.now().since(start);
        assert!(took >= Duration::from_millis(250), "{took:?}");
        assert!(took < Duration::from_millis(400), "{took:?}");
    }

    #[test]
    fn a_hiccup_is_caught_up_with() {
        let clock = Clock::new();
        let halt = Halt::default();
        let mut schedule = Schedule::new(clock, block());
        let start = clock.now();
        halt.sleep(Duration::from_millis(100));
        for _ in 0..40 {
            schedule.wait(40, &halt);
        }
        let took = clock.now().since(start);
        assert!(took < Duration::from_millis(290), "{took:?}");
    }

    #[test]
    fn a_thread_ends_at_once_when_told() {
        let clock = Clock::new();
        let mut paced = Paced::spawn("as-test", move |halt| {
            halt.sleep(Duration::from_secs(60));
        })
        .unwrap();
        let start = clock.now();
        assert!(paced.stop(Ending::Abrupt, STOP_LIMIT));
        assert!(paced.stop(Ending::Abrupt, STOP_LIMIT));
        assert!(clock.now().since(start) < Duration::from_secs(1));
    }

    #[test]
    fn a_thread_that_does_not_end_keeps_nobody_waiting() {
        let (release, wait) = bounded::<()>(0);
        let mut paced = Paced::spawn("as-test", move |_| {
            let _ = wait.recv();
        })
        .unwrap();
        assert!(!paced.stop(Ending::Abrupt, Duration::from_millis(20)));
        drop(release);
    }
}
