//! How much faster the sender's clock runs than the output's, and how much faster to play for it.
//!
//! The buffer's delay is observed (by [`DelayEstimator::delay_of`](super::delay::DelayEstimator::delay_of), which is free of most jitter); a filter after
//! Kalman with two states, delay and drift, follows it, knowing what playout itself did: the ratio and the frames it skipped
//! or added. A PI loop follows from it: the drift is the integral part, the distance to the target the proportional one.
//!
//! Guaranteed: nothing is applied until the drift is certain and above [`CERTAIN_PPM`], or the delay has crept by more than a
//! millisecond beyond its noise; the ratio moves by 10 ppm a second at most (a kilohertz keeps 90 dB in each 100 ms) and
//! stays within ±400 ppm; no input, however wild, makes it anything but finite.

use std::time::Duration;

use crate::engine::exact::power;
use crate::engine::time::Micros;

/// One stream's drift.
#[derive(Clone, Debug)]
pub struct Drift {
    /// The mean of the delays seen since `since`, µs.
    sum: f64,
    count: u32,
    since: Option<Micros>,
    /// When the last sum was ended.
    updated: Option<Micros>,
    filter: Filter,
    /// The delay at which nothing had to be done, µs.
    anchor: f64,
    engaged: bool,
    /// Whether nothing is to be applied for now.
    held: bool,
    /// What is applied now, ppm.
    applied: f64,
    last: Option<Micros>,
    target: f64,
    /// How long packets are waited for, and a little, µs.
    spread: f64,
}

/// Delay (µs) and drift (ppm, which is µs a second) with their covariance.
#[derive(Clone, Copy, Debug)]
struct Filter {
    delay: f64,
    drift: f64,
    var_delay: f64,
    var_drift: f64,
    covariance: f64,
    /// The variance of one observation, µs².
    noise: f64,
    /// What it is at least.
    least_noise: f64,
    /// How many observations there were.
    seen: u32,
    /// Observations in a row that were far off.
    strays: u32,
    /// Large surprises in a row that point one way, with their sign.
    one_way: i32,
    started: bool,
}

impl Drift {
    /// Knowing nothing, applying nothing.
    pub fn new() -> Self {
        Self {
            sum: 0.0,
            count: 0,
            since: None,
            updated: None,
            filter: Filter::new(0.0),
            anchor: 0.0,
            engaged: false,
            held: false,
            applied: 0.0,
            last: None,
            target: 0.0,
            spread: SPREAD_US,
        }
    }

    /// At each pull while the stream plays: the delay at this moment in microseconds, and the one aimed at. Says the ppm to play
    /// faster by until the next pull.
    pub fn update(&mut self, now: Micros, delay_us: i64, target: Duration) -> f64 {
        let passed = self.last.map_or(0.0, |last| now.since(last).as_secs_f64());
        self.last = Some(now);
        self.target = target.as_micros().min(u128::from(u32::MAX)) as f64;
        if passed > LONGEST_GAP {
            self.resume();
        }
        let since = *self.since.get_or_insert(now);
        self.sum += delay_us.clamp(-FAR, FAR) as f64;
        self.count += 1;
        let observed_each = if self.filter.seen < EARLY { OBSERVED_EARLY } else { OBSERVED_EACH };
        if now.since(since) >= observed_each {
            self.observe(now);
        }
        self.slew(passed.min(LONGEST_GAP))
    }

    /// How long the path's packets are waited for: the longer, the less is the delay known.
    pub fn set_spread(&mut self, spread: Duration) {
        self.spread = SPREAD_US + spread.as_micros().min(u128::from(u32::MAX)) as f64;
    }

    /// Playout changed the delay by itself by this much, in microseconds: positive where sound was expanded or waited for,
    /// negative where it was shortened or skipped.
    pub fn adjusted(&mut self, delay_us: i64) {
        let change = delay_us.clamp(-FAR, FAR) as f64;
        self.filter.delay += change;
        self.anchor += change;
        // What was summed up belongs to the delay before.
        self.sum += change * f64::from(self.count);
    }

    /// Applies nothing until this is taken back; the clocks are watched all the same.
    pub fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Nobody knows the delay any more (another epoch, an underrun, a device opened anew); the drift is still known.
    pub fn resume(&mut self) {
        (self.sum, self.count, self.since, self.updated) = (0.0, 0, None, None);
        self.filter.lose_delay();
    }

    /// The sender's clock against the output's: positive where the sender is fast, ppm. Zero until it is known.
    pub fn ppm(&self) -> f64 {
        if self.is_known() { self.filter.drift } else { 0.0 }
    }

