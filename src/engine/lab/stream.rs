//! TCP between the two ends: frames go whole or not at all, as a live client writes them to its socket.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::capture::Capture;
use super::outcome::Connection;
use super::road::Arrive;
use super::talker::Parcel;
use super::{BEGIN, Experiment};
use crate::engine::coding::PayloadTypes;
use crate::engine::config::Wire;
use crate::engine::sim::config::{LinkConfig, Loss};
use crate::engine::sim::draw::Direction;
use crate::engine::sim::tcp::{Algorithm, TcpConfig, TcpPath};
use crate::engine::time::Micros;
use crate::engine::wire::framing::{Deframer, write_frame};

/// A connection.
pub struct Stream {
    path: TcpPath,
    wire: Wire,
    deframer: Deframer,
    /// Of a frame of which a part was taken: what is left.
    rest: Vec<u8>,
    /// The packets under way, in their order.
    numbers: VecDeque<usize>,
    /// Bytes of all segments with sound, headers included.
    bytes: Arc<AtomicU64>,
    /// Segments that the send buffer has room for.
    buffer: u32,
    link: LinkConfig,
    algorithm: Algorithm,
}

impl Stream {
    /// Just made.
    pub fn new(experiment: &Experiment, capture: Option<Capture>) -> Self {
        let (client, algorithm) = (&experiment.client, experiment.congestion);
        let bytes = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&bytes);
        let config = TcpConfig { algorithm, ..TcpConfig::default() };
        let mut path = TcpPath::new(config, experiment.link).tapped(move |on_wire| {
            if let Some(capture) = &capture {
                capture.segment(on_wire);
            }
            if on_wire.direction == Direction::Up {
                count.fetch_add(on_wire.segment.wire_bytes() as u64, Relaxed);
            }
        });
        path.advance(BEGIN, &mut |_, _| {});
        let format = experiment.format();
        Self {
            path,
            wire: client.wire,
            deframer: Deframer::new(Some(client.wire), PayloadTypes::new(format), format, client.audio.block),
            rest: Vec::new(),
            numbers: VecDeque::new(),
            bytes,
            buffer: INITIAL_WINDOW,
            link: experiment.link,
            algorithm,
        }
    }

    /// When something happens next.
    pub fn next(&self) -> Option<Micros> {
        self.path.poll()
    }

    /// Lets everything happen that is due; what waits for room is written.
    pub fn advance(&mut self, now: Micros, arrive: Arrive<'_>) {
        let Self { path, deframer, numbers, .. } = self;
        path.advance(now, &mut |at, bytes| {
            deframer.push(bytes);
            while let Some(packet) = deframer.next() {
                if let (Ok(packet), Some(number)) = (packet, numbers.pop_front()) {
                    arrive(at, number, false, packet.bytes());
                }
            }
        });
        let rest = std::mem::take(&mut self.rest);
        let taken = self.write(now, &rest);
        self.rest = rest;
        self.rest.drain(..taken);
    }

    /// Takes a packet, if there is room for the first byte of it.
    pub fn send(&mut self, now: Micros, parcel: &Parcel) -> bool {
        if !self.rest.is_empty() {
            return false;
        }
        let mut frame = Vec::with_capacity(parcel.bytes.len() + FRAMING);
        match self.wire {
            Wire::Rtp => write_frame(&parcel.bytes, &mut frame),
            Wire::Classic => frame.extend_from_slice(&parcel.bytes),
        }
        let taken = self.write(now, &frame);
        if taken == 0 {
            return false;
        }
        frame.drain(..taken);
        self.rest = frame;
        self.numbers.push_back(parcel.number);
        true
    }

    /// Whether all was delivered.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty() && self.path.buffered() == 0 && self.numbers.is_empty()
    }

    /// Bytes on the wire towards the receiver.
    pub fn wire_bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// What it did, and what it could have carried.
    pub fn connection(&self) -> Connection {
        let (counts, link) = (self.path.counts(), self.path.link_counts(Direction::Up));
        Connection {
            segments: counts.segments,
            segments_lost: link.lost + link.overflowed,
            retransmissions: counts.retransmissions,
            timeouts: counts.timeouts,
            recoveries: counts.recoveries,
            capacity: capacity(self.link, self.algorithm),
            mathis: mathis(&self.link),
        }
    }

    /// Bytes before each packet.
    pub fn framing(&self) -> usize {
        if self.wire == Wire::Rtp { FRAMING } else { 0 }
    }

    /// As much as Linux' send buffer has room for: twice the segments of the first window, of 4,352 bytes with what the kernel
    /// needs for each. It grows with the window (`tcp_sndbuf_expand`), but not while a part of it waits for that window
    /// (`tcp_should_expand_sndbuf`).
    fn write(&mut self, now: Micros, bytes: &[u8]) -> usize {
        let size = |segments: u32| (segments as usize * 2 * SEGMENT_MEMORY).min(MOST_BUFFER);
        if self.path.buffered() >= size(self.buffer) && self.path.unsent() == 0 {
            self.buffer = self.buffer.max(self.path.window());
        }
        let room = size(self.buffer).saturating_sub(self.path.buffered());
        if bytes.is_empty() || room == 0 { 0 } else { self.path.write(now, &bytes[..bytes.len().min(room)]) }
    }
}

/// What the same TCP carries of a file over the same path, bits a second; `None` where nothing limits it but its windows.
fn capacity(link: LinkConfig, algorithm: Algorithm) -> Option<u64> {
    if !is_lossy(&link) && link.bottleneck.is_none() && link.trace.is_none() {
        return None;
    }
    let mut path = TcpPath::new(TcpConfig { algorithm, ..TcpConfig::default() }, link);
    let chunk = vec![0; 64 * 1024];
    let mut now = BEGIN;
    path.advance(now, &mut |_, _| {});
    while now < BEGIN + TRIED && path.counts().delivered < MOST_TRIED {
        while path.room() > 0 && path.unsent() < chunk.len() {
            path.write(now, &chunk);
        }
        let Some(next) = path.poll() else { break };
        now = next.max(now);
        path.advance(now, &mut |_, _| {});
    }
    let micros = now.since(BEGIN).as_micros().max(1);
    Some((u128::from(path.counts().delivered) * 8_000_000 / micros) as u64)
}

/// Mathis and others (1997): MSS / RTT · √(3/2) / √p, bits a second, for losses by chance; `None` without any.
fn mathis(link: &LinkConfig) -> Option<u64> {
    let Loss::Independent(share) = link.loss else { return None };
    let round_trip = (link.delay + link.jitter) * 2;
    if share.0 == 0 || round_trip.is_zero() {
        return None;
    }
    let segments = (1.5 / share.fraction()).sqrt() / round_trip.as_secs_f64();
    Some((segments * TcpConfig::default().mss as f64 * 8.0).round() as u64)
}

fn is_lossy(link: &LinkConfig) -> bool {
    match link.loss {
        Loss::Independent(share) => share.0 > 0,
        Loss::Burst(burst) => burst.loss.0 > 0,
    }
}

/// RFC 4571.
const FRAMING: usize = 2;
/// Linux' (RFC 6928), segments.
const INITIAL_WINDOW: u32 = 10;
/// A full segment with its headers, rounded up to a power of two, and its descriptor.
const SEGMENT_MEMORY: usize = 4_352;
/// `tcp_wmem`.
const MOST_BUFFER: usize = 4 << 20;
/// How long the capacity is tried, and with how much at most.
const TRIED: Duration = Duration::from_secs(60);
const MOST_TRIED: u64 = 32 << 20;
