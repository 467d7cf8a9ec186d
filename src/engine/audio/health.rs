//! What callbacks tell their watchdog, through atomics only.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::priority;

/// What the callbacks tell the watchdog, without waiting for it.
#[derive(Default)]
pub(super) struct Health {
    /// The stream that counts; callbacks of any other are silent.
    pub(super) generation: AtomicU64,
    pub(super) callbacks: AtomicU64,
    xruns: AtomicU64,
    pub(super) lost: AtomicBool,
    /// There is no device: from its loss to the first callback of the next.
    pub(super) away: AtomicBool,
    /// The device has no pace of its own.
    pub(super) unpaced: AtomicBool,
    /// The error number where real-time priority was refused.
    pub(super) refused: AtomicI32,
    error: Mutex<Option<cpal::Error>>,
}

impl Health {
    /// Buffers that ran over or dry.
    pub(super) fn xruns(&self) -> u64 {
        self.xruns.load(Ordering::Relaxed)
    }

    /// Whether somebody has to stand in for the device.
    pub(super) fn is_away(&self) -> bool {
        self.lost.load(Ordering::Acquire) || self.away.load(Ordering::Acquire)
    }

    /// What the stream was lost by.
    pub(super) fn take_error(&self) -> Option<cpal::Error> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A stream's hold on [`Health`]; streams that were given up have a stale one.
#[derive(Clone)]
pub(super) struct Beat {
    health: Arc<Health>,
    generation: u64,
    promote: bool,
}

impl Beat {
    pub(super) fn new(health: Arc<Health>, generation: u64) -> Self {
        Self { health, generation, promote: true }
    }

    /// First thing in every callback: false where the stream was given up and must be silent.
    pub(super) fn begin(&mut self) -> bool {
        if self.health.generation.load(Ordering::Acquire) != self.generation {
            return false;
        }
        if std::mem::take(&mut self.promote)
            && let Err(errno) = priority::promote()
        {
            self.health.refused.store(errno.max(1), Ordering::Relaxed);
        }
        self.health.callbacks.fetch_add(1, Ordering::Relaxed);
        self.health.away.store(false, Ordering::Release);
        true
    }

    /// Buffers that ran over or dry so far.
    pub(super) fn xruns(&self) -> u64 {
        self.health.xruns()
    }

    /// The device has shown to have no pace of its own.
    pub(super) fn unpaced(&self) {
        self.health.unpaced.store(true, Ordering::Relaxed);
    }

    /// This stream's callbacks run on threads that must not be promoted.
    pub(super) fn without_promotion(mut self) -> Self {
        self.promote = false;
        self
    }

    /// What cpal reports, from whatever thread.
    pub(super) fn fail(&self, error: cpal::Error) {
        use cpal::ErrorKind;
        if self.health.generation.load(Ordering::Acquire) != self.generation {
            return;
        }
        match error.kind() {
            ErrorKind::Xrun => {
                self.health.xruns.fetch_add(1, Ordering::Relaxed);
            }
            ErrorKind::DeviceNotAvailable | ErrorKind::HostUnavailable | ErrorKind::StreamInvalidated => {
                if let Ok(mut slot) = self.health.error.try_lock()
                    && slot.is_none()
                {
                    *slot = Some(error);
                }
                self.health.lost.store(true, Ordering::Release);
            }
            // The rest is passing, or shows as callbacks that stay away.
            _ => {}
        }
    }
}
