//! The receiving end: receiver, playout, and a sound card that pulls what is heard.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::ledger::Ledger;
use super::{BEGIN, Experiment};
use crate::engine::coding::{Encoding, PayloadTypes};
use crate::engine::config::Wire;
use crate::engine::error::Result;
use crate::engine::format::{Format, to_i16};
use crate::engine::playout::conceal::Tier;
use crate::engine::playout::counters::{PlayerCounters, UNHEARD};
use crate::engine::playout::live::Bounds;
use crate::engine::playout::player::Player;
use crate::engine::playout::render::{Render, Renderer, Roster, Starved};
use crate::engine::sim::clock::{Pull, SoundCard};
use crate::engine::stats::{Playback, Reception};
use crate::engine::stream::queue::{Head, Origin, PacketWriter, packet_queue};
use crate::engine::stream::receiver::Receiver;
use crate::engine::stream::sender::OPUS_DELAY;
use crate::engine::stream::sequence::FIRST_CYCLE;
use crate::engine::time::Micros;

/// Receives and plays.
pub struct Ear {
    format: Format,
    receiver: Receiver,
    queue: PacketWriter,
    counters: Arc<PlayerCounters>,
    renderer: Renderer,
    _roster: Roster,
    card: SoundCard,
    pull: Pull,
    out: Vec<f32>,
    /// By how much the positions that playout knows are beyond those that were sent.
    shift: u64,
    /// What the codec delays.
    coding_delay: Duration,
    known_late: u64,
    last_heard: Micros,
    /// Where what was heard began: how much of a source's beginning is held back is no loss.
    pub begins: Option<u64>,
    /// Bytes that no packet was found in, or packets for which there was no room.
    pub malformed: u64,
    /// What was heard.
    pub heard: Vec<i16>,
    /// What arrived, each packet in its place, holes silent.
    pub arrived: Vec<i16>,
    /// When something was heard, and how long before it was captured, µs.
    pub delays: Vec<(Micros, u64)>,
}

impl Ear {
    /// Before the first packet.
    pub fn new(experiment: &Experiment) -> Result<Self> {
        let client = &experiment.client;
        let encoding = match client.wire {
            Wire::Rtp => client.encoding(),
            Wire::Classic => Encoding::l16(experiment.format()),
        };
        let format = encoding.format;
        let bounds = Bounds {
            most: experiment.bounds.most.max(experiment.bounds.fixed.unwrap_or_default()),
            ..experiment.bounds
        };
        let block = format.frames(BLOCK);
        let (queue, reader) =
            packet_queue(QUEUE_PACKETS, format.frames(QUEUE) * format.channels(), format.channels());
        let player = Player::live(reader, format, bounds.most, Arc::default());
        let counters = player.counters();
        let (mut renderer, mut roster, controls) = Renderer::new(format, 1, block, Duration::ZERO)?;
        controls.set_bounds(bounds);
        renderer.set_tier(Tier::Ar440);
        let added = roster.add(player);
        debug_assert!(added, "there is room for one");
        let types = PayloadTypes::new(experiment.format());
        let receiver = Receiver::new(1, client.wire, encoding, &types)?;
        let receiver = if experiment.is_datagrams() { receiver } else { receiver.believed_at_once() };
        let mut card = SoundCard::new(BEGIN + PHASE, format.rate(), block, 0);
        let pull = card.next().unwrap_or(Pull { at: BEGIN, frames: block });
        Ok(Self {
            format,
            receiver,
            queue,
            counters,
            renderer,
            _roster: roster,
            card,
            pull,
            out: vec![0.0; block * format.channels()],
            shift: 0,
            coding_delay: format.duration(if encoding.coding.sample_bytes().is_none() {
                OPUS_DELAY as u64
            } else {
                0
            }),
            known_late: 0,
            last_heard: BEGIN,
            begins: None,
            malformed: 0,
            heard: Vec::new(),
            arrived: Vec::new(),
            delays: Vec::new(),
        })
    }

    /// When the card pulls next.
    pub fn next(&self) -> Micros {
        self.pull.at
    }

    /// Takes a packet.
    pub fn receive(&mut self, at: Micros, packet: &[u8], is_copy: bool, ledger: &mut Ledger) {
        let Self { receiver, queue, shift, arrived, malformed, format, .. } = self;
        let channels = format.channels();
        let mut refused = 0;
        let mut deliver = |head: Head, samples: &[i16]| {
            let number = number(head.sequence);
            if let Some(entry) = ledger.packet(number) {
                *shift = head.position.0.wrapping_sub(entry.position);
                let first = entry.position as usize * channels;
                if !head.origin.is_made_up()
                    && head.origin != Origin::Repaired
                    && head.origin != Origin::Rough
                {
                    arrived.resize(arrived.len().max(first + samples.len()), 0);
                    arrived[first..first + samples.len()].copy_from_slice(samples);
                }
            }
            if matches!(head.origin, Origin::Repaired | Origin::Rough) {
                ledger.repaired(number);
            }
            refused += u64::from(!queue.push(head, samples));
        };
        let believed = if is_copy {
            receiver.receive_copy(packet, at, &mut deliver).map(drop)
        } else {
            receiver.receive(packet, at, &mut deliver).map(drop)
        };
        *malformed += refused + u64::from(believed.is_err());
    }

    /// The card pulls.
    pub fn pull(&mut self, ledger: &mut Ledger) {
        let now = self.pull.at;
        let before = self.counters.frames_played.load(Relaxed);
        self.renderer.render(now, &mut self.out, Starved::Advance);
        self.heard.extend(self.out.iter().map(|x| to_i16(*x)));
        let heard = self.counters.heard.load(Relaxed);
        if heard != UNHEARD
            && let Some(position) = heard.checked_sub(self.shift)
            && let Some(captured) = ledger.captured(position, self.format.rate())
        {
            let delay = (now + self.coding_delay).since(captured);
            self.delays.push((now, delay.as_micros() as u64));
            self.last_heard = now;
            self.begins.get_or_insert(position.saturating_sub(before));
        }
        for sequence in self.counters.late_after(self.known_late) {
            ledger.late(number(sequence));
        }
        self.known_late = self.counters.late();
        self.pull = self.card.next().unwrap_or(self.pull);
    }

    /// Whether nothing received was heard for so long.
    pub fn has_been_silent_for(&self, time: Duration) -> bool {
        self.pull.at.since(self.last_heard) > time
    }

    /// What was counted.
    pub fn counts(&self) -> (Reception, Playback) {
        (self.receiver.reception(), self.counters.snapshot())
    }

    /// The format of what is heard.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What was heard, until nothing more was; and what arrived, as long as the `frames` that were sent.
    pub fn into_sounds(mut self, frames: usize) -> (Vec<i16>, Vec<i16>, Vec<(Micros, u64)>) {
        let channels = self.format.channels();
        let end = self.format.frames(self.last_heard.since(BEGIN + PHASE) + BLOCK);
        self.heard.truncate(end * channels);
        self.arrived.resize(frames * channels, 0);
        (self.heard, self.arrived, self.delays)
    }
}

/// A packet's number in the stream: the sender begins at zero.
fn number(sequence: u64) -> usize {
    sequence.saturating_sub(FIRST_CYCLE) as usize
}

/// The card's block.
const BLOCK: Duration = Duration::from_millis(10);
/// It begins between two packets.
const PHASE: Duration = Duration::from_micros(3_300);
/// Packets and sound that may come at once.
const QUEUE_PACKETS: usize = 16_384;
const QUEUE: Duration = Duration::from_secs(60);
