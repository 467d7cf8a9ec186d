//! What a client and a server are told to do. A config that exists is valid: the parsing is here.

mod ends;
mod redundancy;
mod transport;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use ends::{DeviceChoice, Input, Output};
pub use redundancy::Redundancy;
pub use transport::{Protocol, Transports, Wire};

use super::coding::{Coding, DYNAMIC, Encoding, PayloadTypes};
use super::error::{Error, Result};
use super::format::Format;
use super::key::Key;
use super::networks::Networks;
use super::sim::config::LinkConfig;

/// The length of the block that the devices work in: 2.5, 5, or a multiple of 10 from 10 to 150 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockSize(u32);

impl BlockSize {
    /// From milliseconds.
    pub fn from_ms(ms: f64) -> Result<Self> {
        let us = ms * 1000.0;
        let valid = us.fract().abs() < 1e-6
            && match us as u32 {
                2_500 | 5_000 => true,
                whole => whole.is_multiple_of(10_000) && (10_000..=150_000).contains(&whole),
            };
        if valid {
            Ok(Self(us as u32))
        } else {
            Err(Error::config(format!(
                "size must be 10, 20, … 150 ms (or 5 or 2.5 on the rtp wire), not {ms}"
            )))
        }
    }

    /// As a duration.
    pub fn duration(self) -> Duration {
        Duration::from_micros(u64::from(self.0))
    }

    /// Whether the classic wire can carry it: whole chunks of 10 ms only.
    pub const fn is_classic(self) -> bool {
        self.0 >= 10_000
    }

    /// Its length in 10 ms chunks, at least one: the original's NUMCHUNKS.
    pub fn chunks(self) -> usize {
        (self.0 as usize / 10_000).max(1)
    }

    /// Frames of one block. Whole chunks, as the original counts them: 22.05 kHz has 220 a chunk, 440 in 20 ms.
    pub fn frames(self, format: Format) -> usize {
        if self.is_classic() {
            format.frames(Duration::from_millis(10)) * self.chunks()
        } else {
            format.frames(self.duration())
        }
    }
}

impl Default for BlockSize {
    /// 10 ms, the original's.
    fn default() -> Self {
        Self(10_000)
    }
}

/// How large a buffer to ask of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Latency {
    /// One block: the least delay.
    #[default]
    Low,
    /// The device's own default, for machines that crackle.
    High,
}

impl Latency {
    /// `"low"` or `"high"`.
    pub fn parse(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "low" => Ok(Self::Low),
            "high" => Ok(Self::High),
            _ => Err(Error::config(format!("latency must be 'low' or 'high', not {text:?}"))),
        }
    }
}

/// What client and server have in common about sound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audio {
    /// The stream's format.
    pub format: Format,
    /// The devices' block.
    pub block: BlockSize,
    /// The sound system: `pulseaudio`, `alsa`, `jack`, …; `None` takes the first that answers.
    pub host_api: Option<String>,
    /// The device buffer.
    pub latency: Latency,
}

/// A sender's view of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The transport.
    pub protocol: Protocol,
    /// The server's name or address, a multicast group, or an `rtp://` URL.
    pub host: String,
    /// The server's port.
    pub port: u16,
    /// The port to send from; 0 lets the system choose.
    pub local_port: u16,
    /// The `DiffServ` code point of the packets (RFC 2474), 0 to 63; EF (46) asks for low delay.
    pub dscp: u8,
    /// Hops that a multicast packet may take.
    pub ttl: u8,
    /// The network interface that multicast packets leave by: its name, index or address; the route's without.
    pub interface: Option<String>,
    /// How long a lost TCP connection is tried anew before the stream ends.
    pub reconnect: Duration,
}

impl Default for Path {
    fn default() -> Self {
        Self {
            protocol: Protocol::Udp,
            host: "localhost".into(),
            port: DEFAULT_PORT,
            local_port: 0,
            dscp: 46,
            // RFC 1112 §6.1: one hop unless the user asks for more.
            ttl: 1,
            interface: None,
            reconnect: Duration::from_secs(5),
        }
    }
}

