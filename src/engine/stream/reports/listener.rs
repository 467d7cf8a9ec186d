//! The receiver's side of one source: what it says of itself, and what we report of it.

use std::collections::VecDeque;
use std::time::Duration;

use super::ntp::short;
use super::{
    Balance, Bursts, Chance, Equipment, Fate, GMIN, HEADERS, LEAST_BITS, LEAST_MEASURED, Listening, Ntp,
    Party, Quality, Schedule,
};
use crate::engine::stats::Reception;
use crate::engine::stream::sequence::FIRST_CYCLE;
use crate::engine::time::Micros;
use crate::engine::wire::rtcp::{
    CNAME, Chunks, Compound, Extended, ExtendedBlock, Measurement, NAME, Packet, ReportBlock, Tally,
    UNAVAILABLE, VoipMetrics, write_extended, write_goodbye, write_receiver_report,
};

/// Hears one source's reports, and reports of it.
///
/// Guaranteed: in no second it says more bytes than came from the source, so that nobody can be flooded in another's name; before
/// the source has shown that it hears us, it keeps to the RFC's minimum of 5 s; and it says nothing of a source that has fallen silent.
#[derive(Debug)]
pub struct Listener {
    source: u32,
    began: Micros,
    schedule: Schedule,
    /// At the last report.
    before: Option<Before>,
    /// The last sender report: its NTP time, the same as an RTP timestamp, and when it came.
    sender_report: Option<(Ntp, u32, Micros)>,
    bursts: Bursts,
    /// The first sequence number whose fate is not counted.
    unsettled: Option<u64>,
    round_trip: Option<Duration>,
    cname: Option<String>,
    name: Option<String>,
    balance: Balance,
    /// The middles of the reference times that we sent lately.
    references: VecDeque<u32>,
    /// What we sent has reached it: its address is no spoofed one.
    proved: bool,
}

#[derive(Clone, Copy, Debug)]
struct Before {
    at: Micros,
    expected: u64,
    received: u64,
    bytes: u64,
    highest: u64,
}

/// What is known of a source when it is reported of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hearing {
    /// The counts.
    pub reception: Reception,
    /// The lowest and the highest extended sequence number.
    pub lowest: u64,
    /// See above.
    pub highest: u64,
    /// Its clock against the output's, ppm; 0 until it is known.
    pub drift_ppm: f64,
    /// The length of its packets, as far as it can be told.
    pub packet: Duration,
    /// The delay in the playout buffer.
    pub delay: Duration,
    /// What that aims at.
    pub target: Duration,
    /// What it may become.
    pub limit: Duration,
    /// It follows the network.
    pub is_adaptive: bool,
    /// What its quality is judged by; `None` where nobody asks.
    pub equipment: Option<Equipment>,
}

impl Listener {
    /// For a source that was heard first at `now`, and sends about so many bits a second.
    pub fn new(source: u32, bits: f64, now: Micros) -> Self {
        Self {
            source,
            began: now,
            schedule: Schedule::new(now, bits, false).held_back(),
            before: None,
            sender_report: None,
            bursts: Bursts::default(),
            unsettled: None,
            round_trip: None,
            cname: None,
            name: None,
            balance: Balance::new(now),
            references: VecDeque::new(),
            proved: false,
        }
    }

    /// The same, of a source whose address is known to be its own: it has a connection.
    #[must_use]
    pub fn proved(mut self) -> Self {
        self.proved = true;
        self
    }

    /// Whether its address is known to be its own.
    pub const fn is_proved(&self) -> bool {
        self.proved
    }

    /// So many bytes have come from it by `now`, in all. To be told several times a second.
    pub fn came(&mut self, bytes: u64, now: Micros) {
        self.balance.came(bytes, now);
    }

    /// Takes what came from the source's address at `arrival`, which was `ntp`; `own` is our identifier. Whether the source
    /// says goodbye, and why.
    pub fn hear(&mut self, compound: Compound<'_>, own: u32, arrival: Micros, ntp: Ntp) -> Option<String> {
        self.schedule.heard(compound.len());
        let mut goodbye = None;
        for packet in compound.packets() {
            match packet {
                Packet::SenderReport { ssrc, info, .. } if ssrc == self.source => {
                    self.sender_report = Some((Ntp(info.ntp), info.timestamp, arrival));
                }
                Packet::Description(chunks) => self.describe(chunks),
                Packet::Extended { ssrc, blocks } if ssrc == self.source => {
                    for block in blocks.iter() {
                        if let ExtendedBlock::Dlrr(echoes) = block
                            && let Some(echo) = echoes
                                .iter()
                                .find(|echo| echo.ssrc == own && self.references.contains(&echo.last_rr))
                        {
                            self.proved = true;
                            self.round_trip = ntp.round_trip(echo.last_rr, echo.delay).or(self.round_trip);
                        }
                    }
                }
                Packet::Goodbye(leaving) if leaving.sources().any(|ssrc| ssrc == self.source) => {
                    goodbye = Some(leaving.reason());
                }
                _ => {}
            }
        }
        goodbye
    }

