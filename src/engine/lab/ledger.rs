//! What became of every packet, and what the link did to it.

use super::outcome::Injected;
use crate::engine::sim::link::Deliveries;
use crate::engine::stream::reports::{Bursts, Fate};
use crate::engine::time::Micros;

/// A packet of the stream, or sound that never became one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the stream, from 0; `None` of sound that the sender dropped.
    pub sequence: Option<u64>,
    /// When its first frame was captured.
    pub captured: Micros,
    /// When its sound was complete, and the sender had it.
    pub sent: Micros,
    /// Where its first frame belongs.
    pub position: u64,
    /// Its length.
    pub frames: u32,
    /// Bytes of sound in it.
    pub payload: u32,
    /// When it arrived first.
    pub arrived: Option<Micros>,
    /// What became of it.
    pub state: State,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It arrived, in time.
    Received,
    /// It arrived after its time.
    Late,
    /// It did not arrive, and was brought back from redundancy.
    Repaired,
    /// It did not arrive.
    Lost,
    /// The sender dropped it: the network was too slow.
    Dropped,
}

impl State {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Late => "late",
            Self::Repaired => "repaired",
            Self::Lost => "lost",
            Self::Dropped => "dropped",
        }
    }
}

/// All packets.
#[derive(Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    /// Where packet n is among them.
    places: Vec<usize>,
    /// When its deliveries are due, by the link.
    schedule: Vec<(Micros, usize)>,
    injected: Injected,
}

impl Ledger {
    /// A packet was made.
    pub fn made(&mut self, entry: Entry) {
        self.places.push(self.entries.len());
        self.entries.push(entry);
    }

    /// Sound was dropped that was captured from `captured` to `complete`.
    pub fn dropped(&mut self, captured: Micros, complete: Micros) {
        self.entries.push(Entry {
            sequence: None,
            captured,
            sent: complete,
            position: 0,
            frames: 0,
            payload: 0,
            arrived: None,
            state: State::Dropped,
        });
    }

    /// What the link has decided of packet `number`.
    pub fn injected(&mut self, number: usize, deliveries: Deliveries, was_full: bool) {
        let times = deliveries.as_slice();
        self.injected.lost += u64::from(times.is_empty() && !was_full);
        self.injected.overflowed += u64::from(was_full);
        self.injected.duplicated += u64::from(times.len() == 2);
        self.schedule.extend(times.iter().map(|at| (*at, number)));
    }

    /// Packet `number`, or a copy of it in a stream of its own, has arrived.
    pub fn arrived(&mut self, number: usize, is_copy: bool, at: Micros) {
        if let Some(entry) = self.packet_mut(number)
            && entry.arrived.is_none()
            && !is_copy
        {
            entry.arrived = Some(at);
            entry.state = State::Received;
        }
    }

    /// Packet `number` came after its time.
    pub fn late(&mut self, number: usize) {
        if let Some(entry) = self.packet_mut(number) {
            entry.state = State::Late;
        }
    }

    /// Packet `number` was brought back. One that arrives after all is received.
    pub fn repaired(&mut self, number: usize) {
        if let Some(entry) = self.packet_mut(number).filter(|entry| entry.state == State::Lost) {
            entry.state = State::Repaired;
        }
    }

    /// Packets made so far.
    pub fn packets(&self) -> usize {
        self.places.len()
    }

    /// A packet.
    pub fn packet(&self, number: usize) -> Option<&Entry> {
        self.entries.get(*self.places.get(number)?)
    }

    /// When the frame at `position` was captured; `None` where none is sent.
    pub fn captured(&self, position: u64, rate: u32) -> Option<Micros> {
        let after = self.places.partition_point(|place| self.entries[*place].position <= position);
        let entry = self.packet(after.checked_sub(1)?)?;
        let into = position - entry.position;
        let micros = into * 1_000_000 / u64::from(rate);
        (into < u64::from(entry.frames)).then_some(Micros(entry.captured.0 + micros))
    }

    /// All, in the order in which they were captured.
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// All, in the order in which they were captured.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Their fates in order of their numbers, from the first that arrived to the last; what redundancy brought back is
    /// lost, as the network has it.
    pub fn bursts(&self) -> Bursts {
        let mut bursts = Bursts::default();
        let packets: Vec<_> = (0..self.packets()).filter_map(|number| self.packet(number)).collect();
        let first = packets.iter().position(|entry| entry.arrived.is_some()).unwrap_or(packets.len());
        let last = packets.iter().rposition(|entry| entry.arrived.is_some()).map_or(first, |last| last + 1);
        for entry in &packets[first..last] {
            bursts.push(match entry.state {
                State::Received => Fate::Good,
                State::Late => Fate::Late,
                State::Repaired | State::Lost | State::Dropped => Fate::Lost,
            });
        }
        bursts
    }

    /// What the link did, told from its own schedule.
    pub fn injection(&self) -> Injected {
        let mut order: Vec<_> =
            self.schedule.iter().enumerate().map(|(n, (at, number))| (*at, n, *number)).collect();
        order.sort_unstable();
        let mut seen = vec![false; self.packets()];
        let (mut highest, mut overtaken) = (None, 0);
        for (_, _, number) in order {
            let new = !std::mem::replace(&mut seen[number], true);
            overtaken += u64::from(new && highest.is_some_and(|highest| number < highest));
            highest = highest.max(Some(number));
        }
        let first = seen.iter().position(|seen| *seen).unwrap_or(0);
        let last = seen.iter().rposition(|seen| *seen).map_or(0, |last| last + 1);
        let unseen = (first + seen.len() - last) as u64;
        Injected { overtaken, unseen, ..self.injected }
    }

    fn packet_mut(&mut self, number: usize) -> Option<&mut Entry> {
        self.entries.get_mut(*self.places.get(number)?)
    }
}
