//! A client's reports: what it says of its stream, and what it hears of it (RFC 3550 §6).
//!
//! Works on the sending thread, between two packets: nothing here waits.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::complaints::Complaints;
use super::hearing::Hearing;
use super::impairment::Impairment;
use super::party::{Dice, party, wall_clock};
use super::sealing::Sealing;
use super::sending::Progress;
use super::server::lock;
use super::transport::Transport;
use super::wiretap::Wiretap;
use crate::engine::coding::PayloadTypes;
use crate::engine::config::{BlockSize, ClientConfig, Wire};
use crate::engine::format::Format;
use crate::engine::net::tcp::SendOutcome;
use crate::engine::net::udp::Sent;
use crate::engine::record::pcap::file::Kind;
use crate::engine::stats::RemoteStats;
use crate::engine::stream::reports::{Said, Speaker, WallClock};
use crate::engine::time::{Clock, Micros};
use crate::engine::wire::framing::{Deframer, write_frame};
use crate::engine::wire::rtcp::Compound;
use crate::engine::wire::rtp;

/// A client's side of its reports.
pub struct Feedback {
    speaker: Speaker,
    clock: Clock,
    wall: WallClock,
    dice: Dice,
    /// Takes the other end's frames out of a connection.
    deframer: Deframer,
    shared: Arc<Progress>,
    tap: Wiretap,
    out: Vec<u8>,
    began: Option<Micros>,
    listener: Presence,
    /// When a packet was sent last, and when a report came or was missed last.
    spoke: Micros,
    heard: Micros,
    /// It has reported once.
    reported: bool,
    /// The last report, until it is taken.
    report: Option<RemoteStats>,
    tried_beside: bool,
    complaints: Complaints,
    /// There is a key.
    is_sealed: bool,
}

/// Whether the other end hears us, as far as we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// Nothing is known yet.
    Unknown,
    /// It reports.
    There,
    /// It does not, and the log says so.
    Missed,
}

impl Feedback {
    /// For the stream `ssrc`; `None` on the classic wire, which knows no reports.
    pub fn new(
        config: &ClientConfig,
        ssrc: u32,
        clock: Clock,
        shared: Arc<Progress>,
        tap: Wiretap,
    ) -> Option<Self> {
        if config.wire == Wire::Classic {
            return None;
        }
        let format = config.encoding().format;
        let bits = config.codec.sample_bytes().map_or(f64::from(config.bitrate), |bytes| {
            f64::from(format.rate()) * (format.channels() * bytes) as f64 * 8.0
        });
        let speaker = Speaker::new(party(ssrc, config.name.clone()), format.rate(), bits, clock.now());
        Some(Self {
            speaker: if config.output.is_some() { speaker.eager() } else { speaker },
            clock,
            wall: wall_clock(clock),
            dice: Dice::new(),
            deframer: new_deframer(),
            shared,
            tap,
            out: Vec::new(),
            began: None,
            listener: Presence::Unknown,
            spoke: Micros::ZERO,
            heard: Micros::ZERO,
            reported: false,
            report: None,
            tried_beside: false,
            complaints: Complaints::default(),
            is_sealed: config.key.is_some(),
        })
    }

    /// A packet that lasts `length` was sent.
    pub fn sent(&mut self, packet: &[u8], length: Duration) {
        if let Ok((header, payload)) = rtp::parse(packet) {
            let now = self.clock.now();
            self.began.get_or_insert(now);
            self.spoke = now;
            self.speaker.sent(header.timestamp, payload.len(), packet.len(), length, now);
        }
    }

    /// Between two packets: hears what has come, says what is due.
    pub fn turn(
        &mut self,
        transport: &mut Transport,
        mut network: Option<&mut Impairment<()>>,
        mut sealing: Option<&mut Sealing>,
        mut hearing: Option<&mut Hearing>,
    ) {
        self.hear(transport, sealing.as_deref_mut(), hearing.as_deref_mut());
        let now = self.clock.now();
        for report in hearing.map(|hearing| hearing.turn(now)).unwrap_or_default() {
            self.out = report;
            self.say(transport, network.as_deref_mut(), sealing.as_deref_mut());
        }
        if self.speaker.next() <= now {
            let Self { speaker, wall, dice, out, .. } = self;
            out.clear();
            if speaker.report(now, wall, &mut || dice.chance(), out) {
                self.say(transport, network, sealing);
            }
        }
        self.miss(transport, now);
    }

