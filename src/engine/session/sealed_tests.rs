//! Sealed streams between real clients and servers on loopback, with somebody on the path who sees all and adds what it likes.

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use super::client::{Client, Identity};
use super::server::Server;
use crate::engine::config::{ClientConfig, Input, Output, Path, Protocol, Redundancy, ServerConfig, Wire};
use crate::engine::key::Key;
use crate::engine::sim::config::LinkConfig;
use crate::engine::time::Clock;
use crate::engine::wire::rtp;
use crate::engine::wire::seal::{self, Opener, Way};

const MS: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(30);
const FRAMES: usize = 441 * 60;
const KEYS: [&str; 3] = [
    "audiostream1:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
    "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e",
    "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA==",
];
const OTHERS: [&str; 3] = [
    "audiostream1:4QIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
    "4QIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e",
    "4QIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA==",
];

/// A folder with a sound in it, gone with its value.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("audiostream-sealed-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let place = Self(folder);
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 44_100,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(place.sound(), spec).unwrap();
        for sample in samples() {
            writer.write_sample(sample).unwrap();
        }
        writer.finalize().unwrap();
        place
    }

    fn sound(&self) -> PathBuf {
        self.0.join("sound.wav")
    }

    fn recorded(&self, name: &str) -> Vec<i16> {
        let path = self.0.join(name).with_extension("wav");
        hound::WavReader::open(path).unwrap().samples::<i16>().map(Result::unwrap).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Something on the path of datagrams, which keeps them.
struct Hop {
    near: UdpSocket,
    far: UdpSocket,
    client: Option<SocketAddr>,
    up: Vec<Vec<u8>>,
    down: Vec<Vec<u8>>,
    /// Sends besides, for every datagram of the client's, what is made of it.
    bend: fn(&[u8], usize) -> Vec<Vec<u8>>,
}

impl Hop {
    fn new(server: &Server) -> Self {
        let [near, far] = [(); 2].map(|()| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        });
        far.connect(server.local_address().unwrap()).unwrap();
        Self { near, far, client: None, up: Vec::new(), down: Vec::new(), bend: |_, _| Vec::new() }
    }

    fn port(&self) -> u16 {
        self.near.local_addr().unwrap().port()
    }

    fn pump(&mut self) {
        let mut buffer = [0; 2048];
        while let Ok((count, client)) = self.near.recv_from(&mut buffer) {
            self.client = Some(client);
            let _ = self.far.send(&buffer[..count]);
            for bent in (self.bend)(&buffer[..count], self.up.len()) {
                let _ = self.far.send(&bent);
            }
            self.up.push(buffer[..count].to_vec());
        }
        while let (Some(client), Ok(count)) = (self.client, self.far.recv(&mut buffer)) {
            let _ = self.near.send_to(&buffer[..count], client);
            // A replay: the client has to see through it.
            let _ = self.near.send_to(&buffer[..count], client);
            self.down.push(buffer[..count].to_vec());
        }
    }
}

fn samples() -> Vec<i16> {
    (0..FRAMES as u32).map(|n| ((n.wrapping_mul(0x9e37_79b9) ^ n << 7) >> 18) as i16 - 8192).collect()
}

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

fn server(protocol: Protocol, key: Option<Key>) -> Server {
    let config = ServerConfig {
        protocol: protocol.into(),
        key,
        bind: Some("127.0.0.1".into()),
        port: 0,
        output: Output::Null,
        keep_listening: true,
        ..ServerConfig::default()
    };
    let server = Server::new(config, None).unwrap();
    server.start().unwrap();
    server
}

fn client_config(protocol: Protocol, port: u16, input: Input, key: Option<Key>) -> ClientConfig {
    let path = Path { protocol, host: "127.0.0.1".into(), port, ..Path::default() };
    ClientConfig { path, input, key, ..ClientConfig::default() }
}

fn client(config: ClientConfig) -> Client {
    let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0u8);
    Client::new(config, Identity::from_random(random), None).unwrap()
}

