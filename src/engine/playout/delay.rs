//! How long sound should wait before it is heard: as long as all but one packet in a hundred need.
//!
//! The relative delay of a packet is its transit less that of the fastest of the last two seconds. A histogram that
//! forgets over some twenty seconds keeps them; its 0.99 quantile is the target. (`WebRTC`'s delay manager is the model: it
//! takes the 0.95 quantile of maxima over half a second, forgets by 0.983 each, in buckets of 20 ms; ours counts packets by
//! their length, so that the figures mean what they say for packets of any length.)
//!
//! Guaranteed: fixed memory, no allocation; a few operations a packet; the target never leaves its bounds, whatever
//! arrives; the first packet needs no waiting. Not guaranteed: that duplicates are told from packets: do not report them.
//!
//! After two seconds it is known whether the path itself had become longer: then all delays of these seconds are filed
//! anew at once, so that a longer path costs delay for two seconds, not for as long as the memory lasts. A stall that was the first for
//! long counts in full for these two seconds, and by a tenth afterwards.

use std::collections::VecDeque;
use std::time::Duration;

use super::histogram::{Bar, Bucket, Histogram};
use super::transit::{Observed, Transit};
use crate::engine::ahead;
use crate::engine::exact::exp;
use crate::engine::stream::queue::Position;
use crate::engine::time::Micros;

/// What the delay may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DelayMode {
    /// As the network needs, within these bounds.
    Adaptive {
        /// Never less: what the device pulls at once.
        least: Duration,
        /// Never more.
        most: Duration,
    },
    /// Always this.
    Fixed(Duration),
}

/// One stream's delays and the target that follows from them.
#[derive(Clone, Debug)]
pub struct DelayEstimator {
    rate: u32,
    mode: DelayMode,
    transit: Transit,
    /// The fastest packet of the last two seconds, as it was when the last packet came.
    lowest: i64,
    delays: Histogram,
    /// The delays of those that came after a later one.
    reordered: Histogram,
    /// What the last two seconds brought, oldest first.
    recent: VecDeque<Recent>,
    /// What one second of sound weighs now; it grows.
    weight: f64,
    /// By how much it grows over a packet, and for which length that is.
    growth: (u32, f64),
    highest: Position,
    stall: Stall,
    worth: Bucket,
    worth_known_at: Micros,
    unbelieved: u64,
    resets: u64,
}

/// A time in which packets come much later than the target, then all at once.
#[derive(Clone, Copy, Debug, Default)]
struct Stall {
    /// The target when it began, while it lasts.
    above: Option<Duration>,
    began: Micros,
    ended: Option<Micros>,
    /// Whether it is the first for long.
    alone: bool,
}

/// A packet that may have to be filed anew.
#[derive(Clone, Copy, Debug)]
struct Recent {
    arrival: Micros,
    transit: i64,
    weight: f64,
    /// How much longer than the floor that was, when it came.
    above: i32,
    bucket: Bucket,
    reordered: bool,
    /// Whether it will count for less.
    forgiven: bool,
}

impl DelayEstimator {
    /// For a stream of `rate` Hz.
    pub fn new(rate: u32, mode: DelayMode) -> Self {
        Self {
            rate: rate.max(1),
            mode,
            transit: Transit::new(rate),
            lowest: 0,
            delays: Histogram::new(LATE_SHARE),
            reordered: Histogram::new(LATE_SHARE),
            recent: VecDeque::with_capacity(RECENT),
            weight: 1.0,
            growth: (0, 1.0),
            highest: Position::default(),
            stall: Stall::default(),
            worth: Bucket(0),
            worth_known_at: Micros::ZERO,
            unbelieved: 0,
            resets: 0,
        }
    }

    /// Has the processor fetch where the next packet is noted.
    pub fn fetch(&self) {
        self.recent.iter().take(1).chain(self.recent.back()).for_each(ahead::fetch);
        self.delays.fetch();
    }

