//! One source's packets, from bytes to sound with a place: believed, counted, decoded.
//!
//! Guaranteed: nothing is delivered of a source before two packets agree with each other (RFC 3550 A.1), and then nothing is missing;
//! no packet is delivered twice; a packet that follows from nothing before it changes nothing unless a second one agrees
//! with it, and then it is a restart or a new time base. Every packet is received, refused with `Err`, or in [`Receiver::held`]
//! or [`Receiver::take_refused`].
//!
//! What is missing and comes in copies is delivered as [repaired](Origin::Repaired), once; of an exact copy the original is not delivered again.
//! Where a packet is missing before one of a coding with a memory (Opus), what can be had in its place is delivered first, as
//! [repaired](Origin::Repaired) or [concealed](Origin::Concealed); the packet itself may come later.
//!
//! Not guaranteed: order. Packets are delivered as they come, with their position; ordering them is playout's and the recorder's.

use std::time::Duration;

use super::clocks::{Clocks, Leg};
use super::digits::{Digit, Digits};
use super::lately::Lately;
use super::media_clock::{MediaClock, ORIGIN, frames_between};
use super::probation::{Claim, Held, Probation};
use super::queue::{Head, Origin, Position};
use super::sequence::{MAX_DROPOUT, MAX_MISORDER, Place, SequenceTracker, WINDOW};
use super::standby::Standby;
use super::voices::Voices;
use crate::engine::coding::{Encoding, PayloadTypes};
use crate::engine::config::Wire;
use crate::engine::error::Result;
use crate::engine::stats::Reception;
use crate::engine::time::Micros;
use crate::engine::wire::content::Content;
use crate::engine::wire::{Malformed, classic, red};

mod copies;

pub use copies::Copied;

/// The receiving end of one source.
pub struct Receiver {
    number: u32,
    wire: Wire,
    encoding: Encoding,
    payloads: PayloadTypes,
    ssrc: Option<u32>,
    believed: bool,
    at_once: bool,
    tracker: SequenceTracker,
    clock: MediaClock,
    probation: Probation,
    /// Frames of each classic packet.
    block: u32,
    epoch: u32,
    bytes: u64,
    frames: u64,
    last_sequence: u16,
    /// When the highest sequence number last rose.
    advanced: Micros,
    clocks: Clocks,
    voices: Voices,
    /// Telephone events, once one has come.
    digits: Option<Box<Digits>>,
    /// Packets without sound.
    silent: u64,
    lately: Lately,
    /// Decodes copies in another coding, once one has come.
    standby: Option<Box<Standby>>,
    sound: Vec<i16>,
}

/// What became of a packet, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Put aside until another packet agrees with it.
    Held,
    /// The source is believed from now on; what was held is delivered with it.
    Believed,
    /// The next in order.
    Accepted,
    /// Packets are missing before it, so far.
    Gap {
        /// The highest sequence number before.
        last: u16,
        /// This one's.
        now: u16,
        /// Packets between them.
        missing: u64,
    },
    /// Received after a packet with a higher sequence number.
    Reordered,
    /// Received before: not delivered again.
    Duplicate,
    /// The sender has begun anew, with this packet and what was held: a new epoch.
    Restarted,
    /// The sender's sequence numbers go on and its timestamps begun anew: a new epoch.
    Rebased,
}

impl Verdict {
    /// One word for a log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Believed => "believed",
            Self::Accepted => "accepted",
            Self::Gap { .. } => "gap",
            Self::Reordered => "reordered",
            Self::Duplicate => "duplicate",
            Self::Restarted => "restarted",
            Self::Rebased => "rebased",
        }
    }
}

/// A parsed packet.
struct Sound<'a> {
    claim: Claim,
    payload: &'a [u8],
    /// Copies of what came before it.
    older: Option<red::Blocks<'a>>,
    /// Its length on the wire.
    bytes: usize,
}

impl Receiver {
    /// For source `number` of a session, whose sound comes in `encoding`, by any of the payload types that stand for it (on
    /// the classic wire there are none). The caller tells sources apart, by address and SSRC.
    pub fn new(number: u32, wire: Wire, encoding: Encoding, payloads: &PayloadTypes) -> Result<Self> {
        let format = encoding.format;
        Ok(Self {
            number,
            wire,
            encoding,
            payloads: payloads.clone(),
            ssrc: None,
            believed: false,
            at_once: false,
            tracker: SequenceTracker::new(format.rate()),
            clock: MediaClock::new(format.rate()),
            probation: Probation::new(wire, format),
            block: 0,
            epoch: 0,
            bytes: 0,
            frames: 0,
            last_sequence: 0,
            advanced: Micros::ZERO,
            clocks: Clocks::new(format.rate()),
            voices: Voices::new(wire, encoding)?,
            digits: None,
            silent: 0,
            lately: Lately::new(),
            standby: None,
            sound: Vec::new(),
        })
    }

