//! Real-time priority for the threads on which sound waits: a device's callbacks, what stands in for them, the sender.

/// Moves the calling thread to `SCHED_FIFO`; the error number where the system refuses. Allocates nothing.
///
/// Children of the process do not inherit it.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "no safe binding to sched_setscheduler")]
pub fn promote() -> Result<(), i32> {
    let parameters = libc::sched_param { sched_priority: PRIORITY };
    // SAFETY: `parameters` lives through the call; thread 0 is the calling one.
    let refused = unsafe {
        libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameters)
    };
    if refused == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) }
}

/// Elsewhere the sound system sees to it.
#[cfg(not(target_os = "linux"))]
pub fn promote() -> Result<(), i32> {
    Ok(())
}

/// Above all that is not sound, and no higher than the sound servers.
#[cfg(target_os = "linux")]
const PRIORITY: i32 = 5;
