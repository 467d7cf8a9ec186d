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
    pub fn enter(&mut self, now: Micros, tag: T, packet: &[u8]) {
        for at in self.link.send(now, Direction::Up, packet.len()).as_slice() {
            self.outbox.push(*at, tag, packet);
        }
    }

    /// A control packet enters the network at `now`: of the same kind, but drawn apart, so that it does not change which packets of
    /// sound are lost.
    pub fn enter_control(&mut self, now: Micros, tag: T, packet: &[u8]) {
        for at in self.link.send(now, Direction::Down, packet.len()).as_slice() {
            self.outbox.push(*at, tag, packet);
        }
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
}

/// Two seconds of a thousand packets a second.
const UNDER_WAY: usize = 2048;
/// The longest datagram that is taken, bytes: the classic wire's, with room.
const LONGEST: usize = 32_768;
