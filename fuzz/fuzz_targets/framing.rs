//! Any bytes on a TCP connection, cut in two ways: bounded, and the same packets from both.
#![no_main]

use _engine::engine::config::{BlockSize, Wire};
use _engine::engine::format::Format;
use _engine::engine::wire::framing::Deframer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&[choice, piece], data)) = data.split_first_chunk() else { return };
    let wire = [None, Some(Wire::Rtp), Some(Wire::Classic)][usize::from(choice % 3)];
    // A small format has short packets, so that short inputs reach far.
    let format = Format::new(8_000, 1).unwrap();
    let take = |piece: usize| {
        let mut deframer = Deframer::new(wire, format, BlockSize::default());
        let mut packets = Vec::new();
        for bytes in data.chunks(piece) {
            deframer.push(bytes);
            while let Some(next) = deframer.next() {
                packets.extend(next.map(|packet| packet.bytes().to_vec()));
            }
        }
        deframer.finish();
        while let Some(next) = deframer.next() {
            packets.extend(next.map(|packet| packet.bytes().to_vec()));
        }
        assert!(packets.iter().map(Vec::len).sum::<usize>() <= data.len());
        packets
    };
    let fine = take(usize::from(piece) + 1);
    // A search for lost synchrony looks now and then, so that only frames are sure to be the same.
    if wire == Some(Wire::Rtp) {
        assert_eq!(fine, take(4096));
    }
});
