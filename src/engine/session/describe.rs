//! What a client sends, described for those who are to hear it.

use std::net::SocketAddr;
use std::time::Duration;

use super::client::Identity;
use crate::engine::coding::{Coding, DYNAMIC, Encoding, Payload, PayloadTypes};
use crate::engine::config::{ClientConfig, Protocol, Wire};
use crate::engine::error::{Error, Result};
use crate::engine::wire::sdp::{Description, Direction, Origin, Setup, SourceName};

/// The description of a client's stream from `local` to `peer`, in packets of `packet`, under the name of its reports. The same for as long as it streams.
pub fn describe(
    config: &ClientConfig,
    identity: Identity,
    cname: &str,
    (local, peer): (SocketAddr, SocketAddr),
    packet: Duration,
) -> Result<Description> {
    if config.wire == Wire::Classic {
        return Err(Error::config("the classic wire has no session description: use wire='rtp'"));
    }
    let protocol = config.path.protocol;
    let mut description = Description::new(Some(peer.ip().to_string()), peer.port(), types(config));
    description.name = "audiostream".into();
    description.origin = Origin {
        session: u64::from(identity.timestamp) << 16 | u64::from(identity.sequence),
        version: 1,
        address: local.ip().to_string(),
    };
    description.ttl = (peer.is_ipv4() && peer.ip().is_multicast()).then_some(config.path.ttl);
    description.ptime = Some(packet);
    description.direction = Direction::Receive;
    description.rtcp_mux = true;
    description.transport.protocol = protocol;
    match protocol {
        // For those who know RFC 3605 and not RFC 5761; an odd port is no RTCP port either.
        Protocol::Udp => description.rtcp_port = Some(peer.port()),
        Protocol::Tcp => description.transport.setup = Some(Setup::Passive),
    }
    description.sources = vec![SourceName { ssrc: identity.ssrc, cname: cname.into() }];
    Ok(description)
}

/// The one type that is sent.
fn types(config: &ClientConfig) -> PayloadTypes {
    let encoding = Encoding { coding: Coding::L16, format: config.audio.format };
    let payload_type = PayloadTypes::new(encoding.format).type_of(encoding).unwrap_or(DYNAMIC);
    let mut types = PayloadTypes::empty();
    types.set(payload_type, Payload::Sound(encoding));
    types
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::format::Format;

    const IDENTITY: Identity = Identity { ssrc: 7, sequence: 8, timestamp: 9 };

    fn described(config: &ClientConfig, peer: &str) -> Result<Description> {
        let ends = ("192.0.2.1:40000".parse().unwrap(), peer.parse().unwrap());
        describe(config, IDENTITY, "me@here", ends, Duration::from_millis(10))
    }

    #[test]
    fn the_default_stream_is_described_so_that_it_needs_no_more() {
        let text = described(&ClientConfig::default(), "192.0.2.7:12345").unwrap().write();
        assert_eq!(
            text.replace("\r\n", "\n"),
            "v=0\no=- 589832 1 IN IP4 192.0.2.1\ns=audiostream\nc=IN IP4 192.0.2.7\nt=0 0\nm=audio 12345 RTP/AVP 11\na=rtpmap:11 L16/44100/1\na=ptime:10\na=recvonly\na=rtcp:12345\na=rtcp-mux\na=ssrc:7 cname:me@here\n"
        );
    }

    #[test]
    fn other_formats_have_a_dynamic_type_and_a_group_its_ttl() {
        let mut config = ClientConfig::default();
        config.audio.format = Format::new(48_000, 2).unwrap();
        config.path.ttl = 4;
        let d = described(&config, "239.1.2.3:5004").unwrap();
        assert_eq!(
            d.first_sound().map(|(number, encoding)| (number, encoding.format)),
            Some((96, config.audio.format))
        );
        assert_eq!((d.group(), d.ttl), ("239.1.2.3".parse().ok(), Some(4)));
        assert_eq!(described(&config, "[ff15::1]:5004").unwrap().ttl, None);
    }

    #[test]
    fn over_tcp_the_described_end_is_connected_to() {
        let mut config = ClientConfig::default();
        config.path.protocol = Protocol::Tcp;
        let text = described(&config, "[::1]:5004").unwrap().write();
        assert!(text.contains("c=IN IP6 ::1\r\n"));
        assert!(text.contains("m=audio 5004 TCP/RTP/AVP 11\r\n"));
        assert!(text.contains("a=setup:passive\r\n"));
    }

    #[test]
    fn the_classic_wire_has_none() {
        let config = ClientConfig { wire: Wire::Classic, ..ClientConfig::default() };
        assert!(described(&config, "127.0.0.1:1").unwrap_err().message().contains("wire='rtp'"));
    }
}
