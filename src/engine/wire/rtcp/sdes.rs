//! Who the sources are (RFC 3550 §6.5).

use super::word;
use crate::engine::printable::printable_bytes;

/// What several sources say of themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks<'a> {
    count: u8,
    bytes: &'a [u8],
}

/// What one source says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The source.
    pub ssrc: u32,
    /// What it says.
    pub items: Items<'a>,
}

/// The items of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Items<'a>(&'a [u8]);

/// One item: [`CNAME`], [`NAME`], …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// What it is.
    pub kind: u8,
    /// The text, which should be UTF-8.
    pub bytes: &'a [u8],
}

impl Item<'_> {
    /// The text, fit for a log or a terminal.
    pub fn text(self) -> String {
        printable_bytes(self.bytes)
    }
}

impl<'a> Items<'a> {
    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = Item<'a>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (item, after) = split_item(rest)?;
            rest = after;
            Some(item)
        })
    }
}

impl<'a> Chunks<'a> {
    /// One after the other, at most 31.
    pub fn iter(self) -> impl Iterator<Item = Chunk<'a>> {
        let mut rest = self.bytes;
        (0..self.count).map_while(move |_| {
            let (chunk, after) = split_chunk(rest)?;
            rest = after;
            Some(chunk)
        })
    }

    pub(super) fn parse(count: u8, bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        for _ in 0..count {
            (_, rest) = split_chunk(rest)?;
        }
        Some(Self { count, bytes })
    }
}

/// A chunk ends with one to four zeros, at a whole word.
fn split_chunk(bytes: &[u8]) -> Option<(Chunk<'_>, &[u8])> {
    let (ssrc, body) = word(bytes)?;
    let mut rest = body;
    while *rest.first()? != 0 {
        (_, rest) = split_item(rest)?;
    }
    let items = body.len() - rest.len();
    let after = body.get((items + 1).next_multiple_of(4)..)?;
    Some((Chunk { ssrc, items: Items(&body[..items]) }, after))
}

fn split_item(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (&[kind, length], rest) = bytes.split_first_chunk()?;
    let (text, after) = rest.split_at_checked(usize::from(length))?;
    Some((Item { kind, bytes: text }, after))
}

/// The name by which a source is known for good (§6.5.1, RFC 7022).
pub const CNAME: u8 = 1;
/// The user's name (§6.5.2).
pub const NAME: u8 = 2;
/// The program (§6.5.6).
pub const TOOL: u8 = 6;
