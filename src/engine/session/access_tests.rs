//! Strangers at a server's real sockets. Other addresses of this machine stand for other machines.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::server::Server;
use crate::engine::config::{Output, Protocol, ServerConfig};
use crate::engine::networks::Networks;
use crate::engine::stats::ServerStats;
use crate::engine::time::Clock;
use crate::engine::wire::framing::write_frame;
use crate::engine::wire::rtcp::{
    SenderInfo, write_description, write_goodbye, write_receiver_report, write_sender_report,
};
use crate::engine::wire::rtp::RtpHeader;

const MS: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(30);
const SSRC: u32 = 77;

fn server(protocol: Protocol, allow: &[&str]) -> (Server, SocketAddr) {
    let config = ServerConfig {
        protocol: protocol.into(),
        bind: Some("0.0.0.0".into()),
        port: 0,
        output: Output::Null,
        allow: Networks::parse(allow).unwrap(),
        ..ServerConfig::default()
    };
    let server = Server::new(config, None).unwrap();
    server.start().unwrap();
    let port = server.local_address().unwrap().port();
    (server, SocketAddr::from(([127, 0, 0, 1], port)))
}

fn socket(last: u8, to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
    socket.connect(to).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

fn packet(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let timestamp = u32::from(sequence) * 441;
    RtpHeader { payload_type: 11, sequence, timestamp, ssrc, ..RtpHeader::default() }.write(&mut bytes);
    bytes.resize(894, 3);
    bytes
}

fn control(ssrc: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_sender_report(ssrc, &SenderInfo { ntp: 9 << 32, ..SenderInfo::default() }, &[], &mut bytes);
    write_description(ssrc, &[(1, "\u{1b}[2Jit is me")], &mut bytes);
    bytes
}

fn goodbye(ssrc: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_receiver_report(ssrc, &[], &mut bytes);
    write_goodbye(&[ssrc], "", &mut bytes);
    bytes
}

/// Waits until the figures are so.
fn until(server: &Server, what: &str, mut so: impl FnMut(&ServerStats) -> bool) -> ServerStats {
    let clock = Clock::new();
    let end = clock.now() + LONG;
    loop {
        let stats = server.stats();
        if so(&stats) {
            return stats;
        }
        assert!(clock.now() < end, "waited for {what}: {stats:?}");
        std::thread::park_timeout(5 * MS);
    }
}

fn is_silent(socket: &UdpSocket) -> bool {
    socket.recv(&mut [0; 2000]).is_err_and(|e| e.kind() == ErrorKind::WouldBlock)
}

#[test]
fn random_spoofed_and_unsolicited_packets_are_answered_with_nothing() {
    let (server, to) = server(Protocol::Udp, &[]);
    let strangers: Vec<_> = (2..10).map(|last| socket(last, to)).collect();
    let mut seed = 9u64;
    let mut dice = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as u32
    };
    for n in 0..1000 {
        let length = (dice() % 1200) as usize;
        let mut bytes: Vec<_> = (0..length).map(|_| dice() as u8).collect();
        match n % 5 {
            // What begins as it should.
            0 => bytes.splice(..length.min(2), [0x80, 11]).for_each(drop),
            1 => bytes.splice(..length.min(2), [0x81, 201]).for_each(drop),
            // A packet of sound, and none after it.
            2 => bytes = packet(dice(), dice() as u16),
            3 => bytes = if n % 2 == 0 { control(dice()) } else { goodbye(SSRC) },
            _ => {}
        }
        strangers[n % strangers.len()].send(&bytes).unwrap();
        if n % 50 == 49 {
            // Not faster than it can read.
            std::thread::park_timeout(2 * MS);
        }
    }
    // Who is believed has an answer: all that was sent before was read by then.
    let good = socket(1, to);
    let mut sequence = 0;
    until(&server, "a report", |_| {
        good.send(&packet(SSRC, sequence)).unwrap();
        sequence += 1;
        good.recv(&mut [0; 2000]).is_ok()
    });
    assert!(strangers.iter().all(is_silent));
    server.close(true).unwrap();
    assert!(strangers.iter().all(is_silent));
    assert_eq!(server.stats().dropped_local, 0);
}

