//! Waiting for sockets: poll(2), an alarm that ends the wait, and a deadline.

use std::io::Result;
use std::time::Duration;

use socket2::Socket;

use super::waker::Alarm;
use crate::engine::time::{Clock, Micros};

/// What to wait for on a socket. Errors and hang-ups always count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Bytes or a connection to take.
    Read,
    /// Room for bytes, or bytes.
    Both,
    /// Nothing: it keeps its place and is never ready.
    Nothing,
}

/// The sockets of one wait, by the order in which they were added.
#[derive(Debug, Default)]
pub struct Watch {
    #[cfg(unix)]
    entries: Vec<libc::pollfd>,
    #[cfg(not(unix))]
    entries: Vec<Interest>,
}

#[cfg(unix)]
impl Watch {
    /// Forgets all sockets.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Adds a socket; it must stay open until the wait is over.
    pub fn add(&mut self, socket: &Socket, interest: Interest) {
        use std::os::fd::AsRawFd;
        let (fd, events) = match interest {
            Interest::Read => (socket.as_raw_fd(), libc::POLLIN),
            Interest::Both => (socket.as_raw_fd(), libc::POLLIN | libc::POLLOUT),
            // poll(2) passes over negative descriptors.
            Interest::Nothing => (-1, 0),
        };
        self.entries.push(libc::pollfd { fd, events, revents: 0 });
    }

    /// Waits until a socket is ready, the alarm rings, a signal comes or the time is over; whether the alarm rang.
    pub fn wait(&mut self, alarm: &Alarm, timeout: Duration) -> Result<bool> {
        let fd = alarm.ear.descriptor();
        self.entries.push(libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        let polled = super::sys::poll(&mut self.entries, timeout);
        let rung = self.entries.pop().is_some_and(|e| e.revents != 0);
        match polled {
            Ok(()) => Ok(rung && alarm.ear.hush()),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {
                for entry in &mut self.entries {
                    entry.revents = 0;
                }
                Ok(false)
            }
            Err(e) => Err(e),
        }
    }

    /// Whether the socket added at `place` can be read, or has an error or end to tell.
    pub fn readable(&self, place: usize) -> bool {
        self.entries.get(place).is_some_and(|e| e.revents & !libc::POLLOUT != 0)
    }
}

/// Without poll(2): every socket counts as ready every 2 ms, which non-blocking calls then find out.
#[cfg(not(unix))]
impl Watch {
    /// Forgets all sockets.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Adds a socket.
    pub fn add(&mut self, _socket: &Socket, interest: Interest) {
        self.entries.push(interest);
    }

    /// Waits until the alarm rings or a slice of the time is over; whether the alarm rang.
    pub fn wait(&mut self, alarm: &Alarm, timeout: Duration) -> Result<bool> {
        Ok(alarm.ear.listen(timeout.min(Duration::from_millis(2))))
    }

    /// Whether the socket added at `place` may have something to read.
    pub fn readable(&self, place: usize) -> bool {
        self.entries.get(place).is_some_and(|&i| i != Interest::Nothing)
    }
}

/// The end of a wait.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    clock: Clock,
    end: Micros,
}

impl Deadline {
    /// `timeout` from now.
    pub fn after(timeout: Duration) -> Self {
        let clock = Clock::new();
        Self { clock, end: clock.now() + timeout.min(A_DAY) }
    }

    /// What is left.
    pub fn left(&self) -> Duration {
        self.end.since(self.clock.now())
    }

    /// Whether nothing is left.
    pub fn is_over(&self) -> bool {
        self.left().is_zero()
    }
}

/// Longer timeouts are cut to this: they are "for ever", and would overflow poll(2)'s.
const A_DAY: Duration = Duration::from_secs(86_400);
