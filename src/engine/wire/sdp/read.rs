//! Text to a description.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Description, Direction, OpusParameters, Setup, SourceName, Transport};
use crate::engine::coding::{Coding, DYNAMIC, Encoding, Payload, PayloadTypes};
use crate::engine::config::Protocol;
use crate::engine::error::{Error, Result};
use crate::engine::format::Format;
use crate::engine::printable::printable;

impl Description {
    /// Reads the first audio that can be played. Where there is none, the error says why the first audio is none.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = lines(text)?;
        let starts: Vec<usize> = (0..lines.len()).filter(|&i| lines[i].kind == b'm').collect();
        let head = starts.first().map_or(&lines[..], |&first| &lines[..first]);
        let session = read_session(head)?;
        let mut why = None;
        for (i, &start) in starts.iter().enumerate() {
            let end = starts.get(i + 1).map_or(lines.len(), |&next| next);
            let (opening, rest) = (lines[start], &lines[start + 1..end]);
            if !opening.value.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("audio"))
            {
                continue;
            }
            match read_media(session.clone(), opening, rest) {
                Ok(description) => return Ok(description),
                Err(error) => why = why.or(Some(error)),
            }
        }
        Err(why.unwrap_or_else(|| {
            Error::config(
                "sdp: it describes no audio: expected a line such as 'm=audio 5004 RTP/AVP 11' in the text, or in the file that sdp= names",
            )
        }))
    }
}

/// `k=value`, spaces around it taken away.
#[derive(Clone, Copy)]
struct Line<'a> {
    number: usize,
    kind: u8,
    value: &'a str,
}

impl Line<'_> {
    fn expected(&self, what: &str) -> Error {
        let Self { number, kind, value } = self;
        let shown: String = value.chars().take(SHOWN).collect();
        Error::config(format!(
            "sdp line {number}: expected {what}, not {:?}",
            format!("{}={shown}", *kind as char)
        ))
    }
}

fn lines(text: &str) -> Result<Vec<Line<'_>>> {
    if text.len() > MOST_BYTES {
        return Err(Error::config(format!("sdp: {} bytes are too many: {MOST_BYTES} at most", text.len())));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let Some((kind, value)) = line.trim().split_once('=') else { continue };
        let &[kind] = kind.as_bytes() else { continue };
        if lines.len() == MOST_LINES {
            return Err(Error::config(format!("sdp line {}: too many lines: {MOST_LINES} at most", i + 1)));
        }
        lines.push(Line { number: i + 1, kind, value: value.trim() });
    }
    Ok(lines)
}

fn read_session(lines: &[Line]) -> Result<Description> {
    let mut session = Description::new(None, 0, PayloadTypes::empty());
    for line in lines {
        match line.kind {
            b'v' if line.value != "0" => return Err(line.expected("'v=0', the version that RFC 8866 is")),
            b'o' => read_origin(&mut session, line.value),
            b's' => {
                let name = kept(line.value, MOST_TEXT);
                if !name.is_empty() {
                    session.name = name;
                }
            }
            b'c' => read_connection(&mut session, line)?,
            b'a' => read_attribute(&mut session, line.value),
            _ => {}
        }
    }
    Ok(session)
}

