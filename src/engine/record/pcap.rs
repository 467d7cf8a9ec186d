//! Captures as Wireshark reads them (pcapng, draft-ietf-opsawg-pcapng): packets with the IP, UDP and TCP headers that
//! they would have on a wire.
//!
//! Nothing is sniffed: what is written is what a program says that it sent and received, so that nobody need be root. The
//! headers are made up, with their right lengths and checksums. What was lost on the way is there as its headers alone,
//! with a comment: who counts streams does not count it.
//!
//! [`Pcap`] only writes; [`file`] is a file with a thread of its own, [`conversation`] what TCP's headers are made from.

pub mod conversation;
pub mod file;

use std::borrow::Cow;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

pub use etherparse::TcpOptionElement as TcpOption;
use etherparse::{IpHeaders, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, PacketBuilder};
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{PcapNgBlock, PcapNgWriter};
use pcap_file::{DataLink, Endianness, PcapError};

use crate::engine::time::Micros;

/// Writes a capture.
pub struct Pcap<W: Write> {
    out: PcapNgWriter<W>,
    /// What the clock's zero is, since 1970.
    epoch: Duration,
    packet: Vec<u8>,
    written: u64,
}

/// Where a packet comes from and goes to.
pub type Ends = (SocketAddr, SocketAddr);

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate<'a> {
    /// It passed.
    Passed,
    /// It passed, and this is to be said of it.
    Noted(&'a str),
    /// It was lost, as this says: only its headers are kept.
    Lost(&'a str),
}

/// A TCP segment, but for its ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment<'a> {
    /// The number of its first byte.
    pub sequence: u32,
    /// The next byte that is expected from the other end; `None` in the first segment of all.
    pub ack: Option<u32>,
    /// It opens the connection.
    pub syn: bool,
    /// It ends this direction of it.
    pub fin: bool,
    /// Its sender has no more to say behind it.
    pub push: bool,
    /// Bytes that may be under way to its sender, as scaled by the options. Beyond 65,535 it is cut to that.
    pub window: u32,
    /// At most 40 bytes of them, padded.
    pub options: &'a [TcpOption],
    /// What it carries.
    pub payload: &'a [u8],
}

impl<W: Write> Pcap<W> {
    /// A capture whose times are since `epoch`, which itself is since 1970.
    pub fn new(writer: W, epoch: Duration) -> io::Result<Self> {
        let application = SectionHeaderOption::UserApplication(Cow::Borrowed(APPLICATION));
        // Everywhere the same bytes.
        let section = SectionHeaderBlock {
            endianness: Endianness::Little,
            options: vec![application],
            ..SectionHeaderBlock::default()
        };
        let out = PcapNgWriter::with_section_header(writer, section).map_err(plain)?;
        let mut pcap = Self { out, epoch, packet: Vec::new(), written: 0 };
        let interface = InterfaceDescriptionBlock {
            linktype: DataLink::RAW,
            snaplen: 0,
            options: vec![
                InterfaceDescriptionOption::IfName(Cow::Borrowed("audiostream")),
                InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            ],
        };
        pcap.written = pcap.out.write_block(&interface.into_block()).map_err(plain)? as u64;
        Ok(pcap)
    }

    /// A datagram went from one end to the other.
    pub fn datagram(&mut self, at: Micros, ends: Ends, payload: &[u8], fate: Fate<'_>) -> io::Result<()> {
        let (from, to) = one_family(ends);
        let builder = PacketBuilder::ip(ip(from, to, IpNumber::UDP)).udp(from.port(), to.port());
        self.packet.clear();
        builder.write(&mut self.packet, payload).map_err(io::Error::other)?;
        self.write(at, payload.len(), fate)
    }

    /// A TCP segment went from one end to the other.
    pub fn segment(
        &mut self,
        at: Micros,
        ends: Ends,
        segment: Segment<'_>,
        fate: Fate<'_>,
    ) -> io::Result<()> {
        let (from, to) = one_family(ends);
        let Segment { sequence, ack, syn, fin, push, window, options, payload } = segment;
        let window = window.min(u32::from(u16::MAX)) as u16;
        let mut tcp =
            PacketBuilder::ip(ip(from, to, IpNumber::TCP)).tcp(from.port(), to.port(), sequence, window);
        if let Some(ack) = ack {
            tcp = tcp.ack(ack);
        }
        if syn {
            tcp = tcp.syn();
        }
        if fin {
            tcp = tcp.fin();
        }
        if push {
            tcp = tcp.psh();
        }
        let tcp = tcp.options(options).map_err(io::Error::other)?;
        self.packet.clear();
        tcp.write(&mut self.packet, payload).map_err(io::Error::other)?;
        self.write(at, payload.len(), fate)
    }