#[test]
fn who_poses_as_a_source_from_another_address_is_counted_and_not_heard() {
    let (server, to) = server(Protocol::Udp, &[]);
    let (good, other) = (socket(1, to), socket(2, to));
    for sequence in 0..200 {
        good.send(&packet(SSRC, sequence)).unwrap();
        if sequence == 10 {
            until(&server, "the source", |stats| stats.reception.received == 11);
        }
        if sequence > 10 {
            other.send(&packet(SSRC, sequence + 1)).unwrap();
            other.send(&goodbye(SSRC)).unwrap();
        }
        if sequence % 20 == 19 {
            std::thread::park_timeout(2 * MS);
        }
    }
    let stats = until(&server, "all of them", |s| s.reception.received + s.wrong_source >= 200 + 2 * 189);
    assert_eq!((stats.reception.received, stats.reception.lost, stats.reception.duplicated), (200, 0, 0));
    assert_eq!((stats.wrong_source, stats.sources.len()), (2 * 189, 1));
    assert!(is_silent(&other));
    server.close(true).unwrap();
}

#[test]
fn datagrams_from_other_networks_are_dropped_and_counted() {
    let (server, to) = server(Protocol::Udp, &["127.0.0.1/32", "fd00::/8"]);
    let (good, other) = (socket(1, to), socket(2, to));
    for sequence in 0..100 {
        good.send(&packet(SSRC, sequence)).unwrap();
        other.send(&packet(5, sequence)).unwrap();
    }
    let stats = until(&server, "all of them", |s| s.reception.received + s.refused >= 200);
    assert_eq!((stats.reception.received, stats.refused, stats.malformed), (100, 100, 0));
    assert!(is_silent(&other));
    server.close(true).unwrap();
}

#[test]
fn connections_from_other_networks_are_closed_at_once_and_end_nothing() {
    let (server, to) = server(Protocol::Tcp, &["127.0.0.2"]);
    let mut refused = TcpStream::connect(to).unwrap();
    refused.set_read_timeout(Some(LONG)).unwrap();
    // An end or a reset: nothing comes.
    assert!(!matches!(refused.read(&mut [0; 100]), Ok(1..)));
    let stats = until(&server, "the refusal", |stats| stats.refused == 1);
    assert_eq!(stats.malformed, 0);
    assert!(!server.wait(Duration::ZERO).unwrap());
    server.close(true).unwrap();
}

#[test]
fn two_hundred_slow_or_idle_connections_hinder_nobody_and_are_closed() {
    let (server, to) = server(Protocol::Tcp, &[]);
    let mut frame = Vec::new();
    write_frame(&packet(5, 1), &mut frame);
    let mut slow: Vec<_> = (0..200usize)
        .map(|n| {
            let mut stream = TcpStream::connect(to).unwrap();
            // Nothing; the beginning of a length; all but the last byte of a packet; a length and nothing.
            let said = [&[][..], &frame[..1], &frame[..frame.len() - 1], &[0x03, 0xff]][n % 4];
            stream.write_all(said).unwrap();
            stream
        })
        .collect();
    let mut good = TcpStream::connect(to).unwrap();
    for sequence in 0..150 {
        let mut frame = Vec::new();
        write_frame(&packet(SSRC, sequence), &mut frame);
        good.write_all(&frame).unwrap();
    }
    let stats = until(&server, "the good one", |stats| stats.reception.received == 150);
    assert_eq!((stats.reception.lost, stats.dropped_local, stats.sources.len()), (0, 0, 1));
    // Five seconds after their coming.
    for stream in &mut slow {
        stream.set_read_timeout(Some(LONG)).unwrap();
        // An end, or a reset where something was left unread.
        let read = stream.read(&mut [0; 100]);
        let timed_out = |kind| matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(!matches!(read, Ok(1..)) && !read.is_err_and(|e| timed_out(e.kind())));
    }
    // And the good one is still there.
    let mut frame = Vec::new();
    write_frame(&packet(SSRC, 150), &mut frame);
    good.write_all(&frame).unwrap();
    until(&server, "one more", |stats| stats.reception.received == 151);
    drop(good);
    let clock = Clock::new();
    let end = clock.now() + LONG;
    while !server.wait(100 * MS).unwrap() {
        assert!(clock.now() < end, "a server whose client has left ends");
    }
    server.close(true).unwrap();
}
