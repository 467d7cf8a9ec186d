//! The senders that a server hears: told apart, believed, counted, handed to playout and recorder.
//!
//! Lives behind a mutex of the server: the network thread holds it for a batch of packets, a snapshot for moments.
//! Bounded: so many sources play at once, so many strangers are on probation, so many departed are remembered.

mod access;
mod control;
mod copies;
mod crowd;
mod entry;
mod figures;
mod hashing;
mod onward;
mod opening;
mod presence;
mod reading;
#[cfg(test)]
mod scene;
mod speaking;
mod strangers;
mod suspicion;
mod telling;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::events::Events;
use super::outlet::{Outlet, Outlets, Recorder};
use super::party::Dice;
use super::reporting::{Correspondence, Reporting, Way};
use super::talking::Talking;
use crate::engine::coding::Encoding;
use crate::engine::config::{ServerConfig, Wire};
use crate::engine::error::Result;
use crate::engine::playout::render::Roster;
use crate::engine::record::reception::Labels;
use crate::engine::stats::{Playback, Reception};
use crate::engine::stream::queue::{Head, PacketWriter};
use crate::engine::stream::receiver::{Receiver, Verdict};
use crate::engine::time::Micros;
use crate::engine::wire::{classic, rtp};
use access::Access;
use hashing::Secret;
use onward::Onward;
use opening::Opening;
use speaking::Answer;
use suspicion::Suspicion;
use telling::tell;

/// All sources of a server.
pub struct Sources {
    config: ServerConfig,
    entries: HashMap<Name, Entry, Secret>,
    next_number: u32,
    departed: Departed,
    packets: u64,
    malformed: u64,
    access: Access,
    last_sequence: Option<u16>,
    swept: Micros,
    /// How many are not heard, since there is too much to play.
    unheard: usize,
    /// It was said that something cannot be decoded here.
    told: bool,
    out: Outlets,
    /// What becomes of the packet at hand.
    onward: Onward,
    /// With a key.
    opening: Option<Box<Opening>>,
    /// Without one.
    suspicion: Suspicion,
    events: Arc<Events>,
    /// What is said to the sources, and heard of them.
    pub reporting: Reporting,
    /// Where they are answered in sound.
    talking: Option<Talking>,
    dice: Dice,
}

/// A sender: where it sends from, what it speaks, and its SSRC (zero on the classic wire).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    address: SocketAddr,
    wire: Wire,
    ssrc: u32,
}

#[allow(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
struct Entry {
    number: u32,
    encoding: Encoding,
    receiver: Box<Receiver>,
    outlet: Outlet,
    came: Micros,
    last_arrival: Micros,
    /// Connections end; senders of datagrams just fall silent.
    connected: bool,
    /// It has been heard.
    joined: bool,
    /// It has left, as far as is known.
    gone: bool,
    /// A stream that repeats it has been heard (RFC 7198).
    repeated: bool,
    dropped: u64,
    /// Over RTP.
    reports: Option<Box<Correspondence>>,
    /// Its last packet before it was believed, as it came: where packets are sent on.
    held: Option<Box<[u8]>>,
    answer: Answer,
}

impl std::hash::Hash for Name {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let ip = match self.address.ip() {
            IpAddr::V4(v4) => u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let (port, wire) = (u64::from(self.address.port()), u64::from(self.wire == Wire::Classic));
        state.write_u64(ip as u64);
        state.write_u64((ip >> 64) as u64);
        state.write_u64(port << 48 | wire << 32 | u64::from(self.ssrc));
    }
}

/// Takes a packet's sound.
type Deliver<'a> = &'a mut dyn FnMut(Head, &[i16]);

#[derive(Default)]
struct Departed {
    reception: Reception,
    playback: Playback,
}

impl Sources {
    /// No sources yet.
    pub fn new(config: ServerConfig) -> Self {
        Self {
            reporting: Reporting::new(config.name.clone()),
            opening: config.key.clone().map(|key| Box::new(Opening::new(key))),
            access: Access::new(config.max_sources),
            config,
            suspicion: Suspicion::default(),
            entries: HashMap::default(),
            next_number: 1,
            departed: Departed::default(),
            packets: 0,
            malformed: 0,
            last_sequence: None,
            swept: Micros::ZERO,
            unheard: 0,
            told: false,
            out: Outlets::default(),
            onward: Onward::default(),
            events: Arc::default(),
            talking: None,
            dice: Dice::new(),
        }
    }

    /// Where new sources are handed to be played.
    pub fn set_roster(&mut self, roster: Roster) {
        self.out.roster = Some(roster);
    }