    /// Announces a stream with its session description, in the packet of RFC 2974 that `origin` would send: whoever reads on
    /// knows what the ports mean.
    pub fn announce(&mut self, at: Micros, origin: IpAddr, description: &str) -> io::Result<()> {
        let origin = origin.to_canonical();
        let mut packet = vec![VERSION_1, 0];
        let hash = description.bytes().fold(0u16, |hash, byte| hash.rotate_left(3) ^ u16::from(byte));
        packet.extend_from_slice(&hash.to_be_bytes());
        let group: IpAddr = match origin {
            IpAddr::V4(v4) => {
                packet.extend_from_slice(&v4.octets());
                ANNOUNCEMENTS_V4.into()
            }
            IpAddr::V6(v6) => {
                packet[0] |= IPV6_ORIGIN;
                packet.extend_from_slice(&v6.octets());
                ANNOUNCEMENTS_V6.into()
            }
        };
        packet.extend_from_slice(b"application/sdp\0");
        packet.extend_from_slice(description.as_bytes());
        let ends = (SocketAddr::new(origin, SAP), SocketAddr::new(group, SAP));
        self.datagram(at, ends, &packet, Fate::Noted(OURS))
    }

    /// Bytes written, but for the first header.
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// What it writes to.
    pub fn get_mut(&mut self) -> &mut W {
        self.out.get_mut()
    }

    /// What it wrote to.
    pub fn into_inner(self) -> W {
        self.out.into_inner()
    }

    /// Writes the packet at hand, the last `payload` bytes of which are not headers.
    fn write(&mut self, at: Micros, payload: usize, fate: Fate<'_>) -> io::Result<()> {
        let whole = self.packet.len();
        let (kept, comment) = match fate {
            Fate::Passed => (whole, None),
            Fate::Noted(comment) => (whole, Some(comment)),
            Fate::Lost(comment) => (whole - payload, Some(comment)),
        };
        let comment = comment.map(|comment| EnhancedPacketOption::Comment(Cow::Borrowed(comment)));
        let block = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: self.epoch + Duration::from_micros(at.0),
            original_len: whole as u32,
            data: Cow::Borrowed(&self.packet[..kept]),
            options: comment.into_iter().collect(),
        };
        self.written += self.out.write_block(&block.into_block()).map_err(plain)? as u64;
        Ok(())
    }
}

fn ip(from: SocketAddr, to: SocketAddr, protocol: IpNumber) -> IpHeaders {
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let header = Ipv4Header {
                time_to_live: HOPS,
                protocol,
                source: from.octets(),
                destination: to.octets(),
                ..Ipv4Header::default()
            };
            IpHeaders::Ipv4(header, etherparse::Ipv4Extensions::default())
        }
        (from, to) => {
            let header = Ipv6Header {
                flow_label: Ipv6FlowLabel::ZERO,
                next_header: protocol,
                hop_limit: HOPS,
                source: mapped(from).octets(),
                destination: mapped(to).octets(),
                ..Ipv6Header::default()
            };
            IpHeaders::Ipv6(header, etherparse::Ipv6Extensions::default())
        }
    }
}

/// Both ends in IPv4 where they can be.
fn one_family((from, to): Ends) -> Ends {
    let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
    (plain(from), plain(to))
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

fn plain(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

const APPLICATION: &str = concat!("audiostream ", env!("CARGO_PKG_VERSION"));
/// What Wireshark shows beside the announcement.
const OURS: &str = "audiostream: made up, so that what follows is known as RTP";
/// As most systems begin.
const HOPS: u8 = 64;
/// Ten to the minus this is the unit of times (`if_tsresol`).
const NANOSECONDS: u8 = 9;
/// SAP's port and groups (RFC 2974 §3), and the bits of its header.
const SAP: u16 = 9875;
const ANNOUNCEMENTS_V4: Ipv4Addr = Ipv4Addr::new(224, 2, 127, 254);
const ANNOUNCEMENTS_V6: Ipv6Addr = Ipv6Addr::new(0xff0e, 0, 0, 0, 0, 0, 2, 0x7ffe);
const VERSION_1: u8 = 1 << 5;
const IPV6_ORIGIN: u8 = 1 << 4;

#[cfg(test)]
mod tests;
