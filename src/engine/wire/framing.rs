//! Packets out of a TCP byte stream, however it was cut: RFC 4571 frames, or classic packets back to back.
//!
//! Guaranteed: the same packets for the same bytes, whatever pieces they come in; memory bounded by [`Deframer::limit`] and
//! the largest piece; no more than a glance at each byte. Not guaranteed: that the packets make sense; their receiver sees to that.
//!
//! Classic packets have no length on the wire, and the sender's `size` is unknown. It is found by the sequence numbers:
//! the packet is as long as it takes for them to count up by one from place to place.

use super::recognise::{Fit, Found, Guess, Lengths, frames_fit, number};
use super::{Malformed, classic, rtp};
use crate::engine::coding::PayloadTypes;
use crate::engine::config::{BlockSize, Wire};
use crate::engine::format::Format;

/// One packet, without what framed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The body of an RFC 4571 frame: RTP, or RTCP on a connection that carries both.
    Rtp(&'a [u8]),
    /// A classic packet with its sequence number.
    Classic(&'a [u8]),
}

impl<'a> Packet<'a> {
    /// The packet's bytes.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Self::Rtp(bytes) | Self::Classic(bytes) => bytes,
        }
    }
}

/// Appends a packet's RFC 4571 frame: its length in 16 bits, then itself. The packet is at most 65,535 bytes long.
pub fn write_frame(packet: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(packet.len() as u16).to_be_bytes());
    out.extend_from_slice(packet);
}

/// The reading end of one TCP connection.
///
/// Push what the socket gave, then take [`next`](Self::next) until there is none; so nothing but the rest of a packet (or, as
/// long as the wire is unknown, what it takes to know it) is kept.
pub struct Deframer {
    wire: Option<Wire>,
    payloads: PayloadTypes,
    lengths: Lengths,
    buffer: Vec<u8>,
    /// Where the bytes begin that were not given yet.
    start: usize,
    state: State,
    /// Bytes in which no packet was found.
    skipped: usize,
    finished: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The wire, or the classic size, is not known yet.
    Unknown,
    /// Frames follow each other; so many in a row were no RTP.
    Frames { bad: u32 },
    /// Packets of `length` bytes follow each other, the next one with number `sequence`.
    Packets { length: usize, sequence: u16 },
    /// No packet begins where one should; it is worth another look when `look` bytes are there.
    Searching { look: usize },
    /// Nothing fits.
    Hopeless,
}

impl Deframer {
    /// For a new connection. `wire` is `None` where it must be found out: framed RTP is known by its `payloads`, classic
    /// packets by their `format`; `size` is where the search for a classic sender's begins.
    pub fn new(wire: Option<Wire>, payloads: PayloadTypes, format: Format, size: BlockSize) -> Self {
        let lengths = Lengths::new(format, classic::packet_bytes(format, size.chunks()));
        let state = if wire == Some(Wire::Rtp) { State::Frames { bad: 0 } } else { State::Unknown };
        Self { wire, payloads, lengths, buffer: Vec::new(), start: 0, state, skipped: 0, finished: false }
    }

    /// Takes bytes as they come. Bytes that would go beyond [`limit`](Self::limit) plus 64 KiB, because nobody asked for
    /// packets, end the connection.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.is_hopeless() || self.finished {
            return;
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.len() + bytes.len() > self.limit() + MAX_PUSH {
            self.give_up();
        } else {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next packet, or what is wrong with the bytes; `None` until more are pushed.
    #[allow(clippy::should_implement_trait, reason = "the packet is lent, as an iterator's item cannot be")]
    pub fn next(&mut self) -> Option<Result<Packet<'_>, Malformed>> {
        loop {
            let step = match self.state {
                State::Unknown => self.recognise(),
                State::Frames { bad } => self.frame(bad),
                State::Packets { length, sequence } => self.packet(length, sequence),
                State::Searching { look } => self.search(look),
                State::Hopeless => return None,
            };
            match step {
                Step::Again => {}
                Step::Wait if self.finished && !self.rest().is_empty() => {
                    self.give_up();
                    return Some(Err(Malformed::Truncated));
                }
                Step::Wait => return None,
                Step::Wrong(why) => return Some(Err(why)),
                Step::Frame(from, to) => return Some(Ok(Packet::Rtp(&self.buffer[from..to]))),
                Step::Packet(from, to) => return Some(Ok(Packet::Classic(&self.buffer[from..to]))),
            }
        }
    }

    /// The peer has closed: what is left is decided with what there is, and given by [`next`](Self::next). A last packet that
    /// is not whole is malformed: where its sound belongs is known, but not that its bytes are all its own.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// The connection's wire, as told or found.
    pub fn wire(&self) -> Option<Wire> {
        self.wire
    }

    /// Whether no packet can come out of this connection any more: close it.
    pub fn is_hopeless(&self) -> bool {
        self.state == State::Hopeless
    }

    /// The bytes kept at most between two calls: 64 KiB, or two classic packets where those are longer, and one frame.
    pub fn limit(&self) -> usize {
        self.window() + MAX_FRAME + 2
    }