    /// The same, its first packet needing no second: on a TCP connection the framing is the evidence.
    #[must_use]
    pub fn believed_at_once(mut self) -> Self {
        self.at_once = true;
        self
    }

    /// Takes a datagram, or a frame's body, that came at `arrival`; hands every packet that is to be heard to `deliver`.
    pub fn receive(
        &mut self,
        packet: &[u8],
        arrival: Micros,
        deliver: &mut dyn FnMut(Head, &[i16]),
    ) -> Result<Verdict, Malformed> {
        let sound = self.parse(packet, arrival)?;
        let claim = sound.claim;
        if !self.believed && self.at_once {
            let verdict = self.begin(&claim, claim.sequence, deliver);
            self.admit(&sound, self.tracker.extend(claim.sequence), deliver);
            return Ok(verdict);
        }
        let Some(sequence) = self.follows(&claim) else {
            return Ok(self.suspect(&sound, deliver));
        };
        let last = self.tracker.highest().unwrap_or_default() as u16;
        let place = self.admit(&sound, sequence, deliver);
        if matches!(place, Place::Next | Place::Ahead(_)) {
            self.settle(deliver);
        }
        Ok(match place {
            Place::First | Place::Next => Verdict::Accepted,
            Place::Ahead(missing) => Verdict::Gap { last, now: claim.sequence, missing },
            Place::Behind(_) => Verdict::Reordered,
            Place::Copy(_) => Verdict::Duplicate,
        })
    }

    /// The counts so far; packets held are not among them.
    pub fn reception(&self) -> Reception {
        Reception { bytes: self.bytes, frames: self.frames, ..self.tracker.reception() }
    }

    /// How many packets were counted.
    pub fn received(&self) -> u64 {
        self.tracker.received()
    }

    /// How many frames were.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Takes room to decode in, or gives it back: one for many, so that it stays in the processor's cache.
    pub fn lend(&mut self, room: &mut Vec<i16>) {
        self.voices.lend(room);
    }

    /// The lowest and the highest extended sequence number seen since the last restart; `None` before the first.
    pub fn span(&self) -> Option<(u64, u64)> {
        self.tracker.span()
    }

    /// Whether this extended sequence number is known to have been received.
    pub fn was_received(&self, sequence: u64) -> bool {
        self.tracker.was_received(sequence)
    }

    /// The sequence number of the packet counted last, as on the wire.
    pub fn last_sequence(&self) -> u16 {
        self.last_sequence
    }

    /// Whether packets of this source were delivered.
    pub fn is_believed(&self) -> bool {
        self.believed
    }

    /// Packets put aside, copies included: malformed, if the source ends here.
    pub fn held(&self) -> u64 {
        self.probation.held()
    }

    /// Has the processor fetch what the next packet needs besides this itself.
    pub fn fetch(&self) {
        self.tracker.fetch();
        if let Some(highest) = self.tracker.highest() {
            self.lately.fetch(highest + 1);
        }
    }

    /// The coding in which its sound comes now; what is delivered always has the format of the first.
    pub fn encoding(&self) -> Encoding {
        self.voices.encoding()
    }

    /// Whether no sound was counted so far.
    pub fn is_silent(&self) -> bool {
        self.frames == 0
    }

    /// How many packets without sound were counted.
    pub fn silent(&self) -> u64 {
        self.silent
    }

    /// Its first sound is about to come, in `encoding`: what is delivered will have that format, if nothing was delivered or put aside so far
    /// but packets without sound. Whether that changes anything.
    pub fn expect(&mut self, encoding: Encoding) -> bool {
        if !self.is_silent() || encoding == self.encoding || self.probation.holds_sound() {
            return false;
        }
        let Ok(voices) = Voices::new(self.wire, encoding) else { return false };
        let format = encoding.format;
        (self.encoding, self.voices) = (encoding, voices);
        (self.clock, self.clocks) = (MediaClock::new(format.rate()), Clocks::new(format.rate()));
        self.tracker.set_rate(format.rate());
        self.probation.set_rate(format.rate());
        true
    }

