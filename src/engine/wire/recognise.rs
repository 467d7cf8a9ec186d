//! What a byte stream is, by its first bytes; and how long its classic packets are, by their sequence numbers.

use super::content::content_of;
use super::framing::MAX_FRAME;
use super::{classic, rtp};
use crate::engine::coding::{DYNAMIC, PayloadTypes};
use crate::engine::format::Format;

/// Whether bytes are what one takes them for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// For sure.
    Yes,
    /// More of them will tell.
    Perhaps,
    /// By no means.
    No,
}

/// How long classic packets are.
pub(super) enum Guess {
    /// So many bytes.
    Length(usize),
    /// More bytes will tell.
    Undecided,
    /// These are no classic packets.
    None,
}

/// Where classic packets begin.
pub(super) enum Found {
    /// At `offset`, each of `length` bytes.
    At { offset: usize, length: usize },
    /// Nowhere before `clear`; from there on, more bytes will tell.
    Nowhere { clear: usize },
}

/// The lengths that a classic packet may have.
pub(super) struct Lengths {
    format: Format,
    hint: usize,
}

impl Lengths {
    /// All sizes of `format`; `hint` is the most likely length in bytes.
    pub(super) fn new(format: Format, hint: usize) -> Self {
        Self { format, hint }
    }

    /// The longest packet.
    pub(super) fn longest(&self) -> usize {
        classic::packet_bytes(self.format, classic::MAX_CHUNKS)
    }

    /// Which length the classic packets at the start of `bytes` have. The first length that is proven, or that alone is
    /// left with two numbers to its credit, wins: in the order of the bytes, however many of them have come.
    pub(super) fn find(&self, bytes: &[u8]) -> Guess {
        let runs: Vec<(usize, Run)> =
            self.iter().map(|length| (length, follow(bytes, length, self.enough(length)))).collect();
        let alone_from = |length: usize| {
            let others = runs.iter().filter(|(other, _)| *other != length);
            let refuted = others.map(|(_, run)| if run.end == End::Refuted { run.at } else { usize::MAX });
            refuted.fold(2 * length + classic::HEADER, usize::max)
        };
        let decided = runs.iter().filter_map(|&(length, run)| {
            let alone = alone_from(length);
            let at = match run.end {
                End::Proven => alone.min(run.at),
                End::Refuted if alone < run.at => alone,
                End::Open if alone <= bytes.len() => alone,
                _ => return None,
            };
            Some((at, length))
        });
        match decided.min() {
            Some((_, length)) => Guess::Length(length),
            None if runs.iter().all(|(_, run)| run.end == End::Refuted) => Guess::None,
            None => Guess::Undecided,
        }
    }

    /// The same when no more bytes will come: packets that end where the bytes end are the best of guesses.
    pub(super) fn last_guess(&self, bytes: &[u8]) -> Guess {
        self.iter()
            .filter(|length| bytes.len() >= *length)
            .map(|length| (length, follow(bytes, length, u32::MAX)))
            .filter(|(_, run)| run.end == End::Open)
            .max_by_key(|(length, run)| {
                (bytes.len().is_multiple_of(*length), run.weight, *length == self.hint)
            })
            .map_or(Guess::None, |(length, _)| Guess::Length(length))
    }

    /// What it takes to believe in a length; the configured one needs half.
    fn enough(&self, length: usize) -> u32 {
        if length == self.hint { ENOUGH / 2 } else { ENOUGH }
    }

    /// The first place in `bytes` from which packets go on.
    pub(super) fn find_anywhere(&self, bytes: &[u8]) -> Found {
        let mut clear = None;
        for offset in 0..bytes.len() {
            for length in self.iter() {
                match follow(&bytes[offset..], length, ENOUGH).end {
                    End::Proven => return Found::At { offset, length },
                    End::Open if clear.is_none() => clear = Some(offset),
                    End::Open | End::Refuted => {}
                }
            }
        }
        Found::Nowhere { clear: clear.unwrap_or(bytes.len()) }
    }

    /// The lengths that a classic packet can have, the configured one first.
    fn iter(&self) -> impl Iterator<Item = usize> {
        let (format, hint) = (self.format, self.hint);
        let others = (1..=classic::MAX_CHUNKS).map(move |chunks| classic::packet_bytes(format, chunks));
        std::iter::once(hint).chain(others.filter(move |&length| length != hint))
    }
}

