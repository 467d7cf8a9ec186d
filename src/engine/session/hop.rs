//! A hop of its own between any two programs that speak UDP, with a bad network inside.
//!
//! One thread, `as-hop`: it waits for its sockets and for the next packet that is due, and holds nobody else up. Packets have
//! the kernel's times: how late the thread comes is not added to a delay, nor to the pace of a `rate=`.

mod crossing;
mod line;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use self::crossing::{Crossing, Met};
use super::forwarding;
use super::server::lock;
use crate::engine::audio::priority::promote;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::net::udp::{Junction, JunctionCounts};
use crate::engine::net::waker::Waker;
use crate::engine::sim::config::LinkConfig;
use crate::engine::sim::draw::Direction;
use crate::engine::stats::HopStats;
use crate::engine::time::{Clock, Micros};
use crate::engine::url::RtpUrl;

/// Where a hop stands, and what it does.
#[derive(Clone, Debug)]
pub struct HopConfig {
    /// The address to listen on, every one of this machine's where there is none; and the port, 0 for any.
    pub listen: (Option<String>, u16),
    /// Host and port of the far end.
    pub forward: (String, u16),
    /// The bad network.
    pub link: LinkConfig,
}

/// A hop. Methods may be called from any thread.
pub struct Hop {
    clock: Clock,
    shared: Arc<Shared>,
    ends: (SocketAddr, SocketAddr),
    waker: Waker,
    parts: Mutex<Parts>,
}

struct Shared {
    crossing: Mutex<Crossing>,
    unreachable: AtomicU64,
    dropped: AtomicU64,
    /// Told to end, after what is under way where `draining`.
    stopping: AtomicBool,
    draining: AtomicBool,
    failure: Mutex<Option<Error>>,
    failed: Condvar,
}

#[derive(Default)]
struct Parts {
    junction: Option<Junction>,
    thread: Option<JoinHandle<()>>,
    closed: bool,
}

impl HopConfig {
    /// Reads `PORT` or `HOST:PORT`, and `HOST:PORT`.
    pub fn parse(listen: &str, forward: &str, link: LinkConfig) -> Result<Self> {
        let wrong = || {
            Error::config(format!(
                "listen: expected PORT or ADDRESS:PORT, as in 5004 or 127.0.0.1:5004, not {listen:?}"
            ))
        };
        let place = if let Ok(port) = listen.trim().parse() {
            (None, port)
        } else {
            let url = RtpUrl::find(&format!("rtp://{listen}")).map_err(|_| wrong())?.ok_or_else(wrong)?;
            (Some(url.host.ok_or_else(wrong)?), url.port.ok_or_else(wrong)?)
        };
        let path = forwarding::parse(forward)?;
        Ok(Self { listen: place, forward: (path.host, path.port), link })
    }
}

impl Hop {
    /// Opens the sockets; what comes waits there until [`start`](Self::start).
    pub fn open(config: &HopConfig) -> Result<Self> {
        let clock = Clock::new();
        let (bind, port) = &config.listen;
        let (host, far) = &config.forward;
        let junction = Junction::open(bind.as_deref(), *port, (host, *far), clock)?;
        let shared = Arc::new(Shared {
            crossing: Mutex::new(Crossing::new(config.link)),
            unreachable: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            failure: Mutex::new(None),
            failed: Condvar::new(),
        });
        Ok(Self {
            clock,
            shared,
            ends: (junction.local_addr(), junction.far()),
            waker: junction.waker(),
            parts: Mutex::new(Parts { junction: Some(junction), ..Parts::default() }),
        })
    }

    /// Begins to pass packets; again is nothing.
    pub fn start(&self) -> Result<()> {
        let mut parts = self.parts()?;
        let Some(junction) = parts.junction.take() else { return Ok(()) };
        let (clock, shared) = (self.clock, Arc::clone(&self.shared));
        let running = Running { junction, clock, shared, counted: Micros::ZERO };
        parts.thread = Some(
            std::thread::Builder::new()
                .name("as-hop".into())
                .spawn(move || running.run())
                .map_err(|e| Error::io(ErrorKind::State, "the hop's thread", &e))?,
        );
        log::info!(target: TARGET, "what comes to {} goes on to {}", self.ends.0, self.ends.1);
        Ok(())
    }

