//! Playing for an ear: sound comes out when it is due, and time never stands still.
//!
//! The delay follows the network: up quickly, by waiting or by stretching sound, down slowly, by shortening it,
//! preferably in pauses. Missing sound is concealed. While nothing at all has come, what is put in is *borrowed*: if
//! the missing packet comes after all, it is heard whole, a little later; if a later one comes, the packet was lost,
//! and the borrowed sound stands in its place. The sender's clock is followed by resampling, once it is known to differ.
//!
//! Guaranteed: no allocation after construction; on a path without loss, drift or change of delay the sound passes bit
//! by bit; no position, however far off, makes the delay grow beyond its bound for longer than it takes to skip.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::buffer::Inserted;
use super::conceal::{Concealer, Tier};
use super::delay::{DelayEstimator, DelayMode};
use super::drift::Drift;
use super::inlet::{Inlet, STRIDE};
use super::resample::Resampler;
use super::stretch::{Stretcher, Urgency};
use super::tape::Tape;
use crate::engine::format::Format;
use crate::engine::stream::queue::Head;
use crate::engine::time::Micros;

/// The state of live playing of one source.
pub struct Live {
    bounds: Bounds,
    state: State,
    delay: DelayEstimator,
    drift: Drift,
    resampler: Resampler,
    stretcher: Stretcher,
    tape: Tape,
    /// Frames put in while nothing has come, not yet known to stand for lost ones.
    borrowed: usize,
    /// Frames put in since the last sound.
    gap: usize,
    /// Whether this gap is counted.
    counted: bool,
    /// Frames in a row that came too late.
    late_run: u64,
    /// How far the delay is from where it should be, smoothed, µs; positive: too long.
    error: f64,
    /// Frames until sound may be stretched again.
    rest: usize,
    /// Pulls until the histogram is noted again.
    note_in: u32,
}

/// What the delay may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Never less.
    pub least: Duration,
    /// Never more, but for moments.
    pub most: Duration,
    /// Always this, where it is given.
    pub fixed: Option<Duration>,
}

impl Default for Bounds {
    /// From nothing but what the device pulls at once, to half a second: beyond that nobody talks any more (ITU-T G.114).
    fn default() -> Self {
        Self { least: Duration::ZERO, most: Duration::from_millis(500), fixed: None }
    }
}

/// What a pull needs to know besides the source itself.
pub struct Pull<'a> {
    /// When the first frame is heard.
    pub now: Micros,
    /// How many frames are usually pulled at once.
    pub block: usize,
    /// What the delay may be.
    pub bounds: Bounds,
    /// How dear concealment may be.
    pub tier: Tier,
    /// What conceals, for the source's channels.
    pub concealer: &'a mut Concealer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing to play, and nothing expected.
    Idle,
    /// The first packet is there, and not yet due.
    Waiting,
    Playing,
}

impl Live {
    /// For a source of `format`.
    pub fn new(format: Format, bounds: Bounds) -> Self {
        let stretcher = Stretcher::new(format.rate(), format.channels());
        let ahead = 6 * stretcher.longest() + 2 * STRIDE + format.frames(LONGEST_FILL);
        Self {
            bounds,
            state: State::Idle,
            delay: DelayEstimator::new(format.rate(), bounds.mode()),
            drift: Drift::new(),
            resampler: Resampler::new(format.channels()),
            stretcher,
            tape: Tape::new(format, ahead),
            borrowed: 0,
            gap: 0,
            counted: false,
            late_run: 0,
            error: 0.0,
            rest: 0,
            note_in: 0,
        }
    }

    /// Whether nothing is being played.
    pub fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// Fills `out` (interleaved, the source's channels, [`STRIDE`] frames at most). Returns one past the last frame that
    /// holds sound; the rest is silence.
    pub fn play(&mut self, inlet: &mut Inlet, pull: &mut Pull<'_>, out: &mut [f32]) -> usize {
        let channels = inlet.format.channels();
        let frames = out.len() / channels;
        self.set_bounds(pull.bounds);
        self.take(inlet);
        let lead = match self.state {
            State::Idle => frames,
            State::Waiting => self.lead(inlet, pull).min(frames),
            State::Playing => 0,
        };
        out[..lead * channels].fill(0.0);
        if lead == frames {
            return 0;
        }
        self.note_in = self.note_in.checked_sub(1).unwrap_or_else(|| {
            inlet.counters.publish_histogram(self.delay.histogram());
            NOTE_EVERY
        });
        let starting = self.state == State::Waiting;
        self.state = State::Playing;
        self.steer(inlet, pull, lead, starting);
        let out = &mut out[lead * channels..];
        let needed = self.resampler.needed(frames - lead);
        while self.tape.ready() < needed {
            let missing = needed - self.tape.ready();
            self.produce(inlet, pull, missing);
        }
        self.resampler.process(self.tape.take(needed), out);
        if self.borrowed > inlet.format.frames(IDLE_AFTER) {
            self.rest(inlet);
            return 0;
        }
        frames
    }