/// `session` with what one `m=audio` adds.
fn read_media<'a>(session: Description, opening: Line<'a>, lines: &[Line<'a>]) -> Result<Description> {
    let mut media = session;
    let offered = read_opening(&mut media, opening)?;
    let mut maps: Vec<(u8, RtpMap)> = Vec::new();
    let mut parameters: Vec<(u8, &str)> = Vec::new();
    for line in lines {
        match line.kind {
            b'c' => read_connection(&mut media, line)?,
            b'b' => {
                if let Some(Ok(kilobits)) = line.value.strip_prefix("AS:").map(str::parse) {
                    media.bandwidth = Some(kilobits);
                }
            }
            b'a' => match line.value.split_once(':') {
                Some(("rtpmap", value)) => {
                    let map = RtpMap::parse(value);
                    maps.push(map.ok_or_else(|| line.expected("'a=rtpmap:TYPE NAME/RATE[/CHANNELS]'"))?);
                }
                Some(("fmtp", value)) => parameters.extend(numbered(value)),
                Some(("ssrc", value)) => read_source(&mut media, value),
                Some(("ssrc-group", value)) => read_duplicates(&mut media, value),
                Some(("crypto", value)) => {
                    if media.crypto.len() < MOST_KEYS {
                        media.crypto.push(kept(value, MOST_KEY_TEXT));
                    }
                }
                _ => read_attribute(&mut media, line.value),
            },
            _ => {}
        }
    }
    let of =
        |payload_type: u8| parameters.iter().find(|(of, _)| *of == payload_type).map_or("", |(_, text)| text);
    let (mut opus, mut redundant) = (None, None);
    for &payload_type in &offered {
        let map = maps.iter().find(|(of, _)| *of == payload_type).map(|(_, map)| *map);
        let Some(payload) = payload(payload_type, map, of(payload_type)) else { continue };
        media.types.set(payload_type, payload);
        match payload {
            Payload::Redundant => {
                redundant.get_or_insert_with(|| read_blocks(of(payload_type)));
            }
            Payload::Sound(Encoding { coding: Coding::Opus, .. }) => {
                opus.get_or_insert_with(|| OpusParameters::parse(of(payload_type)));
            }
            Payload::Sound(_) | Payload::Events(_) | Payload::Comfort(_) => {}
        }
    }
    media.opus = opus.unwrap_or_default();
    media.redundant = redundant.unwrap_or_default();
    if media.first_sound().is_none() {
        return Err(opening.expected(&format!(
            "an audio payload type that can be played (L16, L24, PCMU, PCMA or opus, 1 or 2 channels; the a=rtpmap of types from {DYNAMIC} on says what they are)"
        )));
    }
    Ok(media)
}

/// `audio PORT[/COUNT] PROTOCOL TYPE…`: the types, each once, in their order.
fn read_opening(media: &mut Description, line: Line) -> Result<Vec<u8>> {
    let mut words = line.value.split_whitespace().skip(1);
    let port = words.next().and_then(|word| word.split('/').next()?.parse().ok());
    media.port = match port {
        Some(0) => return Err(line.expected("a port above 0: with port 0 the audio is refused")),
        Some(port) => port,
        None => return Err(line.expected("'m=audio PORT PROTOCOL TYPES'")),
    };
    let protocol = words.next().unwrap_or_default().to_ascii_uppercase();
    let setup = media.transport.setup;
    media.transport = transport(&protocol).map_err(|what| line.expected(what))?;
    media.transport.setup = setup;
    let mut offered = Vec::new();
    for payload_type in words.filter_map(|word| word.parse::<u8>().ok()) {
        if payload_type < 128 && !offered.contains(&payload_type) {
            offered.push(payload_type);
        }
    }
    Ok(offered)
}

fn transport(name: &str) -> std::result::Result<Transport, &'static str> {
    if name.contains("TLS/RTP/") {
        return Err("RTP/AVP: the keys of DTLS are agreed on the way, no description has them");
    }
    let (protocol, profile) = match name.strip_prefix("TCP/") {
        Some(profile) => (Protocol::Tcp, profile),
        None => (Protocol::Udp, name),
    };
    let (feedback, secure) = match profile {
        "RTP/AVP" => (false, false),
        "RTP/AVPF" => (true, false),
        "RTP/SAVP" => (false, true),
        "RTP/SAVPF" => (true, true),
        _ => return Err("the protocol RTP/AVP, RTP/AVPF, RTP/SAVP or RTP/SAVPF, or one of them after TCP/"),
    };
    Ok(Transport { protocol, feedback, secure, setup: None })
}

