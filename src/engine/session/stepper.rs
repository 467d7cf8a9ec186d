//! How far the sending thread may go: freely, or a packet at a time; and who waits for it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::error::Error;

/// Shared by the sending thread and whoever drives it.
#[derive(Default)]
pub struct Stepper {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    free: bool,
    /// Packets that may be sent besides.
    credits: u64,
    /// Packets sent.
    sent: u64,
    /// The source is over and everything is sent.
    ended: bool,
    failure: Option<Error>,
}

impl Stepper {
    /// From now on sound is sent as it comes.
    pub fn run_free(&self) {
        self.change(|state| state.free = true);
    }

    /// Allows one packet, and waits until it is sent; false where none was in `timeout` or the stream has ended.
    pub fn step(&self, timeout: Duration) -> Result<bool, Error> {
        let mut state = self.lock();
        if state.ended {
            return Ok(false);
        }
        if !state.free {
            state.credits = 1;
        }
        let seen = state.sent;
        self.changed.notify_all();
        let waited = self
            .changed
            .wait_timeout_while(state, timeout, |s| s.sent == seen && !s.ended && s.failure.is_none());
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if let Some(error) = &state.failure {
            return Err(error.clone());
        }
        let sent = state.sent > seen;
        if !state.free && !sent {
            state.credits = 0;
        }
        Ok(sent)
    }

    /// Waits until the stream has ended, or `timeout` is over.
    pub fn wait_end(&self, timeout: Duration) -> Result<bool, Error> {
        let waited =
            self.changed.wait_timeout_while(self.lock(), timeout, |s| !s.ended && s.failure.is_none());
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.failure.clone().map_or(Ok(state.ended), Err)
    }

    /// Whether the sending thread may send a packet.
    pub fn may_send(&self) -> bool {
        let state = self.lock();
        state.free || state.credits > 0
    }

    /// The sending thread has sent `packets` more.
    pub fn sent(&self, packets: u64) {
        self.change(|state| {
            state.sent += packets;
            state.credits = state.credits.saturating_sub(packets);
        });
    }

    /// The source is over and everything is sent.
    pub fn end(&self) {
        self.change(|state| state.ended = true);
    }

    /// The sending thread cannot go on.
    pub fn fail(&self, error: Error) {
        self.change(|state| state.failure = Some(error));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
