//! Which packets are sent on: those of believed sources, as they came, and their reports.

use super::{Name, Sources};
use crate::engine::config::Wire;
use crate::engine::session::forwarding::Forwarding;
use crate::engine::stats::Forwarded;
use crate::engine::stream::receiver::Verdict;

/// What becomes of a packet after it was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Onward {
    /// It goes no further.
    #[default]
    No,
    /// It waits until its source is believed.
    Later(Name),
    /// Its source is believed with it: what waited goes before it.
    WithHeld(Name),
    /// It goes on.
    Now,
}

impl Onward {
    /// The same after a packet of sound was taken by that name; it may yet be tried by another.
    pub fn after(self, name: Name, believed: bool, verdict: Verdict) -> Self {
        match (name.wire, verdict) {
            (Wire::Classic, _) => self,
            (Wire::Rtp, Verdict::Believed) => Self::WithHeld(name),
            (Wire::Rtp, _) if believed => Self::Now,
            (Wire::Rtp, _) => Self::Later(name),
        }
    }
}

impl Sources {
    /// Begins to send packets on.
    pub fn set_forwarding(&mut self, forwarding: Forwarding) {
        self.out.forwarding = Some(forwarding);
    }

    /// A packet was looked at: `bytes`, as it came, goes where it was found to belong.
    pub(super) fn send_on(&mut self, bytes: &[u8]) {
        let onward = std::mem::take(&mut self.onward);
        let Some(forwarding) = &mut self.out.forwarding else { return };
        match onward {
            Onward::No => {}
            Onward::Later(name) => {
                if let Some(entry) = self.entries.get_mut(&name) {
                    entry.held = Some(bytes.into());
                }
            }
            Onward::WithHeld(name) => {
                if let Some(held) = self.entries.get_mut(&name).and_then(|entry| entry.held.take()) {
                    forwarding.take(&held);
                }
                forwarding.take(bytes);
            }
            Onward::Now => forwarding.take(bytes),
        }
    }

    /// Sends what is to be sent on.
    pub fn flush_forwarding(&mut self) {
        if let Some(forwarding) = &mut self.out.forwarding {
            forwarding.flush();
        }
    }

    /// What was sent on so far.
    pub(super) fn forwarded(&self) -> Forwarded {
        self.out.forwarding.as_ref().map(Forwarding::counts).unwrap_or_default()
    }
}
