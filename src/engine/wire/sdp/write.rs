//! A description to text.

use std::fmt::{self, Write};
use std::time::Duration;

use super::{Description, Direction, OpusParameters, Setup, Transport};
use crate::engine::coding::{Coding, Encoding, Payload};
use crate::engine::config::Protocol;

impl Description {
    /// The text, in the order of RFC 8866 §5 and with its line ends. What [`parse`](Self::parse) has read reads back the same.
    pub fn write(&self) -> String {
        let mut text = String::new();
        // A String takes whatever is written to it.
        let _ = self.session(&mut text).and_then(|()| self.media(&mut text));
        text
    }

    fn session(&self, out: &mut String) -> fmt::Result {
        let origin = &self.origin;
        write!(out, "v=0\r\no=- {} {} ", origin.session, origin.version)?;
        write!(out, "IN {} {}\r\ns={}\r\n", family(&origin.address), origin.address, self.name)?;
        if let Some(address) = &self.address {
            write!(out, "c=IN {} {address}", family(address))?;
            if let Some(ttl) = self.ttl {
                write!(out, "/{ttl}")?;
            }
            write!(out, "\r\n")?;
        }
        write!(out, "t=0 0\r\n")
    }

    fn media(&self, out: &mut String) -> fmt::Result {
        write!(out, "m=audio {} {}", self.port, self.transport.name())?;
        self.types.iter().try_for_each(|(payload_type, _)| write!(out, " {payload_type}"))?;
        write!(out, "\r\n")?;
        if let Some(kilobits) = self.bandwidth {
            write!(out, "b=AS:{kilobits}\r\n")?;
        }
        self.maps(out)?;
        for (name, time) in [("ptime", self.ptime), ("maxptime", self.max_ptime)] {
            if let Some(time) = time {
                write!(out, "a={name}:{}\r\n", Milliseconds(time))?;
            }
        }
        match self.direction {
            Direction::Both => {}
            Direction::Send => write!(out, "a=sendonly\r\n")?,
            Direction::Receive => write!(out, "a=recvonly\r\n")?,
            Direction::Inactive => write!(out, "a=inactive\r\n")?,
        }
        if let Some(setup) = self.transport.setup {
            write!(out, "a=setup:{}\r\n", setup.name())?;
        }
        if let Some(port) = self.rtcp_port {
            write!(out, "a=rtcp:{port}\r\n")?;
        }
        if self.rtcp_mux {
            write!(out, "a=rtcp-mux\r\n")?;
        }
        for source in &self.sources {
            write!(out, "a=ssrc:{} cname:{}\r\n", source.ssrc, source.cname)?;
        }
        for (stream, copy) in &self.duplicates {
            write!(out, "a=ssrc-group:DUP {stream} {copy}\r\n")?;
        }
        if let Some(delay) = self.duplication_delay {
            write!(out, "a=duplication-delay:{}\r\n", Milliseconds(delay))?;
        }
        self.crypto.iter().try_for_each(|key| write!(out, "a=crypto:{key}\r\n"))
    }

    /// `a=rtpmap` and `a=fmtp` of every type: of the static ones too, for programs that do not know them by heart.
    fn maps(&self, out: &mut String) -> fmt::Result {
        let (mut opus, mut redundant) = (Some(self.opus), Some(&self.redundant));
        for (payload_type, payload) in self.types.iter() {
            match payload {
                Payload::Sound(encoding) => {
                    write!(out, "a=rtpmap:{payload_type} {}\r\n", Map("", encoding))?;
                    if encoding.coding == Coding::Opus {
                        let stereo = u8::from(encoding.format.channels() == 2);
                        write!(out, "a=fmtp:{payload_type} sprop-stereo={stereo}")?;
                        opus.take().map_or(Ok(()), |opus| opus.write(out))?;
                        write!(out, "\r\n")?;
                    }
                }
                Payload::Events(rate) => {
                    write!(out, "a=rtpmap:{payload_type} telephone-event/{rate}\r\n")?;
                }
                Payload::Comfort(rate) => write!(out, "a=rtpmap:{payload_type} CN/{rate}\r\n")?,
                Payload::Redundant => {
                    let of = self.redundant.iter().find_map(|&block| self.types.sound(block));
                    let of = of.or(self.first_sound().map(|(_, encoding)| encoding)).unwrap_or_default();
                    write!(out, "a=rtpmap:{payload_type} {}\r\n", Map("red", of))?;
                    if let Some([first, rest @ ..]) = redundant.take().map(Vec::as_slice) {
                        write!(out, "a=fmtp:{payload_type} {first}")?;
                        rest.iter().try_for_each(|block| write!(out, "/{block}"))?;
                        write!(out, "\r\n")?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// `NAME/RATE/CHANNELS`, under the coding's own name where none is given.
struct Map(&'static str, Encoding);

impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Self(name, Encoding { coding, format }) = self;
        let name = if name.is_empty() { coding.sdp_name() } else { name };
        // RFC 7587 §7: Opus says 2, whatever it carries.
        let channels = if coding == Coding::Opus { 2 } else { format.channels() };
        write!(f, "{name}/{}/{channels}", format.rate())
    }
}

impl OpusParameters {
    fn write(self, out: &mut String) -> fmt::Result {
        for (name, number) in
            [("maxplaybackrate", self.max_playback_rate), ("maxaveragebitrate", self.max_average_bitrate)]
        {
            if let Some(number) = number {
                write!(out, ";{name}={number}")?;
            }
        }
        for (name, set) in [("stereo", self.stereo), ("useinbandfec", self.fec), ("usedtx", self.dtx)] {
            if set {
                write!(out, ";{name}=1")?;
            }
        }
        Ok(())
    }
}

impl Transport {
    /// As in the `m=` line.
    pub const fn name(self) -> &'static str {
        match (self.protocol, self.secure, self.feedback) {
            (Protocol::Udp, false, false) => "RTP/AVP",
            (Protocol::Udp, false, true) => "RTP/AVPF",
            (Protocol::Udp, true, false) => "RTP/SAVP",
            (Protocol::Udp, true, true) => "RTP/SAVPF",
            (Protocol::Tcp, false, false) => "TCP/RTP/AVP",
            (Protocol::Tcp, false, true) => "TCP/RTP/AVPF",
            (Protocol::Tcp, true, false) => "TCP/RTP/SAVP",
            (Protocol::Tcp, true, true) => "TCP/RTP/SAVPF",
        }
    }
}

impl Setup {
    const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::Either => "actpass",
            Self::Hold => "holdconn",
        }
    }
}

/// As SDP has them: a fraction only where there is one.
struct Milliseconds(Duration);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = self.0.as_micros();
        let fraction = format!("{:03}", us % 1000);
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{}", us / 1000),
            fraction => write!(f, "{}.{fraction}", us / 1000),
        }
    }
}

fn family(address: &str) -> &'static str {
    if address.contains(':') { "IP6" } else { "IP4" }
}
