//! Sleeps until a [`Waker`] wakes it: for whoever waits for no socket, or has a loop of its own that can wait for one.

use std::io::Result;
use std::time::Duration;

use super::wait::Watch;
use super::waker::{Alarm, Waker};

/// The sleeper's end.
#[derive(Debug)]
pub struct Sleeper(Alarm);

impl Sleeper {
    /// One that nobody has woken yet.
    pub fn new() -> Result<Self> {
        Alarm::new().map(Self)
    }

    /// What wakes it.
    pub fn waker(&self) -> Waker {
        self.0.waker()
    }

    /// Sleeps until woken, until a signal comes, or for `timeout`; whether it was woken. One wake is one waking.
    pub fn sleep(&self, timeout: Duration) -> Result<bool> {
        Watch::default().wait(&self.0, timeout)
    }

    /// The descriptor that can be read from while somebody has woken it; `None` where the system has none.
    pub fn descriptor(&self) -> Option<i32> {
        #[cfg(unix)]
        return Some(self.0.ear.descriptor());
        #[cfg(not(unix))]
        return None;
    }

    /// Forgets the wakes so far.
    pub fn hush(&self) {
        #[cfg(unix)]
        let _ = self.0.ear.hush();
        #[cfg(not(unix))]
        let _ = self.0.ear.listen(Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_before_the_sleep_ends_it_and_is_forgotten_with_it() {
        let sleeper = Sleeper::new().unwrap();
        let waker = sleeper.waker();
        waker.wake();
        waker.wake();
        assert!(sleeper.sleep(Duration::from_secs(60)).unwrap());
        assert!(!sleeper.sleep(Duration::ZERO).unwrap());
        waker.wake();
        sleeper.hush();
        assert!(!sleeper.sleep(Duration::ZERO).unwrap());
    }
}
