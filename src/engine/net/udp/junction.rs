//! Sockets to pass datagrams between many peers and one far end: one that all peers speak to, and for each a socket of its own
//! that speaks to the far end, so that what the far end answers finds its way back.
//!
//! Guaranteed: nothing but waiting blocks; what the far end's machine refuses (ICMP) is counted, and ends nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use socket2::{Socket, Type};

use super::ear::{Datagram, Ear};
use super::receiver::{UdpReceiver, grow_receive_buffer};
use crate::engine::config::Protocol;
use crate::engine::error::{Error, Result};
use crate::engine::net::resolve::resolve;
use crate::engine::net::sys::{self, NO_SIGNAL};
use crate::engine::net::wait::{Interest, Watch};
use crate::engine::net::waker::{Alarm, Waker};
use crate::engine::net::{address, failure};
use crate::engine::time::Clock;

/// The sockets.
#[derive(Debug)]
pub struct Junction {
    front: UdpReceiver,
    far: SocketAddr,
    /// Each at the place of its peer.
    backs: Vec<Option<(Socket, Ear)>>,
    clock: Clock,
    alarm: Alarm,
    watch: Watch,
    /// The places of those that are waited for, in the order of the watch, after the front.
    watched: Vec<usize>,
    counts: JunctionCounts,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JunctionCounts {
    /// Datagrams that found nobody at the far end, as its machine or a router said.
    pub refused: u64,
    /// Datagrams that the kernel dropped before they could be read: their buffer was full.
    pub dropped: u64,
}

impl Junction {
    /// Listens on every interface, or at the name or address `bind`; the far end's name is looked up once (10 s at most).
    pub fn open(bind: Option<&str>, port: u16, far: (&str, u16), clock: Clock) -> Result<Self> {
        let front = UdpReceiver::bind(bind, port, clock)?;
        let local = front.local_addr();
        if is_for_many(local.ip()) {
            return Err(Error::config(format!(
                "listen: {local} is an address of many: a hop stands between two programs, give one of this machine's"
            )));
        }
        let far = far_end(far.0, far.1, local)?;
        let failed = |e| failure::plain("cannot set the sockets up", &e);
        Ok(Self {
            front,
            far,
            backs: Vec::new(),
            clock,
            alarm: Alarm::new().map_err(failed)?,
            watch: Watch::default(),
            watched: Vec::new(),
            counts: JunctionCounts::default(),
        })
    }

    /// Where peers speak to it.
    pub fn local_addr(&self) -> SocketAddr {
        self.front.local_addr()
    }

    /// The far end.
    pub fn far(&self) -> SocketAddr {
        self.far
    }

    /// What ends a wait.
    pub fn waker(&self) -> Waker {
        self.alarm.waker()
    }

    /// What went wrong so far.
    pub fn counts(&self) -> JunctionCounts {
        let backs = self.backs.iter().flatten().filter_map(|(socket, _)| sys::dropped_datagrams(socket));
        let dropped = self.counts.dropped + self.front.kernel_drops() + backs.map(u64::from).sum::<u64>();
        JunctionCounts { dropped, ..self.counts }
    }

    /// Makes the socket of the peer at `place`.
    pub fn connect(&mut self, place: usize) -> io::Result<()> {
        let socket = connected(self.far)?;
        if self.backs.len() <= place {
            self.backs.resize_with(place + 1, || None);
        }
        self.backs[place] = Some((socket, Ear::of_few(self.clock, LONGEST, AT_ONCE)));
        Ok(())
    }

    /// Closes it.
    pub fn forget(&mut self, place: usize) {
        if let Some((socket, _)) = self.backs.get_mut(place).and_then(Option::take) {
            self.counts.dropped += sys::dropped_datagrams(&socket).map_or(0, u64::from);
        }
    }

    /// Waits until there is something to hear, the waker wakes, or `timeout` is over.
    pub fn wait(&mut self, timeout: Duration) -> Result<()> {
        self.watch.clear();
        self.watched.clear();
        self.watch.add(self.front.socket(), Interest::Read);
        for (place, back) in self.backs.iter().enumerate() {
            if let Some((socket, _)) = back {
                self.watch.add(socket, Interest::Read);
                self.watched.push(place);
            }
        }
        self.watch
            .wait(&self.alarm, timeout)
            .map(|_| ())
            .map_err(|e| failure::plain("waiting for datagrams failed", &e))
    }

