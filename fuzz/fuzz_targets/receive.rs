//! The whole receive path of a server, from datagrams and frames to the sources, with and without a key: whatever comes, what is
//! counted adds up, and nobody who has no key is heard where there is one. With a key, some of the input is sealed with it first.
#![no_main]

use std::net::SocketAddr;

use _engine::engine::coding::{Coding, Encoding, Payload, PayloadTypes};
use _engine::engine::config::{Output, ServerConfig, Wire};
use _engine::engine::format::Format;
use _engine::engine::key::Key;
use _engine::engine::session::Way as Path;
use _engine::engine::session::sources::Sources;
use _engine::engine::time::Micros;
use _engine::engine::wire::rtp;
use _engine::engine::wire::seal::{self, Nonce, Sealer, Way};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&control, mut rest)) = input.split_first() else { return };
    let key = KEYS.get(usize::from(control & 3)).map(|text| Key::parse(text).expect("a key"));
    let is_sealed = control & 4 != 0;
    let config = ServerConfig {
        key: key.clone(),
        output: Output::File("none".into()),
        max_sources: 2,
        ..ServerConfig::default()
    };
    let config = ServerConfig { payloads: without_opus(), ..config };
    let mut sources = Sources::new(config.validated().expect("valid"));
    let mut sealers: Vec<(u32, Sealer)> = Vec::new();
    let (mut now, mut out) = (Micros(1_000_000), Vec::new());
    let mut fed = 0;
    // Each step: who sends, how, after how long, how many bytes.
    while let Some((&[who, how, wait, len], after)) = rest.split_first_chunk() {
        let (bytes, after) = after.split_at(usize::from(len).min(after.len()));
        rest = after;
        now = Micros(now.0 + u64::from(wait) * 40_000);
        let address = SocketAddr::from(([192, 0, 2, who & 3], 5004 + u16::from(who >> 2 & 1)));
        let mut bytes = bytes.to_vec();
        if let Some(key) = key.as_ref().filter(|_| is_sealed && how & 8 == 0)
            && let Some(ssrc) = seal::ssrc(&bytes)
        {
            if !sealers.iter().any(|(known, _)| *known == ssrc) {
                sealers.push((ssrc, Sealer::new(key, Way::ToServer, Nonce([sealers.len() as u8; 16]), ssrc)));
            }
            let sealer = sealers.iter_mut().find(|(known, _)| *known == ssrc);
            let (_, sealer) = sealer.expect("it was put there");
            let done = if rtp::is_rtcp(&bytes) {
                sealer.seal_rtcp(&bytes, &mut out)
            } else {
                sealer.seal_rtp(&bytes, &mut out)
            };
            if done.is_ok() {
                bytes.clone_from(&out);
            }
        }
        fed += 1;
        match how & 3 {
            0 | 1 => sources.datagram(Path { address, local: None, beside: how & 4 != 0 }, now, &bytes),
            2 => _ = sources.framed(address, Wire::Rtp, now, &bytes),
            _ if key.is_none() => _ = sources.framed(address, Wire::Classic, now, &bytes),
            _ => sources.disconnected(address),
        }
        sources.sweep(now);
        sources.letters(now);
    }
    let stats = sources.stats();
    assert!(stats.sources.len() <= fed);
    if key.is_some() && !is_sealed {
        assert_eq!((stats.reception.received, stats.sources.len()), (0, 0));
    }
    let heard = stats.reception;
    assert!(heard.received + stats.unauthentic + stats.wrong_source <= fed as u64);
    assert_eq!(heard.lost, heard.expected - (heard.received - heard.duplicated));
    sources.farewell(now);
    sources.finish();
});

/// Opus has a target of its own; its decoders take a millisecond to make.
fn without_opus() -> PayloadTypes {
    let mut types = PayloadTypes::empty();
    for (payload_type, payload) in PayloadTypes::new(Format::DEFAULT).iter() {
        if !matches!(payload, Payload::Sound(Encoding { coding: Coding::Opus, .. })) {
            types.set(payload_type, payload);
        }
    }
    types
}

/// None with the fourth.
const KEYS: [&str; 3] = [
    "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e",
    "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA==",
    "audiostream1:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
];
