//! What sources report, and what is said to them.

use super::onward::Onward;
use super::opening::sealed;
use super::{Entry, IDLE_AFTER, Name, Sources, TARGET};
use crate::engine::config::Wire;
use crate::engine::session::complaints::Refusal;
use crate::engine::session::events::EventKind;
use crate::engine::session::reporting::{Letter, Subject, Way, hearing, speakers};
use crate::engine::time::Micros;
use crate::engine::wire::rtcp::Compound;

impl Sources {
    /// Reports have come. They are for the sources at the same address, or at the port below (RFC 3550 §11).
    /// Whether one that is heard is among those.
    pub(super) fn control(&mut self, way: Way, arrival: Micros, bytes: &[u8]) -> bool {
        let Ok(compound) = Compound::parse(bytes) else {
            if self.looks_sealed(bytes) {
                self.refuse(Refusal::Sealed, way.address, arrival);
            } else {
                self.not_believed(way.address, arrival, bytes);
            }
            return false;
        };
        let mut below = way.address;
        below.set_port(below.port().saturating_sub(1));
        let (mut posing, mut heard) = (false, false);
        for ssrc in speakers(compound) {
            let mut known = false;
            for address in [way.address, below] {
                let name = Name::new(Way { address, ..way }, Wire::Rtp, ssrc);
                let Some(entry) = self.entries.get_mut(&name) else { continue };
                let Some(reports) = entry.reports.as_mut() else { continue };
                known = true;
                heard |= self.access.plays(&name);
                if let Some(talk) = entry.answer.talk_mut() {
                    talk.hear(compound, arrival, self.reporting.wall());
                }
                if reports.hear(&mut self.reporting, compound, way, arrival) && self.may_tell(arrival) {
                    log::info!(target: TARGET, "{name} has said goodbye");
                }
            }
            let name = Name::new(way, Wire::Rtp, ssrc);
            posing |= !known && self.plays_elsewhere(&name, arrival).is_some();
        }
        if heard {
            self.onward = Onward::Now;
        }
        if posing {
            self.refuse(Refusal::WrongSource, way.address, arrival);
        }
        heard
    }

    /// What is to be said to the sources now.
    pub fn letters(&mut self, now: Micros) -> Vec<Letter> {
        if !self.reporting.is_due(now) {
            return Vec::new();
        }
        self.reporting.rest(now, self.entries.len());
        let (mut letters, mut gone) = (Vec::new(), Vec::new());
        let own = self.reporting.ssrc();
        for (name, entry) in self.entries.iter_mut().filter(|(_, entry)| entry.counts()) {
            let Entry { encoding, receiver, outlet, last_arrival, reports: Some(reports), .. } = entry else {
                continue;
            };
            let subject = Subject { encoding: *encoding, receiver, outlet, last_arrival: *last_arrival };
            let (letter, is_over) = self.reporting.turn(reports, subject, &self.config, now);
            letters.extend(letter.and_then(|letter| sealed(self.opening.as_deref_mut(), name, own, letter)));
            if is_over && entry.leave() {
                gone.push((*name, entry.number));
            }
        }
        if !gone.is_empty() {
            self.list_players();
        }
        for (name, number) in gone {
            self.happened(EventKind::Left, &name, number, "it said goodbye", now);
        }
        letters
    }

    /// How a call with a source would be judged: the rating, the score.
    pub(super) fn quality(&self, entry: &Entry) -> Option<(f64, f64)> {
        let listener = entry.reports.as_deref()?.listener();
        let hearing = hearing(entry.encoding, &entry.receiver, &entry.outlet, &self.config);
        listener.quality(&hearing).map(|quality| (quality.r_factor, quality.mos))
    }

    /// The goodbyes to all sources that are there and were reported to.
    pub fn farewell(&mut self, now: Micros) -> Vec<Letter> {
        let own = self.reporting.ssrc();
        let present = self.entries.iter_mut().filter(|(_, entry)| now.since(entry.last_arrival) < IDLE_AFTER);
        present
            .filter_map(|(name, entry)| {
                let reception = entry.receiver.reception();
                let letter = self.reporting.goodbye(entry.reports.as_mut()?, &reception)?;
                sealed(self.opening.as_deref_mut(), name, own, letter)
            })
            .collect()
    }
}
