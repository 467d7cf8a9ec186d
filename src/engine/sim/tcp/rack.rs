//! Recent acknowledgement (RFC 8985): a segment is lost when one sent later has arrived and it has not, a while after.

use std::time::Duration;

use super::board::{Board, Sent};
use super::rtt::Rtt;
use crate::engine::time::Micros;

/// The segment sent last of those that have arrived, and how much reordering to allow for.
#[derive(Clone, Debug)]
pub struct Rack {
    at: Micros,
    end: u64,
    /// How long that segment's round trip took.
    rtt: Duration,
    /// Something arrived since losses were looked for.
    pub advanced: bool,
    /// Segments overtake each other on this path.
    reordered: bool,
    /// So many segments beyond a hole need no more waiting.
    degree: u32,
    /// The window in quarters of the shortest round trip, and how many recoveries it lasts.
    steps: u32,
    persist: u32,
    /// Duplicates change the window once a round trip.
    round: u64,
}

/// What a search has found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    /// A retransmission is lost.
    pub again: bool,
    /// Others will be lost unless they arrive within this.
    pub wait: Option<Duration>,
}

impl Rack {
    /// Before anything has arrived.
    pub fn new() -> Self {
        Self {
            at: Micros::ZERO,
            end: 0,
            rtt: Duration::ZERO,
            advanced: false,
            reordered: false,
            degree: DUPLICATES,
            steps: 1,
            persist: 0,
            round: 0,
        }
    }

    /// `sent` has arrived, heard of at `now`.
    pub fn arrived(&mut self, now: Micros, sent: &Sent, rtt: &Rtt) {
        let took = now.since(sent.at);
        if sent.twice && rtt.least().is_some_and(|least| took < least) {
            // Too early to be the retransmission.
            return;
        }
        self.advanced = true;
        self.rtt = took;
        if sent.after(self.at, self.end) {
            (self.at, self.end) = (sent.at, sent.end());
        }
    }

    /// A segment never sent again has arrived after one that was sent `distance` segments later.
    pub fn overtaken(&mut self, distance: u32) {
        self.degree = self.degree.max(distance.min(MOST_DEGREE));
        self.reordered = true;
    }

    /// The receiver had something twice, so that something was sent again in vain.
    pub fn duplicate(&mut self, una: u64, nxt: u64) {
        if una >= self.round {
            self.round = nxt;
            self.steps = (self.steps + 1).min(255);
            self.persist = PERSIST;
        }
    }

    /// A recovery is over.
    pub fn recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.steps = 1;
        }
    }

    /// Marks what must be lost by `now`; `recovering` where a loss is known already.
    pub fn search(&mut self, now: Micros, board: &mut Board, rtt: &Rtt, recovering: bool) -> Found {
        let mut found = Found::default();
        let window = self.window(board, rtt, recovering);
        let mut index = 0;
        while let Some(&sent) = board.get(index) {
            if sent.first > self.at || (sent.first == self.at && sent.end() >= self.end) {
                // Sent after what has arrived, like all behind it.
                break;
            }
            let waiting = !sent.sacked && (!sent.lost || sent.again) && !sent.after(self.at, self.end);
            if waiting && !(sent.at == self.at && sent.end() == self.end) {
                let left = (sent.at + self.rtt + window).since(now);
                if left.is_zero() {
                    found.again |= board.mark_lost(index);
                } else {
                    found.wait = found.wait.max(Some(left));
                }
            }
            index += 1;
        }
        found
    }

    /// Whether a segment sent so long ago must have been heard of by `now`.
    pub fn is_recent(&self, now: Micros, sent: &Sent) -> bool {
        sent.at + self.rtt > now
    }

    /// Whether the path reorders so much that growth cannot wait for order.
    pub fn allows_growth(&self) -> bool {
        self.degree > DUPLICATES
    }

    fn window(&self, board: &Board, rtt: &Rtt, recovering: bool) -> Duration {
        if !self.reordered && (recovering || board.sacked() >= self.degree) {
            return Duration::ZERO;
        }
        let quarter = rtt.least().unwrap_or_default() / 4;
        (quarter * self.steps).min(rtt.smooth().unwrap_or_default())
    }
}

/// The classic threshold of duplicate acknowledgements.
const DUPLICATES: u32 = 3;
/// Linux' `tcp_max_reordering`.
const MOST_DEGREE: u32 = 300;
/// A wider window lasts so many recoveries.
const PERSIST: u32 = 16;
