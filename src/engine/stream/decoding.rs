//! One source's payloads to sound, in whatever order they come; holes of a coding with a memory are bridged.
//!
//! What such a coding (Opus) decodes depends on what it decoded before. So a hole is bridged as soon as it is seen, the decoder's
//! state before it kept, and what came after it: when a packet of the hole comes after all, late or as a copy, all is
//! decoded anew from there, and what was delivered before is delivered again, [revised](Origin::Revised).
//!
//! Guaranteed: what is missing by its numbers is bridged, never longer than [`Decoder::MAX_BRIDGE_FRAMES`] and [`FADE_FRAMES`] together;
//! where only timestamps jump, the sender was silent (RFC 7587 §3.1.3), and nothing is made up; no more than [`REACH`] packets
//! are decoded anew at once. Codings without a memory are decoded packet by packet, bit for bit.

use super::queue::{Head, Origin, Position};
use crate::engine::codec::decoder::{Decoder, Snapshot};
use crate::engine::codec::l16;
use crate::engine::coding::Encoding;
use crate::engine::config::Wire;
use crate::engine::error::Result;

/// Decodes one source.
pub struct Decoding {
    wire: Wire,
    encoding: Encoding,
    decoder: Decoder,
    /// The decoder as it was made.
    fresh: Snapshot,
    tail: Option<Tail>,
    /// The oldest hole of which something may still come.
    hole: Option<Hole>,
    /// The decoder's state before that hole.
    before: Snapshot,
    /// The decoder's state while a packet is decoded that has nothing to do with the others.
    aside: Snapshot,
    /// How many packets after a hole something of it may come.
    reach: usize,
    samples: Vec<i16>,
}

/// Where what was decoded last ended.
#[derive(Clone, Copy)]
struct Tail {
    sequence: u64,
    end: Position,
    frames: u32,
}

struct Hole {
    tail: Tail,
    /// What came after it, by its numbers.
    kept: Vec<Kept>,
}

struct Kept {
    head: Head,
    payload: Vec<u8>,
    delivered: bool,
}

impl Decoding {
    /// For a source on `wire`; refused where this build cannot decode its encoding.
    pub fn new(wire: Wire, encoding: Encoding) -> Result<Self> {
        let decoder = Decoder::new(encoding)?;
        let mut fresh = Snapshot::default();
        decoder.snapshot(&mut fresh);
        Ok(Self {
            wire,
            encoding,
            decoder,
            fresh,
            tail: None,
            hole: None,
            before: Snapshot::default(),
            aside: Snapshot::default(),
            reach: DISORDER,
            samples: Vec::new(),
        })
    }

    /// Whether what is decoded depends on what was decoded before.
    pub fn is_stateful(&self) -> bool {
        self.decoder.is_stateful()
    }

    /// Frames in an RTP payload; `None` where it is not a whole one.
    pub fn frames(&self, payload: &[u8]) -> Option<u32> {
        self.decoder.frames(payload)
    }

    /// The packet of that number came and holds no sound: nothing is missing there.
    pub fn pass(&mut self, sequence: u64) {
        if let Some(tail) = self.tail.as_mut().filter(|tail| tail.sequence + 1 == sequence) {
            tail.sequence = sequence;
        }
    }

    /// The sender begins anew.
    pub fn reset(&mut self) {
        self.decoder.restore(&self.fresh);
        self.tail = None;
        self.hole = None;
    }

    /// Takes room to decode in, or gives it back.
    pub fn lend(&mut self, room: &mut Vec<i16>) {
        std::mem::swap(&mut self.samples, room);
    }

    /// Decodes a packet that is no copy. What can be had of those missing before it is delivered first, in order.
    pub fn decode(&mut self, head: Head, payload: &[u8], deliver: &mut dyn FnMut(Head, &[i16])) {
        if !self.is_stateful() {
            self.samples.clear();
            match self.wire {
                Wire::Classic => l16::decode_le(payload, &mut self.samples),
                Wire::Rtp => _ = self.decoder.decode(payload, &mut self.samples),
            }
            deliver(head, &self.samples);
        } else if self.tail.is_some_and(|tail| head.sequence <= tail.sequence) {
            self.decode_late(head, payload, deliver);
        } else {
            self.decode_next(head, payload, deliver);
        }
    }

