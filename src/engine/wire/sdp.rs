//! Session descriptions (SDP, RFC 8866): what a stream is, and where it goes.
//!
//! Reading is lenient: either line end, unknown lines and attributes passed over, the first audio that can be played taken. What
//! decides where and how sound is heard must be right, and an error names the line; what only informs is passed over
//! where it cannot be read. Bounded: text, lines, and everything that is kept.
//!
//! Not here: offer and answer (RFC 3264), ICE, DTLS keys, keys with an identifier.

mod crypto;
mod read;
mod write;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::engine::coding::{Encoding, Payload, PayloadTypes};
use crate::engine::config::Protocol;

/// One audio stream: the first of a session that can be played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Who made it.
    pub origin: Origin,
    /// What the session is called; `"-"` where it has no name.
    pub name: String,
    /// Where the sound goes to: an address, a multicast group, or a name. `None` where it does not say.
    pub address: Option<String>,
    /// How many hops packets to an IPv4 group may take.
    pub ttl: Option<u8>,
    /// The port that the sound goes to; 9 ("discard") where the other end connects to us (RFC 4145 §4.1).
    pub port: u16,
    /// How packets travel.
    pub transport: Transport,
    /// What the payload types mean: those that can be played, in the order of preference.
    pub types: PayloadTypes,
    /// What the first Opus type says of itself.
    pub opus: OpusParameters,
    /// The types of the blocks in redundant packets, the sound's own first (RFC 2198 §5).
    pub redundant: Vec<u8>,
    /// How long a packet is (`a=ptime`).
    pub ptime: Option<Duration>,
    /// How long a packet may be at most (`a=maxptime`).
    pub max_ptime: Option<Duration>,
    /// Where RTCP goes, if it is not the port after the sound's (RFC 3605).
    pub rtcp_port: Option<u16>,
    /// Whether RTCP shares the sound's port (RFC 5761).
    pub rtcp_mux: bool,
    /// Who the synchronisation sources are (RFC 5576).
    pub sources: Vec<SourceName>,
    /// Streams and their copies, by synchronisation source (RFC 7104 §4.2).
    pub duplicates: Vec<(u32, u32)>,
    /// How much later a copy is sent (RFC 7197).
    pub duplication_delay: Option<Duration>,
    /// Which way sound goes.
    pub direction: Direction,
    /// Kilobits a second, headers included (`b=AS`, RFC 8866 §5.8).
    pub bandwidth: Option<u32>,
    /// The text of each `a=crypto` (RFC 4568). Secret: it holds keys.
    pub crypto: Vec<String>,
}

/// Who made a description, and which version it is (`o=`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The session's number.
    pub session: u64,
    /// Counts its changes.
    pub version: u64,
    /// The maker's address.
    pub address: String,
}

/// The protocol of an `m=` line: `RTP/AVP` and its kin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// Datagrams, or a byte stream in frames (RFC 4571).
    pub protocol: Protocol,
    /// Whether RTCP may answer at once (`AVPF`, RFC 4585).
    pub feedback: bool,
    /// Whether packets are encrypted (`SAVP`, RFC 3711), the keys being in [`crypto`](Description::crypto).
    pub secure: bool,
    /// Who connects, on a byte stream.
    pub setup: Option<Setup>,
}

/// Who connects (RFC 4145 §4): the end at the described address and port, or the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The described end connects.
    Active,
    /// The described end waits to be connected to.
    Passive,
    /// It does either.
    Either,
    /// Nobody, for now.
    Hold,
}

/// Which way sound goes, as the described end sees it (RFC 8866 §6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    #[default]
    Both,
    /// It sends.
    Send,
    /// It receives.
    Receive,
    /// Neither.
    Inactive,
}

/// Parameters of Opus (RFC 7587 §6.1). Whether stereo is sent is in the channels of its type's format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpusParameters {
    /// The highest rate, Hz, that the receiver can make use of.
    pub max_playback_rate: Option<u32>,
    /// Bits a second that the receiver wants at most.
    pub max_average_bitrate: Option<u32>,
    /// The receiver likes stereo.
    pub stereo: bool,
    /// Packets carry redundancy for the one before.
    pub fec: bool,
    /// Silence may be left out.
    pub dtx: bool,
}

/// A synchronisation source and the name that it keeps when its number changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceName {
    /// The number in its packets.
    pub ssrc: u32,
    /// The canonical name (RFC 3550 §6.5.1).
    pub cname: String,
}

impl Description {
    /// Sound to a place, over UDP, and nothing else said of it.
    pub fn new(address: Option<String>, port: u16, types: PayloadTypes) -> Self {
        Self {
            origin: Origin { session: 0, version: 0, address: Ipv4Addr::LOCALHOST.to_string() },
            name: NO_NAME.into(),
            address,
            ttl: None,
            port,
            transport: Transport { protocol: Protocol::Udp, feedback: false, secure: false, setup: None },
            types,
            opus: OpusParameters::default(),
            redundant: Vec::new(),
            ptime: None,
            max_ptime: None,
            rtcp_port: None,
            rtcp_mux: false,
            sources: Vec::new(),
            duplicates: Vec::new(),
            duplication_delay: None,
            direction: Direction::Both,
            bandwidth: None,
            crypto: Vec::new(),
        }
    }

    /// The payload type and the sound that are liked best.
    pub fn first_sound(&self) -> Option<(u8, Encoding)> {
        self.types.iter().find_map(|(payload_type, payload)| match payload {
            Payload::Sound(encoding) => Some((payload_type, encoding)),
            Payload::Redundant | Payload::Events(_) | Payload::Comfort(_) => None,
        })
    }

    /// The group that is to be joined, where the sound goes to one.
    pub fn group(&self) -> Option<IpAddr> {
        let address: IpAddr = self.address.as_ref()?.parse().ok()?;
        address.is_multicast().then_some(address)
    }
}

/// The name of a session without one (RFC 8866 §5.3).
const NO_NAME: &str = "-";

#[cfg(test)]
mod tests;
