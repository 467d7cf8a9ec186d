//! Between two packets: a thread that sends sleeps until there is something to do.

use std::time::Duration;

use socket2::Socket;

use super::failure;
use super::wait::{Interest, Watch};
use super::waker::{Alarm, Waker};
use crate::engine::error::Result;

/// Where a thread sleeps until its waker, its peer or the time wakes it.
#[derive(Debug)]
pub struct Rest {
    alarm: Alarm,
    watch: Watch,
}

impl Rest {
    /// Not asleep.
    pub fn new() -> Result<Self> {
        let alarm = Alarm::new().map_err(|e| failure::plain("cannot make what wakes a thread", &e))?;
        Ok(Self { alarm, watch: Watch::default() })
    }

    /// What ends a sleep.
    pub fn waker(&self) -> Waker {
        self.alarm.waker()
    }

    /// Sleeps for `timeout` at most.
    pub fn sleep(&mut self, timeout: Duration) {
        self.watch.clear();
        // An interrupted sleep is a short one.
        let _ = self.watch.wait(&self.alarm, timeout);
    }

    /// Sleeps for `timeout` at most, or until there is something to read.
    pub(super) fn until_readable(&mut self, socket: &Socket, timeout: Duration) {
        self.watch.clear();
        self.watch.add(socket, Interest::Read);
        let _ = self.watch.wait(&self.alarm, timeout);
    }
}
