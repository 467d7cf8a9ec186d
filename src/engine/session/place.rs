//! Where a client sends and a server listens: what arguments, an `rtp://` URL and a session description say, made one.

use std::fmt::Display;
use std::fs::File;
use std::io::Read;

use crate::engine::coding::{Coding, Encoding, Payload, PayloadTypes};
use crate::engine::config::{ClientConfig, DEFAULT_PORT, Path, Protocol, Transports, Wire};
use crate::engine::error::{Error, Result};
use crate::engine::format::Format;
use crate::engine::key::Key;
use crate::engine::url::RtpUrl;
use crate::engine::wire::sdp::{Description, Setup};

/// What a server has been told; `None` where nothing, and then a URL, a description or the default is asked, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The transport.
    pub protocol: Option<Transports>,
    /// The address or the group to listen on, or an `rtp://` URL.
    pub bind: Option<String>,
    /// The port to listen on.
    pub port: Option<u16>,
    /// The packet format.
    pub wire: Option<Wire>,
    /// The output's frames a second.
    pub rate: Option<u32>,
    /// The output's channels.
    pub channels: Option<u16>,
    /// The key that the sound is sealed with.
    pub key: Option<Key>,
    /// The key to take where neither this nor a description has one.
    pub spare_key: Option<Key>,
}

/// Where a server listens, and what it is to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    /// The transport.
    pub protocol: Transports,
    /// The address or the group; `None` is every interface.
    pub bind: Option<String>,
    /// The port.
    pub port: u16,
    /// The packet format; `None` finds it out.
    pub wire: Option<Wire>,
    /// The output's.
    pub format: Format,
    /// What RTP's payload types stand for.
    pub payloads: PayloadTypes,
    /// The key that the sound is sealed with; `None` hears plain sound.
    pub key: Option<Key>,
}

impl Listening {
    /// Makes one of all that is known. A URL and an argument must not differ; a description gives way to both, but not
    /// its transport and wire. Of its address only a group is taken: any other may be ours as others see it.
    pub fn new(told: Told, description: Option<&Description>) -> Result<Self> {
        let url = told.bind.as_deref().map(RtpUrl::find).transpose()?.flatten();
        if let Some(RtpUrl { local_port: Some(_), .. }) = url {
            return Err(Error::config("localport is where a client sends from: a server's URL has none"));
        }
        if told.wire == Some(Wire::Classic) && (url.is_some() || description.is_some()) {
            return Err(Error::config("wire='classic' has no URL and no sdp: those are of RTP"));
        }
        let wire = told.wire.or_else(|| url.is_some().then_some(Wire::Rtp));
        let wire = wire.or_else(|| description.map(|_| Wire::Rtp));
        let (bind, port) = match url {
            Some(url) => (url.host, agreed("port", url.port, told.port)?),
            None => (told.bind, told.port),
        };
        let Some(description) = description else {
            let format = format(told.rate, told.channels, Format::DEFAULT)?;
            let protocol = told.protocol.unwrap_or(Transports::Udp);
            let payloads = PayloadTypes::new(format);
            let (port, key) = (port.unwrap_or(DEFAULT_PORT), told.key.or(told.spare_key));
            return Ok(Self { protocol, bind, port, wire, format, payloads, key });
        };
        let protocol = description.transport.protocol;
        if told.protocol.is_some_and(|told| !told.has(protocol)) {
            let (name, transport) = (protocol.name(), description.transport.name());
            return Err(Error::config(format!(
                "the sdp is of {transport}: protocol must be '{name}', or left out"
            )));
        }
        // Who connects to us has no port of its own (RFC 4145 §4.1).
        let connects = description.transport.setup == Some(Setup::Active);
        let offered = Some(description.port).filter(|_| !connects || protocol == Protocol::Udp);
        let group = description.group().filter(|_| protocol == Protocol::Udp);
        let sound = description.first_sound().map_or(Format::DEFAULT, |(_, encoding)| encoding.format);
        Ok(Self {
            protocol: told.protocol.unwrap_or(protocol.into()),
            bind: bind.or_else(|| group.map(|group| group.to_string())),
            port: port.or(offered).unwrap_or(DEFAULT_PORT),
            wire,
            format: format(told.rate, told.channels, sound)?,
            payloads: heard(&description.types, told.channels),
            key: key(told.key, told.spare_key, description)?,
        })
    }
}

