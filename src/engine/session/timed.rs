//! The render object with an eye on its time: when concealment takes too much of its block, it becomes cheaper; when a call
//! takes too much all the same, the newest sources are not played any more, and the others as they were.

use std::sync::Arc;
use std::time::Duration;

use super::toil::toil;
use crate::engine::format::Format;
use crate::engine::playout::conceal::{Tier, Watch};
use crate::engine::playout::render::{Render, Renderer, Starved};
use crate::engine::time::{Clock, Micros};

/// Renders, measures, and chooses the tier.
pub struct Timed {
    renderer: Renderer,
    clock: Clock,
    format: Format,
    call: Call,
    choice: Choice,
    crowd: Crowd,
}

impl Timed {
    /// Around `renderer`, which renders `format`.
    pub fn new(mut renderer: Renderer, clock: Clock, format: Format) -> Self {
        renderer.set_watch(&(Arc::new(toil) as Watch));
        Self {
            renderer,
            clock,
            format,
            call: Call::default(),
            choice: Choice::default(),
            crowd: Crowd::default(),
        }
    }
}

impl Render for Timed {
    fn render(&mut self, now: Micros, out: &mut [f32], starved: Starved) -> usize {
        if now != self.call.at {
            let block = self.format.duration(self.call.frames);
            let Call { took, toil, concealing, .. } = self.call;
            let rest = toil.saturating_sub(concealing);
            let budget = block.mul_f64(ROOM).saturating_sub(rest).min(block / SHARE);
            let tier = self.choice.judge(now, self.renderer.tier(), concealing, budget);
            let strain = Strain { players: self.renderer.players(), took, toil };
            if let Some(most) = self.crowd.judge(now, self.renderer.tier(), strain, block) {
                self.renderer.keep_players(most);
            }
            if tier != self.renderer.tier() {
                self.renderer.set_tier(tier);
            }
            self.call = Call { at: now, ..Call::default() };
        }
        let (began, before) = (self.clock.now(), toil());
        let sound = self.renderer.render(now, out, starved);
        self.call.took += self.clock.now().since(began);
        self.call.toil += toil().saturating_sub(before);
        self.call.concealing += self.renderer.take_concealing();
        self.call.frames += (out.len() / self.format.channels()) as u64;
        sound
    }
}

/// One call of the device: where it is converted it comes in pieces, all at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Call {
    at: Micros,
    /// By the clock, and what this thread has worked; concealment's part of that.
    took: Duration,
    toil: Duration,
    concealing: Duration,
    frames: u64,
}

/// Which tier can be afforded.
#[derive(Clone, Copy, Debug)]
struct Choice {
    /// When it last changed.
    changed: Micros,
    /// How long it must have been quick before a dearer tier is tried.
    patience: Duration,
    /// Calls in a row that left nothing for concealment.
    full: u32,
}

impl Choice {
    /// The tier from now on, after a call at `tier` in which concealment took so long.
    fn judge(&mut self, now: Micros, tier: Tier, took: Duration, budget: Duration) -> Tier {
        self.full = if budget.is_zero() { self.full + 1 } else { 0 };
        if took > budget || self.full >= FULL_CALLS {
            // As many steps as it was too long by; a tier that fails again and again is tried less and less often.
            let least = budget.as_secs_f64() / took.as_secs_f64() * COST[tier as usize];
            let cheap_enough = Tier::ALL.into_iter().find(|t| *t > tier && COST[*t as usize] <= least);
            self.changed = now;
            // It says nothing of a dearer tier that the cheapest is too dear: many may miss sound for a moment.
            if tier != Tier::Pitch {
                self.patience = (self.patience * 2).min(LONGEST_PATIENCE);
            }
            return cheap_enough.unwrap_or(Tier::Pitch);
        }
        if now.since(self.changed) > self.patience {
            self.changed = now;
            if tier == tier.dearer() {
                self.patience = (self.patience / 2).max(PATIENCE);
            }
            return tier.dearer();
        }
        tier
    }
}

