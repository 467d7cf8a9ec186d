//! What goes over the wire: a piece of the stream, or an acknowledgement of it.

/// A segment. Sequence numbers count the stream's bytes from 0 and do not wrap; a capture adds its initial number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// The place of its first byte.
    pub seq: u64,
    /// Its bytes; none where it only acknowledges.
    pub payload: Vec<u8>,
    /// The sender had no more to say behind it (PSH).
    pub push: bool,
    /// All bytes before this have arrived.
    pub ack: u64,
    /// What has arrived beyond.
    pub sacks: Sacks,
    /// The timestamp option (RFC 7323), ms: when it was sent, and the stamp it answers.
    pub stamp: u32,
    /// See [`stamp`](Self::stamp).
    pub echo: u32,
}

/// Up to three blocks of a selective acknowledgement (RFC 2018), as many as fit beside timestamps, the newest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sacks {
    blocks: [(u64, u64); 3],
    count: usize,
    duplicate: bool,
}

impl Segment {
    /// The place behind its last byte.
    pub fn end(&self) -> u64 {
        self.seq + self.payload.len() as u64
    }

    /// Its length with its headers: IPv4, TCP, timestamps, SACK blocks.
    pub fn wire_bytes(&self) -> usize {
        let sack = if self.sacks.count > 0 { 4 + 8 * self.sacks.count } else { 0 };
        IP_HEADER + TCP_HEADER + sack + self.payload.len()
    }
}

impl Sacks {
    /// Adds a block, if there is room.
    pub fn push(&mut self, start: u64, end: u64) {
        if let Some(place) = self.blocks.get_mut(self.count) {
            *place = (start, end);
            self.count += 1;
        }
    }

    /// Adds a first block that says what has come twice (RFC 2883).
    pub fn push_duplicate(&mut self, start: u64, end: u64) {
        self.push(start, end);
        self.duplicate = true;
    }

    /// Adds the block that says what has come twice, where there is one.
    pub fn duplicate(&self) -> Option<(u64, u64)> {
        if self.duplicate { Some(self.blocks[0]) } else { None }
    }

    /// The blocks beyond what is acknowledged, without that of a duplicate.
    pub fn arrived(&self) -> &[(u64, u64)] {
        &self.blocks[usize::from(self.duplicate)..self.count]
    }

    /// All blocks, in their order on the wire.
    pub fn all(&self) -> &[(u64, u64)] {
        &self.blocks[..self.count]
    }
}

/// IPv4 without options, bytes.
const IP_HEADER: usize = 20;
/// TCP with the timestamp option, padded, bytes.
const TCP_HEADER: usize = 32;
