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

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::engine::net::tcp::{TcpEvent, TcpReceiver};
    use crate::engine::time::Clock;

    const LONG: Duration = Duration::from_secs(20);
    static NEVER: AtomicBool = AtomicBool::new(false);

    fn path(port: u16) -> Path {
        Path { protocol: Protocol::Tcp, host: "127.0.0.1".into(), port, ..Path::default() }
    }

    fn connect(port: u16) -> TcpSender {
        TcpSender::connect(&path(port), LONG, &NEVER).unwrap()
    }

    fn pair() -> (TcpSender, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sender = connect(listener.local_addr().unwrap().port());
        let (peer, address) = listener.accept().unwrap();
        assert_eq!(address, sender.local_addr());
        (sender, peer)
    }

    /// Sends frames until the way is full to the end; how many bytes were.
    fn fill(sender: &mut TcpSender) -> usize {
        let frame = [7; 1000];
        let mut taken = 0;
        while sender.send(&frame, Duration::from_millis(50)).unwrap() == SendOutcome::Sent {
            taken += frame.len();
        }
        taken
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
    fn frames_arrive_in_order_and_the_end_after_them() {
        let mut receiver = TcpReceiver::bind(None, 0, Clock::new(), 4).unwrap();
        let path = Path { host: "localhost".into(), ..path(receiver.local_addr().port()) };
        let mut sender = TcpSender::connect(&path, LONG, &NEVER).unwrap();
        for n in 0..100_u8 {
            assert_eq!(sender.send(&[n; 100], LONG).unwrap(), SendOutcome::Sent);
        }
        sender.flush(LONG).unwrap();
        drop(sender);
        let (mut heard, mut closed) = (Vec::new(), false);
        while !closed {
            let handle = &mut |event: TcpEvent<'_>| match event {
                TcpEvent::Data { bytes, .. } => heard.extend_from_slice(bytes),
                TcpEvent::Closed { error: None, .. } => closed = true,
                TcpEvent::Closed { error, .. } => panic!("{error:?}"),
                _ => {}
            };
            assert!(receiver.poll(LONG, handle).unwrap() > 0);
        }
        assert!(heard.into_iter().eq((0..100).flat_map(|n| [n; 100])));
    }

    #[test]
    fn a_stalled_peer_blocks_in_time_and_only_its_own_connection() {
        let (mut stalled, _peer) = pair();
        let (mut other, mut reader) = pair();
        fill(&mut stalled);
        let wait = Duration::from_millis(50);
        let (early, late) = (Deadline::after(wait), Deadline::after(wait * 20));
        assert_eq!(stalled.send(&[1; 1000], wait).unwrap(), SendOutcome::Blocked);
        assert!(early.is_over() && !late.is_over());
        assert_eq!(other.send(b"sound", wait).unwrap(), SendOutcome::Sent);
        let mut heard = [0; 5];
        reader.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"sound");
        // An end that cannot be brought to the peer is an error, in time.
        let error = stalled.flush(wait).unwrap_err();
        assert!(error.message().contains("did not take"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn little_waits_in_the_kernel() {
        let (mut sender, peer) = pair();
        let taken = fill(&mut sender);
        // What the peer's kernel has taken is out of our hands; the rest is with us.
        let here = sys::unacknowledged(&sender.socket).unwrap();
        assert!(here <= 256 * 1024, "{here} of {taken}");
        drop(peer);
    }

    #[test]
    fn frames_are_whole_however_slowly_the_peer_reads() {
        let (mut sender, mut peer) = pair();
        let (start, begin) = mpsc::channel::<()>();
        let (mut expected, mut dropped) = (Vec::new(), 0);
        let heard = thread::scope(|s| {
            let reader = s.spawn(move || {
                // Reading begins when the way is full, in small and uneven pieces.
                begin.recv().unwrap();
                let (mut heard, mut piece) = (Vec::new(), [0; 3001]);
                loop {
                    let length = 1 + heard.len() % piece.len();
                    match peer.read(&mut piece[..length]).unwrap() {
                        0 => return heard,
                        count => heard.extend_from_slice(&piece[..count]),
                    }
                }
            });
            for n in 0..4000_u32 {
                let frame: Vec<u8> = (0..1500 + n % 20_011).map(|i| (i ^ n) as u8).collect();
                match sender.send(&frame, Duration::from_millis(u64::from(n % 2))).unwrap() {
                    SendOutcome::Sent => expected.extend_from_slice(&frame),
                    SendOutcome::Blocked => {
                        dropped += 1;
                        let _ = start.send(());
                    }
                }
            }
            sender.flush(LONG).unwrap();
            reader.join().unwrap()
        });
        assert!(dropped > 0);
        assert!(heard == expected, "{} of {} bytes", heard.len(), expected.len());
    }

    #[test]
    fn a_closed_connection_is_noticed_though_nothing_is_sent() {
        for reset in [false, true] {
            let (mut sender, peer) = pair();
            assert_eq!(sender.send(&[], Duration::ZERO).unwrap(), SendOutcome::Sent);
            let peer = Socket::from(peer);
            if reset {
                peer.set_linger(Some(Duration::ZERO)).unwrap();
            }
            drop(peer);
            let deadline = Deadline::after(LONG);
            let error = loop {
                assert!(!deadline.is_over());
                match sender.send(&[], Duration::ZERO) {
                    Ok(_) => thread::yield_now(),
                    Err(e) => break e,
                }
            };
            assert!(error.message().contains("has closed the connection"), "{error}");
            assert_eq!(error.errno().is_some(), reset);
        }
    }

    #[test]
    fn a_talkative_peer_is_not_listened_to() {
        use std::io::Write;
        let (mut sender, mut peer) = pair();
        peer.write_all(&[0; 50_000]).unwrap();
        for _ in 0..20 {
            assert_eq!(sender.send(b"x", Duration::ZERO).unwrap(), SendOutcome::Sent);
        }
        sender.flush(LONG).unwrap();
        assert_eq!(peer.read(&mut [0; 100]).unwrap(), 20);
    }

    #[test]
    fn the_waker_ends_a_blocked_send_at_once() {
        let (mut sender, _peer) = pair();
        fill(&mut sender);
        let waker = sender.waker();
        let long = Deadline::after(LONG);
        thread::scope(|s| {
            s.spawn(|| waker.wake());
            assert_eq!(sender.send(&[1; 1000], LONG).unwrap(), SendOutcome::Blocked);
        });
        assert!(long.left() > LONG / 2);
    }

    #[test]
    fn a_refused_connection_says_what_to_do() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = TcpSender::connect(&path(port), LONG, &NEVER).unwrap_err();
        assert!(error.message().starts_with(&format!("nobody listens on TCP port {port}")), "{error}");
        assert_eq!(error.kind(), crate::engine::error::ErrorKind::Transport);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_server_that_does_not_answer_ends_the_attempt_in_time() {
        let (_listener, _callers, port) = deaf_listener();
        let wait = Duration::from_millis(60);
        let (early, late) = (Deadline::after(wait), Deadline::after(wait * 20));
        let error = TcpSender::connect(&path(port), wait, &NEVER).unwrap_err();
        assert!(error.message().contains("does not answer"), "{error}");
        assert_eq!(error.errno(), Some(libc::ETIMEDOUT));
        assert!(early.is_over() && !late.is_over());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn connecting_can_be_cancelled() {
        let (_listener, _callers, port) = deaf_listener();
        let long = Deadline::after(LONG);
        let error = TcpSender::connect(&path(port), LONG, &AtomicBool::new(true)).unwrap_err();
        assert!(error.message().contains("was cancelled"), "{error}");
        assert!(long.left() + Duration::from_secs(1) > LONG);
    }

    #[test]
    fn the_socket_is_set_up_for_live_sound() {
        let (sender, _peer) = pair();
        assert!(sender.socket.tcp_nodelay().unwrap() && sender.socket.keepalive().unwrap());
        assert_eq!(sender.socket.tos_v4().unwrap(), 46 << 2);
    }

    #[test]
    fn the_local_port_is_the_one_asked_for_again_and_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local_port = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
        let path = Path { local_port, ..path(listener.local_addr().unwrap().port()) };
        let sender = TcpSender::connect(&path, LONG, &NEVER).unwrap();
        assert_eq!(listener.accept().unwrap().1.port(), local_port);
        assert_eq!(sender.local_addr().port(), local_port);
    }

    /// Takes 8 s: the kernel's own patience, which cannot be hurried.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_dead_peer_is_noticed_within_ten_seconds_at_either_end() {
        // A filter that lets no packet in makes a socket as silent as a machine without power.
        let dead = |socket: &Socket| {
            let drop_all = [socket2::SockFilter::new(0x06, 0, 0, 0)];
            socket.attach_filter(&drop_all).unwrap();
        };
        let (mut idle, idle_peer) = pair();
        let (mut sending, sending_peer) = pair();
        let mut receiver = TcpReceiver::bind(Some("127.0.0.1"), 0, Clock::new(), 4).unwrap();
        let caller = connect(receiver.local_addr().port());
        receiver.poll(LONG, &mut |event| assert!(matches!(event, TcpEvent::Accepted { .. }))).unwrap();
        let (idle_peer, sending_peer) = (Socket::from(idle_peer), Socket::from(sending_peer));
        dead(&idle_peer);
        dead(&sending_peer);
        dead(&caller.socket);

        let deadline = Deadline::after(Duration::from_secs(10));
        let lost = |sender: &mut TcpSender, frame: &[u8]| {
            while !deadline.is_over() {
                match sender.send(frame, Duration::ZERO) {
                    Ok(_) => {
                        // At the pace of sound.
                        let _ = sender.wait(Interest::Read, &Deadline::after(Duration::from_millis(20)));
                    }
                    Err(e) => return e.message().to_owned(),
                }
            }
            "nothing noticed".into()
        };
        thread::scope(|s| {
            let idle = s.spawn(|| lost(&mut idle, &[]));
            let sending = s.spawn(|| lost(&mut sending, &[1; 500]));
            let mut error = None;
            while error.is_none() && !deadline.is_over() {
                let handle = &mut |event: TcpEvent<'_>| match event {
                    TcpEvent::Closed { error: e, .. } => error = e,
                    other => panic!("{other:?}"),
                };
                receiver.poll(deadline.left(), handle).unwrap();
            }
            assert_eq!(error.map(|e| e.kind()), Some(io::ErrorKind::TimedOut));
            for thread in [idle, sending] {
                let message = thread.join().unwrap();
                assert!(message.contains("does not answer any more"), "{message}");
            }
        });
    }
}
