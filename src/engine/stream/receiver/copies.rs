//! Lost packets brought back: by older blocks in later packets (RFC 2198), by a copy of the whole stream (RFC 7198).
//!
//! A copy is used where its packet is missing, in the place that it names, and has no effect on anything else: it is
//! not counted as received, makes no jitter, and moves neither clock nor sequence numbers. One that does not fit between the packets around it
//! is not believed.

use super::{Receiver, Sound};
use crate::engine::codec::decoder;
use crate::engine::coding::{Encoding, Payload};
use crate::engine::config::Wire;
use crate::engine::stream::clocks::Leg;
use crate::engine::stream::probation::Claim;
use crate::engine::stream::queue::{Head, Origin, Position};
use crate::engine::stream::sequence::{MAX_DROPOUT, Place, WINDOW};
use crate::engine::stream::standby::Standby;
use crate::engine::time::Micros;
use crate::engine::wire::content::Content;
use crate::engine::wire::rtp::{self, RtpHeader};
use crate::engine::wire::{Malformed, red};

/// What became of a packet of a copied stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// The source is not believed yet.
    Ignored,
    /// Its packet is there, or was before the first.
    Needless,
    /// Its packet was missing, and is delivered.
    Repaired,
}

/// Where a packet of a copied stream belongs.
enum Spot {
    There,
    Missing(Head),
}

impl Receiver {
    /// Takes a packet of a stream that repeats this source's packets, as they were, under another SSRC (RFC 7198 §3). What does not fit
    /// between the packets known is refused.
    pub fn receive_copy(
        &mut self,
        packet: &[u8],
        arrival: Micros,
        deliver: &mut dyn FnMut(Head, &[i16]),
    ) -> Result<Copied, Malformed> {
        if self.wire != Wire::Rtp {
            return Err(Malformed::Source);
        }
        let (_, sound) = self.parse_rtp(packet, arrival)?;
        if !self.believed {
            return Ok(Copied::Ignored);
        }
        if sound.claim.frames == 0 {
            self.note_events(&sound.claim, sound.payload);
            return Ok(Copied::Needless);
        }
        if sound.claim.content.sound().is_some_and(|encoding| !self.voices.knows(encoding)) {
            return Err(Malformed::PayloadType);
        }
        self.voices.expect_copies();
        match self.spot(&sound.claim)? {
            Spot::There => Ok(Copied::Needless),
            Spot::Missing(head) => {
                self.hear(head, &sound.claim, sound.payload, deliver);
                Ok(Copied::Repaired)
            }
        }
    }

    /// Whether such a packet fits, and is ahead of all that has come: if that happens before any copy was behind, it is rather this
    /// source that is the copy.
    pub fn is_led_by(&self, packet: &[u8], arrival: Micros) -> bool {
        let Some(highest) = self.tracker.highest().filter(|_| self.believed) else { return false };
        let Ok((_, sound)) = self.parse_rtp(packet, arrival) else { return false };
        let ahead = self.tracker.extend(sound.claim.sequence) > highest;
        sound.claim.frames > 0 && ahead && matches!(self.spot(&sound.claim), Ok(Spot::Missing(_)))
    }

    /// The source goes by another SSRC from now on.
    pub fn rename(&mut self, ssrc: u32) {
        self.ssrc = Some(ssrc);
    }

