//! Reports to and fro (RFC 3550 §6, RFC 3611): what a receiver tells a sender of its stream, and a sender its receiver.
//!
//! For sessions of two, which ours are: to each of its senders a server is a session of its own. Time, the wall clock
//! and chance come in as arguments.

mod balance;
mod bursts;
mod listener;
mod ntp;
mod quality;
mod schedule;
mod speaker;

pub use balance::Balance;
pub use bursts::{Bursts, Fate, Figures, GMIN};
pub use listener::{Hearing, Listener};
pub use ntp::{Ntp, WallClock};
pub use quality::{Equipment, Listening, Quality};
pub use schedule::Schedule;
pub use speaker::{Said, Speaker};

use crate::engine::wire::rtcp::{CNAME, NAME, write_description};

/// Who we are in our reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// Our synchronisation source.
    pub ssrc: u32,
    /// Our canonical name (RFC 7022).
    pub cname: String,
    /// What the user is called, where that is told.
    pub name: Option<String>,
}

impl Party {
    /// Appends who we are.
    fn describe(&self, out: &mut Vec<u8>) {
        let named = self.name.as_deref().map(|name| (NAME, name));
        let items: Vec<_> = std::iter::once((CNAME, self.cname.as_str())).chain(named).collect();
        write_description(self.ssrc, &items, out);
    }
}

/// A number from 0 to 1, a new one at every call.
pub type Chance<'a> = &'a mut dyn FnMut() -> f64;

/// What IPv4 and UDP add to a packet: bandwidth is counted with it (RFC 3550 §6.2).
const HEADERS: u64 = 28;
/// Seconds of a bandwidth's measurement at least.
const LEAST_MEASURED: f64 = 0.1;
/// A stream that pauses stays one of so many bits a second: enough for a report every 5 s, and less than any stream of
/// packets has.
const LEAST_BITS: f64 = 12_000.0;

#[cfg(test)]
mod tests;
