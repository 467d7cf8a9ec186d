//! The sender's side of a stream: what we say of it, and what its receiver says.

use std::time::Duration;

use super::ntp::short;
use super::{Chance, HEADERS, LEAST_BITS, LEAST_MEASURED, Ntp, Party, Schedule, WallClock};
use crate::engine::stats::{RemoteReport, RemoteStats, RemoteVoice};
use crate::engine::time::Micros;
use crate::engine::wire::rtcp::{
    Compound, Dlrr, Extended, ExtendedBlock, Packet, ReportBlock, ReportBlocks, SenderInfo, Tally,
    VoipMetrics, write_extended, write_goodbye, write_sender_report,
};

/// Reports what is sent, and keeps what is heard of it.
#[derive(Debug)]
pub struct Speaker {
    own: Party,
    /// Of the timestamps.
    rate: u32,
    schedule: Schedule,
    packets: u64,
    octets: u64,
    /// With all headers, for the bandwidth.
    bytes: u64,
    /// When the last report went, and how many bytes had gone then.
    before: Option<(Micros, u64)>,
    /// A timestamp, and the moment of the sound that has it.
    anchor: Option<(u32, Micros)>,
    /// The receiver's reference time: who, the middle of its NTP time, when it came.
    reference: Option<(u32, u32, Micros)>,
    /// The last report of our stream.
    remote: Option<(RemoteStats, Micros)>,
    /// The same, as it came.
    report: RemoteReport,
    /// Echoes the first reference time at once.
    eager: bool,
}

/// What a compound had to say to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Nothing of our stream.
    Nothing,
    /// How it is received.
    Report,
    /// The receiver leaves, and why.
    Goodbye(String),
}

impl Speaker {
    /// Of a stream of about so many bits a second that begins at `now`, its timestamps counting `rate` a second.
    pub fn new(own: Party, rate: u32, bits: f64, now: Micros) -> Self {
        Self {
            own,
            rate,
            schedule: Schedule::new(now, bits, true),
            packets: 0,
            octets: 0,
            bytes: 0,
            before: None,
            anchor: None,
            reference: None,
            remote: None,
            report: RemoteReport::default(),
            eager: false,
        }
    }

    /// The same, of one that waits for an answer in sound: the receiver's first reference time is echoed at once, for it proves
    /// that the address is ours.
    #[must_use]
    pub fn eager(self) -> Self {
        Self { eager: true, ..self }
    }

    /// A packet of `bytes`, of which `octets` are payload, was sent at `now`; its sound began `length` before.
    pub fn sent(&mut self, timestamp: u32, octets: usize, bytes: usize, length: Duration, now: Micros) {
        self.packets += 1;
        self.octets += octets as u64;
        self.bytes += bytes as u64 + HEADERS;
        self.anchor = Some((timestamp, now - length));
    }

    /// Takes what came from the receiver's address at `arrival`.
    pub fn hear(&mut self, compound: Compound<'_>, arrival: Micros, wall: &WallClock) -> Said {
        self.schedule.heard(compound.len());
        let mut said = Said::Nothing;
        let mut report = RemoteReport { arrived: wall.at(arrival).0, ..RemoteReport::default() };
        for packet in compound.packets() {
            match packet {
                Packet::SenderReport { blocks, .. } | Packet::ReceiverReport { blocks, .. } => {
                    if let Packet::SenderReport { info, .. } = packet {
                        report.said.get_or_insert(info.ntp);
                    }
                    let is_ours = self.take_blocks(blocks, arrival, wall.at(arrival), &mut report);
                    if is_ours {
                        said = Said::Report;
                    }
                }
                Packet::Extended { ssrc, blocks } if ssrc != self.own.ssrc => {
                    for block in blocks.iter() {
                        self.take_extended(ssrc, block, arrival, &mut report);
                    }
                }
                Packet::Application { name, data, .. } => {
                    if let Some(tally) = Tally::read(name, data).filter(|tally| tally.ssrc == self.own.ssrc) {
                        report.duplicated = Some(tally.duplicated);
                        report.reordered = Some(tally.reordered);
                        report.drift_ppm = tally.drift_ppb.map(|ppb| f64::from(ppb) / 1e3);
                    }
                }
                Packet::Goodbye(leaving) if leaving.sources().any(|ssrc| ssrc != self.own.ssrc) => {
                    self.schedule.set_members(1, 1, arrival);
                    said = Said::Goodbye(leaving.reason());
                }
                _ => {}
            }
        }
        if said == Said::Report {
            self.report = report;
            self.schedule.set_members(2, 1, arrival);
        }
        said
    }

    /// When to ask for the next report.
    pub fn next(&self) -> Micros {
        self.schedule.next()
    }

