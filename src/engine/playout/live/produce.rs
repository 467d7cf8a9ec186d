//! Making sound ready: as it came, stretched, or in the place of what has not come.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::level::frames_of;
use super::{Gap, Live, Pull, State, Wait};
use crate::engine::playout::inlet::{Inlet, STRIDE};
use crate::engine::playout::ledger::Kind;
use crate::engine::playout::stretch::Urgency;
use crate::engine::playout::tape::HISTORY;
use crate::engine::playout::window::Run;
use crate::engine::stream::queue::Position;

impl Live {
    /// Whether the next `frames` frames are heard as they came, and nothing else is to be done.
    pub(super) fn is_plain(&mut self, inlet: &Inlet, frames: usize) -> bool {
        let plain = self.state == State::Playing
            && self.gap.length == 0
            && !inlet.rough
            && self.tape.ready() == 0
            && self.resampler.is_identity()
            && self.resampler.held() == 0
            && inlet.window.run(inlet.position, frames) == Run { present: true, frames };
        if plain && self.rest == 0 {
            let searched = inlet.format.duration(self.unstretched as u64);
            if self.change(searched).is_some() {
                return false;
            }
            self.unstretched = 0;
        }
        plain
    }

    /// Sound as it came, by the shortest way: most sources have nothing else to be done, most of the time.
    pub(super) fn hear_directly(&mut self, inlet: &mut Inlet, out: &mut [f32]) {
        let frames = out.len() / inlet.format.channels();
        inlet.copy(inlet.position, out);
        self.stretcher.hear(out);
        self.resampler.passed(out);
        self.rest = self.rest.saturating_sub(frames);
        self.unstretched = self.unstretched.saturating_add(frames);
        self.direct = self.direct.saturating_add(frames);
        inlet.give_out(frames);
        inlet.ledger.give(frames);
        inlet.step(frames);
    }

    /// What was heard directly is remembered from now on like all else.
    pub(super) fn recall(&mut self, inlet: &Inlet) {
        let frames = std::mem::take(&mut self.direct).min(inlet.format.frames(HISTORY));
        if frames > 0 {
            let past = self.tape.room(frames);
            inlet.copy(Position(inlet.position.0 - frames as u64), past);
            self.tape.keep(frames);
            self.tape.take(frames);
        }
    }

    /// Makes ready or skips at least one more frame, about `missing` if it can.
    pub(super) fn produce(&mut self, inlet: &mut Inlet, pull: &mut Pull<'_>, missing: usize) {
        if let State::Waiting(Wait { left, done }) = self.state {
            let now = left.min(missing).min(STRIDE);
            let wait = Wait { left: left - now, done: done + now };
            self.state = if now == left { State::Playing } else { State::Waiting(wait) };
            self.fade(pull, inlet, now);
            inlet.ledger.note(Kind::Nothing, inlet.position, now);
            return;
        }
        let run = inlet.window.run(inlet.position, missing.clamp(1, STRIDE));
        if run.present {
            if self.gap.length > 0 {
                if !self.top_up(inlet, pull, missing) {
                    self.lead_in(inlet, pull);
                }
            } else if !self.smooth(inlet, pull) && (self.rest > 0 || !self.stretch(inlet)) {
                let frames = alike(inlet, run.frames);
                self.hear(inlet, frames);
            }
        } else if inlet.is_played_out() {
            // Nothing has come: goes on as the sound did, and stays where it is.
            let frames = missing.min(STRIDE);
            self.extrapolate(pull, inlet, frames);
            // Of a sender that has left nothing is missing.
            let kind = if inlet.reader.is_abandoned() { Kind::Nothing } else { Kind::Lost };
            inlet.ledger.note(kind, inlet.position.plus(self.gap.borrowed), frames);
            self.gap.borrowed += frames;
        } else {
            self.conceal(inlet, pull, missing);
        }
    }

    /// Sound as it came.
    fn hear(&mut self, inlet: &mut Inlet, frames: usize) {
        let fresh = self.tape.room(frames);
        inlet.copy(inlet.position, fresh);
        self.stretcher.hear(fresh);
        self.tape.keep(frames);
        self.rest = self.rest.saturating_sub(frames);
        self.unstretched = self.unstretched.saturating_add(frames);
        inlet.give_out(frames);
        inlet.step(frames);
    }

    /// Waits for a packet's time: silence, or the end of what was heard.
    fn fade(&mut self, pull: &mut Pull<'_>, inlet: &mut Inlet, frames: usize) {
        if self.gap.length > 0 && self.gap.length < inlet.format.frames(SILENT_AFTER) {
            self.extrapolate(pull, inlet, frames);
        } else {
            let room = self.tape.room(frames);
            room.fill(0.0);
            inlet.comfort.add_newest(room);
            self.tape.keep(frames);
        }
    }

