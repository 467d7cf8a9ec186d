//! The receiving end of UDP: datagrams with the kernel's receive time, and the count of those that it dropped.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{MsgHdr, Socket, Type};

use super::ear::{Datagram, Ear};
use super::membership::Membership;
use crate::engine::config::Protocol;
use crate::engine::error::Result;
use crate::engine::net::sys::{self, NO_SIGNAL};
use crate::engine::net::wait::{Deadline, Interest, Watch};
use crate::engine::net::waker::{Alarm, Waker};
use crate::engine::net::{address, ancillary, failure};
use crate::engine::time::Clock;

/// A socket that receives from anybody, and answers from where it was spoken to.
#[derive(Debug)]
pub struct UdpReceiver {
    socket: Socket,
    local: SocketAddr,
    everywhere: bool,
    clock: Clock,
    ear: Ear,
    /// Of the group, where that is one.
    membership: Option<Membership>,
    /// The port above, where that is listened to.
    beside: Option<(Socket, Ear)>,
    alarm: Alarm,
    watch: Watch,
    /// Many came last time.
    busy: bool,
    /// The kernel's drop count, extended.
    dropped: Cell<u64>,
}

impl UdpReceiver {
    /// Binds `port` (0 lets the system choose): on every interface, IPv6 and IPv4 alike, or on the name or address
    /// `bind`. A multicast group is joined, on every interface or on `interface`, and only there several programs may share the port.
    pub fn bind(bind: Option<&str>, interface: Option<&str>, port: u16, clock: Clock) -> Result<Self> {
        let group = Cell::new(None);
        let at = |at: &SocketAddr| {
            group.set(Some(*at).filter(|at| at.ip().is_multicast()));
            bind_one(at)
        };
        let everywhere = || address::bind_everywhere(port, Type::DGRAM, |_| Ok(()));
        let (socket, local) = address::bound(Protocol::Udp, bind, port, everywhere, at)?;
        let join = |group| Membership::join(&socket, group, interface);
        let membership = group.get().map(join).transpose()?;
        let failed = |e| failure::plain("cannot set the UDP socket up", &e);
        grow_receive_buffer(&socket);
        prepare(&socket, local);
        Ok(Self {
            socket,
            local,
            everywhere: bind.is_none(),
            clock,
            membership,
            ear: Ear::new(clock, LONGEST),
            beside: None,
            alarm: Alarm::new().map_err(failed)?,
            watch: Watch::default(),
            busy: false,
            dropped: Cell::new(0),
        })
    }

    /// Listens to the next port too, where senders that do not know RFC 5761 send their RTCP. Whether it could be had.
    pub fn listen_beside(&mut self) -> bool {
        if self.beside.is_none()
            && let Some(port) = self.local.port().checked_add(1)
        {
            let mut at = self.local;
            at.set_port(port);
            let socket = if self.everywhere {
                address::bind_everywhere(port, Type::DGRAM, |_| Ok(()))
            } else {
                bind_one(&at)
            };
            self.beside = socket.ok().map(|socket| {
                if let Some(membership) = &self.membership {
                    membership.join_beside(&socket);
                }
                prepare(&socket, at);
                (socket, Ear::new(self.clock, LONGEST))
            });
        }
        self.beside.is_some()
    }

