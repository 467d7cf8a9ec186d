//! Packets that follow from nothing yet: held, a few at most, until a second one agrees with them.
//!
//! RFC 3550 A.1 wants two packets in sequence before a source, or its restart, is believed. Here the second may be late, swapped or
//! lost, and a third stand in for it; and the first is not thrown away.

use super::clocks::Leg;
use super::media_clock::{SLACK, frames_between};
use super::sequence::MAX_DROPOUT;
use crate::engine::config::Wire;
use crate::engine::format::Format;
use crate::engine::time::Micros;
use crate::engine::wire::content::Content;

/// What a packet says of itself, and when: what is looked at to believe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// As on the wire.
    pub sequence: u16,
    /// At the source's one clock rate; zero on the classic wire.
    pub timestamp: u32,
    /// The same by its own clock.
    pub leg: Leg,
    /// Zero on the classic wire.
    pub payload_type: u8,
    /// What it holds.
    pub content: Content,
    /// Its length, at the source's one clock rate: zero without sound.
    pub frames: u32,
    /// When it came.
    pub arrival: Micros,
}

/// A packet held.
pub struct Held {
    /// What it claims.
    pub claim: Claim,
    /// Its length on the wire.
    pub bytes: usize,
    /// How often it came again.
    pub copies: u32,
    /// Its sound, not decoded yet.
    pub payload: Vec<u8>,
}

/// The packets held, in order of arrival.
pub struct Probation {
    wire: Wire,
    rate: u32,
    held: Vec<Held>,
    refused: u64,
}

impl Probation {
    /// Nothing held yet.
    pub fn new(wire: Wire, format: Format) -> Self {
        Self { wire, rate: format.rate(), held: Vec::new(), refused: 0 }
    }

    /// The sequence number of the first packet held that agrees with this one.
    pub fn first_witness(&self, claim: &Claim) -> Option<u16> {
        self.held.iter().find(|held| self.agree(&held.claim, claim)).map(|held| held.claim.sequence)
    }

    /// Whether two packets can be of one stream: numbers near each other and not the same, timestamps that go the same way and
    /// agree with the time that passed. A copy is no evidence.
    pub fn agree(&self, first: &Claim, second: &Claim) -> bool {
        let step = i64::from(second.sequence.wrapping_sub(first.sequence) as i16);
        let near = match self.wire {
            // The number is all there is: noise of the right length would often be near enough otherwise.
            Wire::Classic => CLASSIC_NEAR,
            Wire::Rtp => MAX_DROPOUT,
        };
        if step == 0 || step.unsigned_abs() > near {
            return false;
        }
        let sound = match self.wire {
            Wire::Classic if first.frames != second.frames => return false,
            Wire::Classic => step * i64::from(first.frames),
            Wire::Rtp => i64::from(second.timestamp.wrapping_sub(first.timestamp) as i32),
        };
        let passed = frames_between(first.arrival, second.arrival, self.rate);
        // Many packets of one telephone event have its beginning as their timestamp.
        let in_order = first.frames == 0
            || second.frames == 0
            || sound.signum() == step.signum() && sound.abs() >= step.abs();
        in_order && (sound - passed).abs() <= i64::from(self.rate) * SLACK.as_secs() as i64
    }

    /// Holds a packet, in place of the oldest where there are too many; a copy of one held is counted with it.
    pub fn hold(&mut self, claim: Claim, bytes: usize, payload: &[u8]) {
        let same = |held: &&mut Held| Claim { arrival: claim.arrival, ..held.claim } == claim;
        if let Some(held) = self.held.iter_mut().find(same) {
            held.copies = held.copies.saturating_add(1);
            return;
        }
        if self.held.len() == MAX_HELD {
            let oldest = self.held.remove(0);
            self.refuse(&oldest);
        }
        self.held.push(Held { claim, bytes, copies: 0, payload: payload.to_vec() });
    }

    /// Whether a packet of sound is among those held.
    pub fn holds_sound(&self) -> bool {
        self.held.iter().any(|held| held.claim.frames > 0)
    }

    /// Positions count so many frames a second from now on.
    pub fn set_rate(&mut self, rate: u32) {
        self.rate = rate;
    }

    /// All packets held; none is then.
    pub fn take(&mut self) -> Vec<Held> {
        std::mem::take(&mut self.held)
    }

    /// Counts a packet as refused, and its copies.
    pub fn refuse(&mut self, held: &Held) {
        self.refused += 1 + u64::from(held.copies);
    }

    /// How many are held, copies included.
    pub fn held(&self) -> u64 {
        self.held.iter().map(|held| 1 + u64::from(held.copies)).sum()
    }

    /// How many were refused since the last call.
    pub fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }
}

/// How far apart two packets of the classic wire may be numbered to agree: what a burst of losses leaves apart.
/// Of two random packets one pair in 2,000 does.
const CLASSIC_NEAR: u64 = 16;
/// Packets held at most.
const MAX_HELD: usize = 4;
