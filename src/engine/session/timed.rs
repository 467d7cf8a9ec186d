//! The render object with an eye on its time: when a call takes too much of its block, concealment becomes cheaper; when it
//! takes too much all the same, the newest sources are not played any more, and the others as they were.

use std::time::Duration;

use crate::engine::format::Format;
use crate::engine::playout::conceal::Tier;
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
    pub fn new(renderer: Renderer, clock: Clock, format: Format) -> Self {
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
            let budget = block / SHARE;
            let tier = self.choice.judge(now, self.renderer.tier(), self.call.took, budget);
            if let Some(most) =
                self.crowd.judge(now, self.renderer.tier(), self.renderer.players(), self.call.took, block)
            {
                self.renderer.keep_players(most);
            }
            if tier != self.renderer.tier() {
                self.renderer.set_tier(tier);
            }
            self.call = Call { at: now, ..Call::default() };
        }
        let began = self.clock.now();
        let sound = self.renderer.render(now, out, starved);
        self.call.took += self.clock.now().since(began);
        self.call.frames += (out.len() / self.format.channels()) as u64;
        sound
    }
}

/// One call of the device: where it is converted it comes in pieces, all at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Call {
    at: Micros,
    took: Duration,
    frames: u64,
}

/// Which tier can be afforded.
#[derive(Clone, Copy, Debug)]
struct Choice {
    /// When it last changed.
    changed: Micros,
    /// How long it must have been quick before a dearer tier is tried.
    patience: Duration,
}

impl Choice {
    /// The tier from now on, after a call at `tier` that took so long.
    fn judge(&mut self, now: Micros, tier: Tier, took: Duration, budget: Duration) -> Tier {
        if took > budget {
            // As many steps as it was too long by; a tier that fails again and again is tried less and less often.
            let least = budget.as_secs_f64() / took.as_secs_f64() * COST[tier as usize];
            let cheap_enough = Tier::ALL.into_iter().find(|t| *t > tier && COST[*t as usize] <= least);
            self.changed = now;
            self.patience = (self.patience * 2).min(LONGEST_PATIENCE);
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
        Self { changed: Micros::ZERO, patience: PATIENCE }
    }
}

/// How many sources can be played.
#[derive(Clone, Copy, Debug)]
struct Crowd {
    most: u32,
    /// When that last changed.
    changed: Micros,
    /// Calls in a row that took too long.
    long: u32,
}

impl Crowd {
    /// How many from now on, if that changes, after a call at `tier` that played so many and took so long of `block`.
    fn judge(
        &mut self,
        now: Micros,
        tier: Tier,
        players: usize,
        took: Duration,
        block: Duration,
    ) -> Option<u32> {
        if tier == Tier::Pitch && players > 1 && took > block.mul_f64(TOO_LONG) {
            self.long += 1;
            if self.long < LONG_CALLS {
                return None;
            }
            let share = block.as_secs_f64() * AFFORDED / took.as_secs_f64();
            self.most = ((players as f64 * share) as u32).clamp(1, players as u32 - 1);
            (self.changed, self.long) = (now, 0);
            return Some(self.most);
        }
        self.long = 0;
        let quiet = took < block.mul_f64(AFFORDED) && now.since(self.changed) > CROWD_PATIENCE;
        if self.most == u32::MAX || !quiet {
            return None;
        }
        self.changed = now;
        let full = players as u32 >= self.most;
        self.most = if full { self.most.saturating_add((self.most / 8).max(1)) } else { u32::MAX };
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
/// … so often in a row …
const LONG_CALLS: u32 = 3;
/// … or else so many are played as take this part.
const AFFORDED: f64 = 0.5;
/// After so long without haste some more are.
const CROWD_PATIENCE: Duration = Duration::from_secs(10);
/// A call may take this part of the time that its sound lasts.
const SHARE: u32 = 4;
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
        let cheapest = Choice::default().judge(at(1), Tier::Pitch, 9 * MS, MS);
        assert_eq!(cheapest, Tier::Pitch);
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
        let mut judge =
            |second: u64, tier, players, took| crowd.judge(at(second), tier, players, took, block);
        assert!((1..100).all(|n| judge(n, Tier::Ar64, 1000, 20 * MS).is_none()));
        assert!((1..100).all(|n| judge(n, Tier::Pitch, 1000, 7 * MS).is_none()));
        assert_eq!([1, 1, 1].map(|n| judge(n, Tier::Pitch, 1000, 20 * MS)), [None, None, Some(250)]);
        assert_eq!(judge(2, Tier::Pitch, 250, 4 * MS), None, "not at once");
        assert_eq!(judge(12, Tier::Pitch, 250, 4 * MS), Some(281));
        assert_eq!(judge(23, Tier::Pitch, 281, 6 * MS), None, "no more can be afforded");
        assert_eq!(judge(24, Tier::Pitch, 200, 4 * MS), Some(u32::MAX), "there are fewer by themselves");
    }
}