    /// Whether sound waits for what follows it: see [`rest_sound`](Self::rest_sound).
    pub fn waits(&self) -> bool {
        self.voices.waits()
    }

    /// Delivers sound that waits for what follows it, since nothing does for now.
    pub fn rest_sound(&mut self, deliver: &mut dyn FnMut(Head, &[i16])) {
        self.voices.rest(deliver);
    }

    /// The next telephone event (RFC 4733) that is over at `now`; each is told once.
    pub fn take_digit(&mut self, now: Micros) -> Option<Digit> {
        let digits = self.digits.as_mut()?;
        digits.sweep(now);
        digits.pop()
    }

    fn note_events(&mut self, claim: &Claim, payload: &[u8]) {
        if let Content::Events(rate) = claim.content {
            let rate = if rate == 0 { self.encoding().format.rate() } else { rate };
            let digits = self.digits.get_or_insert_default();
            digits.take(payload, claim.leg.raw(), rate, claim.arrival);
        }
    }

    /// The source has fallen silent: what is only of use while it is heard is given up.
    pub fn rest(&mut self) {
        self.lately.clear();
        self.tracker.rest();
        self.sound = Vec::new();
    }

    /// Packets that were held and are given up, since the last call: malformed.
    pub fn take_refused(&mut self) -> u64 {
        self.probation.take_refused()
    }