    /// The drift's standard error, ppm.
    pub fn uncertainty_ppm(&self) -> f64 {
        self.filter.var_drift.sqrt()
    }

    /// What is applied now, ppm: takes 1 + this / 10^6 frames from the buffer for each one played.
    pub fn applied_ppm(&self) -> f64 {
        self.applied
    }

    /// What the delay is still going to fall by because the ratio moves slowly: sound that a slow sender's listener needs
    /// ahead of time, µs. None where the sender is fast.
    pub fn reserve_us(&self) -> f64 {
        if !self.engaged {
            return 0.0;
        }
        let drift = self.filter.drift.max(-MOST_PPM);
        let lacking = (self.applied - drift - self.uncertainty_ppm()).max(0.0);
        lacking * lacking / (2.0 * SLEW_PPM)
    }

    /// How fast the delay changes now, as far as it is known, ppm.
    pub fn creep_ppm(&self) -> f64 {
        if self.engaged { self.filter.drift - self.applied } else { 0.0 }
    }

    /// Whether the drift is known to within a few ppm.
    pub fn is_known(&self) -> bool {
        self.filter.seen >= FEWEST && self.uncertainty_ppm() < KNOWN_PPM
    }

    /// The drift that is to be followed, held or not, ppm; zero where none is.
    pub fn followed_ppm(&self) -> f64 {
        if self.engaged { self.filter.drift } else { 0.0 }
    }

    fn observe(&mut self, now: Micros) {
        let mean = self.sum / f64::from(self.count.max(1));
        let passed = self.updated.map_or(0.0, |then| now.since(then).as_secs_f64());
        (self.sum, self.count, self.since) = (0.0, 0, Some(now));
        self.updated = Some(now);
        self.filter.least_noise = self.least_noise();
        let fresh = self.filter.step(passed, mean, self.applied);
        if fresh {
            self.anchor = mean;
        }
        self.decide();
    }

    /// The variance of an observation that seems to be without noise, µs²: the fastest packets of a path on which many
    /// wait long are less alike, the more so the fewer have come; and early observations overlap.
    fn least_noise(&self) -> f64 {
        let known = (self.spread * self.spread / NOISE_OF_SPREAD_US).clamp(LEAST_NOISE_US, MOST_NOISE_US);
        let young = f64::from(EARLY / 2) / f64::from(self.filter.seen + 1);
        let overlap = if self.filter.seen < EARLY { OVERLAP } else { 1.0 };
        power(known * young.max(1.0), 2) * overlap
    }

    fn decide(&mut self) {
        let filter = &self.filter;
        let certain =
            filter.seen >= FEWEST && filter.drift.abs() > CERTAIN_PPM.max(SIGMAS * self.uncertainty_ppm());
        let noise = 4.0 * filter.var_delay.sqrt() + 2.0 * filter.noise.sqrt();
        if self.engaged {
            let near = (filter.delay - self.target).abs() < NEAR_US + 2.0 * filter.var_delay.sqrt();
            if filter.drift.abs() < QUIET_PPM && near {
                self.engaged = false;
                self.anchor = filter.delay;
            }
        } else {
            let crept = (filter.delay - self.anchor).abs() > CREPT_US + noise;
            self.engaged = certain || crept && self.is_known();
        }
    }

    /// Moves what is applied towards what is wanted.
    fn slew(&mut self, seconds: f64) -> f64 {
        let wanted = if self.engaged && !self.held {
            let pull = (self.filter.delay - self.target) * PPM_PER_US;
            (self.filter.drift + pull.clamp(-MOST_PULL_PPM, MOST_PULL_PPM)).clamp(-MOST_PPM, MOST_PPM)
        } else {
            0.0
        };
        let most = SLEW_PPM * seconds;
        self.applied += (wanted - self.applied).clamp(-most, most);
        self.applied
    }
}

impl Default for Drift {
    fn default() -> Self {
        Self::new()
    }
}

impl Filter {
    fn new(drift: f64) -> Self {
        Self {
            delay: 0.0,
            drift,
            var_delay: 0.0,
            var_drift: FIRST_DRIFT_PPM * FIRST_DRIFT_PPM,
            covariance: 0.0,
            noise: FIRST_NOISE_US * FIRST_NOISE_US,
            least_noise: 0.0,
            seen: 0,
            strays: 0,
            one_way: 0,
            started: false,
        }
    }

