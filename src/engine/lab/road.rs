//! The way from the sending end to the receiving one: datagrams over a seeded link, or a TCP connection over it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Experiment;
use super::capture::Capture;
use super::ledger::Ledger;
use super::outcome::Connection;
use super::stream::Stream;
use super::talker::{Parcel, UDP_HEADERS};
use crate::engine::sim::draw::Direction;
use crate::engine::sim::link::Link;
use crate::engine::time::Micros;

/// What packets take.
pub enum Road {
    /// Each by itself.
    Datagrams(Box<Datagrams>),
    /// One after the other, none lost.
    Stream(Box<Stream>),
}

/// Takes what arrives: when, the packet's number, whether it is a copy of it, its bytes.
pub type Arrive<'a> = &'a mut dyn FnMut(Micros, usize, bool, &[u8]);

impl Road {
    /// As the experiment says.
    pub fn new(experiment: &Experiment, capture: Option<Capture>) -> Self {
        if experiment.is_datagrams() {
            Self::Datagrams(Box::new(Datagrams::new(experiment, capture)))
        } else {
            Self::Stream(Box::new(Stream::new(experiment, capture)))
        }
    }

    /// When something happens next.
    pub fn next(&self) -> Option<Micros> {
        match self {
            Self::Datagrams(datagrams) => datagrams.under_way.peek().map(|Reverse(packet)| packet.at),
            Self::Stream(stream) => stream.next(),
        }
    }

    /// Lets everything happen that is due at `now`.
    pub fn advance(&mut self, now: Micros, arrive: Arrive<'_>) {
        match self {
            Self::Datagrams(datagrams) => datagrams.advance(now, arrive),
            Self::Stream(stream) => stream.advance(now, arrive),
        }
    }

    /// Takes a packet, if there is room.
    pub fn offer(&mut self, now: Micros, parcel: &Parcel, ledger: &mut Ledger) -> bool {
        match self {
            Self::Datagrams(datagrams) => {
                datagrams.send(now, parcel, ledger);
                true
            }
            Self::Stream(stream) => stream.send(now, parcel),
        }
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Datagrams(datagrams) => datagrams.under_way.is_empty(),
            Self::Stream(stream) => stream.is_empty(),
        }
    }

    /// Bytes that have gone over the wire, headers of IP and transport included.
    pub fn wire_bytes(&self) -> u64 {
        match self {
            Self::Datagrams(datagrams) => datagrams.bytes,
            Self::Stream(stream) => stream.wire_bytes(),
        }
    }

    /// What the connection did, where there is one.
    pub fn connection(&self) -> Option<Connection> {
        match self {
            Self::Datagrams(_) => None,
            Self::Stream(stream) => Some(stream.connection()),
        }
    }

    /// Bytes before a packet on the wire, those of a segment shared by the packets in it left out.
    pub fn headers(&self) -> usize {
        match self {
            Self::Datagrams(_) => UDP_HEADERS as usize,
            Self::Stream(stream) => stream.framing(),
        }
    }
}

/// UDP.
pub struct Datagrams {
    link: Link,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    order: u64,
    bytes: u64,
    capture: Option<Capture>,
}

/// By its time, then in the order in which they were sent.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    at: Micros,
    order: u64,
    number: usize,
    is_copy: bool,
    bytes: Vec<u8>,
}

impl Datagrams {
    fn new(experiment: &Experiment, capture: Option<Capture>) -> Self {
        let link = Link::new(experiment.link);
        Self { link, under_way: BinaryHeap::new(), order: 0, bytes: 0, capture }
    }

    /// As a live client with `network=` does: the link is told of the packet without what IP and UDP put before it.
    fn send(&mut self, now: Micros, parcel: &Parcel, ledger: &mut Ledger) {
        let Parcel { bytes, number, is_copy } = parcel;
        self.bytes += bytes.len() as u64 + UDP_HEADERS;
        let overflowed = self.link.counts(Direction::Up).overflowed;
        let deliveries = self.link.send(now, Direction::Up, bytes.len());
        let was_full = self.link.counts(Direction::Up).overflowed > overflowed;
        if !is_copy {
            ledger.injected(*number, deliveries, was_full);
        }
        if let Some(capture) = &self.capture {
            if deliveries.as_slice().is_empty() {
                capture.datagram(now, bytes, Some(if was_full { OVERFLOWED } else { LOST }));
            }
            deliveries.as_slice().iter().for_each(|at| capture.datagram(*at, bytes, None));
        }
        for at in deliveries {
            let (number, is_copy, bytes) = (*number, *is_copy, bytes.clone());
            self.under_way.push(Reverse(UnderWay { at, order: self.order, number, is_copy, bytes }));
            self.order += 1;
        }
    }

    fn advance(&mut self, now: Micros, arrive: Arrive<'_>) {
        while self.under_way.peek().is_some_and(|Reverse(packet)| packet.at <= now)
            && let Some(Reverse(packet)) = self.under_way.pop()
        {
            arrive(packet.at, packet.number, packet.is_copy, &packet.bytes);
        }
    }
}

const LOST: &str = "lost by the network";
const OVERFLOWED: &str = "dropped by the network's full queue";