    /// Sends one datagram, from our address `from` where that is given, and from the next port where it is to be `beside`.
    /// Never blocks; whether it has gone out.
    pub fn send(&self, datagram: &[u8], to: SocketAddr, from: Option<IpAddr>, beside: bool) -> bool {
        let socket = match &self.beside {
            Some((socket, _)) if beside => socket,
            _ => &self.socket,
        };
        let is_v6 = self.local.is_ipv6();
        let to = match to {
            SocketAddr::V4(v4) if is_v6 => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())),
            to => to,
        }
        .into();
        let bytes = [IoSlice::new(datagram)];
        let message = MsgHdr::new().with_addr(&to).with_buffers(&bytes);
        if let Some(from) = from.filter(|_| self.everywhere) {
            let control = ancillary::from(from, is_v6);
            if socket.sendmsg(&message.with_control(&control), NO_SIGNAL).is_ok() {
                return true;
            }
        }
        // The address may be gone meanwhile: then as the routing table has it.
        let message = MsgHdr::new().with_addr(&to).with_buffers(&bytes);
        socket.sendmsg(&message, NO_SIGNAL).is_ok()
    }

    /// Adds what it waits for to a wait for other things too.
    pub(in crate::engine::net) fn watch_in(&self, watch: &mut Watch) {
        watch.add(&self.socket, Interest::Read);
        if let Some((beside, _)) = &self.beside {
            watch.add(beside, Interest::Read);
        }
    }

    /// Waits for what is in `watch`, the waker or `timeout`.
    pub(in crate::engine::net) fn wait_with(&self, watch: &mut Watch, timeout: Duration) -> Result<()> {
        let waited = watch.wait(&self.alarm, timeout);
        waited.map(drop).map_err(|e| failure::plain("waiting for packets failed", &e))
    }

    /// Waits for a datagram, the waker or `timeout`, then hands over what is there, at most 512 of a port; how many there were.
    /// Where many came last time, more are let come first: waking up is dear, and a millisecond more is not heard.
    pub fn receive(&mut self, timeout: Duration, handle: &mut dyn FnMut(Datagram<'_>)) -> Result<usize> {
        let deadline = Deadline::after(timeout);
        if let Some(membership) = &mut self.membership {
            membership.look(&self.socket);
        }
        if std::mem::take(&mut self.busy) && self.wait(REST.min(timeout))? {
            return Ok(0);
        }
        loop {
            let mut watch = std::mem::take(&mut self.watch);
            watch.clear();
            self.watch_in(&mut watch);
            self.watch = watch;
            let woken = self.watch(deadline.left())?;
            let mut count = 0;
            if self.watch.readable(0) {
                count += outlived(self.ear.hear(&self.socket, BATCH, false, handle))?;
            }
            if let Some((socket, ear)) = &mut self.beside
                && self.watch.readable(1)
            {
                count += outlived(ear.hear(socket, BATCH, true, handle))?;
            }
            if count > 0 || woken || deadline.is_over() {
                self.busy = (MANY..BATCH).contains(&count);
                return Ok(count);
            }
        }
    }

    /// Waits for the waker alone; whether it came.
    fn wait(&mut self, time: Duration) -> Result<bool> {
        self.watch.clear();
        Ok(!time.is_zero() && self.watch(time)?)
    }

    fn watch(&mut self, time: Duration) -> Result<bool> {
        self.watch.wait(&self.alarm, time).map_err(|e| failure::plain("waiting for datagrams failed", &e))
    }

    /// Hands over what is there, at most 512; never blocks.
    pub(super) fn hear(&mut self, handle: &mut dyn FnMut(Datagram<'_>)) -> Result<usize> {
        outlived(self.ear.hear(&self.socket, BATCH, false, handle))
    }

    /// What to wait for, for whoever waits for more than this.
    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// How many datagrams the kernel has dropped because this socket's buffer was full; 0 where it does not tell.
    /// Right at the moment of asking; drops of 2^32 and more between two calls are not seen.
    pub fn kernel_drops(&self) -> u64 {
        if let Some(now) = sys::dropped_datagrams(&self.socket) {
            self.dropped.set(extended(self.dropped.get(), now));
        }
        self.dropped.get()
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Whether it hears a multicast group.
    pub const fn is_in_group(&self) -> bool {
        self.membership.is_some()
    }

    /// What ends a wait in [`receive`](Self::receive).
    pub fn waker(&self) -> Waker {
        self.alarm.waker()
    }
}

/// The count, unless the socket is of no more use.
fn outlived((count, error): (usize, Option<io::Error>)) -> Result<usize> {
    match error {
        Some(e) if !is_passing(&e) => Err(failure::plain("receiving datagrams failed", &e)),
        _ => Ok(count),
    }
}

fn prepare(socket: &Socket, local: SocketAddr) {
    Ear::prepare(socket);
    if let Err(e) = sys::ask_for_local_addresses(socket, local.is_ipv6()) {
        log::debug!("answers leave from the first address of this machine: {e}");
    }
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
    address::bind(&place, Type::DGRAM, share)
}

/// As much as the system gives, up to [`WANTED_BUFFER`]: a thousand senders must not overflow it while the thread waits its turn.
pub(super) fn grow_receive_buffer(socket: &Socket) {
    if sys::force_receive_buffer(socket, WANTED_BUFFER).is_ok() {
        return;
    }
    // Linux cuts what is too much, others refuse it.
    let mut bytes = WANTED_BUFFER;
    while bytes >= 64 * 1024 && socket.set_recv_buffer_size(bytes).is_err() {
        bytes /= 2;
    }
}

/// The count that follows `held` and ends in the 32 bits of `now`.
fn extended(held: u64, now: u32) -> u64 {
    held + u64::from(now.wrapping_sub(held as u32))
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
const BATCH: usize = 512;

/// So many at once are many: of sound of 10 ms as 160 sources send, if they came one by one with a millisecond's rest …
const MANY: usize = 16;

/// … which is this.
const REST: Duration = Duration::from_millis(1);

/// More than the longest datagram that UDP over IP can carry.
const LONGEST: usize = 65_536;

/// The receive buffer to ask for.
const WANTED_BUFFER: usize = 32 * 1024 * 1024;

#[cfg(test)]
mod tests;
