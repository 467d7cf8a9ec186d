<<<<<<< HEAD
//! Any bytes on a TCP connection, cut in two ways: bounded, and the same packets from both.
=======
//! Any byte stream gives the same packets, whatever pieces it comes in, and never more than it holds.
>>>>>>> house
#![no_main]

use _engine::engine::config::{BlockSize, Wire};
use _engine::engine::format::Format;
use _engine::engine::wire::framing::Deframer;
use libfuzzer_sys::fuzz_target;

<<<<<<< HEAD
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
=======
fuzz_target!(|input: (u8, u8, &[u8])| {
    let (choice, piece, stream) = input;
    let wire = [None, Some(Wire::Rtp), Some(Wire::Classic)][usize::from(choice % 3)];
    let whole = packets(wire, stream, stream.len().max(1));
    let pieces = packets(wire, stream, usize::from(piece).max(1));
    assert_eq!(whole, pieces);
    assert!(whole.iter().flatten().map(Vec::len).sum::<usize>() <= stream.len());
});

fn packets(wire: Option<Wire>, stream: &[u8], piece: usize) -> Vec<Option<Vec<u8>>> {
    let Ok(format) = Format::new(8_000, 1) else { unreachable!("a valid format") };
    let mut deframer = Deframer::new(wire, format, BlockSize::default());
    let mut found = Vec::new();
    for part in stream.chunks(piece) {
        deframer.push(part);
        while let Some(packet) = deframer.next() {
            found.push(packet.ok().map(|packet| packet.bytes().to_vec()));
        }
    }
    deframer.finish();
    while let Some(packet) = deframer.next() {
        found.push(packet.ok().map(|packet| packet.bytes().to_vec()));
    }
    found
}
>>>>>>> house
