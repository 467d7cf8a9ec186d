//! Wakes a thread that waits for a socket.

use std::sync::Arc;

/// Ends another thread's wait for a socket at once, or its next one, if it does not wait now.
#[derive(Clone, Debug)]
pub struct Waker(Arc<imp::Bell>);

impl Waker {
    /// Wakes. Never blocks; several wakes before a wait are one.
    pub fn wake(&self) {
        self.0.ring();
    }
}

/// The sleeper's end.
#[derive(Debug)]
pub struct Alarm {
    waker: Waker,
    pub(super) ear: imp::Ear,
}

impl Alarm {
    /// One that nobody has rung.
    pub fn new() -> std::io::Result<Self> {
        let (bell, ear) = imp::pair()?;
        Ok(Self { waker: Waker(Arc::new(bell)), ear })
    }

    /// What rings it.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

#[cfg(unix)]
mod imp {
    use std::io::{Read, Result, Write};
    use std::os::fd::{AsRawFd, RawFd};
    use std::os::unix::net::UnixStream;

    #[derive(Debug)]
    pub struct Bell(UnixStream);

    impl Bell {
        pub fn ring(&self) {
            // A full pipe has rung already.
            let _ = (&self.0).write(&[1]);
        }
    }

    #[derive(Debug)]
    pub struct Ear(UnixStream);

    impl Ear {
        pub fn descriptor(&self) -> RawFd {
            self.0.as_raw_fd()
        }

        /// Forgets the rings so far; whether there were any.
        pub fn hush(&self) -> bool {
            let mut rung = false;
            let mut sink = [0; 256];
            while let Ok(count @ 1..) = (&self.0).read(&mut sink) {
                rung = true;
                if count < sink.len() {
                    break;
                }
            }
            rung
        }
    }

    pub fn pair() -> Result<(Bell, Ear)> {
        let (bell, ear) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ear.set_nonblocking(true)?;
        Ok((Bell(bell), Ear(ear)))
    }
}

#[cfg(not(unix))]
mod imp {
    use std::io::Result;
    use std::sync::{Arc, Condvar, Mutex, PoisonError};
    use std::time::Duration;

    type Shared = Arc<(Mutex<bool>, Condvar)>;

    #[derive(Debug)]
    pub struct Bell(Shared);

    impl Bell {
        pub fn ring(&self) {
            *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.0.1.notify_one();
        }
    }

    #[derive(Debug)]
    pub struct Ear(Shared);

    impl Ear {
        /// Waits for a ring, and forgets it; whether there was one.
        pub fn listen(&self, timeout: Duration) -> bool {
            let guard = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
            let (mut guard, _) = self
                .0
                .1
                .wait_timeout_while(guard, timeout, |rung| !*rung)
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *guard)
        }
    }

    pub fn pair() -> Result<(Bell, Ear)> {
        let shared = Shared::default();
        Ok((Bell(shared.clone()), Ear(shared)))
    }
}
