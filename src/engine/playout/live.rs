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

use super::conceal::{Concealer, Tier};
use super::counters::UNHEARD;
use super::delay::{DelayEstimator, DelayMode};
use super::drift::Drift;
use super::foresight::Foresight;
use super::grid::Grid;
use super::inlet::{Inlet, LOOK, STRIDE};
use super::pauses::Pauses;
use super::resample::{Resampler, TAKEN_AHEAD};
use super::stretch::Stretcher;
use super::tape::Tape;
use super::trend::Trend;
use crate::engine::ahead;
use crate::engine::format::Format;
use crate::engine::stream::queue::{Head, Origin, Position};
use crate::engine::time::Micros;

mod aim;
mod level;
mod produce;

use level::Level;

/// The state of live playing of one source.
pub struct Live {
    bounds: Bounds,
    state: State,
    delay: DelayEstimator,
    foresight: Foresight,
    pauses: Pauses,
    grid: Grid,
    drift: Drift,
    /// What is kept for a drift that the resampler cannot follow at once.
    reserve: Duration,
    /// Whether the clocks are known to slide, so that packets begin anywhere within pulls.
    sliding: bool,
    /// On the way from a place that is left for a slow sender: the delay to aim at meanwhile.
    leaving: Option<Duration>,
    resampler: Resampler,
    stretcher: Stretcher,
    tape: Tape,
    gap: Gap,
    level: Level,
    /// Whether the delay is on its way to bounds that were just set.
    settling: bool,
    /// How far the delay has been from the one aimed at all the time lately, and from the one needed, µs.
    off: Trend,
    lacking: Trend,
    /// The first of these, of the last moments only.
    lately: Trend,
    /// Where the sound lies that came back last.
    mended: (Position, Position),
    /// Whether what is heard is rough.
    in_rough: bool,
    /// Frames until sound may be stretched again.
    rest: usize,
    /// Frames that were heard as they came since the tape was written last.
    direct: usize,
    /// Frames heard since sound was stretched.
    unstretched: usize,
    /// When the last packet came.
    newest: Micros,
    /// Frames in a row that came too late.
    late_run: u64,
    /// Where a packet was that nobody believes yet.
    suspect: Option<Position>,
    /// Pulls until the histogram is noted again.
    note_in: u32,
}

/// What the delay may be, from the arrival of the fastest packets to the pull that takes them.
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
    /// When this pull comes, without its jitter (see [`Pulse`](super::pulse::Pulse)).
    pub now: Micros,
    /// How many frames are usually pulled at once.
    pub block: usize,
    /// What all pulls are multiples of lately, frames.
    pub step: usize,
    /// Frames that the device still asks for in this pull, those asked for here included.
    pub left: usize,
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
    /// The first packet is there.
    Waiting(Wait),
    Playing,
}

/// The time before the first packet is due, frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wait {
    left: usize,
    done: usize,
}

/// Sound that was put in since the last that was received.
#[derive(Clone, Copy, Debug, Default)]
struct Gap {
    /// Its length in frames, zero where there is none.
    length: usize,
    /// Frames of it that were put in while nothing had come, and are not yet known to stand for lost ones.
    borrowed: usize,
    /// Whether it is counted.
    counted: bool,
    /// Frames by which it may still be made longer, because the sound behind it came late.
    more: usize,
}

impl Live {
    /// For a source of `format`.
    pub fn new(format: Format, bounds: Bounds) -> Self {
        let stretcher = Stretcher::new(format.rate(), format.channels());
        // What is ready, and the dearest thing that is made at once: a fill with what follows it, or a longer period.
        let look = format.frames(LOOK).max(STRIDE) + 1;
        let fill = format.frames(produce::LONGEST_FILL) + format.frames(FUTURE) + 1;
        let ahead = STRIDE + TAKEN_AHEAD + (2 * look + stretcher.longest()).max(fill);
        Self {
            bounds,
            state: State::Idle,
            delay: DelayEstimator::new(format.rate(), bounds.mode()),
            foresight: Foresight::default(),
            pauses: Pauses::default(),
            grid: Grid::default(),
            drift: Drift::new(),
            reserve: Duration::ZERO,
            sliding: false,
            leaving: None,
            resampler: Resampler::new(format.channels()),
            stretcher,
            tape: Tape::new(format, ahead),
            gap: Gap::default(),
            level: Level::default(),
            settling: false,
            off: Trend::new(format.frames(STEADY)),
            lacking: Trend::new(format.frames(STEADY)),
            lately: Trend::new(format.frames(BRIEF)),
            mended: (Position::default(), Position::default()),
            in_rough: false,
            rest: 0,
            direct: 0,
            unstretched: 0,
            newest: Micros::ZERO,
            late_run: 0,
            suspect: None,
            note_in: 0,
        }
    }

