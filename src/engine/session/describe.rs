//! What a client sends, described for those who are to hear it.

use std::net::SocketAddr;
use std::time::Duration;

use super::client::Identity;
use crate::engine::coding::{Coding, Encoding, OPUS, Payload, PayloadTypes, REDUNDANT};
use crate::engine::config::{ClientConfig, Protocol, Redundancy, Wire};
use crate::engine::error::{Error, Result};
use crate::engine::format::Format;
use crate::engine::stream::repeat::{Means, copy_ssrc};
use crate::engine::wire::sdp::{Description, Direction, Origin, Setup, SourceName};

/// The description of a client's stream from `local` to `peer`, in packets of `packet`, under the name of its
/// reports, with what goes twice by `means`. The same for as long as it streams.
pub fn describe(
    config: &ClientConfig,
    identity: Identity,
    cname: &str,
    (local, peer): (SocketAddr, SocketAddr),
    packet: Duration,
    means: Option<Means>,
) -> Result<Description> {
    if config.wire == Wire::Classic {
        return Err(Error::config("the classic wire has no session description: use wire='rtp'"));
    }
    let protocol = config.path.protocol;
    let mut description = Description::new(Some(peer.ip().to_string()), peer.port(), types(config, means));
    description.name = "audiostream".into();
    description.origin = Origin {
        session: u64::from(identity.timestamp) << 16 | u64::from(identity.sequence),
        version: 1,
        address: local.ip().to_string(),
    };
    description.ttl = (peer.is_ipv4() && peer.ip().is_multicast()).then_some(config.path.ttl);
    description.ptime = Some(packet);
    if config.codec == Coding::Opus {
        description.opus.fec = config.fec;
    }
    description.direction = Direction::Receive;
    description.rtcp_mux = true;
    description.transport.protocol = protocol;
    match protocol {
        // For those who know RFC 3605 and not RFC 5761; an odd port is no RTCP port either.
        Protocol::Udp => description.rtcp_port = Some(peer.port()),
        Protocol::Tcp => description.transport.setup = Some(Setup::Passive),
    }
    let ssrc = identity.ssrc;
    let mut name = |ssrc| description.sources.push(SourceName { ssrc, cname: cname.into() });
    name(ssrc);
    let copies = config.redundancy.most_copies();
    match means {
        None => {}
        Some(Means::Blocks) => {
            description.redundant = vec![config.payload_type(); usize::from(copies) + 1];
        }
        Some(Means::Beside) => description.redundant = vec![config.payload_type(), OPUS],
        Some(Means::Streams) => {
            for copy in 1..=copies {
                name(copy_ssrc(ssrc, copy));
                description.duplicates.push((ssrc, copy_ssrc(ssrc, copy)));
            }
            description.duplication_delay = Some(packet * u32::from(config.spacing));
        }
    }
    Ok(description)
}

/// The types that are sent, the likeliest first.
fn types(config: &ClientConfig, means: Option<Means>) -> PayloadTypes {
    let mut types = PayloadTypes::empty();
    let redundant = matches!(means, Some(Means::Blocks | Means::Beside));
    if redundant && config.redundancy != Redundancy::Auto {
        types.set(REDUNDANT, Payload::Redundant);
    }
    types.set(config.payload_type(), Payload::Sound(config.encoding()));
    if means == Some(Means::Beside) {
        let format = Format::opus(config.audio.format.channels());
        types.set(OPUS, Payload::Sound(Encoding { coding: Coding::Opus, format }));
    }
    if redundant && config.redundancy == Redundancy::Auto {
        types.set(REDUNDANT, Payload::Redundant);
    }
    types
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Identity = Identity { ssrc: 7, sequence: 8, timestamp: 9 };

    fn described(config: &ClientConfig, peer: &str) -> Result<Description> {
        repeated(config, peer, None)
    }

    fn repeated(config: &ClientConfig, peer: &str, means: Option<Means>) -> Result<Description> {
        let ends = ("192.0.2.1:40000".parse().unwrap(), peer.parse().unwrap());
        describe(config, IDENTITY, "me@here", ends, Duration::from_millis(10), means)
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
    fn opus_has_its_parameters() {
        let mut config = ClientConfig { codec: Coding::Opus, ..ClientConfig::default() };
        config.audio.format = Format::STEREO;
        let text = described(&config, "127.0.0.1:1").unwrap().write();
        assert!(text.contains("m=audio 1 RTP/AVP 111\r\na=rtpmap:111 opus/48000/2\r\n"));
        assert!(text.contains("a=fmtp:111 sprop-stereo=1;useinbandfec=1\r\n"));
    }

    #[test]
    fn blocks_have_a_type_of_their_own_and_say_what_is_in_them() {
        let text =
            |config: &ClientConfig, means| repeated(config, "127.0.0.1:1", Some(means)).unwrap().write();
        let redundancy = Redundancy::Copies(1);
        let opus = ClientConfig { codec: Coding::Opus, redundancy, ..ClientConfig::default() };
        let told = text(&opus, Means::Blocks);
        assert!(
            told.contains("m=audio 1 RTP/AVP 116 111\r\na=rtpmap:116 red/48000/2\r\na=fmtp:116 111/111\r\n")
        );
        let auto = ClientConfig { redundancy: Redundancy::Auto, ..opus };
        let told = text(&auto, Means::Blocks);
        assert!(told.contains("RTP/AVP 111 116\r\n") && told.contains("a=fmtp:116 111/111/111\r\n"));
        let beside = ClientConfig { redundancy: Redundancy::Opus, ..ClientConfig::default() };
        let told = text(&beside, Means::Beside);
        assert!(told.contains("RTP/AVP 116 11 111\r\na=rtpmap:116 red/44100/1\r\na=fmtp:116 11/111\r\n"));
        assert!(told.contains("a=rtpmap:111 opus/48000/2\r\n"));
        assert_eq!(Description::parse(&told).unwrap().first_sound().map(|(first, _)| first), Some(11));
    }

    #[test]
    fn streams_of_copies_are_named_with_their_delay() {
        let redundancy = Redundancy::Copies(2);
        let config = ClientConfig { redundancy, spacing: 3, ..ClientConfig::default() };
        let text = repeated(&config, "127.0.0.1:1", Some(Means::Streams)).unwrap().write();
        assert!(text.contains("RTP/AVP 11\r\n"));
        assert!(text.contains("a=ssrc:7 cname:me@here\r\na=ssrc:4294967288 cname:me@here\r\n"));
        assert!(text.contains("a=ssrc:4294967287 cname:me@here\r\n"));
        assert!(text.contains("a=ssrc-group:DUP 7 4294967288\r\na=ssrc-group:DUP 7 4294967287\r\n"));
        assert!(text.contains("a=duplication-delay:30\r\n"));
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