fn port_of(server: &Server) -> u16 {
    server.local_address().unwrap().port()
}

fn until(what: &str, mut so: impl FnMut() -> bool) {
    let clock = Clock::new();
    let end = clock.now() + LONG;
    while !so() {
        assert!(clock.now() < end, "waited for {what}");
        std::thread::park_timeout(2 * MS);
    }
}

/// What a server records of a file that a client sends by way of a hop, where there is one.
fn record(place: &Place, server: &Server, config: ClientConfig, mut hop: Option<&mut Hop>) -> Vec<i16> {
    server.start_recording(&place.0, Some("heard")).unwrap();
    let client = client(ClientConfig { input: Input::File(place.sound()), ..config });
    client.start().unwrap();
    until("the end of the file", || {
        if let Some(hop) = &mut hop {
            hop.pump();
        }
        client.wait(Duration::ZERO).unwrap()
    });
    let sent = client.stats();
    assert_eq!(sent.packets_sent, FRAMES as u64 / 441);
    if server.stats().unauthentic == 0 || hop.is_some() {
        until("the last packet", || {
            if let Some(hop) = &mut hop {
                hop.pump();
            }
            server.stats().reception.received >= sent.packets_sent
        });
    }
    client.close(true).unwrap();
    server.stop_recording().unwrap();
    place.recorded("heard")
}

#[test]
fn sound_is_recorded_to_the_bit_under_every_form_of_key_over_either_transport() {
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        for text in KEYS {
            let place = Place::new("forms");
            let server = server(protocol, Some(key(text)));
            let config = client_config(protocol, port_of(&server), Input::Silence, Some(key(text)));
            assert!(record(&place, &server, config, None) == samples(), "{protocol:?}");
            let stats = server.stats();
            assert_eq!((stats.unauthentic, stats.malformed, stats.reception.lost), (0, 0, 0));
        }
    }
}

#[test]
fn a_bad_network_is_on_the_outside_of_the_seal() {
    let place = Place::new("impaired");
    let server = server(Protocol::Udp, Some(key(KEYS[0])));
    let network = Some(LinkConfig::parse("delay=20,jitter=5,seed=3").unwrap());
    let config = client_config(Protocol::Udp, port_of(&server), Input::Silence, Some(key(KEYS[0])));
    assert!(record(&place, &server, ClientConfig { network, ..config }, None) == samples());
    assert_eq!(server.stats().unauthentic, 0);
}

#[test]
fn a_capture_holds_none_of_the_sound_and_what_is_replayed_bent_and_cut_changes_nothing() {
    let sound: Vec<u8> = samples().iter().flat_map(|sample| sample.to_be_bytes()).collect();
    let pieces: HashSet<&[u8]> = sound
        .chunks_exact(2)
        .zip(0..)
        .map(|(_, n)| &sound[2 * n..])
        .filter_map(|rest| rest.get(..8))
        .collect();
    let found = |captured: &[Vec<u8>]| {
        captured.iter().filter(|bytes| bytes.windows(8).any(|window| pieces.contains(window))).count()
    };
    for text in [None, Some(KEYS[0]), Some(KEYS[1]), Some(KEYS[2])] {
        let place = Place::new("capture");
        let server = server(Protocol::Udp, text.map(key));
        let mut hop = Hop::new(&server);
        if text.is_some() {
            hop.bend = |bytes, n| {
                let mut flipped = bytes.to_vec();
                let at = n * 7 % flipped.len();
                flipped[at] ^= 1 << (n % 8);
                vec![bytes.to_vec(), flipped, bytes[..n * 13 % bytes.len()].to_vec()]
            };
        }
        let config = client_config(Protocol::Udp, hop.port(), Input::Silence, text.map(key));
        assert!(record(&place, &server, config, Some(&mut hop)) == samples());
        let stats = server.stats();
        let packets = FRAMES as u64 / 441;
        assert_eq!(
            (stats.reception.received, stats.reception.duplicated, stats.sources.len()),
            (packets, 0, 1)
        );
        assert_eq!((stats.reception.lost, stats.reception.reordered, stats.malformed), (0, 0, 0));
        assert_eq!(found(&hop.up) as u64, if text.is_none() { packets } else { 0 });
        if text.is_some() {
            until("every bad packet", || {
                hop.pump();
                server.stats().unauthentic >= 3 * packets
            });
        }
    }
}

