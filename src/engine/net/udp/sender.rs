//! The sending end of UDP: a socket connected to one peer, so that its refusals are heard.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use socket2::{Socket, Type};

use super::ear::Ear;
use super::lately::{LEAST_LIMIT, Lately};
use crate::engine::config::{Path, Protocol};
use crate::engine::error::{Error, Result};
use crate::engine::net::failure::{Obstacle, Remedy};
use crate::engine::net::resolve::{Lookup, resolve};
use crate::engine::net::rest::Rest;
use crate::engine::net::sys::{self, LOOPBACK_INTERFACE, NO_SIGNAL};
use crate::engine::net::wait::Deadline;
use crate::engine::net::{address, failure};
use crate::engine::time::{Clock, Micros};

/// What became of a datagram, as far as this machine can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It has gone out.
    Sent,
    /// It has gone out, and an earlier one was refused: nobody listens at the peer's port (ICMP port unreachable).
    Refused,
    /// It has not gone out, for that reason.
    Dropped(Obstacle),
}

/// A socket that sends to one peer or multicast group.
///
/// Where the host has several addresses and one refuses, the next is tried: a server that hears only one family of
/// addresses is found within as many packets as there are addresses.
///
/// Where this machine's address or the way changes, another socket takes over, from the same port if that can be had; the host's
/// name is looked up again, on a thread of its own. What a router finds too long for the path goes again, in parts.
#[derive(Debug)]
pub struct UdpSender {
    socket: Socket,
    path: Path,
    candidates: Vec<SocketAddr>,
    /// The place of the present peer among the candidates.
    current: usize,
    ear: Option<Ear>,
    /// The port above ours, towards the one above the peer's.
    beside: Option<Socket>,
    /// An error that was told when we listened.
    told: Option<io::Error>,
    /// The port we send from.
    port: u16,
    /// The last long datagrams.
    lately: Lately,
    /// Bytes that a datagram may have on this path.
    limit: usize,
    /// A look-up of the host's name that goes on, and when there may be another.
    lookup: Option<Lookup>,
    next_lookup: Deadline,
    /// When there may be another socket.
    next_socket: Deadline,
    /// Sockets after the first.
    renewals: u64,
}

impl UdpSender {
    /// Looks the host up (10 s at most) and connects to the first of its addresses that there is a way to.
    pub fn connect(path: &Path) -> Result<Self> {
        let candidates = ordered(resolve(&path.host, path.port, &AtomicBool::new(false))?);
        let mut last = None;
        for (current, candidate) in candidates.iter().enumerate() {
            match connected(path, candidate) {
                Ok(socket) => {
                    let port = address::local(&socket)?.port();
                    let mut sender = Self {
                        socket,
                        path: path.clone(),
                        candidates,
                        current,
                        ear: None,
                        beside: None,
                        told: None,
                        port,
                        lately: Lately::default(),
                        limit: usize::MAX,
                        lookup: None,
                        next_lookup: Deadline::after(Duration::ZERO),
                        next_socket: Deadline::after(Duration::ZERO),
                        renewals: 0,
                    };
                    sender.limit = sender.room().unwrap_or(usize::MAX).max(LEAST_LIMIT);
                    return Ok(sender);
                }
                Err(e) => last = Some(e),
            }
        }
        Err(last.unwrap_or_else(|| failure::transport(format!("{:?} has no address", path.host))))
    }

