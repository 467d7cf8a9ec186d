//! Any redundant payloads (RFC 2198) and copies of packets (RFC 7198), in any order: nothing is delivered twice, and the counts agree with each other.
#![no_main]

use std::collections::HashSet;

use _engine::engine::coding::{Coding, Encoding, PayloadTypes, REDUNDANT};
use _engine::engine::config::Wire;
use _engine::engine::format::Format;
use _engine::engine::stream::queue::{Head, Origin};
use _engine::engine::stream::receiver::Receiver;
use _engine::engine::time::Micros;
use _engine::engine::wire::rtp::RtpHeader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, Vec<(u8, u8, Vec<u8>)>)| {
    let (opus, steps) = input;
    let (coding, format) = if opus { (Coding::Opus, Format::opus(1)) } else { (Coding::L16, Format::NARROW) };
    let types = PayloadTypes::new(format);
    let encoding = Encoding { coding, format };
    let receiver = Receiver::new(1, Wire::Rtp, encoding, &types).expect("the fuzzer is built with Opus");
    let mut receiver = receiver.believed_at_once();
    let mut whole = HashSet::new();
    for (n, (kind, step, payload)) in steps.iter().take(32).enumerate() {
        let at = n as u32 + u32::from(*step);
        let header = RtpHeader {
            payload_type: if kind & 1 == 0 { REDUNDANT } else { kind >> 1 },
            sequence: at as u16,
            timestamp: at * 80,
            ssrc: 5,
            marker: false,
        };
        let mut packet = header.to_bytes().to_vec();
        packet.extend_from_slice(payload);
        let arrival = Micros(3_600_000_000 + n as u64 * 10_000);
        let mut deliver = |head: Head, samples: &[i16]| {
            assert_eq!(head.frames as usize, samples.len());
            // What is converted comes in pieces of its own, which belong to the packet that completed them.
            let as_sent = types.sound(head.payload_type).is_some_and(|encoding| encoding.format == format);
            if head.origin == Origin::Received && as_sent {
                assert!(whole.insert((head.epoch, head.sequence)));
            }
        };
        if kind & 0x80 == 0 {
            let _ = receiver.receive(&packet, arrival, &mut deliver);
        } else {
            let _ = receiver.receive_copy(&packet, arrival, &mut deliver);
        }
        let r = receiver.reception();
        assert!(r.repaired <= r.lost);
        assert_eq!(r.lost + r.received, r.expected + r.duplicated);
    }
});