    /// Begins or ends handing packets to a recorder; the queue's other end sees when it is dropped.
    pub fn set_recorder(&mut self, recorder: Option<(PacketWriter, Labels)>) {
        let recorder = recorder.map(|(queue, labels)| {
            let recorder = Recorder::new(queue, labels, self.config.audio.format);
            let believed = self.entries.iter().filter(|(_, entry)| entry.receiver.is_believed());
            believed.for_each(|(name, entry)| recorder.label(entry.number, &entry.title(name)));
            recorder
        });
        self.out.set_recorder(recorder);
    }

    fn plain_datagram(&mut self, way: Way, arrival: Micros, bytes: &[u8]) {
        let address = way.address;
        if way.beside {
            self.control(way, arrival, bytes);
            return;
        }
        let rtp = self.as_rtp(address, bytes);
        if rtp.is_some_and(|name| self.copied(name, way, arrival, bytes)) {
            return;
        }
        let classic = self.as_classic(address, bytes);
        match (rtp, classic) {
            (Some(rtp), Some(classic)) if !self.is_believed(&rtp) && self.is_believed(&classic) => {
                self.packet(classic, way, arrival, bytes, false);
            }
            (Some(rtp), Some(classic)) => {
                if !self.packet(rtp, way, arrival, bytes, false) {
                    return;
                }
                if !self.is_believed(&rtp) {
                    // It may be either: the first to be believed wins, and the other is forgotten.
                    self.packet(classic, way, arrival, bytes, false);
                    if self.is_believed(&classic) {
                        self.forget(&rtp);
                    }
                } else if !self.is_believed(&classic) {
                    self.forget(&classic);
                }
            }
            (Some(name), None) | (None, Some(name)) => _ = self.packet(name, way, arrival, bytes, false),
            (None, None) if rtp::is_rtcp(bytes) => _ = self.control(way, arrival, bytes),
            (None, None) => self.not_believed(address, arrival, bytes),
        }
    }

    fn plain_frame(&mut self, address: SocketAddr, wire: Wire, arrival: Micros, bytes: &[u8]) -> bool {
        let name = match wire {
            Wire::Rtp => self.as_rtp(address, bytes),
            Wire::Classic => self.as_classic(address, bytes),
        };
        match name {
            Some(name) => self.packet(name, address.into(), arrival, bytes, true) && self.is_believed(&name),
            None if wire == Wire::Rtp && rtp::is_rtcp(bytes) => self.control(address.into(), arrival, bytes),
            None => {
                self.not_believed(address, arrival, bytes);
                false
            }
        }
    }

    /// The session is over: strangers are counted as what they were.
    pub fn finish(&mut self) {
        self.malformed += self
            .entries
            .values()
            .filter(|e| !e.receiver.is_believed())
            .map(|e| e.receiver.held())
            .sum::<u64>();
        self.entries.retain(|_, entry| entry.receiver.is_believed());
        for entry in self.entries.values_mut() {
            entry.outlet.retire();
        }
        self.out.set_recorder(None);
        self.out.readers.clear();
        self.out.log = None;
        self.events.end();
    }

    fn as_rtp(&self, address: SocketAddr, bytes: &[u8]) -> Option<Name> {
        if self.config.wire == Some(Wire::Classic) {
            return None;
        }
        let (header, _) = rtp::sound_of(bytes, &self.config.payloads)?;
        Some(Name { address, wire: Wire::Rtp, ssrc: header.ssrc })
    }

    fn as_classic(&self, address: SocketAddr, bytes: &[u8]) -> Option<Name> {
        let could_be =
            self.config.wire != Some(Wire::Rtp) && classic::could_be(bytes, self.config.audio.format);
        could_be.then_some(Name { address, wire: Wire::Classic, ssrc: 0 })
    }

    fn is_believed(&self, name: &Name) -> bool {
        self.entries.get(name).is_some_and(|entry| entry.receiver.is_believed())
    }