    /// Copies come with this source: what is lost may come as much later as they reach.
    pub fn expect_copies(&mut self) {
        self.reach = REACH;
    }

    fn decode_next(&mut self, head: Head, payload: &[u8], deliver: &mut dyn FnMut(Head, &[i16])) {
        if let Some(tail) = self.tail.filter(|tail| head.sequence > tail.sequence + 1)
            && self.hole.is_none()
        {
            self.decoder.snapshot(&mut self.before);
            self.hole = Some(Hole { tail, kept: Vec::new() });
        }
        self.step(head, payload, deliver);
        if let Some(hole) = &mut self.hole {
            hole.kept.push(Kept { head, payload: payload.to_vec(), delivered: true });
            if hole.kept.len() > self.reach {
                self.replay(true, &mut |_, _| {});
            }
        }
    }

    /// Decodes the packet that comes next, and before it what is missing.
    fn step(&mut self, head: Head, payload: &[u8], deliver: &mut dyn FnMut(Head, &[i16])) {
        if let Some(tail) = self.tail.filter(|tail| head.sequence > tail.sequence + 1) {
            let bridge = Bridge { decoder: &mut self.decoder, encoding: self.encoding, tail, head: &head };
            bridge.build(payload, &mut self.samples, deliver);
        }
        self.samples.clear();
        // One that the codec refuses is bridged with the next.
        if self.decoder.decode(payload, &mut self.samples) {
            self.tail = Some(Tail::of(&head));
            deliver(head, &self.samples);
        }
    }

    /// Decodes a packet that came after a later one.
    fn decode_late(&mut self, head: Head, payload: &[u8], deliver: &mut dyn FnMut(Head, &[i16])) {
        if let Some(hole) = self.hole.as_mut().filter(|hole| head.sequence > hole.tail.sequence) {
            let place = hole.kept.partition_point(|kept| kept.head.sequence < head.sequence);
            if hole.kept.get(place).is_none_or(|kept| kept.head.sequence != head.sequence) {
                hole.kept.insert(place, Kept { head, payload: payload.to_vec(), delivered: false });
                self.replay(false, deliver);
            }
            return;
        }
        // What came before it is not known any more.
        self.decoder.snapshot(&mut self.aside);
        self.decoder.restore(&self.fresh);
        self.samples.clear();
        if self.decoder.decode(payload, &mut self.samples) {
            deliver(head, &self.samples);
        }
        self.decoder.restore(&self.aside);
    }

    /// Decodes anew what came after the hole, up to where the decoder is now. The hole is then the first that is left;
    /// where this one is `given_up`, the first after it.
    fn replay(&mut self, given_up: bool, deliver: &mut dyn FnMut(Head, &[i16])) {
        let Some(Hole { tail, mut kept }) = self.hole.take() else { return };
        self.decoder.restore(&self.before);
        self.tail = Some(tail);
        let mut left = None;
        for (index, item) in kept.iter_mut().enumerate() {
            if let Some(tail) = self.tail.filter(|tail| item.head.sequence > tail.sequence + 1)
                && left.is_none()
                && !(given_up && index == 0)
            {
                self.decoder.snapshot(&mut self.before);
                left = Some((index, tail));
            }
            let (new, sequence) = (!std::mem::replace(&mut item.delivered, true), item.head.sequence);
            self.step(item.head, &item.payload, &mut |head, samples| {
                let own = head.sequence == sequence;
                // What is made up was made up before.
                if (new || !own) && head.origin != Origin::Concealed {
                    deliver(head, samples);
                }
                // The codec may have brought back a rougher one.
                if own {
                    deliver(Head { origin: Origin::Revised, ..head }, samples);
                }
            });
        }
        self.hole = left.map(|(first, tail)| Hole { tail, kept: kept.split_off(first) });
    }
}

impl Tail {
    fn of(head: &Head) -> Self {
        Self { sequence: head.sequence, end: head.position.plus(head.frames as usize), frames: head.frames }
    }
}

/// The way over the hole between `tail` and the packet `head`.
struct Bridge<'a> {
    decoder: &'a mut Decoder,
    encoding: Encoding,
    tail: Tail,
    head: &'a Head,
}

