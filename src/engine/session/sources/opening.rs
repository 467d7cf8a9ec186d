//! With a key, packets are opened before anything else is made of them (SRTP, SRTCP).
//!
//! Guaranteed: what is not authentic reaches no parser of sound or reports, changes nothing and is not remembered; it is counted, and
//! told now and then. No packet is taken twice, from whichever address, as long as its stream is remembered: [`MOST_STREAMS`], and with
//! a key of our own [`MOST_GONE`] more that are refused as a whole. While a source plays, nothing in its name from elsewhere is
//! even tried, nor anything from another machine in the name of a stream that was just heard. What strangers can make us compute is bounded.
//!
//! Not guaranteed: that a whole stream is refused that was heard before this server began.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::{IDLE_AFTER, Name, Sources};
use crate::engine::config::Wire;
use crate::engine::key::{Key, KeyForm};
use crate::engine::networks::Place;
use crate::engine::session::complaints::Refusal;
use crate::engine::session::packet_log::PacketLine;
use crate::engine::session::reporting::{Letter, Way as Path};
use crate::engine::session::sealing::random_nonce;
use crate::engine::time::Micros;
use crate::engine::wire::rtp;
use crate::engine::wire::seal::{self, Nonce, Opener, Refused, Sealer, Way};

/// A server's side of its key.
pub struct Opening {
    key: Key,
    /// By SSRC and nonce (RFC 3711 §3.2.3: by SSRC; with a key of our own every nonce is a key).
    streams: HashMap<(u32, Nonce), Stream>,
    /// The nonces of streams that had to go.
    gone: VecDeque<Nonce>,
    searches: Searches,
    /// Seals all answers where the key is a foreign one: one SSRC, one keystream.
    sealer: Option<Sealer>,
    plain: Vec<u8>,
}

/// One sender that has proved to have the key.
struct Stream {
    opener: Opener,
    /// Where its sound, or what it said last, came from.
    from: SocketAddr,
    last: Micros,
    /// Seals the answers to it, with a key of our own.
    sealer: Option<Sealer>,
}

impl Sources {
    /// A datagram has come.
    pub fn datagram(&mut self, way: Path, arrival: Micros, bytes: &[u8]) {
        self.opened(way, arrival, bytes, |sources, bytes| {
            sources.plain_datagram(way, arrival, bytes);
        });
        self.send_on(bytes);
    }

    /// A whole packet has come over a connection, which says what it speaks. Whether it is of a source that is heard.
    pub fn framed(&mut self, address: SocketAddr, wire: Wire, arrival: Micros, bytes: &[u8]) -> bool {
        let heard = self.opened(Path::connection(address), arrival, bytes, |sources, bytes| {
            sources.plain_frame(address, wire, arrival, bytes)
        });
        self.send_on(bytes);
        heard
    }

    /// Hands on what is in a packet: without a key, it itself; with one, what was sealed, if it is authentic and new.
    fn opened<T: Default>(
        &mut self,
        way: Path,
        arrival: Micros,
        bytes: &[u8],
        take: impl FnOnce(&mut Self, &[u8]) -> T,
    ) -> T {
        let Some(mut opening) = self.opening.take() else { return take(self, bytes) };
        let from = way.address;
        let mut plain = std::mem::take(&mut opening.plain);
        let opened = match self.collision(&opening.key, way, arrival, bytes) {
            Some(why) => Err(why),
            None => opening.open(from, arrival, bytes, &mut plain),
        };
        // Further in it is wanted, for answers.
        self.opening = Some(opening);
        let taken = match opened {
            Ok(()) => take(self, &plain),
            Err(why) => {
                self.refuse(why, from, arrival);
                self.log_refused(from, arrival, bytes.len(), why);
                T::default()
            }
        };
        if let Some(opening) = &mut self.opening {
            opening.plain = plain;
        }
        taken
    }

    /// Whether a packet speaks in the name of a source that plays from another address.
    fn collision(&self, key: &Key, way: Path, now: Micros, bytes: &[u8]) -> Option<Refusal> {
        let ssrc = seal::ssrc(bytes)?;
        let other = self.plays_elsewhere(&Name::new(way, Wire::Rtp, ssrc), now)?;
        let from = way.address;
        // Reports may come from the port above (RFC 3550 §11).
        let is_above =
            other.address.ip() == from.ip() && other.address.port().checked_add(1) == Some(from.port());
        match key.form() {
            _ if is_above && rtp::is_rtcp(bytes) => None,
            KeyForm::Audiostream => Some(Refusal::WrongSource),
            KeyForm::AesCm | KeyForm::AesGcm => Some(Refusal::SharedKeystream),
        }
    }

    fn log_refused(&mut self, peer: SocketAddr, time: Micros, bytes: usize, why: Refusal) {
        if let Some(log) = &mut self.out.log {
            let verdict = why.name();
            log.write(PacketLine {
                time,
                outgoing: false,
                peer,
                sequence: None,
                timestamp: None,
                bytes,
                verdict,
            });
        }
    }
}

impl Opening {
    /// For senders that have `key`.
    pub fn new(key: Key) -> Self {
        Self {
            key,
            streams: HashMap::new(),
            gone: VecDeque::new(),
            searches: Searches::default(),
            sealer: None,
            plain: Vec::new(),
        }
    }

