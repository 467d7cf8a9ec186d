//! The sending end of UDP: a socket connected to one peer, so that its refusals are heard.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use socket2::{Socket, Type};

use super::ear::Ear;
use crate::engine::config::{Path, Protocol};
use crate::engine::error::{Error, Result};
use crate::engine::net::resolve::resolve;
use crate::engine::net::rest::Rest;
use crate::engine::net::sys::{self, LOOPBACK_INTERFACE, NO_SIGNAL};
use crate::engine::net::{address, failure};
use crate::engine::time::{Clock, Micros};

/// What became of a datagram, as far as this machine can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It has gone out.
    Sent,
    /// It has gone out, and an earlier one was refused: nobody listens at the peer's port (ICMP port unreachable).
    Refused,
    /// It has not gone out: the kernel's buffer is full, or the network is away for the moment.
    Dropped,
}

/// A socket that sends to one peer or multicast group.
///
/// Where the host has several addresses and one refuses, the next is tried: a server that hears only one family of
/// addresses is found within as many packets as there are addresses.
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
    /// A refusal was told when we listened.
    refused: bool,
}

impl UdpSender {
    /// Looks the host up (10 s at most) and connects to the first of its addresses that there is a way to.
    pub fn connect(path: &Path) -> Result<Self> {
        let mut candidates = resolve(&path.host, path.port, &AtomicBool::new(false))?;
        if candidates.iter().all(|a| a.ip().is_loopback()) {
            // A server on this machine that hears IPv6 hears IPv4 too; the reverse is not so.
            candidates.sort_by_key(SocketAddr::is_ipv6);
        }
        let mut last = None;
        for (current, candidate) in candidates.iter().enumerate() {
            match connected(path, candidate) {
                Ok(socket) => {
                    return Ok(Self {
                        socket,
                        path: path.clone(),
                        candidates,
                        current,
                        ear: None,
                        beside: None,
                        refused: false,
                    });
                }
                Err(e) => last = Some(e),
            }
        }
        Err(last.unwrap_or_else(|| failure::transport(format!("{:?} has no address", path.host))))
    }

    /// Sends one datagram. Never blocks. An error means that this socket is of no more use, or that the datagram is too long for UDP.
    pub fn send(&mut self, datagram: &[u8]) -> Result<Sent> {
        if !std::mem::take(&mut self.refused) {
            match self.socket.send_with_flags(datagram, NO_SIGNAL) {
                Ok(_) => return Ok(Sent::Sent),
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(e) => return self.judge(&e, datagram.len()),
            }
        }
        // The error told of an earlier datagram and is cleared; this one has not been sent yet.
        self.try_next_address();
        match self.socket.send_with_flags(datagram, NO_SIGNAL) {
            Err(e) if e.kind() != io::ErrorKind::ConnectionRefused => self.judge(&e, datagram.len()),
            _ => Ok(Sent::Refused),
        }
    }

    /// Sends datagrams with as few calls as the system allows. Never blocks. How many went, from the first on, and what became of
    /// the next: [`Sent::Refused`] tells of an earlier one, the next has not been tried then.
    pub fn send_many(&mut self, datagrams: &[&[u8]]) -> Result<(usize, Sent)> {
        let mut sent = 0;
        while sent < datagrams.len() {
            match sys::send_many(&self.socket, &datagrams[sent..]) {
                Ok(count) => sent += count,
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => return Ok((sent, Sent::Refused)),
                Err(e) => return Ok((sent, self.judge(&e, datagrams[sent].len())?)),
            }
        }
        Ok((sent, Sent::Sent))
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
        // Whoever asks first is told: keep it for the next packet.
        self.refused |= error.is_some_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
        if let Some(beside) = &self.beside {
            ear.hear(beside, HEARD_AT_ONCE, true, handle);
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

    fn judge(&self, error: &io::Error, length: usize) -> Result<Sent> {
        if is_passing(error) {
            return Ok(Sent::Dropped);
        }
        if error.raw_os_error() == Some(too_long()) {
            let message =
                format!("{length} bytes are too long for one UDP packet: choose a smaller size, or tcp");
            return Err(failure::transport(message).with_errno(error));
        }
        Err(failure::plain(format!("sending to {} failed", self.peer()), error))
    }

    fn try_next_address(&mut self) {
        for step in 1..self.candidates.len() {
            let next = (self.current + step) % self.candidates.len();
            // With a fixed local port the old socket may be in the way; then the peer stays.
            if let Ok(socket) = connected(&self.path, &self.candidates[next]) {
                if self.ear.is_some() {
                    Ear::prepare(&socket);
                }
                self.socket = socket;
                self.beside = None;
                self.current = next;
                return;
            }
        }
    }
}

fn connected(path: &Path, peer: &SocketAddr) -> Result<Socket> {
    let local = address::unspecified(peer, path.local_port);
    let socket = address::bind(&local, Type::DGRAM, |_| Ok(()))
        .map_err(|e| failure::bind(Protocol::Udp, "every interface", path.local_port, "--local-port", &e))?;
    address::mark(&socket, peer, path.dscp);
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

/// Errors that a stream outlives: a full buffer, a network that is away while it is changed.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::WouldBlock
            | Kind::Interrupted
            | Kind::OutOfMemory
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::AddrNotAvailable
            // A firewall of this machine that drops says so (EPERM).
            | Kind::PermissionDenied
    ) || is_no_buffer(error)
}

#[cfg(unix)]
fn is_no_buffer(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOBUFS)
}

#[cfg(windows)]
fn is_no_buffer(error: &io::Error) -> bool {
    // WSAENOBUFS
    error.raw_os_error() == Some(10_055)
}

/// Reports are shorter; what is not is none of ours.
const LONGEST_HEARD: usize = 4096;
/// What a talkative peer may say between two packets.
const HEARD_AT_ONCE: usize = 8;

#[cfg(unix)]
const fn too_long() -> i32 {
    libc::EMSGSIZE
}

#[cfg(windows)]
const fn too_long() -> i32 {
    // WSAEMSGSIZE
    10_040
}

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
    fn a_datagram_too_long_is_an_error_that_says_so() {
        let mut sender = UdpSender::connect(&path("127.0.0.1", 9)).unwrap();
        let error = sender.send(&vec![0; 65_508]).unwrap_err();
        assert!(error.message().contains("65508 bytes are too long"), "{error}");
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