    /// Sound is missing, and later sound is there.
    fn conceal(&mut self, inlet: &mut Inlet, pull: &mut Pull<'_>, missing: usize) {
        let format = inlet.format;
        let longest = format.frames(LONGEST_FILL);
        let hole = inlet.window.run(inlet.position, inlet.window.capacity()).frames;
        // Where the sender was silent nothing is missing.
        let pause = self.pauses.cover(inlet.position);
        self.gap.counted |= pause;
        if self.count(inlet) {
            self.foresight.missed();
        }
        let concealed = |inlet: &Inlet, frames: usize| {
            inlet.counters.frames_concealed.fetch_add(if pause { 0 } else { frames as u64 }, Relaxed);
        };
        // What was put in while nothing had come stands for what is known to be lost now.
        let stood_for = hole.min(self.gap.borrowed);
        if stood_for > 0 {
            self.gap.borrowed -= stood_for;
            concealed(inlet, stood_for);
            inlet.step(stood_for);
            return;
        }
        let excess = frames_of(format, self.level.error);
        if excess > 0 && self.gap.length >= format.frames(SILENT_AFTER) {
            // It is silent by now: a silence may be cut short.
            let cut = hole.min(excess);
            self.changed(inlet, -(cut as i64));
            inlet.step(cut);
            return;
        }
        if hole > longest {
            let frames = missing.min(STRIDE).min(hole - longest / 2);
            self.extrapolate(pull, inlet, frames);
            inlet.ledger.note(if pause { Kind::Heard } else { Kind::Lost }, inlet.position, frames);
            concealed(inlet, frames);
            inlet.step(frames);
            return;
        }
        concealed(inlet, hole);
        self.fill(inlet, pull, hole);
    }

    /// Puts in what belongs between what was heard and what comes after the next `hole` frames.
    fn fill(&mut self, inlet: &mut Inlet, pull: &mut Pull<'_>, hole: usize) {
        let follows = inlet.position.plus(hole);
        let future = pull.concealer.future_frames().min(inlet.longest_copy());
        let future = inlet.window.run(follows, future).frames;
        // The future is laid down behind the hole's room for a moment; it is made ready in its own turn.
        let (past, room) = self.tape.past_and_room(pull.concealer.past_frames(), hole + future);
        let (fill, ahead) = room.split_at_mut(hole * inlet.format.channels());
        inlet.copy(follows, ahead);
        pull.concealer.interpolate(past, ahead, self.gap.length, fill, pull.tier);
        self.tape.keep(hole);
        inlet.ledger.note(Kind::Lost, inlet.position, hole);
        inlet.step(hole);
        // It leads into what follows by itself.
        self.gap = Gap::default();
    }

    /// Rough sound between two stretches of what was sent does not fit to them: its edges are made anew from both sides, a
    /// short one wholly. Whether that was done here.
    fn smooth(&mut self, inlet: &mut Inlet, pull: &mut Pull<'_>) -> bool {
        let edge = inlet.format.frames(EDGE);
        let rough = inlet.window.made_up(inlet.position, LONG * edge);
        let before = std::mem::replace(&mut self.in_rough, inlet.rough && rough.present);
        if !self.in_rough {
            return false;
        }
        let ends = inlet.window.is_present(inlet.position.plus(rough.frames));
        let hole = match () {
            () if !before && ends && rough.frames < 3 * edge => rough.frames,
            () if !before && rough.frames > edge => edge,
            () if before && ends && rough.frames <= edge => rough.frames,
            () => return false,
        };
        inlet.counters.concealments.fetch_add(u64::from(!before), Relaxed);
        inlet.counters.frames_concealed.fetch_add(hole as u64, Relaxed);
        self.fill(inlet, pull, hole);
        true
    }

    /// Sound came late, and the delay is short even now: what is put in is made a little longer, rather than that the next
    /// burst come late, too. Whether it did.
    fn top_up(&mut self, inlet: &mut Inlet, pull: &mut Pull<'_>, missing: usize) -> bool {
        let short = frames_of(inlet.format, MARGIN - self.level.error.min(self.level.spare));
        let frames = short.min(self.gap.more).min(missing).min(STRIDE);
        if frames == 0 || self.level.fixed {
            return false;
        }
        self.extrapolate(pull, inlet, frames);
        inlet.ledger.note(Kind::Lost, inlet.position, frames);
        self.gap.more -= frames;
        inlet.counters.frames_concealed.fetch_add(frames as u64, Relaxed);
        self.changed(inlet, frames as i64);
        true
    }

