//! The receiving end of UDP: datagrams with the kernel's receive time, and the count of those that it dropped.

use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use socket2::{MaybeUninitSlice, MsgHdrMut, SockAddr, Socket, Type};

use crate::engine::config::Protocol;
use crate::engine::error::Result;
use crate::engine::net::resolve::resolve;
use crate::engine::net::stamps::{self, Stamps};
use crate::engine::net::sys::{self, Buffer};
use crate::engine::net::wait::{Deadline, Interest, Watch};
use crate::engine::net::waker::{Alarm, Waker};
use crate::engine::net::{address, failure};
use crate::engine::time::{Clock, Micros};

/// One datagram as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it; IPv4 is shown as IPv4 on a socket for both.
    pub address: SocketAddr,
    /// When the kernel received it.
    pub arrival: Micros,
    /// What it carries.
    pub bytes: &'a [u8],
    /// Whether its end was cut off for want of room; never for what UDP over IP can carry.
    pub truncated: bool,
}

/// A socket that receives from anybody.
#[derive(Debug)]
pub struct UdpReceiver {
    socket: Socket,
    local: SocketAddr,
    clock: Clock,
    stamps: Stamps,
    alarm: Alarm,
    watch: Watch,
    buffer: Buffer,
    control: Buffer,
    /// The kernel's drop count, extended.
    dropped: Cell<u64>,
}

impl UdpReceiver {
    /// Binds `port` (0 lets the system choose): on every interface, IPv6 and IPv4 alike, or on the name or address
    /// `bind`. A multicast group is joined, and only there several programs may share the port.
    pub fn bind(bind: Option<&str>, port: u16, clock: Clock) -> Result<Self> {
        let (socket, local) = bound(bind, port)?;
        let failed = |e| failure::plain("cannot set the UDP socket up", &e);
        grow_receive_buffer(&socket);
        if let Err(e) = sys::ask_for_receive_times(&socket) {
            log::debug!("no receive times from the kernel, ours stand in: {e}");
        }
        Ok(Self {
            socket,
            local,
            clock,
            stamps: Stamps::new(clock),
            alarm: Alarm::new().map_err(failed)?,
            watch: Watch::default(),
            buffer: Buffer::new(LONGEST),
            control: Buffer::new(CONTROL),
            dropped: Cell::new(0),
        })
    }

