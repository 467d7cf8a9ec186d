//! Sources in virtual time, then real sockets on loopback.

use std::net::UdpSocket;

use super::*;
use crate::engine::config::{ClientConfig, Input, Output, Path, Protocol, Redundancy, Wire};
use crate::engine::session::client::{Client, Identity};
use crate::engine::session::server::Server;
use crate::engine::session::sources::Sources;
use crate::engine::sim::config::LinkConfig;
use crate::engine::stats::RemoteStats;
use crate::engine::stream::reports::Speaker;
use crate::engine::wire::rtcp::{
    Dlrr, Extended, ExtendedBlock, SenderInfo, write_description, write_extended, write_goodbye,
    write_receiver_report, write_sender_report,
};
use crate::engine::wire::rtp::RtpHeader;

const MS: Duration = Duration::from_millis(1);
const SSRC: u32 = 77;
const LONG: Duration = Duration::from_secs(20);

fn config() -> ServerConfig {
    ServerConfig {
        bind: Some("127.0.0.1".into()),
        port: 0,
        output: Output::Null,
        keep_listening: true,
        ..ServerConfig::default()
    }
}

fn packet(sequence: u16, payload: usize) -> Vec<u8> {
    let timestamp = u32::from(sequence) * 441;
    let mut bytes = Vec::new();
    RtpHeader { payload_type: 11, sequence, timestamp, ssrc: SSRC, ..RtpHeader::default() }.write(&mut bytes);
    bytes.resize(RtpHeader::LEN + payload, 0);
    bytes
}

fn sender_report() -> Vec<u8> {
    let mut bytes = Vec::new();
    write_sender_report(SSRC, &SenderInfo { ntp: 5 << 32, ..SenderInfo::default() }, &[], &mut bytes);
    write_description(SSRC, &[(1, "me")], &mut bytes);
    bytes
}

fn goodbye() -> Vec<u8> {
    let mut bytes = sender_report();
    write_goodbye(&[SSRC], "tired", &mut bytes);
    bytes
}

/// A server's sources, and the time.
struct Scene {
    sources: Sources,
    now: Micros,
    sequence: u16,
    said: Vec<Letter>,
}

impl Scene {
    fn new(config: ServerConfig) -> Self {
        let now = Micros(3_600_000_000);
        Self { sources: Sources::new(config), now, sequence: 65_500, said: Vec::new() }
    }

    fn way(port: u16) -> Way {
        SocketAddr::from(([192, 0, 2, 1], port)).into()
    }

    fn hear(&mut self, port: u16, bytes: &[u8]) {
        self.sources.datagram(Self::way(port), self.now, bytes);
    }

    /// Sends packets from `port` every 10 ms, and lets the server think every 5 ms.
    fn stream(&mut self, port: u16, packets: usize) {
        for _ in 0..packets {
            self.hear(port, &packet(self.sequence, 882));
            self.sequence = self.sequence.wrapping_add(1);
            self.pass(10);
        }
    }

    fn pass(&mut self, ms: u32) {
        for _ in 0..ms / 5 {
            self.said.extend(self.sources.letters(self.now));
            self.sources.sweep(self.now);
            self.now = self.now + 5 * MS;
        }
    }
}

#[test]
fn nobody_is_answered_before_its_sound_is_believed() {
    let mut scene = Scene::new(config());
    for bytes in [sender_report(), goodbye(), packet(1, 882), vec![0x80; 100], sender_report()] {
        scene.hear(5004, &bytes);
        scene.pass(500);
    }
    // The classic wire knows no reports.
    for number in 0..100u16 {
        let mut classic = number.to_le_bytes().to_vec();
        classic.resize(884, 1);
        scene.hear(6000, &classic);
        scene.pass(10);
    }
    assert_eq!(scene.sources.stats().sources.len(), 1);
    assert_eq!(scene.said, []);
    // And then at once.
    scene.stream(5004, 2);
    assert_eq!(scene.said.len(), 1);
    assert_eq!(scene.said[0].way, Scene::way(5004));
}

#[test]
fn on_a_connection_only_who_reports_is_reported_to() {
    let mut scene = Scene::new(config());
    let address = Scene::way(5004).address;
    let mut say = |bytes: &[u8], ms| {
        scene.sources.framed(address, Wire::Rtp, scene.now, bytes);
        scene.pass(ms);
        scene.said.len()
    };
    for sequence in 0..1000 {
        assert_eq!(say(&packet(sequence, 882), 10), 0);
    }
    assert!(say(&sender_report(), 500) > 0);
}

