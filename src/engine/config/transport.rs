//! What packets travel by, and what they look like.

use crate::engine::error::{Error, Result};

/// The transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Datagrams.
    Udp,
    /// A byte stream.
    Tcp,
}

impl Protocol {
    /// `"udp"` or `"tcp"`, in any case.
    pub fn parse(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "udp" => Ok(Self::Udp),
            "tcp" => Ok(Self::Tcp),
            _ => Err(Error::config(format!("protocol must be 'udp' or 'tcp', not {text:?}"))),
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// What a server listens by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transports {
    /// Datagrams.
    Udp,
    /// Byte streams.
    Tcp,
    /// Both, at one port number.
    Both,
}

impl Transports {
    /// `"udp"`, `"tcp"` or `"both"`, in any case.
    pub fn parse(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "udp" => Ok(Self::Udp),
            "tcp" => Ok(Self::Tcp),
            "both" => Ok(Self::Both),
            _ => Err(Error::config(format!("protocol must be 'udp', 'tcp' or 'both', not {text:?}"))),
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Both => "both",
        }
    }

    /// Whether that is among them.
    pub fn has(self, protocol: Protocol) -> bool {
        self == Self::Both || self == Self::from(protocol)
    }
}

impl From<Protocol> for Transports {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Udp => Self::Udp,
            Protocol::Tcp => Self::Tcp,
        }
    }
}

/// The packet format of one sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// RTP (RFC 3550) with L16 payload (RFC 3551); framed by RFC 4571 on TCP.
    Rtp,
    /// The original's: a 2-byte little-endian sequence number, then PCM; unframed on TCP.
    Classic,
}

impl Wire {
    /// `"rtp"` or `"classic"`; `"auto"` is `None`.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        match text.to_ascii_lowercase().as_str() {
            "rtp" => Ok(Some(Self::Rtp)),
            "classic" => Ok(Some(Self::Classic)),
            "auto" => Ok(None),
            _ => {
                Err(Error::config(format!("wire must be 'rtp', 'classic' or (server) 'auto', not {text:?}")))
            }
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rtp => "rtp",
            Self::Classic => "classic",
        }
    }
}