impl Default for Choice {
    fn default() -> Self {
        Self { changed: Micros::ZERO, patience: PATIENCE, full: 0 }
    }
}

/// How many sources can be played.
#[derive(Clone, Copy, Debug)]
struct Crowd {
    most: u32,
    /// When that last changed.
    changed: Micros,
    /// What calls in a row that took too long add up to.
    long: u32,
}

/// What a call had to do.
#[derive(Clone, Copy, Debug)]
struct Strain {
    players: usize,
    /// By the clock.
    took: Duration,
    /// By this thread's own work.
    toil: Duration,
}

impl Crowd {
    /// How many from now on, if that changes, after a call at `tier` for `block`. Others may keep this thread waiting for
    /// moments; only if they do so all the time that counts as well.
    fn judge(&mut self, now: Micros, tier: Tier, strain: Strain, block: Duration) -> Option<u32> {
        let Strain { players, took, toil } = strain;
        self.long += match () {
            () if tier != Tier::Pitch || players < 2 => 0,
            () if toil > block.mul_f64(TOO_LONG) => LONG.div_ceil(LONG_CALLS),
            () if took > block => 1,
            () => 0,
        };
        if self.long >= LONG {
            let share = block.as_secs_f64() * AFFORDED / toil.max(took).as_secs_f64();
            self.most = ((players as f64 * share) as u32).clamp(1, players as u32 - 1);
            (self.changed, self.long) = (now, 0);
            return Some(self.most);
        }
        if took <= block && toil <= block.mul_f64(TOO_LONG) {
            self.long = 0;
        }
        let quiet = toil < block.mul_f64(AFFORDED) && now.since(self.changed) > CROWD_PATIENCE;
        if self.most == u32::MAX || !quiet {
            return None;
        }
        self.changed = now;
        let room = players as f64 * block.as_secs_f64() * AFFORDED / toil.as_secs_f64();
        let full = players as u32 >= self.most;
        let (some, twice) = (self.most.saturating_add((self.most / 8).max(1)), self.most.saturating_mul(2));
        self.most = if full { (room as u32).clamp(some, twice) } else { u32::MAX };
        Some(self.most)
    }
}

impl Default for Crowd {
    fn default() -> Self {
        Self { most: u32::MAX, changed: Micros::ZERO, long: 0 }
    }
}

