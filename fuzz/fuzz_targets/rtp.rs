<<<<<<< HEAD
//! Any datagrams at an RTP receiver: it never panics, and every packet is accounted for.
//!
//! The input is a series of datagrams, each behind a byte of time and two of length.
#![no_main]

use _engine::engine::config::Wire;
use _engine::engine::format::Format;
use _engine::engine::stream::receiver::Receiver;
use _engine::engine::time::Micros;
use _engine::engine::wire::rtp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok((header, payload)) = rtp::parse(data) {
        assert!(payload.len() + rtp::RtpHeader::LEN <= data.len());
        assert_eq!(rtp::parse(&header.to_bytes()).unwrap().0, header);
    }
    let mut receiver = Receiver::new(0, Wire::Rtp, Format::DEFAULT);
    let (mut now, mut sent, mut refused) = (3_600_000_000u64, 0u64, 0u64);
    let mut rest = data;
    while let Some((&[time, high, low], body)) = rest.split_first_chunk() {
        let (packet, later) = body.split_at(body.len().min(usize::from(high) << 8 | usize::from(low)));
        now += u64::from(time) * u64::from(time) * 1000;
        sent += 1;
        refused += u64::from(receiver.receive(packet, Micros(now), &mut |_, _| {}).is_err());
        refused += receiver.take_refused();
        let counted = receiver.reception();
        assert_eq!(counted.received + refused + receiver.held(), sent);
        assert_eq!(counted.lost + counted.received, counted.expected + counted.duplicated);
        rest = later;
    }
=======
//! Any datagram is parsed without panic; what is believed reads back the same once written.
#![no_main]

use _engine::engine::format::Format;
use _engine::engine::wire::rtp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| {
    if let Ok((header, payload)) = rtp::parse(packet) {
        assert!(payload.len() + rtp::RtpHeader::LEN <= packet.len());
        let mut written = Vec::new();
        header.write(&mut written);
        written.extend_from_slice(payload);
        assert_eq!(rtp::parse(&written), Ok((header, payload)));
    }
    rtp::could_be(packet, Format::DEFAULT);
    rtp::is_rtcp(packet);
>>>>>>> house
});
