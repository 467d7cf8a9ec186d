//! A sender, its clock and a path, in virtual time: what a receiver would see arrive, and when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::clock::SkewedClock;
use super::config::LinkConfig;
use super::draw::{Direction, Draw, Kind};
use super::link::{Link, LinkCounts};
use crate::engine::stream::queue::Position;
use crate::engine::time::Micros;

/// What happens, before it happens. Times are since the sender's start.
#[derive(Clone, Debug)]
pub struct Scenario {
    rate: u32,
    packet_frames: u32,
    length: Duration,
    link: LinkConfig,
    sender_ppm: i32,
    events: Vec<(Duration, Event)>,
}

/// A packet that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival {
    /// When, in true time.
    pub at: Micros,
    /// When it was sent.
    pub sent: Micros,
    /// Its extended sequence number.
    pub sequence: u64,
    /// Where its first frame belongs.
    pub position: Position,
    /// Its length.
    pub frames: u32,
    /// How often the sender had started anew.
    pub epoch: u32,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Pause(Duration),
    Restart,
    Stall(Duration),
    Delay(Duration),
    Calm,
}

impl Scenario {
    /// A sender of `rate` Hz and `packet_frames` frames a packet, for `length`, over a perfect path.
    pub fn new(rate: u32, packet_frames: u32, length: Duration) -> Self {
        Self { rate, packet_frames, length, link: LinkConfig::default(), sender_ppm: 0, events: Vec::new() }
    }

    /// Over this path.
    #[must_use]
    pub fn link(mut self, link: LinkConfig) -> Self {
        self.link = link;
        self
    }

    /// With the sender's clock this fast.
    #[must_use]
    pub fn sender_ppm(mut self, ppm: i32) -> Self {
        self.sender_ppm = ppm;
        self
    }

    /// From `at` on the sender sends nothing for `length`; its positions go on, its sequence numbers do not.
    #[must_use]
    pub fn pause(self, at: Duration, length: Duration) -> Self {
        self.event(at, Event::Pause(length))
    }

    /// At `at` the sender starts anew: other sequence numbers, other positions, the next epoch.
    #[must_use]
    pub fn restart(self, at: Duration) -> Self {
        self.event(at, Event::Restart)
    }

    /// At `at` the path stalls for `length`: a spike of delay.
    #[must_use]
    pub fn stall(self, at: Duration, length: Duration) -> Self {
        self.event(at, Event::Stall(length))
    }

    /// From `at` on the path's delay is this.
    #[must_use]
    pub fn delay(self, at: Duration, delay: Duration) -> Self {
        self.event(at, Event::Delay(delay))
    }

    /// From `at` on the path neither loses, delays nor doubles any more.
    #[must_use]
    pub fn calm(self, at: Duration) -> Self {
        self.event(at, Event::Calm)
    }

    /// What arrives, by arrival time. Allocates only while more packets are on their way than ever before.
    pub fn run(&self) -> Arrivals {
        let mut events = self.events.clone();
        events.sort_by_key(|&(at, _)| Reverse(at));
        Arrivals {
            clock: SkewedClock::new(START, self.sender_ppm),
            end: START + self.length,
            scenario: Self { events, ..self.clone() },
            link: Link::new(self.link),
            under_way: BinaryHeap::with_capacity(1024),
            captured: 0,
            sequence: base(self.link.seed, 0).0,
            shift: base(self.link.seed, 0).1,
            epoch: 0,
            silent_until: START,
        }
    }

    fn event(mut self, at: Duration, event: Event) -> Self {
        self.events.push((at, event));
        self
    }
}

/// The packets as they arrive.
#[derive(Clone, Debug)]
pub struct Arrivals {
    scenario: Scenario,
    clock: SkewedClock,
    link: Link,
    end: Micros,
    under_way: BinaryHeap<Reverse<(Arrival, u64)>>,
    /// Packets captured, sent or not.
    captured: u64,
    sequence: u64,
    /// Position of the sender's first frame.
    shift: u64,
    epoch: u32,
    silent_until: Micros,
}