    /// Sends one datagram. Never blocks. What is told of an earlier datagram does not keep this one from going. An error means
    /// that the call is wrong.
    pub fn send(&mut self, datagram: &[u8]) -> Result<Sent> {
        self.follow_name();
        let mut refused = false;
        let mut obstacle = Obstacle::NoWay;
        for attempt in 0..ATTEMPTS {
            let told = self.told.take().map_or(Ok(()), Err);
            let sent = told.and_then(|()| self.socket.send_with_flags(datagram, NO_SIGNAL));
            let Err(error) = sent else {
                self.lately.keep(datagram);
                return Ok(if refused { Sent::Refused } else { Sent::Sent });
            };
            self.mend();
            match failure::remedy(&error) {
                Remedy::Again => {}
                Remedy::Drop(obstacle) => return Ok(Sent::Dropped(obstacle)),
                Remedy::NextAddress => {
                    refused = true;
                    self.try_next_address();
                    self.look_up();
                }
                Remedy::Shorten => {
                    obstacle = Obstacle::TooLong;
                    self.shorten(datagram.len());
                }
                // Perhaps a router said so of an earlier one, and this one goes.
                Remedy::Rebind if attempt == 0 => self.look_up(),
                Remedy::Rebind => {
                    if !self.renew(self.current) {
                        return Ok(Sent::Dropped(Obstacle::NoWay));
                    }
                }
                Remedy::End => {
                    return Err(failure::plain(format!("sending to {} failed", self.peer()), &error));
                }
            }
        }
        Ok(if refused { Sent::Refused } else { Sent::Dropped(obstacle) })
    }

    /// Sends datagrams with as few calls as the system allows. Never blocks. How many went, from the first on, and what became of
    /// the next: [`Sent::Refused`] tells of an earlier one, the next has not been tried then.
    pub fn send_many(&mut self, datagrams: &[&[u8]]) -> Result<(usize, Sent)> {
        self.follow_name();
        let mut sent = 0;
        while sent < datagrams.len() {
            match sys::send_many(&self.socket, &datagrams[sent..]) {
                Ok(count) => {
                    for datagram in &datagrams[sent..sent + count] {
                        self.lately.keep(datagram);
                    }
                    sent += count;
                }
                Err(e) if failure::remedy(&e) == Remedy::NextAddress => {
                    self.mend();
                    self.look_up();
                    return Ok((sent, Sent::Refused));
                }
                Err(e) => {
                    self.told = Some(e);
                    match self.send(datagrams[sent])? {
                        Sent::Sent => sent += 1,
                        Sent::Refused => return Ok((sent + 1, Sent::Refused)),
                        dropped @ Sent::Dropped(_) => return Ok((sent, dropped)),
                    }
                }
            }
        }
        Ok((sent, Sent::Sent))
    }

    /// Bytes that a datagram may have on this path without being sent in parts, as far as is known. It only falls.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// How many sockets have taken over from the first.
    pub const fn renewals(&self) -> u64 {
        self.renewals
    }

    /// Looks whether the way to the peer is still this one: the host's name is looked up again, and where packets would leave from
    /// another address now, another socket takes over. For when the peer is no longer heard.
    pub fn look_again(&mut self) {
        self.look_up();
        let probe = Path { local_port: 0, ..self.path.clone() };
        let there = connected(&probe, &self.peer()).and_then(|socket| address::local(&socket));
        if let (Ok(there), Ok(here)) = (there, self.local_addr())
            && there.ip() != here.ip()
        {
            self.renew(self.current);
        }
    }

