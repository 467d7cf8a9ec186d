//! Packets of one block as the transport takes them, kept so that a stalled one can wait.

use crate::engine::stream::repeat::{Outgoing, Repeater};
use crate::engine::stream::sender::Packet;
use crate::engine::wire::framing;

/// Packets in one piece of memory.
#[derive(Default)]
pub struct Packets {
    bytes: Vec<u8>,
    ends: Vec<End>,
    /// RTP on a stream goes in RFC 4571 frames.
    framed: bool,
}

/// Where a packet ends, and what it is.
struct End {
    at: usize,
    copies: u8,
    is_copy: bool,
}

impl Packets {
    /// None yet; in RFC 4571 frames, where they are `framed`.
    pub fn new(framed: bool) -> Self {
        Self { framed, ..Self::default() }
    }

    /// Takes a packet, with copies of earlier ones where there is a `repeater`.
    pub fn take(&mut self, packet: &Packet<'_>, repeater: Option<&mut Repeater>) {
        match repeater {
            Some(repeater) => repeater.push(packet, &mut |outgoing| self.add(outgoing)),
            None => self.add(Outgoing { bytes: packet.bytes, copies: 0, is_copy: false }),
        }
    }

    /// Takes what goes over the wire.
    pub fn add(&mut self, outgoing: Outgoing<'_>) {
        if self.framed {
            framing::write_frame(outgoing.bytes, &mut self.bytes);
        } else {
            self.bytes.extend_from_slice(outgoing.bytes);
        }
        let Outgoing { copies, is_copy, .. } = outgoing;
        self.ends.push(End { at: self.bytes.len(), copies, is_copy });
    }

    /// All, in the order in which they came, each behind its frame header.
    pub fn iter(&self) -> impl Iterator<Item = Outgoing<'_>> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let bytes = &self.bytes[std::mem::replace(&mut start, end.at)..end.at];
            Outgoing { bytes, copies: end.copies, is_copy: end.is_copy }
        })
    }

    /// Bytes of the header before each.
    pub const fn header(&self) -> usize {
        if self.framed { 2 } else { 0 }
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}