/// All that a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// The sound.
    pub audio: Audio,
    /// The way.
    pub path: Path,
    /// Where the sound comes from.
    pub input: Input,
    /// Where goes what the server says; `None` listens to nothing.
    pub output: Option<Output>,
    /// The packet format.
    pub wire: Wire,
    /// What the sound is sent as.
    pub codec: Coding,
    /// What Opus may spend, bits a second.
    pub bitrate: u32,
    /// Whether an Opus packet also holds a coarse copy of the one before (RFC 6716 §2.1.7).
    pub fec: bool,
    /// How far back an Opus packet's deep redundancy goes.
    pub dred: Duration,
    /// The RTP packet's length, where it is not the block's.
    pub ptime: Option<Duration>,
    /// What goes twice, so that losses can be repaired.
    pub redundancy: Redundancy,
    /// How many packets later a copy goes, 1 to 50.
    pub spacing: u8,
    /// What the sound is sealed with; `None` sends it in clear.
    pub key: Option<Key>,
    /// A bad network to send through.
    pub network: Option<LinkConfig>,
    /// Where what passes is captured.
    pub pcap: Option<PathBuf>,
    /// What the user is called, for the other end to see (RFC 3550 §6.5.2).
    pub name: Option<String>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            audio: Audio::default(),
            path: Path::default(),
            input: Input::Device(DeviceChoice::Default),
            output: None,
            wire: Wire::Rtp,
            codec: Coding::L16,
            // A voice in full band, hardly told from the original.
            bitrate: 64_000,
            fec: true,
            // It shares the bitrate, and pays in bursts alone.
            dred: Duration::ZERO,
            ptime: None,
            redundancy: Redundancy::None,
            // The least delay: the receiver waits for a copy no longer than it must.
            spacing: 1,
            key: None,
            network: None,
            pcap: None,
            name: None,
        }
    }
}

impl ClientConfig {
    /// What the sound is sent as, and in which format: G.711 is the telephone's, Opus at 48 kHz.
    pub fn encoding(&self) -> Encoding {
        let format = match self.codec {
            Coding::L16 | Coding::L24 => self.audio.format,
            Coding::Pcmu | Coding::Pcma => Format::NARROW,
            Coding::Opus => Format::opus(self.audio.format.channels()),
        };
        Encoding { coding: self.codec, format }
    }

    /// What stands for that in RTP.
    pub fn payload_type(&self) -> u8 {
        PayloadTypes::new(self.audio.format).type_of(self.encoding()).unwrap_or(DYNAMIC)
    }

    /// Checks what no single field can say.
    pub fn validated(self) -> Result<Self> {
        if self.wire == Wire::Classic && !self.audio.block.is_classic() {
            return Err(Error::config(
                "the classic wire carries sizes of 10 to 150 ms; use wire='rtp' for 5 or 2.5",
            ));
        }
        if self.wire == Wire::Classic && self.ptime.is_some() {
            return Err(Error::config(
                "ptime is for the rtp wire; on the classic wire the packet is the block (size)",
            ));
        }
        if self.wire == Wire::Classic && self.codec != Coding::L16 {
            return Err(Error::config(format!(
                "the classic wire carries linear PCM only: codec='{}' needs wire='rtp'",
                self.codec.name()
            )));
        }
        if self.codec == Coding::L24 {
            return Err(Error::config("codec='l24' is received only: send 'l16', 'opus', 'pcmu' or 'pcma'"));
        }
        if !BITRATES.contains(&self.bitrate) {
            return Err(Error::config(format!(
                "bitrate must be 6000 to 510000 bits a second, not {}",
                self.bitrate
            )));
        }
        if self.dred > MOST_DRED {
            return Err(Error::config(format!(
                "dred must be 0 to {} ms, not {}",
                MOST_DRED.as_millis(),
                self.dred.as_millis()
            )));
        }
        if let Some(ptime) = self.ptime {
            let ms = ptime.as_secs_f64() * 1e3;
            if self.codec == Coding::Opus {
                if !OPUS_PTIMES_US.map(Duration::from_micros).contains(&ptime) {
                    return Err(Error::config(format!(
                        "ptime must be 2.5, 5, 10, 20, 40 or 60 ms with codec='opus', not {ms}"
                    )));
                }
            } else if !(1.0..=150.0).contains(&ms) {
                return Err(Error::config(format!("ptime must be 1 to 150 ms, not {ms}")));
            }
        }
        redundancy::check(&self)?;
        if self.wire == Wire::Classic && self.output.is_some() {
            return Err(Error::config("on the classic wire servers say nothing: output needs wire='rtp'"));
        }
        if self.wire == Wire::Classic && self.key.is_some() {
            return Err(Error::config(NO_CLASSIC_KEY));
        }
        if self.network.is_some() && self.path.protocol == Protocol::Tcp {
            return Err(Error::config(NO_NETWORK_OVER_TCP));
        }
        if self.path.port == 0 {
            return Err(Error::config("port must be 1 to 65535: the port that the server listens on"));
        }
        if self.path.dscp > 63 {
            return Err(Error::config(format!("dscp must be 0 to 63, not {}", self.path.dscp)));
        }
        check_name(self.name.as_deref())?;
        if self.path.host.is_empty() {
            return Err(Error::config("host must be a name or an address, not ''"));
        }
        Ok(self)
    }
}