    /// From now on the delay keeps within these bounds; what is known of the network stays.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        if bounds != self.bounds {
            self.bounds = bounds;
            self.delay.set_mode(bounds.mode());
        }
    }

    /// Takes what has come.
    fn take(&mut self, inlet: &mut Inlet) {
        while let Some(head) = inlet.reader.peek() {
            let another = head.epoch != inlet.epoch;
            if another && self.state != State::Idle && !inlet.is_played_out() {
                // The last epoch's sound first.
                return;
            }
            if another {
                self.delay.restart();
            }
            if another || self.state == State::Idle {
                self.restart(inlet, &head);
            } else if !inlet.fits(&head) {
                // Sound has run away from where we are: begin anew where it is.
                inlet.counters.resets.fetch_add(1, Relaxed);
                self.restart(inlet, &head);
            }
            self.delay.arrived(head.position, head.frames, head.arrival);
            let waiting = self.state == State::Waiting;
            let mut put = Inserted::default();
            let Inlet { reader, timeline, position, .. } = inlet;
            reader.pop(|head, first, second| {
                if waiting && head.position < *position && head.position >= timeline.start() {
                    // It was overtaken by the one that came first.
                    *position = head.position;
                }
                put = timeline.insert(head.position, first, second);
            });
            inlet.packet_frames = head.frames as usize;
            if put.written > 0 {
                self.late_run = 0;
            } else if put.behind > 0 {
                inlet.counters.late_packets.fetch_add(1, Relaxed);
                self.late_run += u64::from(head.frames);
                if self.late_run > inlet.format.frames(LATE_FOR) as u64 && inlet.is_played_out() {
                    inlet.counters.resets.fetch_add(1, Relaxed);
                    self.restart(inlet, &head);
                }
            }
        }
    }

    /// Begins a stretch with the packet `head`.
    fn restart(&mut self, inlet: &mut Inlet, head: &Head) {
        inlet.begin(head);
        self.state = State::Waiting;
        (self.borrowed, self.gap, self.counted, self.late_run, self.error) = (0, 0, false, 0, 0.0);
        self.drift.resume();
    }

    /// Nothing has come for long: the source has paused or gone.
    fn rest(&mut self, inlet: &mut Inlet) {
        self.state = State::Idle;
        (self.borrowed, self.gap, self.counted) = (0, 0, false);
        self.tape.clear();
        self.resampler.reset();
        self.drift.resume();
        self.publish(inlet, 0.0);
    }

    /// Frames of silence before the first frame is due.
    fn lead(&self, inlet: &Inlet, pull: &Pull<'_>) -> usize {
        let due = self.delay.due(inlet.position, pull.now).unwrap_or(pull.now);
        let wait = due + self.wanted(inlet, pull).saturating_sub(self.delay.target());
        inlet.format.frames(wait.since(pull.now))
    }

    /// The delay to aim at: what the network needs, and what is pulled at once on top.
    fn wanted(&self, inlet: &Inlet, pull: &Pull<'_>) -> Duration {
        let block = inlet.format.duration(pull.block as u64);
        let target = self.delay.target();
        if self.bounds.fixed.is_some() { target.max(block) } else { target + block }
    }

    /// Compares the delay with what it should be, follows the sender's clock, and decides on stretching.
    fn steer(&mut self, inlet: &Inlet, pull: &Pull<'_>, lead: usize, starting: bool) {
        let format = inlet.format;
        let pending = format.duration((lead + self.tape.ready() + self.resampler.held()) as u64);
        let wanted = self.wanted(inlet, pull);
        let Some(present) = self.delay.delay_of(inlet.position, pull.now + pending) else { return };
        let error = present as f64 - wanted.as_micros() as f64;
        if self.borrowed == 0 {
            let ppm = self.drift.update(pull.now, present, wanted);
            self.resampler.set_ppm(ppm);
        }
        let weight = (format.duration(pull.block as u64).as_secs_f64() / SMOOTHED_OVER).min(1.0);
        self.error = if starting { error } else { self.error + weight * (error - self.error) };
        self.publish(inlet, wanted.as_micros() as f64);
        inlet.counters.delay_us.store(present.max(0) as u64, Relaxed);
    }

    fn publish(&self, inlet: &Inlet, wanted_us: f64) {
        inlet.counters.target_us.store(wanted_us as u64, Relaxed);
        inlet.counters.drift_ppb.store((self.drift.ppm() * 1e3) as i64, Relaxed);
        if self.state == State::Idle {
            inlet.counters.delay_us.store(0, Relaxed);
        }
    }

    /// Makes at least one more frame ready, about `missing` if it can.
    fn produce(&mut self, inlet: &mut Inlet, pull: &mut Pull<'_>, missing: usize) {
        let run = inlet.timeline.run(inlet.position, missing.clamp(1, STRIDE));
        if run.present {
            self.resume_sound(inlet, pull);
            if self.rest == 0 && self.stretch(inlet) {
                return;
            }
            self.rest = self.rest.saturating_sub(run.frames);
            let fresh = self.tape.room(run.frames);
            inlet.copy(inlet.position, fresh);
            self.stretcher.hear(fresh);
            self.tape.keep(run.frames);
            inlet.counters.frames_played.fetch_add(run.frames as u64, Relaxed);
            inlet.step(run.frames);
        } else if inlet.is_played_out() {
            self.borrow(inlet, pull, missing);
        } else {
            self.conceal(inlet, pull, missing);
        }
    }

    /// Nothing has come: goes on as the sound did, and stays where it is.
    fn borrow(&mut self, inlet: &Inlet, pull: &mut Pull<'_>, missing: usize) {
        let frames = missing.min(STRIDE);
        self.extrapolate(inlet, pull, frames);
        self.borrowed += frames;
    }

    /// Sound is missing, and later sound is there.
    fn conceal(&mut self, inlet: &mut Inlet, pull: &mut Pull<'_>, missing: usize) {
        let format = inlet.format;
        let longest = format.frames(LONGEST_FILL);
        let hole = inlet.timeline.run(inlet.position, inlet.timeline.capacity()).frames;
        self.settle(inlet);
        // What was put in while nothing had come stands for what is known to be lost now.
        let stood_for = hole.min(self.borrowed);
        if stood_for > 0 {
            self.borrowed -= stood_for;
            inlet.counters.frames_concealed.fetch_add(stood_for as u64, Relaxed);
            inlet.step(stood_for);
            return;
        }
        let silent = self.gap >= format.frames(SILENT_AFTER);
        let excess = (self.error * 1e-6 * f64::from(format.rate())) as i64;
        if silent && excess > 0 {
            // It is silent by now: a silence may be cut short.
            let cut = hole.min(excess as usize);
            self.changed(inlet, -(cut as i64));
            inlet.step(cut);
            return;
        }
        if hole > longest {
            let frames = missing.min(STRIDE).min(hole - longest / 2);
            self.extrapolate(inlet, pull, frames);
            inlet.counters.frames_concealed.fetch_add(frames as u64, Relaxed);
            inlet.step(frames);
            return;
        }
        let follows = inlet.position.plus(hole);
        let future =
            inlet.timeline.run(follows, pull.concealer.future_frames().min(inlet.longest_copy())).frames;
        // The future is laid down behind the hole's room for a moment; it is made ready in its own turn.
        let (past, room) = self.tape.past_and_room(pull.concealer.past_frames(), hole + future);
        let (fill, ahead) = room.split_at_mut(hole * format.channels());
        inlet.copy(follows, ahead);
        pull.concealer.interpolate(past, ahead, self.gap, fill, pull.tier);
        self.tape.keep(hole);
        inlet.counters.frames_concealed.fetch_add(hole as u64, Relaxed);
        inlet.step(hole);
        // It leads into what follows by itself.
        (self.gap, self.counted) = (0, false);
    }

    fn extrapolate(&mut self, _inlet: &Inlet, pull: &mut Pull<'_>, frames: usize) {
        let (past, room) = self.tape.past_and_room(pull.concealer.past_frames(), frames);
        pull.concealer.extrapolate(past, self.gap, room, pull.tier);
        self.tape.keep(frames);
        self.gap += frames;
    }

    /// A gap is over, or is known to be one.
    fn settle(&mut self, inlet: &Inlet) {
        if std::mem::replace(&mut self.counted, true) {
            return;
        }
        inlet.counters.concealments.fetch_add(1, Relaxed);
        if self.borrowed > 0 {
            inlet.counters.underruns.fetch_add(1, Relaxed);
        }
    }

    /// Sound is there again after something was put in: leads into it.
    fn resume_sound(&mut self, inlet: &mut Inlet, pull: &mut Pull<'_>) {
        if self.gap == 0 {
            return;
        }
        self.settle(inlet);
        if self.borrowed > 0 {
            // It was only late: everything is heard that much later.
            inlet.counters.frames_concealed.fetch_add(self.borrowed as u64, Relaxed);
            self.changed(inlet, self.borrowed as i64);
        }
        let join = pull.concealer.join_frames().min(STRIDE / 2);
        let frames = inlet.timeline.run(inlet.position, join).frames;
        let (past, room) = self.tape.past_and_room(pull.concealer.past_frames(), 2 * frames);
        let (fresh, continued) = room.split_at_mut(frames * inlet.format.channels());
        inlet.copy(inlet.position, fresh);
        pull.concealer.extrapolate(past, self.gap, continued, pull.tier);
        pull.concealer.join(continued, fresh);
        self.tape.keep(frames);
        inlet.counters.frames_played.fetch_add(frames as u64, Relaxed);
        inlet.step(frames);
        (self.borrowed, self.gap, self.counted) = (0, 0, false);
        self.rest = self.rest.saturating_sub(frames);
    }

    /// Shortens or lengthens the sound ahead by one period, where the delay calls for it; whether it did.
    fn stretch(&mut self, inlet: &mut Inlet) -> bool {
        let late = self.error > TOO_LONG;
        if !late && self.error > TOO_SHORT {
            return false;
        }
        let format = inlet.format;
        let longest = self.stretcher.longest();
        let there = inlet.timeline.run(inlet.position, (2 * longest).min(inlet.longest_copy())).frames;
        let at_most = ((self.error.abs() * 1e-6 * f64::from(format.rate())) as usize).max(longest / 4);
        let urgency = urgency(self.error);
        // The sound as it is, laid down behind the room for what becomes of it.
        let samples = there * format.channels();
        let space = (there + longest) * format.channels();
        let room = self.tape.room(2 * there + longest);
        if room.len() < space + samples {
            return false;
        }
        let (result, source) = room.split_at_mut(space);
        let source = &mut source[..samples];
        inlet.copy(inlet.position, source);
        let made = if late {
            self.stretcher.accelerate(source, result, at_most, urgency)
        } else {
            self.stretcher.expand(source, result, at_most, urgency)
        };
        if made.changed == 0 {
            // Not here; look again a little later.
            self.rest = format.frames(LOOK_EVERY);
            return false;
        }
        self.tape.keep(made.frames);
        inlet.counters.frames_played.fetch_add(there as u64, Relaxed);
        let counter = if late { &inlet.counters.frames_accelerated } else { &inlet.counters.frames_expanded };
        counter.fetch_add(made.changed as u64, Relaxed);
        self.changed(inlet, if late { -(made.changed as i64) } else { made.changed as i64 });
        inlet.step(there);
        self.rest = format.frames(if urgency == Urgency::Now { LOOK_EVERY } else { CALM });
        true
    }

    /// Playout has changed the delay by itself.
    fn changed(&mut self, inlet: &Inlet, frames: i64) {
        let micros = inlet.format.duration(frames.unsigned_abs()).as_micros() as i64 * frames.signum();
        self.drift.adjusted(micros);
        self.error += micros as f64;
    }
}

