//! Sound and copies of earlier sound in one packet: the payload of RFC 2198.
//!
//! Each older block comes with its payload type, how far it lies behind the packet's timestamp, and its length; the
//! newest comes last, with its type alone. The older a block, the earlier it stands.

use super::Malformed;

/// One block of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// What it is.
    pub payload_type: u8,
    /// How many frames it lies behind the packet's timestamp; zero for the newest.
    pub behind: u16,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// The blocks of a payload, as they stand in it: the newest last. There is at least one.
#[derive(Clone, Copy, Debug)]
pub struct Blocks<'a> {
    blocks: [Block<'a>; MAX_BLOCKS],
    count: usize,
}

impl<'a> Blocks<'a> {
    /// The copies of earlier sound.
    pub fn older(&self) -> &[Block<'a>] {
        &self.blocks[..self.count - 1]
    }

    /// The packet's own sound.
    pub fn newest(&self) -> &Block<'a> {
        &self.blocks[self.count - 1]
    }
}

/// Splits a payload; what its headers announce must be there, all of it and no more than [`MAX_BLOCKS`].
pub fn parse(payload: &[u8]) -> Result<Blocks<'_>, Malformed> {
    let mut blocks = [Block { payload_type: 0, behind: 0, bytes: &[] }; MAX_BLOCKS];
    let mut lengths = [0; MAX_BLOCKS];
    let mut count = 0;
    let mut rest = payload;
    loop {
        let (&first, after) = rest.split_first().ok_or(Malformed::Short)?;
        let block = blocks.get_mut(count).ok_or(Malformed::Header)?;
        block.payload_type = first & 0x7f;
        if first & MORE == 0 {
            rest = after;
            break;
        }
        let (&[a, b, c], after) = after.split_first_chunk().ok_or(Malformed::Short)?;
        let word = u32::from_be_bytes([0, a, b, c]);
        block.behind = (word >> 10) as u16;
        lengths[count] = (word & 0x3ff) as usize;
        count += 1;
        rest = after;
    }
    for (block, &length) in blocks[..count].iter_mut().zip(&lengths) {
        (block.bytes, rest) = rest.split_at_checked(length).ok_or(Malformed::Header)?;
    }
    blocks[count].bytes = rest;
    Ok(Blocks { blocks, count: count + 1 })
}

/// Appends a payload of `older` blocks, the oldest first, and the newest. Whoever calls it has asked [`can_carry`].
pub fn write(older: &[Block<'_>], newest: Block<'_>, out: &mut Vec<u8>) {
    for block in older {
        out.push(MORE | block.payload_type & 0x7f);
        let word = u32::from(block.behind) << 10 | block.bytes.len() as u32 & 0x3ff;
        out.extend_from_slice(&word.to_be_bytes()[1..]);
    }
    out.push(newest.payload_type & 0x7f);
    for block in older {
        out.extend_from_slice(block.bytes);
    }
    out.extend_from_slice(newest.bytes);
}

/// Whether a block of so many bytes, so far behind, can be an older one.
pub const fn can_carry(bytes: usize, behind: u32) -> bool {
    bytes <= MAX_BYTES && behind <= MAX_BEHIND
}

/// Bytes that an older block's header takes; the newest's takes one.
pub const HEADER: usize = 4;

/// The longest older block: its length has 10 bits.
pub const MAX_BYTES: usize = 0x3ff;

/// How far an older block can lie behind: 14 bits.
pub const MAX_BEHIND: u32 = 0x3fff;

/// Blocks in a payload at most.
pub const MAX_BLOCKS: usize = 16;

/// Another block's header follows.
const MORE: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_layout_is_the_rfcs() {
        let mut out = Vec::new();
        let older = [Block { payload_type: 5, behind: 0x1234, bytes: &[1, 2, 3] }];
        write(&older, Block { payload_type: 111, behind: 0, bytes: &[9] }, &mut out);
        assert_eq!(out, [0x85, 0x48, 0xd0, 0x03, 111, 1, 2, 3, 9]);
    }

    #[test]
    fn what_its_headers_announce_must_be_there() {
        assert_eq!(parse(&[]).unwrap_err(), Malformed::Short);
        assert_eq!(parse(&[0x85, 0, 0]).unwrap_err(), Malformed::Short);
        assert_eq!(parse(&[0x85, 0, 0, 2, 111, 1]).unwrap_err(), Malformed::Header);
        assert_eq!(parse(&[0x85, 0, 0, 0].repeat(40)).unwrap_err(), Malformed::Header);
        let alone = parse(&[111]).unwrap();
        assert!(alone.older().is_empty() && alone.newest().bytes.is_empty());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            older in prop::collection::vec((0u8..128, 0u16..0x4000, prop::collection::vec(any::<u8>(), 0..1024)), 0..MAX_BLOCKS),
            payload_type in 0u8..128,
            newest in prop::collection::vec(any::<u8>(), 0..1500),
        ) {
            let older: Vec<Block> =
                older.iter().map(|(t, behind, bytes)| Block { payload_type: *t, behind: *behind, bytes }).collect();
            let newest = Block { payload_type, behind: 0, bytes: &newest };
            let mut out = Vec::new();
            write(&older, newest, &mut out);
            let blocks = parse(&out).unwrap();
            prop_assert_eq!(blocks.older(), &older[..]);
            prop_assert_eq!(*blocks.newest(), newest);
        }

        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(blocks) = parse(&bytes) {
                let inside: usize = blocks.older().iter().map(|b| b.bytes.len() + HEADER).sum();
                prop_assert_eq!(inside + 1 + blocks.newest().bytes.len(), bytes.len());
            }
        }
    }
}
