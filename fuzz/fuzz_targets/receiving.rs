//! The whole receive path of a server for the fuzzer: from datagrams and frames through sources, queues and players to
//! the sound. Whatever comes, what is counted adds up, and nobody who has no key is heard where there is one.
//!
//! Cheap, so that many runs are made: sound of 8 kHz, the cheapest concealment. Opus has a target of its own.

use std::net::SocketAddr;
use std::time::Duration;

use _engine::engine::coding::{Coding, Encoding, Payload, PayloadTypes};
use _engine::engine::config::{ServerConfig, Wire};
use _engine::engine::format::Format;
use _engine::engine::key::Key;
use _engine::engine::playout::conceal::Tier;
use _engine::engine::playout::render::{Render, Renderer, Starved};
use _engine::engine::session::Way as Path;
use _engine::engine::session::sources::Sources;
use _engine::engine::time::Micros;
use _engine::engine::wire::rtp;
use _engine::engine::wire::seal::{self, Nonce, Sealer, Way};

/// One run: `input` is a list of steps, each saying who sends, how, after how long, and how many of the bytes that follow.
/// With `seals` all senders have the server's key, unless a step says otherwise.
pub fn run(key: Option<&Key>, seals: bool, mut input: &[u8]) {
    let config = ServerConfig { key: key.cloned(), max_sources: 2, payloads: payloads(), ..ServerConfig::default() };
    let mut config = ServerConfig { port: 5004, ..config };
    config.audio.format = Format::NARROW;
    let config = config.validated().expect("valid");
    let (mut renderer, roster, _) = Renderer::new(Format::NARROW, 2, BLOCK, Duration::ZERO).expect("a renderer");
    renderer.set_tier(Tier::Pitch);
    let mut sources = Sources::new(config);
    sources.set_roster(roster);
    let mut senders = Senders { sealers: Vec::new(), sequence: [0; 4], packet: Vec::new(), sealed: Vec::new() };
    let (mut now, mut sound) = (Micros(1_000_000), [0.0; BLOCK]);
    let mut fed = 0;
    while let Some((&[who, how, wait, len], after)) = input.split_first_chunk() {
        let (bytes, after) = after.split_at(usize::from(len).min(after.len()));
        input = after;
        now = Micros(now.0 + u64::from(wait) * u64::from(wait) * 250);
        let address = SocketAddr::from(([192, 0, 2, who & 3], 5004 + u16::from(who >> 2 & 1)));
        let key = key.filter(|_| seals && how & 8 == 0);
        let bytes = senders.packet(key, who, how, bytes);
        fed += 1;
        match how & 3 {
            0 | 1 => sources.datagram(Path { address, local: None, beside: how & 4 != 0, connected: false }, now, bytes),
            2 => _ = sources.framed(address, Wire::Rtp, now, bytes),
            _ if how & 4 == 0 => _ = sources.framed(address, Wire::Classic, now, bytes),
            _ => sources.disconnected(address, (how & 16 != 0).then_some("cut"), now),
        }
        sources.sweep(now);
        sources.letters(now);
        if how & 32 != 0 {
            renderer.render(now, &mut sound, Starved::Advance);
            assert!(sound.iter().all(|sample| sample.abs() <= 1.0));
        }
    }
    let stats = sources.stats();
    assert!(stats.sources.len() <= fed);
    if key.is_some() && !seals {
        assert_eq!((stats.reception.received, stats.sources.len()), (0, 0));
    }
    let heard = stats.reception;
    assert!(heard.received + stats.unauthentic + stats.wrong_source <= fed as u64);
    assert_eq!(heard.lost, heard.expected - (heard.received - heard.duplicated));
    sources.farewell(now);
    sources.finish();
}

/// The other ends.
struct Senders {
    sealers: Vec<(u32, Sealer)>,
    /// Of each that sends coherent packets.
    sequence: [u16; 4],
    packet: Vec<u8>,
    sealed: Vec<u8>,
}

impl Senders {
    /// The bytes as they are, or behind the header of a coherent stream; sealed, where there is a key for it.
    fn packet(&mut self, key: Option<&Key>, who: u8, how: u8, bytes: &[u8]) -> &[u8] {
        self.packet.clear();
        if how & 16 != 0 {
            let sequence = &mut self.sequence[usize::from(who & 3)];
            *sequence = sequence.wrapping_add(1 + u16::from(how >> 6));
            let payload_type = TYPES[usize::from(who >> 3) % TYPES.len()];
            let stamp = u32::from(*sequence) * BLOCK as u32;
            self.packet.extend([0x80, payload_type]);
            self.packet.extend(sequence.to_be_bytes());
            self.packet.extend(stamp.to_be_bytes());
            self.packet.extend([0, 0, 0, who & 3]);
        }
        self.packet.extend(bytes);
        if let Some((key, ssrc)) = key.zip(seal::ssrc(&self.packet)) {
            let place = self.sealers.iter().position(|(known, _)| *known == ssrc).unwrap_or_else(|| {
                let nonce = Nonce([self.sealers.len() as u8; 16]);
                self.sealers.push((ssrc, Sealer::new(key, Way::ToServer, nonce, ssrc)));
                self.sealers.len() - 1
            });
            let sealer = &mut self.sealers[place].1;
            let done = if rtp::is_rtcp(&self.packet) {
                sealer.seal_rtcp(&self.packet, &mut self.sealed)
            } else {
                sealer.seal_rtp(&self.packet, &mut self.sealed)
            };
            if done.is_ok() {
                return &self.sealed;
            }
        }
        &self.packet
    }
}

fn payloads() -> PayloadTypes {
    let sound = |coding, channels| {
        let format = Format::new(8000, channels).expect("a format");
        Payload::Sound(Encoding { coding, format })
    };
    let mut types = PayloadTypes::empty();
    types.set(TYPES[0], sound(Coding::Pcmu, 1));
    types.set(TYPES[1], sound(Coding::Pcma, 1));
    types.set(TYPES[2], sound(Coding::L16, 1));
    types.set(TYPES[3], sound(Coding::L24, 2));
    types.set(TYPES[4], Payload::Redundant);
    types
}

const TYPES: [u8; 5] = [0, 8, 96, 97, 116];
/// 10 ms.
const BLOCK: usize = 80;
