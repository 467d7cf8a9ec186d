//! How much may be under way: the congestion window in segments, after Reno (RFC 5681) or CUBIC (RFC 9438), and its
//! reduction in proportion to what is delivered (RFC 6937).

use super::Algorithm;
use super::cubic::Cubic;
use crate::engine::time::Micros;

/// The congestion window.
#[derive(Clone, Debug)]
pub struct Window {
    size: u32,
    threshold: u32,
    /// Acknowledged segments that have not made it grow yet.
    credit: u32,
    cubic: Option<Cubic>,
    /// Of the last reduction: the window before it, what was delivered and sent since.
    before: u32,
    delivered: u32,
    sent: u32,
    /// What a reduction that proves wrong returns to.
    threshold_before: Option<u32>,
    /// Whether, since `usage_end` was sent, the window was what held the sender back, or else how much was under way.
    limited: bool,
    most_out: u32,
    usage_end: u64,
    used: u32,
    used_since: Micros,
}

impl Window {
    /// At the start of a connection.
    pub fn new(algorithm: Algorithm) -> Self {
        Self {
            size: INITIAL,
            threshold: u32::MAX,
            credit: 0,
            cubic: (algorithm == Algorithm::Cubic).then(Cubic::default),
            before: 0,
            delivered: 0,
            sent: 0,
            threshold_before: None,
            limited: false,
            most_out: 0,
            usage_end: 0,
            used: 0,
            used_since: Micros::ZERO,
        }
    }

    /// Segments that may be under way.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// A round trip was measured.
    pub fn round_trip(&mut self, now: Micros, micros: u64) {
        if let Some(cubic) = &mut self.cubic {
            cubic.round_trip(now, micros);
        }
    }

    /// Grows by `acked` segments' worth, if the window is what holds the sender back (RFC 7661's aim, Linux' rule).
    pub fn grow(&mut self, now: Micros, mut acked: u32) {
        let slow_start = self.size < self.threshold;
        if !(self.limited || slow_start && self.size < 2 * self.most_out) {
            return;
        }
        if slow_start {
            let grown = (self.size + acked).min(self.threshold);
            acked -= grown - self.size;
            self.size = grown;
            if acked == 0 {
                return;
            }
        }
        let each = match &mut self.cubic {
            None => self.size,
            Some(cubic) => cubic.segments_for_one(now, self.size, acked),
        };
        if self.credit >= each {
            self.credit = 0;
            self.size += 1;
        }
        self.credit += acked;
        self.size = self.size.saturating_add(self.credit / each).min(LARGEST);
        self.credit %= each;
    }

    /// Something was lost: from now on the window shrinks to its new threshold.
    pub fn begin_reduction(&mut self) {
        self.lower_threshold();
        self.before = self.size;
        (self.delivered, self.sent) = (0, 0);
        self.credit = 0;
    }

    /// Shrinks in proportion to what was `delivered`; `advanced` where the oldest was among it and nothing more was lost.
    pub fn reduce(&mut self, in_flight: u32, delivered: u32, advanced: bool) {
        if delivered == 0 || self.before == 0 {
            return;
        }
        self.delivered += delivered;
        let may = if in_flight > self.threshold {
            let share =
                (u64::from(self.threshold) * u64::from(self.delivered)).div_ceil(u64::from(self.before));
            (share as u32).saturating_sub(self.sent)
        } else {
            let room = self.threshold - in_flight;
            let grown = self.delivered.saturating_sub(self.sent).max(delivered) + u32::from(advanced);
            room.min(grown)
        };
        // The first retransmission goes at once.
        let least = u32::from(self.sent == 0);
        self.size = in_flight + may.max(least);
    }

    /// A segment goes out during a reduction.
    pub fn sent_in_reduction(&mut self) {
        self.sent += 1;
    }

    /// The reduction is over.
    pub fn end_reduction(&mut self, now: Micros) {
        if self.threshold < u32::MAX {
            self.size = self.threshold;
            self.used_since = now;
        }
    }

    /// A timeout has passed (RFC 5681, 3.1): a new threshold, unless the last one was for the same losses.
    pub fn collapse(&mut self, fresh: bool, in_flight: u32) {
        if fresh {
            self.before = self.size;
            self.lower_threshold();
        }
        if let Some(cubic) = &mut self.cubic {
            *cubic = Cubic::default();
        }
        self.size = in_flight + 1;
        self.credit = 0;
    }

    /// The last reduction was for nothing.
    pub fn undo(&mut self, now: Micros) {
        if let Some(threshold) = self.threshold_before.take() {
            self.size = self.size.max(self.before);
            self.threshold = self.threshold.max(threshold);
        } else {
            self.size = self.size.max(self.threshold.saturating_mul(2).min(LARGEST));
        }
        self.used_since = now;
    }

    /// What was under way after sending, up to `nxt`: the window that is not used does not stay (RFC 2861, as Linux has it).
    pub fn used(
        &mut self,
        now: Micros,
        packets: u32,
        limited: bool,
        una: u64,
        nxt: u64,
        validation: Option<Micros>,
    ) {
        if una >= self.usage_end || limited || (!self.limited && packets > self.most_out) {
            self.limited = limited;
            self.most_out = packets;
            self.usage_end = nxt;
        }
        if self.limited || (self.size < self.threshold && self.size < 2 * self.most_out) {
            self.used = 0;
            self.used_since = now;
            return;
        }
        self.used = self.used.max(packets);
        if validation.is_some_and(|since| self.used_since <= since) {
            let used = self.used.max(INITIAL);
            if used < self.size {
                self.threshold = self.sheltered();
                self.size = self.size.midpoint(used);
            }
            self.used = 0;
            self.used_since = now;
        }
    }

    /// Nothing was sent for so many timeouts: the window halves for each (RFC 2861).
    pub fn rested(&mut self, now: Micros, timeouts: u32) {
        let least = self.size.min(INITIAL);
        self.threshold = self.sheltered();
        self.size = (self.size >> timeouts.min(31)).max(least);
        self.used = 0;
        self.used_since = now;
        if let Some(cubic) = &mut self.cubic {
            cubic.rested();
        }
    }

    fn lower_threshold(&mut self) {
        self.threshold_before = Some(self.sheltered());
        self.threshold = match &mut self.cubic {
            None => (self.size / 2).max(2),
            Some(cubic) => cubic.after_loss(self.size),
        };
    }

    fn sheltered(&self) -> u32 {
        if self.threshold == u32::MAX { u32::MAX } else { self.threshold.max(self.size / 4 * 3) }
    }
}

/// RFC 6928.
pub const INITIAL: u32 = 10;
/// No path needs more.
const LARGEST: u32 = 1 << 20;