    /// Hands over what the peer has said since, a few datagrams at most, with the time of its coming by `clock`, and whether it
    /// came to the port above. Never blocks, and hears nobody else.
    pub fn hear(&mut self, clock: Clock, handle: &mut dyn FnMut(Micros, bool, &[u8])) {
        let ear = self.ear.get_or_insert_with(|| {
            Ear::prepare(&self.socket);
            Ear::new(clock, LONGEST_HEARD)
        });
        let handle = &mut |datagram: super::Datagram<'_>| {
            if !datagram.truncated {
                handle(datagram.arrival, datagram.beside, datagram.bytes);
            }
        };
        let (_, error) = ear.hear(&self.socket, HEARD_AT_ONCE, false, handle);
        if let Some(beside) = &self.beside {
            ear.hear(beside, HEARD_AT_ONCE, true, handle);
        }
        // Whoever asks first is told: keep it for the next packet.
        let kept = self.mend();
        if let Some(error) = error.or(kept).filter(|e| failure::remedy(e) != Remedy::Again) {
            if failure::remedy(&error) == Remedy::Shorten {
                self.shorten(usize::MAX);
            } else {
                self.told = Some(error);
            }
        }
    }

    /// Sleeps for `timeout` at most, or until the peer says something.
    pub fn rest(&self, rest: &mut Rest, timeout: Duration) {
        rest.until_readable(&self.socket, timeout);
    }

    /// Hears what comes from the port above the peer's to the port above ours, too: there receivers that do not know RFC
    /// 5761 send their reports. Whether that port could be had.
    pub fn listen_beside(&mut self) -> bool {
        if self.beside.is_none()
            && let Ok(mut local) = self.local_addr()
            && let (Some(own), Some(port)) = (local.port().checked_add(1), self.peer().port().checked_add(1))
        {
            let mut peer = self.peer();
            peer.set_port(port);
            local.set_port(own);
            let socket = address::bind(&local, Type::DGRAM, |_| Ok(()));
            self.beside = socket.and_then(|socket| socket.connect(&peer.into()).map(|()| socket)).ok();
            if let Some(socket) = &self.beside {
                Ear::prepare(socket);
            }
        }
        self.beside.is_some()
    }

    /// Whom it sends to.
    pub fn peer(&self) -> SocketAddr {
        self.candidates[self.current]
    }

    /// Where it sends from.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        address::local(&self.socket)
    }

    /// Takes what routers have said of earlier datagrams: those that were too long go again. The last of the other errors.
    fn mend(&mut self) -> Option<io::Error> {
        let mut beginning = [0; LONGEST_QUOTED];
        let mut other = None;
        while let Some((errno, length)) = sys::next_failed(&self.socket, &mut beginning) {
            let error = io::Error::from_raw_os_error(errno);
            if failure::remedy(&error) != Remedy::Shorten {
                other = Some(error).filter(|_| errno != 0).or(other);
                continue;
            }
            self.shorten(usize::MAX);
            if let Some(lost) = self.lately.take(&beginning[..length]) {
                // An error that waits is told by the first call.
                let again = self.socket.send_with_flags(&lost, NO_SIGNAL);
                let _ = again.or_else(|_| self.socket.send_with_flags(&lost, NO_SIGNAL));
            }
        }
        other
    }

    /// Learns what the path takes, from the system or, where it does not say, from the `length` that was too much.
    fn shorten(&mut self, length: usize) {
        let limit = self.room().unwrap_or(length / 2).clamp(LEAST_LIMIT, self.limit.max(LEAST_LIMIT));
        if limit < self.limit {
            self.limit = limit;
            log::info!(
                target: TARGET,
                "the way to {} takes datagrams of {limit} bytes at most: longer ones go in parts",
                self.peer()
            );
        }
    }

    /// Bytes that a datagram may have, as the system knows it.
    fn room(&self) -> Option<usize> {
        let is_v6 = self.peer().is_ipv6();
        let headers = if is_v6 { IPV6_AND_UDP } else { IPV4_AND_UDP };
        sys::path_mtu(&self.socket, is_v6).map(|mtu| mtu.saturating_sub(headers))
    }

    /// Another socket takes over, towards the candidate at that place; not too often. Whether there is one.
    fn renew(&mut self, candidate: usize) -> bool {
        if !self.next_socket.is_over() {
            return false;
        }
        self.next_socket = Deadline::after(BETWEEN_SOCKETS);
        let (before, peer) = (self.local_addr().ok(), self.candidates[candidate]);
        // The old one gives its port back first.
        let Ok(closed) = address::open(&peer, Type::DGRAM) else { return false };
        self.socket = closed;
        let beside = self.beside.take().is_some();
        let same = Path { local_port: self.port, ..self.path.clone() };
        let socket = match connected(&same, &peer) {
            Err(_) if self.path.local_port == 0 => connected(&self.path, &peer),
            done => done,
        };
        let Ok(socket) = socket else { return false };
        self.take_over(socket, candidate);
        if beside {
            self.listen_beside();
        }
        if let Ok(now) = self.local_addr()
            && before != Some(now)
        {
            log::warn!(target: TARGET, "packets to {peer} leave from {now} now: the network of this machine has changed");
        }
        true
    }

    fn take_over(&mut self, socket: Socket, candidate: usize) {
        if self.ear.is_some() {
            Ear::prepare(&socket);
        }
        self.socket = socket;
        self.beside = None;
        self.current = candidate;
        self.told = None;
        self.renewals += 1;
    }

    /// Looks the host's name up, if that was not done just now.
    fn look_up(&mut self) {
        if self.lookup.is_none() && self.next_lookup.is_over() {
            self.next_lookup = Deadline::after(BETWEEN_LOOKUPS);
            self.lookup = Lookup::begin(&self.path.host, self.path.port);
        }
    }

    /// Goes where the host's name leads now, once that is known.
    fn follow_name(&mut self) {
        let Some(answer) = self.lookup.as_ref().and_then(Lookup::answer) else { return };
        self.lookup = None;
        if let Ok(found) = answer {
            self.follow(ordered(found));
        }
    }

    fn follow(&mut self, found: Vec<SocketAddr>) {
        let before = self.peer();
        if let Some(place) = found.iter().position(|&there| there == before) {
            (self.candidates, self.current) = (found, place);
            return;
        }
        self.next_socket = Deadline::after(Duration::ZERO);
        let way = found.iter().enumerate().find_map(|(place, there)| {
            let probe = Path { local_port: 0, ..self.path.clone() };
            connected(&probe, there).ok().map(|_| place)
        });
        let Some(place) = way else { return };
        let known = std::mem::replace(&mut self.candidates, found);
        if self.renew(place) {
            log::warn!(target: TARGET, "{} is at {} now, no longer at {before}", self.path.host, self.peer());
        } else {
            self.candidates = known;
        }
    }

    fn try_next_address(&mut self) {
        for step in 1..self.candidates.len() {
            let next = (self.current + step) % self.candidates.len();
            // With a fixed local port the old socket may be in the way; then the peer stays.
            if let Ok(socket) = connected(&self.path, &self.candidates[next]) {
                self.take_over(socket, next);
                return;
            }
        }
    }
}

