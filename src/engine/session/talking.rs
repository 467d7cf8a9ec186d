//! What a server says to its sources in sound: its own microphone, or to each the mix of all others.
//!
//! Guaranteed: only who has proved its address is talked to, and no more freely than [`Balance::of_sound`] says; sound goes out in the
//! coding, rate and packet length that it comes in, so that whoever can send can hear. Every source has a stream of its own, with an
//! SSRC, a sequence and, with a key, a keystream that no other has. Bounded: sound that waits for longer than
//! [`PATIENCE`] is dropped, the oldest first, and the timestamps tell of it.
//!
//! Works on the network thread, which the audio threads wake: nothing here waits.

use std::time::Duration;

use rtrb::Consumer;

use super::packets::Packets;
use super::party::{Dice, party};
use super::reporting::{Letter, Way};
use crate::engine::codec::encoder::Settings;
use crate::engine::coding::{Coding, DYNAMIC, Encoding};
use crate::engine::config::{BlockSize, ServerConfig, Wire};
use crate::engine::error::{Error, Result};
use crate::engine::format::Format;
use crate::engine::playout::listeners::Ear;
use crate::engine::rate::Converter;
use crate::engine::stream::reports::{Balance, Speaker, WallClock};
use crate::engine::stream::sender::{Outline, Sender};
use crate::engine::time::Micros;
use crate::engine::wire::rtcp::Compound;
use crate::engine::wire::rtp;
use crate::engine::wire::seal::Sealer;

/// What all that is said has in common.
#[derive(Default)]
pub struct Talking {
    /// The microphone, where everybody hears only that.
    microphone: Option<Consumer<i16>>,
    /// What it has delivered since the last turn, whole frames, and how many were dropped before it.
    spoken: Vec<i16>,
    skipped: usize,
}

/// What is said to one source.
pub struct Talk {
    format: Format,
    encoding: Encoding,
    sender: Sender,
    converter: Converter,
    speaker: Speaker,
    sealer: Option<Sealer>,
    /// Its own mix, where it does not hear the microphone alone.
    ear: Option<Ear>,
    balance: Balance,
    /// Frames that its mix had no room for, as far as the timestamps have told.
    dropped: u64,
    packets: Packets,
    mix: Vec<i16>,
    out: Vec<u8>,
    sent: u64,
    withheld: u64,
}

/// What is known of the moment, and whom it is said to.
pub struct Turn<'a> {
    /// Now.
    pub now: Micros,
    /// The same in NTP's time.
    pub wall: WallClock,
    /// Chance.
    pub dice: &'a mut Dice,
    /// Where to.
    pub way: Way,
    /// Bytes of sound that have come from there in all.
    pub came: u64,
    /// What is to be sent.
    pub letters: &'a mut Vec<Letter>,
}

impl Talking {
    /// With a microphone that everybody hears, where there is no conference.
    pub fn new(microphone: Option<Consumer<i16>>) -> Self {
        Self { microphone, ..Self::default() }
    }

    /// Takes what the microphone has delivered. `format` is its.
    pub fn listen(&mut self, format: Format) {
        self.spoken.clear();
        let Some(microphone) = &mut self.microphone else { return };
        self.skipped = take(microphone, format, &mut self.spoken);
    }

    /// What it has delivered, and the frames dropped before it.
    pub fn spoken(&self) -> (&[i16], usize) {
        (&self.spoken, self.skipped)
    }
}

/// Whom it is said to, and how.
pub struct Plan {
    /// What the source sends.
    pub encoding: Encoding,
    /// How long its packets last.
    pub packet: Duration,
    /// What seals what is said, where there is a key.
    pub sealer: Option<Sealer>,
    /// The stream's own, which the sealer knows.
    pub ssrc: u32,
    /// The mix that it hears; `None` hears the microphone.
    pub ear: Option<Ear>,
}

impl Talk {
    /// As planned.
    pub fn new(config: &ServerConfig, plan: Plan, dice: &mut Dice, now: Micros) -> Result<Self> {
        let Plan { encoding, packet, sealer, ssrc, ear } = plan;
        if encoding.coding == Coding::L24 {
            return Err(Error::config("24-bit sound is received only"));
        }
        let format = config.audio.format;
        // The packet's length as it comes, rounded: clocks and blocks that divide unevenly make it a little longer or shorter.
        let ptime = Duration::from_micros((packet.as_micros() as u64 + 250) / 500 * 500);
        let outline = Outline {
            wire: Wire::Rtp,
            encoding,
            payload_type: config.payloads.type_of(encoding).unwrap_or(DYNAMIC),
            block: BlockSize::default(),
            ptime: Some(ptime).filter(|ptime| !ptime.is_zero()),
            settings: Settings::default(),
        };
        let bits = dice.bits();
        // Half the numbers, so that a wrap at the start is not missed (RFC 3711 §3.3.1).
        let sender = Sender::new(&outline, ssrc, bits as u16 & 0x7fff, (bits >> 16) as u32)?;
        let rate = encoding.format.rate();
        let sample_bytes = encoding.coding.sample_bytes();
        let bits = sample_bytes.map_or(f64::from(outline.settings.bitrate), |bytes| {
            f64::from(rate) * (encoding.format.channels() * bytes) as f64 * 8.0
        });
        Ok(Self {
            format,
            encoding,
            sender,
            converter: Converter::new(format, encoding.format)?,
            speaker: Speaker::new(party(ssrc, config.name.clone()), rate, bits, now),
            sealer,
            ear,
            balance: Balance::of_sound(now),
            dropped: 0,
            packets: Packets::new(false),
            mix: Vec::new(),
            out: Vec::new(),
            sent: 0,
            withheld: 0,
        })
    }

