//! The senders that a server hears: told apart, believed, counted, handed to playout and recorder.
//!
//! Lives behind a mutex of the server: the network thread holds it for a batch of packets, a snapshot for moments.
//! Bounded: so many sources play at once, so many strangers are on probation, so many departed are remembered.

mod access;
mod control;
mod copies;
mod entry;
mod opening;
mod strangers;
mod suspicion;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::complaints::Budget;
use super::outlet::{Outlet, Outlets, Recorder};
use super::packet_log::{PacketLine, PacketLog};
use super::reporting::{Correspondence, Reporting, Way};
use crate::engine::coding::Encoding;
use crate::engine::config::{ServerConfig, Wire};
use crate::engine::error::Result;
use crate::engine::playout::counters::PlayerCounters;
use crate::engine::playout::histogram::Bar;
use crate::engine::playout::render::Roster;
use crate::engine::record::reception::Labels;
use crate::engine::stats::{Playback, Reception, ServerStats, SourceStats};
use crate::engine::stream::queue::{Head, PacketWriter};
use crate::engine::stream::receiver::{Receiver, Verdict};
use crate::engine::time::Micros;
use crate::engine::wire::{Malformed, classic, rtp};
use access::Access;
use opening::Opening;
use suspicion::Suspicion;

/// All sources of a server.
pub struct Sources {
    config: ServerConfig,
    entries: HashMap<Name, Entry>,
    next_number: u32,
    departed: Departed,
    packets: u64,
    malformed: u64,
    access: Access,
    last_sequence: Option<u16>,
    swept: Micros,
    /// It was said that something cannot be decoded here.
    told: bool,
    out: Outlets,
    /// With a key.
    opening: Option<Box<Opening>>,
    /// Without one.
    suspicion: Suspicion,
    /// What is said to the sources, and heard of them.
    pub reporting: Reporting,
}

/// A sender: where it sends from, what it speaks, and its SSRC (zero on the classic wire).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Name {
    address: SocketAddr,
    wire: Wire,
    ssrc: u32,
}

struct Entry {
    number: u32,
    encoding: Encoding,
    receiver: Receiver,
    outlet: Outlet,
    came: Micros,
    last_arrival: Micros,
    /// Connections end; senders of datagrams just fall silent.
    connected: bool,
    /// A stream that repeats it has been heard (RFC 7198).
    repeated: bool,
    dropped: u64,
    /// Over RTP.
    reports: Option<Box<Correspondence>>,
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
            config,
            suspicion: Suspicion::default(),
            entries: HashMap::new(),
            next_number: 1,
            departed: Departed::default(),
            packets: 0,
            malformed: 0,
            access: Access::default(),
            last_sequence: None,
            swept: Micros::ZERO,
            told: false,
            out: Outlets::default(),
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