    /// Has the processor fetch what playing needs; first, where the rest is.
    pub fn fetch(&self, first: bool) {
        if first {
            ahead::fetch(self);
        } else {
            self.delay.fetch();
        }
    }

    /// Frames that are made ready and not yet given out.
    pub fn ready(&self) -> usize {
        self.tape.ready()
    }

    /// Whether nothing is being played.
    pub fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// Fills `out` (interleaved, the source's channels, [`STRIDE`] frames at most). Returns one past the last frame that
    /// holds sound; the rest is silence.
    pub fn play(&mut self, inlet: &mut Inlet, pull: &mut Pull<'_>, out: &mut [f32]) -> usize {
        let frames = out.len() / inlet.format.channels();
        self.set_bounds(pull.bounds);
        self.take(inlet, pull);
        if self.state == State::Idle {
            out.fill(0.0);
            let noise = !inlet.reader.is_abandoned() && inlet.comfort.add_newest(out);
            return if noise { frames } else { 0 };
        }
        self.steer(inlet, pull);
        self.note_in = self.note_in.checked_sub(1).unwrap_or_else(|| {
            inlet.counters.publish_histogram(self.delay.histogram());
            NOTE_EVERY
        });
        if self.is_plain(inlet, frames) {
            self.hear_directly(inlet, out);
            return frames;
        }
        self.recall(inlet);
        let needed = self.resampler.needed(frames);
        while self.tape.ready() < needed {
            let missing = needed - self.tape.ready();
            self.produce(inlet, pull, missing);
        }
        self.resampler.process(self.tape.take(needed), out);
        inlet.ledger.give(needed);
        if self.gap.borrowed > inlet.format.frames(IDLE_AFTER) {
            self.lie_down(inlet);
        }
        frames
    }

    /// From now on the delay keeps within these bounds; what is known of the network stays.
    fn set_bounds(&mut self, bounds: Bounds) {
        if bounds != self.bounds {
            self.bounds = bounds;
            self.delay.set_mode(bounds.mode());
            self.settling = true;
            // They were off by another measure.
            self.off.forget();
            self.lacking.forget();
            self.lately.forget();
        }
    }

    /// Takes what has come.
    fn take(&mut self, inlet: &mut Inlet, pull: &Pull<'_>) {
        while let Some(head) = inlet.reader.peek() {
            let made_up = head.origin.is_made_up();
            if head.frames == 0 && head.epoch == inlet.epoch {
                self.pauses.arrived(&head);
                inlet.comfort.arrived(&head);
            }
            if head.frames == 0 || made_up && (self.state == State::Idle || head.epoch != inlet.epoch) {
                inlet.pass_over();
                continue;
            }
            let another = head.epoch != inlet.epoch;
            if another && self.state != State::Idle && !inlet.is_played_out() {
                // The last epoch's sound first, if that does not take for ever.
                if pull.now.since(head.arrival) < EPOCH_WAITS {
                    return;
                }
                inlet.counters.resets.fetch_add(1, Relaxed);
            }
            if another {
                self.delay.restart();
            }
            if another || self.state == State::Idle {
                self.restart(inlet, &head);
            } else if !self.admit(inlet, pull, &head) {
                if head.origin == Origin::Received {
                    inlet.counters.note_late(head.sequence);
                }
                inlet.pass_over();
                continue;
            }
            self.put(inlet, &head);
        }
    }

    /// Whether the packet may be put into the window, after making room for it: one that is far ahead of its time is
    /// believed when the next one says the same.
    fn admit(&mut self, inlet: &mut Inlet, pull: &Pull<'_>, head: &Head) -> bool {
        let delay = self.delay.delay_of(head.position, head.arrival).unwrap_or(0);
        let plausible = (-EARLIEST..LATEST).contains(&delay);
        if plausible && inlet.fits(head) {
            self.suspect = None;
            return true;
        }
        if plausible {
            // More came at once than the window holds: on with the newest.
            self.skip_to_newest(inlet, pull, head);
            return true;
        }
        let near = inlet.format.frames(AGREE) as u64;
        let agreed = self.suspect.replace(head.position).is_some_and(|s| {
            let apart = head.position.distance(s);
            apart != 0 && apart.unsigned_abs() < near
        });
        if agreed {
            inlet.counters.resets.fetch_add(1, Relaxed);
            self.restart(inlet, head);
        }
        agreed
    }