    /// Waits for a datagram, the waker or `timeout`, then hands over what is there, at most 64; how many there were.
    pub fn receive(&mut self, timeout: Duration, handle: &mut dyn FnMut(Datagram<'_>)) -> Result<usize> {
        let deadline = Deadline::after(timeout);
        loop {
            self.watch.clear();
            self.watch.add(&self.socket, Interest::Read);
            let woken = self
                .watch
                .wait(&self.alarm, deadline.left())
                .map_err(|e| failure::plain("waiting for datagrams failed", &e))?;
            let count = if self.watch.readable(0) { self.take(handle)? } else { 0 };
            if count > 0 || woken || deadline.is_over() {
                return Ok(count);
            }
        }
    }

    /// How many datagrams the kernel has dropped because this socket's buffer was full; 0 where it does not tell.
    /// Right at the moment of asking; drops of 2^32 and more between two calls are not seen.
    pub fn kernel_drops(&self) -> u64 {
        if let Some(now) = sys::dropped_datagrams(&self.socket) {
            let news = now.wrapping_sub(self.dropped.get() as u32);
            self.dropped.set(self.dropped.get() + u64::from(news));
        }
        self.dropped.get()
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What ends a wait in [`receive`](Self::receive).
    pub fn waker(&self) -> Waker {
        self.alarm.waker()
    }

    fn take(&mut self, handle: &mut dyn FnMut(Datagram<'_>)) -> Result<usize> {
        self.stamps.check();
        for count in 0..BATCH {
            let before = self.clock.now();
            match self.read() {
                Ok((address, bytes, stamp, truncated)) => {
                    let now = self.clock.now();
                    let arrival = stamp.map_or(now, |wall| self.stamps.arrival(wall, now));
                    let bytes = self.buffer.filled(bytes);
                    // Only IP can come; anything else is nobody's.
                    if let Some(address) = address {
                        handle(Datagram { address, arrival, bytes, truncated });
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.stamps.none_before(before);
                    return Ok(count);
                }
                Err(e) if is_passing(&e) => return Ok(count),
                Err(e) => return Err(failure::plain("receiving datagrams failed", &e)),
            }
        }
        Ok(BATCH)
    }

    /// Sender, length, wall-clock stamp, truncation.
    fn read(&mut self) -> io::Result<(Option<SocketAddr>, usize, Option<i64>, bool)> {
        // Long enough for either family.
        let mut from = SockAddr::from(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0));
        let mut slices = [MaybeUninitSlice::new(self.buffer.spare())];
        let mut message = MsgHdrMut::new()
            .with_addr(&mut from)
            .with_buffers(&mut slices)
            .with_control(self.control.spare());
        let bytes = self.socket.recvmsg(&mut message, 0)?;
        let truncated = message.flags().is_truncated();
        let control = message.control_len();
        let stamp = stamps::in_control(self.control.filled(control));
        Ok((address::shown(&from), bytes, stamp, truncated))
    }
}

fn bound(bind: Option<&str>, port: u16) -> Result<(Socket, SocketAddr)> {
    let place = bind.unwrap_or("every interface");
    let failed = |e: io::Error| failure::bind(Protocol::Udp, place, port, "--port", &e);
    let socket = match bind {
        None => address::bind_everywhere(port, Type::DGRAM, |_| Ok(())).map_err(failed)?,
        Some(name) => {
            let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
            for candidate in resolve(name, port, &AtomicBool::new(false))? {
                result = bind_one(&candidate);
                if result.is_ok() {
                    break;
                }
            }
            result.map_err(failed)?
        }
    };
    let local = socket.local_addr().map_err(failed)?;
    let local =
        address::shown(&local).ok_or_else(|| failure::transport("the system gave the socket no address"))?;
    Ok((socket, local))
}

fn bind_one(at: &SocketAddr) -> io::Result<Socket> {
    if !at.ip().is_multicast() {
        return address::bind(at, Type::DGRAM, |_| Ok(()));
    }
    let share = |socket: &Socket| {
        socket.set_reuse_address(true)?;
        #[cfg(all(unix, not(target_os = "linux")))]
        socket.set_reuse_port(true)?;
        Ok(())
    };
    // Bound to the group itself, nothing else reaches the socket; Windows wants no address there.
    let place = if cfg!(windows) { address::unspecified(at, at.port()) } else { *at };
    let socket = address::bind(&place, Type::DGRAM, share)?;
    // A machine without a network has no route for groups, but can still talk to itself.
    match at {
        SocketAddr::V4(v4) => socket
            .join_multicast_v4(v4.ip(), &Ipv4Addr::UNSPECIFIED)
            .or_else(|_| socket.join_multicast_v4(v4.ip(), &Ipv4Addr::LOCALHOST))?,
        SocketAddr::V6(v6) => socket
            .join_multicast_v6(v6.ip(), v6.scope_id())
            .or_else(|_| socket.join_multicast_v6(v6.ip(), LOOPBACK_INTERFACE))?,
    }
    Ok(socket)
}

/// As much as the system gives, up to [`WANTED_BUFFER`]: a thousand senders must not overflow it while the thread waits its turn.
fn grow_receive_buffer(socket: &Socket) {
    if sys::force_receive_buffer(socket, WANTED_BUFFER).is_ok() {
        return;
    }
    // Linux cuts what is too much, others refuse it.
    let mut bytes = WANTED_BUFFER;
    while bytes >= 64 * 1024 && socket.set_recv_buffer_size(bytes).is_err() {
        bytes /= 2;
    }
}

/// Errors that say something of one datagram or moment, not of the socket.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::Interrupted
            | Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
    )
}

/// Datagrams handed over at a time.
const BATCH: usize = 64;

/// More than the longest datagram that UDP over IP can carry.
const LONGEST: usize = 65_536;

/// Room for the control message that is asked for, and then some.
const CONTROL: usize = 128;

/// The receive buffer to ask for.
const WANTED_BUFFER: usize = 8 * 1024 * 1024;

/// Linux numbers the loopback interface so; elsewhere it is only a last try.
const LOOPBACK_INTERFACE: u32 = 1;
