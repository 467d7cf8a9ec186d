//! What is written, read back.

use std::time::Duration;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use pcap_file::pcapng::{Block, PcapNgReader};

use super::conversation::Conversations;
use super::*;

const EPOCH: Duration = Duration::from_secs(1_700_000_000);

/// A packet of a capture.
pub struct Read {
    pub at: Duration,
    pub bytes: Vec<u8>,
    pub whole: usize,
    pub comment: Option<String>,
}

/// All packets of a capture.
pub fn packets(capture: &[u8]) -> Vec<Read> {
    let mut reader = PcapNgReader::new(capture).unwrap();
    let mut all = Vec::new();
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.unwrap() {
            let comment = packet.options.iter().find_map(|option| match option {
                EnhancedPacketOption::Comment(comment) => Some(comment.to_string()),
                _ => None,
            });
            let (at, whole) = (packet.timestamp, packet.original_len as usize);
            all.push(Read { at, bytes: packet.data.to_vec(), whole, comment });
        }
    }
    all
}

fn capture(fill: impl FnOnce(&mut Pcap<Vec<u8>>) -> io::Result<()>) -> Vec<Read> {
    let mut pcap = Pcap::new(Vec::new(), EPOCH).unwrap();
    fill(&mut pcap).unwrap();
    packets(&pcap.into_inner())
}

fn ends(from: &str, to: &str) -> Ends {
    (from.parse().unwrap(), to.parse().unwrap())
}

#[test]
fn a_datagram_has_its_headers_and_checksums_in_either_family() {
    for (from, to) in [("192.0.2.1:4000", "192.0.2.7:12345"), ("[fe80::1]:4000", "[fe80::2]:12345")] {
        let all = capture(|pcap| pcap.datagram(Micros(1_500), ends(from, to), b"sound", Fate::Passed));
        assert_eq!((all.len(), all[0].at), (1, EPOCH + Duration::from_micros(1_500)));
        let packet = SlicedPacket::from_ip(&all[0].bytes).unwrap();
        let Some(TransportSlice::Udp(udp)) = &packet.transport else { panic!("UDP") };
        assert_eq!((udp.source_port(), udp.destination_port(), udp.payload()), (4000, 12345, &b"sound"[..]));
        let header = udp.to_header();
        let right = match &packet.net {
            Some(NetSlice::Ipv4(v4)) => {
                let ip = v4.header().to_header();
                assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                header.calc_checksum_ipv4(&ip, b"sound")
            }
            Some(NetSlice::Ipv6(v6)) => header.calc_checksum_ipv6(&v6.header().to_header(), b"sound"),
            _ => panic!("IP"),
        };
        assert_eq!(header.checksum, right.unwrap());
    }
}

#[test]
fn an_address_that_is_mapped_is_shown_as_it_is() {
    let all = capture(|pcap| {
        pcap.datagram(Micros(0), ends("[::ffff:127.0.0.1]:1", "127.0.0.1:2"), b"x", Fate::Passed)
    });
    assert_eq!(all[0].bytes[0] >> 4, 4);
    let all = capture(|pcap| pcap.datagram(Micros(0), ends("[::1]:1", "127.0.0.1:2"), b"x", Fate::Passed));
    assert_eq!(all[0].bytes[0] >> 4, 6);
}

#[test]
fn of_a_lost_packet_only_headers_and_a_comment_are_kept() {
    let at = ends("127.0.0.1:1", "127.0.0.1:2");
    let all = capture(|pcap| {
        pcap.datagram(Micros(0), at, &[7; 100], Fate::Lost("gone"))?;
        pcap.datagram(Micros(1), at, &[7; 100], Fate::Noted("twice"))
    });
    assert_eq!((all[0].bytes.len(), all[0].whole, all[0].comment.as_deref()), (28, 128, Some("gone")));
    assert_eq!((all[1].bytes.len(), all[1].whole, all[1].comment.as_deref()), (128, 128, Some("twice")));
}

#[test]
fn the_same_packets_give_the_same_bytes() {
    let write = || {
        let mut pcap = Pcap::new(Vec::new(), EPOCH).unwrap();
        pcap.announce(Micros(0), "127.0.0.1".parse().unwrap(), "v=0\r\n").unwrap();
        pcap.datagram(Micros(1), ends("127.0.0.1:1", "127.0.0.1:2"), &[7; 100], Fate::Passed).unwrap();
        pcap.into_inner()
    };
    assert_eq!(write(), write());
}

#[test]
fn what_is_too_long_for_a_packet_is_an_error() {
    let mut pcap = Pcap::new(Vec::new(), EPOCH).unwrap();
    assert!(
        pcap.datagram(Micros(0), ends("127.0.0.1:1", "127.0.0.1:2"), &vec![0; 65_600], Fate::Passed).is_err()
    );
}

#[test]
fn a_connection_begins_counts_its_bytes_both_ways_and_ends() {
    let (up, down) = (ends("127.0.0.1:1", "127.0.0.1:2"), ends("127.0.0.1:2", "127.0.0.1:1"));
    let all = capture(|pcap| {
        let mut talk = Conversations::default();
        talk.open(pcap, Micros(0), up)?;
        talk.data(pcap, Micros(1), up, &[1; 100])?;
        talk.data(pcap, Micros(2), down, &[2; 30])?;
        talk.data(pcap, Micros(3), up, &vec![1; 70_000])?;
        talk.close(pcap, Micros(4), down)
    });
    let mut expected = [1u32, 1];
    let mut ends = [false, false];
    for (number, read) in all.iter().enumerate() {
        let packet = SlicedPacket::from_ip(&read.bytes).unwrap();
        let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { panic!("TCP") };
        let way = usize::from(tcp.source_port() == 2);
        if number < 2 {
            assert!(tcp.syn() && tcp.sequence_number() == 0 && tcp.ack() == (number == 1));
            continue;
        }
        assert!(tcp.ack() && !tcp.syn());
        assert_eq!(tcp.sequence_number(), expected[way], "segment {number}");
        assert!(tcp.acknowledgment_number() <= expected[1 - way]);
        expected[way] += tcp.payload().len() as u32 + u32::from(tcp.fin());
        ends[way] |= tcp.fin();
    }
    assert_eq!((expected, ends), ([1 + 70_100 + 1, 1 + 30 + 1], [true, true]));
}
