<<<<<<< HEAD
//! Any classic packets at a receiver: it never panics, and every packet is accounted for.
//!
//! The input is a series of five bytes: time, sequence number, and length in chunks of 10 ms (or none, for a malformed one).
#![no_main]

use _engine::engine::config::Wire;
use _engine::engine::format::Format;
use _engine::engine::stream::receiver::Receiver;
use _engine::engine::time::Micros;
use _engine::engine::wire::classic;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let format = Format::DEFAULT;
    let _ = classic::parse(data, format);
    let mut receiver = Receiver::new(0, Wire::Classic, format);
    let (mut now, mut sent, mut refused) = (3_600_000_000u64, 0u64, 0u64);
    for &[time, s0, s1, chunks] in data.as_chunks().0 {
        let mut packet = vec![0; classic::packet_bytes(format, usize::from(chunks % 17))];
        packet[..2].copy_from_slice(&[s0, s1]);
        now += u64::from(time) * u64::from(time) * 1000;
        sent += 1;
        refused += u64::from(receiver.receive(&packet, Micros(now), &mut |_, _| {}).is_err());
        refused += receiver.take_refused();
        let counted = receiver.reception();
        assert_eq!(counted.received + refused + receiver.held(), sent);
        assert_eq!(counted.lost + counted.received, counted.expected + counted.duplicated);
=======
//! Any datagram is parsed without panic; what is believed is whole chunks.
#![no_main]

use _engine::engine::format::Format;
use _engine::engine::wire::classic;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| {
    for channels in 1..=2 {
        let Ok(format) = Format::new(8_000, channels) else { unreachable!("a valid format") };
        let parsed = classic::parse(packet, format);
        assert_eq!(parsed.is_ok(), classic::could_be(packet, format));
        if let Ok((_, pcm)) = parsed {
            assert_eq!(pcm.len() % classic::chunk_bytes(format), 0);
            assert!(!pcm.is_empty());
        }
>>>>>>> house
    }
});
