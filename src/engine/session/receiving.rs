//! The network thread of a server: sockets on one side, the sources on the other.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crossbeam_channel::Receiver as Notices;

use super::complaints::Refusal;
use super::doors::{Doors, MAX_CONNECTIONS};
use super::impairment::Impairment;
use super::notices::report;
use super::reporting::{Letter, Way};
use super::server::{Shared, lock};
use super::sources::Sources;
use super::wiretap::{ServerTap, Wiretap};
use crate::engine::audio::Notice;
use crate::engine::config::{ServerConfig, Transports, Wire};
use crate::engine::error::{Error, Result};
use crate::engine::net::ports::Ports;
use crate::engine::net::tcp::{ConnectionId, TcpEvent};
use crate::engine::net::udp::Datagram;
use crate::engine::net::waker::Waker;
use crate::engine::record::pcap::file::Kind;
use crate::engine::time::{Clock, Micros};
use crate::engine::wire::framing::{Deframer, Packet, write_frame};
use crate::engine::wire::rtcp::Compound;
use crate::engine::wire::rtp;

/// A bound socket, and the connections to it.
pub struct Receiving {
    config: ServerConfig,
    clock: Clock,
    ports: Ports,
    connections: HashMap<ConnectionId, Connection>,
    doors: Doors,
    tried_beside: bool,
    network: Option<Impairment<Way>>,
    tap: ServerTap,
}

struct Connection {
    address: SocketAddr,
    deframer: Deframer,
}

