//! The sending end of TCP: frames go whole or not at all, and what cannot go now waits where its owner can drop it.

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Socket, Type};

use super::vigil;
use crate::engine::config::{Path, Protocol};
use crate::engine::error::{Error, Result};
use crate::engine::net::resolve::{SLICE, resolve};
use crate::engine::net::sys;
use crate::engine::net::wait::{Deadline, Interest, Watch};
use crate::engine::net::waker::{Alarm, Waker};
use crate::engine::net::{address, failure};

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// It was taken, and will go out whole.
    Sent,
    /// It was not taken: there is no room yet.
    Blocked,
}

/// A connection to a server.
#[derive(Debug)]
pub struct TcpSender {
    socket: Socket,
    peer: SocketAddr,
    local: SocketAddr,
    /// The frame of which a part has gone out; what is left of it goes before all else.
    rest: Vec<u8>,
    /// How much of `rest` has gone.
    gone: usize,
    alarm: Alarm,
    watch: Watch,
}

impl TcpSender {
    /// Looks the host up (10 s at most), then tries each of its addresses, `timeout` in all. Gives up within 100 ms
    /// once `cancelled` is true.
    pub fn connect(path: &Path, timeout: Duration, cancelled: &AtomicBool) -> Result<Self> {
        let candidates = resolve(&path.host, path.port, cancelled)?;
        let deadline = Deadline::after(timeout);
        let mut last = None;
        for (tried, &peer) in candidates.iter().enumerate() {
            // One that never answers leaves time for the others.
            let share = deadline.left() / (candidates.len() - tried) as u32;
            match Attempt::new(path, peer).and_then(|a| a.finish(Deadline::after(share), cancelled)) {
                Ok(sender) => return Ok(sender),
                Err(e) => last = Some(e),
            }
            if cancelled.load(Ordering::Relaxed) {
                break;
            }
        }
        Err(last.unwrap_or_else(|| failure::transport(format!("{:?} has no address", path.host))))
    }

    /// Hands one frame over, waiting at most `timeout`, or until the waker, for room. What is left of an earlier
    /// frame goes first. An error means that the connection is lost.
    ///
    /// An empty frame sends nothing new, but notices a lost connection.
    pub fn send(&mut self, frame: &[u8], timeout: Duration) -> Result<SendOutcome> {
        let deadline = Deadline::after(timeout);
        self.listen()?;
        if !self.finish_rest(&deadline)? {
            return Ok(SendOutcome::Blocked);
        }
        if frame.is_empty() {
            return Ok(SendOutcome::Sent);
        }
        loop {
            let count = self.write(frame)?;
            if count > 0 {
                self.rest.extend_from_slice(&frame[count..]);
                return Ok(SendOutcome::Sent);
            }
            if !self.wait(Interest::Both, &deadline)? {
                return Ok(SendOutcome::Blocked);
            }
        }
    }

    /// Ends the stream in order: what was taken goes out, then the end. Returns once the peer's kernel has all of it;
    /// an error after `timeout`, or the waker, says that it may not have.
    pub fn flush(&mut self, timeout: Duration) -> Result<()> {
        let deadline = Deadline::after(timeout);
        let unfinished = || {
            failure::transport(format!(
                "{} did not take the end of the sound within {} ms",
                self.peer,
                timeout.as_millis()
            ))
        };
        let unfinished = unfinished();
        if !self.finish_rest(&deadline)? {
            return Err(unfinished);
        }
        match self.socket.shutdown(Shutdown::Write) {
            Err(e) if e.kind() != io::ErrorKind::NotConnected => return Err(failure::lost(self.peer, &e)),
            _ => {}
        }
        loop {
            if self.hear()? == Heard::End || sys::unacknowledged(&self.socket) == Some(0) {
                return Ok(());
            }
            // An acknowledgement wakes nobody, hence the slices.
            let slice = Deadline::after(deadline.left().min(ACKNOWLEDGED_WITHIN));
            let woken = !self.wait(Interest::Read, &slice)? && !slice.is_over();
            if woken || deadline.is_over() {
                return Err(unfinished);
            }
        }
    }

    /// The server.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Where it sends from.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What ends a wait in [`send`](Self::send) or [`flush`](Self::flush).
    pub fn waker(&self) -> Waker {
        self.alarm.waker()
    }

    /// Whether nothing of an earlier frame is left to send.
    fn finish_rest(&mut self, deadline: &Deadline) -> Result<bool> {
        while self.gone < self.rest.len() {
            let count = self.write(&self.rest[self.gone..])?;
            self.gone += count;
            if count == 0 && !self.wait(Interest::Both, deadline)? {
                return Ok(false);
            }
        }
        self.rest.clear();
        self.gone = 0;
        Ok(true)
    }

    /// How many bytes went; zero where there is no room.
    fn write(&self, bytes: &[u8]) -> Result<usize> {
        match self.socket.send_with_flags(bytes, sys::NO_SIGNAL) {
            Ok(count) => Ok(count),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
            Err(e) => Err(failure::lost(self.peer, &e)),
        }
    }

