//! The sending end of TCP: frames go whole or not at all, and what cannot go now waits where its owner can drop it.

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use socket2::Socket;

use super::attempt::{Connected, connected};
use crate::engine::config::Path;
use crate::engine::error::{Error, Result};
use crate::engine::net::rest::Rest;
use crate::engine::net::wait::{Deadline, Interest, Watch};
use crate::engine::net::waker::{Alarm, Waker};
use crate::engine::net::{failure, sys};

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
    /// What the peer has said and nobody has taken, where it is listened to.
    heard: Option<Vec<u8>>,
    /// It said too much: with a hole in them its words mean nothing.
    deaf: bool,
    alarm: Alarm,
    watch: Watch,
}

impl TcpSender {
    /// Looks the host up (10 s at most), then tries each of its addresses, `timeout` in all. Gives up within 100 ms
    /// once `cancelled` is true.
    pub fn connect(path: &Path, timeout: Duration, cancelled: &AtomicBool) -> Result<Self> {
        let Connected { socket, peer, local } = connected(path, timeout, cancelled)?;
        let alarm = Alarm::new().map_err(|e| failure::plain("cannot set the TCP socket up", &e))?;
        Ok(Self {
            socket,
            peer,
            local,
            rest: Vec::new(),
            gone: 0,
            heard: None,
            deaf: false,
            alarm,
            watch: Watch::default(),
        })
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
            if deadline.is_over() || self.wait(Interest::Both, deadline.left())? {
                return Ok(SendOutcome::Blocked);
            }
        }
    }

    /// Ends the stream in order: what was taken goes out, then the end. Returns once the peer's kernel has all of it;
    /// an error after `timeout`, or the waker, says that it may not have.
    pub fn flush(&mut self, timeout: Duration) -> Result<()> {
        let deadline = Deadline::after(timeout);
        if !self.finish_rest(&deadline)? {
            return Err(self.unfinished(timeout));
        }
        match self.socket.shutdown(Shutdown::Write) {
            Err(e) if e.kind() != io::ErrorKind::NotConnected => return Err(failure::lost(self.peer, &e)),
            _ => {}
        }
        loop {
            let ended = self.attend()? == Heard::End;
            match sys::unacknowledged(&self.socket) {
                Some(0) => return Ok(()),
                // Where the kernel does not tell, a peer that ends has read to our end.
                None if ended => return Ok(()),
                _ => {}
            }
            // A heard end stays ready for ever, and an acknowledgement wakes nobody: hence the slices.
            let interest = if ended { Interest::Nothing } else { Interest::Read };
            if deadline.is_over() || self.wait(interest, deadline.left().min(ACKNOWLEDGED_WITHIN))? {
                return Err(self.unfinished(timeout));
            }
        }
    }

    /// Hands over what the peer has said since the last call, and keeps what it says from now on: until 64 KiB of it were
    /// not asked for, after which it is not listened to any more. Never blocks. A lost connection is told by sending.
    pub fn hear(&mut self, handle: &mut dyn FnMut(&[u8])) {
        if self.deaf {
            return;
        }
        self.heard.get_or_insert_default();
        let _ = self.attend();
        let Some(heard) = &mut self.heard else { return };
        if !heard.is_empty() {
            handle(heard);
            heard.clear();
        }
    }

    /// Sleeps for `timeout` at most, or until the peer says something.
    pub fn rest(&self, rest: &mut Rest, timeout: Duration) {
        rest.until_readable(&self.socket, timeout);
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
            if count == 0 && (deadline.is_over() || self.wait(Interest::Both, deadline.left())?) {
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

    /// Waits for the socket; whether the waker has ended the wait.
    fn wait(&mut self, interest: Interest, timeout: Duration) -> Result<bool> {
        self.watch.clear();
        self.watch.add(&self.socket, interest);
        let woken = self
            .watch
            .wait(&self.alarm, timeout)
            .map_err(|e| failure::plain("waiting for the connection failed", &e))?;
        if interest == Interest::Both && self.watch.readable(0) {
            self.listen()?;
        }
        Ok(woken)
    }

    /// Notices a connection that the peer has closed.
    fn listen(&mut self) -> Result<()> {
        match self.attend()? {
            Heard::Nothing => Ok(()),
            Heard::End => Err(failure::transport(format!("{} has closed the connection", self.peer))),
        }
    }

    fn unfinished(&self, timeout: Duration) -> Error {
        let ms = timeout.as_millis();
        failure::transport(format!("{} did not take the end of the sound within {ms} ms", self.peer))
    }

    /// Reads what the peer says, and forgets it where nobody listens.
    fn attend(&mut self) -> Result<Heard> {
        let mut words = [0; 4096];
        // A talkative peer must not hold the sound up.
        for _ in 0..4 {
            match (&self.socket).read(&mut words) {
                Ok(0) => return Ok(Heard::End),
                Ok(count) => {
                    if let Some(heard) = &mut self.heard {
                        heard.extend_from_slice(&words[..count]);
                        if heard.len() > MOST_HEARD {
                            self.heard = None;
                            self.deaf = true;
                        }
                    }
                }
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

/// What may wait to be asked for: a third of a second of stereo sound.
const MOST_HEARD: usize = 64 * 1024;

/// How often the end of a stream looks for acknowledgement.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::engine::config::Protocol;
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
    fn what_the_peer_says_is_handed_over_and_too_much_is_not() {
        use std::io::Write;
        let (mut sender, mut peer) = pair();
        sender.hear(&mut |_| unreachable!("nothing was said"));
        peer.write_all(b"report").unwrap();
        let mut words = Vec::new();
        while words.is_empty() {
            sender.send(&[], Duration::ZERO).unwrap();
            sender.hear(&mut |bytes| words.extend_from_slice(bytes));
        }
        assert_eq!(words, b"report");
        peer.write_all(&vec![0; MOST_HEARD + 1]).unwrap();
        while !sender.deaf {
            sender.send(&[], Duration::ZERO).unwrap();
        }
        sender.hear(&mut |_| unreachable!("too much was said"));
        assert!(sender.heard.is_none());
    }

    #[test]
    fn a_talkative_peer_is_not_listened_to() {
        use std::io::Write;
        let (mut sender, mut peer) = pair();
        peer.write_all(&vec![0; 50_000]).unwrap();
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
}
