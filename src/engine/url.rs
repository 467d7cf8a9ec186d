//! `rtp://` URLs, as ffmpeg and VLC write them.

use super::error::{Error, Result};

/// A place that sound goes to or is heard at: `rtp://HOST:PORT`, `rtp://@:PORT`, `rtp://@GROUP:PORT?ttl=4`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RtpUrl {
    /// A name, an address or a multicast group; `None` where there is nothing but a port.
    pub host: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// Hops that a multicast packet may take.
    pub ttl: Option<u8>,
    /// The port to send from.
    pub local_port: Option<u16>,
}

impl RtpUrl {
    /// Reads a URL; `None` where `text` is none, but a mere name or address.
    pub fn find(text: &str) -> Result<Option<Self>> {
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(None) };
        let wrong = |what: &str| Error::config(format!("{text}: {what}"));
        if !scheme.eq_ignore_ascii_case("rtp") {
            return Err(wrong(
                "only rtp:// URLs are understood, as in rtp://192.0.2.7:5004 or rtp://@239.1.2.3:5004",
            ));
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let place = place.strip_suffix('/').unwrap_or(place);
        // An '@' may stand before what is listened at; before it, VLC has the one sender to be heard.
        let place = match place.split_once('@') {
            Some(("", place)) => place,
            Some((sender, _)) => {
                return Err(wrong(&format!("one sender of a group cannot be chosen: leave out '{sender}'")));
            }
            None => place,
        };
        let (host, port) = split(place).ok_or_else(|| {
            wrong("expected rtp://HOST:PORT, an IPv6 address in brackets, as in rtp://[2001:db8::7]:5004")
        })?;
        let port = match port {
            Some(port) => Some(port.parse().map_err(|_| wrong("the port must be 0 to 65535"))?),
            None => None,
        };
        let mut url = Self {
            host: Some(host).filter(|host| !host.is_empty()).map(Into::into),
            port,
            ..Self::default()
        };
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            match name {
                "ttl" => url.ttl = Some(value.parse().map_err(|_| wrong("ttl must be 0 to 255"))?),
                "localport" | "localrtpport" => {
                    let port = value.parse().map_err(|_| wrong(&format!("{name} must be 0 to 65535")))?;
                    url.local_port = Some(port);
                }
                _ => {
                    return Err(wrong(&format!(
                        "'{name}' is not known: the options of a URL are ttl and localport"
                    )));
                }
            }
        }
        Ok(Some(url))
    }
}

/// Host, without its brackets, and port; `None` where it is not clear which is which.
fn split(place: &str) -> Option<(&str, Option<&str>)> {
    if let Some(bracketed) = place.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    let (host, port) = place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port)));
    let is_plain = !host.contains(['/', '#', ']', ' ']) && !port.is_some_and(|port| port.contains(':'));
    is_plain.then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(host: &str, port: u16) -> RtpUrl {
        RtpUrl { host: Some(host.into()), port: Some(port), ..RtpUrl::default() }
    }

    #[test]
    fn urls_are_read_as_ffmpeg_and_vlc_write_them() {
        let nowhere = RtpUrl { port: Some(5004), ..RtpUrl::default() };
        for (text, expected) in [
            ("rtp://192.0.2.7:5004", url("192.0.2.7", 5004)),
            ("RTP://studio.local:5004/", url("studio.local", 5004)),
            ("rtp://@:5004", nowhere.clone()),
            ("rtp://:5004", nowhere),
            ("rtp://@239.1.2.3:5004", url("239.1.2.3", 5004)),
            ("rtp://[ff15::101]:5004", url("ff15::101", 5004)),
            ("rtp://@[::1]", RtpUrl { port: None, ..url("::1", 0) }),
            ("rtp://239.1.2.3", RtpUrl { port: None, ..url("239.1.2.3", 0) }),
            (
                "rtp://239.1.2.3:5004?ttl=4&localport=6000",
                RtpUrl { ttl: Some(4), local_port: Some(6000), ..url("239.1.2.3", 5004) },
            ),
        ] {
            assert_eq!(RtpUrl::find(text), Ok(Some(expected)), "{text}");
        }
    }

    #[test]
    fn names_and_addresses_are_no_urls() {
        for text in ["", "localhost", "192.0.2.7", "2001:db8::7", "[::1]", "studio.local:5004"] {
            assert_eq!(RtpUrl::find(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said() {
        for (text, what) in [
            ("rtsp://camera/stream", "only rtp://"),
            ("://", "only rtp://"),
            ("rtp://192.0.2.1@239.1.2.3:5004", "leave out '192.0.2.1'"),
            ("rtp://2001:db8::7:5004", "in brackets"),
            ("rtp://[::1", "in brackets"),
            ("rtp://[::1]5004", "in brackets"),
            ("rtp://host/path:5004", "expected rtp://HOST:PORT"),
            ("rtp://host:", "the port must be"),
            ("rtp://host:70000", "the port must be"),
            ("rtp://host:5004?ttl=256", "ttl must be"),
            ("rtp://host:5004?localport=x", "localport must be"),
            ("rtp://host:5004?pkt_size=1200", "'pkt_size' is not known"),
        ] {
            let message = RtpUrl::find(text).unwrap_err().message().to_owned();
            assert!(message.starts_with(text) && message.contains(what), "{message}");
        }
    }
}