    /// Says what there is to say: its mix, or else what was `spoken`, and a report where one is due.
    pub fn turn(&mut self, talking: &Talking, turn: &mut Turn<'_>) {
        self.balance.came(turn.came, turn.now);
        let mut mix = std::mem::take(&mut self.mix);
        mix.clear();
        let (sound, skipped) = match &mut self.ear {
            Some(ear) => {
                let skipped = take(&mut ear.sound, self.format, &mut mix);
                let dropped = ear.dropped();
                let lost = dropped - std::mem::replace(&mut self.dropped, dropped);
                (&mix[..], skipped + lost as usize)
            }
            None => talking.spoken(),
        };
        if skipped > 0 {
            let frames =
                skipped as u64 * u64::from(self.encoding.format.rate()) / u64::from(self.format.rate());
            self.sender.skip(frames as usize);
        }
        let Self { sender, converter, packets, .. } = self;
        converter.push(sound, &mut |sound| {
            sender.push(sound, &mut |packet| packets.take(packet, None));
        });
        self.mix = mix;
        self.send(turn);
        if self.speaker.next() <= turn.now {
            self.out.clear();
            let Turn { now, wall, dice, .. } = turn;
            if self.speaker.report(*now, wall, &mut || dice.chance(), &mut self.out) {
                self.say(turn.way, turn.now, turn.letters);
            }
        }
    }

    /// Takes what its source reports.
    pub fn hear(&mut self, compound: Compound<'_>, arrival: Micros, wall: WallClock) {
        self.speaker.hear(compound, arrival, &wall);
    }

    /// The end of it.
    pub fn goodbye(&mut self, way: Way, now: Micros, wall: WallClock, letters: &mut Vec<Letter>) {
        self.out.clear();
        if self.sent > 0 && self.speaker.goodbye(now, &wall, &mut self.out) {
            self.say(way, now, letters);
        }
    }

    /// Packets of sound sent, and those that were not, for too little had come.
    pub const fn counts(&self) -> (u64, u64) {
        (self.sent, self.withheld)
    }

    fn send(&mut self, turn: &mut Turn<'_>) {
        let length = self.encoding.format.duration(self.sender.frames_per_packet() as u64);
        let packets = std::mem::take(&mut self.packets);
        for packet in packets.iter().map(|outgoing| outgoing.bytes) {
            let bytes = match &mut self.sealer {
                None => packet.to_vec(),
                Some(sealer) => {
                    let mut bytes = Vec::new();
                    if sealer.seal_rtp(packet, &mut bytes).is_err() {
                        self.withheld += 1;
                        continue;
                    }
                    bytes
                }
            };
            if !self.balance.may_send(bytes.len(), turn.came) {
                self.withheld += 1;
                continue;
            }
            self.balance.went(bytes.len(), turn.now);
            self.sent += 1;
            if let Ok((header, payload)) = rtp::parse(packet) {
                self.speaker.sent(header.timestamp, payload.len(), packet.len(), length, turn.now);
            }
            turn.letters.push(Letter { way: turn.way, bytes });
        }
        self.packets = packets;
        self.packets.clear();
    }

    fn say(&mut self, way: Way, now: Micros, letters: &mut Vec<Letter>) {
        let mut bytes = Vec::new();
        match &mut self.sealer {
            None => bytes.extend_from_slice(&self.out),
            Some(sealer) => {
                if sealer.seal_rtcp(&self.out, &mut bytes).is_err() {
                    return;
                }
            }
        }
        self.balance.went(bytes.len(), now);
        letters.push(Letter { way, bytes });
    }
}

/// Takes what a ring holds to the end of `sound`, but of the latest [`PATIENCE`] only; the frames dropped before it.
fn take(ring: &mut Consumer<i16>, format: Format, sound: &mut Vec<i16>) -> usize {
    let channels = format.channels();
    let waiting = ring.slots() / channels * channels;
    let dropped = waiting.saturating_sub(format.frames(PATIENCE) * channels);
    if let Ok(chunk) = ring.read_chunk(waiting) {
        let (first, second) = chunk.as_slices();
        let split = dropped.min(first.len());
        sound.extend_from_slice(&first[split..]);
        sound.extend_from_slice(&second[dropped - split..]);
        chunk.commit_all();
    }
    dropped / channels
}

/// Sound that has waited longer is not said any more.
pub const PATIENCE: Duration = Duration::from_millis(200);

#[cfg(test)]
#[path = "talking_tests.rs"]
mod tests;
