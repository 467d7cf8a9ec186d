//! Names to addresses, without waiting for a name server longer than the caller wants.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::failure;
use super::wait::Deadline;
use crate::engine::error::Result;

/// The addresses of `host`, in the system's order, each once; never none.
///
/// An address needs no look-up (IPv6 also in brackets). A look-up has a thread of its own, abandoned once `cancelled`
/// is true (noticed within 50 ms) or after 10 s.
pub fn resolve(host: &str, port: u16, cancelled: &AtomicBool) -> Result<Vec<SocketAddr>> {
    let host = bare(host);
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![(address, port).into()]);
    }
    let name = host.to_owned();
    look_up(host, cancelled, PATIENCE, move || (name.as_str(), port).to_socket_addrs().map(Iterator::collect))
}

/// A look-up that nobody waits for.
#[derive(Debug)]
pub struct Lookup(mpsc::Receiver<Result<Vec<SocketAddr>>>);

impl Lookup {
    /// Looks a name up; `None` for an address, or where there is no thread to be had.
    pub fn begin(host: &str, port: u16) -> Option<Self> {
        if is_address(host) {
            return None;
        }
        let (answer, answers) = mpsc::sync_channel(1);
        let host = host.to_owned();
        let work = move || {
            let _ = answer.send(resolve(&host, port, &AtomicBool::new(false)));
        };
        thread::Builder::new().name("resolve".into()).spawn(work).ok().map(|_| Self(answers))
    }

    /// What it has found, once; never blocks. `None` while it has not ended.
    pub fn answer(&self) -> Option<Result<Vec<SocketAddr>>> {
        match self.0.try_recv() {
            Ok(answer) => Some(answer),
            Err(mpsc::TryRecvError::Empty) => None,
            Err(mpsc::TryRecvError::Disconnected) => {
                Some(Err(failure::transport("the look-up has ended without an answer")))
            }
        }
    }
}

/// Whether it is an address, which never changes.
fn is_address(host: &str) -> bool {
    bare(host).parse::<IpAddr>().is_ok()
}

/// An address without IPv6's brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
}

fn look_up(
    host: &str,
    cancelled: &AtomicBool,
    patience: Duration,
    ask: impl FnOnce() -> std::io::Result<Vec<SocketAddr>> + Send + 'static,
) -> Result<Vec<SocketAddr>> {
    let (answer, answers) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("resolve".into())
        .spawn(move || {
            // Nobody listens any more where the caller has given up.
            let _ = answer.send(ask());
        })
        .map_err(|e| failure::plain("cannot start a thread to look the host up", &e))?;

    let deadline = Deadline::after(patience);
    let found = loop {
        match answers.recv_timeout(deadline.left().min(SLICE)) {
            Ok(found) => break found,
            Err(mpsc::RecvTimeoutError::Disconnected) => break Ok(Vec::new()),
            Err(mpsc::RecvTimeoutError::Timeout) if cancelled.load(Ordering::Relaxed) => {
                return Err(failure::transport(format!("looking up {host:?} was cancelled")));
            }
            Err(mpsc::RecvTimeoutError::Timeout) if deadline.is_over() => {
                return Err(failure::transport(format!(
                    "no name server answers about {host:?}: check the network connection, or give an address"
                )));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
    };
    match found {
        Ok(found) => {
            let mut addresses: Vec<SocketAddr> = Vec::new();
            for address in found {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            if addresses.is_empty() { Err(unknown(host)) } else { Ok(addresses) }
        }
        Err(e) => {
            log::debug!("looking up {host:?}: {e}");
            Err(unknown(host).with_errno(&e))
        }
    }
}

fn unknown(host: &str) -> crate::engine::error::Error {
    failure::transport(format!("unknown host {host:?}: check the name, or give an address"))
}

/// How long a look-up may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a wait looks at `cancelled`.
pub(super) const SLICE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    static NEVER: AtomicBool = AtomicBool::new(false);

    #[test]
    fn addresses_and_names_are_resolved() {
        assert_eq!(resolve("127.0.0.1", 5, &NEVER).unwrap(), ["127.0.0.1:5".parse().unwrap()]);
        assert_eq!(resolve("[::1]", 5, &NEVER).unwrap(), ["[::1]:5".parse().unwrap()]);
        let found = resolve("localhost", 5, &NEVER).unwrap();
        assert!(found.iter().all(|a| a.ip().is_loopback()), "{found:?}");
    }

    #[test]
    fn an_unknown_host_is_named_in_the_error() {
        for bad in ["no-such-host.invalid", "", "a\0b"] {
            let error = resolve(bad, 5, &NEVER).unwrap_err();
            assert_eq!(error.kind(), crate::engine::error::ErrorKind::Transport);
            assert!(error.message().contains(&format!("unknown host {bad:?}")), "{error}");
        }
    }

    #[test]
    fn a_look_up_that_never_ends_is_abandoned() {
        let (_keep, never) = mpsc::channel::<()>();
        let stuck = move || {
            let _ = never.recv();
            Ok(Vec::new())
        };
        let error = look_up("slow", &NEVER, Duration::from_millis(20), stuck).unwrap_err();
        assert!(error.message().contains("name server"), "{error}");

        let (_keep, never) = mpsc::channel::<()>();
        let stuck = move || {
            let _ = never.recv();
            Ok(Vec::new())
        };
        let start = Deadline::after(PATIENCE);
        let error = look_up("slow", &AtomicBool::new(true), PATIENCE, stuck).unwrap_err();
        assert!(error.message().contains("cancelled"), "{error}");
        assert!(start.left() + Duration::from_millis(500) > PATIENCE);
    }
}