#[test]
fn another_key_or_none_is_silence_and_counted() {
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        for (ours, theirs) in KEYS.into_iter().zip(OTHERS) {
            for sent in [Some(theirs), None] {
                let server = server(protocol, Some(key(ours)));
                let config = client_config(protocol, port_of(&server), Input::Tone, sent.map(key));
                let client = client(config);
                client.start().unwrap();
                until("refusals", || server.stats().unauthentic >= 10);
                let stats = server.stats();
                assert_eq!((stats.reception.received, stats.malformed, stats.sources.len()), (0, 0, 0));
                assert_eq!(client.stats().remote, None);
                client.close(false).unwrap();
            }
        }
    }
}

#[test]
fn answers_are_sealed_and_replayed_ones_are_not_read() {
    for text in KEYS {
        let server = server(Protocol::Udp, Some(key(text)));
        let mut hop = Hop::new(&server);
        let client = client(client_config(Protocol::Udp, hop.port(), Input::Tone, Some(key(text))));
        client.start().unwrap();
        until("the round trip both ways", || {
            hop.pump();
            let there = client.stats().remote.is_some_and(|remote| remote.round_trip_ms.is_some());
            there && server.stats().sources.iter().any(|source| source.round_trip_ms.is_some())
        });
        // The hop sent each answer twice.
        until("the replays", || client.stats().unauthentic >= hop.down.len() as u64 && !hop.down.is_empty());
        assert_eq!(client.stats().unauthentic, hop.down.len() as u64);
        assert_eq!(client.stats().remote.unwrap().reports, hop.down.len() as u64);
        let cname = server.stats().sources[0].cname.clone().unwrap().into_bytes();
        for bytes in hop.up.iter().chain(&hop.down) {
            assert!(!bytes.windows(cname.len()).any(|window| window == cname), "a report in clear");
        }
        assert_eq!(server.stats().unauthentic, 0);
        client.close(true).unwrap();
        server.close(true).unwrap();
    }
}

#[test]
fn answers_are_sealed_over_a_connection_too() {
    for text in KEYS {
        let server = server(Protocol::Tcp, Some(key(text)));
        let client = client(client_config(Protocol::Tcp, port_of(&server), Input::Tone, Some(key(text))));
        client.start().unwrap();
        until("the round trip", || {
            client.stats().remote.is_some_and(|remote| remote.round_trip_ms.is_some())
        });
        assert_eq!((client.stats().unauthentic, server.stats().unauthentic), (0, 0));
    }
}

#[test]
fn either_end_may_start_anew() {
    for text in KEYS {
        let first = server(Protocol::Udp, Some(key(text)));
        let port = port_of(&first);
        let client_one = client(client_config(Protocol::Udp, port, Input::Tone, Some(key(text))));
        client_one.start().unwrap();
        until("sound", || first.stats().reception.received > 10);
        first.close(true).unwrap();
        let config = ServerConfig {
            key: Some(key(text)),
            bind: Some("127.0.0.1".into()),
            port,
            output: Output::Null,
            ..ServerConfig::default()
        };
        let second = Server::new(config, None).unwrap();
        second.start().unwrap();
        until("sound at the new server", || second.stats().reception.received > 10);
        client_one.close(true).unwrap();
        let client_two = client(client_config(Protocol::Udp, port, Input::Tone, Some(key(text))));
        client_two.start().unwrap();
        until("the new client", || {
            second.stats().sources.iter().any(|source| source.ssrc == client_two.ssrc())
        });
        assert_eq!(second.stats().unauthentic, 0);
    }
}