    fn parse<'a>(&mut self, packet: &'a [u8], arrival: Micros) -> Result<Sound<'a>, Malformed> {
        if self.wire == Wire::Rtp {
            let (ssrc, sound) = self.parse_rtp(packet, arrival)?;
            let same = *self.ssrc.get_or_insert(ssrc) == ssrc;
            return if same { Ok(sound) } else { Err(Malformed::Source) };
        }
        let (sequence, payload) = classic::parse(packet, self.encoding.format)?;
        let frames = (payload.len() / self.encoding.format.frame_bytes()) as u32;
        let (leg, content) = (Leg::default(), Content::Sound(self.encoding));
        let claim = Claim { sequence, timestamp: 0, leg, payload_type: 0, content, frames, arrival };
        Ok(Sound { claim, payload, older: None, bytes: packet.len() })
    }

    /// The extended sequence number of a packet that follows from those before it; `None` if it does not.
    fn follows(&self, claim: &Claim) -> Option<u64> {
        let highest = self.tracker.highest()?;
        let sequence = self.tracker.extend(claim.sequence);
        let place = self.tracker.place(sequence);
        let near = match (self.wire, place) {
            (Wire::Rtp, _) if claim.frames == 0 => self.silence_follows(claim, place),
            // A sender that was silent for long and repeats old numbers may have begun anew: see what comes next.
            (_, Place::Copy(1..)) if claim.arrival.since(self.advanced) >= STALL => false,
            (Wire::Rtp, _) => self.rtp_follows(claim, place),
            (Wire::Classic, _) if claim.frames != self.block => false,
            (Wire::Classic, Place::Ahead(missing)) => missing < MAX_DROPOUT,
            (Wire::Classic, Place::Behind(behind) | Place::Copy(behind)) => behind <= MAX_MISORDER,
            (Wire::Classic, Place::First | Place::Next) => true,
        };
        if near {
            return Some(sequence);
        }
        let step = claim.sequence.wrapping_sub(highest as u16);
        self.is_outage(claim, step).then(|| highest + u64::from(step))
    }

    fn rtp_follows(&self, claim: &Claim, place: Place) -> bool {
        let placed = self.clock.place(claim.timestamp, claim.arrival);
        match place {
            Place::First => true,
            // A file sent at once outruns the clock, and is sound nevertheless.
            Place::Next => self.clock.agrees(&placed) || placed.adjoins && placed.ahead > 0,
            Place::Ahead(missing) => missing < MAX_DROPOUT && self.clock.agrees(&placed),
            // However late a packet comes, its timestamp says that it belongs back there.
            Place::Behind(behind) | Place::Copy(behind) => {
                let reach = self.clock.slack() + (behind as f64 * self.mean_frames() * 2.0) as i64;
                let late = placed.step < i64::from(behind == 0) && -placed.step <= reach;
                late && (behind <= MAX_MISORDER || -placed.step <= self.clock.slack())
            }
        }
    }

    /// The same of a packet without sound: its timestamp may be that of an event's beginning.
    fn silence_follows(&self, claim: &Claim, place: Place) -> bool {
        let near = match place {
            Place::First | Place::Next => return true,
            Place::Ahead(missing) => missing < MAX_DROPOUT,
            Place::Behind(behind) | Place::Copy(behind) => behind <= MAX_MISORDER,
        };
        let placed = self.clock.place(claim.timestamp, claim.arrival);
        near && (self.clock.agrees(&placed) || placed.step.abs() <= self.clock.slack())
    }

    /// Whether a jump is as far as a sender would have come by now: a long outage, not a restart.
    fn is_outage(&self, claim: &Claim, step: u16) -> bool {
        let step = f64::from(step);
        if step < MAX_DROPOUT as f64 {
            return false;
        }
        let (sent, passed) = match self.wire {
            Wire::Rtp => {
                let placed = self.clock.place(claim.timestamp, claim.arrival);
                (placed.step as f64, placed.passed as f64)
            }
            Wire::Classic if claim.frames != self.block => return false,
            Wire::Classic => {
                let passed = frames_between(self.advanced, claim.arrival, self.encoding.format.rate());
                (step * f64::from(self.block), passed as f64)
            }
        };
        let on_time = (sent - passed).abs() <= f64::from(self.encoding.format.rate()) + passed / 64.0;
        on_time && (sent / self.mean_frames() - step).abs() <= step / 16.0 + 50.0
    }

    /// Frames of a packet of sound, on average.
    pub fn mean_frames(&self) -> f64 {
        let reception = self.tracker.reception();
        let distinct = reception.received - reception.duplicated;
        self.frames as f64 / distinct.saturating_sub(self.silent).max(1) as f64
    }

    /// Puts a packet aside, or, if one that was put aside agrees with it, begins an epoch with all that agree.
    fn suspect(&mut self, sound: &Sound, deliver: &mut dyn FnMut(Head, &[i16])) -> Verdict {
        let claim = sound.claim;
        let Some(first) = self.probation.first_witness(&claim) else {
            self.probation.hold(claim, sound.bytes, sound.payload);
            if claim.frames > 0 {
                self.clocks.keep(claim.leg);
            }
            return Verdict::Held;
        };
        let verdict = self.begin(&claim, first, deliver);
        let mut believed = Vec::new();
        for held in self.probation.take() {
            if self.probation.agree(&held.claim, &claim) {
                believed.extend(self.count_held(&held).map(|head| (head, held.claim, held.payload)));
            } else {
                self.probation.refuse(&held);
            }
        }
        let (_, head) = self.count(&claim, self.tracker.extend(claim.sequence), sound.bytes);
        believed.extend(head.map(|head| (head, claim, sound.payload.to_vec())));
        let stateful =
            |claim: &Claim| claim.content.sound().is_some_and(|e| e.coding.sample_bytes().is_none());
        if believed.iter().any(|(_, claim, _)| stateful(claim)) {
            believed.sort_by_key(|(head, _, _)| head.sequence);
        }
        for (head, own, payload) in believed {
            if own.sequence == claim.sequence
                && let Some(blocks) = &sound.older
            {
                self.mend(&head, &claim.leg, blocks, deliver);
            }
            self.hear(head, &own, &payload, deliver);
        }
        verdict
    }

    /// Begins an epoch; `first` is the sequence number of its first packet.
    fn begin(&mut self, claim: &Claim, first: u16, deliver: &mut dyn FnMut(Head, &[i16])) -> Verdict {
        self.block = claim.frames;
        let Some(highest) = self.tracker.highest() else {
            self.believed = true;
            return Verdict::Believed;
        };
        self.epoch += 1;
        self.clock.reset();
        self.voices.reset(deliver);
        self.lately.clear();
        if let Some(standby) = &mut self.standby {
            standby.reset();
        }
        let step = u64::from(first.wrapping_sub(highest as u16));
        if self.wire == Wire::Rtp && (1..=MAX_MISORDER).contains(&step) {
            self.tracker.forget_transit();
            Verdict::Rebased
        } else {
            self.tracker.restart();
            Verdict::Restarted
        }
    }

    /// The stream goes on as before: what was put aside was no new beginning, but may have been very late.
    fn settle(&mut self, deliver: &mut dyn FnMut(Head, &[i16])) {
        if self.probation.held() == 0 {
            return;
        }
        for held in self.probation.take() {
            let is_late = match (self.wire, self.tracker.place(self.tracker.extend(held.claim.sequence))) {
                (_, Place::First | Place::Next | Place::Ahead(_)) => false,
                (_, Place::Copy(behind)) if behind >= WINDOW as u64 => false,
                (Wire::Classic, _) => held.claim.frames == self.block,
                (Wire::Rtp, _) => {
                    let back = -self.clock.place(held.claim.timestamp, held.claim.arrival).step;
                    (1..=self.clock.slack()).contains(&back)
                }
            };
            if is_late {
                if let Some(head) = self.count_held(&held) {
                    self.hear(head, &held.claim, &held.payload, deliver);
                }
            } else {
                self.probation.refuse(&held);
            }
        }
    }

    /// Counts a packet that was held, and its copies.
    fn count_held(&mut self, held: &Held) -> Option<Head> {
        let sequence = self.tracker.extend(held.claim.sequence);
        let (_, counted) = self.count(&held.claim, sequence, held.bytes);
        for _ in 0..held.copies {
            self.tracker.count_copy();
        }
        self.bytes += u64::from(held.copies) * held.bytes as u64;
        counted
    }

    fn admit(&mut self, sound: &Sound, sequence: u64, deliver: &mut dyn FnMut(Head, &[i16])) -> Place {
        let (place, head) = self.count(&sound.claim, sequence, sound.bytes);
        if let Some(head) = head {
            if let Some(blocks) = &sound.older {
                self.mend(&head, &sound.claim.leg, blocks, deliver);
            }
            self.hear(head, &sound.claim, sound.payload, deliver);
        }
        place
    }

    /// Counts a packet; its head, unless it is a copy.
    fn count(&mut self, claim: &Claim, sequence: u64, bytes: usize) -> (Place, Option<Head>) {
        let &Claim { arrival, frames, .. } = claim;
        let sound_before = sequence.wrapping_mul(u64::from(self.block));
        let timestamp = match self.wire {
            Wire::Rtp => claim.timestamp,
            Wire::Classic => sound_before as u32,
        };
        let place = if matches!(claim.content, Content::Sound(_) | Content::Comfort { .. }) {
            self.tracker.count(sequence, timestamp, arrival)
        } else {
            self.tracker.count_untimed(sequence)
        };
        self.bytes += bytes as u64;
        self.last_sequence = claim.sequence;
        let is_newest = matches!(place, Place::First | Place::Next | Place::Ahead(_));
        if is_newest {
            self.advanced = arrival;
        }
        if matches!(place, Place::Copy(_)) {
            return (place, None);
        }
        let position = match self.wire {
            Wire::Classic => Position(ORIGIN + sound_before),
            Wire::Rtp => {
                let placed = self.clock.place(timestamp, arrival);
                if is_newest && frames > 0 {
                    self.clocks.advance(claim.leg, sequence, frames, arrival);
                    self.clock.advance(&placed, timestamp, frames, arrival);
                }
                placed.position
            }
        };
        self.frames += u64::from(frames);
        self.silent += u64::from(frames == 0);
        let noise = match claim.content {
            Content::Comfort { level, .. } => Some(level),
            _ => None,
        };
        let head = Head {
            source: self.number,
            epoch: self.epoch,
            sequence,
            position,
            arrival,
            frames,
            payload_type: claim.payload_type,
            noise,
            origin: Origin::Received,
        };
        (place, Some(head))
    }

    /// Decodes a packet that was counted or is repaired, and what can be had of those missing before it; unless its exact copy was
    /// delivered before. One without sound is delivered as it is.
    fn hear(&mut self, head: Head, claim: &Claim, payload: &[u8], deliver: &mut dyn FnMut(Head, &[i16])) {
        let Content::Sound(encoding) = claim.content else {
            self.voices.pass(head.sequence);
            self.note_events(claim, payload);
            return deliver(head, &[]);
        };
        if self.lately.get(head.sequence).is_some_and(|put| put.whole && put.position == head.position) {
            return;
        }
        self.lately.note(&head, true);
        let tracker = &mut self.tracker;
        self.voices.decode(head, &claim.leg, encoding, payload, &mut |head, samples| {
            if head.origin == Origin::Repaired {
                tracker.repair(head.sequence);
            }
            deliver(head, samples);
        });
    }
}

/// How long a source must have been silent for old sequence numbers to be a new beginning.
const STALL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
