//! The render object with an eye on its time: when a call takes too much of its block, concealment becomes cheaper.

use std::time::Duration;

use crate::engine::format::Format;
use crate::engine::playout::render::{Render, Renderer, Starved};
use crate::engine::time::{Clock, Micros};

/// Renders, measures, and chooses the tier.
pub struct Timed {
    renderer: Renderer,
    clock: Clock,
    format: Format,
    /// When it last took too long, or became dearer.
    changed: Micros,
}

impl Timed {
    /// Around `renderer`, which renders `format`.
    pub fn new(renderer: Renderer, clock: Clock, format: Format) -> Self {
        Self { renderer, clock, format, changed: Micros::ZERO }
    }
}

impl Render for Timed {
    fn render(&mut self, now: Micros, out: &mut [f32], starved: Starved) -> usize {
        let began = self.clock.now();
        let sound = self.renderer.render(now, out, starved);
        let ended = self.clock.now();
        let budget = self.format.duration((out.len() / self.format.channels()) as u64) / SHARE;
        let tier = self.renderer.tier();
        if ended.since(began) > budget {
            self.renderer.set_tier(tier.cheaper());
            self.changed = ended;
        } else if ended.since(self.changed) > PATIENCE && tier != tier.dearer() {
            self.renderer.set_tier(tier.dearer());
            self.changed = ended;
        }
        sound
    }
}

/// A call may take this part of the time that its sound lasts.
const SHARE: u32 = 4;
/// How long it must have been quick before a dearer tier is tried.
const PATIENCE: Duration = Duration::from_secs(10);