/// The config with its path as an `rtp://` URL in `host` says, if there is one. What an argument says besides must be
/// the same, or its default.
pub fn destination(mut config: ClientConfig) -> Result<ClientConfig> {
    let Some(url) = RtpUrl::find(&config.path.host)? else { return Ok(config) };
    if config.wire == Wire::Classic {
        return Err(Error::config("rtp:// is of the rtp wire: give wire='classic' a host and a port"));
    }
    let Some(host) = url.host else {
        return Err(Error::config(format!(
            "{} names nobody to send to: expected rtp://HOST:PORT",
            config.path.host
        )));
    };
    let (path, default) = (&mut config.path, Path::default());
    path.host = host;
    path.port = unlike(path.port, default.port, "port", url.port)?;
    path.ttl = unlike(path.ttl, default.ttl, "ttl", url.ttl)?;
    path.local_port = unlike(path.local_port, default.local_port, "local_port", url.local_port)?;
    Ok(config)
}

/// Reads a description: the text itself, or the file of that name.
pub fn description(sdp: &str) -> Result<Description> {
    if sdp.contains('\n') || sdp.trim_start().starts_with("v=") {
        return Description::parse(sdp);
    }
    let failed = |why: &dyn Display| Error::config(format!("sdp: cannot read {sdp:?}: {why}"));
    let mut bytes = Vec::new();
    let file = File::open(sdp).map_err(|e| failed(&e).with_errno(&e))?;
    file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(|e| failed(&e).with_errno(&e))?;
    Description::parse(&String::from_utf8_lossy(&bytes))
        .map_err(|error| Error::config(format!("{sdp}: {}", error.message())))
}

/// The key that was told, else the description's, else the spare one. ffmpeg describes sealed sound as `RTP/AVP` too, so that
/// the key alone decides.
fn key(told: Option<Key>, spare: Option<Key>, description: &Description) -> Result<Option<Key>> {
    if told.is_some() {
        return Ok(told);
    }
    let key = description.key()?.or(spare);
    if key.is_none() && description.transport.secure {
        return Err(Error::config(
            "the sdp is of encrypted sound (RTP/SAVP) and holds no key: give the key it is sealed with (key=, key_file=)",
        ));
    }
    Ok(key)
}

fn format(rate: Option<u32>, channels: Option<u16>, otherwise: Format) -> Result<Format> {
    Format::new(rate.unwrap_or(otherwise.rate()), channels.unwrap_or(otherwise.channels() as u16))
}

/// The described types, Opus decoded to the channels that are wanted, and the static ones: a sender may use those besides.
fn heard(described: &PayloadTypes, channels: Option<u16>) -> PayloadTypes {
    let mut types = PayloadTypes::fixed();
    for (payload_type, payload) in described.iter() {
        let payload = match (payload, channels) {
            (Payload::Sound(Encoding { coding: Coding::Opus, .. }), Some(channels)) => {
                Payload::Sound(Encoding { coding: Coding::Opus, format: Format::opus(usize::from(channels)) })
            }
            _ => payload,
        };
        types.set(payload_type, payload);
    }
    types
}

fn unlike<T: Copy + PartialEq + Display>(given: T, default: T, name: &str, url: Option<T>) -> Result<T> {
    Ok(agreed(name, url, Some(given).filter(|&given| given != default))?.unwrap_or(default))
}

fn agreed<T: Copy + PartialEq + Display>(name: &str, url: Option<T>, given: Option<T>) -> Result<Option<T>> {
    match (url, given) {
        (Some(url), Some(given)) if url != given => {
            Err(Error::config(format!("{name} is {url} in the URL, and {given} beside it: give it once")))
        }
        _ => Ok(url.or(given)),
    }
}

/// One more than may be read, so that what is too long is seen to be.
const MOST_BYTES: u64 = 64 * 1024 + 1;

#[cfg(test)]
mod tests;
