//! The senders that a server hears: told apart, believed, counted, handed to playout and recorder.
//!
//! Lives behind a mutex of the server: the network thread holds it for a batch of packets, a snapshot for moments.
//! Bounded: so many sources play at once, so many strangers are on probation, so many departed are remembered.

mod access;
mod control;
mod copies;
mod crowd;
mod digits;
mod entry;
mod figures;
mod hashing;
mod hints;
mod onward;
mod opening;
mod presence;
mod reading;
mod recording;
#[cfg(test)]
mod scene;
mod speaking;
mod strangers;
mod suspicion;
mod taking;
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
use super::tracks::Recorded;
use crate::engine::coding::Encoding;
use crate::engine::config::{Protocol, ServerConfig, Wire};
use crate::engine::error::Result;
use crate::engine::playout::render::Roster;
use crate::engine::record::reception::Labels;
use crate::engine::stats::{Playback, Reception, Recordings};
use crate::engine::stream::queue::PacketWriter;
use crate::engine::stream::receiver::Receiver;
use crate::engine::time::Micros;
use crate::engine::wire::{classic, content, rtp};
use access::Access;
use hashing::Secret;
use hints::Hints;
use onward::Onward;
use opening::Opening;
use speaking::Answer;
use suspicion::Suspicion;

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
    /// Packets that the recorders had no room for, as was told, and when.
    unrecorded: (u64, Micros),
    out: Outlets,
    /// Where a packet's sound is decoded.
    room: Vec<i16>,
    /// What becomes of the packet at hand.
    onward: Onward,
    /// With a key.
    opening: Option<Box<Opening>>,
    /// Without one.
    suspicion: Suspicion,
    /// What was said of that which is not understood.
    hints: Hints,
    events: Arc<Events>,
    /// What is said to the sources, and heard of them.
    pub reporting: Reporting,
    /// Where they are answered in sound.
    talking: Option<Talking>,
    dice: Dice,
    /// Recordings of sources by themselves, when all are over.
    recordings: Recordings,
}

/// A sender: where it sends from, and how, what it speaks, and its SSRC (zero on the classic wire).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    address: SocketAddr,
    wire: Wire,
    ssrc: u32,
    /// Over a connection.
    connected: bool,
}

#[allow(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
struct Entry {
    number: u32,
    encoding: Encoding,
    receiver: Box<Receiver>,
    outlet: Outlet,
    came: Micros,
    last_arrival: Micros,
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
    /// Packets sent to it, and withheld, by answers that are over.
    answered: (u64, u64),
    /// By itself.
    recorded: Recorded,
}

impl Name {
    fn new(way: Way, wire: Wire, ssrc: u32) -> Self {
        Self { address: way.address, wire, ssrc, connected: way.connected }
    }

    /// What it sends by.
    const fn protocol(&self) -> Protocol {
        if self.connected { Protocol::Tcp } else { Protocol::Udp }
    }