    /// Hands over what has come by the last wait, some datagrams of each socket at most: from peers (`None`), or from the far
    /// end for the peer at a place. How many there were.
    pub fn hear(&mut self, handle: &mut dyn FnMut(Option<usize>, Datagram<'_>)) -> Result<usize> {
        let mut heard = 0;
        if self.watch.readable(0) {
            heard += self.front.hear(&mut |datagram| handle(None, datagram))?;
        }
        for (n, &place) in self.watched.iter().enumerate() {
            if let Some((socket, ear)) = &mut self.backs[place]
                && self.watch.readable(n + 1)
            {
                let (count, error) =
                    ear.hear(socket, BATCH, false, &mut |datagram| handle(Some(place), datagram));
                heard += count;
                // Whatever it is: reading it has cleared it.
                self.counts.refused += u64::from(error.is_some_and(|e| is_refusal(&e)));
            }
        }
        Ok(heard)
    }

    /// Sends a datagram on, to the far end, from the socket of the peer at `place`. Whether it has gone out.
    pub fn send_up(&mut self, place: usize, datagram: &[u8]) -> bool {
        let Some(Some((socket, _))) = self.backs.get(place) else { return false };
        match socket.send_with_flags(datagram, NO_SIGNAL) {
            Ok(_) => true,
            Err(e) => {
                // Whatever a router or the far end said was of an earlier one; this one has not been sent yet.
                self.counts.refused += u64::from(is_refusal(&e));
                socket.send_with_flags(datagram, NO_SIGNAL).is_ok()
            }
        }
    }

    /// Sends a datagram back to a peer, from our address `from` where that is known. Whether it has gone out.
    pub fn send_down(&self, peer: SocketAddr, from: Option<IpAddr>, datagram: &[u8]) -> bool {
        self.front.send(datagram, peer, from, false)
    }

    /// Waits for the waker or `timeout`, and for no datagram.
    pub fn rest(&self, timeout: Duration) -> Result<()> {
        let waited = Watch::default().wait(&self.alarm, timeout);
        waited.map(|_| ()).map_err(|e| failure::plain("waiting failed", &e))
    }

    /// What knows packets that would go round in circles.
    pub fn circle(&self) -> Circle {
        Circle { local: self.front.local_addr(), far: self.far }
    }
}

/// The places that no peer speaks from.
#[derive(Clone, Copy, Debug)]
pub struct Circle {
    local: SocketAddr,
    far: SocketAddr,
}

impl Circle {
    /// Whether what comes from this address would go round in circles: it is our own, or the far end's.
    pub fn has(self, peer: SocketAddr) -> bool {
        peer == self.far || is_at(self.local, peer)
    }
}

fn connected(far: SocketAddr) -> io::Result<Socket> {
    let socket = address::bind(&address::unspecified(&far, 0), Type::DGRAM, |_| Ok(()))?;
    grow_receive_buffer(&socket);
    Ear::prepare(&socket);
    socket.connect(&far.into())?;
    Ok(socket)
}

/// The first of a host's addresses that there is a way to; IPv4 first on this machine, as a client has it.
fn far_end(host: &str, port: u16, local: SocketAddr) -> Result<SocketAddr> {
    let mut candidates = resolve(host, port, &AtomicBool::new(false))?;
    if candidates.iter().all(|a| a.ip().is_loopback()) {
        candidates.sort_by_key(SocketAddr::is_ipv6);
    }
    let mut last = None;
    for far in candidates {
        let refused = |why: &str| Error::config(format!("forward: {far} {why}"));
        if is_for_many(far.ip()) {
            return Err(refused("is an address of many: a hop stands between two programs"));
        }
        if far.ip().is_unspecified() {
            return Err(refused("is no destination: name the host, such as 127.0.0.1"));
        }
        if is_at(local, far) {
            return Err(refused("is where this hop listens: packets would go round in circles"));
        }
        match connected(far) {
            Ok(_) => return Ok(far),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                return Err(refused("is a broadcast address: a hop stands between two programs"));
            }
            Err(e) => last = Some(failure::connect(Protocol::Udp, host, far, &e)),
        }
    }
    Err(last.unwrap_or_else(|| failure::transport(format!("{host:?} has no address"))))
}

/// Whether what is sent to `place` comes to a socket that is bound to `local`.
fn is_at(local: SocketAddr, place: SocketAddr) -> bool {
    let everywhere = local.ip().is_unspecified() && (local.is_ipv6() || place.is_ipv4());
    place.port() == local.port() && (place.ip() == local.ip() || everywhere && is_ours(place.ip()))
}

/// An address is ours if a socket can be bound to it.
fn is_ours(ip: IpAddr) -> bool {
    ip.is_loopback() || address::bind(&(ip, 0).into(), Type::DGRAM, |_| Ok(())).is_ok()
}

fn is_for_many(ip: IpAddr) -> bool {
    ip.is_multicast() || matches!(ip, IpAddr::V4(v4) if v4.is_broadcast())
}

fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionRefused | Kind::ConnectionReset | Kind::HostUnreachable | Kind::NetworkUnreachable
    )
}