/// `IN IP4 ADDRESS[/TTL[/COUNT]]`, `IN IP6 ADDRESS[/COUNT]` (RFC 8866 §5.7).
fn read_connection(into: &mut Description, line: &Line) -> Result<()> {
    let wrong = || line.expected("'c=IN IP4 ADDRESS[/TTL]' or 'c=IN IP6 ADDRESS'");
    let words: Vec<&str> = line.value.split_whitespace().take(4).collect();
    let &[net, family, address] = &words[..] else { return Err(wrong()) };
    if !net.eq_ignore_ascii_case("IN") || !["IP4", "IP6"].iter().any(|ip| ip.eq_ignore_ascii_case(family)) {
        return Err(wrong());
    }
    let mut parts = address.split('/');
    let host = parts.next().filter(|host| is_host(host)).ok_or_else(wrong)?;
    into.ttl = match parts.next() {
        Some(ttl) if !host.contains(':') => Some(ttl.parse().map_err(|_| wrong())?),
        _ => None,
    };
    into.address = Some(host.into());
    Ok(())
}

fn read_origin(session: &mut Description, value: &str) {
    let words: Vec<&str> = value.split_whitespace().take(6).collect();
    if let &[_, number, version, _, _, address] = &words[..] {
        session.origin.session = number.parse().unwrap_or(0);
        session.origin.version = version.parse().unwrap_or(0);
        if is_host(address) {
            session.origin.address = address.into();
        }
    }
}

/// What may stand in a session, for all its media, or in one of them.
fn read_attribute(into: &mut Description, attribute: &str) {
    let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
    let value = value.trim();
    match name {
        "sendrecv" => into.direction = Direction::Both,
        "sendonly" => into.direction = Direction::Send,
        "recvonly" => into.direction = Direction::Receive,
        "inactive" => into.direction = Direction::Inactive,
        "setup" => into.transport.setup = Setup::parse(value).or(into.transport.setup),
        "ptime" => into.ptime = milliseconds(value).or(into.ptime),
        "maxptime" => into.max_ptime = milliseconds(value).or(into.max_ptime),
        "rtcp-mux" => into.rtcp_mux = true,
        "rtcp" => {
            let port = value.split_whitespace().next().and_then(|port| port.parse().ok());
            into.rtcp_port = port.filter(|&port| port != 0).or(into.rtcp_port);
        }
        "duplication-delay" => {
            let first = value.split_whitespace().next().and_then(milliseconds);
            into.duplication_delay = first.or(into.duplication_delay);
        }
        _ => {}
    }
}

/// `SSRC cname:NAME`; other attributes of a source are passed over.
fn read_source(media: &mut Description, value: &str) {
    let Some((ssrc, attribute)) = value.split_once(' ') else { return };
    let (Ok(ssrc), Some(cname)) = (ssrc.parse(), attribute.trim().strip_prefix("cname:")) else { return };
    let cname = kept(cname, MOST_TEXT);
    if !cname.is_empty() && media.sources.len() < MOST_SOURCES {
        media.sources.push(SourceName { ssrc, cname });
    }
}

/// `DUP SSRC SSRC…`: the first, and copies of it.
fn read_duplicates(media: &mut Description, value: &str) {
    let mut words = value.split_whitespace();
    if words.next() != Some("DUP") {
        return;
    }
    let mut numbers = words.map_while(|word| word.parse::<u32>().ok());
    if let Some(first) = numbers.next() {
        let room = MOST_SOURCES - media.duplicates.len();
        media.duplicates.extend(numbers.map(|copy| (first, copy)).take(room));
    }
}

/// `TYPE/TYPE…` (RFC 2198 §5); none where one of them is no type.
fn read_blocks(value: &str) -> Vec<u8> {
    let types =
        value.trim().split('/').take(MOST_BLOCKS).map(|word| word.trim().parse().ok().filter(|&t| t < 128));
    types.collect::<Option<_>>().unwrap_or_default()
}

/// `NAME/RATE[/CHANNELS]`.
#[derive(Clone, Copy)]
struct RtpMap<'a> {
    name: &'a str,
    rate: u32,
    channels: Option<u16>,
}