impl Bounds {
    fn mode(self) -> DelayMode {
        match self.fixed {
            Some(delay) => DelayMode::Fixed(delay),
            None => DelayMode::Adaptive { least: self.least, most: self.most },
        }
    }
}

/// How much a wrong delay may be heard.
fn urgency(error: f64) -> Urgency {
    if !(FAR_TOO_SHORT..=FAR_TOO_LONG).contains(&error) {
        Urgency::Now
    } else if !(TOO_SHORT..=2.0 * TOO_LONG).contains(&error) {
        Urgency::WhereAlike
    } else {
        Urgency::InPauses
    }
}

/// After so much without a packet a source is not playing any more.
const IDLE_AFTER: Duration = Duration::from_secs(1);
/// When only late sound has come for so long, playout begins anew.
const LATE_FOR: Duration = Duration::from_millis(50);
/// The longest hole that is filled between its edges at once.
const LONGEST_FILL: Duration = Duration::from_millis(60);
/// After so much concealment there is silence.
const SILENT_AFTER: Duration = Duration::from_millis(80);
/// Pull instants jitter by some milliseconds; the delay's error is their mean over so many seconds.
const SMOOTHED_OVER: f64 = 0.3;
/// The delay's error from which sound is shortened or lengthened, µs.
const TOO_LONG: f64 = 10_000.0;
const TOO_SHORT: f64 = -4_000.0;
const FAR_TOO_LONG: f64 = 80_000.0;
const FAR_TOO_SHORT: f64 = -15_000.0;
/// Pulls between two notes of the delay histogram.
const NOTE_EVERY: u32 = 64;
/// Between two looks for a place to stretch at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Between two changes that nobody is in a hurry for.
const CALM: Duration = Duration::from_millis(60);
