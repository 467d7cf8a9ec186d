//! What others do, in a few lines each and in the same virtual time: models, not the programs themselves.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use _engine::engine::sim::clock::SoundCard;
use _engine::engine::sim::scenario::{Arrival, START};
use _engine::engine::stream::queue::Position;

use super::play::{Case, RATE, delay_ms};

/// After each pull of a reference.
pub struct Heard {
    pub seconds: f64,
    /// The delay of the block's last frame; None where it is silence.
    pub delay_ms: Option<f64>,
    /// Silent frames so far since sound was first heard.
    pub silent: u64,
    /// Packets that were thrown away.
    pub dropped: u64,
}

/// When a packet that has arrived is handed on.
pub trait Gate {
    /// Takes one; returns those that are handed on now.
    fn pass(&mut self, packet: Arrival) -> Vec<Arrival>;
    /// Packets that it threw away.
    fn dropped(&self) -> u64 {
        0
    }
}

/// At once, whatever was lost or overtaken: what a script does that writes each packet to the sound card as it is received.
pub struct OnArrival;

/// The first packets are held until a delay is gathered, then as above: a buffer whose delay nothing keeps.
pub struct FilledOnce {
    pub packets: usize,
    held: Vec<Arrival>,
}

/// In order, from a window of 16 packets, each when four more follow it without a gap; a gap is given up when the window is
/// full. After aiortc's `JitterBuffer` as it is set up for sound (src/aiortc/jitterbuffer.py: capacity 16, prefetch 4).
pub struct SixteenSlots {
    origin: Option<u64>,
    slots: [Option<Arrival>; 16],
    dropped: u64,
}

/// Plays what `gate` hands on, one after the other, and silence where there is nothing.
pub fn play(
    case: &Case,
    mut gate: impl Gate,
    arrivals: impl Iterator<Item = Arrival>,
    mut see: impl FnMut(&Heard),
) {
    let mut arrivals = arrivals.peekable();
    let mut seen = HashSet::new();
    // What the card has not pulled yet: a packet and how many of its frames are left.
    let mut queue: VecDeque<(Arrival, usize)> = VecDeque::new();
    let (mut silent, mut begun) = (0, false);
    let block = case.packet as usize;
    for pull in SoundCard::new(START + Duration::from_micros(3_300), RATE, block, case.card_ppm) {
        if pull.at >= START + case.length {
            break;
        }
        while let Some(a) = arrivals.next_if(|a| a.at <= pull.at) {
            if seen.insert(a.sequence) {
                queue.extend(gate.pass(a).into_iter().map(|a| (a, a.frames as usize)));
            }
        }
        let mut wanted = block;
        let mut last = None;
        while wanted > 0
            && let Some((packet, left)) = queue.front_mut()
        {
            let take = wanted.min(*left);
            (*left, wanted) = (*left - take, wanted - take);
            last = Some((*packet, packet.position.plus(packet.frames as usize - *left)));
            if *left == 0 {
                queue.pop_front();
            }
        }
        begun |= last.is_some();
        silent += if begun { wanted as u64 } else { 0 };
        let delay_ms = last.filter(|_| wanted == 0).map(|(packet, place): (Arrival, Position)| {
            let over = pull.at + Duration::from_secs_f64(block as f64 / f64::from(RATE));
            delay_ms(&packet, place, over, case.path)
        });
        let seconds = pull.at.since(START).as_secs_f64();
        see(&Heard { seconds, delay_ms, silent, dropped: gate.dropped() });
    }
}

impl Gate for OnArrival {
    fn pass(&mut self, packet: Arrival) -> Vec<Arrival> {
        vec![packet]
    }
}

impl FilledOnce {
    pub fn new(packets: usize) -> Self {
        Self { packets, held: Vec::new() }
    }
}

impl Gate for FilledOnce {
    fn pass(&mut self, packet: Arrival) -> Vec<Arrival> {
        self.held.push(packet);
        self.packets = self.packets.saturating_sub(1);
        if self.packets > 0 { Vec::new() } else { std::mem::take(&mut self.held) }
    }
}

impl SixteenSlots {
    pub fn new() -> Self {
        Self { origin: None, slots: [None; 16], dropped: 0 }
    }

    fn slot(&mut self, sequence: u64) -> &mut Option<Arrival> {
        &mut self.slots[(sequence % 16) as usize]
    }
}

impl Gate for SixteenSlots {
    fn pass(&mut self, packet: Arrival) -> Vec<Arrival> {
        let mut origin = *self.origin.get_or_insert(packet.sequence);
        if packet.sequence < origin {
            self.dropped += 1;
            return Vec::new();
        }
        if packet.sequence - origin >= 16 {
            // Room is made at the old end; what lies in it is lost, and so are the holes up to the next packet.
            let least = packet.sequence - 15;
            let emptied = |origin: u64, slots: &Self| slots.slots[(origin % 16) as usize].is_none();
            for _ in 0..16 {
                if origin >= least && !emptied(origin, self) {
                    break;
                }
                self.dropped += u64::from(self.slot(origin).take().is_some());
                origin += 1;
            }
            if self.slots.iter().all(Option::is_none) {
                origin = packet.sequence;
            }
        }
        *self.slot(packet.sequence) = Some(packet);
        let in_a_row = (origin..origin + 16).take_while(|s| self.slot(*s).is_some()).count();
        let ready = if in_a_row > 4 { self.slot(origin).take() } else { None };
        self.origin = Some(origin + u64::from(ready.is_some()));
        ready.into_iter().collect()
    }

    fn dropped(&self) -> u64 {
        self.dropped
    }
}