    /// Takes a packet of sound; false where it is refused.
    fn packet(&mut self, name: Name, way: Way, arrival: Micros, bytes: &[u8], connected: bool) -> bool {
        if let Some(why) = self.objection(&name, arrival).or_else(|| self.suspicion(&name, bytes)) {
            self.refuse(why, name.address, arrival);
            self.log(name.address, arrival, None, bytes, why.name());
            return false;
        }
        if !self.entries.contains_key(&name) {
            match self.new_entry(name, bytes, connected) {
                Ok(mut entry) => {
                    entry.came = arrival;
                    entry.correspond(&name, way, arrival);
                    self.enter(name, entry, arrival);
                }
                Err(why) => {
                    if !std::mem::replace(&mut self.told, true) {
                        log::error!(target: TARGET, "what {name} sends cannot be played: {why}");
                    }
                    self.not_believed(name.address, arrival, bytes);
                    return true;
                }
            }
        }
        let Some(entry) = self.entries.get_mut(&name) else { return true };
        entry.last_arrival = arrival;
        if let Some(reports) = &mut entry.reports {
            reports.came(way);
        }
        let before = entry.receiver.reception().received;
        let Some(verdict) =
            self.feed(&name, &mut |receiver, deliver| receiver.receive(bytes, arrival, deliver))
        else {
            return true;
        };
        let Some(entry) = self.entries.get_mut(&name) else { return true };
        let (receiver, counted) = (&mut entry.receiver, !matches!(entry.outlet, Outlet::Unplayable));
        self.malformed += receiver.take_refused();
        let sequence = receiver.last_sequence();
        match verdict {
            Ok(verdict) => {
                if verdict == Verdict::Believed {
                    self.reporting.hurry(arrival);
                }
                let receiver_believed = receiver.is_believed();
                if receiver_believed && counted {
                    self.packets += receiver.reception().received - before;
                    self.last_sequence = Some(sequence);
                    tell(&name, receiver, verdict, bytes.len(), arrival, &mut self.access.budget);
                }
                if verdict == Verdict::Believed {
                    self.access.strangers.remove(&name);
                }
                self.onward = self.onward.after(name, receiver_believed, verdict);
                self.log(name.address, arrival, Some(sequence), bytes, verdict.name());
                if verdict == Verdict::Believed {
                    self.forget_copies(&name);
                }
            }
            Err(why) => self.disbelieve(&name, arrival, bytes, why),
        }
        true
    }

    /// Lets a source's receiver take something; what it delivers is played and recorded.
    fn feed<R>(&mut self, name: &Name, take: &mut dyn FnMut(&mut Receiver, Deliver<'_>) -> R) -> Option<R> {
        let Entry { number, encoding, receiver, outlet, dropped, last_arrival, .. } =
            self.entries.get_mut(name)?;
        let now = *last_arrival;
        let (config, out, next_number) = (&self.config, &mut self.out, &mut self.next_number);
        let was_playing = outlet.is_playing();
        let taken = take(receiver, &mut |head, samples| {
            if *number == 0 {
                *number = *next_number;
                *next_number = next_number.wrapping_add(1).max(1);
            }
            let head = Head { source: *number, ..head };
            outlet.open(config, *encoding, out, name, *number);
            if let Outlet::Playing { queue: Some(queue), .. } = outlet
                && !queue.push(head, samples)
            {
                *dropped += 1;
            }
            if !matches!(outlet, Outlet::Unplayable) {
                out.record(head, samples, encoding.format);
            }
            out.read(&head, samples, encoding.format);
        });
        if !was_playing && outlet.is_playing() {
            self.appeared(*name, now);
        }
        Some(taken)
    }

    fn new_entry(&mut self, name: Name, bytes: &[u8], connected: bool) -> Result<Entry> {
        let payloads = &self.config.payloads;
        let encoding = match name.wire {
            Wire::Rtp => rtp::sound_of(bytes, payloads).map(|(_, encoding)| encoding),
            Wire::Classic => None,
        };
        let encoding = encoding.unwrap_or(Encoding::l16(self.config.audio.format));
        // The number is given to what is believed: strangers would use them up.
        let receiver = Receiver::new(0, name.wire, encoding, payloads)?;
        Ok(Entry {
            number: 0,
            encoding,
            receiver: Box::new(if connected { receiver.believed_at_once() } else { receiver }),
            outlet: Outlet::None,
            came: Micros::ZERO,
            last_arrival: Micros::ZERO,
            connected,
            joined: false,
            gone: false,
            repeated: false,
            dropped: 0,
            reports: None,
            held: None,
            answer: Answer::None,
        })
    }
}

#[cfg(test)]
#[path = "sources/many_tests.rs"]
mod many_tests;

pub use figures::MOST_GAIN;

pub(super) const TARGET: &str = "audiostream.server";
/// How long a stranger has for its second packet.
const PROBATION: Duration = Duration::from_secs(1);
/// After so long without a packet a source's player is given up; its figures stay.
const IDLE_AFTER: Duration = Duration::from_secs(10);
/// After so long without a sign of it, sound or report, a silent source is given up: five of the shortest intervals of reports
/// (RFC 3550 §6.3.5), and a little.
const LOST_AFTER: Duration = Duration::from_secs(30);
const SWEEP_EVERY: Duration = Duration::from_millis(500);