    fn extrapolate(&mut self, pull: &mut Pull<'_>, inlet: &mut Inlet, frames: usize) {
        let (past, room) = self.tape.past_and_room(pull.concealer.past_frames(), frames);
        pull.concealer.extrapolate(past, self.gap.length, room, pull.tier);
        inlet.comfort.add(inlet.position.plus(self.gap.borrowed), room);
        self.tape.keep(frames);
        self.gap.length += frames;
    }

    /// Counts the gap once; whether it did.
    fn count(&mut self, inlet: &Inlet) -> bool {
        let first = !std::mem::replace(&mut self.gap.counted, true);
        inlet.counters.concealments.fetch_add(u64::from(first), Relaxed);
        first
    }

    /// Sound is there again after something was put in: leads into it.
    fn lead_in(&mut self, inlet: &mut Inlet, pull: &mut Pull<'_>) {
        if !inlet.window.made_up(inlet.position, 1).present {
            self.count(inlet);
        }
        let join = pull.concealer.join_frames().min(STRIDE / 2);
        let frames = inlet.window.run(inlet.position, join).frames;
        let (past, room) = self.tape.past_and_room(pull.concealer.past_frames(), 2 * frames);
        let (fresh, continued) = room.split_at_mut(frames * inlet.format.channels());
        inlet.copy(inlet.position, fresh);
        pull.concealer.extrapolate(past, self.gap.length, continued, pull.tier);
        pull.concealer.join(continued, fresh);
        self.tape.keep(frames);
        self.gap = Gap::default();
        self.rest = self.rest.saturating_sub(frames);
        inlet.give_out(frames);
        inlet.step(frames);
    }

