//! Waiting for a descriptor, with an end to the wait.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Which readiness is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    Read,
    Write,
}

/// Whether the descriptor is ready (or at its end, or broken: the next call on it says which) within `limit`.
#[allow(unsafe_code, reason = "no safe binding to poll")]
pub(super) fn wait(descriptor: BorrowedFd<'_>, ready: Ready, limit: Duration) -> io::Result<bool> {
    let events = match ready {
        Ready::Read => libc::POLLIN,
        Ready::Write => libc::POLLOUT,
    };
    let mut poll = libc::pollfd { fd: descriptor.as_raw_fd(), events, revents: 0 };
    // SAFETY: one valid pollfd, borrowed for the call.
    let count = unsafe { libc::poll(&raw mut poll, 1, limit.as_millis().min(60_000) as libc::c_int) };
    if count >= 0 {
        return Ok(count > 0);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) }
}
