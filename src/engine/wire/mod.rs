//! Bytes to packets and back. Pure, and the first to read what a stranger sent: nothing here panics or grows on any bytes.

pub mod classic;
pub mod content;
pub mod event;
pub mod framing;
mod recognise;
pub mod red;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
pub mod seal;

use std::fmt;

/// Why bytes from the network are not believed. They are counted, and never played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// Too short for the header.
    Short,
    /// Not version 2 of RTP.
    Version,
    /// The contributing sources or the header extension reach past the end.
    Header,
    /// The padding's length is zero, or more than there is.
    Padding,
    /// A payload type, or a control packet, where this source sends none.
    PayloadType,
    /// Another source's identifier.
    Source,
    /// No sound, or not a whole number of frames.
    Frames,
    /// Not a length that a classic packet has.
    Length,
    /// A sequence number or timestamp that has nothing to do with what came before.
    Incoherent,
    /// A frame that is longer than any sound packet.
    FrameLength,
    /// Sequence numbers are not where they should be in the byte stream.
    LostSync,
    /// The connection ended inside a packet.
    Truncated,
    /// Neither RTP nor classic.
    Unrecognised,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "too short for its header",
            Self::Version => "not RTP version 2",
            Self::Header => "its header reaches past its end",
            Self::Padding => "its padding is longer than itself",
            Self::PayloadType => "a payload type that is not expected here",
            Self::Source => "another source's SSRC",
            Self::Frames => "not a whole number of frames",
            Self::Length => "not the length of a classic packet",
            Self::Incoherent => "its sequence number or timestamp follows from nothing",
            Self::FrameLength => "a frame too long for a packet of sound",
            Self::LostSync => "no sequence number where one should be",
            Self::Truncated => "the connection ended inside a packet",
            Self::Unrecognised => "neither RTP nor classic",
        })
    }
}

impl std::error::Error for Malformed {}