    /// Whether to try again: false after the deadline or the waker.
    fn wait(&mut self, interest: Interest, deadline: &Deadline) -> Result<bool> {
        if deadline.is_over() {
            return Ok(false);
        }
        self.watch.clear();
        self.watch.add(&self.socket, interest);
        let woken = self
            .watch
            .wait(&self.alarm, deadline.left())
            .map_err(|e| failure::plain("waiting for the connection failed", &e))?;
        if interest == Interest::Both && self.watch.readable(0) {
            self.listen()?;
        }
        Ok(!woken)
    }

    /// Notices a connection that the peer has closed.
    fn listen(&mut self) -> Result<()> {
        match self.hear()? {
            Heard::Nothing => Ok(()),
            Heard::End => Err(failure::transport(format!("{} has closed the connection", self.peer))),
        }
    }

    /// Reads what the peer says, and forgets it.
    fn hear(&mut self) -> Result<Heard> {
        let mut words = [0; 4096];
        // A talkative peer must not hold the sound up.
        for _ in 0..4 {
            match (&self.socket).read(&mut words) {
                Ok(0) => return Ok(Heard::End),
                Ok(_) => {}
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => break,
                Err(e) => return Err(failure::lost(self.peer, &e)),
            }
        }
        Ok(Heard::Nothing)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// The peer is still there, as far as can be known.
    Nothing,
    /// The peer has closed its side.
    End,
}

/// A connection that is being made.
struct Attempt<'a> {
    host: &'a str,
    peer: SocketAddr,
    socket: Socket,
}

impl<'a> Attempt<'a> {
    fn new(path: &'a Path, peer: SocketAddr) -> Result<Self> {
        let host = path.host.as_str();
        let bind = |e: io::Error| {
            failure::bind(Protocol::Tcp, "every interface", path.local_port, "--local-port", &e)
        };
        let local = address::unspecified(&peer, path.local_port);
        // The last connection from this port may still be winding up.
        let reuse = |socket: &Socket| {
            if cfg!(unix) && path.local_port != 0 { socket.set_reuse_address(true) } else { Ok(()) }
        };
        let socket = address::bind(&local, Type::STREAM, reuse).map_err(bind)?;
        address::mark(&socket, &peer, path.dscp);
        let attempt = Self { host, peer, socket };
        prepare(&attempt.socket).map_err(|e| attempt.failed(&e))?;
        match attempt.socket.connect(&peer.into()) {
            Err(e) if !is_under_way(&e) => Err(attempt.failed(&e)),
            _ => Ok(attempt),
        }
    }

    fn finish(self, deadline: Deadline, cancelled: &AtomicBool) -> Result<TcpSender> {
        let alarm = Alarm::new().map_err(|e| self.failed(&e))?;
        let mut watch = Watch::default();
        loop {
            watch.clear();
            watch.add(&self.socket, Interest::Both);
            watch.wait(&alarm, deadline.left().min(SLICE)).map_err(|e| self.failed(&e))?;
            if let Some(e) = self.socket.take_error().map_err(|e| self.failed(&e))? {
                return Err(self.failed(&e));
            }
            if self.socket.peer_addr().is_ok() {
                break;
            }
            if cancelled.load(Ordering::Relaxed) {
                return Err(failure::transport(format!("connecting to {} was cancelled", self.host)));
            }
            if deadline.is_over() {
                return Err(self.failed(&sys::timed_out()));
            }
        }
        let local = self.socket.local_addr().ok().as_ref().and_then(address::shown);
        match local {
            // TCP's simultaneous open: a socket that is given the very port it calls answers itself.
            Some(local) if local == self.peer => Err(self.failed(&io::ErrorKind::ConnectionRefused.into())),
            None => Err(failure::transport("the system gave the socket no address")),
            Some(local) => Ok(TcpSender {
                socket: self.socket,
                peer: self.peer,
                local,
                rest: Vec::new(),
                gone: 0,
                alarm,
                watch,
            }),
        }
    }

    fn failed(&self, error: &io::Error) -> Error {
        failure::connect(Protocol::Tcp, self.host, self.peer, error)
    }
}

fn prepare(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    vigil::keep(socket)?;
    // When the network stalls, sound waits in our queue, where the oldest can be dropped, and not in the kernel's.
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT)?;
    #[cfg(not(target_os = "linux"))]
    socket.set_send_buffer_size(SEND_BUFFER)?;
    Ok(())
}

fn is_under_way(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::EINPROGRESS) {
        return true;
    }
    error.kind() == io::ErrorKind::WouldBlock
}

/// Bytes that may wait in the kernel: about 90 ms of 44.1 kHz mono.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 8 * 1024;

/// Bytes that may wait in the kernel or be on their way.
#[cfg(not(target_os = "linux"))]
const SEND_BUFFER: usize = 64 * 1024;

/// How often the end of a stream looks for acknowledgement.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_millis(10);
