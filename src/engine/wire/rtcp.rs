//! RTCP (RFC 3550 §6): compound packets, read and written, with the extended reports (RFC 3611) that we use, and a packet of
//! our own for what no standard has a place for.
//!
//! Guaranteed: what [`Compound::parse`] accepts is whole: every packet, report, item and block lies within the bytes,
//! and reading it cannot fail. Packets of unknown types are passed over. A compound that does not begin with a report
//! is accepted too (RFC 5506), as programs send such.
//!
//! Not guaranteed: that anything said is true. Text comes from strangers; [`Item::text`] cleans it.

mod packet;
mod report;
mod sdes;
mod tally;
mod write;
mod xr;

#[cfg(test)]
mod tests;

pub use packet::{Goodbye, Packet};
pub use report::{ReportBlock, ReportBlocks, SenderInfo};
pub use sdes::{CNAME, Chunk, Chunks, Item, Items, NAME, TOOL};
pub use tally::Tally;
pub use write::{
    write_application, write_description, write_extended, write_goodbye, write_receiver_report,
    write_sender_report,
};
pub use xr::{
    Dlrr, DlrrBlocks, Extended, ExtendedBlock, ExtendedBlocks, Measurement, UNAVAILABLE, VoipMetrics,
};

use super::Malformed;

/// The packets of one datagram, or of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compound<'a> {
    bytes: &'a [u8],
}

impl<'a> Compound<'a> {
    /// Checks all of it (RFC 3550 A.2): version 2 throughout, lengths that add up, padding at the end only, types of RTCP.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut rest = bytes;
        if rest.is_empty() {
            return Err(Malformed::Short);
        }
        while !rest.is_empty() {
            let (raw, after) = Raw::split(rest)?;
            if raw.is_padded && !after.is_empty() {
                return Err(Malformed::Padding);
            }
            raw.packet().ok_or(Malformed::Header)?;
            rest = after;
        }
        Ok(Self { bytes })
    }

    /// The packets in their order.
    pub fn packets(self) -> impl Iterator<Item = Packet<'a>> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let (raw, after) = Raw::split(rest).ok()?;
            rest = after;
            raw.packet()
        })
    }

    /// Whether it begins with no report: of reduced size (RFC 5506).
    pub fn is_reduced(self) -> bool {
        !matches!(self.packets().next(), Some(Packet::SenderReport { .. } | Packet::ReceiverReport { .. }))
    }

    /// Its length.
    pub fn len(self) -> usize {
        self.bytes.len()
    }

    /// Never: there is a packet at least.
    pub fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }
}

/// One packet's common header (§6.4.1), and its body without padding.
struct Raw<'a> {
    count: u8,
    packet_type: u8,
    is_padded: bool,
    body: &'a [u8],
}

impl<'a> Raw<'a> {
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        let Some((&[flags, packet_type, l0, l1], rest)) = bytes.split_first_chunk::<4>() else {
            return Err(Malformed::Short);
        };
        if flags >> 6 != VERSION {
            return Err(Malformed::Version);
        }
        if !(FIRST_TYPE..=LAST_TYPE).contains(&packet_type) {
            return Err(Malformed::PayloadType);
        }
        let length = usize::from(u16::from_be_bytes([l0, l1])) * 4;
        let (mut body, after) = rest.split_at_checked(length).ok_or(Malformed::Header)?;
        let is_padded = flags & PADDING != 0;
        if is_padded {
            let padding = usize::from(*body.last().ok_or(Malformed::Padding)?);
            if padding == 0 || !padding.is_multiple_of(4) || padding > body.len() {
                return Err(Malformed::Padding);
            }
            body = &body[..body.len() - padding];
        }
        Ok((Self { count: flags & 0x1f, packet_type, is_padded, body }, after))
    }

    /// `None` where it is not what its type says.
    fn packet(&self) -> Option<Packet<'a>> {
        Packet::parse(self.packet_type, self.count, self.body)
    }
}

/// The big-endian word at the start of `bytes`, and what follows.
fn word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*word), rest))
}

const VERSION: u8 = 2;
const PADDING: u8 = 0x20;
/// RFC 5761 §4: what is told from RTP on a port that both share.
const FIRST_TYPE: u8 = 192;
const LAST_TYPE: u8 = 223;

/// Packet types (RFC 3550 §12.1, RFC 3611 §2).
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const APPLICATION: u8 = 204;
const EXTENDED: u8 = 207;
