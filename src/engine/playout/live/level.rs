//! Where the delay is beside where it should be, and how the sender's clock is followed.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::aim::{Aim, Places};
use super::{Live, Pull, State, Wait, produce};
use crate::engine::format::Format;
use crate::engine::playout::counters::UNHEARD;
use crate::engine::playout::drift::CERTAIN_PPM;
use crate::engine::playout::inlet::Inlet;
use crate::engine::playout::resample::TAKEN_AHEAD;
use crate::engine::stream::queue::Position;

/// Where the delay is, µs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Level {
    /// The delay less the one aimed at.
    pub(super) error: f64,
    /// The delay less what the network and the device need.
    pub(super) spare: f64,
    /// The delay aimed at, frames.
    pub(super) wanted: usize,
    /// What the network needs of it.
    pub(super) target: Duration,
    /// Whether that is fixed, and was reached.
    pub(super) fixed: bool,
    /// Where packets begin within pulls.
    pub(super) places: Places,
}

impl Live {
    /// Compares the delay with what it should be, and follows the sender's clock.
    pub(super) fn steer(&mut self, inlet: &mut Inlet, pull: &Pull<'_>) {
        let format = inlet.format;
        let pending = self.tape.ready() + self.resampler.held();
        let is_sound = self.state == State::Playing && self.gap.length == 0;
        let heard = if is_sound { inlet.position.0.saturating_sub(pending as u64) } else { UNHEARD };
        inlet.counters.heard.store(heard, Relaxed);
        let at = pull.now + format.duration(pending as u64);
        self.was_late(inlet);
        // What was borrowed stands for lost sound until it is known better.
        let next = inlet.position.plus(self.gap.borrowed);
        let Some(mut present) = self.delay.delay_of(next, at) else { return };
        let end = Position(next.plus(pull.left).0.saturating_sub(pending as u64));
        let Aim { wanted, needed, places } = self.aim(inlet, pull, present, end);
        let error = present as f64 - micros(wanted);
        let spare = present as f64 - micros(needed);
        // Where packets come in long bursts, what is measured of the delay swings with them.
        self.settling &= error.abs() > SETTLED.max(micros(self.delay.target()) * produce::SWING);
        let fixed = self.bounds.fixed.is_some() && !self.settling;
        let level =
            Level { error, spare, wanted: format.frames(wanted), target: self.delay.target(), fixed, places };
        let before = std::mem::replace(&mut self.level, level);
        let block = format.duration(pull.block as u64);
        if let State::Waiting(Wait { done, .. }) = self.state {
            // The first packet may have come after the moment that this pull stands for.
            let longest = (wanted + block).saturating_sub(format.duration(done as u64));
            let wait = Duration::from_micros((-error).max(0.0) as u64).min(longest);
            self.state = State::Waiting(Wait { left: frames_of(format, micros(wait)), done });
            // The wait makes up for it.
            self.level.error += micros(wait);
            self.level.spare += micros(wait);
        } else {
            if before.places.are_kept() != places.are_kept() {
                // What is aimed at is another; the delay is not.
                self.off.shift(error - before.error);
                self.lately.shift(error - before.error);
                self.lacking.shift(spare - before.spare);
            }
            self.off.note(error, pull.block);
            self.lately.note(error, pull.block);
            self.lacking.note(spare, pull.block);
            self.slide(inlet, pull, present);
            self.drift.set_spread(self.delay.target());
            self.drift.hold(places.are_held());
            self.resampler.set_ppm(self.drift.update(pull.now, present, wanted));
            self.foresee(inlet, pull, present);
        }
        let fresh = matches!(self.state, State::Waiting(_));
        let silent = fresh || self.gap.length > format.frames(produce::SILENT_AFTER);
        let longest = if fresh { wanted + HELD } else { self.bounds.most.max(wanted) };
        if silent && present as f64 > micros(longest) {
            // Longer than anybody waits, or than a source that begins was held back for: on with what is newer, while
            // nothing is heard anyway.
            let there = inlet.window.end().distance(inlet.position).max(0) as usize;
            // What has come since, and was not handed over yet, if it came as steadily.
            let behind = if fresh { format.frames(pull.now.since(self.newest)) } else { 0 };
            let spare = (there + behind).saturating_sub(self.level.wanted).min(there);
            let skipped = spare.min(frames_of(format, error));
            inlet.step(skipped);
            self.changed(inlet, -(skipped as i64));
            present -= format.duration(skipped as u64).as_micros() as i64;
            self.await_what_is_due(inlet, pull);
        }
        let counters = &inlet.counters;
        counters.target_us.store(wanted.as_micros() as u64, Relaxed);
        counters.delay_us.store(present.max(0) as u64, Relaxed);
        counters.drift_ppb.store((self.drift.ppm() * 1e3) as i64, Relaxed);
    }