    /// A packet of `frames` frames came, its first at `position`. Says its delay relative to the fastest; `None` where it
    /// told nothing.
    pub fn arrived(&mut self, position: Position, frames: u32, arrival: Micros) -> Option<Duration> {
        if frames == 0 {
            return None;
        }
        let transit = match self.transit.observe(position, arrival) {
            Observed::Transit(transit) => transit,
            Observed::Unbelieved => {
                self.unbelieved += 1;
                return None;
            }
            Observed::Anew => {
                // The network is the same, only the positions are not: its delays stay known.
                self.resets += 1;
                self.recent.clear();
                self.highest = position;
                self.lowest = 0;
                0
            }
        };
        self.settle(arrival);
        let before = std::mem::replace(&mut self.lowest, self.transit.lowest());
        if self.lowest.saturating_sub(before) >= LONGER {
            self.lengthen();
        }
        let floor = self.transit.floor(arrival);
        if transit <= floor {
            self.judge_anew(floor, arrival);
        }
        let delay = micros(transit - floor);
        let reordered = position < self.highest;
        self.highest = self.highest.max(position);
        let forgiven = self.stall.contains(delay, self.target(), arrival);
        let weight = self.weigh(frames);
        let bucket = Bucket::of(delay);
        self.delays.add(bucket, weight);
        if reordered {
            self.reordered.add(bucket, weight);
        }
        let above = saturated(transit.saturating_sub(floor));
        self.remember(Recent { arrival, transit, weight, above, bucket, reordered, forgiven });
        self.price(arrival);
        Some(delay)
    }

    /// How long after the fastest packet's arrival its first frame should be heard.
    pub fn target(&self) -> Duration {
        match self.mode {
            DelayMode::Fixed(delay) => delay,
            DelayMode::Adaptive { least, most } => {
                self.delays.quantile().max(self.worth).upper().min(most).max(least)
            }
        }
    }

    /// The target in whole frames, rounded up.
    pub fn target_frames(&self) -> usize {
        (self.target().as_micros() * u128::from(self.rate)).div_ceil(1_000_000) as usize
    }

    /// The delay of the frame at `position` if it is heard at `now`, in microseconds after the arrival of the fastest
    /// packets: what [`target`](Self::target) is for. Negative where it is heard before it can be there. `None` before
    /// the first packet.
    ///
    /// A pull takes many frames at one moment, and a packet is needed for its first one: so ask for the last frame that the
    /// pull takes, unless packets are known to begin where pulls do.
    pub fn delay_of(&self, position: Position, now: Micros) -> Option<i64> {
        Some(self.transit.of(position, now)?.saturating_sub(self.transit.floor(now)))
    }

    /// When the frame at `position` should be heard; `None` before the first packet.
    pub fn due(&self, position: Position, now: Micros) -> Option<Micros> {
        Some(self.transit.earliest(position, now)? + self.target())
    }

    /// Changes the bounds, or fixes the delay; what is known of the network stays.
    pub fn set_mode(&mut self, mode: DelayMode) {
        self.mode = mode;
    }

    /// The bounds.
    pub fn mode(&self) -> DelayMode {
        self.mode
    }

    /// Another epoch: positions have nothing to do with the last ones; the network is the same.
    pub fn restart(&mut self) {
        self.transit = Transit::new(self.rate);
        self.lowest = 0;
        self.recent.clear();
        self.highest = Position::default();
    }

    /// The delays of some twenty seconds, shortest first.
    pub fn histogram(&self) -> impl Iterator<Item = Bar> + '_ {
        self.delays.bars()
    }

    /// Packets that were not believed: alone, seconds from where the others were.
    pub fn unbelieved(&self) -> u64 {
        self.unbelieved
    }

    /// How often the stream began anew elsewhere, the first time included.
    pub fn resets(&self) -> u64 {
        self.resets
    }

    /// This packet's weight: its length, by a measure that grows with all sound received.
    fn weigh(&mut self, frames: u32) -> f64 {
        let frames = frames.min(self.rate / 5);
        let seconds = f64::from(frames) / f64::from(self.rate);
        if self.growth.0 != frames {
            self.growth = (frames, exp(seconds / MEMORY_SECONDS));
        }
        self.weight *= self.growth.1;
        if self.weight > LARGEST_WEIGHT {
            let factor = 1.0 / self.weight;
            self.delays.scale(factor);
            self.reordered.scale(factor);
            for recent in &mut self.recent {
                recent.weight *= factor;
            }
            self.weight = 1.0;
        }
        self.weight * seconds
    }

    fn remember(&mut self, new: Recent) {
        if let Some(last) = self.recent.back_mut()
            && last.bucket == new.bucket
            && (last.reordered, last.forgiven) == (new.reordered, new.forgiven)
            && new.arrival.since(last.arrival) < TOGETHER
        {
            last.weight += new.weight;
            return;
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(new);
    }

    /// Files anew what is two seconds old, now that the path's length before and after it is known.
    fn settle(&mut self, now: Micros) {
        while let Some(&old) = self.recent.front()
            && now.since(old.arrival) >= WINDOW
        {
            self.recent.pop_front();
            let bucket = old.above(old.floor().max(self.transit.lowest()));
            old.refile(bucket, &mut self.delays, &mut self.reordered);
            if old.forgiven {
                self.delays.remove(bucket, old.weight * FORGIVEN);
            }
        }
    }

    /// The path has become longer: what came over it was not late.
    fn lengthen(&mut self) {
        for recent in &mut self.recent {
            let bucket = recent.above(recent.floor().max(self.lowest));
            recent.refile(bucket, &mut self.delays, &mut self.reordered);
            recent.bucket = bucket;
        }
        self.price_anew();
    }

    /// A packet is the fastest so far. In a stream's first seconds that says more than all before it: of the first
    /// packets each may be the fastest yet, as in a burst, whose last packet waited least.
    fn judge_anew(&mut self, floor: i64, now: Micros) {
        if self.delays.total() > self.weight * YOUNG_SECONDS {
            return;
        }
        for recent in &mut self.recent {
            if floor < recent.floor() && now.since(recent.arrival) < BURST {
                let bucket = recent.above(floor);
                recent.refile(bucket, &mut self.delays, &mut self.reordered);
                (recent.bucket, recent.above) = (bucket, saturated(recent.transit.saturating_sub(floor)));
            }
        }
    }

    /// Finds, four times a second, which delay the overtaken packets are worth.
    fn price(&mut self, now: Micros) {
        if now.since(self.worth_known_at) < PRICED_EACH && now >= self.worth_known_at {
            return;
        }
        self.worth_known_at = now;
        self.price_anew();
    }

    fn price_anew(&mut self) {
        let total = self.delays.total();
        self.worth = if self.reordered.total() > total * 1e-4 {
            self.reordered.best(self.delays.quantile(), total, MS_PER_PERCENT)
        } else {
            Bucket(0)
        };
    }
}