    /// Shortens or lengthens the sound ahead by one period, where the delay calls for it; whether it did.
    fn stretch(&mut self, inlet: &mut Inlet) -> bool {
        let format = inlet.format;
        let searched = format.duration(self.unstretched as u64);
        let Some(Change { micros, urgency }) = self.change(searched) else {
            self.unstretched = 0;
            return false;
        };
        let longest = self.stretcher.longest();
        let there = inlet.window.run(inlet.position, (2 * longest).min(inlet.longest_copy())).frames;
        let shorter = micros > 0.0;
        // Beyond a place that is kept there is nothing to play.
        let exact = shorter && self.level.places.are_kept();
        let most = if exact { micros } else { (micros.abs() + SLACK).max(SHORTEST) };
        let mut at_most = frames_of(format, most);
        if shorter {
            // Only what is really there: the path may have become longer. The next packet may be just about to come.
            let waiting = inlet.window.end().distance(inlet.position).max(0) as usize;
            let next = if micros < TOO_LONG && !exact { inlet.packet_frames } else { 0 };
            at_most = at_most.min((waiting + next).saturating_sub(self.level.wanted));
        }
        // The sound as it is, laid down behind the room for what becomes of it.
        let (space, samples) = ((there + longest) * format.channels(), there * format.channels());
        let (result, source) = self.tape.room(2 * there + longest).split_at_mut(space);
        let source = &mut source[..samples];
        inlet.copy(inlet.position, source);
        let made = if shorter {
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
        inlet.ledger.note(Kind::Heard, inlet.position, made.frames);
        inlet.count_played(there);
        let counters = &inlet.counters;
        let counter = if shorter { &counters.frames_accelerated } else { &counters.frames_expanded };
        counter.fetch_add(made.changed as u64, Relaxed);
        self.changed(inlet, if shorter { -(made.changed as i64) } else { made.changed as i64 });
        inlet.step(there);
        self.unstretched = 0;
        self.rest = format.frames(if self.level.error.abs() > FAR_OFF { LOOK_EVERY } else { CALM });
        true
    }
}

/// How many of the next `frames` frames are rough up to the edge, or not at all, like the first.
fn alike(inlet: &Inlet, frames: usize) -> usize {
    if !inlet.rough {
        return frames;
    }
    let edge = inlet.format.frames(EDGE);
    let run = inlet.window.made_up(inlet.position, frames + edge);
    let alike = if run.present && run.frames > edge { run.frames - edge } else { run.frames };
    alike.min(frames)
}

/// How the delay should change.
struct Change {
    /// By so much: positive where sound should become shorter.
    micros: f64,
    urgency: Urgency,
}

impl Live {
    /// Whether sound should be made shorter or longer now, and how much that may be heard, when no place for it was found
    /// for so long.
    fn change(&self, searched: Duration) -> Option<Change> {
        // A fixed delay is kept roughly: how it is measured may shift by a burst's length.
        let roughly = if self.level.fixed { ROUGHLY } else { 1.0 };
        let (error, spare) = (self.level.error / roughly, self.level.spare / roughly);
        if error > FAR_TOO_LONG || (spare < FAR_TOO_SHORT && error < 0.0) {
            return Some(Change { micros: self.level.error, urgency: Urgency::Now });
        }
        let micros = self.off.steady();
        let (error, spare) = (micros / roughly, self.lacking.steady() / roughly);
        // What the resampler mends by itself can wait a little.
        let limit = if error * self.drift.creep_ppm() < 0.0 { A_LITTLE_MENDED } else { A_LITTLE };
        // Where packets come in long bursts, few are fast: what is measured of the delay swings with their luck.
        let target = self.delay.target();
        let swing = target.as_micros() as f64 * SWING;
        let (limit, too_long, too_short) = (limit.max(swing), TOO_LONG.max(swing), TOO_SHORT.max(swing));
        let emptying = self.drift.reserve_us() > 0.0 && error < 0.0 && spare < -A_LITTLE_SHORT;
        // Packets that come like clockwork and are late for their places: that is the clocks, known or not yet. Where they
        // may begin anywhere from now on, there is no time either.
        let slipped =
            self.level.places.are_held() && target < CLOCKWORK && self.level.spare < -A_LITTLE_SHORT;
        let haste = if self.leaving.is_some() { GREAT_HASTE } else { HASTE };
        let micros = if slipped { self.level.error.min(0.0) } else { micros };
        // On a path like that what is too long stays so, unless it is shortened; in a pause nobody hears it.
        let lately = if target < SWIFT { self.lately.steady() } else { 0.0 };
        let urgency = match () {
            () if (emptying || slipped) && searched > haste => Urgency::Now,
            () if emptying || slipped => Urgency::WhereAlike,
            () if error > too_long && searched > PATIENCE => Urgency::Now,
            () if error.abs() > too_long || (spare < -too_short && error < 0.0) => Urgency::WhereAlike,
            () if error.abs() > limit => Urgency::InPauses,
            () if lately > limit * roughly => {
                return Some(Change { micros: lately, urgency: Urgency::InPauses });
            }
            () => return None,
        };
        Some(Change { micros, urgency })
    }
}

/// The longest hole that is filled between its edges at once.
pub(super) const LONGEST_FILL: Duration = Duration::from_millis(60);
/// What is made anew where rough sound begins and ends.
const EDGE: Duration = Duration::from_millis(5);
/// Edges after which it does not matter how long rough sound is.
const LONG: usize = 4;
/// After so much concealment there is silence.
pub(super) const SILENT_AFTER: Duration = Duration::from_millis(80);
/// The delay's error from which sound is shortened or lengthened, µs.
const A_LITTLE: f64 = 1_650.0;
const A_LITTLE_MENDED: f64 = 1_900.0;
/// The same while a slow sender empties the buffer: the delay needed is known to a millisecond.
const A_LITTLE_SHORT: f64 = 750.0;
/// So much more may be changed than the error is: the shortest period is longer than a small one.
const SLACK: f64 = 900.0;
const SHORTEST: f64 = 2_550.0;
const TOO_LONG: f64 = 10_000.0;
const FAR_TOO_LONG: f64 = 60_000.0;
const TOO_SHORT: f64 = 4_000.0;
const FAR_TOO_SHORT: f64 = -30_000.0;
/// Where packets are waited for less than this, they come like clockwork.
const CLOCKWORK: Duration = Duration::from_millis(2);
/// Where they are waited for no longer than this, the delay needed is known soon.
const SWIFT: Duration = Duration::from_millis(6);
/// A sixteenth of the delay that the path needs is not worth stretching for.
pub(super) const SWING: f64 = 1.0 / 16.0;
/// By how much the delay may be brought up to what is needed when sound has come late.
pub(super) const TOP_UP: Duration = Duration::from_millis(10);
/// And how far above, µs.
const MARGIN: f64 = 1_000.0;
/// How many times as far off a fixed delay may be.
const ROUGHLY: f64 = 6.0;
/// Sound without pauses, in which nothing is alike, is shortened anyway each time that so much was heard.
const PATIENCE: Duration = Duration::from_millis(800);
/// A slow sender leaves less time.
const HASTE: Duration = Duration::from_millis(300);
const GREAT_HASTE: Duration = Duration::from_millis(100);
/// From here on there is no time for calm, µs.
const FAR_OFF: f64 = 30_000.0;
/// Between two looks for a place to stretch at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Between two changes that nobody is in a hurry for.
const CALM: Duration = Duration::from_millis(60);
