//! What is under way: every segment between the oldest not acknowledged and the newest sent, and what is known of it
//! (RFC 6675's scoreboard, with the flags Linux keeps).

use std::collections::VecDeque;

use crate::engine::time::Micros;

/// A segment that was sent and is not acknowledged yet.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Sent {
    /// The place of its first byte.
    pub seq: u64,
    /// Its length.
    pub length: usize,
    /// It carried PSH.
    pub push: bool,
    /// When it was sent last.
    pub at: Micros,
    /// When it was sent first.
    pub first: Micros,
    /// The receiver has it.
    pub sacked: bool,
    /// Believed lost.
    pub lost: bool,
    /// Sent again, and nothing heard of that yet.
    pub again: bool,
    /// Sent again at some time: what is heard of it may speak of either.
    pub twice: bool,
}

/// The segments, by sequence number.
#[derive(Clone, Debug, Default)]
pub struct Board {
    sent: VecDeque<Sent>,
    sacked: u32,
    lost: u32,
    again: u32,
    /// Segments ever marked lost.
    losses: u64,
    /// The end of the highest that was acknowledged selectively.
    highest: u64,
}

impl Sent {
    /// The place behind its last byte.
    pub fn end(&self) -> u64 {
        self.seq + self.length as u64
    }

    /// Whether it was sent last after a segment that was sent at `at` and ended at `end`.
    pub fn after(&self, at: Micros, end: u64) -> bool {
        self.at > at || (self.at == at && self.end() > end)
    }
}

impl Board {
    /// Segments believed to be in the network: sent, not known to have arrived, not believed lost; retransmissions too.
    pub fn in_flight(&self) -> u32 {
        self.packets() + self.again - self.sacked - self.lost
    }

    /// Segments sent and not acknowledged, whatever is known of them.
    pub fn packets(&self) -> u32 {
        self.sent.len() as u32
    }

    /// Segments the receiver has beyond a hole.
    pub fn sacked(&self) -> u32 {
        self.sacked
    }

    /// Segments believed lost, sent again or not.
    pub fn lost(&self) -> u32 {
        self.lost
    }

    /// Retransmissions under way.
    pub fn again(&self) -> u32 {
        self.again
    }

    /// How often a segment was marked lost so far.
    pub fn losses(&self) -> u64 {
        self.losses
    }

    /// The end of the highest segment that was acknowledged selectively.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// The oldest.
    pub fn first(&self) -> Option<&Sent> {
        self.sent.front()
    }

    /// One by its index.
    pub fn get(&self, index: usize) -> Option<&Sent> {
        self.sent.get(index)
    }

    /// Adds a segment sent for the first time.
    pub fn push(&mut self, sent: Sent) {
        self.sent.push_back(sent);
    }

    /// Takes the oldest, if all of it is before `ack`.
    pub fn take_acked(&mut self, ack: u64) -> Option<Sent> {
        self.sent.front().filter(|s| s.end() <= ack)?;
        let sent = self.sent.pop_front()?;
        self.forget(&sent);
        Some(sent)
    }

    /// Notes the segments that lie wholly in `start..end` as arrived, and tells of each that was not known to be.
    pub fn sack(&mut self, start: u64, end: u64, mut each: impl FnMut(&Sent)) {
        let from = self.sent.partition_point(|s| s.seq < start);
        for index in from..self.sent.len() {
            let mut sent = self.sent[index];
            if sent.end() > end {
                break;
            }
            if sent.sacked {
                continue;
            }
            each(&sent);
            self.forget(&sent);
            (sent.sacked, sent.lost, sent.again) = (true, false, false);
            self.sacked += 1;
            self.highest = self.highest.max(sent.end());
            self.sent[index] = sent;
        }
    }

    /// Marks a segment lost, or its retransmission where it was sent again; true for the latter.
    pub fn mark_lost(&mut self, index: usize) -> bool {
        let sent = &mut self.sent[index];
        if sent.sacked || (sent.lost && !sent.again) {
            return false;
        }
        self.losses += 1;
        let again = sent.again;
        if again {
            self.again -= 1;
        }
        if !sent.lost {
            self.lost += 1;
        }
        (sent.lost, sent.again) = (true, false);
        again
    }

    /// Believes in none of the losses any more.
    pub fn unmark_lost(&mut self) {
        for sent in &mut self.sent {
            sent.lost = false;
        }
        self.lost = 0;
    }

    /// The first segment that is lost and not sent again.
    pub fn next_lost(&self) -> Option<usize> {
        if self.lost == 0 {
            return None;
        }
        self.sent.iter().position(|s| s.lost && !s.again)
    }

    /// Notes that one is sent again at `now`.
    pub fn resend(&mut self, index: usize, now: Micros) -> Sent {
        let sent = &mut self.sent[index];
        if !sent.again {
            self.again += 1;
        }
        (sent.again, sent.twice, sent.at) = (true, true, now);
        *sent
    }

    fn forget(&mut self, sent: &Sent) {
        self.sacked -= u32::from(sent.sacked);
        self.lost -= u32::from(sent.lost);
        self.again -= u32::from(sent.again);
    }
}
