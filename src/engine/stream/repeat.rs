//! Redundancy, as it is sent: every packet's sound goes again, inside later packets (RFC 2198) or in streams of its own (RFC 7198).
//!
//! Guaranteed: a packet keeps its sequence number, timestamp and marker, whatever goes with it, and none is longer than
//! [`MAX_PACKET`]. A block lies behind its packet by as many of its own lengths as there are packets between, so that who
//! receives it knows which packet it was. Bounded memory; after the first packets nothing allocates.
//!
//! Not guaranteed: that inside later packets the last ones of a stream have copies.

use super::beside::Beside;
use super::remedy::{MOST_COPIES as MOST_ADVISED, Remedy, most_spacing};
use super::sender::{MAX_PACKET, Outline, Packet};
use crate::engine::coding::{OPUS, REDUNDANT};
use crate::engine::config::Redundancy;
use crate::engine::error::Result;
use crate::engine::wire::red::{self, Block};
use crate::engine::wire::rtp::{self, RtpHeader};

/// Sends a stream's packets on, and copies of them.
pub struct Repeater {
    means: Means,
    beside: Option<Beside>,
    ssrc: u32,
    remedy: Remedy,
    /// The last packets, each at its number modulo their count.
    slots: Box<[Slot]>,
    /// The next packet's number.
    next: u64,
    /// The first packet that still may go again.
    first: u64,
    out: Vec<u8>,
    /// Bytes of a packet at most.
    limit: usize,
}

/// How sound goes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// The same payload as a block of a later packet (RFC 2198).
    Blocks,
    /// Low-rate Opus as a block of a later packet of linear PCM.
    Beside,
    /// The same packet in another stream (RFC 7198).
    Streams,
}

/// What goes over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// The whole packet.
    pub bytes: &'a [u8],
    /// How many earlier packets' sound it holds.
    pub copies: u8,
    /// It is a packet of a stream of copies, and holds nothing new.
    pub is_copy: bool,
}

/// What is kept of a packet.
#[derive(Clone, Default)]
struct Slot {
    number: u64,
    timestamp: u32,
    frames: u32,
    payload_type: u8,
    /// The packet, or the block that stands for it; empty where there is none.
    bytes: Vec<u8>,
}

impl Repeater {
    /// For packets of `frames` frames, at most, of the stream `ssrc`; `None` where nothing goes twice.
    pub fn new(
        outline: &Outline,
        frames: usize,
        ssrc: u32,
        redundancy: Redundancy,
        spacing: u8,
    ) -> Result<Option<Self>> {
        let format = outline.encoding.format;
        let remedy = |copies| Remedy { copies, spacing };
        let (remedy, most) = match redundancy {
            Redundancy::None => return Ok(None),
            Redundancy::Copies(copies) => (remedy(copies), remedy(copies)),
            Redundancy::Opus => (remedy(1), remedy(1)),
            Redundancy::Auto => {
                let most = most_spacing(format.duration(frames as u64), spacing);
                (remedy(0), Remedy { copies: MOST_ADVISED, spacing: most })
            }
        };
        let means = match redundancy {
            Redundancy::Opus => Means::Beside,
            _ if fits_in_blocks(outline, frames, most) => Means::Blocks,
            _ => Means::Streams,
        };
        let beside = match means {
            Means::Beside => Some(Beside::new(format, frames, spacing)?),
            Means::Blocks | Means::Streams => None,
        };
        Ok(Some(Self {
            means,
            beside,
            ssrc,
            remedy,
            slots: vec![Slot::default(); most.reach() as usize + 1].into(),
            next: 0,
            first: 0,
            out: Vec::with_capacity(MAX_PACKET),
            limit: MAX_PACKET,
        }))
    }