    /// The last report of our stream, where one has come since the last time.
    pub fn take_report(&mut self) -> Option<RemoteStats> {
        self.report.take()
    }

    /// The end of the stream.
    pub fn goodbye(
        &mut self,
        transport: &mut Transport,
        mut sealing: Option<&mut Sealing>,
        hearing: Option<&mut Hearing>,
    ) {
        self.hear(transport, sealing.as_deref_mut(), hearing);
        self.out.clear();
        if self.speaker.goodbye(self.clock.now(), &self.wall, &mut self.out) {
            self.say(transport, None, sealing);
        }
    }

    /// The connection is a new one.
    pub fn reconnected(&mut self) {
        self.deframer = new_deframer();
    }

    fn hear(
        &mut self,
        transport: &mut Transport,
        mut sealing: Option<&mut Sealing>,
        mut hearing: Option<&mut Hearing>,
    ) {
        let Self { speaker, clock, wall, deframer, shared, complaints, tap, .. } = self;
        let (mut reports, mut goodbye) = (false, None);
        let peer = transport.peer();
        let mut take = |arrival, bytes: &[u8]| {
            let bytes = match sealing.as_mut().map_or(Ok(bytes), |sealing| sealing.open(bytes)) {
                Ok(bytes) => bytes,
                Err(why) => {
                    shared.unauthentic.fetch_add(1, Relaxed);
                    if let Some(line) = complaints.refused(why, peer, arrival) {
                        log::warn!(target: TARGET, "{line}");
                    }
                    return;
                }
            };
            match &mut hearing {
                Some(hearing) => hearing.take(peer, arrival, bytes),
                None => _ = shared.unheard.fetch_add(u64::from(is_sound(bytes)), Relaxed),
            }
            if let Ok(compound) = Compound::parse(bytes) {
                match speaker.hear(compound, arrival, wall) {
                    Said::Nothing => {}
                    Said::Report => {
                        reports = true;
                        let mut kept = lock(&shared.reports);
                        if kept.len() == REPORTS {
                            kept.pop_front();
                        }
                        kept.push_back(speaker.report_heard());
                    }
                    Said::Goodbye(reason) => goodbye = Some(reason),
                }
            }
        };
        let ends = tap.incoming(transport);
        match transport {
            Transport::Udp(udp) => udp.hear(*clock, &mut |arrival, beside, bytes| {
                tap.heard(arrival, ends, Kind::Datagram, beside, bytes);
                take(arrival, bytes);
            }),
            Transport::Tcp(tcp) => {
                let now = clock.now();
                tcp.hear(&mut |bytes| {
                    tap.heard(now, ends, Kind::Data, false, bytes);
                    for piece in bytes.chunks(PIECE) {
                        deframer.push(piece);
                        while let Some(frame) = deframer.next() {
                            if let Ok(packet) = frame {
                                take(now, packet.bytes());
                            }
                        }
                    }
                });
            }
        }
        if reports {
            self.publish(transport);
        }
        if let Some(reason) = goodbye {
            let why = if reason.is_empty() { reason } else { format!(" ({reason})") };
            log::info!(target: TARGET, "{} has said goodbye{why}: nobody listens there any more", transport.peer());
            self.listener = Presence::Missed;
        }
    }

    fn publish(&mut self, transport: &Transport) {
        let remote = self.speaker.remote();
        *lock(&self.shared.remote) = remote;
        let Some((remote, _)) = remote else { return };
        self.report = Some(remote);
        let told = Told(remote);
        log::debug!(target: TARGET, "report from {}: {told}", transport.peer());
        if self.listener == Presence::Missed {
            log::info!(target: TARGET, "{} reports that it hears us: {told}", transport.peer());
        }
        self.listener = Presence::There;
        self.heard = self.clock.now();
        self.reported = true;
    }