    /// How many bytes it may take to know the wire.
    fn window(&self) -> usize {
        (64 * 1024).max(2 * self.lengths.longest() + classic::HEADER)
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn give_up(&mut self) {
        self.state = State::Hopeless;
        self.buffer = Vec::new();
        self.start = 0;
    }

    /// Takes one RFC 4571 frame. An empty one is a null packet, sent to keep the connection alive.
    fn frame(&mut self, bad: u32) -> Step {
        let Some((&length, body)) = self.rest().split_first_chunk() else { return Step::Wait };
        let length = usize::from(u16::from_be_bytes(length));
        if length > MAX_FRAME {
            self.give_up();
            return Step::Wrong(Malformed::FrameLength);
        }
        let Some(body) = body.get(..length) else { return Step::Wait };
        // There is no way back into a stream of frames but to trust their lengths; a run of nonsense says not to.
        let believable = length == 0 || rtp::parse(body).is_ok() || rtp::is_rtcp(body);
        let bad = if believable { 0 } else { bad + 1 };
        let from = self.start + 2;
        self.start = from + length;
        self.state = if bad < MAX_BAD_FRAMES { State::Frames { bad } } else { State::Hopeless };
        match length {
            0 => Step::Again,
            _ => Step::Frame(from, from + length),
        }
    }

    /// Takes one classic packet. Over TCP the numbers go on by one; where they do not, the bytes are not where they should be.
    fn packet(&mut self, length: usize, sequence: u16) -> Step {
        match number(self.rest(), 0) {
            None => return Step::Wait,
            Some(found) if found != sequence => {
                self.state = State::Searching { look: 0 };
                return Step::Wrong(Malformed::LostSync);
            }
            Some(_) if self.rest().len() < length => return Step::Wait,
            Some(_) => {}
        }
        let from = self.start;
        self.start += length;
        self.state = State::Packets { length, sequence: sequence.wrapping_add(1) };
        Step::Packet(from, self.start)
    }

    /// Looks at the start of a connection.
    fn recognise(&mut self) -> Step {
        let framed = match self.wire {
            Some(_) => Fit::No,
            None => frames_fit(self.rest(), &self.payloads),
        };
        if framed == Fit::Yes || framed == Fit::Perhaps && self.finished && first_frame_is_whole(self.rest())
        {
            self.wire = Some(Wire::Rtp);
            self.state = State::Frames { bad: 0 };
            return Step::Again;
        }
        let rest = self.rest();
        let found = match self.lengths.find(rest) {
            Guess::Undecided if self.finished => self.lengths.last_guess(rest),
            found => found,
        };
        match found {
            Guess::Length(length) => {
                let sequence = number(rest, 0).unwrap_or_default();
                self.wire = Some(Wire::Classic);
                self.state = State::Packets { length, sequence };
                Step::Again
            }
            Guess::None if framed == Fit::No && !rest.is_empty() => {
                self.give_up();
                Step::Wrong(Malformed::Unrecognised)
            }
            Guess::None | Guess::Undecided if rest.len() >= self.window() => {
                self.give_up();
                Step::Wrong(Malformed::Unrecognised)
            }
            Guess::None | Guess::Undecided => Step::Wait,
        }
    }

    /// Searches for a place from which classic packets go on.
    fn search(&mut self, look: usize) -> Step {
        let rest = self.rest();
        let full = rest.len() >= self.window();
        if rest.len() < look && !full && !self.finished {
            return Step::Wait;
        }
        let skip = match self.lengths.find_anywhere(rest) {
            Found::At { offset, length } => {
                let sequence = number(rest, offset).unwrap_or_default();
                self.state = State::Packets { length, sequence };
                offset
            }
            Found::Nowhere { clear } => {
                let skip = if full { clear.max(rest.len() / 2) } else { clear };
                // Looking again at every piece would let a peer that sends single bytes keep us busy.
                self.state = State::Searching { look: rest.len() - skip + MIN_LOOK };
                skip
            }
        };
        self.start += skip;
        self.skipped += skip;
        if self.skipped > MAX_SKIPPED {
            self.give_up();
            return Step::Wrong(Malformed::Unrecognised);
        }
        match self.state {
            State::Packets { .. } => Step::Again,
            _ => Step::Wait,
        }
    }
}

/// What a look at the bytes led to; ranges are places in the buffer.
enum Step {
    Again,
    Wait,
    Wrong(Malformed),
    Frame(usize, usize),
    Packet(usize, usize),
}

fn first_frame_is_whole(bytes: &[u8]) -> bool {
    bytes
        .split_first_chunk()
        .is_some_and(|(&length, body)| body.len() >= usize::from(u16::from_be_bytes(length)))
}

/// The longest frame that is believed: 150 ms of 44.1 kHz mono fit.
pub(super) const MAX_FRAME: usize = 16 * 1024;

/// Frames in a row that are neither RTP nor RTCP, and end a connection.
const MAX_BAD_FRAMES: u32 = 8;

/// The largest piece that [`Deframer::push`] is sure to take.
const MAX_PUSH: usize = 64 * 1024;

/// New bytes that are worth another search.
const MIN_LOOK: usize = 4096;

/// Bytes skipped in all before a connection is hopeless.
const MAX_SKIPPED: usize = 256 * 1024;

#[cfg(test)]
mod tests;