    /// Sends `packet` on, with copies of earlier ones in it or after it.
    pub fn push(&mut self, packet: &Packet<'_>, emit: &mut dyn FnMut(Outgoing<'_>)) {
        let Ok((header, payload)) = rtp::parse(packet.bytes) else {
            return emit(Outgoing { bytes: packet.bytes, copies: 0, is_copy: false });
        };
        self.keep(packet, header, payload);
        match self.means {
            Means::Streams => {
                emit(Outgoing { bytes: packet.bytes, copies: 0, is_copy: false });
                self.send_copies(self.next, emit);
            }
            Means::Blocks | Means::Beside => self.send_with_blocks(packet, header, payload, emit),
        }
        self.next += 1;
    }

    /// The end of the stream: the copies that are owed go at once, in their order.
    pub fn flush(&mut self, emit: &mut dyn FnMut(Outgoing<'_>)) {
        if self.means == Means::Streams {
            for number in self.next..self.next + self.remedy.reach() {
                self.send_copies(number, emit);
            }
        }
        self.first = self.next;
    }

    /// From the next packet on so many copies go, so much later; no more than was foreseen.
    pub fn set(&mut self, remedy: Remedy) {
        if remedy.reach() < self.slots.len() as u64 {
            self.remedy = remedy;
        }
    }

    /// From the next packet on none is made longer than `most` bytes by what goes with it: copies that do not fit stay out.
    pub fn limit(&mut self, most: usize) {
        self.limit = most.min(MAX_PACKET);
    }

    /// How it goes again.
    pub const fn means(&self) -> Means {
        self.means
    }

    /// How often, and when.
    pub const fn remedy(&self) -> Remedy {
        self.remedy
    }

    fn keep(&mut self, packet: &Packet<'_>, header: RtpHeader, payload: &[u8]) {
        let number = self.next;
        let slot = self.place(number);
        slot.number = number;
        slot.timestamp = header.timestamp;
        slot.frames = packet.frames;
        slot.payload_type = header.payload_type;
        slot.bytes.clear();
        match self.means {
            Means::Blocks => self.place(number).bytes.extend_from_slice(payload),
            Means::Streams => self.place(number).bytes.extend_from_slice(packet.bytes),
            Means::Beside => {
                let Self { beside: Some(beside), slots, .. } = self else { return };
                beside.push(header.timestamp, packet.sound, &mut |timestamp, block| {
                    let made = slots.iter_mut().find(|slot| slot.frames > 0 && slot.timestamp == timestamp);
                    if let Some(slot) = made {
                        slot.payload_type = OPUS;
                        slot.bytes.clear();
                        slot.bytes.extend_from_slice(block);
                    }
                });
            }
        }
    }

    fn send_with_blocks(
        &mut self,
        packet: &Packet<'_>,
        header: RtpHeader,
        payload: &[u8],
        emit: &mut dyn FnMut(Outgoing<'_>),
    ) {
        let mut out = std::mem::take(&mut self.out);
        let newest = Block { payload_type: header.payload_type, behind: 0, bytes: payload };
        let mut older = [newest; red::MAX_BLOCKS];
        let mut count = 0;
        let mut length = RtpHeader::LEN + 1 + payload.len();
        for back in self.remedy.distances() {
            let Some(slot) = self.slot(self.next.checked_sub(back)) else { continue };
            let behind = header.timestamp.wrapping_sub(slot.timestamp);
            let is_told = u64::from(behind) == back * u64::from(slot.frames);
            let with = length + red::HEADER + slot.bytes.len();
            // Of what does not fit, the newer goes rather than the older: it comes sooner.
            if is_told
                && red::can_carry(slot.bytes.len(), behind)
                && with <= self.limit
                && !slot.bytes.is_empty()
            {
                let payload_type = slot.payload_type;
                older[count] = Block { payload_type, behind: behind as u16, bytes: &slot.bytes };
                length = with;
                count += 1;
            }
        }
        if count == 0 {
            emit(Outgoing { bytes: packet.bytes, copies: 0, is_copy: false });
        } else {
            older[..count].reverse();
            out.clear();
            RtpHeader { payload_type: REDUNDANT, ..header }.write(&mut out);
            red::write(&older[..count], newest, &mut out);
            emit(Outgoing { bytes: &out, copies: count as u8, is_copy: false });
        }
        self.out = out;
    }

    /// The copies that go with packet `number`.
    fn send_copies(&mut self, number: u64, emit: &mut dyn FnMut(Outgoing<'_>)) {
        for (copy, back) in (1..).zip(self.remedy.distances()) {
            let ssrc = copy_ssrc(self.ssrc, copy);
            let wanted = number.checked_sub(back);
            if self.slot(wanted).is_some()
                && let Some(number) = wanted
            {
                let bytes = &mut self.place(number).bytes;
                if let Some(field) = bytes.get_mut(SSRC) {
                    field.copy_from_slice(&ssrc.to_be_bytes());
                    emit(Outgoing { bytes, copies: 1, is_copy: true });
                }
            }
        }
    }

    /// What is kept of a packet, if it still is.
    fn slot(&self, number: Option<u64>) -> Option<&Slot> {
        let number = number.filter(|number| (self.first..=self.next).contains(number))?;
        let slot = &self.slots[(number % self.slots.len() as u64) as usize];
        (slot.number == number && slot.frames > 0).then_some(slot)
    }

    fn place(&mut self, number: u64) -> &mut Slot {
        let count = self.slots.len() as u64;
        &mut self.slots[(number % count) as usize]
    }
}

/// The synchronisation source of a packet's n-th copy.
pub const fn copy_ssrc(primary: u32, copy: u8) -> u32 {
    (!primary).wrapping_sub(copy as u32 - 1)
}

/// Whether all that may go fits into one packet, as far as the coding lets it be known.
fn fits_in_blocks(outline: &Outline, frames: usize, most: Remedy) -> bool {
    let format = outline.encoding.format;
    let payload = outline.encoding.coding.sample_bytes().map_or_else(
        || outline.settings.bitrate as usize * frames / format.rate() as usize / 8 * 5 / 4,
        |sample| frames * format.channels() * sample,
    );
    let length = RtpHeader::LEN + usize::from(most.copies) * (red::HEADER + payload) + 1 + payload;
    let behind = u32::try_from(most.reach() * frames as u64).unwrap_or(u32::MAX);
    red::can_carry(payload, behind) && length <= MAX_PACKET
}

/// Where a packet names its source (RFC 3550 §5.1).
const SSRC: std::ops::Range<usize> = 8..12;

#[cfg(test)]
mod tests;