impl<'a> RtpMap<'a> {
    fn parse(value: &'a str) -> Option<(u8, Self)> {
        let (payload_type, map) = numbered(value)?;
        let mut parts = map.split('/').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let rate = parts.next()?.parse().ok()?;
        // What stands there need not be channels where it is not audio that we know.
        let channels = parts.next().and_then(|channels| channels.parse().ok());
        Some((payload_type, Self { name, rate, channels }))
    }
}

/// What a type carries; `None` where it cannot be played.
fn payload(payload_type: u8, map: Option<RtpMap>, parameters: &str) -> Option<Payload> {
    let Some(RtpMap { name, rate, channels }) = map else {
        let fixed = PayloadTypes::new(Format::DEFAULT);
        return (payload_type < DYNAMIC).then(|| fixed.get(payload_type)).flatten();
    };
    if name.eq_ignore_ascii_case("red") {
        return Some(Payload::Redundant);
    }
    if !RATES.contains(&rate) {
        return None;
    }
    if name.eq_ignore_ascii_case("telephone-event") {
        return Some(Payload::Events(rate));
    }
    if name.eq_ignore_ascii_case("CN") {
        return Some(Payload::Comfort(rate));
    }
    let coding = Coding::parse(name).ok()?;
    let format = match coding {
        // Its map always says 2 channels (RFC 7587 §7); the sender says what it sends.
        Coding::Opus if rate == 48_000 => {
            let stereo = parameter(parameters, "sprop-stereo").or_else(|| parameter(parameters, "stereo"));
            Format::opus(if stereo == Some("1") { 2 } else { 1 })
        }
        Coding::Opus => return None,
        _ => Format::new(rate, channels.unwrap_or(1)).ok()?,
    };
    Some(Payload::Sound(Encoding { coding, format }))
}

impl OpusParameters {
    fn parse(text: &str) -> Self {
        let number = |name| parameter(text, name).and_then(|value| value.parse().ok());
        let flag = |name| parameter(text, name) == Some("1");
        Self {
            max_playback_rate: number("maxplaybackrate"),
            max_average_bitrate: number("maxaveragebitrate"),
            stereo: flag("stereo"),
            fec: flag("useinbandfec"),
            dtx: flag("usedtx"),
        }
    }
}

impl Setup {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "active" => Self::Active,
            "passive" => Self::Passive,
            "actpass" => Self::Either,
            "holdconn" => Self::Hold,
            _ => return None,
        })
    }
}

/// The value of `name` in `a=1; b=2`.
fn parameter<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = text.split(';').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// `TYPE REST`.
fn numbered(value: &str) -> Option<(u8, &str)> {
    let (number, rest) = value.trim().split_once([' ', '\t'])?;
    let payload_type = number.parse().ok().filter(|&payload_type| payload_type < 128)?;
    Some((payload_type, rest.trim()))
}

/// Above 0 and at most [`LONGEST_MS`], to the microsecond.
fn milliseconds(text: &str) -> Option<Duration> {
    let us = (text.parse::<f64>().ok().filter(|ms| (0.0..=LONGEST_MS).contains(ms))? * 1e3).round();
    (us >= 1.0).then(|| Duration::from_micros(us as u64))
}

fn is_host(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b':' | b'_' | b'%');
    !text.is_empty() && text.len() <= MOST_TEXT && text.bytes().all(allowed)
}

/// Text that is kept and may be written again: one line of bounded length.
fn kept(text: &str, most: usize) -> String {
    let plain: String = printable(text).chars().take(most).collect();
    plain.trim().into()
}

/// Ticks a second that a timestamp may have.
const RATES: RangeInclusive<u32> = 1..=768_000;
const MOST_BYTES: usize = 64 * 1024;
const MOST_LINES: usize = 2_000;
const MOST_TEXT: usize = 255;
const MOST_SOURCES: usize = 32;
const MOST_BLOCKS: usize = 32;
const MOST_KEYS: usize = 16;
const MOST_KEY_TEXT: usize = 1_000;
const LONGEST_MS: f64 = 60_000.0;
/// Characters of a line that an error repeats.
const SHOWN: usize = 60;
