//! Packets out of a TCP byte stream, however it was cut: RFC 4571 frames, or classic packets back to back.
//!
//! Guaranteed: the same packets for the same bytes, whatever pieces they come in; memory bounded by [`Deframer::limit`] and
//! the largest piece; no more than a glance at each byte. Not guaranteed: that the packets make sense; their receiver sees to that.
//!
//! Classic packets have no length on the wire, and the sender's `size` is unknown. It is found by the sequence numbers:
//! the packet is as long as it takes for them to count up by one from place to place.

use super::{Malformed, classic, rtp};
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
    format: Format,
    hint: usize,
    buffer: Vec<u8>,
    /// Where the bytes begin that were not given yet.
    start: usize,
    state: State,
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
    /// No packet begins where one should: so many bytes were searched in vain, and it is worth another look when `look` are there.
    Searching { skipped: usize, look: usize },
    /// Nothing fits.
    Hopeless,
}

impl Deframer {
    /// For a new connection. `wire` is `None` where it must be found out; `size` is where the search for a classic sender's
    /// begins.
    pub fn new(wire: Option<Wire>, format: Format, size: BlockSize) -> Self {
        let hint = classic::packet_bytes(format, size.chunks());
        let state = if wire == Some(Wire::Rtp) { State::Frames { bad: 0 } } else { State::Unknown };
        Self { wire, format, hint, buffer: Vec::new(), start: 0, state, finished: false }
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
                State::Searching { skipped, look } => self.search(skipped, look),
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
        (64 * 1024).max(2 * classic::packet_bytes(self.format, classic::MAX_CHUNKS) + classic::HEADER)
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
                self.state = State::Searching { skipped: 0, look: 0 };
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
            None => frames_fit(self.rest(), self.format),
        };
        if framed == Fit::Yes || framed == Fit::Perhaps && self.finished && first_frame_is_whole(self.rest())
        {
            self.wire = Some(Wire::Rtp);
            self.state = State::Frames { bad: 0 };
            return Step::Again;
        }
        let rest = self.rest();
        let found = match self.find_length(rest) {
            Guess::Undecided if self.finished => self.last_guess(rest),
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

    /// Which length the classic packets at the start of `bytes` have. The first length that is proven, or that alone is
    /// left with two numbers to its credit, wins: in the order of the bytes, however many of them have come.
    fn find_length(&self, bytes: &[u8]) -> Guess {
        let runs: Vec<(usize, Run)> =
            self.lengths().map(|length| (length, follow(bytes, length, self.enough(length)))).collect();
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
    fn last_guess(&self, bytes: &[u8]) -> Guess {
        self.lengths()
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

    /// Searches for a place from which classic packets go on.
    fn search(&mut self, skipped: usize, look: usize) -> Step {
        let rest = self.rest();
        let full = rest.len() >= self.window();
        if rest.len() < look && !full && !self.finished {
            return Step::Wait;
        }
        let found = (0..rest.len()).find_map(|offset| {
            self.lengths().find_map(|length| {
                let run = follow(&rest[offset..], length, ENOUGH);
                (run.end == End::Proven).then_some((offset, length))
            })
        });
        if let Some((offset, length)) = found {
            let sequence = number(rest, offset).unwrap_or_default();
            self.start += offset;
            self.state = State::Packets { length, sequence };
            return Step::Again;
        }
        if !full {
            // Looking again at every piece would let a peer that sends single bytes keep us busy.
            self.state = State::Searching { skipped, look: rest.len() + self.hint.max(MIN_LOOK) };
            return Step::Wait;
        }
        let half = rest.len() / 2;
        self.start += half;
        let skipped = skipped + half;
        self.state = State::Searching { skipped, look: 0 };
        if skipped > MAX_SKIPPED {
            self.give_up();
            return Step::Wrong(Malformed::Unrecognised);
        }
        Step::Again
    }

    /// The lengths that a classic packet can have, the configured one first.
    fn lengths(&self) -> impl Iterator<Item = usize> {
        let (format, hint) = (self.format, self.hint);
        let others = (1..=classic::MAX_CHUNKS).map(move |chunks| classic::packet_bytes(format, chunks));
        std::iter::once(hint).chain(others.filter(move |&length| length != hint))
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    Yes,
    Perhaps,
    No,
}

enum Guess {
    Length(usize),
    Undecided,
    None,
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

/// The little-endian number at a place.
fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Whether `bytes` begin with RFC 4571 frames: RTP that we know, and RTP from the same source after it.
fn frames_fit(bytes: &[u8], session: Format) -> Fit {
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
        if head.len() < rtp::RtpHeader::LEN {
            return if plausible_start(head, session) { Fit::Perhaps } else { Fit::No };
        }
        if !rtp::is_rtcp(head) {
            let mut fixed = [0; rtp::RtpHeader::LEN];
            fixed.copy_from_slice(&head[..rtp::RtpHeader::LEN]);
            // What follows the fixed header may not have come yet.
            fixed[0] &= 0xc0;
            let Ok((header, _)) = rtp::parse(&fixed) else { return Fit::No };
            if rtp::format_of(header.payload_type, session).is_none() {
                return Fit::No;
            }
            if let Some(before) = before {
                let step = header.sequence.wrapping_sub(before.sequence);
                let follows = header.ssrc == before.ssrc && (1..=MAX_STEP).contains(&step);
                return if follows { Fit::Yes } else { Fit::No };
            }
            if body.len() >= length && !rtp::could_be(head, session) {
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
fn plausible_start(head: &[u8], session: Format) -> bool {
    match *head {
        [] => true,
        [flags] => flags >> 6 == 2,
        [flags, second, ..] => {
            flags >> 6 == 2 && (rtp::is_rtcp(head) || rtp::format_of(second & 0x7f, session).is_some())
        }
    }
}

fn first_frame_is_whole(bytes: &[u8]) -> bool {
    bytes
        .split_first_chunk()
        .is_some_and(|(&length, body)| body.len() >= usize::from(u16::from_be_bytes(length)))
}

/// The longest frame that is believed: 150 ms of 44.1 kHz mono fit.
const MAX_FRAME: usize = 16 * 1024;

/// RTCP's shortest packet (an empty receiver report) is 8 bytes.
const MIN_FRAME: usize = 8;

/// Frames in a row that are neither RTP nor RTCP, and end a connection.
const MAX_BAD_FRAMES: u32 = 8;

/// How far apart the first two sequence numbers of a framed stream may be.
const MAX_STEP: u16 = 3000;

/// The largest piece that [`Deframer::push`] is sure to take.
const MAX_PUSH: usize = 64 * 1024;

/// Bits of evidence for a classic length: chance hits at fifteen lengths and some thousand offsets stay rare.
const ENOUGH: u32 = 24;

/// What a sequence number near zero proves: samples of a quiet room take its value once in eight times.
const QUIET_WEIGHT: u32 = 3;

/// What any other sequence number proves, not quite its sixteen bits.
const LOUD_WEIGHT: u32 = 12;

/// New bytes that are worth another search.
const MIN_LOOK: usize = 4096;

/// Bytes searched in vain before a connection is hopeless.
const MAX_SKIPPED: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MONO: Format = Format::DEFAULT;

    fn ten() -> BlockSize {
        BlockSize::from_ms(10.0).unwrap()
    }

    /// Pushes in pieces, and gives all packets and the mishaps.
    fn take(
        deframer: &mut Deframer,
        bytes: &[u8],
        mut piece: impl FnMut() -> usize,
    ) -> (Vec<Vec<u8>>, Vec<Malformed>) {
        let (mut packets, mut wrong) = (Vec::new(), Vec::new());
        let mut drain = |deframer: &mut Deframer| {
            while let Some(next) = deframer.next() {
                match next {
                    Ok(packet) => packets.push(packet.bytes().to_vec()),
                    Err(why) => wrong.push(why),
                }
            }
            assert!(deframer.rest().len() <= deframer.limit());
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(piece().clamp(1, rest.len()));
            deframer.push(now);
            drain(deframer);
            rest = later;
        }
        deframer.finish();
        drain(deframer);
        (packets, wrong)
    }

    fn classic_packets(first: u16, count: u16, chunks: usize, sample: impl Fn(usize) -> i16) -> Vec<Vec<u8>> {
        let mut n = 0;
        (0..count)
            .map(|i| {
                let samples: Vec<i16> = (0..441 * chunks)
                    .map(|_| {
                        n += 1;
                        sample(n)
                    })
                    .collect();
                let mut out = Vec::new();
                classic::write(first.wrapping_add(i), &samples, &mut out);
                out
            })
            .collect()
    }

    fn rtp_packets(first: u16, count: u16, bytes: usize) -> Vec<Vec<u8>> {
        (0..count)
            .map(|i| {
                let sequence = first.wrapping_add(i);
                let header =
                    rtp::RtpHeader { sequence, payload_type: 11, ssrc: 77, ..rtp::RtpHeader::default() };
                let mut out = header.to_bytes().to_vec();
                out.resize(12 + bytes, i as u8);
                out
            })
            .collect()
    }

    fn framed(packets: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        packets.iter().for_each(|packet| write_frame(packet, &mut out));
        out
    }

    fn noise(n: usize) -> i16 {
        ((n as u32).wrapping_mul(2_654_435_761) >> 16) as i16
    }

    /// The least significant bits of a quiet microphone.
    fn hiss(n: usize) -> i16 {
        noise(n) >> 14
    }

    #[test]
    fn every_classic_size_is_found_whatever_the_sound_and_the_hint() {
        for chunks in 1..=15 {
            for (name, sample) in [("noise", noise as fn(usize) -> i16), ("hiss", hiss), ("silence", |_| 0)] {
                for (first, hint) in [(0, 10.0), (0, 150.0), (65_534, 10.0), (1000, 40.0)] {
                    let packets = classic_packets(first, 40, chunks, sample);
                    let mut deframer = Deframer::new(None, MONO, BlockSize::from_ms(hint).unwrap());
                    let (got, wrong) = take(&mut deframer, &packets.concat(), || 4000);
                    assert_eq!(wrong, [], "{name} {chunks} from {first}");
                    assert!(got == packets, "{name} {chunks} from {first}");
                    assert_eq!(deframer.wire(), Some(Wire::Classic));
                }
            }
        }
    }

    #[test]
    fn the_configured_size_is_known_after_a_few_packets() {
        let packets = classic_packets(0, 5, 1, |_| 0);
        let mut deframer = Deframer::new(None, MONO, ten());
        deframer.push(&packets.concat());
        assert!(deframer.next().is_some());
    }

    #[test]
    fn one_packet_and_a_close_are_enough() {
        for chunks in [1, 4, 15] {
            let packets = classic_packets(0, 1, chunks, noise);
            let mut deframer = Deframer::new(None, MONO, ten());
            assert_eq!(take(&mut deframer, &packets.concat(), || 100), (packets, vec![]));
        }
        let packets = rtp_packets(9, 1, 882);
        let mut deframer = Deframer::new(None, MONO, ten());
        assert_eq!(take(&mut deframer, &framed(&packets), || 100), (packets, vec![]));
        assert_eq!(deframer.wire(), Some(Wire::Rtp));
    }

    #[test]
    fn frames_are_known_by_their_second_header() {
        let packets = rtp_packets(65_535, 2, 882);
        let bytes = framed(&packets);
        let mut deframer = Deframer::new(None, MONO, ten());
        deframer.push(&bytes[..896 + 13]);
        assert!(deframer.next().is_none());
        deframer.push(&bytes[896 + 13..896 + 14]);
        assert_eq!(deframer.next(), Some(Ok(Packet::Rtp(&packets[0]))));
        assert_eq!(deframer.next(), None);
        assert_eq!(deframer.wire(), Some(Wire::Rtp));
    }

    #[test]
    fn control_packets_do_not_hide_the_sound() {
        let mut packets = rtp_packets(1, 3, 100);
        packets.insert(1, vec![0x80, 200, 0, 1, 0, 0, 0, 77]);
        packets.insert(0, vec![0x80, 200, 0, 1, 0, 0, 0, 77]);
        let mut deframer = Deframer::new(None, MONO, ten());
        assert_eq!(take(&mut deframer, &framed(&packets), || 7), (packets, vec![]));
    }

    #[test]
    fn a_frame_too_long_for_sound_ends_the_connection() {
        let packets = rtp_packets(1, 3, 100);
        let bytes = [framed(&packets), vec![0xff, 0xff, 1, 2, 3], framed(&packets)].concat();
        let mut deframer = Deframer::new(Some(Wire::Rtp), MONO, ten());
        assert_eq!(take(&mut deframer, &bytes, || 50), (packets, vec![Malformed::FrameLength]));
        assert!(deframer.is_hopeless());
    }

    #[test]
    fn null_packets_are_passed_over() {
        let packets = rtp_packets(1, 2, 100);
        let bytes = [framed(&packets[..1]), vec![0, 0], framed(&packets[1..])].concat();
        let mut deframer = Deframer::new(Some(Wire::Rtp), MONO, ten());
        assert_eq!(take(&mut deframer, &bytes, || 50), (packets, vec![]));
    }

    #[test]
    fn a_run_of_frames_that_are_no_rtp_is_hopeless() {
        let junk = framed(&vec![vec![7; 40]; 20]);
        let mut deframer = Deframer::new(Some(Wire::Rtp), MONO, ten());
        let (packets, _) = take(&mut deframer, &junk, || 50);
        assert_eq!(packets.len(), 8, "each is counted by its receiver");
        assert!(deframer.is_hopeless());
    }

    #[test]
    fn a_request_for_a_web_page_is_neither() {
        let mut deframer = Deframer::new(None, MONO, ten());
        let bytes = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        assert_eq!(take(&mut deframer, bytes, || 10), (vec![], vec![Malformed::Unrecognised]));
        assert!(deframer.is_hopeless());
    }

    #[test]
    fn lost_synchrony_is_found_again_and_counted() {
        for first in [0, 700] {
            let packets = classic_packets(first, 60, 2, hiss);
            let mut bytes = packets.concat();
            bytes.drain(20_000..20_123);
            let mut deframer = Deframer::new(Some(Wire::Classic), MONO, ten());
            let (got, wrong) = take(&mut deframer, &bytes, || 1500);
            assert_eq!(wrong, [Malformed::LostSync]);
            let whole = 20_000 / 1766;
            assert!(got[..whole] == packets[..whole]);
            // The packet that was cut took the next one's head for its own tail.
            assert!(got[whole + 1..] == packets[whole + 2..], "from {first}: {} packets", got.len());
        }
    }

    #[test]
    fn a_last_packet_cut_short_is_malformed() {
        let packets = classic_packets(0, 20, 1, noise);
        let bytes = packets.concat();
        let mut deframer = Deframer::new(None, MONO, ten());
        let (got, wrong) = take(&mut deframer, &bytes[..bytes.len() - 2], || 5000);
        assert!(got == packets[..19]);
        assert_eq!(wrong, [Malformed::Truncated]);
    }

    #[test]
    fn endless_nonsense_is_given_up_in_bounded_memory() {
        let junk: Vec<u8> = (0..600_000).map(|n| noise(n) as u8).collect();
        let mut deframer = Deframer::new(None, MONO, ten());
        let (packets, wrong) = take(&mut deframer, &junk, || 60_000);
        assert_eq!((packets.len(), wrong.len()), (0, 1));
        assert!(deframer.is_hopeless());
        let good = classic_packets(0, 20, 1, noise).concat();
        let mut deframer = Deframer::new(Some(Wire::Classic), MONO, ten());
        let (packets, wrong) = take(&mut deframer, &[good, junk].concat(), || 60_000);
        assert_eq!(packets.len(), 20);
        assert_eq!(wrong, [Malformed::LostSync, Malformed::Unrecognised]);
        assert!(deframer.is_hopeless());
    }

    #[test]
    fn the_largest_format_is_found_too() {
        let format = Format::new(192_000, 2).unwrap();
        let mut packets = Vec::new();
        for sequence in 0..4 {
            let mut out = Vec::new();
            let samples: Vec<i16> = (0..1920 * 15 * 2).map(noise).collect();
            classic::write(sequence, &samples, &mut out);
            packets.push(out);
        }
        let mut deframer = Deframer::new(None, format, ten());
        assert!(take(&mut deframer, &packets.concat(), || 9000) == (packets, vec![]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn cutting_does_not_change_the_packets(
            chunks in 1usize..=15, first: u16, count in 1u16..30, rtp: bool, told: bool,
            pieces in prop::collection::vec(1usize..4000, 1..50),
        ) {
            let packets = if rtp { rtp_packets(first, count, chunks * 80) } else { classic_packets(first, count, chunks, noise) };
            let bytes = if rtp { framed(&packets) } else { packets.concat() };
            let wire = told.then_some(if rtp { Wire::Rtp } else { Wire::Classic });
            let mut next = pieces.iter().cycle();
            let mut deframer = Deframer::new(wire, MONO, ten());
            let (got, wrong) = take(&mut deframer, &bytes, || *next.next().unwrap());
            prop_assert_eq!(wrong, vec![]);
            prop_assert!(got == packets);
        }

        #[test]
        fn no_bytes_hurt(
            bytes in prop::collection::vec(any::<u8>(), 0..6000), zeros in 0usize..6000,
            pieces in prop::collection::vec(1usize..3000, 1..9), wire in 0..3,
        ) {
            let wire = [None, Some(Wire::Rtp), Some(Wire::Classic)][wire as usize];
            let mut next = pieces.iter().cycle();
            let mut deframer = Deframer::new(wire, MONO, ten());
            let bytes = [&bytes[..], &vec![0; zeros], &bytes].concat();
            take(&mut deframer, &bytes, || *next.next().unwrap());
        }
    }
}