    /// Where a source begins of which only what is too old was handed over yet: what is due is about to be, for that is older
    /// than the packet that told of it.
    fn await_what_is_due(&mut self, inlet: &Inlet, pull: &Pull<'_>) {
        if let State::Waiting(Wait { done, .. }) = self.state
            && inlet.is_played_out()
            && done < inlet.format.frames(HANDED_OVER)
        {
            self.state = State::Waiting(Wait { left: pull.left + TAKEN_AHEAD, done });
        }
    }

    /// What drift will do to the delay is known: sound is kept for it, and for the filter, which takes frames before their
    /// turn; and what was seen of the delay is carried on.
    fn foresee(&mut self, inlet: &Inlet, pull: &Pull<'_>, present: i64) {
        let (format, before) = (inlet.format, self.worst(inlet, pull));
        let passed = format.duration(pull.block as u64);
        let filters = !self.resampler.is_identity() || self.drift.followed_ppm().abs() > CERTAIN_PPM;
        let taken = format.duration(if filters { TAKEN_AHEAD as u64 } else { 0 });
        // Not at once, so that sound can be stretched for it before the delay is far from the one aimed at.
        self.reserve = (Duration::from_micros(self.drift.reserve_us() as u64) + taken)
            .min(self.reserve + passed.mul_f64(RESERVE_RISE));
        let leaving = self.leaving.map(|leaving| leaving + passed.mul_f64(LEAVING_RISE));
        self.leaving = match self.level.places {
            Places::Kept if self.drift.followed_ppm() >= -CERTAIN_PPM => None,
            Places::Kept | Places::Left(_) => leaving.or(Some(Duration::from_micros(present.max(0) as u64))),
            Places::Any => leaving.filter(|leaving| *leaving < self.delay.target() + passed + self.reserve),
        };
        let more = micros(self.worst(inlet, pull)) - micros(before);
        if !self.level.places.are_kept() {
            let change = self.drift.creep_ppm() * passed.as_secs_f64() - more;
            self.off.shift(change);
            self.lately.shift(change);
            self.lacking.shift(change);
        }
    }

    /// The sound that was borrowed for has come: everything is heard that much later. What a codec made up in its place is
    /// no better than what was put in, and is not waited for.
    pub(super) fn was_late(&mut self, inlet: &mut Inlet) {
        let made_up = inlet.window.made_up(inlet.position, self.gap.borrowed);
        if made_up.present {
            self.stand_for(inlet, made_up.frames);
        }
        // Nor is what came back later than most does: for that the delay would have to grow, and to shrink again.
        let (from, to) = self.mended;
        let usual = self.delay.target() <= self.level.target + SUDDEN;
        if usual && from <= inlet.position && inlet.position < to && self.level.error > -SETTLED {
            let frames = to.distance(inlet.position).max(0) as usize;
            self.stand_for(inlet, frames.min(self.gap.borrowed));
        }
        if self.gap.borrowed > 0 && inlet.window.is_present(inlet.position) {
            let late = std::mem::take(&mut self.gap.borrowed);
            inlet.counters.underruns.fetch_add(1, Relaxed);
            inlet.counters.frames_concealed.fetch_add(late as u64, Relaxed);
            self.gap.more = inlet.format.frames(super::produce::TOP_UP);
            self.changed(inlet, late as i64);
        }
    }

    /// What was borrowed stands for the next `frames` frames.
    fn stand_for(&mut self, inlet: &mut Inlet, frames: usize) {
        self.gap.borrowed -= frames;
        inlet.counters.frames_concealed.fetch_add(frames as u64, Relaxed);
        inlet.step(frames);
    }

    /// Playout has changed the delay by itself.
    pub(super) fn changed(&mut self, inlet: &Inlet, frames: i64) {
        let micros = inlet.format.duration(frames.unsigned_abs()).as_micros() as i64 * frames.signum();
        self.drift.adjusted(micros);
        self.level.error += micros as f64;
        self.level.spare += micros as f64;
        self.off.shift(micros as f64);
        self.lately.shift(micros as f64);
        self.lacking.shift(micros as f64);
    }
}

fn micros(time: Duration) -> f64 {
    time.as_micros() as f64
}

/// The frames nearest to so many microseconds, so that places within pulls are met; none where they are negative.
pub(super) fn frames_of(format: Format, micros: f64) -> usize {
    (micros.max(0.0) * 1e-6 * f64::from(format.rate())).round() as usize
}

/// A source that begins is not heard later than it must be by more than this.
const HELD: Duration = Duration::from_millis(1);
/// Within this time what was held back is handed over.
const HANDED_OVER: Duration = Duration::from_millis(100);
/// A delay that was set is reached when it is off by no more than this, µs.
const SETTLED: f64 = 3_000.0;
/// By how much the delay that the network needs rises when something is no exception.
const SUDDEN: Duration = Duration::from_millis(1);
/// How fast the reserve for a slow sender grows, s/s.
const RESERVE_RISE: f64 = 0.003;
/// How fast the delay aimed at does when a place is left, s/s: packets will be late for it soon.
const LEAVING_RISE: f64 = 0.01;
