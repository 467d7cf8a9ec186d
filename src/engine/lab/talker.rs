//! The sending end: a sound card that is read block by block, and what a client makes of it.
//!
//! As in a live client sound waits where the road takes no more (TCP); past [`PATIENCE`] the oldest goes first, and is counted.

use std::collections::VecDeque;

use super::ledger::{Entry, Ledger, State};
use super::road::Road;
use super::{BEGIN, Experiment};
use crate::engine::config::{PATIENCE, Wire};
use crate::engine::error::Result;
use crate::engine::format::Format;
use crate::engine::rate::Converter;
use crate::engine::stream::repeat::{Outgoing, Repeater};
use crate::engine::stream::sender::{Outline, Packet, Sender};
use crate::engine::time::Micros;
use crate::engine::wire::{classic, rtp};

/// Captures, packs, sends.
pub struct Talker {
    sound: std::sync::Arc<[i16]>,
    format: Format,
    /// Frames of a block.
    block: usize,
    outline: Outline,
    sender: Sender,
    repeater: Option<Repeater>,
    converter: Converter,
    /// Frames that the card has given so far, and those that were packed or dropped.
    captured: usize,
    taken: usize,
    /// What was packed and not taken by the road.
    parcels: VecDeque<Parcel>,
    flushed: bool,
    dropped_rest: usize,
    /// Captured frames that were dropped, and how often.
    pub dropped: u64,
    /// See `dropped`.
    pub overruns: u64,
    /// Packets that hold only copies, and copies inside others.
    pub copies: u64,
}

/// One packet, made.
pub struct Parcel {
    /// As it goes over the wire.
    pub bytes: Vec<u8>,
    /// Its number in the stream; that of its copy, where it holds nothing new.
    pub number: usize,
    /// See [`Outgoing`].
    pub is_copy: bool,
}

impl Talker {
    /// Before the first frame.
    pub fn new(experiment: &Experiment) -> Result<Self> {
        let (outline, client) = (experiment.outline(), &experiment.client);
        let sender = Sender::new(&outline, SSRC, 0, 0)?;
        let frames = sender.frames_per_packet();
        let format = experiment.format();
        Ok(Self {
            sound: std::sync::Arc::clone(&experiment.sound),
            format,
            block: client.audio.block.frames(format),
            repeater: Repeater::new(&outline, frames, SSRC, client.redundancy, client.spacing)?,
            converter: Converter::new(format, client.encoding().format)?,
            sender,
            outline,
            captured: 0,
            taken: 0,
            parcels: VecDeque::new(),
            flushed: false,
            dropped_rest: 0,
            dropped: 0,
            overruns: 0,
            copies: 0,
        })
    }

    /// When the next block is complete; `None` after the last.
    pub fn next(&self) -> Option<Micros> {
        (self.captured < self.frames()).then(|| self.at((self.captured + self.block).min(self.frames())))
    }

    /// The card gives the next block.
    pub fn capture(&mut self) {
        self.captured = (self.captured + self.block).min(self.frames());
    }

    /// Gives the road what it takes, and drops what has waited for too long.
    pub fn supply(&mut self, now: Micros, road: &mut Road, ledger: &mut Ledger) {
        self.trim(ledger);
        loop {
            while let Some(parcel) = self.parcels.front() {
                if !road.offer(now, parcel, ledger) {
                    return;
                }
                self.parcels.pop_front();
            }
            if self.taken < self.captured {
                self.pack(ledger);
            } else if self.captured == self.frames() && !self.flushed {
                self.flush(ledger);
            } else {
                return;
            }
        }
    }

    /// Whether everything was sent.
    pub fn is_over(&self) -> bool {
        self.flushed && self.parcels.is_empty()
    }

    /// Frames of the longest packet, at the rate that is sent.
    pub fn packet_frames(&self) -> usize {
        self.sender.frames_per_packet()
    }

    /// What a packet holds besides sound: the header of its wire.
    pub fn header(&self) -> usize {
        match self.outline.wire {
            Wire::Rtp => rtp::RtpHeader::LEN,
            Wire::Classic => classic::HEADER,
        }
    }

