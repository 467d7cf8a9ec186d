//! Keeps a device's stream alive: two threads a stream. `as-watch` alone touches the sound system, and may have to wait for it;
//! `as-standin` waits for nothing, and does what the device should have done.
//!
//! Guaranteed: opening, starting and stopping answer within their deadlines even where the sound system does not;
//! a device that fails or falls silent is opened anew, with back-off, until it is back or the stream is stopped.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use cpal::traits::StreamTrait;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::engine::error::{Error, Result};
use crate::engine::time::{Clock, Micros};

use super::device::{Lease, trouble};
use super::health::{Beat, Health};
use super::pacer::{Ending, Halt, Paced};
use super::{Notice, Side};

/// One direction's way to a device.
pub(super) trait Port: Send + 'static {
    /// Which one.
    fn side(&self) -> Side;
    /// What does the device's part while it does not.
    fn stand_in(&self) -> Box<dyn StandIn>;
    /// Finds the device and builds a stream on it, paused, whose callbacks go through `beat`.
    fn build(&mut self, beat: Beat, growth: u32) -> Result<Opened>;
    /// The device is gone as of now. No callback of the stream that was is under way when this returns.
    fn lost(&mut self);
    /// The stream is over: lets go of what it served.
    fn close(&mut self);
}

/// Does a device's part while it does not.
pub(super) trait StandIn: Send + 'static {
    /// Called every [`STANDIN_TICK`] once the stream has been started; `health` says whether there is a device.
    fn tick(&mut self, now: Micros, health: &Health);
}

/// A stream that was built.
pub(super) struct Opened {
    pub(super) stream: cpal::Stream,
    /// Its host, given back when the stream is gone.
    pub(super) lease: Option<Lease>,
    pub(super) facts: Facts,
}

/// What is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// The device and what it was opened with, for people.
    pub(super) description: String,
    /// Frames of the stream that it handles at once.
    pub(super) block_frames: usize,
    /// Whether a larger block may be asked for when buffers run dry.
    pub(super) may_grow: bool,
}

/// The running watchdog of one stream.
pub(super) struct Watch {
    commands: Sender<Command>,
    done: Receiver<()>,
    thread: Option<thread::JoinHandle<()>>,
    health: Arc<Health>,
    facts: Arc<Mutex<Facts>>,
    /// Ends the stand-in, also where the sound system hangs.
    halt: Halt,
}

enum Command {
    Start(Sender<Result<()>>),
    Stop,
}

impl Watch {
    /// Opens a stream through `port`, paused.
    pub(super) fn open(port: Box<dyn Port>, clock: Clock, notices: Sender<Notice>) -> Result<Self> {
        let health = Arc::new(Health::default());
        let (commands, inbox) = bounded(4);
        let (finished, done) = bounded(1);
        let (opened, answer) = bounded(1);
        let facts =
            Arc::new(Mutex::new(Facts { description: String::new(), block_frames: 0, may_grow: false }));
        let mut keeper = Keeper {
            port,
            clock,
            notices,
            inbox,
            health: health.clone(),
            facts: facts.clone(),
            stream: None,
            playing: false,
            growth: 1,
            seen: Seen::default(),
            priority_told: false,
            unpaced_told: false,
            halt: Halt::default(),
            stand_in: None,
        };
        let halt = keeper.halt.clone();
        let thread = thread::Builder::new()
            .name("as-watch".into())
            .spawn(move || {
                let first = keeper.build();
                let good = first.is_ok();
                if opened.send(first).is_ok() && good {
                    keeper.run();
                }
                drop(keeper);
                let _ = finished.send(());
            })
            .map_err(|e| Error::device(format!("cannot start the device's thread: {e}")))?;
        answer.recv_timeout(OPEN_LIMIT).map_err(|_| Error::device("the sound system does not answer"))??;
        Ok(Self { commands, done, thread: Some(thread), health, facts, halt })
    }

    /// Lets the sound flow. What refuses at once is an error; a device that takes its time to wake up is not waited
    /// for, and one that does not wake up is lost and looked for again.
    pub(super) fn start(&self) -> Result<()> {
        let (reply, answer) = bounded(1);
        self.commands
            .send(Command::Start(reply))
            .map_err(|_| Error::device("the device's thread is gone"))?;
        answer.recv_timeout(START_LIMIT).unwrap_or(Ok(()))
    }

