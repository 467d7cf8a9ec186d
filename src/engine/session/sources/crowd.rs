//! More sources than can be played in time: the newest go on unheard, counted and recorded, until there is room again.

use super::{Name, Sources, TARGET};
use crate::engine::config::Output;
use crate::engine::playout::render::Roster;
use crate::engine::time::Micros;

impl Sources {
    /// Now and then: finds out who is not heard any more, and lets as many be heard again as can be, the oldest first.
    pub(super) fn hear_again(&mut self, now: Micros) {
        if self.config.output == Output::None {
            return;
        }
        let Some(most) = self.out.roster.as_ref().map(Roster::most_players) else { return };
        let mut unheard: Vec<(u32, Name)> = Vec::new();
        let mut playing = 0;
        for (name, entry) in &mut self.entries {
            playing += usize::from(entry.outlet.is_playing());
            if entry.outlet.is_unheard() {
                unheard.push((entry.number, *name));
            }
        }
        unheard.sort_unstable_by_key(|(number, _)| *number);
        let room = most.saturating_sub(playing - unheard.len()).min(unheard.len());
        for (number, name) in unheard.drain(..room) {
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.outlet.retire();
                let packet = entry.receiver.packet_frames();
                entry.outlet.open(&self.config, entry.encoding, &mut self.out, &name, number, packet);
            }
        }
        if unheard.len() > self.unheard && self.may_tell(now) {
            log::warn!(target: TARGET, "too much to play: the newest {} of {playing} sources are not heard", unheard.len());
        }
        self.unheard = unheard.len();
    }
}
