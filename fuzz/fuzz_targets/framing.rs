//! Any byte stream gives the same packets, whatever pieces it comes in, and never more than it holds.
#![no_main]

use _engine::engine::coding::PayloadTypes;
use _engine::engine::config::{BlockSize, Wire};
use _engine::engine::format::Format;
use _engine::engine::wire::framing::Deframer;
use libfuzzer_sys::fuzz_target;

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
    let mut deframer = Deframer::new(wire, PayloadTypes::new(format), format, BlockSize::default());
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