    /// Waits until it has died, which is an error, or been closed, or `timeout` is over; whether it is closed.
    pub fn wait(&self, timeout: Duration) -> Result<bool> {
        let done = |failure: &mut Option<Error>| failure.is_none() && !self.shared.stopping.load(Relaxed);
        let waited = self.shared.failed.wait_timeout_while(lock(&self.shared.failure), timeout, done);
        let failure = waited.unwrap_or_else(PoisonError::into_inner).0;
        failure.clone().map_or_else(|| Ok(self.shared.stopping.load(Relaxed)), Err)
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.ends.0
    }

    /// The far end.
    pub fn far(&self) -> SocketAddr {
        self.ends.1
    }

    /// The figures as they are now.
    pub fn stats(&self) -> HopStats {
        HopStats {
            unreachable: self.shared.unreachable.load(Relaxed),
            dropped_local: self.shared.dropped.load(Relaxed),
            ..lock(&self.shared.crossing).stats(self.clock.now())
        }
    }

    /// Ends it: at once, or after what is under way has come through, two seconds at most. May be called twice.
    pub fn close(&self, drain: bool) {
        let mut parts = lock(&self.parts);
        parts.closed = true;
        self.shared.draining.store(drain, Relaxed);
        self.shared.stopping.store(true, Relaxed);
        self.waker.wake();
        if let Some(thread) = parts.thread.take() {
            let _ = thread.join();
        }
        parts.junction = None;
        drop(lock(&self.shared.failure));
        self.shared.failed.notify_all();
    }

    fn parts(&self) -> Result<MutexGuard<'_, Parts>> {
        let parts = lock(&self.parts);
        if parts.closed {
            return Err(Error::new(ErrorKind::State, "the hop is closed: make a new one"));
        }
        Ok(parts)
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        self.close(false);
    }
}

/// What the thread owns.
struct Running {
    junction: Junction,
    clock: Clock,
    shared: Arc<Shared>,
    /// When the kernel's counters are to be asked again.
    counted: Micros,
}

impl Running {
    fn run(mut self) {
        // Where it is refused, the hop is as punctual as the system is.
        let _ = promote();
        let passed = self.pass();
        self.count();
        if let Err(error) = passed {
            log::error!(target: TARGET, "{error}");
            *lock(&self.shared.failure) = Some(error);
            self.shared.failed.notify_all();
        }
    }

    /// Passes packets until told to end.
    fn pass(&mut self) -> Result<()> {
        while !self.shared.stopping.load(Relaxed) {
            let timeout = lock(&self.shared.crossing).wait(self.clock.now(), LONGEST_WAIT);
            self.turn(timeout)?;
        }
        if !self.shared.draining.load(Relaxed) {
            return Ok(());
        }
        // What has come is still taken, and nothing after it.
        let end = self.clock.now() + DRAIN;
        while self.turn(Duration::ZERO)? > 0 && self.clock.now() < end {}
        while let now = self.clock.now()
            && now < end
            && !lock(&self.shared.crossing).is_empty()
        {
            self.junction.rest(lock(&self.shared.crossing).wait(now, end.since(now)))?;
            self.deliver();
        }
        Ok(())
    }

    /// Waits, takes what has come, and sends on what is due; how many packets have come.
    fn turn(&mut self, timeout: Duration) -> Result<usize> {
        self.junction.wait(timeout)?;
        let taken = self.take()?;
        self.deliver();
        let now = self.clock.now();
        let idle = lock(&self.shared.crossing).sweep(now);
        for place in idle {
            self.junction.forget(place);
        }
        if now >= self.counted {
            self.counted = now + COUNT;
            self.count();
        }
        Ok(taken)
    }

    fn count(&self) {
        let JunctionCounts { refused, dropped } = self.junction.counts();
        self.shared.unreachable.store(refused, Relaxed);
        self.shared.dropped.store(dropped, Relaxed);
    }

