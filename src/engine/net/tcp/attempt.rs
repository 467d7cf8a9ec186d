//! Making a TCP connection: every address of the host in turn, in bounded time, given up when asked.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Socket, Type};

use super::vigil;
use crate::engine::config::{Path, Protocol};
use crate::engine::error::{Error, Result};
use crate::engine::net::resolve::{SLICE, resolve};
use crate::engine::net::wait::{Deadline, Interest, Watch};
use crate::engine::net::waker::Alarm;
use crate::engine::net::{address, failure, sys};

/// A connected socket, set up for live sound.
#[derive(Debug)]
pub struct Connected {
    pub socket: Socket,
    pub peer: SocketAddr,
    pub local: SocketAddr,
}

/// Looks the host up (10 s at most), then tries each of its addresses, `timeout` in all. Gives up within 100 ms once
/// `cancelled` is true.
pub fn connected(path: &Path, timeout: Duration, cancelled: &AtomicBool) -> Result<Connected> {
    let candidates = resolve(&path.host, path.port, cancelled)?;
    let deadline = Deadline::after(timeout);
    let mut last = None;
    for (tried, &peer) in candidates.iter().enumerate() {
        // One that never answers leaves time for the others.
        let share = deadline.left() / (candidates.len() - tried) as u32;
        match Attempt::new(path, peer).and_then(|a| a.finish(Deadline::after(share), cancelled)) {
            Ok(connected) => return Ok(connected),
            Err(e) => last = Some(e),
        }
        if cancelled.load(Ordering::Relaxed) {
            break;
        }
    }
    Err(last.unwrap_or_else(|| failure::transport(format!("{:?} has no address", path.host))))
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

    fn finish(self, deadline: Deadline, cancelled: &AtomicBool) -> Result<Connected> {
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
        let local = address::local(&self.socket)?;
        if local == self.peer {
            // TCP's simultaneous open: a socket that is given the very port it calls answers itself.
            return Err(self.failed(&io::ErrorKind::ConnectionRefused.into()));
        }
        Ok(Connected { socket: self.socket, peer: self.peer, local })
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);
    static NEVER: AtomicBool = AtomicBool::new(false);

    fn path(port: u16) -> Path {
        Path { protocol: Protocol::Tcp, host: "127.0.0.1".into(), port, ..Path::default() }
    }

    /// A listener whose queue is full: who calls is not answered.
    #[cfg(target_os = "linux")]
    fn deaf_listener() -> (Socket, Vec<Socket>, u16) {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listener = address::bind(&any, Type::STREAM, |_| Ok(())).unwrap();
        listener.listen(0).unwrap();
        let at = listener.local_addr().unwrap();
        let callers = (0..3).map(|_| {
            let caller = address::open(&any, Type::STREAM).unwrap();
            let _ = caller.connect(&at);
            caller
        });
        let callers = callers.collect();
        (listener, callers, at.as_socket().unwrap().port())
    }

    #[test]
    fn a_refused_connection_says_what_to_do() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = connected(&path(port), LONG, &NEVER).unwrap_err();
        assert!(error.message().starts_with(&format!("nobody listens on TCP port {port}")), "{error}");
        assert_eq!(error.kind(), crate::engine::error::ErrorKind::Transport);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_server_that_does_not_answer_ends_the_attempt_in_time() {
        let (_listener, _callers, port) = deaf_listener();
        let wait = Duration::from_millis(60);
        let (early, late) = (Deadline::after(wait), Deadline::after(wait * 20));
        let error = connected(&path(port), wait, &NEVER).unwrap_err();
        assert!(error.message().contains("does not answer"), "{error}");
        assert_eq!(error.errno(), Some(libc::ETIMEDOUT));
        assert!(early.is_over() && !late.is_over());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn connecting_can_be_cancelled() {
        let (_listener, _callers, port) = deaf_listener();
        let long = Deadline::after(LONG);
        let error = connected(&path(port), LONG, &AtomicBool::new(true)).unwrap_err();
        assert!(error.message().contains("was cancelled"), "{error}");
        assert!(long.left() + Duration::from_secs(1) > LONG);
    }

    #[test]
    fn the_socket_is_set_up_for_live_sound() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let path = path(listener.local_addr().unwrap().port());
        let sender = connected(&path, LONG, &NEVER).unwrap();
        assert!(sender.socket.tcp_nodelay().unwrap() && sender.socket.keepalive().unwrap());
        assert_eq!(sender.socket.tos_v4().unwrap(), 46 << 2);
    }

    #[test]
    fn the_local_port_is_the_one_asked_for_again_and_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local_port = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
        let path = Path { local_port, ..path(listener.local_addr().unwrap().port()) };
        let sender = connected(&path, LONG, &NEVER).unwrap();
        assert_eq!(listener.accept().unwrap().1.port(), local_port);
        assert_eq!(sender.local.port(), local_port);
    }
}