/// More of its block must no call take, at the cheapest tier, …
const TOO_LONG: f64 = 0.75;
/// … so often in a row: where many begin at once there is more to do for a moment …
const LONG_CALLS: u32 = 25;
/// … nor last longer than its block by the clock so often …
const LONG: u32 = 100;
/// … or else so many are played as take this part.
const AFFORDED: f64 = 0.5;
/// After so long without haste some more are.
const CROWD_PATIENCE: Duration = Duration::from_secs(10);
/// Concealment may take this part of the time that its sound lasts …
const SHARE: u32 = 4;
/// … where no more than this is taken by all …
const ROOM: f64 = 0.6;
/// … and becomes the cheapest where so many calls in a row left nothing for it.
const FULL_CALLS: u32 = 3;
/// How long it must have been quick before a dearer tier is tried, doubled at each failure: at first …
const PATIENCE: Duration = Duration::from_secs(5);
/// … and where it was too dear each time.
const LONGEST_PATIENCE: Duration = Duration::from_secs(320);
/// What the tiers cost against each other (`benches/conceal.rs`).
const COST: [f64; Tier::ALL.len()] = [1.0, 0.7, 0.45, 0.3, 0.05];

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(seconds: u64) -> Micros {
        Micros(seconds * 1_000_000)
    }

    #[test]
    fn what_takes_too_long_becomes_as_much_cheaper_as_it_must() {
        for (took, want) in [
            (2 * MS, Tier::Ar440),
            (3 * MS, Tier::Ar256),
            (5 * MS, Tier::Ar128),
            (8 * MS, Tier::Ar64),
            (20 * MS, Tier::Pitch),
            (900 * MS, Tier::Pitch),
        ] {
            let tier = Choice::default().judge(at(1), Tier::Ar440, took, Duration::from_micros(2_500));
            assert_eq!(tier, want, "{took:?}");
        }
        let mut choice = Choice::default();
        assert!((0..100).all(|_| choice.judge(at(1), Tier::Pitch, 9 * MS, MS) == Tier::Pitch));
        assert_eq!(choice.judge(at(7), Tier::Pitch, MS / 2, MS), Tier::Ar64, "that was not its fault");
    }

    #[test]
    fn a_tier_that_is_always_too_dear_is_tried_ever_less_often_and_one_that_was_too_dear_once_soon() {
        // The machine affords order 256, and for one second in the end everything takes long.
        let mut choice = Choice::default();
        let mut tier = Tier::Ar440;
        let mut tries = Vec::new();
        for second in 1..3_600 {
            let took = if tier == Tier::Ar440 { 3 * MS } else { MS };
            let next = choice.judge(at(second), tier, took, Duration::from_micros(2_500));
            tries.extend((next < tier).then_some(second));
            tier = next;
        }
        assert!(tries.len() < 16, "{tries:?}");
        assert!(tries.windows(3).all(|w| w[2] - w[1] >= w[1] - w[0]), "{tries:?}");
        let mut choice = Choice::default();
        let mut tier = choice.judge(at(1), Tier::Ar440, 9 * MS, MS);
        assert_eq!(tier, Tier::Pitch);
        for second in 2..50 {
            tier = choice.judge(at(second), tier, MS, 2 * MS);
        }
        assert_eq!(tier, Tier::Ar440);
    }

    #[test]
    fn only_what_is_too_much_at_the_cheapest_tier_costs_sources_and_they_come_back_by_and_by() {
        let block = 10 * MS;
        let mut crowd = Crowd::default();
        let mut judge = |second: u64, tier, players, toil| {
            crowd.judge(at(second), tier, Strain { players, took: toil, toil }, block)
        };
        assert!((1..100).all(|n| judge(n, Tier::Ar64, 1000, 20 * MS).is_none()));
        assert!((1..100).all(|n| judge(n, Tier::Pitch, 1000, 7 * MS).is_none()));
        assert!((1..25).all(|_| judge(1, Tier::Pitch, 1000, 20 * MS).is_none()), "for a moment");
        assert_eq!(judge(1, Tier::Pitch, 1000, 20 * MS), Some(250));
        assert_eq!(judge(2, Tier::Pitch, 250, 4 * MS), None, "not at once");
        assert_eq!(judge(12, Tier::Pitch, 250, 4 * MS), Some(312));
        assert_eq!(judge(23, Tier::Pitch, 312, 6 * MS), None, "no more can be afforded");
        assert_eq!(judge(24, Tier::Pitch, 312, MS), Some(624), "not all at once");
        assert_eq!(judge(35, Tier::Pitch, 200, 4 * MS), Some(u32::MAX), "there are fewer by themselves");
    }

    #[test]
    fn where_there_is_no_room_for_concealment_it_is_the_cheapest_and_where_mixing_alone_takes_long_it_is_not()
    {
        let mut choice = Choice::default();
        let none = Duration::ZERO;
        let tiers = [1, 2, 3].map(|n| choice.judge(at(n), Tier::Ar440, none, none));
        assert_eq!(tiers, [Tier::Ar440, Tier::Ar440, Tier::Pitch]);
        assert_eq!(Choice::default().judge(at(1), Tier::Ar440, MS, MS), Tier::Ar440);
    }

    #[test]
    fn who_is_kept_waiting_by_others_gives_sources_up_only_if_that_goes_on() {
        let block = 10 * MS;
        let mut crowd = Crowd::default();
        let mut judge =
            |took| crowd.judge(at(1), Tier::Pitch, Strain { players: 100, took, toil: MS }, block);
        assert!((0..99).all(|_| judge(20 * MS).is_none()));
        assert_eq!(judge(9 * MS), None);
        assert!((0..99).all(|_| judge(20 * MS).is_none()));
        assert_eq!(judge(20 * MS), Some(25));
    }
}
