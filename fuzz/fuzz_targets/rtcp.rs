//! Any datagram is parsed without panic, and what is believed can be read to the end; reports read back once written.
#![no_main]

use _engine::engine::wire::rtcp::{Compound, Packet, write_receiver_report};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    let Ok(compound) = Compound::parse(datagram) else { return };
    let mut seen = usize::from(compound.is_reduced());
    for packet in compound.packets() {
        match packet {
            Packet::SenderReport { ssrc, blocks, .. } | Packet::ReceiverReport { ssrc, blocks } => {
                let blocks: Vec<_> = blocks.iter().collect();
                let mut written = Vec::new();
                write_receiver_report(ssrc, &blocks, &mut written);
                let again = Compound::parse(&written).expect("what is written is read");
                let Some(Packet::ReceiverReport { blocks: read, .. }) = again.packets().next() else {
                    panic!("a receiver report");
                };
                assert!(read.iter().eq(blocks));
            }
            Packet::Description(chunks) => {
                seen += chunks.iter().flat_map(|chunk| chunk.items.iter()).map(|item| item.text().len()).sum::<usize>();
            }
            Packet::Goodbye(goodbye) => seen += goodbye.sources().count() + goodbye.reason().len(),
            Packet::Extended { blocks, .. } => seen += blocks.iter().count(),
            Packet::Application { data, .. } => seen += data.len(),
            Packet::Other(_) => {}
        }
    }
    // A text may grow by the mark that takes the place of a byte which is none.
    assert!(seen <= 3 * datagram.len() + 1);
});
