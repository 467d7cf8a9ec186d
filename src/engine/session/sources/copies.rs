//! Streams that repeat another, packet by packet (RFC 7198): they repair it, and are never sources of their own.
//!
//! A copy is known by its SSRC, which is made of its source's, and by its address, which is the same; it must fit what the source has sent. So nobody can
//! do by it what they could not do by the source's own SSRC.

use super::onward::Onward;
use super::{Entry, Name, Sources, TARGET};
use crate::engine::config::Wire;
use crate::engine::session::reporting::Way;
use crate::engine::stream::receiver::Copied;
use crate::engine::time::Micros;

impl Sources {
    /// Takes a packet that is a copy of a believed source's; false where it is none.
    pub(super) fn copied(&mut self, name: Name, way: Way, arrival: Micros, bytes: &[u8]) -> bool {
        let Some(original) = self.original_of(&name) else { return false };
        if let Some(why) = self.objection(&original, arrival) {
            self.refuse(why, name.address, arrival);
            self.log(name.address, arrival, None, bytes, why.name());
            return true;
        }
        let Some(entry) = self.entries.get_mut(&original) else { return false };
        if !entry.repeated && entry.receiver.is_led_by(bytes, arrival) {
            // Its first packets were lost, and the copy believed in its place.
            self.swap(&original, name, way, arrival);
            return false;
        }
        entry.repeated = true;
        entry.last_arrival = arrival;
        match self.feed(&original, &mut |receiver, deliver| receiver.receive_copy(bytes, arrival, deliver)) {
            Some(Ok(copied)) => {
                self.onward = Onward::Now;
                self.log(name.address, arrival, None, bytes, what(copied));
            }
            Some(Err(why)) => self.disbelieve(&name, arrival, bytes, why),
            None => return false,
        }
        true
    }

    /// A source is believed: what came of its copies so far is forgotten.
    pub(super) fn forget_copies(&mut self, name: &Name) {
        if name.wire == Wire::Rtp {
            for copy in copies_of(name) {
                self.forget(&copy);
            }
        }
    }

    /// The believed source that such a packet would be a copy of.
    pub(super) fn original_of(&self, name: &Name) -> Option<Name> {
        if self.is_believed(name) && self.entries.get(name).is_some_and(|entry| entry.repeated) {
            return None;
        }
        originals_of(name).find(|original| self.is_believed(original))
    }

    /// What went by the name of a copy goes by its own.
    fn swap(&mut self, copy: &Name, name: Name, way: Way, arrival: Micros) {
        let Some(mut entry) = self.entries.remove(copy) else { return };
        entry.receiver.rename(name.ssrc);
        entry.correspond(&name, way, arrival);
        self.forget_copies(&name);
        log::info!(target: TARGET, "{copy} repeats {name}");
        self.entries.insert(name, Entry { last_arrival: arrival, ..entry });
        self.list_players();
    }
}

/// The names that the copies of a source go by.
fn copies_of(name: &Name) -> impl Iterator<Item = Name> + use<> {
    let name = *name;
    (0..MOST_COPIES).map(move |k| Name { ssrc: (!name.ssrc).wrapping_sub(k), ..name })
}

/// The sources that may go by such a name if it is a copy's.
fn originals_of(name: &Name) -> impl Iterator<Item = Name> + use<> {
    let name = *name;
    (0..MOST_COPIES).map(move |k| Name { ssrc: !name.ssrc.wrapping_add(k), ..name })
}

/// For the log.
const fn what(copied: Copied) -> &'static str {
    match copied {
        Copied::Ignored | Copied::Needless => "copy",
        Copied::Repaired => "repaired",
    }
}

/// Copies of one source at most.
const MOST_COPIES: u32 = 4;

#[cfg(test)]
#[path = "copies_tests.rs"]
mod tests;