    /// Where every packet is written down.
    pub fn set_packet_log(&mut self, log: PacketLog) {
        self.out.log = Some(log);
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

    /// Bytes that are no packet.
    pub fn not_believed(&mut self, address: SocketAddr, arrival: Micros, bytes: &[u8]) {
        self.malformed += 1;
        self.log(address, arrival, None, bytes, "malformed");
        log::debug!(target: TARGET, "not a packet: {} bytes from {address}", bytes.len());
    }

    /// A connection has ended, and its sources with it.
    pub fn disconnected(&mut self, address: SocketAddr) {
        for (_, entry) in
            self.entries.iter_mut().filter(|(name, entry)| name.address == address && entry.connected)
        {
            entry.outlet.retire();
        }
        self.list_players();
    }

    /// Now and then: forgets strangers, retires the silent, drops finished players.
    pub fn sweep(&mut self, now: Micros) {
        if now.since(self.swept) < SWEEP_EVERY {
            return;
        }
        self.swept = now;
        let Self { entries, malformed, access, .. } = self;
        entries.retain(|name, entry| {
            let stranger = !entry.receiver.is_believed() && now.since(entry.last_arrival) > PROBATION;
            if stranger {
                *malformed += entry.receiver.held();
                access.strangers.remove(name);
            }
            !stranger
        });
        for entry in self.entries.values_mut() {
            if now.since(entry.last_arrival) > IDLE_AFTER {
                entry.outlet.retire();
            }
        }
        self.list_players();
        self.out.sweep();
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
        self.out.log = None;
    }

    /// How many sources are being played.
    pub fn playing(&self) -> usize {
        self.entries.values().filter(|entry| entry.outlet.is_playing()).count()
    }

    /// The sequence number of the last believed packet.
    pub fn last_sequence(&self) -> Option<u16> {
        self.last_sequence
    }

    /// Packets received from believed sources, the refused ones left out.
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// The delays of a source's packets lately, as far as playout follows the network; empty for unknown ones.
    pub fn histogram(&self, place: usize) -> Vec<Bar> {
        let mut entries: Vec<_> = self.entries.values().filter(|entry| entry.counts()).collect();
        entries.sort_by_key(|entry| entry.number);
        entries
            .get(place)
            .and_then(|e| e.outlet.counters())
            .map(PlayerCounters::histogram)
            .unwrap_or_default()
    }

    /// A snapshot; what the kernel dropped is the caller's to add.
    pub fn stats(&self) -> ServerStats {
        let mut stats = ServerStats {
            reception: self.departed.reception,
            playback: self.departed.playback,
            malformed: self.malformed,
            refused: self.access.refused,
            wrong_source: self.access.wrong_source,
            unauthentic: self.access.unauthentic,
            dropped_local: self.out.dropped,
            pcap_dropped: 0,
            sources: Vec::new(),
        };
        let mut entries: Vec<_> = self.entries.iter().filter(|(_, entry)| entry.counts()).collect();
        entries.sort_by_key(|(_, entry)| entry.number);
        for (name, entry) in entries {
            let source = SourceStats { quality: self.quality(entry), ..entry.stats(name) };
            stats.reception.add(&entry.reception_at(self.config.audio.format));
            stats.playback.add(&source.playback);
            stats.dropped_local += source.dropped_local;
            stats.sources.push(source);
        }
        stats
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
                    self.enter(name, entry);
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
                if receiver.is_believed() && counted {
                    self.packets += receiver.reception().received - before;
                    self.last_sequence = Some(sequence);
                    tell(&name, receiver, verdict, bytes.len(), arrival, &mut self.access.budget);
                }
                if verdict == Verdict::Believed {
                    self.access.strangers.remove(&name);
                }
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
        let Entry { number, encoding, receiver, outlet, dropped, .. } = self.entries.get_mut(name)?;
        let (config, out, next_number) = (&self.config, &mut self.out, &mut self.next_number);
        let was_playing = outlet.is_playing();
        let taken = take(receiver, &mut |head, samples| {
            if *number == 0 {
                *number = *next_number;
                *next_number = next_number.wrapping_add(1).max(1);
            }
            let head = Head { source: *number, ..head };
            outlet.open(config, *encoding, out, name, *number);
            if let Outlet::Playing { queue, .. } = outlet
                && !queue.push(head, samples)
            {
                *dropped += 1;
            }
            if !matches!(outlet, Outlet::Unplayable) {
                out.record(head, samples, encoding.format);
            }
        });
        if !was_playing && outlet.is_playing() {
            self.note_player(*name);
        }
        Some(taken)
    }

    fn disbelieve(&mut self, name: &Name, arrival: Micros, bytes: &[u8], why: Malformed) {
        self.malformed += 1;
        self.log(name.address, arrival, None, bytes, "malformed");
        log::debug!(target: TARGET, "not a packet: {} bytes from {}: {why}", bytes.len(), name.address);
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
            receiver: if connected { receiver.believed_at_once() } else { receiver },
            outlet: Outlet::None,
            came: Micros::ZERO,
            last_arrival: Micros::ZERO,
            connected,
            repeated: false,
            dropped: 0,
            reports: None,
        })
    }

    fn log(
        &mut self,
        source: SocketAddr,
        time: Micros,
        sequence: Option<u16>,
        bytes: &[u8],
        verdict: &'static str,
    ) {
        if let Some(log) = &mut self.out.log {
            let timestamp = rtp::parse(bytes).ok().map(|(header, _)| header.timestamp);
            log.write(PacketLine {
                time,
                outgoing: false,
                peer: source,
                sequence,
                timestamp,
                bytes: bytes.len(),
                verdict,
            });
        }
    }
}

/// The log lines of one packet.
fn tell(
    name: &Name,
    receiver: &Receiver,
    verdict: Verdict,
    bytes: usize,
    arrival: Micros,
    budget: &mut Budget,
) {
    if log::log_enabled!(target: TARGET, log::Level::Debug) {
        log::debug!(
            target: TARGET,
            "packet from {}: sequence {}, {bytes} bytes, {}",
            name.address,
            receiver.last_sequence(),
            verdict.name()
        );
    }
    if let Verdict::Gap { last, now, missing } = verdict
        && budget.may_tell(arrival)
    {
        log::warn!(target: TARGET, "packet out of sequence from {}: last {last}, now {now}, {missing} missing", name.address);
    }
    if verdict == Verdict::Restarted && budget.may_tell(arrival) {
        log::info!(target: TARGET, "{name} has started anew");
    }
    let reception = receiver.reception();
    if reception.received.is_multiple_of(100) && budget.may_tell(arrival) {
        let rate = 100.0 * reception.lost as f64 / reception.expected.max(1) as f64;
        log::info!(
            target: TARGET,
            "statistics of {}: total {}, lost {}, loss rate {rate:.2} %",
            name.address,
            reception.received,
            reception.lost
        );
    }
}

pub(super) const TARGET: &str = "audiostream.server";
/// How long a stranger has for its second packet.
const PROBATION: Duration = Duration::from_secs(1);
/// After so long without a packet a source's player is given up; its figures stay.
const IDLE_AFTER: Duration = Duration::from_secs(10);
const SWEEP_EVERY: Duration = Duration::from_millis(500);