    /// As in a live client.
    fn trim(&mut self, ledger: &mut Ledger) {
        let most = self.format.frames(PATIENCE).max(2 * self.block);
        let mut dropped = 0;
        while self.captured - self.taken > most {
            let end = (self.taken + self.block).min(self.captured);
            ledger.dropped(self.at(self.taken), self.at(end));
            dropped += end - self.taken;
            self.taken = end;
        }
        if dropped > 0 {
            let parts = dropped * self.outline.encoding.format.rate() as usize + self.dropped_rest;
            self.dropped_rest = parts % self.format.rate() as usize;
            self.sender.skip(parts / self.format.rate() as usize);
            self.dropped += dropped as u64;
            self.overruns += 1;
        }
    }

    /// Makes packets of the oldest block.
    fn pack(&mut self, ledger: &mut Ledger) {
        let (first, end) = (self.taken, (self.taken + self.block).min(self.captured));
        self.taken = end;
        let channels = self.format.channels();
        let (begun, complete) = (self.at(first), self.at(end));
        let sound = std::sync::Arc::clone(&self.sound);
        let Self { converter, sender, repeater, parcels, outline, copies, .. } = self;
        let mut packer = Packer { outline, repeater, parcels, copies, ledger, begun, complete };
        converter.push(&sound[first * channels..end * channels], &mut |sound| {
            sender.push(sound, &mut |packet| packer.take(packet));
        });
    }

    /// The last, short packets.
    fn flush(&mut self, ledger: &mut Ledger) {
        self.flushed = true;
        let complete = self.at(self.captured);
        let begun = self.at(self.captured - self.captured % self.block);
        let Self { converter, sender, repeater, parcels, outline, copies, .. } = self;
        let mut packer = Packer { outline, repeater, parcels, copies, ledger, begun, complete };
        converter.finish(None, &mut |sound| sender.push(sound, &mut |packet| packer.take(packet)));
        sender.flush(&mut |packet| packer.take(packet));
        let number = ledger.packets().saturating_sub(1);
        if let Some(repeater) = repeater {
            repeater.flush(&mut |outgoing| post(parcels, copies, number, outgoing));
        }
    }

    fn frames(&self) -> usize {
        self.sound.len() / self.format.channels()
    }

    /// When so many frames were captured.
    fn at(&self, frames: usize) -> Micros {
        BEGIN + self.format.duration(frames as u64)
    }
}

/// What packets go through when they are made.
struct Packer<'a> {
    outline: &'a Outline,
    repeater: &'a mut Option<Repeater>,
    parcels: &'a mut VecDeque<Parcel>,
    copies: &'a mut u64,
    ledger: &'a mut Ledger,
    /// When the block began that completes the packet, and when it was complete.
    begun: Micros,
    complete: Micros,
}

impl Packer<'_> {
    fn take(&mut self, packet: &Packet<'_>) {
        let Outline { wire, encoding, .. } = *self.outline;
        let number = self.ledger.packets();
        let (position, captured, header) = match wire {
            Wire::Rtp => {
                // It begins at zero, and no experiment is long enough for it to wrap.
                let position = rtp::parse(packet.bytes).map_or(0, |(header, _)| u64::from(header.timestamp));
                (position, BEGIN + encoding.format.duration(position), rtp::RtpHeader::LEN)
            }
            Wire::Classic => (number as u64 * u64::from(packet.frames), self.begun, classic::HEADER),
        };
        self.ledger.made(Entry {
            sequence: Some(number as u64),
            captured,
            sent: self.complete,
            position,
            frames: packet.frames,
            payload: (packet.bytes.len() - header) as u32,
            arrived: None,
            state: State::Lost,
        });
        let Self { repeater, parcels, copies, .. } = self;
        match repeater {
            Some(repeater) => {
                repeater.push(packet, &mut |outgoing| post(parcels, copies, number, outgoing));
            }
            None => {
                post(parcels, copies, number, Outgoing { bytes: packet.bytes, copies: 0, is_copy: false });
            }
        }
    }
}

fn post(parcels: &mut VecDeque<Parcel>, copies: &mut u64, number: usize, outgoing: Outgoing<'_>) {
    *copies += u64::from(outgoing.copies);
    parcels.push_back(Parcel { bytes: outgoing.bytes.to_vec(), number, is_copy: outgoing.is_copy });
}

/// The stream's; anything will do.
const SSRC: u32 = 0x6c61_6221;
/// A packet over IPv4 and UDP has so many bytes more.
pub const UDP_HEADERS: u64 = 28;