/// A server on this machine that hears IPv6 hears IPv4 too; the reverse is not so.
fn ordered(mut candidates: Vec<SocketAddr>) -> Vec<SocketAddr> {
    if candidates.iter().all(|a| a.ip().is_loopback()) {
        candidates.sort_by_key(SocketAddr::is_ipv6);
    }
    candidates
}

fn connected(path: &Path, peer: &SocketAddr) -> Result<Socket> {
    let local = address::unspecified(peer, path.local_port);
    let socket = address::bind(&local, Type::DGRAM, |_| Ok(()))
        .map_err(|e| failure::bind(Protocol::Udp, "every interface", path.local_port, "--local-port", &e))?;
    address::mark(&socket, peer, path.dscp);
    if let Err(e) = sys::keep_errors(&socket, peer.is_ipv6()) {
        log::debug!("packets too long for the path are lost once: {e}");
    }
    prepare_multicast(&socket, peer, path.ttl)
        .and_then(|()| connect_or_stay_home(&socket, peer))
        .map_err(|e| unreachable(path, *peer, &e))?;
    Ok(socket)
}

fn prepare_multicast(socket: &Socket, peer: &SocketAddr, ttl: u8) -> io::Result<()> {
    match peer {
        _ if !peer.ip().is_multicast() => Ok(()),
        SocketAddr::V4(_) => {
            socket.set_multicast_ttl_v4(u32::from(ttl))?;
            socket.set_multicast_loop_v4(true)
        }
        SocketAddr::V6(v6) => {
            socket.set_multicast_hops_v6(u32::from(ttl))?;
            socket.set_multicast_loop_v6(true)?;
            if v6.scope_id() == 0 { Ok(()) } else { socket.set_multicast_if_v6(v6.scope_id()) }
        }
    }
}