/// How far sequence numbers count up at one distance.
#[derive(Clone, Copy)]
struct Run {
    weight: u32,
    end: End,
    /// The bytes that it took to see that.
    at: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The numbers were many enough.
    Proven,
    /// One number was wrong.
    Refuted,
    /// The bytes ended.
    Open,
}

/// Follows the sequence numbers at `length` from each other until there is `enough` evidence.
fn follow(bytes: &[u8], length: usize, enough: u32) -> Run {
    let mut run = Run { weight: 0, end: End::Open, at: classic::HEADER };
    let Some(mut expected) = number(bytes, 0) else { return run };
    let mut at = length;
    while let Some(found) = number(bytes, at) {
        run.at = at + classic::HEADER;
        expected = expected.wrapping_add(1);
        if found != expected {
            run.end = End::Refuted;
            break;
        }
        // A small number also is a quiet sample, and proves less.
        run.weight += if (found as i16).unsigned_abs() < 256 { QUIET_WEIGHT } else { LOUD_WEIGHT };
        if run.weight >= enough {
            run.end = End::Proven;
            break;
        }
        at += length;
    }
    run
}

/// The sequence number at a place.
pub(super) fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Whether `bytes` begin with RFC 4571 frames: RTP that we know, and RTP from the same source after it.
pub(super) fn frames_fit(bytes: &[u8], types: &PayloadTypes) -> Fit {
    let mut at = 0;
    let mut before: Option<rtp::RtpHeader> = None;
    loop {
        let Some((&length, body)) = bytes[at..].split_first_chunk() else { return Fit::Perhaps };
        let length = usize::from(u16::from_be_bytes(length));
        if !(MIN_FRAME..=MAX_FRAME).contains(&length) {
            return Fit::No;
        }
        // The header alone tells a stranger early, and a second frame need not be whole.
        let head = &body[..body.len().min(length)];
        if !plausible_start(head, types) {
            return Fit::No;
        }
        if head.len() < rtp::RtpHeader::LEN.min(length) {
            return Fit::Perhaps;
        }
        if !rtp::is_rtcp(head) {
            let Some(&(mut fixed)) = head.first_chunk::<{ rtp::RtpHeader::LEN }>() else { return Fit::No };
            // What follows the fixed header may not have come yet.
            fixed[0] &= 0xc0;
            let Ok((header, _)) = rtp::parse(&fixed) else { return Fit::No };
            if let Some(before) = before {
                let step = header.sequence.wrapping_sub(before.sequence);
                let follows = header.ssrc == before.ssrc && (1..=MAX_STEP).contains(&step);
                return if follows { Fit::Yes } else { Fit::No };
            }
            if body.len() >= length && content_of(head, types).is_none() {
                return Fit::No;
            }
            before = Some(header);
        }
        if body.len() < length {
            return Fit::Perhaps;
        }
        at += 2 + length;
    }
}

/// Whether the first bytes of a frame's body could go on as RTP or RTCP.
fn plausible_start(head: &[u8], types: &PayloadTypes) -> bool {
    match *head {
        [] => true,
        [flags] => flags >> 6 == 2,
        [flags, second, ..] => flags >> 6 == 2 && (rtp::is_rtcp(head) || may_begin(second & 0x7f, types)),
    }
}

/// Whether a stream may begin with such a packet: what follows it is the better evidence.
fn may_begin(payload_type: u8, types: &PayloadTypes) -> bool {
    payload_type >= DYNAMIC || types.get(payload_type).is_some()
}

/// RTCP's shortest packet (an empty receiver report) is 8 bytes.
const MIN_FRAME: usize = 8;

/// How far apart the first two sequence numbers of a framed stream may be.
const MAX_STEP: u16 = 3000;

/// Bits of evidence for a classic length: chance hits at fifteen lengths and some thousand offsets stay rare.
const ENOUGH: u32 = 24;

/// What a sequence number near zero proves: samples of a quiet room take its value once in eight times.
const QUIET_WEIGHT: u32 = 3;

/// What any other sequence number proves, not quite its sixteen bits.
const LOUD_WEIGHT: u32 = 12;