    /// An RTP packet: its SSRC and its sound.
    pub(super) fn parse_rtp<'a>(
        &self,
        packet: &'a [u8],
        arrival: Micros,
    ) -> Result<(u32, Sound<'a>), Malformed> {
        let (header, mut payload) = rtp::parse(packet)?;
        let mut payload_type = header.payload_type;
        let mut older = None;
        if self.payloads.get(payload_type) == Some(Payload::Redundant) && !payload.is_empty() {
            let blocks = red::parse(payload)?;
            let nested =
                |block: &red::Block| self.payloads.get(block.payload_type) == Some(Payload::Redundant);
            if blocks.older().iter().any(nested) {
                return Err(Malformed::PayloadType);
            }
            (payload_type, payload) = (blocks.newest().payload_type, blocks.newest().bytes);
            older = Some(blocks);
        }
        let content = Content::of(payload_type, payload, &self.payloads)?;
        let RtpHeader { sequence, timestamp, ssrc, .. } = header;
        let rate = match content {
            Content::Sound(Encoding { coding, .. }) if !decoder::can_decode(coding) => {
                return Err(Malformed::PayloadType);
            }
            Content::Sound(encoding) => Some(encoding.format.rate()),
            _ => None,
        };
        let leg = self.clocks.place(rate, timestamp, self.tracker.extend(sequence), arrival);
        let frames = match content {
            Content::Sound(encoding) => {
                leg.frames(decoder::frames(encoding, payload).ok_or(Malformed::Frames)?)
            }
            _ => 0,
        };
        let timestamp = leg.timestamp();
        let claim = Claim { sequence, timestamp, leg, payload_type, content, frames, arrival };
        Ok((ssrc, Sound { claim, payload, older, bytes: packet.len() }))
    }

    /// Takes what is missing of the older blocks that came with the packet `head`, which is counted and not yet delivered itself; `leg` is
    /// its place by its own clock.
    pub(super) fn mend(
        &mut self,
        head: &Head,
        leg: &Leg,
        blocks: &red::Blocks<'_>,
        deliver: &mut dyn FnMut(Head, &[i16]),
    ) {
        let newest = self.payloads.sound(head.payload_type);
        for block in blocks.older().iter().filter(|block| block.behind > 0) {
            let behind = leg.back(block.behind.into());
            let Ok(content) = Content::of(block.payload_type, block.bytes, &self.payloads) else { continue };
            let claim = Claim {
                sequence: head.sequence as u16,
                timestamp: behind.timestamp(),
                leg: behind,
                payload_type: block.payload_type,
                content,
                frames: 0,
                arrival: head.arrival,
            };
            self.note_events(&claim, block.bytes);
            let (Some(encoding), Some(newest)) = (content.sound(), newest) else { continue };
            let at = head.position.0.saturating_add_signed(behind.scaled_since() - leg.scaled_since());
            let at = Position(at);
            if encoding != newest && !self.voices.alternate(encoding, newest) {
                self.mend_otherwise(head, at, encoding, block.bytes, deliver);
                continue;
            }
            self.voices.expect_copies();
            if let Some(frames) = decoder::frames(encoding, block.bytes)
                && let Some(missing) = self.missing_at(at, behind.frames(frames), head)
            {
                let missing = Head { payload_type: block.payload_type, ..missing };
                self.hear(missing, &claim, block.bytes, deliver);
            }
        }
    }

    /// The same of a block in another coding: the packets' lengths are the packet's that came.
    fn mend_otherwise(
        &mut self,
        head: &Head,
        at: Position,
        encoding: Encoding,
        bytes: &[u8],
        deliver: &mut dyn FnMut(Head, &[i16]),
    ) {
        let Some(encoding) = Standby::encoding(self.encoding, encoding) else { return };
        if self.standby.is_none() {
            self.standby = Standby::new(self.encoding.format, encoding).ok().map(Box::new);
        }
        let standby = self.standby.as_mut().filter(|standby| standby.decodes() == encoding);
        let Some(frames) = standby.and_then(|standby| standby.keep(at, bytes)) else { return };
        let channels = self.encoding.format.channels();
        let mut sound = std::mem::take(&mut self.sound);
        sound.clear();
        for n in 0..(frames / head.frames).min(MOST_PACKETS) {
            let skipped = (n * head.frames) as usize;
            let Some(missing) = self.missing_at(at.plus(skipped), head.frames, head) else { continue };
            let rendered = !sound.is_empty()
                || self.standby.as_mut().is_some_and(|standby| standby.render(at, &mut sound));
            if !rendered {
                break;
            }
            self.lately.note(&missing, false);
            self.tracker.repair(missing.sequence);
            let missing = Head { origin: Origin::Rough, ..missing };
            deliver(missing, &sound[skipped * channels..][..head.frames as usize * channels]);
        }
        self.sound = sound;
    }

    /// The packet that is missing at `at`, before the packet `near`.
    fn missing_at(&self, at: Position, frames: u32, near: &Head) -> Option<Head> {
        let sequence = self.lately.missing_at(at, frames, near)?;
        let (lowest, _) = self.tracker.span()?;
        let missing = matches!(self.tracker.place(sequence), Place::Behind(_)) && sequence > lowest;
        missing.then_some(Head { sequence, position: at, frames, origin: Origin::Repaired, ..*near })
    }

    /// Where a packet of a copied stream belongs; an error where that cannot be.
    fn spot(&self, claim: &Claim) -> Result<Spot, Malformed> {
        let &Claim { timestamp, frames, arrival, .. } = claim;
        let sequence = self.tracker.extend(claim.sequence);
        let placed = self.clock.place(timestamp, arrival);
        let head = Head {
            source: self.number,
            epoch: self.epoch,
            sequence,
            position: placed.position,
            arrival,
            frames,
            payload_type: claim.payload_type,
            noise: None,
            origin: Origin::Repaired,
        };
        if let Some(put) = self.lately.get(sequence) {
            if put.position != head.position || put.frames != frames {
                return Err(Malformed::Incoherent);
            }
            return Ok(if put.whole { Spot::There } else { Spot::Missing(head) });
        }
        let (lowest, _) = self.tracker.span().ok_or(Malformed::Incoherent)?;
        let near = match self.tracker.place(sequence) {
            Place::Ahead(missing) => missing < MAX_DROPOUT && placed.step > 0 && self.clock.agrees(&placed),
            Place::Behind(behind) | Place::Copy(behind) => {
                behind < WINDOW as u64 && (-self.clock.slack()..=0).contains(&placed.step)
            }
            Place::First | Place::Next => placed.step > 0 && self.clock.agrees(&placed),
        };
        if !near {
            return Err(Malformed::Incoherent);
        }
        if sequence < lowest || self.tracker.was_received(sequence) {
            return Ok(Spot::There);
        }
        if self.lately.fits(&head) { Ok(Spot::Missing(head)) } else { Err(Malformed::Incoherent) }
    }
}

/// Packets that one block in another coding may cover: 120 ms of Opus beside packets of 10 ms, and some.
const MOST_PACKETS: u32 = 16;