/// A machine without a network has no route for groups, but can still talk to itself.
fn connect_or_stay_home(socket: &Socket, peer: &SocketAddr) -> io::Result<()> {
    let to = (*peer).into();
    socket.connect(&to).or_else(|e| {
        match peer {
            _ if !peer.ip().is_multicast() => return Err(e),
            SocketAddr::V4(_) => socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST)?,
            SocketAddr::V6(_) => socket.set_multicast_if_v6(LOOPBACK_INTERFACE)?,
        }
        socket.connect(&to)
    })
}

fn unreachable(path: &Path, peer: SocketAddr, error: &io::Error) -> Error {
    failure::connect(Protocol::Udp, &path.host, peer, error)
}

/// Reports are shorter; what is not is none of ours.
const LONGEST_HEARD: usize = 4096;
/// What a talkative peer may say between two packets.
const HEARD_AT_ONCE: usize = 8;

const TARGET: &str = "audiostream.network";
/// Tries to send one datagram: one for an error that was told of an earlier one, one for another socket, one for that.
const ATTEMPTS: usize = 4;
/// Headers below a datagram (RFC 791, RFC 8200, RFC 768).
const IPV4_AND_UDP: usize = 28;
const IPV6_AND_UDP: usize = 48;
/// What a router sends back is no longer (RFC 1812 §4.3.2.3, RFC 4443 §3.2).
const LONGEST_QUOTED: usize = 1280;
const BETWEEN_SOCKETS: Duration = Duration::from_millis(250);
const BETWEEN_LOOKUPS: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::net::udp::UdpReceiver;
    use crate::engine::time::Clock;

    const LONG: Duration = Duration::from_secs(20);

    fn path(host: &str, port: u16) -> Path {
        Path { host: host.into(), port, ..Path::default() }
    }

    fn receiver(bind: &str, port: u16) -> UdpReceiver {
        UdpReceiver::bind(Some(bind), port, Clock::new()).unwrap()
    }

    /// What is there, waiting for the first.
    fn heard(receiver: &mut UdpReceiver) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut all = Vec::new();
        receiver.receive(LONG, &mut |d| all.push((d.address, d.bytes.to_vec()))).unwrap();
        all
    }

    /// A port at which nobody listens, here.
    fn closed_port(bind: &str) -> u16 {
        receiver(bind, 0).local_addr().port()
    }

    #[test]
    fn a_receiver_is_reached_by_name_and_by_either_family() {
        let mut receiver = UdpReceiver::bind(None, 0, Clock::new()).unwrap();
        for host in ["localhost", "127.0.0.1", "::1", "[::1]"] {
            let mut sender = UdpSender::connect(&path(host, receiver.local_addr().port())).unwrap();
            assert_eq!(sender.send(host.as_bytes()).unwrap(), Sent::Sent);
            let expected = (sender.local_addr().unwrap(), host.as_bytes().to_vec());
            assert_eq!(heard(&mut receiver), [expected]);
        }
    }

    #[test]
    fn nobody_listening_is_told_and_nothing_is_lost_once_somebody_does() {
        let port = closed_port("127.0.0.1");
        let mut sender = UdpSender::connect(&path("127.0.0.1", port)).unwrap();
        assert_eq!(sender.send(b"0").unwrap(), Sent::Sent);
        for _ in 0..5 {
            assert_eq!(sender.send(b"1").unwrap(), Sent::Refused);
        }
        let mut receiver = receiver("127.0.0.1", port);
        // The last refusal is still to be told; its bearer arrives.
        assert_eq!(sender.send(b"2").unwrap(), Sent::Refused);
        assert_eq!(sender.send(b"3").unwrap(), Sent::Sent);
        let bytes: Vec<_> = heard(&mut receiver).into_iter().map(|h| h.1).collect();
        assert_eq!(bytes, [b"2", b"3"]);
    }

    #[test]
    fn the_peer_is_heard_with_the_time_of_its_coming_and_nobody_else_is() {
        let clock = Clock::new();
        let mut receiver = UdpReceiver::bind(None, 0, clock).unwrap();
        let mut sender = UdpSender::connect(&path("127.0.0.1", receiver.local_addr().port())).unwrap();
        sender.hear(clock, &mut |_, _, _| unreachable!("nothing was said"));
        sender.send(b"sound").unwrap();
        let mut from = None;
        receiver.receive(LONG, &mut |d| from = Some((d.address, d.local))).unwrap();
        let (address, local) = from.unwrap();
        let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        stranger.send_to(b"stranger", address).unwrap();
        let before = clock.now();
        assert!(receiver.send(b"report", address, local, false));
        let mut words = Vec::new();
        while words.is_empty() {
            sender.hear(clock, &mut |arrival, _, bytes| words.push((arrival, bytes.to_vec())));
        }
        assert_eq!(words.len(), 1);
        assert_eq!(words[0].1, b"report");
        let near = Duration::from_millis(1);
        assert!(before - near <= words[0].0 && words[0].0 <= clock.now());
    }

    #[test]
    fn a_refusal_that_was_heard_first_is_told_when_sending() {
        let clock = Clock::new();
        let mut sender = UdpSender::connect(&path("127.0.0.1", closed_port("127.0.0.1"))).unwrap();
        assert_eq!(sender.send(b"0").unwrap(), Sent::Sent);
        for _ in 0..3 {
            sender.hear(clock, &mut |_, _, _| unreachable!());
            assert_eq!(sender.send(b"1").unwrap(), Sent::Refused);
        }
    }

    #[test]
    fn reports_to_the_port_above_are_heard() {
        let clock = Clock::new();
        let found = (0..100).find_map(|_| {
            let mut receiver = receiver("127.0.0.1", 0);
            let mut sender = UdpSender::connect(&path("127.0.0.1", receiver.local_addr().port())).unwrap();
            (receiver.listen_beside() && sender.listen_beside()).then_some((receiver, sender))
        });
        let (receiver, mut sender) = found.unwrap();
        let mut above = sender.local_addr().unwrap();
        above.set_port(above.port() + 1);
        assert!(receiver.send(b"report", above, None, true));
        let mut words = Vec::new();
        while words.is_empty() {
            sender.hear(clock, &mut |_, _, bytes| words.push(bytes.to_vec()));
        }
        assert_eq!(words, [b"report"]);
    }

    #[test]
    fn a_host_that_refuses_on_one_address_is_tried_on_the_next() {
        let mut receiver = receiver("::1", 0);
        let port = receiver.local_addr().port();
        let mut sender = UdpSender::connect(&path("127.0.0.1", port)).unwrap();
        sender.candidates.push(receiver.local_addr());
        let outcomes = [b"0", b"1", b"2", b"3"].map(|b| sender.send(b).unwrap());
        assert_eq!(outcomes, [Sent::Sent, Sent::Refused, Sent::Sent, Sent::Sent]);
        assert_eq!(sender.peer(), receiver.local_addr());
        let bytes: Vec<_> = heard(&mut receiver).into_iter().map(|h| h.1).collect();
        assert_eq!(bytes, [b"1", b"2", b"3"]);
    }

    #[test]
    fn a_datagram_too_long_for_udp_is_dropped_and_the_next_goes() {
        let mut receiver = receiver("127.0.0.1", 0);
        let mut sender = UdpSender::connect(&path("127.0.0.1", receiver.local_addr().port())).unwrap();
        assert_eq!(sender.send(&vec![0; 65_508]).unwrap(), Sent::Dropped(Obstacle::TooLong));
        assert_eq!(sender.send(b"next").unwrap(), Sent::Sent);
        assert_eq!(heard(&mut receiver)[0].1, b"next");
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_followed_from_the_same_port() {
        let mut receiver = receiver("127.0.0.2", 0);
        let there = receiver.local_addr();
        let mut sender = UdpSender::connect(&path("127.0.0.1", there.port())).unwrap();
        let port = sender.local_addr().unwrap().port();
        sender.follow(vec![sender.peer(), there]);
        assert_eq!((sender.peer().ip().to_string().as_str(), sender.renewals()), ("127.0.0.1", 0));
        sender.follow(vec![there]);
        assert_eq!((sender.peer(), sender.renewals()), (there, 1));
        assert_eq!(sender.send(b"here").unwrap(), Sent::Sent);
        let (from, bytes) = heard(&mut receiver).remove(0);
        assert_eq!((from.port(), &bytes[..]), (port, &b"here"[..]));
    }

    #[test]
    fn packets_are_marked_with_the_code_point() {
        let sender = UdpSender::connect(&path("127.0.0.1", 9)).unwrap();
        assert_eq!(sender.socket.tos_v4().unwrap(), 46 << 2);
        #[cfg(not(windows))]
        {
            let sender = UdpSender::connect(&Path { dscp: 10, ..path("::1", 9) }).unwrap();
            assert_eq!(sender.socket.tclass_v6().unwrap(), 10 << 2);
        }
    }

    #[test]
    fn the_local_port_is_the_one_asked_for() {
        let mut receiver = receiver("127.0.0.1", 0);
        let local_port = closed_port("0.0.0.0");
        let path = Path { local_port, ..path("127.0.0.1", receiver.local_addr().port()) };
        let mut sender = UdpSender::connect(&path).unwrap();
        sender.send(b"x").unwrap();
        assert_eq!(heard(&mut receiver)[0].0.port(), local_port);
        let error = UdpSender::connect(&path).unwrap_err();
        assert!(error.message().contains("choose another --local-port"), "{error}");
    }

    #[test]
    fn an_unknown_host_is_an_error() {
        let error = UdpSender::connect(&path("no-such-host.invalid", 9)).unwrap_err();
        assert!(error.message().contains("unknown host"), "{error}");
    }

    #[test]
    fn a_group_is_heard_by_all_who_joined() {
        let group = "239.255.77.13";
        let mut first = receiver(group, 0);
        let port = first.local_addr().port();
        let mut second = receiver(group, port);
        let mut sender = UdpSender::connect(&Path { ttl: 3, ..path(group, port) }).unwrap();
        assert_eq!(sender.socket.multicast_ttl_v4().unwrap(), 3);
        for n in [b"1", b"2", b"3"] {
            assert_eq!(sender.send(n).unwrap(), Sent::Sent);
            assert_eq!(heard(&mut first)[0].1, n);
            assert_eq!(heard(&mut second)[0].1, n);
        }
        // Nothing but the group's packets comes in.
        let mut stray = UdpSender::connect(&path("127.0.0.1", port)).unwrap();
        stray.send(b"stray").unwrap();
        assert_eq!(first.receive(Duration::ZERO, &mut |_| ()).unwrap(), 0);
    }

    #[test]
    fn an_ipv6_group_is_heard() {
        let group = "ff15::7713";
        let mut receiver = receiver(group, 0);
        let port = receiver.local_addr().port();
        // A machine without IPv6 beyond loopback has no route for such groups.
        let Ok(mut sender) = UdpSender::connect(&path(group, port)) else { return };
        sender.send(b"six").unwrap();
        assert_eq!(heard(&mut receiver)[0].1, b"six");
    }
}
