//! What passes in an experiment, as a capture whose times are virtual: the same experiment has the same bytes.
//!
//! Datagrams are shown as they leave the network, those that it lost as headers with a comment: a capture counts the losses that
//! the receiver counts. A connection is shown as its sender sees it, segments with a comment where they are lost: what comes
//! again is known as a retransmission. It takes as much memory as what is sent.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{BEGIN, Experiment};
use crate::engine::coding::PayloadTypes;
use crate::engine::config::{DEFAULT_PORT, Wire};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::record::pcap::file::named;
use crate::engine::record::pcap::{Ends, Fate, Pcap, Segment, TcpOption};
use crate::engine::sim::draw::Direction;
use crate::engine::sim::tcp::{self, OnWire, TcpConfig};
use crate::engine::time::Micros;
use crate::engine::wire::sdp::Description;

/// Collects; copies collect the same.
#[derive(Clone, Default)]
pub struct Capture(Arc<Mutex<Vec<(Micros, Passed)>>>);

enum Passed {
    Datagram { bytes: Vec<u8>, loss: Option<&'static str> },
    Segment { direction: Direction, segment: tcp::Segment, is_lost: bool },
}

impl Capture {
    /// A datagram, when it arrives, or when it was sent and lost as `loss` says.
    pub fn datagram(&self, at: Micros, bytes: &[u8], loss: Option<&'static str>) {
        self.add(at, Passed::Datagram { bytes: bytes.to_vec(), loss });
    }

    /// A segment of a connection.
    pub fn segment(&self, on_wire: &OnWire<'_>) {
        let (direction, arrivals) = (on_wire.direction, on_wire.arrivals.as_slice());
        let segment = |is_lost| Passed::Segment { direction, segment: on_wire.segment.clone(), is_lost };
        match direction {
            Direction::Up => self.add(on_wire.at, segment(arrivals.is_empty())),
            Direction::Down => arrivals.iter().for_each(|at| self.add(*at, segment(false))),
        }
    }

    /// The capture as a file holds it.
    pub fn write(&self, experiment: &Experiment) -> Result<Vec<u8>> {
        self.to_pcapng(experiment)
            .map_err(|error| Error::io(ErrorKind::Recording, "the lab's capture", &error))
    }

    fn to_pcapng(&self, experiment: &Experiment) -> io::Result<Vec<u8>> {
        let mut passed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        passed.sort_by_key(|(at, _)| *at);
        let mut pcap = Pcap::new(Vec::new(), Duration::ZERO)?;
        let (up, down) = (ends(), swapped(ends()));
        if !experiment.is_datagrams() {
            shake_hands(&mut pcap, (experiment.link.delay + experiment.link.jitter) * 2)?;
        } else if experiment.client.wire == Wire::Rtp {
            let types = PayloadTypes::new(experiment.format());
            let mut description = Description::new(Some(up.1.ip().to_string()), up.1.port(), types);
            description.name = "audiostream lab".into();
            pcap.announce(BEGIN, up.0.ip(), &description.write())?;
        }
        for (at, passed) in passed.iter() {
            match passed {
                Passed::Datagram { bytes, loss: None } => pcap.datagram(*at, up, bytes, Fate::Passed)?,
                Passed::Datagram { bytes, loss: Some(why) } => {
                    pcap.datagram(*at, up, bytes, Fate::Lost(&named(why, bytes)))?;
                }
                Passed::Segment { direction, segment, is_lost } => {
                    let ends = if *direction == Direction::Up { up } else { down };
                    let fate = if *is_lost { Fate::Noted(LOST) } else { Fate::Passed };
                    write_segment(&mut pcap, *at, ends, segment, fate)?;
                }
            }
        }
        Ok(pcap.into_inner())
    }

    fn add(&self, at: Micros, passed: Passed) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((at, passed));
    }
}

/// The model's connections are there from the beginning: a capture needs the beginning, to follow them.
fn shake_hands(pcap: &mut Pcap<Vec<u8>>, round_trip: Duration) -> io::Result<()> {
    let (up, down) = (ends(), swapped(ends()));
    let begun = Micros(BEGIN.0.saturating_sub(round_trip.as_micros() as u64));
    let options = [
        TcpOption::MaximumSegmentSize((TcpConfig::default().mss + STAMPS_LENGTH) as u16),
        TcpOption::SelectiveAcknowledgementPermitted,
        TcpOption::Timestamp((begun.0 / 1_000) as u32, 0),
        TcpOption::Noop,
        TcpOption::WindowScale(SCALE),
    ];
    let syn = Segment { syn: true, window: WINDOW, options: &options, ..Segment::default() };
    pcap.segment(begun, up, syn, Fate::Noted(OURS))?;
    pcap.segment(BEGIN, down, Segment { ack: Some(FIRST), ..syn }, Fate::Noted(OURS))?;
    let stamp = stamps((BEGIN.0 / 1_000) as u32, (begun.0 / 1_000) as u32);
    let third =
        Segment { sequence: FIRST, ack: Some(FIRST), window: WINDOW, options: &stamp, ..Segment::default() };
    pcap.segment(BEGIN, up, third, Fate::Noted(OURS))
}

fn write_segment(
    pcap: &mut Pcap<Vec<u8>>,
    at: Micros,
    ends: Ends,
    segment: &tcp::Segment,
    fate: Fate<'_>,
) -> io::Result<()> {
    // Sequence numbers wrap, as TCP's do.
    let number = |place: u64| (place as u32).wrapping_add(FIRST);
    let mut options = stamps(segment.stamp, segment.echo).to_vec();
    let mut blocks = segment.sacks.all().iter().map(|(start, end)| (number(*start), number(*end)));
    if let Some(first) = blocks.next() {
        let rest = [blocks.next(), blocks.next(), None];
        options.extend([TcpOption::Noop, TcpOption::Noop, TcpOption::SelectiveAcknowledgement(first, rest)]);
    }
    let segment = Segment {
        sequence: number(segment.seq),
        ack: Some(number(segment.ack)),
        push: segment.push,
        window: WINDOW,
        options: &options,
        payload: &segment.payload,
        ..Segment::default()
    };
    pcap.segment(at, ends, segment, fate)
}

fn stamps(stamp: u32, echo: u32) -> [TcpOption; 3] {
    [TcpOption::Noop, TcpOption::Noop, TcpOption::Timestamp(stamp, echo)]
}

/// Sender and receiver, at addresses that are nobody's (RFC 5737).
fn ends() -> Ends {
    (SocketAddr::from(([192, 0, 2, 1], 40_000)), SocketAddr::from(([192, 0, 2, 2], DEFAULT_PORT)))
}

fn swapped((from, to): Ends) -> Ends {
    (to, from)
}

const LOST: &str = "lost on the way";
const OURS: &str = "audiostream: made up, so that the connection has a beginning";
/// The number of a connection's first byte: a SYN takes zero.
const FIRST: u32 = 1;
/// The receiver's window never limits: 8 MiB.
const WINDOW: u32 = 65_535;
const SCALE: u8 = 7;
/// What timestamps take of the longest segment.
const STAMPS_LENGTH: usize = 12;
