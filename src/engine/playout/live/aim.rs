//! The delay to aim at.

use std::time::Duration;

use super::{Live, Pull, State};
use crate::engine::playout::drift::CERTAIN_PPM;
use crate::engine::playout::inlet::Inlet;
use crate::engine::playout::resample::TAKEN_AHEAD;
use crate::engine::stream::queue::Position;

/// Delays from the arrival of the fastest packets to the pull that takes them.
pub(super) struct Aim {
    /// The one to aim at.
    pub(super) wanted: Duration,
    /// The one that the network and the device need.
    pub(super) needed: Duration,
    pub(super) places: Places,
}

/// Where packets begin within pulls. Resampling shifts these places, so that it is held while they are of use.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Places {
    /// Anywhere, sooner or later.
    #[default]
    Any,
    /// Still where they were: so many frames after a pull's beginning is the first. The clocks slide, and more will be needed.
    Left(usize),
    /// Where they always are: only what these places need has to be waited for.
    Kept,
}

impl Places {
    pub(super) fn are_kept(self) -> bool {
        matches!(self, Self::Kept)
    }

    /// Whether nothing is to be resampled.
    pub(super) fn are_held(self) -> bool {
        !matches!(self, Self::Any)
    }
}

impl Live {
    /// What is needed at worst: what the network does, what is pulled at once, since a packet may begin with the last
    /// frame of it, what drift will take, and a packet more while many are lost.
    pub(super) fn worst(&self, inlet: &Inlet, pull: &Pull<'_>) -> Duration {
        let block = inlet.format.duration(pull.block as u64);
        if let Some(fixed) = self.bounds.fixed {
            return fixed.max(block);
        }
        let look = self.foresight.look(inlet.format);
        let worst = self.delay.target() + look + block + self.reserve;
        self.within(self.leaving.map_or(worst, |leaving| leaving.min(worst)), block)
    }

    /// What to aim at while the delay is `present`, µs, and a pull ends at `end`. Where packets always begin at the same
    /// places within pulls, and these places are far from a pull's end, so much less is needed.
    pub(super) fn aim(&self, inlet: &Inlet, pull: &Pull<'_>, present: i64, end: Position) -> Aim {
        let format = inlet.format;
        let (worst, block) = (self.worst(inlet, pull), format.duration(pull.block as u64));
        let fixed = self.bounds.fixed.is_some();
        let cell = self.grid.cell(pull.step);
        let ahead = self.grid.ahead(end, cell);
        let few = !fixed && !self.sliding && cell >= format.frames(LEAST_CELL);
        // A slow sender's packets will come too late for their places.
        if !few || self.drift.followed_ppm() < -CERTAIN_PPM {
            let needed = self.delay.target() + block + self.reserve;
            // On the way to a delay that was set, it may be too short for what the sender and the device do.
            let needed = if fixed && self.settling { needed } else { needed.min(worst) };
            let places = if few { Places::Left(cell - ahead) } else { Places::Any };
            return Aim { wanted: worst, needed, places };
        }
        // Exactly: many cells must not add up to a frame too many.
        let micros = |frames: usize| frames as f64 * 1e6 / f64::from(format.rate());
        // How long before the pull that takes it a packet is there.
        let slack = present as f64 - block.as_micros() as f64 + micros(ahead);
        let place = Place { slack, free: micros(cell - ahead), cell: micros(cell) };
        // What is on its way down goes down all the way.
        let rests = !self.settling && self.level.error < place.cell / 2.0;
        let calm = if self.state == State::Playing { CALM.min(place.cell / 4.0) } else { 0.0 };
        let calm = (calm, if rests { calm } else { 0.0 });
        let goal = |need: Duration| {
            let error = place.error(need.as_micros() as f64, calm);
            Duration::from_micros((present as f64 - error).max(0.0).round() as u64)
        };
        let least = goal(self.delay.target() + self.foresight.look(format));
        let wanted = self.within(least, block);
        Aim { wanted, needed: goal(self.delay.target()).min(wanted), places: Places::Kept }
    }

    /// Finds out whether packets may begin anywhere within pulls from now on, since the clocks slide: not before there is
    /// room for it, or else the first frames that the resampler takes would be missing. Until then a fast sender's sound
    /// comes later by itself, a slow one's is lengthened.
    pub(super) fn slide(&mut self, inlet: &Inlet, pull: &Pull<'_>, present: i64) {
        let ppm = self.drift.followed_ppm();
        if self.sliding {
            self.sliding = ppm.abs() > STANDING_PPM || self.drift.applied_ppm().abs() > STANDING_PPM;
            return;
        }
        let anywhere = self.delay.target() + inlet.format.duration((pull.block + TAKEN_AHEAD) as u64);
        let room = match self.level.places {
            Places::Any => true,
            // Where nothing is there at all, a few frames more are missing with the rest.
            Places::Left(free) if free > TAKEN_AHEAD || inlet.is_played_out() => true,
            Places::Left(_) | Places::Kept => present >= anywhere.as_micros() as i64,
        };
        self.sliding = room && ppm.abs() > CERTAIN_PPM;
    }

    fn within(&self, delay: Duration, block: Duration) -> Duration {
        delay.max(self.bounds.least).min(self.bounds.most.max(block))
    }
}

/// Where packets begin within pulls, µs.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// From a packet's arrival to the pull that takes its first frame, at least.
    slack: f64,
    /// By how much less delay takes no slack: from a pull's beginning to the first place.
    free: f64,
    /// Beyond that a delay less by this takes as much slack.
    cell: f64,
}

impl Place {
    /// By how much the delay is too long for packets that need `need` µs; negative where too short. So much less and so
    /// much more than that is left as it is.
    fn error(self, need: f64, (less, more): (f64, f64)) -> f64 {
        let spare = self.slack - need;
        let cells = if spare < 0.0 {
            ((spare + less.min(need / 4.0)) / self.cell).floor().min(0.0)
        } else {
            ((spare - more) / self.cell).floor().max(0.0)
        };
        self.free + cells * self.cell
    }
}

/// Below this the clocks do not slide any more.
const STANDING_PPM: f64 = 5.0;
/// Places that are nearer to each other save little, and so little sound is there then that it cannot be lengthened when
/// the clocks turn out to slide.
const LEAST_CELL: Duration = Duration::from_millis(4);
/// So much less slack than is needed, and so much more, is let be, µs.
const CALM: f64 = 2_500.0;
