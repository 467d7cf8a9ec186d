//! Plays one source: takes its packets from a queue and gives out its sound, [live](super::live) or [whole](super::whole).

use std::sync::Arc;
use std::time::Duration;

use super::abroad::Abroad;
use super::counters::PlayerCounters;
use super::inlet::Inlet;
use super::ledger::{Kind, Stretch};
use super::live::{Bounds, Live, Pull};
use super::mixer::Gain;
use super::whole::Whole;
use crate::engine::error::Result;
use crate::engine::format::Format;
use crate::engine::stream::queue::PacketReader;
use crate::engine::time::Micros;

/// One source's playout.
pub struct Player {
    inlet: Inlet,
    way: Way,
    /// Where its rate is not the output's.
    abroad: Option<Abroad>,
    gain: Gain,
    given: usize,
    number: u32,
    /// Only listeners hear it.
    apart: bool,
}

/// How it plays.
enum Way {
    Live(Box<Live>),
    Whole(Whole),
}

impl Player {
    /// A player for an ear, of packets in `format` from `reader`.
    /// The delay can never be set to more than `most`.
    pub fn live(reader: PacketReader, format: Format, most: Duration, counters: Arc<PlayerCounters>) -> Self {
        let inlet = Inlet::new(reader, format, format.frames(most + AHEAD), counters);
        Self::new(inlet, Way::Live(Box::new(Live::new(format, Bounds { most, ..Bounds::default() }))))
    }

    /// A player for a file.
    pub fn whole(reader: PacketReader, format: Format, counters: Arc<PlayerCounters>) -> Self {
        let inlet = Inlet::new(reader, format, format.frames(AHEAD * 2), counters);
        Self::new(inlet, Way::Whole(Whole::default()))
    }

    fn new(inlet: Inlet, way: Way) -> Self {
        let gain = Gain::new(inlet.counters.heard_gain());
        Self { inlet, way, abroad: None, gain, given: 0, number: 0, apart: false }
    }

    /// The same, of the source of that number.
    #[must_use]
    pub fn numbered(self, number: u32) -> Self {
        Self { number, ..self }
    }

    /// The same, for packets as short as `frames` frames.
    #[must_use]
    pub fn of_packets(mut self, frames: usize) -> Self {
        self.inlet.window.expect(frames);
        self
    }

    /// The same, for [listeners](super::listeners) only: not heard in the mix of all.
    #[must_use]
    pub fn apart(self) -> Self {
        Self { apart: true, ..self }
    }

    /// The number of its source; 0 where it has none.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Whether only listeners hear it.
    pub const fn is_apart(&self) -> bool {
        self.apart
    }

    /// The same, giving out sound at `rate`: converted, where that is not its own, with 32 frames of the slower rate and 32 of
    /// the output's as delay besides (less than 1.5 ms between 44.1 and 48 kHz).
    pub fn at_rate(mut self, rate: u32) -> Result<Self> {
        if rate != self.inlet.format.rate() {
            self.abroad = Some(match self.way {
                Way::Live(_) => Abroad::live(self.inlet.format, rate)?,
                Way::Whole(_) => Abroad::whole(self.inlet.format, rate)?,
            });
        }
        Ok(self)
    }

    /// The source's format.
    pub const fn format(&self) -> Format {
        self.inlet.format
    }

    /// Its counters, to be read from another thread.
    pub fn counters(&self) -> Arc<PlayerCounters> {
        Arc::clone(&self.inlet.counters)
    }

    /// Whether it will never play again: its queue is closed and empty, and all sound is given out.
    pub fn is_finished(&self) -> bool {
        let idle = match &self.way {
            Way::Live(live) => live.is_idle(),
            Way::Whole(_) => true,
        };
        idle && self.inlet.is_finished() && self.abroad.as_ref().is_none_or(Abroad::is_empty)
    }