    /// Puts the next packet, `head`, into the window.
    fn put(&mut self, inlet: &mut Inlet, head: &Head) {
        self.foresight.heard(head);
        if !head.origin.is_made_up() {
            self.newest = head.arrival;
            self.delay.arrived(head.position, head.frames, head.arrival);
            self.foresight.arrived(inlet.format, head.frames as usize);
            self.grid.packet(inlet.format, head.position, head.frames as usize);
            self.pauses.arrived(head);
            inlet.comfort.arrived(head);
        }
        let put = inlet.put(matches!(self.state, State::Waiting(_)));
        if head.origin != Origin::Received {
            inlet.rough |= head.origin == Origin::Rough;
            if matches!(head.origin, Origin::Repaired | Origin::Rough) {
                let adjoins = self.mended.1 == head.position;
                let from = if adjoins { self.mended.0 } else { head.position };
                self.mended = (from, head.position.plus(head.frames as usize));
            }
            // It is no news of the network if what was made of another packet comes too late.
            return;
        }
        inlet.packet_frames = head.frames as usize;
        if put.written > 0 {
            self.late_run = 0;
        } else if put.behind > 0 {
            inlet.counters.note_late(head.sequence);
            self.late_run += u64::from(head.frames);
            if self.late_run > inlet.format.frames(LATE_FOR) as u64 && inlet.is_played_out() {
                inlet.counters.resets.fetch_add(1, Relaxed);
                self.restart(inlet, head);
            }
        }
    }

    /// Begins a stretch with the packet `head`. What the network is like stays known.
    fn restart(&mut self, inlet: &mut Inlet, head: &Head) {
        let delay = self.delay.delay_of(head.position, head.arrival).unwrap_or(0);
        if !(-EARLIEST..LATEST).contains(&delay) {
            self.delay.restart();
        }
        self.recall(inlet);
        inlet.begin(head);
        self.grid = Grid::default();
        self.interrupt(inlet);
        self.state = State::Waiting(Wait::default());
    }

    /// What comes next has nothing to do with what was heard: it is led into.
    fn interrupt(&mut self, inlet: &mut Inlet) {
        if self.state == State::Idle {
            self.gap = Gap::default();
        } else {
            self.tape.forget_ready();
            inlet.ledger.forget_ready();
            self.gap = Gap { length: self.gap.length.max(1), counted: true, ..Gap::default() };
        }
        self.late_run = 0;
        self.suspect = None;
        self.off.forget();
        self.lacking.forget();
        self.lately.forget();
        self.drift.resume();
    }

    /// Gives up what is older than the sound aimed at, so that the packet `head` fits.
    fn skip_to_newest(&mut self, inlet: &mut Inlet, pull: &Pull<'_>, head: &Head) {
        let end = head.position.plus(head.frames as usize);
        let keep = inlet.format.frames(self.worst(inlet, pull)).min(inlet.window.capacity() / 2);
        let frames = end.distance(inlet.position).max(0) as usize;
        self.recall(inlet);
        inlet.step(frames.saturating_sub(keep));
        if self.state == State::Playing {
            inlet.counters.resets.fetch_add(1, Relaxed);
            self.interrupt(inlet);
        }
    }

    /// Nothing has come for long: the source has paused or gone.
    fn lie_down(&mut self, inlet: &mut Inlet) {
        self.state = State::Idle;
        self.gap = Gap::default();
        self.direct = 0;
        self.tape.clear();
        inlet.ledger.forget_ready();
        self.resampler.reset();
        self.drift.resume();
        inlet.counters.heard.store(UNHEARD, Relaxed);
        inlet.counters.delay_us.store(0, Relaxed);
        inlet.counters.target_us.store(0, Relaxed);
    }
}

impl Bounds {
    /// What the network's part of the delay may be; what else belongs to it is added by [`Live`].
    fn mode(self) -> DelayMode {
        DelayMode::Adaptive { least: Duration::ZERO, most: self.most }
    }
}

/// After so much without a packet a source is not playing any more.
const IDLE_AFTER: Duration = Duration::from_secs(1);
/// The delay must have been wrong for so long, or twice, before sound is stretched in peace.
const STEADY: Duration = Duration::from_millis(1200);
/// The same on a path that is known to the millisecond, for what costs nothing.
const BRIEF: Duration = Duration::from_millis(300);
/// When only late sound has come for so long, playout begins anew.
const LATE_FOR: Duration = Duration::from_millis(50);
/// After so long a new epoch does not wait for the end of the last one any more.
const EPOCH_WAITS: Duration = Duration::from_secs(1);
/// No packet is earlier than the fastest by more than this, µs …
const EARLIEST: i64 = 300_000;
/// … or later by more than this, or else its position means something else.
const LATEST: i64 = 2_000_000;
/// Pulls between two notes of the delay histogram.
const NOTE_EVERY: u32 = 64;
/// What concealment looks at of what follows.
const FUTURE: Duration = Duration::from_millis(20);
/// Two packets of one stream that follow each other are closer than this.
const AGREE: Duration = Duration::from_millis(500);

#[cfg(test)]
#[allow(
    clippy::similar_names,
    clippy::type_complexity,
    clippy::unchecked_time_subtraction,
    clippy::float_cmp,
    reason = "times of a test are known to be longer than what is taken off them; what passes unchanged is the same to the bit"
)]
mod tests;