/// Datagrams of one socket that are taken at a time.
const BATCH: usize = 64;
/// Datagrams of the far end's for one peer that are read by one system call.
const AT_ONCE: usize = 8;
/// More than the longest datagram that UDP over IP can carry.
const LONGEST: usize = 65_536;

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::engine::error::ErrorKind;

    const LONG: Duration = Duration::from_secs(20);

    fn junction(far: SocketAddr) -> Junction {
        Junction::open(Some("127.0.0.1"), 0, (&far.ip().to_string(), far.port()), Clock::new()).unwrap()
    }

    fn socket(bind: &str) -> UdpSocket {
        let socket = UdpSocket::bind((bind, 0)).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket
    }

    /// The next datagram: of whom, from where, what.
    fn next(junction: &mut Junction) -> (Option<usize>, SocketAddr, Vec<u8>) {
        let mut heard = Vec::new();
        while heard.is_empty() {
            junction.wait(LONG).unwrap();
            junction
                .hear(&mut |place, datagram| heard.push((place, datagram.address, datagram.bytes.to_vec())))
                .unwrap();
        }
        assert_eq!(heard.len(), 1);
        heard.remove(0)
    }

    #[test]
    fn answers_find_the_peer_that_asked() {
        for far_bind in ["127.0.0.1", "::1"] {
            let far = socket(far_bind);
            let mut junction = junction(far.local_addr().unwrap());
            let peers = [0, 1].map(|_| socket("127.0.0.1"));
            for (place, peer) in peers.iter().enumerate() {
                peer.send_to(&[place as u8], junction.local_addr()).unwrap();
                let (from, address, bytes) = next(&mut junction);
                assert_eq!((from, address), (None, peer.local_addr().unwrap()));
                junction.connect(place).unwrap();
                assert!(junction.send_up(place, &bytes));
                let mut bytes = [0; 8];
                let (length, back) = far.recv_from(&mut bytes).unwrap();
                assert_eq!(bytes[..length], [place as u8]);
                far.send_to(&[9, place as u8], back).unwrap();
                let (of, _, answer) = next(&mut junction);
                assert_eq!(of, Some(place));
                assert!(junction.send_down(peer.local_addr().unwrap(), None, &answer));
                let length = peer.recv(&mut bytes).unwrap();
                assert_eq!(bytes[..length], [9, place as u8]);
            }
        }
    }

    #[test]
    fn refusals_are_counted_and_nothing_ends() {
        let far = socket("127.0.0.1");
        let address = far.local_addr().unwrap();
        drop(far);
        let mut junction = junction(address);
        junction.connect(0).unwrap();
        for _ in 0..5 {
            assert!(junction.send_up(0, b"anybody?"));
            junction.wait(LONG).unwrap();
            junction.hear(&mut |_, _| unreachable!("nobody answers")).unwrap();
        }
        assert_eq!(junction.counts().refused, 5);
        let far = UdpSocket::bind(address).unwrap();
        assert!(junction.send_up(0, b"somebody"));
        let mut bytes = [0; 8];
        assert_eq!(far.recv(&mut bytes).unwrap(), 8);
        assert!(!junction.send_up(1, b"nobody's"), "there is no such peer");
        junction.forget(0);
        assert!(!junction.send_up(0, b"forgotten"));
    }

    #[test]
    fn circles_and_addresses_of_many_are_refused() {
        let clock = Clock::new();
        let kind = |bind: Option<&str>, far: (&str, u16)| {
            let free = socket("127.0.0.1").local_addr().unwrap().port();
            let port = if far.1 == 0 { free } else { 0 };
            let far = (far.0, if far.1 == 0 { free } else { far.1 });
            Junction::open(bind, port, far, clock).map(|_| ()).unwrap_err().kind()
        };
        for (bind, host) in
            [(None, "127.0.0.1"), (None, "::1"), (None, "127.0.0.9"), (Some("127.0.0.1"), "localhost")]
        {
            assert_eq!(kind(bind, (host, 0)), ErrorKind::Config, "{bind:?} {host}");
        }
        for host in ["239.1.2.3", "ff02::1", "255.255.255.255", "127.255.255.255", "0.0.0.0", "::"] {
            assert_eq!(kind(Some("127.0.0.1"), (host, 9)), ErrorKind::Config, "{host}");
        }
        assert_eq!(kind(Some("239.1.2.3"), ("127.0.0.1", 9)), ErrorKind::Config);
        assert_eq!(kind(None, ("no-such-host.invalid", 9)), ErrorKind::Transport);
        let far = socket("127.0.0.1").local_addr().unwrap();
        let junction = junction(far);
        let circle = junction.circle();
        assert!(circle.has(far) && circle.has(junction.local_addr()));
        assert!(!circle.has((far.ip(), 1).into()));
    }
}