/// All that a server is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The sound.
    pub audio: Audio,
    /// The transport.
    pub protocol: Transports,
    /// The address to listen on; `None` is every interface, IPv4 and IPv6.
    pub bind: Option<String>,
    /// The network interface that a multicast group is joined on, and that groups are forwarded by: its name, index or address;
    /// every one without.
    pub interface: Option<String>,
    /// The port to listen on; 0 lets the system choose.
    pub port: u16,
    /// The packet format; `None` finds it out for each source.
    pub wire: Option<Wire>,
    /// What RTP's payload types stand for.
    pub payloads: PayloadTypes,
    /// Where the sound goes.
    pub output: Output,
    /// How long a packet is kept before it is played; `None` follows the network.
    pub delay: Option<Duration>,
    /// What it is kept at least, where it follows the network, besides what the device pulls at once.
    pub min_delay: Duration,
    /// What it is kept at most, where it follows the network.
    pub max_delay: Duration,
    /// How many senders are heard at once.
    pub max_sources: usize,
    /// Other receivers that all sources' packets are sent on to.
    pub forward: Vec<Path>,
    /// The networks that are listened to.
    pub allow: Networks,
    /// What the sound is sealed with; nothing else is heard then. `None` hears what is in clear.
    pub key: Option<Key>,
    /// TCP: go on after the last client has left.
    pub keep_listening: bool,
    /// A bad network to receive through.
    pub network: Option<LinkConfig>,
    /// Where what passes is captured.
    pub pcap: Option<PathBuf>,
    /// What the user is called, for the other end to see (RFC 3550 §6.5.2).
    pub name: Option<String>,
    /// Judge sources by ITU-T G.107, and report that.
    pub quality: bool,
    /// The sound of our own that the sources hear.
    pub talk: Option<Input>,
    /// Each source hears the others.
    pub conference: bool,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            audio: Audio::default(),
            protocol: Transports::Udp,
            bind: None,
            interface: None,
            port: DEFAULT_PORT,
            wire: None,
            payloads: PayloadTypes::new(Format::DEFAULT),
            output: Output::Device(DeviceChoice::Default),
            delay: None,
            min_delay: Duration::ZERO,
            // Beyond half a second nobody talks any more (ITU-T G.114 draws its line at 0.4 s, mouth to ear).
            max_delay: Duration::from_millis(500),
            max_sources: 32,
            forward: Vec::new(),
            allow: Networks::default(),
            key: None,
            keep_listening: false,
            network: None,
            pcap: None,
            name: None,
            quality: false,
            talk: None,
            conference: false,
        }
    }
}

impl ServerConfig {
    /// Whether the sources are answered in sound.
    pub const fn answers(&self) -> bool {
        self.talk.is_some() || self.conference
    }