    /// The fates of all sequence numbers from `lowest` to below `end` are settled, those that were before left out: what is
    /// late for longer is lost.
    pub fn settle(&mut self, lowest: u64, end: u64, fate: impl Fn(u64) -> Fate) {
        // A restart has begun anew, above or below; what was left unsettled for too long is not known any more.
        let first = self.unsettled.filter(|first| *first <= end).unwrap_or(lowest);
        let first = first.max(lowest).max(end.saturating_sub(MOST_UNSETTLED));
        (first..end).for_each(|sequence| self.bursts.push(fate(sequence)));
        self.unsettled = Some(end);
    }

    /// When to ask for the next report.
    pub fn next(&self) -> Micros {
        // That it is proved may bring the next one forward.
        if self.proved && self.schedule.is_held_back() { Micros::ZERO } else { self.schedule.next() }
    }

    /// Appends a report, where one is due: receiver report, who we are, voice metrics, since when we count, and what else is
    /// counted.
    pub fn report(
        &mut self,
        own: &Party,
        hearing: &Hearing,
        now: Micros,
        ntp: Ntp,
        chance: Chance<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        self.came(hearing.reception.bytes, now);
        if self.proved {
            self.schedule.release(chance);
        }
        let bytes = hearing.reception.bytes + hearing.reception.received * HEADERS;
        if !self.schedule.expire(now, chance) {
            return false;
        }
        // Not before: a source that falls silent would be told of its last packets the later, the sooner that is.
        if let Some(before) = self.before {
            let passed = now.since(before.at).as_secs_f64();
            if passed > LEAST_MEASURED {
                let bits = bytes.saturating_sub(before.bytes) as f64 * 8.0 / passed;
                self.schedule.set_bandwidth(bits.max(LEAST_BITS));
            }
        }
        let is_silent = self.before.is_some_and(|before| before.received == hearing.reception.received);
        let start = out.len();
        if !is_silent {
            write_receiver_report(own.ssrc, &[self.block(&hearing.reception, hearing.highest, now)], out);
            own.describe(out);
            let extended = Extended {
                reference_time: Some(ntp.0),
                echo: None,
                metrics: Some(self.metrics(hearing)),
                measurement: Some(self.measurement(hearing, now)),
            };
            write_extended(own.ssrc, &extended, out);
            self.tally(hearing).write(own.ssrc, out);
        }
        let length = out.len() - start;
        if is_silent {
            self.schedule.put_off(now, chance);
            return false;
        }
        if !self.balance.may_send(length, hearing.reception.bytes) {
            out.truncate(start);
            self.schedule.retry(now);
            return false;
        }
        if self.references.len() == REMEMBERED {
            self.references.pop_front();
        }
        self.references.push_back(ntp.middle());
        let Reception { expected, received, .. } = hearing.reception;
        let highest = hearing.highest;
        self.before = Some(Before { at: now, expected, received, bytes, highest });
        self.balance.went(length, now);
        self.schedule.sent(length, now, chance);
        true
    }

    /// Appends our goodbye to this source, where we have ever reported to it.
    pub fn goodbye(&mut self, own: &Party, reception: &Reception, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        write_receiver_report(own.ssrc, &[], out);
        own.describe(out);
        write_goodbye(&[own.ssrc], "", out);
        let may = self.before.take().is_some() && self.balance.may_send(out.len() - start, reception.bytes);
        if !may {
            out.truncate(start);
        }
        may
    }

    /// How it would be judged, where that is asked, as soon as there is anything to judge.
    pub fn quality(&self, hearing: &Hearing) -> Option<Quality> {
        let equipment = hearing.equipment?;
        let Reception { expected, repaired, .. } = hearing.reception;
        let figures = self.bursts.figures();
        if self.bursts.is_empty() {
            return None;
        }
        let bad = figures.loss + figures.late;
        let one_way = self.round_trip.unwrap_or_default() / 2;
        Some(Quality::of(&Listening {
            equipment,
            missing: bad - repaired as f64 / expected.max(1) as f64,
            burst_ratio: figures.bad_run * (1.0 - bad),
            delay: hearing.packet + one_way + hearing.delay,
        }))
    }

    /// The way there and back, as its echoes tell.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Its canonical name.
    pub fn cname(&self) -> Option<&str> {
        self.cname.as_deref()
    }