    /// Ends the stream. A sound system that hangs keeps its thread, not the caller.
    pub(super) fn stop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.halt.set(Ending::Abrupt);
        let _ = self.commands.try_send(Command::Stop);
        // Whatever a callback of a stream that hangs may still do, it does not reach target or render.
        if self.done.recv_timeout(STOP_LIMIT).is_ok() {
            let _ = thread.join();
        } else {
            self.health.generation.store(u64::MAX, Ordering::Release);
        }
    }

    pub(super) fn xruns(&self) -> u64 {
        self.health.xruns()
    }

    pub(super) fn facts(&self) -> Facts {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the watchdog's thread owns.
struct Keeper {
    port: Box<dyn Port>,
    clock: Clock,
    notices: Sender<Notice>,
    inbox: Receiver<Command>,
    health: Arc<Health>,
    facts: Arc<Mutex<Facts>>,
    stream: Option<(cpal::Stream, Option<Lease>)>,
    playing: bool,
    growth: u32,
    seen: Seen,
    priority_told: bool,
    unpaced_told: bool,
    halt: Halt,
    stand_in: Option<Paced>,
}

/// What the watchdog saw when it last looked.
#[derive(Default)]
struct Seen {
    callbacks: u64,
    /// When a callback was last seen to have come.
    at: Micros,
    /// How long they may stay away.
    patience: Duration,
    xruns: u64,
    /// Since when xruns are held against the block.
    window: Micros,
    window_xruns: u64,
}

impl Keeper {
    fn build(&mut self) -> Result<()> {
        self.health.lost.store(false, Ordering::Release);
        self.health.take_error();
        let generation = self.health.generation.fetch_add(1, Ordering::AcqRel) + 1;
        let beat = Beat::new(self.health.clone(), generation);
        let opened = self.port.build(beat, self.growth)?;
        *self.facts.lock().unwrap_or_else(PoisonError::into_inner) = opened.facts;
        self.stream = Some((opened.stream, opened.lease));
        Ok(())
    }

    fn play(&mut self) -> Result<()> {
        self.begin_stand_in()?;
        let now = self.clock.now();
        self.seen.callbacks = self.health.callbacks.load(Ordering::Relaxed);
        self.seen.at = now;
        // A device that wakes up (Bluetooth) takes its time for the first callback.
        self.seen.patience = FIRST_PATIENCE;
        self.seen.window = now;
        self.seen.window_xruns = self.health.xruns();
        match &self.stream {
            // A microphone of PulseAudio's returns from here with its first sound.
            Some((stream, _)) => stream.play().map_err(|e| trouble("the device does not start", &e))?,
            None => return Err(Error::device("there is no device to start")),
        }
        self.seen.at = self.clock.now();
        Ok(())
    }

    /// From the first start on.
    fn begin_stand_in(&mut self) -> Result<()> {
        if self.stand_in.is_none() {
            let (mut stand_in, health, clock) = (self.port.stand_in(), self.health.clone(), self.clock);
            let own = self.halt.clone();
            self.stand_in = Some(Paced::spawn("as-standin", move |halt| {
                while own.get().is_none() && halt.sleep(STANDIN_TICK).is_none() {
                    stand_in.tick(clock.now(), &health);
                }
            })?);
        }
        Ok(())
    }

    fn run(&mut self) {
        loop {
            match self.inbox.recv_timeout(TICK) {
                Ok(Command::Start(reply)) => {
                    let result = if self.playing { Ok(()) } else { self.play() };
                    self.playing = result.is_ok();
                    if let Err(Err(late)) = reply.send(result).map_err(|unheard| unheard.0) {
                        self.playing = true;
                        if self.recover(late.to_string()) == Verdict::Stop {
                            break;
                        }
                    }
                }
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.playing && self.look() == Verdict::Stop {
                break;
            }
        }
        self.stand_in = None;
        self.health.generation.fetch_add(1, Ordering::AcqRel);
        self.port.lost();
        self.stream = None;
        self.port.close();
    }

    fn look(&mut self) -> Verdict {
        let now = self.clock.now();
        let errno = self.health.refused.load(Ordering::Relaxed);
        if errno != 0 && !self.priority_told {
            self.priority_told = true;
            self.tell(Notice::PriorityRefused(std::io::Error::from_raw_os_error(errno).to_string()));
        }
        if self.health.unpaced.load(Ordering::Relaxed) && !self.unpaced_told {
            self.unpaced_told = true;
            self.tell(Notice::Unpaced(self.port.side()));
        }
        let xruns = self.health.xruns();
        if xruns > self.seen.xruns && now.since(self.seen.window) >= XRUN_NOTICE {
            self.tell(Notice::Xruns(xruns - self.seen.xruns));
            self.seen.xruns = xruns;
        }
        if now.since(self.seen.window) > XRUN_WINDOW {
            self.seen.window = now;
            self.seen.window_xruns = xruns;
        }
        let callbacks = self.health.callbacks.load(Ordering::Relaxed);
        if callbacks != self.seen.callbacks {
            self.seen.callbacks = callbacks;
            self.seen.at = now;
            let block = self.facts.lock().unwrap_or_else(PoisonError::into_inner).block_frames;
            // The slowest rate's block, generously.
            self.seen.patience =
                PATIENCE.max(Duration::from_secs_f64(block as f64 * 4.0 / 8000.0).min(FIRST_PATIENCE));
        }
        if self.health.lost.load(Ordering::Acquire) {
            let reason =
                self.health.take_error().map_or_else(|| "it reported an error".into(), |e| e.to_string());
            return self.recover(reason);
        }
        let silent = now.since(self.seen.at);
        if silent > self.seen.patience {
            return self.recover(format!("it has been silent for {:.1} s", silent.as_secs_f64()));
        }
        if xruns - self.seen.window_xruns >= XRUNS_TO_GROW {
            return self.grow();
        }
        Verdict::GoOn
    }

    /// Too many xruns: once more with a larger block, where the device lets itself be asked.
    fn grow(&mut self) -> Verdict {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if !facts.may_grow || self.growth >= MOST_GROWTH {
            self.seen.window_xruns = self.health.xruns();
            return Verdict::GoOn;
        }
        self.growth *= 2;
        self.give_up();
        if self.build().and_then(|()| self.play()).is_ok() {
            let block = self.facts.lock().unwrap_or_else(PoisonError::into_inner).block_frames;
            self.tell(Notice::BlockGrown(block));
            return Verdict::GoOn;
        }
        self.recover("it could not be opened with a larger block".into())
    }

    /// Tries until the device is back or the stream is stopped.
    fn recover(&mut self, reason: String) -> Verdict {
        let since = self.seen.at;
        self.give_up();
        self.tell(Notice::DeviceLost { side: self.port.side(), reason });
        let mut pause = FIRST_PAUSE;
        let mut next = self.clock.now() + pause;
        loop {
            match self.inbox.recv_timeout(next.since(self.clock.now())) {
                Ok(Command::Start(reply)) => {
                    let _ = reply.send(Ok(()));
                }
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return Verdict::Stop,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.clock.now() < next {
                continue;
            }
            if self.build().and_then(|()| self.play()).is_ok() {
                self.tell(Notice::DeviceBack { side: self.port.side(), gap: self.clock.now().since(since) });
                return Verdict::GoOn;
            }
            self.give_up();
            pause = (pause * 2).min(LAST_PAUSE);
            next = self.clock.now() + pause;
        }
    }

    /// Lets go of the stream. Where the sound system hangs, dropping it does, too: not on this thread.
    fn give_up(&mut self) {
        self.health.away.store(true, Ordering::Release);
        self.health.generation.fetch_add(1, Ordering::AcqRel);
        self.port.lost();
        if let Some(stream) = self.stream.take() {
            let _ = thread::Builder::new().name("as-dispose".into()).spawn(move || drop(stream));
        }
    }

    fn tell(&self, notice: Notice) {
        let _ = self.notices.try_send(notice);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    GoOn,
    Stop,
}

/// How often the watchdog looks at a device, and what stands in for it.
const TICK: Duration = Duration::from_millis(100);
pub(super) const STANDIN_TICK: Duration = Duration::from_millis(10);
/// How long callbacks may stay away, once they have come and before.
const PATIENCE: Duration = Duration::from_secs(1);
const FIRST_PATIENCE: Duration = Duration::from_secs(3);
/// The back-off.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(2);
/// So many xruns within this time, and the block is doubled, up to this often.
const XRUNS_TO_GROW: u64 = 5;
const XRUN_WINDOW: Duration = Duration::from_secs(10);
const MOST_GROWTH: u32 = 8;
/// Not more than one xrun notice a second.
const XRUN_NOTICE: Duration = Duration::from_secs(1);
/// The deadlines.
const OPEN_LIMIT: Duration = Duration::from_secs(6);
const START_LIMIT: Duration = Duration::from_millis(300);
const STOP_LIMIT: Duration = Duration::from_secs(2);