    fn open(
        &mut self,
        from: SocketAddr,
        now: Micros,
        packet: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let refusal = |refused| Refusal::of(refused, packet);
        let is_rtcp = rtp::is_rtcp(packet);
        let is_foreign = self.key.form() != KeyForm::Audiostream;
        let name = seal::ssrc(packet).zip(seal::nonce(packet, self.key.form()));
        let (ssrc, nonce) = name.ok_or(refusal(Refused::Short))?;
        let place = Place::from(from.ip());
        if let Some(stream) = self.streams.get_mut(&(ssrc, nonce)) {
            // Copies (RFC 7198) have no other lock.
            if stream.from.ip() != from.ip() && now.since(stream.last) <= IDLE_AFTER {
                return Err(Refusal::WrongSource);
            }
            let opener = &mut stream.opener;
            let is_lost = is_foreign && (!opener.knows_rtp() || now.since(stream.last) > LOST_AFTER);
            let done = if is_rtcp {
                opener.open_rtcp(packet, out)
            } else if is_lost && self.searches.spend(place, now) {
                opener.set_search(Opener::SEARCH);
                opener.find_rtp(packet, out)
            } else {
                opener.set_search(1);
                opener.open_rtp(packet, out)
            };
            done.map_err(refusal)?;
            stream.last = now;
            if !is_rtcp {
                stream.from = from;
            }
            return Ok(());
        }
        let is_search = is_foreign && !is_rtcp && self.searches.spend(place, now);
        let mut opener =
            Opener::new(&self.key, Way::ToServer, ssrc, if is_search { Opener::SEARCH } else { 1 });
        let done = if is_rtcp { opener.open_rtcp(packet, out) } else { opener.open_rtp(packet, out) };
        done.map_err(refusal)?;
        if !is_foreign && self.gone.contains(&nonce) {
            out.clear();
            return Err(Refusal::Replayed);
        }
        self.make_room();
        self.streams.insert((ssrc, nonce), Stream { opener, from, last: now, sealer: None });
        Ok(())
    }

    /// Whoever has been silent longest goes for one more.
    fn make_room(&mut self) {
        if self.streams.len() < MOST_STREAMS {
            return;
        }
        let longest = self.streams.iter().min_by_key(|(_, stream)| stream.last).map(|(name, _)| *name);
        if let Some(name) = longest {
            self.streams.remove(&name);
            if self.gone.len() == MOST_GONE {
                self.gone.pop_front();
            }
            self.gone.push_back(name.1);
        }
    }

    /// What seals the answers of `own` to a source.
    fn sealer_for(&mut self, name: &Name, own: u32) -> Option<&mut Sealer> {
        let Self { key, streams, sealer, .. } = self;
        let (sealer, way) = if key.form() == KeyForm::Audiostream {
            let there = streams
                .iter_mut()
                .filter(|((ssrc, _), stream)| *ssrc == name.ssrc && stream.from == name.address);
            let ((_, nonce), stream) = there.max_by_key(|(_, stream)| stream.last)?;
            (&mut stream.sealer, Way::ToClient(*nonce))
        } else {
            (sealer, Way::ToClient(Nonce::default()))
        };
        if sealer.is_none() {
            *sealer = Some(Sealer::new(key, way, random_nonce().ok()?, own));
        }
        sealer.as_mut()
    }

    /// What seals the sound of `own` to a source: a stream of its own.
    pub fn sealer_of_sound(&self, name: &Name, own: u32) -> Option<Sealer> {
        let nonce = if self.key.form() == KeyForm::Audiostream {
            let there = self
                .streams
                .iter()
                .filter(|((ssrc, _), stream)| *ssrc == name.ssrc && stream.from == name.address);
            there.max_by_key(|(_, stream)| stream.last).map(|((_, nonce), _)| *nonce)?
        } else {
            Nonce::default()
        };
        Some(Sealer::new(&self.key, Way::ToClient(nonce), random_nonce().ok()?, own))
    }

    /// How many streams are remembered.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.streams.len()
    }
}

/// An answer of `own` to a source as it may go: sealed, where there is a key.
pub fn sealed(opening: Option<&mut Opening>, name: &Name, own: u32, letter: Letter) -> Option<Letter> {
    let Some(opening) = opening else { return Some(letter) };
    let mut bytes = Vec::new();
    opening.sealer_for(name, own)?.seal_rtcp(&letter.bytes, &mut bytes).ok()?;
    Some(Letter { bytes, ..letter })
}

/// Searches for a foreign sender's rollover counter: the dearest that a stranger can ask for, so many a second.
#[derive(Default)]
struct Searches {
    second: Micros,
    spent: Vec<Place>,
}

impl Searches {
    /// Whether there may be one more for somebody there.
    fn spend(&mut self, place: Place, now: Micros) -> bool {
        if now.since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.spent.clear();
        }
        let there = self.spent.iter().filter(|spent| **spent == place).count();
        let may = self.spent.len() < MOST_SEARCHES && there < MOST_SEARCHES_THERE;
        if may {
            self.spent.push(place);
        }
        may
    }
}

/// Streams remembered, as they were left: about 2 KiB each.
const MOST_STREAMS: usize = 1024;
/// Streams of which it is only remembered that they were.
const MOST_GONE: usize = 16_384;
/// So long without a packet it takes, even of 2.5 ms, to lose 2^15 of them (RFC 3711 §3.3.1).
const LOST_AFTER: Duration = Duration::from_secs(60);
/// Searches a second: of `AES_CM_128_HMAC_SHA1_80` each costs about half a millisecond.
const MOST_SEARCHES: usize = 32;
/// Searches a second from one place.
const MOST_SEARCHES_THERE: usize = 4;

#[cfg(test)]
mod tests;
