//! How Python's threads call into the engine: the GIL released, the error mapped, signals looked at between short
//! waits, nothing used in another process than it was made in; and how everything ends with the interpreter.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};
use pyo3::prelude::*;

use super::error::to_python;
use super::logging;
use crate::engine::error::{Error, ErrorKind, Result};

/// A part of the engine that Python holds: it knows its process, and ends with the interpreter.
pub struct Held<T: Close> {
    process: u32,
    inner: Option<Arc<T>>,
}

/// What is ended when the interpreter goes.
pub trait Close: Send + Sync + 'static {
    /// Ends everything and frees it.
    fn close(&self, drain: bool) -> Result<()>;
}

impl<T: Close> Held<T> {
    /// Takes `inner` into the care of the exit hook.
    pub fn new(inner: T) -> Self {
        let inner = Arc::new(inner);
        let mut living = LIVING.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        living.retain(|(owner, other)| *owner == process && other.strong_count() > 0);
        let weak: Weak<T> = Arc::downgrade(&inner);
        living.push((process, weak));
        Self { process, inner: Some(inner) }
    }

    /// The engine's part; a `StateError` in a process that was forked after it was made.
    pub fn get(&self, py: Python<'_>) -> PyResult<Arc<T>> {
        match &self.inner {
            Some(inner) if self.process == std::process::id() => Ok(Arc::clone(inner)),
            _ => Err(to_python(
                py,
                &Error::new(
                    ErrorKind::State,
                    "this object was made before fork(): its threads and sockets are the parent's; make a new one here",
                ),
            )),
        }
    }

    /// A quick call, the GIL released.
    pub fn call<R: Send>(&self, py: Python<'_>, call: impl FnOnce(&T) -> Result<R> + Send) -> PyResult<R> {
        let inner = self.get(py)?;
        py.detach(|| call(&inner)).map_err(|error| to_python(py, &error))
    }

    /// A call that may take seconds, on a thread of its own: Ctrl-C comes through, and `cancel` is told.
    pub fn call_long<R: Send + 'static>(
        &self,
        py: Python<'_>,
        cancel: impl FnOnce(&T),
        call: impl FnOnce(&T) -> Result<R> + Send + 'static,
    ) -> PyResult<R> {
        let inner = self.get(py)?;
        let (done, result) = bounded(1);
        let theirs = Arc::clone(&inner);
        std::thread::Builder::new()
            .name("as-call".into())
            .spawn(move || done.send(call(&theirs)))
            .map_err(|e| to_python(py, &Error::io(ErrorKind::State, "a thread for the call", &e)))?;
        loop {
            match py.detach(|| result.recv_timeout(SLICE)) {
                Ok(result) => return result.map_err(|error| to_python(py, &error)),
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(signal) = py.check_signals() {
                        cancel(&inner);
                        return Err(signal);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(to_python(
                        py,
                        &Error::new(ErrorKind::State, "the engine failed; this is a bug of ours"),
                    ));
                }
            }
        }
    }

    /// Waits in short slices until `poll` gives something or `timeout` seconds are over; signals come through.
    pub fn wait<R: Send>(
        &self,
        py: Python<'_>,
        timeout: f64,
        mut poll: impl FnMut(&T, Duration) -> Result<Option<R>> + Send,
    ) -> PyResult<Option<R>> {
        let inner = self.get(py)?;
        #[allow(clippy::disallowed_methods, reason = "a wait of the caller's, not of the engine's")]
        let started = Instant::now();
        let timeout = Duration::try_from_secs_f64(timeout.clamp(0.0, 1e9)).unwrap_or(Duration::ZERO);
        loop {
            let left = timeout.saturating_sub(started.elapsed());
            let found = py.detach(|| poll(&inner, left.min(SLICE))).map_err(|error| to_python(py, &error))?;
            py.check_signals()?;
            if found.is_some() || left.is_zero() {
                return Ok(found);
            }
        }
    }
}

impl<T: Close> Drop for Held<T> {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        if self.process != std::process::id() {
            // The threads to be joined are the parent's: leave all as it is.
            std::mem::forget(inner);
            return;
        }
        // Joins threads, one of which may be waiting for the GIL to log.
        Python::attach(|py| {
            py.detach(|| {
                let _ = inner.close(false);
                drop(inner);
            });
        });
    }
}

/// Ends every client and server, writes the last log records, and lets no more through. For `atexit`.
#[pyfunction]
pub fn shutdown(py: Python<'_>) {
    py.detach(|| {
        let living = std::mem::take(&mut *LIVING.lock().unwrap_or_else(PoisonError::into_inner));
        // In a forked child the parent's are there as well, without their threads: not ours to end.
        let ours = living.iter().filter(|(owner, _)| *owner == std::process::id());
        for (_, part) in ours {
            if let Some(part) = part.upgrade() {
                let _ = part.close(true);
            }
        }
        logging::close();
    });
}

static LIVING: Mutex<Vec<(u32, Weak<dyn Close>)>> = Mutex::new(Vec::new());
/// How long a wait may keep a signal waiting.
const SLICE: Duration = Duration::from_millis(50);
