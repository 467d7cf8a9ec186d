//! A connection from end to end: the two ends, and the link between them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::receiver::Receiver;
use super::segment::Segment;
use super::sender::Sender;
use super::{TcpConfig, TcpCounts};
use crate::engine::sim::config::LinkConfig;
use crate::engine::sim::draw::Direction;
use crate::engine::sim::link::{Deliveries, Link, LinkCounts};
use crate::engine::time::Micros;

/// A segment on the wire, as a tap sees it when it is sent.
#[derive(Clone, Copy, Debug)]
pub struct OnWire<'a> {
    /// When it was sent.
    pub at: Micros,
    /// `Up`: data. `Down`: acknowledgements.
    pub direction: Direction,
    /// The segment.
    pub segment: &'a Segment,
    /// When it arrives: never, once or twice.
    pub arrivals: Deliveries,
}

/// One connection over a bad network, data going up.
pub struct TcpPath {
    sender: Sender,
    receiver: Receiver,
    link: Link,
    under_way: BTreeMap<(Micros, u64), (Direction, Segment)>,
    order: u64,
    now: Micros,
    delivered: u64,
    acknowledgements: u64,
    tap: Option<Tap>,
}

type Tap = Box<dyn FnMut(&OnWire<'_>) + Send>;

impl TcpPath {
    /// A connection just made: both ends know the round trip from the handshake, which is not on the link.
    pub fn new(config: TcpConfig, link: LinkConfig) -> Self {
        let handshake = (link.delay * 2).max(Duration::from_micros(1));
        Self {
            sender: Sender::new(config, handshake),
            receiver: Receiver::new(),
            link: Link::new(link),
            under_way: BTreeMap::new(),
            order: 0,
            now: Micros::ZERO,
            delivered: 0,
            acknowledgements: 0,
            tap: None,
        }
    }

    /// Shows every segment to `tap` when it is sent.
    #[must_use]
    pub fn tapped(mut self, tap: impl FnMut(&OnWire<'_>) + Send + 'static) -> Self {
        self.tap = Some(Box::new(tap));
        self
    }

    /// The program writes at `now`, having [advanced](Self::advance) to it; returns how many bytes were taken.
    pub fn write(&mut self, now: Micros, bytes: &[u8]) -> usize {
        self.now = self.now.max(now);
        let taken = self.sender.write(self.now, bytes);
        self.send_data();
        taken
    }

    /// How many bytes a write would be given now.
    pub fn room(&self) -> usize {
        self.sender.room()
    }

    /// Bytes written and never sent.
    pub fn unsent(&self) -> usize {
        self.sender.unsent()
    }

    /// Bytes written and not acknowledged, those never sent among them.
    pub fn buffered(&self) -> usize {
        self.sender.buffered()
    }

    /// The congestion window, in segments.
    pub fn window(&self) -> u32 {
        self.sender.window()
    }

    /// The smoothed round trip, as the sender knows it.
    pub fn round_trip(&self) -> Option<Duration> {
        self.sender.round_trip()
    }

    /// When something happens next; `None` where nothing will until something is written.
    pub fn poll(&self) -> Option<Micros> {
        let arrival = self.under_way.first_key_value().map(|(&(at, _), _)| at);
        [arrival, self.sender.poll(), self.receiver.poll()].into_iter().flatten().min()
    }

    /// Lets everything happen that is due by `now`, in order; the program at the other end reads what arrives at once.
    pub fn advance(&mut self, now: Micros, deliver: &mut dyn FnMut(Micros, &[u8])) {
        while let Some(at) = self.poll().filter(|&at| at <= now) {
            self.now = self.now.max(at);
            self.happen(deliver);
        }
        self.now = self.now.max(now);
    }

    /// What the connection did so far.
    pub fn counts(&self) -> TcpCounts {
        TcpCounts {
            delivered: self.delivered,
            acknowledgements: self.acknowledgements,
            duplicates: self.receiver.duplicates(),
            ..self.sender.counts()
        }
    }

    /// What the link did in one direction: data goes up, acknowledgements down.
    pub fn link_counts(&self, direction: Direction) -> LinkCounts {
        self.link.counts(direction)
    }

    /// One thing that is due now.
    fn happen(&mut self, deliver: &mut dyn FnMut(Micros, &[u8])) {
        let now = self.now;
        if self.under_way.first_key_value().is_some_and(|(&(at, _), _)| at <= now) {
            match self.under_way.pop_first() {
                Some((_, (Direction::Up, segment))) => {
                    let delivered = &mut self.delivered;
                    let answer = self.receiver.receive(now, segment, &mut |at, bytes| {
                        *delivered += bytes.len() as u64;
                        deliver(at, bytes);
                    });
                    self.answer(answer);
                }
                Some((_, (Direction::Down, segment))) => {
                    self.sender.acknowledged(now, &segment);
                    self.send_data();
                }
                None => {}
            }
        } else if self.receiver.poll().is_some_and(|at| at <= now) {
            let answer = self.receiver.advance(now);
            self.answer(answer);
        } else {
            self.sender.advance(now);
            self.send_data();
        }
    }

    fn answer(&mut self, answer: Option<Segment>) {
        if let Some(segment) = answer {
            self.acknowledgements += 1;
            self.send(Direction::Down, &segment);
        }
    }

    fn send_data(&mut self) {
        while let Some(segment) = self.sender.next_out() {
            self.send(Direction::Up, &segment);
        }
    }

    fn send(&mut self, direction: Direction, segment: &Segment) {
        let arrivals = self.link.send(self.now, direction, segment.wire_bytes());
        if let Some(tap) = &mut self.tap {
            tap(&OnWire { at: self.now, direction, segment, arrivals });
        }
        for &at in arrivals.as_slice() {
            self.under_way.insert((at, self.order), (direction, segment.clone()));
            self.order += 1;
        }
    }
}

impl fmt::Debug for TcpPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpPath")
            .field("now", &self.now)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}