    /// Whether it is of the same address and transport.
    fn is_with(&self, other: &Self) -> bool {
        (self.address, self.connected) == (other.address, other.connected)
    }
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
        let connected = u64::from(self.connected);
        state.write_u64(port << 48 | connected << 33 | wire << 32 | u64::from(self.ssrc));
    }
}

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
            hints: Hints::default(),
            entries: HashMap::default(),
            next_number: 1,
            departed: Departed::default(),
            packets: 0,
            malformed: 0,
            last_sequence: None,
            swept: Micros::ZERO,
            unheard: 0,
            told: false,
            unrecorded: (0, Micros::ZERO),
            out: Outlets::default(),
            room: Vec::new(),
            onward: Onward::default(),
            events: Arc::default(),
            talking: None,
            dice: Dice::new(),
            recordings: Recordings::default(),
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
        let rtp = self.as_rtp(way, bytes);
        if rtp.is_some_and(|name| self.goes_on(&name, way, arrival, bytes)) {
            return;
        }
        if rtp.is_some_and(|name| self.copied(name, way, arrival, bytes)) {
            return;
        }
        let classic = self.as_classic(way, bytes);
        match (rtp, classic) {
            (Some(rtp), Some(classic)) if !self.is_believed(&rtp) && self.is_believed(&classic) => {
                self.packet(classic, way, arrival, bytes);
            }
            (Some(rtp), Some(classic)) => {
                if !self.packet(rtp, way, arrival, bytes) {
                    return;
                }
                if !self.is_believed(&rtp) {
                    // It may be either: the first to be believed wins, and the other is forgotten.
                    self.packet(classic, way, arrival, bytes);
                    if self.is_believed(&classic) {
                        self.forget(&rtp);
                    }
                } else if !self.is_believed(&classic) {
                    self.forget(&classic);
                }
            }
            (Some(name), None) | (None, Some(name)) => _ = self.packet(name, way, arrival, bytes),
            (None, None) if rtp::is_rtcp(bytes) => _ = self.control(way, arrival, bytes),
            (None, None) => self.not_believed(address, arrival, bytes),
        }
    }

    fn plain_frame(&mut self, address: SocketAddr, wire: Wire, arrival: Micros, bytes: &[u8]) -> bool {
        let way = Way::connection(address);
        let name = match wire {
            Wire::Rtp => self.as_rtp(way, bytes),
            Wire::Classic => self.as_classic(way, bytes),
        };
        match name {
            Some(name) => self.packet(name, way, arrival, bytes) && self.is_believed(&name),
            None if wire == Wire::Rtp && rtp::is_rtcp(bytes) => self.control(way, arrival, bytes),
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
        let waiting: Vec<_> =
            self.entries.iter().filter(|(_, e)| e.receiver.waits()).map(|(name, _)| *name).collect();
        for name in waiting {
            self.feed(&name, &mut |receiver, deliver| receiver.rest_sound(deliver));
        }
        for entry in self.entries.values_mut() {
            entry.outlet.retire();
        }
        self.sweep_recordings();
        self.out.set_recorder(None);
        if let Some(tracks) = self.out.tracks.take() {
            self.recordings = Recordings { running: 0, ..tracks.counts() };
        }
        self.out.readers.clear();
        self.out.log = None;
        self.events.end();
    }

    fn as_rtp(&self, way: Way, bytes: &[u8]) -> Option<Name> {
        if self.config.wire == Some(Wire::Classic) {
            return None;
        }
        let (header, content) = content::content_of(bytes, &self.config.payloads)?;
        let name = Name::new(way, Wire::Rtp, header.ssrc);
        let of_a_source = || self.entries.contains_key(&name) || self.original_of(&name).is_some();
        let believable = content.sound().is_some()
            || content::beginning(bytes, &self.config.payloads).is_some()
            || of_a_source();
        believable.then_some(name)
    }

    fn as_classic(&self, way: Way, bytes: &[u8]) -> Option<Name> {
        let could_be =
            self.config.wire != Some(Wire::Rtp) && classic::could_be(bytes, self.config.audio.format);
        could_be.then_some(Name::new(way, Wire::Classic, 0))
    }

    fn is_believed(&self, name: &Name) -> bool {
        self.entries.get(name).is_some_and(|entry| entry.receiver.is_believed())
    }

    /// Takes a packet of sound; false where it is refused.
    fn packet(&mut self, name: Name, way: Way, arrival: Micros, bytes: &[u8]) -> bool {
        if let Some(why) = self.objection(&name, arrival).or_else(|| self.suspicion(&name, bytes)) {
            self.refuse(why, name.address, arrival);
            self.log(name.address, arrival, None, bytes, why.name());
            return false;
        }
        if !self.entries.contains_key(&name) {
            match self.new_entry(name, bytes) {
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
        if !self.access.plays(&name) {
            self.make_way(&name, arrival);
        }
        self.take(&name, way, arrival, bytes);
        true
    }

    fn new_entry(&mut self, name: Name, bytes: &[u8]) -> Result<Entry> {
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
            receiver: Box::new(if name.connected { receiver.believed_at_once() } else { receiver }),
            outlet: Outlet::None,
            came: Micros::ZERO,
            last_arrival: Micros::ZERO,
            joined: false,
            gone: false,
            repeated: false,
            dropped: 0,
            reports: None,
            held: None,
            answer: Answer::None,
            answered: (0, 0),
            recorded: Recorded::Never,
        })
    }
}

#[cfg(test)]
#[path = "sources/content_tests.rs"]
mod content_tests;
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