impl Receiving {
    /// Binds as the config says.
    pub fn bind(config: &ServerConfig, clock: Clock, tap: Wiretap) -> Result<Self> {
        let bind = config.bind.as_deref();
        let interface = config.interface.as_deref();
        let ports = Ports::bind(config.protocol, bind, interface, config.port, clock, MAX_CONNECTIONS)?;
        if interface.is_some()
            && !ports.udp.as_ref().is_some_and(|udp| udp.is_in_group())
            && config.forward.iter().all(|path| path.interface.is_none())
        {
            return Err(Error::config(
                "interface: it chooses where a multicast group is joined, and bind= names none: leave it out",
            ));
        }
        let local = ports.local_addr();
        Ok(Self {
            config: config.clone(),
            clock,
            ports,
            connections: HashMap::new(),
            doors: Doors::new(config.max_sources),
            tried_beside: false,
            network: config.network.map(Impairment::new),
            tap: ServerTap::new(tap, local, config),
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.ports.local_addr()
    }

    /// Ends a wait of [`run`](Self::run).
    pub fn waker(&self) -> Option<Waker> {
        self.ports.waker()
    }

    /// The thread: receives until told to stop, then gives itself back.
    pub fn run(mut self, shared: &Shared, notices: Option<&Notices<Notice>>) -> Self {
        lock(&shared.sources).reporting.begin(self.clock, self.local_addr().ip().is_multicast());
        let mut patience = WAIT;
        while !shared.stopping.load(Relaxed) {
            if let Err(error) = self.receive(shared, patience) {
                log::error!(target: TARGET, "receiving failed: {error}");
                shared.fail(error);
                break;
            }
            let mut sources = lock(&shared.sources);
            let now = self.clock.now();
            sources.sweep(now);
            let mut letters = sources.letters(now);
            letters.append(&mut sources.talk(now));
            patience = sources.reporting.patience(now, WAIT);
            let beside = std::mem::take(&mut sources.reporting.wants_beside);
            drop(sources);
            self.send(&letters);
            if beside {
                self.listen_beside();
            }
            for notice in notices.into_iter().flat_map(Notices::try_iter) {
                report(TARGET, &notice);
            }
        }
        let mut sources = lock(&shared.sources);
        let mut letters = sources.fall_silent(self.clock.now());
        letters.append(&mut sources.farewell(self.clock.now()));
        drop(sources);
        self.send(&letters);
        self
    }

    /// Takes what the kernel holds already.
    pub fn drain(&mut self, shared: &Shared) {
        for _ in 0..DRAIN_ROUNDS {
            if !matches!(self.receive(shared, Duration::ZERO), Ok(1..)) {
                break;
            }
        }
        let mut sources = lock(&shared.sources);
        for (_, mut connection) in self.connections.drain() {
            connection.deframer.finish();
            connection.take(&mut sources, self.clock.now());
        }
    }

    /// What cannot go now is out of date when it can.
    fn send(&mut self, letters: &[Letter]) {
        for Letter { way, bytes } in letters {
            if way.connected {
                let mut frame = Vec::with_capacity(bytes.len() + 2);
                write_frame(bytes, &mut frame);
                let id = self.connections.iter().find(|(_, connection)| connection.address == way.address);
                if let (Some((id, _)), Some(tcp)) = (id, &mut self.ports.tcp)
                    && tcp.send(*id, &frame)
                {
                    self.tap.answered(self.clock.now(), way.address, &frame);
                }
            } else if let Some(udp) = &self.ports.udp
                && udp.send(bytes, way.address, way.local, way.beside)
            {
                self.tap.sent(self.clock.now(), *way, bytes);
            }
        }
    }

    /// Senders that do not know RFC 5761 send their reports to the next port.
    fn listen_beside(&mut self) {
        if let Some(udp) = &mut self.ports.udp {
            let port = udp.local_addr().port();
            if !std::mem::replace(&mut self.tried_beside, true) && udp.listen_beside() {
                log::debug!(target: TARGET, "listening for reports on port {} too", port + 1);
            }
        }
    }

    fn receive(&mut self, shared: &Shared, timeout: Duration) -> Result<usize> {
        let mut guard = None;
        let Self { config, clock, ports, connections, doors, network, tap, .. } = self;
        let timeout = network.as_ref().map_or(timeout, |network| network.wait(clock.now(), timeout));
        let timeout = ports.wait(timeout)?;
        let mut count = 0;
        if let Some(udp) = &mut ports.udp {
            count += udp.receive(timeout, &mut |datagram| {
                let Datagram { address, local, beside, .. } = datagram;
                let way = Way { address, local, beside, connected: false };
                if !config.allow.admit(address.ip()) {
                    guard.get_or_insert_with(|| lock(&shared.sources)).refuse(
                        Refusal::NotAllowed,
                        address,
                        datagram.arrival,
                    );
                    return;
                }
                if let Some(network) = network {
                    // Drawn apart, so that reports do not change which packets of sound are lost.
                    let passage = if is_control(config, datagram.bytes) {
                        network.enter_control(datagram.arrival, way, datagram.bytes)
                    } else {
                        network.enter(datagram.arrival, way, datagram.bytes)
                    };
                    tap.entered(datagram.arrival, way, passage, datagram.bytes);
                    return;
                }
                tap.datagram(datagram.arrival, way, datagram.bytes);
                let sources = guard.get_or_insert_with(|| lock(&shared.sources));
                sources.expect(datagram.next);
                // Sealed ones are not believed for their tag.
                if datagram.truncated && config.key.is_none() {
                    sources.not_believed(datagram.address, datagram.arrival, datagram.bytes);
                } else {
                    sources.datagram(way, datagram.arrival, datagram.bytes);
                }
            })?;
            while let Some((arrival, way, bytes)) = network.as_mut().and_then(|n| n.leave(clock.now())) {
                tap.datagram(arrival, way, bytes);
                guard.get_or_insert_with(|| lock(&shared.sources)).datagram(way, arrival, bytes);
            }
            shared.kernel_drops.store(udp.kernel_drops(), Relaxed);
        }
        if let Some(tcp) = &mut ports.tcp {
            let mut over = Vec::new();
            count += tcp.poll(timeout, &mut |event| {
                capture(&event, clock.now(), connections, tap);
                let sources = guard.get_or_insert_with(|| lock(&shared.sources));
                handle(event, config, clock.now(), connections, doors, sources, &mut over);
            })?;
            let now = clock.now();
            over.extend(doors.overdue(now).into_iter().map(|(id, why)| (id, why.why())));
            for (id, why) in over {
                tcp.close(id);
                doors.leave(id);
                if let Some(connection) = connections.remove(&id) {
                    let sources = guard.get_or_insert_with(|| lock(&shared.sources));
                    sources.disconnected(connection.address, Some(why), now);
                    if sources.may_tell(now) {
                        log::warn!(target: TARGET, "connection from {} closed: {why}", connection.address);
                    }
                }
            }
        }
        if let Some(mut sources) = guard {
            sources.flush_forwarding();
            let packets = sources.packets();
            drop(sources);
            shared.arrived(packets);
        }
        if doors.is_deserted() && !config.keep_listening && config.protocol == Transports::Tcp {
            shared.end();
        }
        Ok(count)
    }
}

impl Connection {
    /// Hands on every whole packet; whether any was of a source that is heard.
    fn take(&mut self, sources: &mut Sources, arrival: Micros) -> bool {
        let mut heard = false;
        loop {
            match self.deframer.next() {
                Some(Ok(Packet::Rtp(bytes))) => {
                    heard |= sources.framed(self.address, Wire::Rtp, arrival, bytes);
                }
                Some(Ok(Packet::Classic(bytes))) => {
                    heard |= sources.framed(self.address, Wire::Classic, arrival, bytes);
                }
                Some(Err(_)) => sources.not_believed(self.address, arrival, &[]),
                None => return heard,
            }
        }
    }
}

/// What a capture shows of an event.
fn capture(
    event: &TcpEvent<'_>,
    now: Micros,
    connections: &HashMap<ConnectionId, Connection>,
    tap: &ServerTap,
) {
    let address = |id| connections.get(id).map(|connection| connection.address);
    match event {
        TcpEvent::Accepted { address, .. } => tap.connection(now, *address, Kind::Opened, &[]),
        TcpEvent::Data { id, arrival, bytes } => {
            if let Some(peer) = address(id) {
                tap.connection(*arrival, peer, Kind::Data, bytes);
            }
        }
        TcpEvent::Closed { id, .. } => {
            if let Some(peer) = address(id) {
                tap.connection(now, peer, Kind::Closed, &[]);
            }
        }
        TcpEvent::Refused { .. } => {}
    }
}

fn handle(
    event: TcpEvent<'_>,
    config: &ServerConfig,
    now: Micros,
    connections: &mut HashMap<ConnectionId, Connection>,
    doors: &mut Doors,
    sources: &mut Sources,
    over: &mut Vec<(ConnectionId, &'static str)>,
) {
    match event {
        TcpEvent::Accepted { id, address } => {
            if !sources.lets_in(address, now) {
                return over.push((id, ""));
            }
            match doors.come(id, address, now) {
                Err(why) => {
                    sources.refuse(why, address, now);
                    return over.push((id, ""));
                }
                Ok(gone) => over.extend(gone.map(|id| (id, "others want to be heard"))),
            }
            if sources.may_tell(now) {
                log::info!(target: TARGET, "connection from {address}");
            }
            let deframer =
                Deframer::new(config.wire, config.payloads.clone(), config.audio.format, config.audio.block);
            connections.insert(id, Connection { address, deframer });
        }
        TcpEvent::Refused { address, why } => {
            if sources.may_tell(now) {
                log::warn!(target: TARGET, "connection from {address} refused: {why}");
            }
        }
        TcpEvent::Data { id, arrival, bytes } => {
            if let Some(connection) = connections.get_mut(&id) {
                connection.deframer.push(bytes);
                if connection.take(sources, arrival) {
                    doors.hear(id, arrival);
                }
                if connection.deframer.is_hopeless() {
                    over.push((id, "it speaks neither rtp nor classic"));
                }
            }
        }
        TcpEvent::Closed { id, error } => {
            if let Some(mut connection) = connections.remove(&id) {
                connection.deframer.finish();
                // A short stream may be known by its end only.
                if connection.take(sources, now) {
                    doors.hear(id, now);
                }
                let lost = error.as_ref().map(ToString::to_string);
                sources.disconnected(connection.address, lost.as_deref(), now);
                doors.leave(id);
                match error {
                    _ if !sources.may_tell(now) => {}
                    Some(error) => {
                        log::error!(target: TARGET, "connection from {} lost: {error}", connection.address);
                    }
                    None => {
                        log::info!(target: TARGET, "connection from {} closed by its client", connection.address);
                    }
                }
            }
        }
    }
}

/// Whether a datagram holds reports. What is sealed is told by its header: nothing more may be read before it is opened.
fn is_control(config: &ServerConfig, bytes: &[u8]) -> bool {
    if config.key.is_some() { rtp::is_rtcp(bytes) } else { Compound::parse(bytes).is_ok() }
}

const TARGET: &str = "audiostream.server";
/// The longest wait; a waker ends it earlier.
const WAIT: Duration = Duration::from_millis(250);
const DRAIN_ROUNDS: usize = 10_000;
