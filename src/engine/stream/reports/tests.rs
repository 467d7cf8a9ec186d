//! A sender and a receiver in virtual time, with a network between them.

use std::collections::VecDeque;
use std::time::Duration;

use super::*;
use crate::engine::stats::{Reception, RemoteStats};
use crate::engine::stream::sequence::SequenceTracker;
use crate::engine::time::Micros;
use crate::engine::wire::rtcp::{Compound, Packet, ReportBlock};

const RATE: u32 = 44_100;
const BITS: f64 = 740_000.0;
const PACKET: usize = 894;
const MS: Duration = Duration::from_millis(1);

struct Pair {
    now: Micros,
    wall: [WallClock; 2],
    speaker: Speaker,
    listener: Listener,
    server: Party,
    tracker: SequenceTracker,
    bytes: u64,
    sent: u64,
    /// Control packets under way: when they arrive, to the speaker or not.
    way: VecDeque<(Micros, bool, Vec<u8>)>,
    up: Duration,
    down: Duration,
    replies: u64,
    reply_bytes: u64,
    dice: u64,
}

impl Pair {
    fn new(up: u64, down: u64) -> Self {
        let now = Micros(3_600_000_000);
        let party = |ssrc, cname: &str| Party { ssrc, cname: cname.into(), name: None };
        Self {
            now,
            // The two clocks need not agree.
            wall: [1_780_000_000, 1_780_000_777].map(|s| WallClock::new(now, Duration::from_secs(s))),
            speaker: Speaker::new(Party { name: Some("Ada".into()), ..party(1, "client") }, RATE, BITS, now),
            listener: Listener::new(1, BITS, now),
            server: party(2, "server"),
            tracker: SequenceTracker::new(RATE),
            bytes: 0,
            sent: 0,
            way: VecDeque::new(),
            up: MS * up as u32,
            down: MS * down as u32,
            replies: 0,
            reply_bytes: 0,
            dice: 9,
        }
    }

    fn reception(&self) -> Reception {
        Reception { bytes: self.bytes, ..self.tracker.reception() }
    }

    /// Sends a packet every 10 ms for so long; `arrives` says which of them do.
    fn run(&mut self, length: Duration, arrives: impl Fn(u64) -> bool) {
        let end = self.now + length;
        while self.now < end {
            let (number, now) = (self.sent, self.now);
            self.sent += 1;
            let timestamp = number as u32 * 441;
            self.speaker.sent(timestamp, PACKET - 12, PACKET, 10 * MS, now);
            if arrives(number) {
                let sequence = self.tracker.extend(number as u16);
                self.tracker.count(sequence, timestamp, now + self.up);
                self.bytes += PACKET as u64;
            }
            for _ in 0..10 {
                self.exchange();
                self.now = self.now + MS;
            }
        }
    }

    /// A millisecond of reports.
    fn exchange(&mut self) {
        let now = self.now;
        let dice = &mut self.dice;
        let mut chance = || {
            *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (*dice >> 33) as f64 / f64::from(1u32 << 31)
        };
        let mut out = Vec::new();
        if self.speaker.report(now, &self.wall[0], &mut chance, &mut out) {
            self.way.push_back((now + self.up, false, std::mem::take(&mut out)));
        }
        if self.tracker.reception().received >= 2 {
            let hearing = Hearing {
                reception: Reception { bytes: self.bytes, ..self.tracker.reception() },
                lowest: self.tracker.span().unwrap_or_default().0,
                highest: self.tracker.highest().unwrap_or_default(),
                packet: 10 * MS,
                delay: 25 * MS,
                ..Hearing::default()
            };
            if self.listener.report(&self.server, &hearing, now, self.wall[1].at(now), &mut chance, &mut out)
            {
                self.replies += 1;
                self.reply_bytes += out.len() as u64;
                self.way.push_back((now + self.down, true, out));
            }
        }
        for _ in 0..self.way.len() {
            let Some((at, to_speaker, bytes)) = self.way.pop_front() else { return };
            if at > now {
                self.way.push_back((at, to_speaker, bytes));
                continue;
            }
            let compound = Compound::parse(&bytes).unwrap();
            if to_speaker {
                assert_eq!(self.speaker.hear(compound, now, &self.wall[0]), Said::Report);
            } else {
                assert_eq!(self.listener.hear(compound, 2, now, self.wall[1].at(now)), None);
            }
        }
    }

    fn remote(&self) -> RemoteStats {
        self.speaker.remote().unwrap().0
    }
}