#[test]
fn a_source_gets_fewer_bytes_than_it_sends_however_small_its_packets() {
    let mut scene = Scene::new(config());
    let mut sent = 0;
    for number in 0..3000 {
        let bytes = packet(number, 2);
        sent += bytes.len();
        scene.hear(5004, &bytes);
        scene.hear(5004, &sender_report());
        scene.pass(10);
        let said: usize = scene.said.iter().map(|letter| letter.bytes.len()).sum();
        assert!(said <= sent, "{said} of {sent}");
    }
    assert!(!scene.said.is_empty());
}

/// The reference time in a letter, and whose it is.
fn reference(letter: &Letter) -> Option<(u32, u64)> {
    Compound::parse(&letter.bytes).unwrap().packets().find_map(|packet| match packet {
        Packet::Extended { ssrc, blocks } => blocks.iter().find_map(|block| match block {
            ExtendedBlock::ReferenceTime(ntp) => Some((ssrc, ntp)),
            _ => None,
        }),
        _ => None,
    })
}

/// What a source says that has read a letter, or something a little off it.
fn echo(letter: &Letter, off: u32) -> Vec<u8> {
    let (ssrc, ntp) = reference(letter).unwrap();
    let last_rr = ((ntp >> 16) as u32).wrapping_add(off);
    let mut bytes = Vec::new();
    write_receiver_report(SSRC, &[], &mut bytes);
    let echo = Some(Dlrr { ssrc, last_rr, delay: 0 });
    write_extended(SSRC, &Extended { echo, ..Extended::default() }, &mut bytes);
    bytes
}

#[test]
fn a_source_that_echoes_nothing_has_a_report_in_five_seconds() {
    let mut scene = Scene::new(config());
    scene.stream(5004, 6000);
    assert!((8..=30).contains(&scene.said.len()), "{} reports in a minute", scene.said.len());
    // What was never sent proves nothing, nor does what was from elsewhere.
    let [wrong, right] = [1, 0].map(|off| echo(scene.said.last().unwrap(), off));
    scene.hear(5004, &wrong);
    scene.hear(7000, &right);
    scene.said.clear();
    scene.stream(5004, 6000);
    assert!(scene.said.len() <= 30, "{} reports in a minute", scene.said.len());
    let right = echo(scene.said.last().unwrap(), 0);
    scene.hear(5004, &right);
    scene.said.clear();
    scene.stream(5004, 100);
    assert!(!scene.said.is_empty(), "the next one is brought forward");
    scene.said.clear();
    scene.stream(5004, 6000);
    assert!((80..=160).contains(&scene.said.len()), "{} reports in a minute", scene.said.len());
}

#[test]
fn a_goodbye_ends_a_source_that_is_silent_after_it() {
    let mut scene = Scene::new(config());
    scene.stream(5004, 50);
    scene.hear(5004, &goodbye());
    // What it has overtaken is let in.
    scene.pass(10);
    scene.stream(5004, 2);
    assert_eq!(scene.sources.playing(), 1);
    scene.pass(120);
    assert_eq!(scene.sources.playing(), 0);
    let stats = scene.sources.stats();
    assert_eq!((stats.sources.len(), stats.sources[0].reception.received), (1, 52));
    assert_eq!(stats.sources[0].cname.as_deref(), Some("me"));
    // It thinks better of it.
    scene.stream(5004, 2);
    assert_eq!(scene.sources.playing(), 1);
    scene.pass(1000);
    assert_eq!(scene.sources.playing(), 1);
}

#[test]
fn a_forged_goodbye_ends_nothing() {
    let mut scene = Scene::new(config());
    scene.stream(5004, 50);
    // From elsewhere.
    for port in [5003, 5006, 9] {
        scene.hear(port, &goodbye());
    }
    scene.pass(300);
    assert_eq!(scene.sources.playing(), 1);
    // In the source's own name, while it goes on.
    for _ in 0..50 {
        scene.hear(5004, &goodbye());
        scene.stream(5004, 5);
        assert_eq!(scene.sources.playing(), 1);
    }
}

