//! What a hop does, without sockets and clocks: peers, the two ways between them and the far end, and what happens to packets there.
//!
//! Guaranteed: what is under way and who is known is bounded; every packet that came is in one of the counts, of its way and of
//! its peer. A peer of which nothing has come for [`IDLE`] is forgotten, its counts stay in the sums.
//!
//! Reports (RTCP, as far as RFC 5761 can tell) are drawn apart: a seed loses the same packets of sound as `network=` of a client.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::AddAssign;
use std::time::Duration;

use super::line::Line;
use crate::engine::sim::config::LinkConfig;
use crate::engine::sim::draw::Direction;
use crate::engine::sim::link::Link;
use crate::engine::stats::{HopCounts, HopPeer, HopStats};
use crate::engine::time::Micros;
use crate::engine::wire::rtp;

/// The peers and the ways.
pub struct Crossing {
    link: Link,
    up: Way,
    down: Way,
    peers: Vec<Option<Peer>>,
    by_address: HashMap<SocketAddr, usize>,
    met: u64,
    refused: u64,
    swept: Micros,
}

/// A packet that has come through.
pub struct Through {
    /// Where it goes.
    pub direction: Direction,
    /// Whose it is.
    pub place: usize,
    /// Whose it is, by address, and the address of ours that it speaks to.
    pub peer: (SocketAddr, Option<IpAddr>),
    /// What it carries.
    pub packet: Box<[u8]>,
}

/// What became of a peer's packet when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// The peer is new, and needs a socket.
    New(usize),
    /// It is known.
    Known,
    /// There are too many.
    Refused,
}

#[derive(Default)]
struct Way {
    line: Line,
    counts: HopCounts,
}

struct Peer {
    /// In the order of their coming.
    number: u64,
    address: SocketAddr,
    local: Option<IpAddr>,
    heard: Micros,
    up: HopCounts,
    down: HopCounts,
}

impl Crossing {
    /// Nobody is known yet.
    pub fn new(link: LinkConfig) -> Self {
        Self {
            link: Link::new(link),
            up: Way::default(),
            down: Way::default(),
            peers: Vec::new(),
            by_address: HashMap::new(),
            met: 0,
            refused: 0,
            swept: Micros::ZERO,
        }
    }

    /// A packet has come from a peer, to the address `local` of ours where that is known.
    pub fn go_up(&mut self, now: Micros, address: SocketAddr, local: Option<IpAddr>, packet: &[u8]) -> Met {
        let known = self.by_address.get(&address).copied();
        let Some(place) = known.or_else(|| self.meet(address)) else {
            self.refuse();
            return Met::Refused;
        };
        if let Some(peer) = &mut self.peers[place] {
            peer.local = local.or(peer.local);
        }
        self.go(now, Direction::Up, place, packet);
        if known.is_some() { Met::Known } else { Met::New(place) }
    }

    /// A packet has come from the far end, for the peer at `place`.
    pub fn go_down(&mut self, now: Micros, place: usize, packet: &[u8]) {
        self.go(now, Direction::Down, place, packet);
    }

    /// A packet was turned away.
    pub fn refuse(&mut self) {
        self.refused += 1;
    }

    /// The next packet that has come through by `now`; say with [`sent`](Self::sent) whether it could go on.
    pub fn next(&mut self, now: Micros) -> Option<Through> {
        let (up, down) = (self.up.line.next_at(), self.down.line.next_at());
        let direction = match (up, down) {
            (Some(up), Some(down)) if down < up => Direction::Down,
            (Some(_), _) => Direction::Up,
            (None, _) => Direction::Down,
        };
        let waiting = self.way(direction).line.pop(now)?;
        // A peer stays as long as packets of it are under way.
        let peer = self.peers.get(waiting.place).and_then(Option::as_ref)?;
        let peer = (peer.address, peer.local);
        Some(Through { direction, place: waiting.place, peer, packet: waiting.packet })
    }

    /// A packet that had come through has gone on, or not.
    pub fn sent(&mut self, through: &Through, has_gone: bool) {
        let change = |counts: &mut HopCounts| {
            counts.waiting -= 1;
            if has_gone {
                counts.sent += 1;
                counts.bytes_sent += through.packet.len() as u64;
            } else {
                counts.unsent += 1;
            }
        };
        self.count(through.direction, through.place, change);
    }

