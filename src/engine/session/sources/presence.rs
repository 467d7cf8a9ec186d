//! Who is there: sources join, fall silent, go on, leave, are lost. Told in the log, and to whoever listens for events.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{Entry, IDLE_AFTER, LOST_AFTER, Name, PROBATION, SWEEP_EVERY, Sources, TARGET};
use crate::engine::config::Wire;
use crate::engine::session::events::{Event, EventKind, Events};
use crate::engine::time::Micros;

impl Sources {
    /// What happens to the sources.
    pub fn events(&self) -> Arc<Events> {
        Arc::clone(&self.events)
    }

    /// A connection has ended, and its sources with it: in order, or `why` not.
    pub fn disconnected(&mut self, address: SocketAddr, why: Option<&str>, now: Micros) {
        let mut gone = Vec::new();
        for (name, entry) in
            self.entries.iter_mut().filter(|(name, _)| name.address == address && name.connected)
        {
            if entry.leave() {
                gone.push((*name, entry.number));
            }
        }
        for (name, number) in gone {
            let (kind, detail) = match why {
                None => (EventKind::Left, "its connection was closed"),
                Some(why) => (EventKind::Lost, why),
            };
            self.happened(kind, &name, number, detail, now);
        }
        self.list_players();
    }

    /// Now and then: forgets strangers, retires the silent, gives up those of whom nothing is heard, drops finished players.
    pub fn sweep(&mut self, now: Micros) {
        if now.since(self.swept) < SWEEP_EVERY {
            return;
        }
        self.swept = now;
        let Self { entries, malformed, access, .. } = self;
        entries.retain(|name, entry| {
            let stranger = !entry.receiver.is_believed() && now.since(entry.last_arrival) > PROBATION;
            if stranger {
                *malformed += entry.receiver.held();
                access.strangers.remove(name);
            }
            !stranger
        });
        let mut changed = Vec::new();
        for (name, entry) in self.entries.iter_mut().filter(|(_, entry)| entry.counts()) {
            let was_playing = entry.outlet.is_playing();
            if was_playing && now.since(entry.last_arrival) > IDLE_AFTER {
                entry.outlet.retire();
                entry.receiver.rest();
                changed.push((EventKind::Idle, *name, entry.number));
            } else if !was_playing
                && !name.connected
                && now.since(entry.last_sign()) > LOST_AFTER
                && entry.leave()
            {
                changed.push((EventKind::Lost, *name, entry.number));
            }
        }
        for (kind, name, number) in changed {
            let detail = match kind {
                EventKind::Idle => format!("nothing to be heard for {} s", IDLE_AFTER.as_secs()),
                _ => format!("no sign of it for {} s", LOST_AFTER.as_secs()),
            };
            self.happened(kind, &name, number, &detail, now);
        }
        self.list_players();
        self.sweep_sound(now);
        self.sweep_recordings();
        self.out.sweep();
        self.hear_again(now);
    }

    /// Has begun to play: whoever played by its SSRC has been silent for long.
    pub(super) fn appeared(&mut self, name: Name, now: Micros) {
        let before =
            |other: &Name| other.wire == Wire::Rtp && other.ssrc == name.ssrc && !other.is_with(&name);
        if name.wire == Wire::Rtp
            && let Some(other) = self.access.players.iter().find(|other| before(other)).copied()
            && let Some(entry) = self.entries.get_mut(&other)
            && entry.leave()
        {
            let number = entry.number;
            self.list_players();
            self.happened(EventKind::Left, &other, number, "it goes on from another address", now);
        }
        self.access.strangers.remove(&name);
        if let Some(entry) = self.entries.get_mut(&name) {
            let kind = match (entry.gone, entry.joined) {
                (false, true) => EventKind::Resumed,
                _ => EventKind::Joined,
            };
            (entry.gone, entry.joined) = (false, true);
            let (number, encoding) = (entry.number, entry.encoding);
            self.out.label(number, &format_args!("{name}, {encoding}"));
            let format = encoding.format;
            let detail = format!("{encoding}, {} Hz, {} channel(s)", format.rate(), format.channels());
            self.happened(kind, &name, number, &detail, now);
        }
        if !self.access.plays(&name) {
            self.access.players.push(name);
        }
    }

    /// Something has happened to a source.
    pub(super) fn happened(&mut self, kind: EventKind, name: &Name, source: u32, detail: &str, now: Micros) {
        if self.access.budget.may_tell(now) {
            log_event(kind, name, detail);
        }
        let detail = detail.to_owned();
        self.events.happened(Event { kind, at: now, source, detail, digit: None });
    }

    /// Players may have come or gone.
    pub(super) fn list_players(&mut self) {
        let Self { entries, access, .. } = self;
        access.players.clear();
        access.players.extend(entries.iter().filter(|(_, e)| e.outlet.is_playing()).map(|(name, _)| *name));
    }
}

impl Entry {
    /// It is not there any more. Whether it was.
    pub(super) fn leave(&mut self) -> bool {
        self.outlet.retire();
        !std::mem::replace(&mut self.gone, true) && self.joined
    }
}

/// The line of the log for what happened to a source.
pub(super) fn log_event(kind: EventKind, name: &Name, detail: &str) {
    match kind {
        EventKind::Joined => log::info!(target: TARGET, "connection from {name}, {detail}"),
        EventKind::Left => log::info!(target: TARGET, "{name} has left: {detail}"),
        EventKind::Idle => log::info!(target: TARGET, "{name} is idle: {detail}"),
        EventKind::Resumed => log::info!(target: TARGET, "{name} goes on, {detail}"),
        EventKind::Lost => log::warn!(target: TARGET, "{name} is lost: {detail}"),
        EventKind::Digit => log::info!(target: TARGET, "{name} has pressed {detail}"),
    }
}

#[cfg(test)]
mod tests;
