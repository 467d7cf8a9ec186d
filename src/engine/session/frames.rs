//! Frames for a program: what it asked for, how it waits, and when something was by the clock on the wall.

use std::sync::{Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use super::server::{Shared, lock};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::net::sleeper::Sleeper;
use crate::engine::playout::tap::{Block, Frames, Measure, Tap, Whose, tap};
use crate::engine::time::{Clock, Micros};

/// What a program wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whose sound.
    pub whose: Whose,
    /// Packets as they come, in place of what is played.
    pub raw: bool,
    /// Frames of a block.
    pub length: usize,
    /// Blocks that may wait.
    pub queue: usize,
}

/// Where they come out. Closed when it is dropped.
pub struct FrameStream {
    frames: Mutex<Frames>,
    sleeper: Sleeper,
    /// From the engine's clock to the time of day, seconds.
    wall: f64,
    /// The one source that is read, and who knows whether it has left.
    source: Option<(u32, Weak<Shared>)>,
}

impl Wanted {
    /// Checks what no single field can say.
    pub fn validated(self) -> Result<Self> {
        if !(1..=MOST_LENGTH).contains(&self.length) {
            return Err(Error::config(format!(
                "block must be 1 to {MOST_LENGTH} frames, not {}",
                self.length
            )));
        }
        if !(1..=MOST_QUEUE).contains(&self.queue) {
            return Err(Error::config(format!("queue must be 1 to {MOST_QUEUE} blocks, not {}", self.queue)));
        }
        if self.raw && self.whose == Whose::Mix {
            return Err(Error::config("raw=True is of packets, and the mix has none: give each=True too"));
        }
        Ok(self)
    }

    /// Makes both ends, for a session of `sources` sources at most that has this clock.
    pub fn open(self, sources: usize, clock: Clock) -> Result<(Tap, FrameStream)> {
        let Self { whose, length, queue, .. } = self.validated()?;
        let sleeper = Sleeper::new().map_err(|e| Error::io(ErrorKind::State, "what wakes a reader", &e))?;
        let waker = sleeper.waker();
        let (tap, frames) = tap(Measure { whose, length, queue, sources }, Box::new(move || waker.wake()));
        Ok((tap, FrameStream { frames: Mutex::new(frames), sleeper, wall: wall_time(clock), source: None }))
    }
}

impl FrameStream {
    /// The same, of one source of a session: it is over when that has left.
    #[must_use]
    pub fn of_source(self, number: u32, session: Weak<Shared>) -> Self {
        Self { source: Some((number, session)), ..self }
    }

    /// Hands the oldest block, and the time of day of its first frame, to `take`; `None` where there is none.
    pub fn next<R>(&self, take: impl FnOnce(&Block, f64) -> R) -> Option<R> {
        self.frames().next(|block| take(block, self.time_of(block.at)))
    }

    /// Waits until there is a block, it is over, or `timeout` has passed; whether one of the first two.
    pub fn wait(&self, timeout: Duration) -> Result<bool> {
        if self.arm() {
            return Ok(true);
        }
        let woken = self.sleeper.sleep(timeout);
        woken.map_err(|e| Error::io(ErrorKind::State, "waiting for frames", &e))?;
        Ok(self.frames().waiting() > 0 || self.is_over())
    }

    /// Asks for the descriptor to become readable when there is something; whether there is already.
    pub fn arm(&self) -> bool {
        self.frames().arm()
    }

    /// What becomes readable; `None` where the system has no such thing.
    pub fn descriptor(&self) -> Option<i32> {
        self.sleeper.descriptor()
    }

    /// Makes the descriptor unreadable again.
    pub fn hush(&self) {
        self.sleeper.hush();
    }

    /// Whether nothing more will come, and all is taken.
    pub fn is_over(&self) -> bool {
        let (over, silent) = {
            let frames = self.frames();
            (frames.is_over(), frames.waiting() == 0 && !frames.is_playing())
        };
        let has_left = |(number, session): &(u32, Weak<Shared>)| {
            session.upgrade().is_none_or(|session| lock(&session.sources).has_left(*number))
        };
        over || silent && self.source.as_ref().is_some_and(has_left)
    }

    /// Frames left out because nobody took them in time.
    pub fn dropped(&self) -> u64 {
        self.frames().dropped()
    }

    /// Wants no more.
    pub fn close(&self) {
        self.frames().close();
    }

    fn time_of(&self, at: Micros) -> f64 {
        at.0 as f64 / 1e6 + self.wall
    }

    fn frames(&self) -> std::sync::MutexGuard<'_, Frames> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[allow(clippy::disallowed_methods, reason = "the time of day, for people")]
fn wall_time(clock: Clock) -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_secs_f64() - clock.now().0 as f64 / 1e6
}

/// The longest block: ten seconds at 48 kHz.
const MOST_LENGTH: usize = 480_000;
/// The longest queue: a minute of 2.5 ms, or a second of 240 sources.
const MOST_QUEUE: usize = 24_000;