    /// `seconds` later the delay is `seen`, while `applied` ppm were played faster. True where it began anew from there.
    fn step(&mut self, seconds: f64, seen: f64, applied: f64) -> bool {
        if !self.started {
            self.started = true;
            self.delay = seen;
            self.var_delay = self.noise.max(self.least_noise);
            self.covariance = 0.0;
            return true;
        }
        self.delay += (self.drift - applied) * seconds;
        self.var_delay +=
            seconds * (2.0 * self.covariance + seconds * self.var_drift) + DELAY_WANDER * seconds;
        self.covariance += seconds * self.var_drift;
        self.var_drift += DRIFT_WANDER * seconds;

        let surprise = seen - self.delay;
        let noise = self.noise.max(self.least_noise);
        let expected = self.var_delay + noise;
        if surprise.abs() > STRAY_US && surprise * surprise > 36.0 * expected {
            self.strays += 1;
            if self.strays >= STRAYS {
                // The path or the buffer has changed; the clocks have not.
                self.lose_delay();
                return self.step(0.0, seen, applied);
            }
            return false;
        }
        self.strays = 0;
        self.doubt(surprise, expected);
        let expected = self.var_delay + noise;
        let gain_delay = self.var_delay / expected;
        let gain_drift = self.covariance / expected;
        self.delay += gain_delay * surprise;
        self.drift = (self.drift + gain_drift * surprise).clamp(-FARTHEST_PPM, FARTHEST_PPM);
        self.var_drift = (self.var_drift - gain_drift * self.covariance).max(1e-6);
        self.covariance *= 1.0 - gain_delay;
        self.var_delay *= 1.0 - gain_delay;
        // What the surprises have beyond the filter's own doubt is the observations' noise.
        let seen_noise = (surprise * surprise - (expected - noise)).max(0.0);
        self.seen = self.seen.saturating_add(1);
        self.noise += (seen_noise - self.noise) * NOISE_GAIN.max(1.0 / (f64::from(self.seen) + 2.0));
        false
    }

    /// Surprises that all point one way mean that the drift is another than was thought.
    fn doubt(&mut self, surprise: f64, expected: f64) {
        self.one_way = if surprise * surprise < 4.0 * expected {
            0
        } else if surprise > 0.0 {
            self.one_way.max(0).saturating_add(1)
        } else {
            self.one_way.min(0).saturating_sub(1)
        };
        if self.one_way.abs() >= ONE_WAY {
            self.var_drift += DOUBT_PPM * DOUBT_PPM;
            self.one_way = 0;
        }
    }

    fn lose_delay(&mut self) {
        self.started = false;
        self.strays = 0;
    }
}

/// Below this the drift alone is no reason to resample.
pub const CERTAIN_PPM: f64 = 10.0;
/// How certain the drift has to be.
const SIGMAS: f64 = 5.0;
const KNOWN_PPM: f64 = 20.0;
const QUIET_PPM: f64 = 5.0;
const CREPT_US: f64 = 1_000.0;
const NEAR_US: f64 = 100.0;
/// One millisecond of distance is worth 40 ppm: a time constant of 25 s.
const PPM_PER_US: f64 = 0.04;
const MOST_PULL_PPM: f64 = 80.0;
const MOST_PPM: f64 = 400.0;
const SLEW_PPM: f64 = 10.0;
/// Sound cards are within this, ppm (one standard deviation).
const FIRST_DRIFT_PPM: f64 = 150.0;
const FARTHEST_PPM: f64 = 1_000.0;
const FIRST_NOISE_US: f64 = 100.0;
/// Observations before anything is believed.
const FEWEST: u32 = 5;
const LEAST_NOISE_US: f64 = 20.0;
/// Packets that are waited for for 10 ms mean 50 µs of noise, for 30 ms 200 µs.
const NOISE_OF_SPREAD_US: f64 = 8e6;
const SPREAD_US: f64 = 10_000.0;
const MOST_NOISE_US: f64 = 10_000.0;
const OVERLAP: f64 = 3.0;
const NOISE_GAIN: f64 = 0.02;
/// How far a crystal wanders: a tenth of a ppm in 25 s, µs²/s³.
const DRIFT_WANDER: f64 = 0.0004;
/// How far the path does, µs²/s.
const DELAY_WANDER: f64 = 400.0;
const STRAY_US: f64 = 2_000.0;
const STRAYS: u32 = 3;
const ONE_WAY: i32 = 10;
const DOUBT_PPM: f64 = 50.0;
const OBSERVED_EACH: Duration = Duration::from_secs(1);
/// So many of the first observations take less, for a slow sender empties the buffer meanwhile.
const EARLY: u32 = 12;
const OBSERVED_EARLY: Duration = Duration::from_millis(400);
/// After so many seconds without a pull the delay is not known any more.
const LONGEST_GAP: f64 = 2.0;
/// A minute, µs.
const FAR: i64 = 60_000_000;

#[cfg(test)]
mod tests;
