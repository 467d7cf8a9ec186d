//! How long a thread has worked.

use std::time::Duration;

/// The time that the calling thread has had a processor, where the system tells: what others do meanwhile is not in it.
/// Elsewhere the time that has passed. Neither allocates nor blocks.
#[cfg(target_os = "linux")]
pub fn toil() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    #[allow(unsafe_code, reason = "std does not know this clock")]
    // SAFETY: the kernel writes one timespec, which lives for the call.
    unsafe {
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time);
    }
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The same.
#[cfg(not(target_os = "linux"))]
pub fn toil() -> Duration {
    use std::sync::OnceLock;

    use crate::engine::time::{Clock, Micros};

    static CLOCK: OnceLock<Clock> = OnceLock::new();
    CLOCK.get_or_init(Clock::new).now().since(Micros::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time() {
        let (before, mut sum) = (toil(), 0_u64);
        while toil() < before + Duration::from_micros(100) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(sum > 0);
    }
}