    /// Its user's name.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// A moment by its own clock, and the RTP timestamp that belongs to it, as its last report has them; `None` where it knows
    /// no time of day (§6.4.1).
    pub fn sender_clock(&self) -> Option<(Ntp, u32)> {
        self.sender_report.map(|(ntp, timestamp, _)| (ntp, timestamp)).filter(|(ntp, _)| ntp.0 != 0)
    }

    fn describe(&mut self, chunks: Chunks<'_>) {
        for item in
            chunks.iter().filter(|chunk| chunk.ssrc == self.source).flat_map(|chunk| chunk.items.iter())
        {
            match item.kind {
                CNAME => self.cname = Some(item.text()),
                NAME => self.name = Some(item.text()).filter(|name| !name.is_empty()),
                _ => {}
            }
        }
    }

    /// A.3's figures, over the time since the last report.
    pub(super) fn block(&self, reception: &Reception, highest: u64, now: Micros) -> ReportBlock {
        let before = self.before.map_or((0, 0), |before| (before.expected, before.received));
        let expected = reception.expected.saturating_sub(before.0);
        let lost = expected.saturating_sub(reception.received.saturating_sub(before.1));
        let in_all = reception.expected as i64 - reception.received as i64;
        ReportBlock {
            ssrc: self.source,
            fraction_lost: (lost * 256).checked_div(expected).unwrap_or(0).min(255) as u8,
            lost: in_all.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32,
            highest: told(highest),
            jitter: reception.jitter_frames as u32,
            last_sr: self.sender_report.map_or(0, |(ntp, _, _)| ntp.middle()),
            delay: self.sender_report.map_or(0, |(_, _, came)| short(now.since(came))),
        }
    }

    fn measurement(&self, hearing: &Hearing, now: Micros) -> Measurement {
        let after = self.before.map_or(hearing.lowest, |before| before.highest.wrapping_add(1));
        let time = now.since(self.began);
        let fraction = (u64::from(time.subsec_nanos()) << 32) / 1_000_000_000;
        Measurement {
            ssrc: self.source,
            first: hearing.lowest as u16,
            interval: (told(after), told(hearing.highest)),
            interval_time: short(now.since(self.before.map_or(self.began, |before| before.at))),
            time: time.as_secs() << 32 | fraction,
        }
    }

    fn tally(&self, hearing: &Hearing) -> Tally {
        let known = hearing.drift_ppm != 0.0;
        Tally {
            ssrc: self.source,
            duplicated: hearing.reception.duplicated as u32,
            reordered: hearing.reception.reordered as u32,
            drift_ppb: known.then_some((hearing.drift_ppm * 1e3) as i32),
        }
    }

    fn metrics(&self, hearing: &Hearing) -> VoipMetrics {
        let figures = self.bursts.figures();
        let share = |part: f64| (part * 256.0) as u8;
        let ms = |duration: Duration| u16::try_from(duration.as_millis()).unwrap_or(u16::MAX);
        let lasting = |packets: f64| ms(hearing.packet.mul_f64(packets));
        let quality = self.quality(hearing);
        let score = |of: fn(&Quality) -> f64| {
            quality.as_ref().map_or(UNAVAILABLE, |quality| of(quality).round() as u8)
        };
        VoipMetrics {
            ssrc: self.source,
            loss_rate: share(figures.loss),
            discard_rate: share(figures.late),
            burst_density: share(figures.burst_density),
            gap_density: share(figures.gap_density),
            burst_ms: lasting(figures.burst_packets),
            gap_ms: lasting(figures.gap_packets),
            round_trip_ms: self.round_trip.map_or(0, ms),
            end_system_ms: ms(hearing.delay),
            gmin: GMIN as u8,
            r_factor: score(|quality| quality.r_factor),
            mos_listening: score(|quality| quality.mos_listening * 10.0),
            mos_conversation: score(|quality| quality.mos * 10.0),
            receiver_config: ENHANCED_CONCEALMENT | if hearing.is_adaptive { ADAPTIVE } else { FIXED },
            buffer_nominal_ms: ms(hearing.target),
            buffer_most_ms: ms(hearing.delay.max(hearing.target)),
            buffer_limit_ms: ms(hearing.limit),
            ..VoipMetrics::default()
        }
    }
}

/// An extended sequence number as reports tell it.
fn told(sequence: u64) -> u32 {
    sequence.wrapping_sub(FIRST_CYCLE) as u32
}

/// Reference times that may still be echoed.
const REMEMBERED: usize = 8;
/// Sequence numbers that may wait to be settled.
const MOST_UNSETTLED: u64 = 8192;
/// RFC 3611 §4.7.6: what is put in for lost sound.
const ENHANCED_CONCEALMENT: u8 = 0b10 << 6;
/// The jitter buffer, there.
const ADAPTIVE: u8 = 0b11 << 4;
const FIXED: u8 = 0b10 << 4;