impl Arrivals {
    /// What the path did so far.
    pub fn counts(&self) -> LinkCounts {
        self.link.counts(Direction::Up)
    }

    /// When the next packet is complete.
    fn next_sent(&self) -> Micros {
        let frames = (self.captured + 1) * u64::from(self.scenario.packet_frames);
        self.clock.frame_time(frames, self.scenario.rate)
    }

    fn send(&mut self, sent: Micros) {
        while let Some(&(at, event)) = self.scenario.events.last() {
            if START + at > sent {
                break;
            }
            self.scenario.events.pop();
            match event {
                Event::Pause(length) => self.silent_until = START + at + length,
                Event::Restart => {
                    self.epoch += 1;
                    (self.sequence, self.shift) = base(self.scenario.link.seed, self.epoch);
                }
                Event::Stall(length) => {
                    self.link.stall(Direction::Up, START + at + length + self.link.config().delay);
                }
                Event::Delay(delay) => self.link.set_delay(delay),
                Event::Calm => self.link.calm(),
            }
        }
        let frames = self.scenario.packet_frames;
        let position = Position(self.shift + self.captured * u64::from(frames));
        self.captured += 1;
        if sent < self.silent_until {
            return;
        }
        let packet = Arrival { at: sent, sent, sequence: self.sequence, position, frames, epoch: self.epoch };
        self.sequence += 1;
        for (copy, at) in
            self.link.send(sent, Direction::Up, 12 + 2 * frames as usize).into_iter().enumerate()
        {
            self.under_way.push(Reverse((Arrival { at, ..packet }, copy as u64)));
        }
    }
}

impl Iterator for Arrivals {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            let sent = self.next_sent();
            let sending = sent <= self.end;
            match self.under_way.peek() {
                Some(Reverse((first, _))) if !sending || first.at <= sent => break,
                None if !sending => break,
                _ => self.send(sent),
            }
        }
        self.under_way.pop().map(|Reverse((arrival, _))| arrival)
    }
}

/// A random start for sequence numbers and positions, beyond 2^32 as a receiver counts them.
fn base(seed: u64, epoch: u32) -> (u64, u64) {
    let draw = |n| Draw::new(seed, Direction::Up, Kind::Other, n + 2 * u64::from(epoch));
    ((1 << 16) + draw(0).below(1 << 16), (1 << 32) + draw(1).below(1 << 32))
}

/// Scenarios start here, so that moments a little before can be written.
pub const START: Micros = Micros(3_600_000_000);

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn what_arrives_is_in_order_of_time_and_as_counted() {
        let config = LinkConfig::parse("loss=5,delay=30,jitter=10,reorder=2,duplicate=3,seed=5").unwrap();
        let mut arrivals = Scenario::new(44_100, 441, S * 100).link(config).run();
        let all: Vec<_> = arrivals.by_ref().collect();
        let counts = arrivals.counts();
        assert_eq!(counts.sent, 10_000);
        assert_eq!(all.len() as u64, counts.sent - counts.lost + counts.duplicated);
        assert!(all.is_sorted_by_key(|a| a.at));
        assert!(all.iter().all(|a| a.at.since(a.sent) >= Duration::from_millis(30)));
    }

    #[test]
    fn a_pause_skips_positions_and_a_restart_begins_an_epoch() {
        let all: Vec<_> = Scenario::new(8_000, 80, S * 4).pause(S, S).restart(S * 3).run().collect();
        assert_eq!(all.len(), 300);
        let gap = all.windows(2).find(|w| w[1].at.since(w[0].at) > S).unwrap();
        assert_eq!(gap[1].sequence, gap[0].sequence + 1);
        assert_eq!(gap[1].position.distance(gap[0].position), 8_080);
        assert_eq!(all.iter().filter(|a| a.epoch == 1).count(), 101);
    }

    #[test]
    fn a_fast_sender_sends_more() {
        let all: Vec<_> = Scenario::new(44_100, 441, S * 1000).sender_ppm(300).run().collect();
        assert_eq!(all.len(), 100_030);
    }
}
