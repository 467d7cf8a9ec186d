//! The receiving end of TCP: many connections on one thread, none of which can hold up another.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Socket, Type};

use super::vigil;
use crate::engine::config::Protocol;
use crate::engine::error::Result;
use crate::engine::net::sys::NO_SIGNAL;
use crate::engine::net::wait::{Deadline, Interest, Watch};
use crate::engine::net::waker::{Alarm, Waker};
use crate::engine::net::{address, failure};
use crate::engine::time::{Clock, Micros};

/// One connection of a receiver; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What happened at a receiver. A connection's events come in order: accepted, data, closed.
#[derive(Debug)]
pub enum TcpEvent<'a> {
    /// A peer has connected.
    Accepted {
        /// The connection's name from now on.
        id: ConnectionId,
        /// The peer.
        address: SocketAddr,
    },
    /// A peer was turned away at once.
    Refused {
        /// The peer.
        address: SocketAddr,
        /// The reason.
        why: &'a str,
    },
    /// Bytes came, at most 16 KiB at a time.
    Data {
        /// From whom.
        id: ConnectionId,
        /// When they were read.
        arrival: Micros,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// The connection is over; not told of one that [`TcpReceiver::close`] ended.
    Closed {
        /// Which.
        id: ConnectionId,
        /// `None` where the peer closed it in order.
        error: Option<io::Error>,
    },
}

/// A listening socket and its connections.
#[derive(Debug)]
pub struct TcpReceiver {
    listener: Socket,
    local: SocketAddr,
    clock: Clock,
    connections: Vec<Connection>,
    max_connections: usize,
    next_id: u64,
    /// The connection that is served first in the next round.
    first: usize,
    /// A descriptor held back, so that a peer can be turned away when there are no more.
    spare: Option<Socket>,
    /// Accepting failed: no new try before this.
    accept_again: Option<Deadline>,
    alarm: Alarm,
    watch: Watch,
    buffer: Box<[u8]>,
}

#[derive(Debug)]
struct Connection {
    id: ConnectionId,
    socket: Socket,
    over: bool,
    /// What is left of the last frame that was sent.
    rest: Vec<u8>,
}

impl TcpReceiver {
    /// Listens at `port` (0 lets the system choose) on every interface, IPv6 and IPv4 alike, or on the name or
    /// address `bind`, and holds up to `max_connections`.
    pub fn bind(bind: Option<&str>, port: u16, clock: Clock, max_connections: usize) -> Result<Self> {
        let everywhere = || address::bind_everywhere(port, Type::STREAM, prepare).and_then(listening);
        let at = |a: &SocketAddr| address::bind(a, Type::STREAM, prepare).and_then(listening);
        let (listener, local) = address::bound(Protocol::Tcp, bind, port, everywhere, at)?;
        let failed = |e| failure::plain("cannot set the TCP socket up", &e);
        Ok(Self {
            spare: listener.try_clone().ok(),
            listener,
            local,
            clock,
            connections: Vec::new(),
            max_connections,
            next_id: 0,
            first: 0,
            accept_again: None,
            alarm: Alarm::new().map_err(failed)?,
            watch: Watch::default(),
            buffer: vec![0; SHARE].into_boxed_slice(),
        })
    }

    /// Waits for something to happen, the waker or `timeout`; then accepts who waits and reads once from every
    /// connection that has something; how many events were handed over.
    pub fn poll(&mut self, timeout: Duration, handle: &mut dyn FnMut(TcpEvent<'_>)) -> Result<usize> {
        let deadline = Deadline::after(timeout);
        loop {
            let woken = self.wait(deadline.left())?;
            let mut count = 0;
            let mut counted = |event: TcpEvent<'_>| {
                count += 1;
                handle(event);
            };
            self.read_round(&mut counted);
            if self.watch.readable(0) {
                self.accept(&mut counted);
            }
            if count > 0 || woken || deadline.is_over() {
                return Ok(count);
            }
        }
    }

    /// Ends a connection; what it still sends is lost. No event follows.
    pub fn close(&mut self, id: ConnectionId) {
        self.connections.retain(|c| c.id != id);
    }

