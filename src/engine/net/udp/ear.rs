//! Hearing datagrams on a socket, with the time of their coming.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::Socket;

use super::batch::{Batch, Letter};
use crate::engine::net::stamps::Stamps;
use crate::engine::net::sys;
use crate::engine::time::{Clock, Micros};

/// One datagram as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it; IPv4 is shown as IPv4 on a socket for both.
    pub address: SocketAddr,
    /// When the kernel received it; when it was read, where the kernel does not say, as in the first milliseconds
    /// after the first such socket on a machine was made.
    pub arrival: Micros,
    /// What it carries.
    pub bytes: &'a [u8],
    /// Whether its end was cut off for want of room; never for what UDP over IP can carry.
    pub truncated: bool,
    /// Which address of ours it was sent to, where the kernel says.
    pub local: Option<IpAddr>,
    /// Whether it came to the port beside ours.
    pub beside: bool,
    /// One that is handed over later and one that is soon, if they came with it: what they need can be fetched meanwhile.
    pub next: [Option<(SocketAddr, &'a [u8])>; 2],
}

/// What it takes to hear on one socket.
#[derive(Debug)]
pub struct Ear {
    clock: Clock,
    stamps: Stamps,
    batch: Batch,
    at_once: usize,
}

impl Ear {
    /// For datagrams of at most `longest` bytes.
    pub fn new(clock: Clock, longest: usize) -> Self {
        Self::of_few(clock, longest, AT_ONCE)
    }

    /// For one of many sockets: it takes `at_once` datagrams by one system call, in so much less room.
    pub fn of_few(clock: Clock, longest: usize, at_once: usize) -> Self {
        Self { clock, stamps: Stamps::new(clock), batch: Batch::new(longest, at_once), at_once }
    }

    /// Has the kernel say when datagrams come.
    pub fn prepare(socket: &Socket) {
        if let Err(e) = sys::ask_for_receive_times(socket) {
            log::debug!("no receive times from the kernel, ours stand in: {e}");
        }
    }

    /// Hands over what is there, at most `most`; how many there were, and the error that ended it.
    pub fn hear(
        &mut self,
        socket: &Socket,
        most: usize,
        beside: bool,
        handle: &mut dyn FnMut(Datagram<'_>),
    ) -> (usize, Option<io::Error>) {
        self.stamps.check();
        let mut count = 0;
        while count < most {
            let asked = (most - count).min(self.at_once);
            let before = self.clock.now();
            let got = match self.batch.receive(socket, asked) {
                Ok(got) => got,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.stamps.none_waits(before);
                    break;
                }
                Err(e) => return (count, Some(e)),
            };
            let now = self.clock.now();
            for place in 0..got {
                let Letter { from, bytes, said, truncated } = self.batch.letter(place);
                let arrival = said.stamp.map_or(now, |wall| self.stamps.arrival(wall, now));
                // Only IP can come; anything else is nobody's.
                if let Some(address) = from {
                    let next = NEXT.map(|by| self.batch.peek(place + by).filter(|_| place + by < got));
                    let local = said.local;
                    handle(Datagram { address, arrival, bytes, truncated, local, beside, next });
                }
            }
            count += got;
            if cfg!(target_os = "linux") && got < asked {
                // After all of these there was no more.
                self.stamps.none_waits(before);
                break;
            }
        }
        (count, None)
    }
}

/// By how many datagrams that is: the second time, what was fetched the first time is there.
const NEXT: [usize; 2] = [6, 3];

/// Datagrams taken by one system call.
const AT_ONCE: usize = 64;
