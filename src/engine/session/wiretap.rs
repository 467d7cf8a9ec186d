//! What passes, for a capture: `pcap=`. It tells the file's thread which packet went between which ends, and never waits for it.
//!
//! With a bad network (`network=`) a capture shows its far side: packets when they leave it, and those that were lost there as
//! headers with a comment. So it counts the same losses as the receiving end does.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::impairment::Passage;
use super::reporting::Way;
use super::transport::Transport;
use crate::engine::coding::PayloadTypes;
use crate::engine::config::ServerConfig;
use crate::engine::error::Result;
use crate::engine::record::pcap::Ends;
use crate::engine::record::pcap::file::{Kind, PcapFile, PcapQueue};
use crate::engine::time::{Clock, Micros};
use crate::engine::wire::rtp;
use crate::engine::wire::sdp::Description;

/// Opens a capture whose times are the wall clock's.
#[allow(clippy::disallowed_methods, reason = "captures carry wall-clock time")]
pub fn open(path: &Path, clock: Clock) -> Result<PcapFile> {
    let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    PcapFile::open(path, unix.unwrap_or_default().saturating_sub(Duration::from_micros(clock.now().0)))
}

/// Tells of packets, where somebody wants to know.
#[derive(Clone, Default)]
pub struct Wiretap {
    queue: Option<PcapQueue>,
}

impl Wiretap {
    /// For a capture, if there is one.
    pub fn new(file: Option<&PcapFile>) -> Self {
        Self { queue: file.map(PcapFile::queue) }
    }

    /// Packets that are missing in the capture.
    pub fn dropped(&self) -> u64 {
        self.queue.as_ref().map_or(0, PcapQueue::dropped)
    }

    /// What this end's socket sent: a datagram, or bytes of a connection.
    pub fn sent(&self, at: Micros, transport: &Transport, bytes: &[u8]) {
        self.tell(at, || ends(transport), kind(transport), bytes);
    }

    /// Between which ends goes what this end hears, where somebody wants to know.
    pub fn incoming(&self, transport: &Transport) -> Option<Ends> {
        self.queue.as_ref().and_then(|_| ends(transport)).map(|(local, peer)| (peer, local))
    }

    /// What this end's socket heard; `beside`, from the port above the other end's to the one above ours.
    pub fn heard(&self, at: Micros, incoming: Option<Ends>, kind: Kind, beside: bool, bytes: &[u8]) {
        let above = |mut end: SocketAddr| {
            end.set_port(end.port().saturating_add(u16::from(beside)));
            end
        };
        self.tell(at, || incoming.map(|(peer, local)| (above(peer), above(local))), kind, bytes);
    }

    /// What the bad network made of what this end sent, unless it arrives: then it is told of when it does.
    pub fn entered(&self, at: Micros, transport: &Transport, passage: Passage, bytes: &[u8]) {
        if let Some(why) = passage.loss() {
            self.tell(at, || ends(transport), Kind::Lost(why), bytes);
        }
    }

    /// This end has connected.
    pub fn connected(&self, at: Micros, transport: &Transport) {
        if matches!(transport, Transport::Tcp(_)) {
            self.tell(at, || ends(transport), Kind::Opened, &[]);
        }
    }

    /// This end has ended its stream.
    pub fn finished(&self, at: Micros, transport: &Transport) {
        if matches!(transport, Transport::Tcp(_)) {
            self.tell(at, || ends(transport), Kind::Closed, &[]);
        }
    }

    /// Something passed between two ends.
    pub fn passed(&self, at: Micros, ends: Ends, kind: Kind, bytes: &[u8]) {
        self.tell(at, || Some(ends), kind, bytes);
    }

    /// Says what follows is.
    pub fn announce(&self, at: Micros, origin: IpAddr, description: impl FnOnce() -> Option<String>) {
        if let Some(queue) = &self.queue
            && let Some(description) = description()
        {
            queue.announce(at, origin, description);
        }
    }

    fn tell(&self, at: Micros, ends: impl FnOnce() -> Option<Ends>, kind: Kind, bytes: &[u8]) {
        if let Some(queue) = &self.queue
            && let Some(ends) = ends()
        {
            queue.push(at, ends, kind, bytes);
        }
    }
}

/// A server's: the ends change with each packet, and what arrives must be announced when it is met.
pub struct ServerTap {
    tap: Wiretap,
    local: SocketAddr,
    payloads: PayloadTypes,
    secure: bool,
    /// Where sound comes in, as far as it was announced.
    announced: Vec<IpAddr>,
}

impl ServerTap {
    /// For what arrives at `local`.
    pub fn new(tap: Wiretap, local: SocketAddr, config: &ServerConfig) -> Self {
        let (payloads, secure) = (config.payloads.clone(), config.key.is_some());
        Self { tap, local, payloads, secure, announced: Vec::new() }
    }

    /// A datagram has come.
    pub fn datagram(&mut self, at: Micros, way: Way, bytes: &[u8]) {
        if self.tap.queue.is_none() {
            return;
        }
        let (from, to) = (way.address, self.own(way));
        if self.announced.len() < ANNOUNCED
            && !self.announced.contains(&to.ip())
            && rtp::sound_of(bytes, &self.payloads).is_some()
        {
            self.announced.push(to.ip());
            self.tap.announce(at, from.ip(), || Some(self.description(to)));
        }
        self.tap.passed(at, (from, to), Kind::Datagram, bytes);
    }

    /// What the bad network made of a datagram, unless it arrives.
    pub fn entered(&self, at: Micros, way: Way, passage: Passage, bytes: &[u8]) {
        if let Some(why) = passage.loss() {
            self.tap.passed(at, (way.address, self.own(way)), Kind::Lost(why), bytes);
        }
    }

    /// A datagram was sent, back the way that others came.
    pub fn sent(&self, at: Micros, way: Way, bytes: &[u8]) {
        self.tap.passed(at, (self.own(way), way.address), Kind::Datagram, bytes);
    }

    /// Something happened on the connection of `peer`, which did it.
    pub fn connection(&self, at: Micros, peer: SocketAddr, kind: Kind, bytes: &[u8]) {
        self.tap.passed(at, (peer, self.own(peer.into())), kind, bytes);
    }

    /// Bytes went to `peer` on its connection.
    pub fn answered(&self, at: Micros, peer: SocketAddr, bytes: &[u8]) {
        self.tap.passed(at, (self.own(peer.into()), peer), Kind::Data, bytes);
    }

    /// Our end, as a peer saw it; who listens everywhere is told by each packet, or else is taken to be on the same machine.
    fn own(&self, way: Way) -> SocketAddr {
        let bound = Some(self.local.ip()).filter(|ip| !ip.is_unspecified());
        let port = self.local.port().saturating_add(u16::from(way.beside));
        SocketAddr::new(bound.or(way.local).unwrap_or(way.address.ip()), port)
    }

    fn description(&self, to: SocketAddr) -> String {
        let to = SocketAddr::new(to.ip().to_canonical(), to.port());
        let mut description = Description::new(Some(to.ip().to_string()), to.port(), self.payloads.clone());
        description.name = "audiostream".into();
        description.rtcp_mux = true;
        description.transport.secure = self.secure;
        description.write()
    }
}

fn ends(transport: &Transport) -> Option<Ends> {
    transport.local_addr().ok().map(|local| (local, transport.peer()))
}

const fn kind(transport: &Transport) -> Kind {
    match transport {
        Transport::Udp(_) => Kind::Datagram,
        Transport::Tcp(_) => Kind::Data,
    }
}

/// Addresses of one machine at which sound comes in.
const ANNOUNCED: usize = 16;
