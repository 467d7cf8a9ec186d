//! Any datagram is parsed without panic; what is believed reads back the same once written.
#![no_main]

use _engine::engine::coding::PayloadTypes;
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
    rtp::could_be(packet, &PayloadTypes::new(Format::DEFAULT));
    rtp::is_rtcp(packet);
});
