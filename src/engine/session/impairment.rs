//! A bad network in the path of a live client or server: the simulator's seeded link, and packets that wait for their time.

use std::time::Duration;

use crate::engine::sim::config::LinkConfig;
use crate::engine::sim::draw::Direction;
use crate::engine::sim::link::Link;
use crate::engine::sim::outbox::Outbox;
use crate::engine::time::Micros;

/// One direction of a bad network, with a tag on each packet such as its sender.
pub struct Impairment<T> {
    link: Link,
    outbox: Outbox<T>,
}

impl<T: Copy> Impairment<T> {
    /// As `config` says; so many packets are under way at most, further ones are lost.
    pub fn new(config: LinkConfig) -> Self {
        Self { link: Link::new(config), outbox: Outbox::new(UNDER_WAY, LONGEST) }
    }

    /// A packet enters the network at `now`.
    pub fn enter(&mut self, now: Micros, tag: T, packet: &[u8]) -> Passage {
        self.go(now, Direction::Up, tag, packet)
    }

    /// A control packet enters the network at `now`: of the same kind, but drawn apart, so that it does not change which packets of
    /// sound are lost.
    pub fn enter_control(&mut self, now: Micros, tag: T, packet: &[u8]) -> Passage {
        self.go(now, Direction::Down, tag, packet)
    }

    /// The next packet that has arrived by `now`, and when it did.
    pub fn leave(&mut self, now: Micros) -> Option<(Micros, T, &[u8])> {
        self.outbox.pop(now)
    }

    /// How long until the next packet arrives, `most` at most.
    pub fn wait(&self, now: Micros, most: Duration) -> Duration {
        self.outbox.next_at().map_or(most, |at| at.since(now).min(most))
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.outbox.is_empty()
    }

    fn go(&mut self, now: Micros, direction: Direction, tag: T, packet: &[u8]) -> Passage {
        let before = self.link.counts(direction).lost;
        let deliveries = self.link.send(now, direction, packet.len());
        let arrived = deliveries.into_iter().filter(|at| self.outbox.push(*at, tag, packet)).count();
        match (arrived, deliveries.as_slice().len()) {
            (1.., _) => Passage::Arrives,
            (0, 0) if self.link.counts(direction).lost > before => Passage::Lost,
            _ => Passage::Overflows,
        }
    }
}

/// What becomes of a packet in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It comes through, now or later, perhaps twice.
    Arrives,
    /// It is lost by chance.
    Lost,
    /// There is no room for it: the bottleneck's queue is full, or too many are under way.
    Overflows,
}

impl Passage {
    /// How it was lost, if it was.
    pub const fn loss(self) -> Option<&'static str> {
        match self {
            Self::Arrives => None,
            Self::Lost => Some("lost by network="),
            Self::Overflows => Some("dropped by the full queue of network="),
        }
    }
}

/// Two seconds of a thousand packets a second.
const UNDER_WAY: usize = 2048;
/// The longest datagram that is taken, bytes: the classic wire's, with room.
const LONGEST: usize = 32_768;