    /// The longest delay that can come about or be set while it runs.
    pub fn max_delay(&self) -> Duration {
        self.max_delay.max(self.delay.unwrap_or_default())
    }

    /// Checks what no single field can say.
    pub fn validated(mut self) -> Result<Self> {
        if self.key.is_some() {
            if self.wire == Some(Wire::Classic) {
                return Err(Error::config(NO_CLASSIC_KEY));
            }
            // Nothing else can be sealed.
            self.wire = Some(Wire::Rtp);
        }
        if self.answers() && self.wire == Some(Wire::Classic) {
            return Err(Error::config(
                "on the classic wire nobody can be answered: talk and conference need wire='auto' or 'rtp'",
            ));
        }
        if self.conference && self.output.is_whole() {
            return Err(Error::config(
                "conference needs an output that keeps time, a device or 'null': a file waits for what is missing",
            ));
        }
        if let Some(delay) = self.delay
            && delay > MAX_DELAY
        {
            return Err(Error::config(format!("delay must be at most {} ms", MAX_DELAY.as_millis())));
        }
        if self.network.is_some() && self.protocol == Transports::Tcp {
            return Err(Error::config(NO_NETWORK_OVER_TCP));
        }
        if self.forward.len() > MOST_FORWARD {
            return Err(Error::config(format!(
                "forward: at most {MOST_FORWARD} receivers: use multicast for more"
            )));
        }
        if self.wire == Some(Wire::Classic) && !self.forward.is_empty() {
            return Err(Error::config(
                "forward is of the rtp wire: with wire='classic' nothing could be sent on",
            ));
        }
        if self.max_delay > MAX_DELAY || self.min_delay > self.max_delay {
            let most = MAX_DELAY.as_millis();
            return Err(Error::config(format!(
                "min_delay must not be above max_delay, nor that above {most} ms"
            )));
        }
        check_name(self.name.as_deref())?;
        if self.output == Output::None && self.answers() {
            return Err(Error::config(
                "with output='none' there is no sound to answer with: use output='null'",
            ));
        }
        if !(1..=MOST_SOURCES).contains(&self.max_sources) {
            return Err(Error::config(format!(
                "max_sources must be 1 to {MOST_SOURCES}, not {}",
                self.max_sources
            )));
        }
        Ok(self)
    }
}

/// A sender as a server tells it from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceKey {
    /// Where its packets come from.
    pub address: SocketAddr,
    /// Its RTP synchronisation source (RFC 3550 §3), zero on the classic wire.
    pub ssrc: u32,
}

/// Sources that can be heard at once.
pub const MOST_SOURCES: usize = 2048;
/// What Opus can be asked for (RFC 6716 §2.1.1).
const BITRATES: std::ops::RangeInclusive<u32> = 6_000..=510_000;

/// The most deep redundancy that Opus has.
const MOST_DRED: Duration = Duration::from_millis(1040);
/// The lengths of an Opus packet of ours.
const OPUS_PTIMES_US: [u64; 6] = [2_500, 5_000, 10_000, 20_000, 40_000, 60_000];

/// A name must fit into a report.
fn check_name(name: Option<&str>) -> Result<()> {
    match name {
        Some(name) if name.is_empty() || name.len() > 255 => {
            Err(Error::config("name must be 1 to 255 bytes of UTF-8"))
        }
        _ => Ok(()),
    }
}

const NO_CLASSIC_KEY: &str =
    "the classic wire cannot be sealed: use wire='rtp', or no key (key=, key_file=, AUDIOSTREAM_KEY)";

const NO_NETWORK_OVER_TCP: &str =
    "network impairs datagrams: with protocol='tcp' put the bad network under the system's TCP, or use 'udp'";

/// Captured sound older than this is not sent any more when newer waits: the oldest goes first.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// The original's port.
pub const DEFAULT_PORT: u16 = 12_345;

/// The most receivers that packets are sent on to.
const MOST_FORWARD: usize = 64;

/// The longest playout delay that can be asked for.
pub const MAX_DELAY: Duration = Duration::from_secs(2);