#[test]
fn copies_are_sealed_each_under_its_own_ssrc() {
    for text in KEYS {
        let server = server(Protocol::Udp, Some(key(text)));
        let mut hop = Hop::new(&server);
        let config = client_config(Protocol::Udp, hop.port(), Input::Tone, Some(key(text)));
        let client = client(ClientConfig { redundancy: Redundancy::Copies(2), ..config });
        client.start().unwrap();
        until("copies", || {
            hop.pump();
            client.stats().copies_sent > 60
        });
        client.close(true).unwrap();
        hop.pump();
        assert_eq!(server.stats().unauthentic, 0);
        let sound: Vec<_> = hop.up.iter().filter(|bytes| !rtp::is_rtcp(bytes)).collect();
        let ssrcs: HashSet<u32> = sound.iter().filter_map(|bytes| seal::ssrc(bytes)).collect();
        assert_eq!(ssrcs.len(), 3);
        let mut streams: Vec<HashSet<Vec<u8>>> = Vec::new();
        for ssrc in ssrcs {
            let mut opener = Opener::new(&key(text), Way::ToServer, ssrc, 1);
            let mut out = Vec::new();
            let of_it = sound.iter().filter(|bytes| seal::ssrc(bytes) == Some(ssrc));
            streams.push(
                of_it
                    .map(|bytes| {
                        opener.open_rtp(bytes, &mut out).unwrap();
                        [&out[..8], &out[12..]].concat()
                    })
                    .collect(),
            );
        }
        let common = streams.iter().skip(1).fold(streams[0].clone(), |all, one| &all & one);
        assert!(common.len() > 20, "{} packets went in all streams", common.len());
    }
}

#[test]
fn sealed_copies_repair_what_is_lost() {
    for text in KEYS {
        let server = server(Protocol::Udp, Some(key(text)));
        let network = Some(LinkConfig::parse("loss=10,seed=5").unwrap());
        let config = client_config(Protocol::Udp, port_of(&server), Input::Tone, Some(key(text)));
        let client = client(ClientConfig { redundancy: Redundancy::Copies(1), network, ..config });
        client.start().unwrap();
        until("repairs", || server.stats().reception.repaired > 5);
        let stats = server.stats();
        assert_eq!((stats.unauthentic, stats.malformed, stats.sources.len()), (0, 0, 1));
    }
}

#[test]
fn without_a_key_a_sealed_stream_is_not_recorded() {
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        for text in KEYS {
            let server = server(protocol, None);
            let client = client(client_config(protocol, port_of(&server), Input::Tone, Some(key(text))));
            client.start().unwrap();
            until("refusals", || server.stats().unauthentic >= 30);
            // The first packet on a connection, under a foreign key, cannot be known.
            let most = u64::from(protocol == Protocol::Tcp && text != KEYS[0]);
            assert!(server.stats().reception.received <= most, "{protocol:?} {text}");
        }
    }
}

#[test]
fn what_leaves_is_counted_with_its_seal() {
    for (text, overhead) in KEYS.into_iter().zip([36, 10, 16]) {
        let server = server(Protocol::Udp, Some(key(text)));
        let place = Place::new("bytes");
        let config =
            client_config(Protocol::Udp, port_of(&server), Input::File(place.sound()), Some(key(text)));
        let client = client(config);
        client.start().unwrap();
        until("the end", || client.wait(Duration::ZERO).unwrap());
        let stats = client.stats();
        assert_eq!(stats.bytes_sent, stats.packets_sent * (894 + overhead));
    }
}

#[test]
fn the_classic_wire_cannot_be_sealed() {
    let config = client_config(Protocol::Udp, 9, Input::Tone, Some(key(KEYS[0])));
    let config = ClientConfig { wire: Wire::Classic, ..config };
    assert!(config.validated().unwrap_err().message().contains("classic"));
    let config =
        ServerConfig { wire: Some(Wire::Classic), key: Some(key(KEYS[0])), ..ServerConfig::default() };
    assert!(config.validated().unwrap_err().message().contains("classic"));
}