impl Bridge<'_> {
    /// Makes up what is missing, as packets in its place.
    fn build(self, payload: &[u8], samples: &mut Vec<i16>, deliver: &mut dyn FnMut(Head, &[i16])) {
        let (tail, head) = (self.tail, self.head);
        let missing = head.sequence - tail.sequence - 1;
        let room = u64::try_from(head.position.distance(tail.end)).unwrap_or(0);
        // Where there is room for more than what is missing the sender was silent, too.
        let lost = room.min(missing.saturating_mul(u64::from(tail.frames.max(head.frames))));
        if lost == 0 {
            return;
        }
        // No packet of such a coding is shorter: more than fit there were not.
        let missing = missing.min((lost / LEAST_FRAMES).max(1));
        let each = lost.div_ceil(missing);
        let most = u64::from(Decoder::MAX_BRIDGE_FRAMES);
        if lost <= most {
            samples.clear();
            let repaired = self.decoder.bridge(lost as u32, payload, samples);
            self.deliver(
                missing,
                Position(head.position.0 - lost),
                lost,
                u64::from(repaired),
                samples,
                deliver,
            );
            return;
        }
        // What was heard last goes on until it has faded; before the packet there is what it brings back.
        let first = u64::from(FADE_FRAMES).next_multiple_of(each).min(most / each * each).max(each.min(most));
        samples.clear();
        self.decoder.bridge(first as u32, &[], samples);
        let count = (first / each).clamp(1, missing);
        let mut at = Head { sequence: tail.sequence, position: tail.end, origin: Origin::Concealed, ..*head };
        pieces(self.encoding, &mut at, count, first, samples, deliver);
        samples.clear();
        let repaired = u64::from(self.decoder.bridge((lost - first) as u32, payload, samples));
        let whole = (repaired / each).min(missing - count);
        let kept = (whole * each) as usize * self.encoding.format.channels();
        let mut at = Head {
            sequence: head.sequence - whole - 1,
            position: Position(head.position.0 - whole * each),
            origin: Origin::Repaired,
            ..*head
        };
        pieces(self.encoding, &mut at, whole, whole * each, &samples[samples.len() - kept..], deliver);
    }

    /// Delivers `frames` frames from `at` on as `count` packets right before the head, the last of them repaired.
    fn deliver(
        &self,
        count: u64,
        at: Position,
        frames: u64,
        repaired: u64,
        samples: &[i16],
        deliver: &mut dyn FnMut(Head, &[i16]),
    ) {
        // A packet of which more than half is real is repaired.
        let whole = (repaired * count + frames / 2) / frames;
        let made_up = count - whole.min(count);
        let first = frames * made_up / count;
        let split = first as usize * self.encoding.format.channels();
        let sequence = self.head.sequence - count - 1;
        let mut at = Head { sequence, position: at, origin: Origin::Concealed, ..*self.head };
        pieces(self.encoding, &mut at, made_up, first, &samples[..split], deliver);
        at.origin = Origin::Repaired;
        pieces(self.encoding, &mut at, count - made_up, frames - first, &samples[split..], deliver);
    }
}

/// Delivers `frames` frames as `count` packets that follow `at`, which moves on.
fn pieces(
    encoding: Encoding,
    at: &mut Head,
    count: u64,
    frames: u64,
    samples: &[i16],
    deliver: &mut dyn FnMut(Head, &[i16]),
) {
    let channels = encoding.format.channels();
    let mut done = 0;
    for index in 1..=count {
        let end = frames * index / count;
        at.sequence += 1;
        at.frames = (end - done) as u32;
        deliver(*at, &samples[done as usize * channels..end as usize * channels]);
        at.position = at.position.plus(at.frames as usize);
        done = end;
    }
}

/// Packets that a hole is kept open for where only disorder can fill it …
const DISORDER: usize = 4;
/// … and where copies come, some later than their packets by all that is sensible.
const REACH: usize = 24;
/// The shortest packet, 2.5 ms at 48 kHz.
const LEAST_FRAMES: u64 = 120;
/// Made-up sound has faded after so much: 60 ms at 48 kHz.
const FADE_FRAMES: u32 = 2_880;