    fn take(&mut self) -> Result<usize> {
        let mut crossing = lock(&self.shared.crossing);
        let mut new = Vec::new();
        let circle = self.junction.circle();
        let taken = self.junction.hear(&mut |place, datagram| match place {
            _ if datagram.truncated => crossing.refuse(),
            Some(place) => crossing.go_down(datagram.arrival, place, datagram.bytes),
            None if circle.has(datagram.address) => crossing.refuse(),
            None => {
                let met = crossing.go_up(datagram.arrival, datagram.address, datagram.local, datagram.bytes);
                if let Met::New(place) = met {
                    new.push((place, datagram.address));
                }
            }
        })?;
        drop(crossing);
        for (place, address) in new {
            match self.junction.connect(place) {
                Ok(()) => log::info!(target: TARGET, "{address} speaks through this hop"),
                Err(e) => log::warn!(target: TARGET, "{address} cannot speak through this hop: {e}"),
            }
        }
        Ok(taken)
    }

    fn deliver(&mut self) {
        let mut crossing = lock(&self.shared.crossing);
        while let Some(through) = crossing.next(self.clock.now()) {
            let has_gone = match through.direction {
                Direction::Up => self.junction.send_up(through.place, &through.packet),
                Direction::Down => self.junction.send_down(through.peer.0, through.peer.1, &through.packet),
            };
            crossing.sent(&through, has_gone);
        }
    }
}

const TARGET: &str = "audiostream.hop";
/// How often the kernel's counters are asked.
const COUNT: Duration = Duration::from_millis(200);
/// The longest wait; the waker ends it earlier.
const LONGEST_WAIT: Duration = Duration::from_millis(200);
/// How long is waited at the end for what is under way.
const DRAIN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn socket() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket
    }

    fn hop(far: &UdpSocket, link: &str) -> Hop {
        let far = far.local_addr().unwrap().to_string();
        let config = HopConfig::parse("127.0.0.1:0", &far, LinkConfig::parse(link).unwrap()).unwrap();
        let hop = Hop::open(&config).unwrap();
        hop.start().unwrap();
        hop
    }

    #[test]
    fn both_ways_pass_and_what_is_under_way_at_the_end_arrives() {
        let (near, far) = (socket(), socket());
        let hop = hop(&far, "delay=50");
        near.send_to(b"question", hop.local_addr()).unwrap();
        let mut bytes = [0; 16];
        let (length, back) = far.recv_from(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"question");
        far.send_to(b"answer", back).unwrap();
        assert_eq!(near.recv_from(&mut bytes).unwrap(), (6, hop.local_addr()));
        near.send_to(b"last", hop.local_addr()).unwrap();
        hop.close(true);
        hop.close(false);
        assert_eq!(far.recv(&mut bytes).unwrap(), 4);
        let stats = hop.stats();
        assert_eq!((stats.up.received, stats.up.sent, stats.down.sent), (2, 2, 1));
        assert_eq!(stats.peers[0].address, near.local_addr().unwrap());
        assert!(hop.wait(Duration::ZERO).unwrap());
        assert!(hop.start().is_err());
    }

    #[test]
    fn what_comes_of_the_far_end_by_the_wrong_door_is_turned_away() {
        let (near, far) = (socket(), socket());
        let hop = hop(&far, "loss=0");
        far.send_to(b"circle", hop.local_addr()).unwrap();
        near.send_to(b"straight", hop.local_addr()).unwrap();
        let mut bytes = [0; 16];
        assert_eq!(far.recv(&mut bytes).unwrap(), 8);
        assert_eq!((hop.stats().refused, hop.stats().up.received), (1, 1));
    }

    #[test]
    fn places_are_parsed() {
        let link = LinkConfig::default();
        let parse = |listen| HopConfig::parse(listen, "studio:9", link).map(|config| config.listen);
        assert_eq!(parse("5004").unwrap(), (None, 5004));
        assert_eq!(parse("127.0.0.1:0").unwrap(), (Some("127.0.0.1".into()), 0));
        assert_eq!(parse("[::1]:7").unwrap(), (Some("::1".into()), 7));
        for wrong in ["", "studio", ":", "studio:", "65536", "::1", "a:b:7", "-1"] {
            let error = parse(wrong).unwrap_err();
            assert!(error.message().contains("ADDRESS:PORT"), "{wrong}: {error}");
        }
        assert!(HopConfig::parse("5004", "studio", link).is_err());
    }
}
