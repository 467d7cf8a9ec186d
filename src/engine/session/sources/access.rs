//! Who may be heard: what is decided of a packet before anything is made of it.
//!
//! Guaranteed: while a source plays, nobody else plays in its name (its SSRC from another address); so many play at once, so many
//! of one address; what is refused costs a look into a short list, and is counted.

use std::net::SocketAddr;
use std::time::Duration;

use super::strangers::Strangers;
use super::{Entry, IDLE_AFTER, Name, Outlet, Sources, TARGET};
use crate::engine::config::Wire;
use crate::engine::networks::Place;
use crate::engine::session::complaints::{Budget, Complaints, Refusal};
use crate::engine::session::events::EventKind;
use crate::engine::time::Micros;

/// What is known of those that want to be heard.
pub struct Access {
    /// Those that play.
    pub(super) players: Vec<Name>,
    pub strangers: Strangers,
    /// Turned away.
    pub refused: u64,
    /// In the name of another.
    pub wrong_source: u64,
    /// Not sealed with the key, or opened before.
    pub unauthentic: u64,
    complaints: Complaints,
    /// For the lines that peers cause.
    pub budget: Budget,
}

impl Access {
    /// For a server that hears so many at once: as many may begin at once.
    pub fn new(max_sources: usize) -> Self {
        Self {
            players: Vec::new(),
            strangers: Strangers::new(max_sources),
            refused: 0,
            wrong_source: 0,
            unauthentic: 0,
            complaints: Complaints::default(),
            budget: Budget::default(),
        }
    }

    /// Whether it plays.
    pub fn plays(&self, name: &Name) -> bool {
        self.players.contains(name)
    }
}

impl Sources {
    /// Whether anything may come from there; counted and told where it may not. To be asked before a packet is looked at.
    pub fn lets_in(&mut self, address: SocketAddr, arrival: Micros) -> bool {
        let allowed = self.config.allow.admit(address.ip());
        if !allowed {
            self.refuse(Refusal::NotAllowed, address, arrival);
        }
        allowed
    }

    /// Something was refused: counted, and told now and then.
    pub fn refuse(&mut self, why: Refusal, address: SocketAddr, now: Micros) {
        let access = &mut self.access;
        *match why {
            Refusal::WrongSource | Refusal::SharedKeystream => &mut access.wrong_source,
            _ if why.is_unauthentic() => &mut access.unauthentic,
            _ => &mut access.refused,
        } += 1;
        if let Some(line) = access.complaints.refused(why, address, now) {
            log::warn!(target: TARGET, "{line}");
        }
    }

    /// Whether one more line may be written of what peers do.
    pub fn may_tell(&mut self, now: Micros) -> bool {
        self.access.budget.may_tell(now)
    }

    /// Why a packet by that name must not be heard now.
    pub(super) fn objection(&self, name: &Name, now: Micros) -> Option<Refusal> {
        let entry = self.entries.get(name);
        if let Some(entry) = entry
            && (entry.outlet.is_playing() || matches!(entry.outlet, Outlet::Unplayable))
        {
            return entry.is_too_fast(now).then_some(Refusal::TooFast);
        }
        if self.plays_elsewhere(name, now).is_some() {
            return Some(Refusal::WrongSource);
        }
        let place = Place::from(name.address.ip());
        let (there, over) = self.players_at(place, now);
        if self.access.players.len() - over.len() >= self.config.max_sources {
            return Some(Refusal::TooMany);
        }
        (!place.is_loopback() && there - over.len() >= MOST_THERE).then_some(Refusal::TooManyThere)
    }

    /// How many play from there, and which of them have fallen silent: those do not count where there is no room.
    fn players_at(&self, place: Place, now: Micros) -> (usize, Vec<Name>) {
        let there = || self.access.players.iter().filter(|player| Place::from(player.address.ip()) == place);
        let is_over =
            |name: &&Name| self.entries.get(name).is_none_or(|entry| now.since(entry.last_arrival) > QUIET);
        (there().count(), there().filter(is_over).copied().collect())
    }

    /// Where there is no room for a source that is not heard yet, those of its address that have fallen silent make way.
    pub(super) fn make_way(&mut self, name: &Name, now: Micros) {
        let place = Place::from(name.address.ip());
        let (there, over) = self.players_at(place, now);
        let is_full = self.access.players.len() >= self.config.max_sources
            || !place.is_loopback() && there >= MOST_THERE;
        if !is_full {
            return;
        }
        for other in over {
            if let Some(entry) = self.entries.get_mut(&other) {
                entry.outlet.retire();
                entry.receiver.rest();
                let number = entry.number;
                self.happened(EventKind::Idle, &other, number, "silent, and its address sends another", now);
            }
        }
        self.list_players();
    }

    /// Who plays with the same SSRC at another address. One that has been silent for long is over.
    pub(super) fn plays_elsewhere(&self, name: &Name, now: Micros) -> Option<Name> {
        let same = |other: &&Name| {
            name.wire == Wire::Rtp
                && other.wire == Wire::Rtp
                && other.ssrc == name.ssrc
                && !other.is_with(name)
        };
        let runs = |entry: &Entry| now.since(entry.last_arrival) <= IDLE_AFTER;
        self.access
            .players
            .iter()
            .filter(same)
            .find(|other| self.entries.get(other).is_some_and(runs))
            .copied()
    }

    /// A stranger comes in, and whoever has to go for it goes. The silent are few, too: the longest silent goes first, its figures
    /// kept in the sums.
    pub(super) fn enter(&mut self, name: Name, entry: Entry, now: Micros) {
        if let Some(gone) = self.access.strangers.add(name)
            && let Some(entry) = self.entries.remove(&gone)
        {
            self.malformed += entry.receiver.held();
        }
        let silent =
            self.entries.len().saturating_sub(self.access.players.len() + self.access.strangers.len());
        if silent > MOST_SILENT {
            let silent =
                self.entries.iter().filter(|(_, e)| e.receiver.is_believed() && !e.outlet.is_playing());
            let oldest = silent.min_by_key(|(_, e)| e.last_arrival).map(|(name, _)| *name);
            if let Some(name) = oldest
                && let Some(entry) = self.entries.remove(&name)
                && entry.counts()
            {
                if !entry.gone {
                    self.happened(EventKind::Lost, &name, entry.number, "forgotten, for others", now);
                }
                let stats = entry.stats(&name);
                self.out.dropped += entry.dropped;
                self.departed.reception.add(&entry.reception_at(self.config.audio.format));
                self.departed.playback.add(&stats.playback);
            }
        }
        self.entries.insert(name, entry);
    }

    /// One that is not to be believed after all.
    pub(super) fn forget(&mut self, name: &Name) {
        self.entries.remove(name);
        self.access.strangers.remove(name);
    }

    /// What the tables hold: strangers, and all.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        (self.access.strangers.len(), self.entries.len())
    }
}

impl Entry {
    /// A file may be sent at once; but nobody fills a disk faster than time passes for long.
    pub(super) fn is_too_fast(&self, now: Micros) -> bool {
        let sound = self.encoding.format.duration(self.receiver.frames());
        sound > now.since(self.came) + MOST_AHEAD
    }
}

/// Sources that play from one address at once, this machine's own excepted.
const MOST_THERE: usize = 8;
/// So long without a packet, and a source gives up its room to another one of its address.
const QUIET: Duration = Duration::from_secs(1);
/// By how much the sound of a source may be more than the time since its first packet.
const MOST_AHEAD: Duration = Duration::from_secs(600);
/// Sources remembered that are believed and silent.
const MOST_SILENT: usize = 256;

#[cfg(test)]
mod tests;