impl Recent {
    /// The floor when it came.
    fn floor(&self) -> i64 {
        self.transit.saturating_sub(i64::from(self.above))
    }

    /// Where its delay belongs if the fastest packet's transit is `floor`.
    fn above(&self, floor: i64) -> Bucket {
        Bucket::of(micros(self.transit.saturating_sub(floor)))
    }

    fn refile(&self, to: Bucket, delays: &mut Histogram, reordered: &mut Histogram) {
        if to != self.bucket {
            delays.refile(self.bucket, to, self.weight);
            if self.reordered {
                reordered.refile(self.bucket, to, self.weight);
            }
        }
    }
}

impl Stall {
    /// Whether a packet of this delay belongs to a stall that is the first for long.
    fn contains(&mut self, delay: Duration, target: Duration, now: Micros) -> bool {
        match self.above {
            None if delay > target * 2 + STALL => {
                self.above = Some(target);
                self.began = now;
                self.alone = self.ended.is_none_or(|end| now.since(end) > STALLS_APART);
            }
            Some(above) if delay <= above || now.since(self.began) > LONGEST_STALL => {
                self.above = None;
                self.ended = Some(now);
            }
            _ => {}
        }
        self.above.is_some() && self.alone
    }
}

fn saturated(value: i64) -> i32 {
    value.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

fn micros(value: i64) -> Duration {
    Duration::from_micros(value.max(0) as u64)
}

/// One packet in a hundred may be late.
const LATE_SHARE: f64 = 0.01;
/// After this much sound a delay weighs 1/e; half after 14 s.
const MEMORY_SECONDS: f64 = 20.0;
/// `WebRTC`'s price of reordering: one percent less loss is worth this much delay.
const MS_PER_PERCENT: f64 = 20.0;
/// A stall's first packet is this much later than twice the target.
const STALL: Duration = Duration::from_millis(20);
const LONGEST_STALL: Duration = Duration::from_secs(1);
/// Stalls that come more often are what the path is like.
const STALLS_APART: Duration = Duration::from_secs(25);
/// What a lonely stall's packets lose of their weight after two seconds: one of a second must not cost delay for half a minute.
const FORGIVEN: f64 = 0.9;
/// A path that becomes longer by less moves nothing that the histogram could tell, µs.
const LONGER: i64 = 1_000;
const WINDOW: Duration = Duration::from_secs(2);
const PRICED_EACH: Duration = Duration::from_millis(250);
/// So long a stream is young.
const YOUNG_SECONDS: f64 = 3.0;
/// Bursts that far apart are no bursts.
const BURST: Duration = Duration::from_millis(100);
/// Packets this close and in one bucket are one: short packets need no more memory than long ones.
const TOGETHER: Duration = Duration::from_millis(10);
/// Two seconds of packets 10 ms apart, and those that a stall held back.
const RECENT: usize = 256;
const LARGEST_WEIGHT: f64 = 1e12;

#[cfg(test)]
mod tests;