    /// Appends a report, where one is due: sender report, who we are, and the echo of the receiver's time.
    pub fn report(&mut self, now: Micros, wall: &WallClock, chance: Chance<'_>, out: &mut Vec<u8>) -> bool {
        if let Some((at, bytes)) = self.before
            && now.since(at).as_secs_f64() > LEAST_MEASURED
        {
            let bits = (self.bytes - bytes) as f64 * 8.0 / now.since(at).as_secs_f64();
            self.schedule.set_bandwidth(bits.max(LEAST_BITS));
        }
        if self.anchor.is_none() || !self.schedule.expire(now, chance) {
            return false;
        }
        let start = out.len();
        self.say(now, *wall, out);
        self.before = Some((now, self.bytes));
        self.schedule.sent(out.len() - start, now, chance);
        true
    }

    /// Appends the last report and the goodbye; false where nothing was ever sent.
    pub fn goodbye(&mut self, now: Micros, wall: &WallClock, out: &mut Vec<u8>) -> bool {
        if self.anchor.is_none() {
            return false;
        }
        self.say(now, *wall, out);
        write_goodbye(&[self.own.ssrc], "", out);
        true
    }

    /// What was said last of our stream, and when; its age is the caller's to add.
    pub fn remote(&self) -> Option<(RemoteStats, Micros)> {
        self.remote
    }

    /// The last report as it came; after [`Said::Report`].
    pub fn report_heard(&self) -> RemoteReport {
        self.report
    }

    fn say(&self, now: Micros, wall: WallClock, out: &mut Vec<u8>) {
        let info = SenderInfo {
            ntp: wall.at(now).0,
            timestamp: self.timestamp(now),
            packets: self.packets as u32,
            octets: self.octets as u32,
        };
        write_sender_report(self.own.ssrc, &info, &[], out);
        self.own.describe(out);
        if let Some((ssrc, last_rr, came)) = self.reference {
            let echo = Some(Dlrr { ssrc, last_rr, delay: short(now.since(came)) });
            write_extended(self.own.ssrc, &Extended { echo, ..Extended::default() }, out);
        }
    }

    /// The timestamp of the sound of this moment.
    fn timestamp(&self, now: Micros) -> u32 {
        let (timestamp, at) = self.anchor.unwrap_or_default();
        let frames = (now.since(at).as_secs_f64() * f64::from(self.rate)).round() as u64;
        timestamp.wrapping_add(frames as u32)
    }

    fn take_blocks(
        &mut self,
        blocks: ReportBlocks<'_>,
        arrival: Micros,
        ntp: Ntp,
        report: &mut RemoteReport,
    ) -> bool {
        let Some(block) = blocks.iter().find(|block| block.ssrc == self.own.ssrc) else { return false };
        let ReportBlock { fraction_lost, lost, highest, jitter, last_sr, delay, .. } = block;
        let before = self.remote.map(|(remote, _)| remote).unwrap_or_default();
        let round_trip = ntp.round_trip(last_sr, delay).map(|trip| trip.as_secs_f64() * 1e3);
        let remote = RemoteStats {
            round_trip_ms: round_trip.or(before.round_trip_ms),
            fraction_lost: f64::from(fraction_lost) / 256.0,
            packets_lost: i64::from(lost),
            jitter_ms: f64::from(jitter) * 1e3 / f64::from(self.rate),
            reports: before.reports + 1,
            age_ms: 0.0,
            voice: before.voice,
        };
        self.remote = Some((remote, arrival));
        *report = RemoteReport {
            number: remote.reports,
            last_sr,
            delay,
            fraction_lost: remote.fraction_lost,
            packets_lost: remote.packets_lost,
            highest,
            jitter_ms: remote.jitter_ms,
            ..*report
        };
        true
    }

    fn take_extended(
        &mut self,
        ssrc: u32,
        block: ExtendedBlock<'_>,
        arrival: Micros,
        report: &mut RemoteReport,
    ) {
        match block {
            ExtendedBlock::ReferenceTime(ntp) => {
                if self.eager && self.reference.is_none_or(|(known, _, _)| known != ssrc) {
                    self.schedule.hasten(arrival);
                }
                self.reference = Some((ssrc, Ntp(ntp).middle(), arrival));
                report.said = Some(ntp);
            }
            ExtendedBlock::Voip(metrics) if metrics.ssrc == self.own.ssrc => {
                if let Some((remote, _)) = &mut self.remote {
                    remote.voice = Some(voice(&metrics));
                }
            }
            ExtendedBlock::Measurement(measurement) if measurement.ssrc == self.own.ssrc => {
                report.first = Some(measurement.first);
            }
            _ => {}
        }
    }
}

fn voice(metrics: &VoipMetrics) -> RemoteVoice {
    // What is unavailable is beyond every scale.
    let known = |metric: u8, most: u8| Some(metric).filter(|metric| *metric <= most);
    let share = |part: u8| f64::from(part) / 256.0;
    RemoteVoice {
        discard_rate: share(metrics.discard_rate),
        burst_density: share(metrics.burst_density),
        gap_density: share(metrics.gap_density),
        burst_ms: f64::from(metrics.burst_ms),
        gap_ms: f64::from(metrics.gap_ms),
        delay_ms: f64::from(metrics.end_system_ms),
        r_factor: known(metrics.r_factor, 100).map(f64::from),
        mos: known(metrics.mos_conversation, 50).map(|tenths| f64::from(tenths) / 10.0),
    }
}