    fn say(
        &mut self,
        transport: &mut Transport,
        network: Option<&mut Impairment<()>>,
        sealing: Option<&mut Sealing>,
    ) {
        let plain = Ok(Some(&self.out[..]));
        let Ok(Some(out)) = sealing.map_or(plain, |sealing| sealing.report(&self.out)) else { return };
        // What cannot go now is out of date when it can.
        let now = self.clock.now();
        match (&mut *transport, network) {
            (Transport::Udp(_), Some(network)) => {
                let passage = network.enter_control(now, (), out);
                self.tap.entered(now, transport, passage, out);
            }
            (Transport::Udp(udp), None) => {
                if udp.send(out).is_ok_and(|sent| !matches!(sent, Sent::Dropped(_))) {
                    self.tap.sent(now, transport, out);
                }
            }
            (Transport::Tcp(tcp), _) => {
                let mut frame = Vec::with_capacity(out.len() + 2);
                write_frame(out, &mut frame);
                // A lost connection is told to the next packet.
                if tcp.send(&frame, Duration::ZERO) == Ok(SendOutcome::Sent) {
                    self.tap.sent(now, transport, &frame);
                }
            }
        }
    }

    /// Wonders whether anybody is there.
    fn miss(&mut self, transport: &mut Transport, now: Micros) {
        self.miss_reports(transport, now);
        let Some(began) = self.began.filter(|_| self.listener == Presence::Unknown) else { return };
        // A group's members do not answer.
        if transport.peer().ip().is_multicast() {
            return;
        }
        let passed = now.since(began);
        if passed > BESIDE_AFTER
            && !self.tried_beside
            && let Transport::Udp(udp) = transport
        {
            self.tried_beside = true;
            udp.listen_beside();
        }
        if passed > MISSED_AFTER {
            self.listener = Presence::Missed;
            let or_else = if self.is_sealed { "its key is another, or none" } else { "it speaks no RTCP" };
            log::warn!(
                target: TARGET,
                "{} has sent no report for {} s: perhaps nobody listens there, or {or_else}",
                transport.peer(),
                MISSED_AFTER.as_secs()
            );
        }
    }

    /// Reports that came and come no more: perhaps the way has changed, or the server has another address.
    fn miss_reports(&mut self, transport: &mut Transport, now: Micros) {
        let speaks = now.since(self.spoke) < SPEAKS;
        if let Transport::Udp(udp) = transport
            && self.reported
            && speaks
            && now.since(self.heard) > STOPPED_AFTER
        {
            self.heard = now;
            if self.listener == Presence::There {
                self.listener = Presence::Missed;
                log::warn!(
                    target: TARGET,
                    "{} reports no more since {} s: the way there is looked for anew",
                    udp.peer(),
                    STOPPED_AFTER.as_secs()
                );
            }
            udp.look_again();
        }
    }
}

/// A report as the log has it.
struct Told(RemoteStats);

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let remote = &self.0;
        write!(
            f,
            "lost {:.1} % lately, {} in all, jitter {:.2} ms",
            remote.fraction_lost * 100.0,
            remote.packets_lost,
            remote.jitter_ms
        )?;
        match remote.round_trip_ms {
            Some(trip) => write!(f, ", round trip {trip:.1} ms"),
            None => Ok(()),
        }
    }
}

fn new_deframer() -> Deframer {
    // What frames carry does not matter to it.
    Deframer::new(Some(Wire::Rtp), PayloadTypes::empty(), Format::default(), BlockSize::default())
}

/// Whether it is sound, that may be listened to.
fn is_sound(bytes: &[u8]) -> bool {
    !rtp::is_rtcp(bytes) && rtp::parse(bytes).is_ok()
}

const TARGET: &str = "audiostream.client";
/// A receiver that has sent no report to our port by then is expected to send them to the one above.
const BESIDE_AFTER: Duration = Duration::from_secs(2);
/// So long without a report is worth a warning.
const MISSED_AFTER: Duration = Duration::from_secs(5);
/// So long without a report, while we send, where reports used to come: three are missing.
const STOPPED_AFTER: Duration = Duration::from_secs(15);
/// Who has sent a packet within this sends.
const SPEAKS: Duration = Duration::from_secs(1);
/// Reports that are kept for who asks for them; the oldest goes first, and their numbers show it.
const REPORTS: usize = 1024;
/// Bytes that the deframer takes at once.
const PIECE: usize = 4096;
