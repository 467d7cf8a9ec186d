//! One packet of a compound.

use super::report::{ReportBlocks, SenderInfo};
use super::sdes::Chunks;
use super::xr::ExtendedBlocks;
use super::{APPLICATION, DESCRIPTION, EXTENDED, GOODBYE, RECEIVER_REPORT, SENDER_REPORT, word};

/// A packet, its parts borrowed from the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// From one who sends (§6.4.1).
    SenderReport {
        /// The sender.
        ssrc: u32,
        /// What it has sent.
        info: SenderInfo,
        /// What it has received.
        blocks: ReportBlocks<'a>,
    },
    /// From one who only receives (§6.4.2).
    ReceiverReport {
        /// The receiver.
        ssrc: u32,
        /// What it has received.
        blocks: ReportBlocks<'a>,
    },
    /// Who the sources are (§6.5).
    Description(Chunks<'a>),
    /// Sources that leave (§6.6).
    Goodbye(Goodbye<'a>),
    /// Something that a program made up (§6.7).
    Application {
        /// Who sends it.
        ssrc: u32,
        /// Its name.
        name: [u8; 4],
        /// The rest.
        data: &'a [u8],
    },
    /// Extended reports (RFC 3611).
    Extended {
        /// Who reports.
        ssrc: u32,
        /// The reports.
        blocks: ExtendedBlocks<'a>,
    },
    /// A type that we do not know.
    Other(u8),
}

/// Sources that leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goodbye<'a> {
    sources: &'a [[u8; 4]],
    reason: &'a [u8],
}

impl<'a> Goodbye<'a> {
    /// Their identifiers.
    pub fn sources(self) -> impl Iterator<Item = u32> {
        self.sources.iter().map(|ssrc| u32::from_be_bytes(*ssrc))
    }

    /// Why, as they say, fit for a log; empty where they do not.
    pub fn reason(self) -> String {
        crate::engine::printable::printable_bytes(self.reason)
    }

    fn parse(count: u8, body: &'a [u8]) -> Option<Self> {
        let (sources, rest) = body.split_at_checked(usize::from(count) * 4)?;
        let reason = match rest.split_first() {
            Some((&length, text)) => text.get(..usize::from(length))?,
            None => &[],
        };
        Some(Self { sources: sources.as_chunks().0, reason })
    }
}

impl<'a> Packet<'a> {
    /// `None` where the body is too short for its type and count. Reports may be followed by a profile's own words.
    pub(super) fn parse(packet_type: u8, count: u8, body: &'a [u8]) -> Option<Self> {
        Some(match packet_type {
            SENDER_REPORT => {
                let (ssrc, rest) = word(body)?;
                let (info, rest) = SenderInfo::split(rest)?;
                Self::SenderReport { ssrc, info, blocks: ReportBlocks::parse(count, rest)? }
            }
            RECEIVER_REPORT => {
                let (ssrc, rest) = word(body)?;
                Self::ReceiverReport { ssrc, blocks: ReportBlocks::parse(count, rest)? }
            }
            DESCRIPTION => Self::Description(Chunks::parse(count, body)?),
            GOODBYE => Self::Goodbye(Goodbye::parse(count, body)?),
            APPLICATION => {
                let (ssrc, rest) = word(body)?;
                let (&name, data) = rest.split_first_chunk()?;
                Self::Application { ssrc, name, data }
            }
            EXTENDED => {
                let (ssrc, rest) = word(body)?;
                Self::Extended { ssrc, blocks: ExtendedBlocks::parse(rest)? }
            }
            other => Self::Other(other),
        })
    }
}
