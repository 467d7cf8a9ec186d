//! Scenarios: a sender, a path, a device and the whole renderer between, in virtual time.

use std::collections::HashSet;
use std::sync::Arc;

use super::*;
use crate::engine::format::to_i16;
use crate::engine::playout::counters::PlayerCounters;
use crate::engine::playout::player::Player;
use crate::engine::playout::render::{Controls, Render, Renderer, Roster, Starved};
use crate::engine::sim::clock::{Pull as Call, SoundCard};
use crate::engine::sim::scenario::{Arrival, Arrivals, START, Scenario};
use crate::engine::stats::Playback;
use crate::engine::stream::queue::{PacketWriter, packet_queue};
use assert_no_alloc::assert_no_alloc;

mod abroad;
mod bounds;
mod copies;
mod drift;
mod formats;
mod hostile;
mod loss;
mod made_up;
mod phase;
mod pieces;
mod several;
mod steady;

const RATE: u32 = 44_100;
const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// One source, played.
struct Rig {
    writer: PacketWriter,
    renderer: Renderer,
    _roster: Roster,
    controls: Arc<Controls>,
    counters: Arc<PlayerCounters>,
    arrivals: std::iter::Peekable<Arrivals>,
    seen: HashSet<(u32, u64)>,
    sound: fn(u64) -> i16,
    samples: Vec<i16>,
    out: Vec<f32>,
    /// Loses these packets, counted as they arrive.
    lose: fn(&Arrival) -> bool,
    /// When packets are handed over, where that is not as they arrive.
    handed: fn(&Arrival) -> Micros,
}

/// What came of one pull.
struct Heard<'a> {
    at: Micros,
    sound: &'a [f32],
    figures: Playback,
}

impl Rig {
    fn new(scenario: &Scenario, block: usize, bounds: Bounds) -> Self {
        let format = Format::DEFAULT;
        let (mut renderer, mut roster, controls) = Renderer::new(format, 2, block, S).unwrap();
        controls.set_bounds(bounds);
        let (writer, reader) = packet_queue(1024, 2 * RATE as usize, 1);
        let counters = Arc::<PlayerCounters>::default();
        assert!(roster.add(Player::live(reader, format, bounds.most, Arc::clone(&counters))));
        renderer.set_tier(Tier::Ar64);
        Self {
            writer,
            renderer,
            _roster: roster,
            controls,
            counters,
            arrivals: scenario.run().peekable(),
            seen: HashSet::new(),
            sound: ramp,
            samples: Vec::new(),
            out: Vec::new(),
            lose: |_| false,
            handed: |a| a.at,
        }
    }

    fn pull(&mut self, call: Call) -> Heard<'_> {
        while let Some(a) = self.arrivals.next_if(|a| (self.handed)(a) <= call.at) {
            if !self.seen.insert((a.epoch, a.sequence)) || (self.lose)(&a) {
                continue;
            }
            self.samples.clear();
            self.samples.extend((a.position.0..a.position.0 + u64::from(a.frames)).map(self.sound));
            let head = Head {
                sequence: a.sequence,
                position: a.position,
                epoch: a.epoch,
                arrival: a.at,
                frames: a.frames,
                ..Head::default()
            };
            self.writer.push(head, &self.samples);
        }
        self.out.clear();
        self.out.resize(call.frames, 1.0);
        let Self { renderer, out, .. } = self;
        assert_no_alloc(|| renderer.render(call.at, out, Starved::Advance));
        Heard { at: call.at, sound: &self.out, figures: self.counters.snapshot() }
    }

    fn figures(&self) -> Playback {
        self.counters.snapshot()
    }
}

fn card(block: usize) -> SoundCard {
    // Its phase against the packets is nothing special.
    SoundCard::new(START + Duration::from_micros(3_300), RATE, block, 0)
}

fn scenario(packet: u32, length: Duration) -> Scenario {
    Scenario::new(RATE, packet, length)
}

fn calls(card: SoundCard, length: Duration) -> impl Iterator<Item = Call> {
    card.take_while(move |c| c.at.since(START) < length)
}

/// Each frame's own number, so that it is known where it was heard; never zero.
fn ramp(position: u64) -> i16 {
    (position % 30_000) as i16 + 1
}

fn silence(_: u64) -> i16 {
    0
}

/// Whether all of it is one stretch of the [`ramp`].
fn is_ramp(sound: &[i16]) -> bool {
    sound.windows(2).all(|w| w[1] == w[0] % 30_000 + 1)
}

fn ints(sound: &[f32]) -> Vec<i16> {
    sound.iter().map(|s| to_i16(*s)).collect()
}

/// A hum of changing pitch with pauses: half a second of sound, a tenth of a second nearly without.
fn voice(position: u64) -> i16 {
    let t = position as f64 / f64::from(RATE);
    let loud = if t % 0.6 < 0.5 { 8_000.0 } else { 30.0 };
    let phase = std::f64::consts::TAU * (120.0 * t + 3.0 * (2.0 * t).sin());
    (loud * (phase.sin() + 0.4 * (2.0 * phase).sin() + 0.3 * (5.0 * phase).sin())) as i16
}

/// The least stretchable sound.
fn noise(position: u64) -> i16 {
    let mut x = position.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (x >> 50) as i16
}