    /// How long nothing will come through, `most` at most.
    pub fn wait(&self, now: Micros, most: Duration) -> Duration {
        let next = [self.up.line.next_at(), self.down.line.next_at()].into_iter().flatten().min();
        next.map_or(most, |at| at.since(now).min(most))
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.up.line.next_at().or(self.down.line.next_at()).is_none()
    }

    /// Forgets the idle, now and then; their places.
    pub fn sweep(&mut self, now: Micros) -> Vec<usize> {
        if now.since(self.swept) < SWEEP {
            return Vec::new();
        }
        self.swept = now;
        let idle = self.peers.iter().enumerate().filter_map(|(place, peer)| {
            let peer = peer.as_ref()?;
            let is_idle = now.since(peer.heard) >= IDLE && peer.up.waiting + peer.down.waiting == 0;
            is_idle.then_some(place)
        });
        let idle: Vec<usize> = idle.collect();
        for place in &idle {
            if let Some(peer) = self.peers[*place].take() {
                self.by_address.remove(&peer.address);
            }
        }
        idle
    }

    /// The figures.
    pub fn stats(&self, now: Micros) -> HopStats {
        let mut peers: Vec<_> = self.peers.iter().flatten().collect();
        peers.sort_by_key(|peer| peer.number);
        let shown = |peer: &Peer| HopPeer {
            address: peer.address,
            idle_ms: now.since(peer.heard).as_millis() as u64,
            up: peer.up,
            down: peer.down,
        };
        HopStats {
            up: self.up.counts,
            down: self.down.counts,
            refused: self.refused,
            peers: peers.into_iter().map(shown).collect(),
            ..HopStats::default()
        }
    }

    fn meet(&mut self, address: SocketAddr) -> Option<usize> {
        let free = self.peers.iter().position(Option::is_none);
        let place = free.or_else(|| (self.peers.len() < MOST_PEERS).then_some(self.peers.len()))?;
        if place == self.peers.len() {
            self.peers.push(None);
        }
        self.met += 1;
        self.peers[place] = Some(Peer {
            number: self.met,
            address,
            local: None,
            heard: Micros::ZERO,
            up: HopCounts::default(),
            down: HopCounts::default(),
        });
        self.by_address.insert(address, place);
        Some(place)
    }

    fn go(&mut self, now: Micros, direction: Direction, place: usize, packet: &[u8]) {
        let Some(peer) = self.peers.get_mut(place).and_then(Option::as_mut) else { return };
        peer.heard = peer.heard.max(now);
        let before = self.link.counts(direction);
        let is_report = rtp::is_rtcp(packet);
        let deliveries = if is_report {
            self.link.send_apart(now, direction, packet.len())
        } else {
            self.link.send(now, direction, packet.len())
        };
        let after = self.link.counts(direction);
        let line = &mut self.way(direction).line;
        let waiting = deliveries.into_iter().filter(|at| line.push(*at, place, packet)).count() as u64;
        let happened = HopCounts {
            received: 1,
            bytes_received: packet.len() as u64,
            lost: after.lost - before.lost,
            duplicated: after.duplicated - before.duplicated,
            reordered: after.reordered - before.reordered,
            overflowed: after.overflowed - before.overflowed,
            dropped: deliveries.as_slice().len() as u64 - waiting,
            waiting,
            reports: u64::from(is_report),
            reports_lost: if is_report { after.lost - before.lost } else { 0 },
            ..HopCounts::default()
        };
        self.count(direction, place, |counts| *counts += happened);
    }

    /// Changes the counts of a way, and its part of a peer's.
    fn count(&mut self, direction: Direction, place: usize, change: impl Fn(&mut HopCounts)) {
        change(&mut self.way(direction).counts);
        if let Some(Some(peer)) = self.peers.get_mut(place) {
            change(match direction {
                Direction::Up => &mut peer.up,
                Direction::Down => &mut peer.down,
            });
        }
    }

    fn way(&mut self, direction: Direction) -> &mut Way {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }
}

impl AddAssign for HopCounts {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.bytes_received += other.bytes_received;
        self.sent += other.sent;
        self.bytes_sent += other.bytes_sent;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.overflowed += other.overflowed;
        self.dropped += other.dropped;
        self.unsent += other.unsent;
        self.waiting += other.waiting;
        self.reports += other.reports;
        self.reports_lost += other.reports_lost;
    }
}

/// Programs that may speak through one hop at a time.
pub const MOST_PEERS: usize = 256;
/// A peer of which, and for which, nothing has come for so long is forgotten.
pub const IDLE: Duration = Duration::from_secs(60);
/// How often that is looked at.
const SWEEP: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