#[test]
fn a_sender_of_old_is_heard_and_answered_one_port_above() {
    let mut scene = Scene::new(config());
    scene.stream(5004, 150);
    assert!(std::mem::take(&mut scene.sources.reporting.wants_beside));
    let above = Way { beside: true, ..Scene::way(5005) };
    scene.sources.datagram(above, scene.now, &sender_report());
    scene.said.clear();
    // Who echoes nothing has a report in 5 s.
    scene.stream(5004, 700);
    assert!(scene.said.iter().all(|letter| letter.way == above) && !scene.said.is_empty());
    scene.sources.datagram(above, scene.now, &goodbye());
    scene.pass(200);
    assert_eq!(scene.sources.playing(), 0);
}

#[test]
fn those_that_are_not_played_and_members_of_a_group_are_not_answered() {
    let mut scene = Scene::new(ServerConfig { max_sources: 1, ..config() });
    scene.stream(5004, 10);
    let said = scene.said.len();
    scene.stream(7000, 100);
    assert!(scene.said[said..].iter().all(|letter| letter.way == Scene::way(5004)));
    let mut scene = Scene::new(config());
    scene.sources.reporting.begin(Clock::new(), true);
    scene.stream(5004, 200);
    assert_eq!(scene.said, []);
    assert_eq!(scene.sources.farewell(scene.now), []);
}

#[test]
fn the_sender_learns_of_losses_and_bursts() {
    let mut scene = Scene::new(config());
    let own = party(SSRC, None);
    let mut speaker = Speaker::new(own, 44_100, 740_000.0, scene.now);
    for n in 0..1000u16 {
        if n % 100 < 97 {
            scene.hear(5004, &packet(n, 882));
        }
        scene.pass(10);
        if n == 50 {
            let echo = echo(scene.said.last().unwrap(), 0);
            scene.hear(5004, &echo);
        }
    }
    let wall = WallClock::new(Micros::ZERO, Duration::ZERO);
    for letter in &scene.said {
        speaker.hear(Compound::parse(&letter.bytes).unwrap(), scene.now, &wall);
    }
    let remote = speaker.remote().unwrap().0;
    assert!((24..=27).contains(&remote.packets_lost), "{remote:?}");
    let voice = remote.voice.unwrap();
    assert!((voice.burst_ms - 30.0).abs() < 1e-9 && voice.burst_density > 0.99, "{voice:?}");
    // The last gap has only begun.
    assert!((860.0..=970.0).contains(&voice.gap_ms) && voice.gap_density < 0.01, "{voice:?}");
    assert_eq!((voice.r_factor, voice.mos, scene.sources.stats().sources[0].quality), (None, None, None));
}

#[test]
fn quality_is_told_where_it_is_asked_for() {
    let mut scene = Scene::new(ServerConfig { quality: true, ..config() });
    let mut speaker = Speaker::new(party(SSRC, None), 44_100, 740_000.0, scene.now);
    for n in 0..1000u16 {
        if n % 100 < 97 {
            scene.hear(5004, &packet(n, 882));
        }
        scene.pass(10);
        if n == 10 {
            assert_eq!(scene.sources.stats().sources[0].quality, None, "nothing is settled");
        }
    }
    for letter in &scene.said {
        let compound = Compound::parse(&letter.bytes).unwrap();
        speaker.hear(compound, scene.now, &WallClock::new(Micros::ZERO, Duration::ZERO));
    }
    let voice = speaker.remote().unwrap().0.voice.unwrap();
    let source = scene.sources.stats().sources.remove(0);
    let (r_factor, mos) = source.quality.unwrap();
    // 2.7 % in threes, 2.9 times as long as by chance: 95 × 2.7 / (2.7 / 2.9 + 25.1) = 9.9 below 93.2.
    assert!((81.0..84.5).contains(&r_factor) && (4.0..4.3).contains(&mos), "{source:?}\n{voice:?}");
    // The last report was made some seconds ago, when up to a burst less was lost.
    assert!((-1.0..=3.0).contains(&(voice.r_factor.unwrap() - r_factor)), "{voice:?}");
    assert!((voice.mos.unwrap() - mos).abs() < 0.15, "{voice:?}");
}

/// A server on loopback.
fn server(protocol: Protocol) -> (Server, u16) {
    let server = Server::new(ServerConfig { protocol: protocol.into(), ..config() }, None).unwrap();
    server.start().unwrap();
    let port = server.local_address().unwrap().port();
    (server, port)
}

/// The first value of `found`.
fn wait<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let clock = Clock::new();
    let end = clock.now() + LONG;
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(clock.now() < end, "waited for {what}");
        std::thread::park_timeout(5 * MS);
    }
}