    /// Fills `out` (interleaved, the source's channels) with what is due, as `pull` says. Returns one past the last frame
    /// that holds sound; the rest is silence. A whole player has nothing for an ear.
    pub fn play_live(&mut self, pull: &mut Pull<'_>, out: &mut [f32]) -> usize {
        match (&mut self.way, &mut self.abroad) {
            (Way::Live(live), None) => live.play(&mut self.inlet, pull, out),
            (Way::Live(live), Some(abroad)) => abroad.play_live(live, &mut self.inlet, pull, out),
            (Way::Whole(_), _) => 0,
        }
    }

    /// Fills `out` with the sound that comes next, whenever it was due; a gap is given up after `patience`, or at once
    /// where `draining`. Returns the frames given out; beyond them nothing is touched. A live player has nothing for a file.
    pub fn play_whole(&mut self, now: Micros, patience: Duration, draining: bool, out: &mut [f32]) -> usize {
        self.given = match (&mut self.way, &mut self.abroad) {
            (Way::Live(_), _) => 0,
            (Way::Whole(whole), None) => whole.play(&mut self.inlet, now, patience, draining, out),
            (Way::Whole(whole), Some(abroad)) => {
                abroad.play_whole(whole, &mut self.inlet, now, patience, draining, out)
            }
        };
        self.given
    }

    /// Notes what the frames are that it gives out next, where that is `wanted`.
    pub fn keep_ledger(&mut self, wanted: bool) {
        let frames = match &self.way {
            Way::Live(live) => live.ready() as u32,
            Way::Whole(_) => 0,
        };
        let ready = Stretch { kind: Kind::Heard, position: self.inlet.position, frames };
        self.inlet.ledger.keep(wanted, ready);
    }

    /// What the frames are that it has given out since [`keep_ledger`](Self::keep_ledger).
    pub fn given(&self) -> &[Stretch] {
        self.inlet.ledger.given()
    }

    /// A mix of `frames` frames was given out: what this one had less, it has been waited for.
    pub fn given_out(&mut self, frames: usize) {
        if let Way::Whole(whole) = &mut self.way {
            let frames = frames.saturating_sub(self.given);
            whole.fell_behind(self.abroad.as_mut().map_or(frames, |abroad| abroad.at_home(frames)));
        }
    }

    /// Has the processor fetch what playing needs; first, where the rest is.
    pub fn fetch(&self, first: bool) {
        self.inlet.fetch(first);
        if let Way::Live(live) = &self.way {
            live.fetch(first);
        }
    }

    /// Its gain, as it was set last.
    pub fn gain(&mut self) -> &mut Gain {
        self.gain.set(self.inlet.counters.heard_gain());
        &mut self.gain
    }

    /// Notes for its level meter the loudest sample of a block, and what it has fallen to since the last one.
    pub fn note_peak(&self, peak: f32, decay: f32) {
        self.inlet.counters.note_peak(peak, decay);
    }
}