#[test]
fn both_ends_know_the_round_trip_within_a_second() {
    let mut pair = Pair::new(30, 50);
    pair.run(200 * MS, |_| true);
    let first = pair.remote();
    assert_eq!((first.reports, first.packets_lost), (1, 0));
    pair.run(800 * MS, |_| true);
    let remote = pair.remote();
    let trip = remote.round_trip_ms.unwrap();
    assert!((trip - 80.0).abs() < 1.1, "{trip} ms");
    assert!(pair.now.since(pair.speaker.remote().unwrap().1) < 700 * MS);
    pair.run(1500 * MS, |_| true);
    let trip = pair.listener.round_trip().unwrap();
    assert!(trip.abs_diff(80 * MS) < 1100 * MS / 1000, "{trip:?}");
    assert_eq!((pair.listener.cname(), pair.listener.name()), (Some("client"), Some("Ada")));
}

#[test]
fn the_sender_is_told_what_was_lost_lately_and_in_all() {
    let mut pair = Pair::new(10, 10);
    pair.run(10_000 * MS, |n| n % 10 != 5);
    let remote = pair.remote();
    assert!((remote.fraction_lost - 0.1).abs() < 0.04, "{}", remote.fraction_lost);
    let lost = pair.tracker.reception().lost as i64;
    assert!((lost - 10..=lost).contains(&remote.packets_lost), "{} of {lost}", remote.packets_lost);
    pair.run(3_000 * MS, |_| true);
    let remote = pair.remote();
    assert!(remote.fraction_lost.abs() < 1e-9);
    assert_eq!(remote.packets_lost, lost);
    assert!(remote.jitter_ms < 0.1);
}

#[test]
fn a_report_tells_both_clocks_and_what_it_counts_from() {
    let mut pair = Pair::new(30, 50);
    pair.run(2_000 * MS, |n| n > 4 && n % 10 != 5);
    let report = pair.speaker.report_heard();
    assert_eq!(report.first, Some(6));
    assert_eq!((report.duplicated, report.reordered, report.drift_ppm), (Some(0), Some(0), None));
    assert_eq!(report.number, pair.remote().reports);
    assert_eq!(report.packets_lost, i64::from((report.highest - 5) / 10));
    // The four times (RFC 5905 §8): the ends' clocks are 777 s apart.
    let (arrived, said) = (Ntp(report.arrived), Ntp(report.said.unwrap()));
    let (sent, held) = (arrived.before(report.last_sr).unix_seconds(), f64::from(report.delay) / 65_536.0);
    let there = said.unix_seconds() - held - sent;
    let back = arrived.unix_seconds() - said.unix_seconds();
    assert!((there - 777.03).abs() < 1e-3 && (back + 776.95).abs() < 1e-3, "{there} {back}");
}

#[test]
fn a_source_that_falls_silent_is_soon_told_of_its_last_packets() {
    for length in [4_000, 4_130, 4_290, 4_440] {
        let mut pair = Pair::new(10, 10);
        pair.run(length * MS, |_| true);
        for _ in 0..1_000 {
            pair.exchange();
            pair.now = pair.now + MS;
        }
        assert_eq!(u64::from(pair.speaker.report_heard().highest), pair.sent - 1);
    }
}

#[test]
fn late_and_lost_packets_make_bursts() {
    let mut pair = Pair::new(10, 10);
    let good = |n: u64| !(300..303).contains(&n);
    pair.run(5_000 * MS, good);
    let highest = pair.tracker.highest().unwrap();
    let first = highest - 499;
    pair.listener.settle(first, first, |_| unreachable!());
    // Far enough from each other to be no burst.
    let fate = |n| match n - first {
        late @ 320.. if late % 20 == 0 => Fate::Late,
        _ if pair.tracker.was_received(n) => Fate::Good,
        _ => Fate::Lost,
    };
    pair.listener.settle(first, highest + 1, fate);
    pair.run(1_000 * MS, |_| true);
    let voice = pair.remote().voice.unwrap();
    assert!((voice.burst_ms - 30.0).abs() < 1e-9 && (voice.burst_density - 255.0 / 256.0).abs() < 0.01);
    assert!(voice.gap_density > 0.0 && (voice.gap_ms - 4970.0 / 2.0).abs() < 2.0, "{voice:?}");
    assert!((voice.discard_rate - 4.0 / 256.0).abs() < 1e-9);
    assert!((voice.delay_ms - 25.0).abs() < 1e-9);
}