    /// Sends one frame, whole or not at all. Never blocks; whether it was taken.
    pub fn send(&mut self, id: ConnectionId, frame: &[u8]) -> bool {
        self.connections.iter_mut().find(|c| c.id == id).is_some_and(|connection| connection.send(frame))
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What ends a wait in [`poll`](Self::poll).
    pub fn waker(&self) -> Waker {
        self.alarm.waker()
    }

    /// Adds what it waits for to a wait for other things too; how long that may take.
    pub(in crate::engine::net) fn watch_in(&mut self, watch: &mut Watch, mut timeout: Duration) -> Duration {
        let mut listening = Interest::Read;
        if let Some(again) = self.accept_again {
            if again.is_over() {
                self.accept_again = None;
            } else {
                listening = Interest::Nothing;
                timeout = timeout.min(again.left());
            }
        }
        watch.add(&self.listener, listening);
        for connection in &self.connections {
            watch.add(&connection.socket, Interest::Read);
        }
        timeout
    }

    fn wait(&mut self, timeout: Duration) -> Result<bool> {
        let mut watch = std::mem::take(&mut self.watch);
        watch.clear();
        let timeout = self.watch_in(&mut watch, timeout);
        self.watch = watch;
        self.watch
            .wait(&self.alarm, timeout)
            .map_err(|e| failure::plain("waiting for connections failed", &e))
    }

    /// Reads once from every connection that is ready: each gets its share, and the first turn goes round.
    fn read_round(&mut self, handle: &mut dyn FnMut(TcpEvent<'_>)) {
        let count = self.connections.len();
        let mut ended = false;
        for turn in 0..count {
            let place = (self.first + turn) % count;
            // The listener is watched first.
            if !self.watch.readable(place + 1) {
                continue;
            }
            let connection = &mut self.connections[place];
            let error = match (&connection.socket).read(&mut self.buffer) {
                Ok(0) => None,
                Ok(read) => {
                    let arrival = self.clock.now();
                    handle(TcpEvent::Data { id: connection.id, arrival, bytes: &self.buffer[..read] });
                    continue;
                }
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    continue;
                }
                Err(e) => Some(e),
            };
            connection.over = true;
            ended = true;
            handle(TcpEvent::Closed { id: connection.id, error });
        }
        self.first = if count == 0 { 0 } else { (self.first + 1) % count };
        if ended {
            self.connections.retain(|c| !c.over);
        }
    }

    fn accept(&mut self, handle: &mut dyn FnMut(TcpEvent<'_>)) {
        for _ in 0..ACCEPTED_AT_ONCE {
            match self.listener.accept() {
                Ok((socket, from)) => {
                    let Some(address) = address::shown(&from) else { continue };
                    self.welcome(socket, address, handle);
                }
                Err(e) => match e.kind() {
                    io::ErrorKind::WouldBlock => return,
                    // The peer has thought better of it.
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => return self.turn_one_away(&e, handle),
                },
            }
        }
    }

    fn welcome(&mut self, socket: Socket, address: SocketAddr, handle: &mut dyn FnMut(TcpEvent<'_>)) {
        if self.connections.len() >= self.max_connections {
            drop(socket);
            return handle(TcpEvent::Refused { address, why: "as many connections as allowed are open" });
        }
        if let Err(e) = socket.set_nonblocking(true).and_then(|()| vigil::keep(&socket)) {
            return handle(TcpEvent::Refused { address, why: &e.to_string() });
        }
        let id = ConnectionId(self.next_id);
        self.next_id += 1;
        self.connections.push(Connection { id, socket, over: false, rest: Vec::new() });
        handle(TcpEvent::Accepted { id, address });
    }

    /// There is no descriptor left for the peer: the one held back serves to tell it so. Then accepting rests, for
    /// the listener stays ready and would keep the thread busy.
    fn turn_one_away(&mut self, error: &io::Error, handle: &mut dyn FnMut(TcpEvent<'_>)) {
        if self.spare.take().is_some()
            && let Ok((socket, from)) = self.listener.accept()
        {
            drop(socket);
            if let Some(address) = address::shown(&from) {
                handle(TcpEvent::Refused { address, why: &error.to_string() });
            }
        }
        self.spare = self.listener.try_clone().ok();
        self.accept_again = Some(Deadline::after(ACCEPT_REST));
    }
}

impl Connection {
    /// What is left of the frame before goes first. A lost connection is told by reading.
    fn send(&mut self, frame: &[u8]) -> bool {
        let gone = self.write(&self.rest);
        self.rest.drain(..gone);
        if !self.rest.is_empty() {
            return false;
        }
        let gone = self.write(frame);
        if gone > 0 {
            self.rest.extend_from_slice(&frame[gone..]);
        }
        gone > 0
    }

    /// How many bytes went.
    fn write(&self, bytes: &[u8]) -> usize {
        if bytes.is_empty() { 0 } else { self.socket.send_with_flags(bytes, NO_SIGNAL).unwrap_or(0) }
    }
}

/// On Unix this lets a server start again at once, and two servers on one port still fail; on Windows they would not.
fn prepare(socket: &Socket) -> io::Result<()> {
    if cfg!(unix) { socket.set_reuse_address(true) } else { Ok(()) }
}

fn listening(socket: Socket) -> io::Result<Socket> {
    socket.listen(BACKLOG).map(|()| socket)
}

/// Bytes read from one connection in a round.
const SHARE: usize = 16 * 1024;

/// Connections accepted in a round.
const ACCEPTED_AT_ONCE: usize = 16;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 128;

/// How long accepting rests after an error.
const ACCEPT_REST: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