/// How far ahead of its time sound can be held, besides the delay.
const AHEAD: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::playout::conceal::{Concealer, Tier};
    use crate::engine::stream::queue::{Head, PacketWriter, Position, packet_queue};
    use proptest::prelude::*;

    const PACKET: usize = 441;
    const FIRST: u64 = 1 << 32;

    fn live() -> (PacketWriter, Player, Concealer) {
        let (writer, reader) = packet_queue(1000, 200_000, 1);
        let player = Player::live(reader, Format::DEFAULT, Bounds::default().most, Arc::default());
        (writer, player, Concealer::new(Format::DEFAULT))
    }

    fn whole() -> (PacketWriter, Player) {
        let (writer, reader) = packet_queue(1000, 200_000, 1);
        (writer, Player::whole(reader, Format::DEFAULT, Arc::default()))
    }

    fn pull(player: &mut Player, concealer: &mut Concealer, now: Micros, out: &mut [f32]) -> usize {
        let (block, step, left) = (PACKET, PACKET, out.len());
        let (bounds, tier) = (Bounds::default(), Tier::default());
        player.play_live(&mut Pull { now, block, step, left, bounds, tier, concealer }, out)
    }

    /// Packet `n` of a ramp that starts anew in each packet, arriving at `arrival`.
    fn send(writer: &mut PacketWriter, n: u64, arrival: Micros) {
        let head = Head {
            sequence: n,
            position: Position(FIRST + n * PACKET as u64),
            arrival,
            frames: PACKET as u32,
            ..Head::default()
        };
        assert!(writer.push(head, &packet(n)));
    }

    fn packet(n: u64) -> Vec<i16> {
        (0..PACKET as u64).map(|i| (n * 1000 + i + 1) as i16).collect()
    }

    fn ms(n: u64) -> Micros {
        Micros(1_000_000_000 + n * 1000)
    }

    fn samples(sound: &[f32]) -> Vec<i16> {
        sound.iter().map(|s| crate::engine::format::to_i16(*s)).collect()
    }

    #[test]
    fn live_sound_comes_out_with_the_pull_that_needs_it() {
        let (mut w, mut p, mut c) = live();
        let mut heard = Vec::new();
        for n in 0..20 {
            send(&mut w, n, ms(n * 10));
            let mut out = [1.0; PACKET];
            pull(&mut p, &mut c, ms(n * 10 + 3), &mut out);
            heard.extend(samples(&out));
        }
        let start = heard.iter().position(|s| *s != 0).unwrap();
        // Each packet is there 3 ms before the pull that needs it: nothing to wait for.
        assert_eq!(start, 0);
        let sent: Vec<i16> = (0..20).flat_map(packet).collect();
        assert!(heard[start..] == sent[..heard.len() - start]);
        let figures = p.counters().snapshot();
        assert_eq!((figures.frames_concealed, figures.underruns, figures.late_packets), (0, 0, 0));
    }

    #[test]
    fn live_one_lost_packet_costs_one_packet() {
        let (mut w, mut p, mut c) = live();
        let mut heard = Vec::new();
        for n in 0..30 {
            if n != 10 {
                send(&mut w, n, ms(n * 10));
            }
            let mut out = [1.0; PACKET];
            pull(&mut p, &mut c, ms(n * 10), &mut out);
            heard.extend(samples(&out));
        }
        let start = heard.iter().position(|s| *s != 0).unwrap();
        let heard = &heard[start..];
        let sent: Vec<i16> = (0..30).flat_map(packet).collect();
        let (before, after) = (10 * PACKET, 11 * PACKET + c.join_frames());
        assert!(heard[..before] == sent[..before]);
        assert!(heard[after..] == sent[after..heard.len()], "in its place, and as it was, after the join");
        let figures = p.counters().snapshot();
        assert_eq!((figures.frames_concealed, figures.concealments), (PACKET as u64, 1));
        assert_eq!((figures.late_packets, figures.resets), (0, 0));
    }

    #[test]
    fn live_a_late_packet_is_counted_and_not_played() {
        let (mut w, mut p, mut c) = live();
        let mut out = [0.0; PACKET];
        for n in 0..30u64 {
            if n != 10 {
                send(&mut w, n, ms(n * 10));
            }
            if n == 15 {
                send(&mut w, 10, ms(n * 10));
            }
            pull(&mut p, &mut c, ms(n * 10), &mut out);
        }
        let figures = p.counters().snapshot();
        assert_eq!((figures.late_packets, figures.frames_concealed), (1, PACKET as u64));
    }

    #[test]
    fn whole_where_the_sender_was_silent_nothing_is_missing() {
        let (mut w, mut p) = whole();
        // Sequence numbers without a gap, and 20 packets' time between 4 and 5; then one lost.
        for n in (0..10u64).filter(|n| *n != 8) {
            let place = if n < 5 { n } else { n + 20 };
            let head = Head {
                sequence: n,
                position: Position(FIRST + place * PACKET as u64),
                arrival: ms(place * 10),
                frames: PACKET as u32,
                ..Head::default()
            };
            assert!(w.push(head, &packet(n)));
        }
        let mut out = vec![1.0; 40 * PACKET];
        let got = p.play_whole(ms(400), Duration::from_millis(200), true, &mut out);
        assert_eq!(got, 30 * PACKET);
        assert!(samples(&out[5 * PACKET..25 * PACKET]).iter().all(|s| *s == 0));
        let figures = p.counters().snapshot();
        assert_eq!((figures.frames_played, figures.frames_concealed), (9 * PACKET as u64, PACKET as u64));
    }

    #[test]
    fn live_the_end_of_a_stream_is_not_an_underrun() {
        let (mut w, mut p, mut c) = live();
        let mut out = [0.0; PACKET];
        for n in 0..300u64 {
            if n < 20 {
                send(&mut w, n, ms(n * 10));
            }
            pull(&mut p, &mut c, ms(n * 10), &mut out);
        }
        let figures = p.counters().snapshot();
        assert_eq!((figures.underruns, figures.frames_concealed), (0, 0));
        assert_eq!(figures.frames_played, 20 * PACKET as u64);
    }

    #[test]
    fn live_a_stream_that_became_later_is_heard_again_within_100_ms() {
        let (mut w, mut p, mut c) = live();
        let mut silent = 0;
        let mut out = [0.0; PACKET];
        for n in 0..200u64 {
            if n < 50 {
                send(&mut w, n, ms(n * 10));
            } else if n >= 60 {
                // From the 50th packet on, the path takes 100 ms more.
                send(&mut w, n - 10, ms(n * 10));
            }
            pull(&mut p, &mut c, ms(n * 10), &mut out);
            if n > 60 && out.iter().all(|s| *s == 0.0) {
                silent += 1;
            }
        }
        assert!(silent <= 10, "{silent} silent blocks after the packets came again");
    }

    proptest! {
        /// Whatever is lost or swapped within the patience, a file gets each packet in its place.
        #[test]
        fn whole_everything_received_is_in_its_place(fates in prop::collection::vec((0u8..10, 0u64..80), 2..120)) {
            let (mut w, mut p) = whole();
            let mut arrivals: Vec<(u64, u64)> = Vec::new();
            for (n, (fate, delay)) in fates.iter().enumerate() {
                let n = n as u64;
                if *fate > 1 {
                    arrivals.push((n * 10 + delay, n));
                }
                if *fate == 9 {
                    arrivals.push((n * 10 + delay / 2, n));
                }
            }
            prop_assume!(!arrivals.is_empty());
            arrivals.sort_unstable();
            // The receiver hands on the first copy only.
            let mut seen = std::collections::BTreeSet::new();
            arrivals.retain(|(_, n)| seen.insert(*n));
            let mut heard = Vec::new();
            let mut out = [0.0; PACKET];
            let mut queue = arrivals.iter().copied().peekable();
            for t in (0..3000u64).step_by(7) {
                while let Some((at, n)) = queue.next_if(|(at, _)| *at <= t) {
                    send(&mut w, n, ms(at));
                }
                loop {
                    let got = p.play_whole(ms(t), Duration::from_millis(200), false, &mut out);
                    heard.extend(samples(&out[..got]));
                    if got < PACKET {
                        break;
                    }
                }
            }
            let got: std::collections::BTreeSet<u64> = arrivals.iter().map(|(_, n)| *n).collect();
            let (first, last) = (*got.first().unwrap(), *got.last().unwrap());
            let want: Vec<i16> =
                (first..=last).flat_map(|n| if got.contains(&n) { packet(n) } else { vec![0; PACKET] }).collect();
            prop_assert_eq!(heard.len(), want.len());
            prop_assert_eq!(heard, want);
            let figures = p.counters().snapshot();
            prop_assert_eq!(figures.frames_played, (got.len() * PACKET) as u64);
            prop_assert_eq!(figures.frames_concealed, (last - first + 1 - got.len() as u64) * PACKET as u64);
            prop_assert_eq!(figures.late_packets, 0);
        }
    }
}