#[test]
fn a_receiver_never_says_more_than_it_was_told_and_nothing_of_the_silent() {
    let mut pair = Pair::new(1, 1);
    pair.run(60_000 * MS, |n| n % 50 < 2);
    assert!(pair.reply_bytes <= pair.bytes);
    // Pauses are part of it: 2 packets in half a second are 29.5 kbit/s, which have a report in 5 s.
    assert!((8..20).contains(&pair.replies), "{}", pair.replies);
    let replies = pair.replies;
    pair.run(60_000 * MS, |_| false);
    assert!(pair.replies <= replies + 1, "{} of a dead source", pair.replies - replies);

    // Two packets of one byte of payload must not be answered with more.
    let mut listener = Listener::new(1, BITS, pair.now);
    let reception = Reception { received: 2, expected: 2, bytes: 26, ..Reception::default() };
    let hearing = Hearing { reception, ..Hearing::default() };
    let mut out = Vec::new();
    assert!(!listener.report(&pair.server, &hearing, pair.now, Ntp(1 << 40), &mut || 0.5, &mut out));
    assert!(!listener.goodbye(&pair.server, &reception, &mut out));
    assert!(out.is_empty());
}

#[test]
fn a_goodbye_is_heard_at_both_ends_and_a_strangers_is_not() {
    let mut pair = Pair::new(10, 10);
    pair.run(2_000 * MS, |_| true);
    let mut out = Vec::new();
    assert!(pair.speaker.goodbye(pair.now, &pair.wall[0], &mut out));
    let leave = Compound::parse(&out).unwrap();
    assert_eq!(pair.listener.hear(leave, 2, pair.now, Ntp(0)), Some(String::new()));
    assert_eq!(Listener::new(77, BITS, pair.now).hear(leave, 2, pair.now, Ntp(0)), None);
    let mut out = Vec::new();
    let reception = pair.reception();
    assert!(pair.listener.goodbye(&pair.server, &reception, &mut out));
    let leave = Compound::parse(&out).unwrap();
    assert_eq!(pair.speaker.hear(leave, pair.now, &pair.wall[0]), Said::Goodbye(String::new()));
    // Said once.
    assert!(!pair.listener.goodbye(&pair.server, &reception, &mut Vec::new()));
}

#[test]
fn a_sender_report_names_the_timestamp_of_its_moment() {
    let wall = WallClock::new(Micros(0), Duration::from_secs(1_780_000_000));
    let own = Party { ssrc: 5, cname: "c".into(), name: None };
    let mut speaker = Speaker::new(own, RATE, BITS, Micros(0));
    let mut out = Vec::new();
    assert!(!speaker.report(Micros(10), &wall, &mut || 0.5, &mut out), "nothing sent, nothing said");
    speaker.sent(u32::MAX - 440, 882, 894, 10 * MS, Micros(1_000_000));
    speaker.sent(0, 882, 894, 10 * MS, Micros(1_010_000));
    assert!(speaker.report(Micros(1_020_000), &wall, &mut || 0.5, &mut out));
    let packet = Compound::parse(&out).unwrap().packets().next();
    let Some(Packet::SenderReport { ssrc: 5, info, .. }) = packet else { panic!("{packet:?}") };
    // The sound of packet 0 began at 1.000 s.
    assert_eq!((info.timestamp, info.packets, info.octets), (882, 2, 1764));
    assert_eq!(info.ntp, wall.at(Micros(1_020_000)).0);
}

#[test]
fn figures_that_cannot_be_are_cut_to_what_can() {
    let mut pair = Pair::new(0, 0);
    pair.run(100 * MS, |_| true);
    let block = ReportBlock {
        ssrc: 1,
        fraction_lost: 255,
        lost: -5,
        jitter: u32::MAX,
        last_sr: 1,
        ..ReportBlock::default()
    };
    let mut out = Vec::new();
    crate::engine::wire::rtcp::write_receiver_report(3, &[block], &mut out);
    assert_eq!(pair.speaker.hear(Compound::parse(&out).unwrap(), pair.now, &pair.wall[0]), Said::Report);
    let remote = pair.remote();
    assert_eq!(remote.packets_lost, -5);
    // Nonsense does not take the place of what was known.
    assert!(remote.round_trip_ms.unwrap() < 2.0);
    // Copies make up for losses in the RFC's figure, and are no loss lately.
    let listener = Listener::new(1, BITS, pair.now);
    let more = Reception { expected: 10, received: 14, ..Reception::default() };
    let block = listener.block(&more, 65_536 + 65_535, pair.now);
    assert_eq!((block.fraction_lost, block.lost, block.highest, block.last_sr), (0, -4, 65_535, 0));
    let gone = Reception { expected: 10, received: 0, ..Reception::default() };
    assert_eq!(listener.block(&gone, 65_536, pair.now).fraction_lost, 255);
}