/// What a real socket is told until `enough`; it says something meanwhile.
fn told(socket: &UdpSocket, mut say: impl FnMut(), enough: impl Fn(Packet<'_>) -> bool) -> Vec<u8> {
    let mut buffer = [0; 2000];
    wait("a report", || {
        say();
        let count = socket.recv(&mut buffer).ok()?;
        let compound = Compound::parse(&buffer[..count]).unwrap();
        compound.packets().any(&enough).then(|| buffer[..count].to_vec())
    })
}

#[test]
fn client_and_server_know_each_other_over_either_transport() {
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        let (server, port) = server(protocol);
        let path = Path { protocol, host: "127.0.0.1".into(), port, ..Path::default() };
        let config =
            ClientConfig { path, input: Input::Tone, name: Some("Ada".into()), ..ClientConfig::default() };
        let identity = Identity { ssrc: SSRC, sequence: 1, timestamp: 2 };
        let client = Client::new(config, identity, None).unwrap();
        assert_eq!(client.stats().remote, None);
        client.start().unwrap();
        let remote: RemoteStats = wait("the round trip", || {
            client.stats().remote.filter(|remote| remote.round_trip_ms.is_some() && remote.voice.is_some())
        });
        assert_eq!((remote.packets_lost, remote.voice.unwrap().burst_ms), (0, 0.0));
        assert!(remote.round_trip_ms.unwrap() < 1000.0 && remote.age_ms < 10_000.0, "{remote:?}");
        let source = wait("the echo", || {
            server.stats().sources.into_iter().find(|source| source.round_trip_ms.is_some())
        });
        assert_eq!((source.ssrc, source.name.as_deref()), (SSRC, Some("Ada")));
        assert_eq!(source.cname.unwrap().len(), 16);
        client.close(true).unwrap();
        server.close(true).unwrap();
        // Reports are no packets of sound, and nothing of them is malformed.
        assert_eq!(server.stats().malformed, 0);
        assert_eq!(server.stats().reception.received, client.stats().packets_sent);
    }
}

#[test]
fn a_stranger_hears_nothing_while_a_source_is_told_and_bidden_goodbye() {
    let (server, port) = server(Protocol::Udp);
    let [source, stranger] = [(); 2].map(|()| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(10 * MS)).unwrap();
        socket
    });
    for bytes in [packet(9, 882), sender_report(), goodbye(), b"who is there?".to_vec()] {
        stranger.send(&bytes).unwrap();
    }
    let mut sequence = 0;
    let mut stream = || {
        source.send(&packet(sequence, 882)).unwrap();
        sequence += 1;
    };
    let own = |packet: Packet<'_>| match packet {
        Packet::ReceiverReport { ssrc, blocks } => {
            blocks.iter().any(|block| block.ssrc == SSRC).then_some(ssrc)
        }
        _ => None,
    };
    told(&source, &mut stream, |packet| own(packet).is_some());
    let report = told(&source, &mut stream, |packet| own(packet).is_some());
    let ssrc = Compound::parse(&report).unwrap().packets().find_map(own).unwrap();
    server.close(true).unwrap();
    told(
        &source,
        || (),
        |packet| matches!(packet, Packet::Goodbye(goodbye) if goodbye.sources().any(|left| left == ssrc)),
    );
    stranger.set_nonblocking(true).unwrap();
    assert_eq!(stranger.recv(&mut [0; 100]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn copies_go_as_soon_as_the_server_reports_losses() {
    let (server, port) = server(Protocol::Udp);
    let path = Path { host: "127.0.0.1".into(), port, ..Path::default() };
    let stream = |loss: &str| {
        let network = Some(LinkConfig::parse(loss).unwrap());
        let redundancy = Redundancy::Auto;
        let path = path.clone();
        let config =
            ClientConfig { path, input: Input::Tone, redundancy, network, ..ClientConfig::default() };
        let identity = Identity { ssrc: SSRC, sequence: 1, timestamp: 2 };
        let client = Client::new(config, identity, None).unwrap();
        client.start().unwrap();
        client
    };
    let unhurt = stream("loss=0");
    wait("two reports", || unhurt.stats().remote.filter(|remote| remote.reports >= 2));
    assert_eq!(unhurt.stats().copies_sent, 0);
    unhurt.close(true).unwrap();
    let hurt = stream("loss=30,seed=3");
    wait("copies", || (hurt.stats().copies_sent > 20).then_some(()));
    let stats = hurt.stats();
    assert!(stats.remote.is_some() && stats.packets_sent > 5, "{stats:?}");
    hurt.close(false).unwrap();
    server.close(false).unwrap();
}
