//! The sending thread of a client: takes captured sound from the ring, packs it, sends it.
//!
//! Where the codec wants another rate or other channels than were captured, they are converted here.
//!
//! When the network stalls (TCP), sound waits in the ring; past [`PATIENCE`] the oldest goes first, and is counted.
//! The sequence numbers go on without a gap: the network lost nothing. On RTP the timestamps tell of the gap.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::Receiver as Notices;
use rtrb::Consumer;

use super::capturing::Captured;
use super::feedback::Feedback;
use super::hearing::Hearing;
use super::impairment::Impairment;
use super::notices::report;
use super::packet_log::{PacketLine, PacketLog};
use super::packets::Packets;
use super::sealing::Sealing;
use super::stepper::Stepper;
use super::transport::Transport;
use super::wiretap::Wiretap;
use crate::engine::audio::Notice;
use crate::engine::audio::priority::promote;
use crate::engine::codec::Settings;
use crate::engine::config::{ClientConfig, PATIENCE, Protocol, Redundancy, Wire};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::net::rest::Rest;
use crate::engine::net::tcp::SendOutcome;
use crate::engine::net::udp::Sent;
use crate::engine::rate::Converter;
use crate::engine::stats::{RemoteReport, RemoteStats};
use crate::engine::stream::remedy::Adviser;
use crate::engine::stream::repeat::{Outgoing, Repeater};
use crate::engine::stream::sender::Sender;
use crate::engine::time::{Clock, Micros};
use crate::engine::wire::rtp;

/// What the sending thread owns.
pub struct Sending {
    config: ClientConfig,
    clock: Clock,
    ring: Consumer<i16>,
    sender: Sender,
    repeater: Option<Repeater>,
    adviser: Adviser,
    converter: Converter,
    /// Dropped frames that make no whole frame at the rate that is sent, in parts of one.
    dropped_rest: usize,
    transport: Transport,
    log: Option<PacketLog>,
    captured: Arc<Captured>,
    shared: Arc<Progress>,
    block: Vec<i16>,
    packets: Packets,
    sealing: Option<Sealing>,
    network: Option<Impairment<()>>,
    tap: Wiretap,
    feedback: Option<Feedback>,
    hearing: Option<Hearing>,
    rest: Rest,
    warned: Micros,
    /// Bytes that a packet may have on the path.
    limit: usize,
    /// Sockets that have taken over from the first, as far as is counted.
    renewals: u64,
}

/// What it tells.
#[derive(Debug, Default)]
pub struct Progress {
    /// Packets handed to the network, those that are only copies left out.
    pub packets: AtomicU64,
    /// Copies of packets, in later packets or by themselves.
    pub copies: AtomicU64,
    /// Bytes of all of that.
    pub bytes: AtomicU64,
    /// Frames captured and never sent, on this thread's account.
    pub frames_dropped: AtomicU64,
    /// How often sound was dropped.
    pub overruns: AtomicU64,
    /// TCP connections after the first.
    pub reconnects: AtomicU64,
    /// Answers that were not authentic.
    pub unauthentic: AtomicU64,
    /// Packets of sound that came and were not listened to.
    pub unheard: AtomicU64,
    /// The next sequence number.
    pub next_sequence: AtomicU64,
    /// Told to end.
    pub stopping: AtomicBool,
    /// Told to end without sending what waits.
    pub aborting: AtomicBool,
    /// The other end's last report, and when it came.
    pub remote: Mutex<Option<(RemoteStats, Micros)>>,
    /// Its reports since somebody asked for them last.
    pub reports: Mutex<VecDeque<RemoteReport>>,
}

/// What it takes from, and gives to.
pub struct Supply {
    /// The captured sound.
    pub ring: Consumer<i16>,
    /// The way to the server.
    pub transport: Transport,
    /// Where every packet is written down.
    pub log: Option<PacketLog>,
    /// Where every packet is captured.
    pub tap: Wiretap,
    /// What listens to the server's sound.
    pub hearing: Option<Hearing>,
    /// Where it sleeps: whoever has sound for it wakes it there.
    pub rest: Rest,
}

impl Sending {
    /// Ready to run.
    #[allow(clippy::too_many_arguments, reason = "the parts of one struct")]
    pub fn new(
        config: ClientConfig,
        clock: Clock,
        sender: Sender,
        repeater: Option<Repeater>,
        supply: Supply,
        captured: Arc<Captured>,
        shared: Arc<Progress>,
    ) -> Result<Self> {
        let Supply { ring, transport, log, tap, hearing, rest } = supply;
        let network = config.network.map(Impairment::new);
        let sealing = config.key.clone().map(|key| Sealing::new(key, sender.ssrc())).transpose()?;
        let framed = config.wire == Wire::Rtp && config.path.protocol == Protocol::Tcp;
        let feedback = Feedback::new(&config, sender.ssrc(), clock, Arc::clone(&shared), tap.clone());
        let samples = config.audio.block.frames(config.audio.format) * config.audio.format.channels();
        let converter = Converter::new(config.audio.format, config.encoding().format)?;
        let packet = config.encoding().format.duration(sender.frames_per_packet() as u64);
        Ok(Self {
            adviser: Adviser::new(packet, config.spacing).coded_as(config.codec),
            config,
            clock,
            ring,
            sender,
            repeater,
            converter,
            dropped_rest: 0,
            transport,
            log,
            captured,
            shared,
            block: vec![0; samples],
            packets: Packets::new(framed),
            sealing,
            network,
            tap,
            feedback,
            hearing,
            rest,
            warned: Micros::ZERO,
            limit: usize::MAX,
            renewals: 0,
        })
    }

    /// The thread: sends until the source is over or it is told to stop.
    pub fn run(mut self, stepper: &Stepper, notices: &Notices<Notice>) {
        // Where it is refused, packets leave as punctually as the system lets them.
        let _ = promote();
        match self.stream(stepper, notices) {
            Ok(()) => stepper.end(),
            Err(error) => {
                log::error!(target: TARGET, "sending failed: {error}");
                stepper.fail(error);
            }
        }
    }

    fn stream(&mut self, stepper: &Stepper, notices: &Notices<Notice>) -> Result<()> {
        loop {
            for notice in notices.try_iter() {
                report(TARGET, &notice);
            }
            // Asked before the ring: what came before the end is there when the end is seen.
            let stopping = self.shared.stopping.load(Relaxed);
            let over = stopping || self.captured.ended.load(Relaxed);
            let allowed = stopping || stepper.may_send();
            if self.shared.aborting.load(Relaxed) {
                self.say_goodbye();
                return Ok(());
            }
            self.trim();
            self.deliver()?;
            self.listen();
            if allowed && self.ring.slots() >= self.block.len() {
                let mut block = std::mem::take(&mut self.block);
                let _ = self.ring.pop_entire_slice(&mut block);
                self.follow_path();
                self.pack(&block);
                self.block = block;
                self.send_packets(stepper)?;
            } else if allowed && over {
                return self.finish(stepper);
            } else {
                self.watch_connection()?;
                let wait = self.network.as_ref().map_or(POLL, |network| network.wait(self.clock.now(), POLL));
                self.transport.rest(&mut self.rest, self.feedback.is_some(), wait);
            }
        }
    }

    /// The last, short block, and the goodbye.
    fn finish(&mut self, stepper: &Stepper) -> Result<()> {
        let rest = self.ring.slots();
        let mut block = std::mem::take(&mut self.block);
        let _ = self.ring.pop_entire_slice(&mut block[..rest]);
        self.pack(&block[..rest]);
        let Self { converter, sender, repeater, packets, .. } = self;
        converter.finish(None, &mut |sound| {
            sender.push(sound, &mut |packet| packets.take(packet, repeater.as_mut()));
        });
        sender.flush(&mut |packet| packets.take(packet, repeater.as_mut()));
        if let Some(repeater) = repeater {
            repeater.flush(&mut |outgoing| packets.add(outgoing));
        }
        self.send_packets(stepper)?;
        while let Some(network) = &self.network
            && !network.is_empty()
            && !self.shared.aborting.load(Relaxed)
        {
            self.rest.sleep(network.wait(self.clock.now(), POLL));
            self.deliver()?;
        }
        self.say_goodbye();
        self.tap.finished(self.clock.now(), &self.transport);
        match &mut self.transport {
            Transport::Udp(_) => Ok(()),
            Transport::Tcp(tcp) => tcp.flush(FLUSH_TIMEOUT),
        }
    }

    /// Packets are as long as the path to the server takes them, and what has changed on it is counted.
    fn follow_path(&mut self) {
        let Transport::Udp(udp) = &self.transport else { return };
        if udp.limit() < self.limit {
            self.limit = udp.limit();
            let sealed = if self.sealing.is_some() { LONGEST_SEAL } else { 0 };
            let most = self.limit - sealed;
            self.sender.limit(most);
            if let Some(repeater) = &mut self.repeater {
                repeater.limit(most);
            }
        }
        if udp.renewals() > self.renewals {
            self.shared.reconnects.fetch_add(udp.renewals() - self.renewals, Relaxed);
            self.renewals = udp.renewals();
            self.tap.connected(self.clock.now(), &self.transport);
        }
    }

    /// Makes captured sound into packets.
    fn pack(&mut self, captured: &[i16]) {
        let Self { converter, sender, repeater, packets, .. } = self;
        converter.push(captured, &mut |sound| {
            sender.push(sound, &mut |packet| packets.take(packet, repeater.as_mut()));
        });
    }

    /// Hears what the other end has said, and says what is due.
    fn listen(&mut self) {
        let Some(feedback) = &mut self.feedback else { return };
        let Self { transport, network, sealing, hearing, .. } = self;
        feedback.turn(transport, network.as_mut(), sealing.as_mut(), hearing.as_mut());
        if let Some(report) = feedback.take_report() {
            self.follow(&report);
        }
    }

    /// What is sent follows what the other end reports.
    fn follow(&mut self, report: &RemoteStats) {
        let remedy = self.adviser.hear(report, self.clock.now());
        let first = Settings::of(&self.config);
        // Deep redundancy that was asked for goes before anything is lost, too.
        let least = if first.dred.is_zero() { 0 } else { first.loss_percent };
        let settings = Settings { loss_percent: self.adviser.loss_percent().max(least), ..first };
        let Some(repeater) = self.repeater.as_mut().filter(|_| self.config.redundancy == Redundancy::Auto)
        else {
            return self.sender.adjust(settings);
        };
        self.sender.adjust(remedy.spending(settings, self.adviser.packet()));
        if remedy.copies != repeater.remedy().copies {
            let lost = report.fraction_lost * 100.0;
            log::info!(target: TARGET, "{lost:.1} % lost: {} copies of each packet from now on", remedy.copies);
        }
        repeater.set(remedy);
    }

    fn say_goodbye(&mut self) {
        let Self { feedback, transport, sealing, hearing, .. } = self;
        if let Some(feedback) = feedback {
            feedback.goodbye(transport, sealing.as_mut(), hearing.as_mut());
        }
    }

    /// Drops the oldest sound that waits, where too much does.
    fn trim(&mut self) {
        let format = self.config.audio.format;
        let most = format.frames(PATIENCE) * format.channels();
        let block = self.block.len();
        let mut dropped = 0;
        while self.ring.slots() > most.max(2 * block) {
            let Ok(chunk) = self.ring.read_chunk(block) else { break };
            chunk.commit_all();
            dropped += block / format.channels();
        }
        if dropped > 0 {
            let parts = dropped * self.config.encoding().format.rate() as usize + self.dropped_rest;
            self.dropped_rest = parts % format.rate() as usize;
            self.sender.skip(parts / format.rate() as usize);
            self.shared.frames_dropped.fetch_add(dropped as u64, Relaxed);
            self.shared.overruns.fetch_add(1, Relaxed);
            self.warn(&format!(
                "sound came faster than it could be sent: {dropped} frames of the oldest were dropped"
            ));
        }
    }

    fn send_packets(&mut self, stepper: &Stepper) -> Result<()> {
        let mut packets = std::mem::take(&mut self.packets);
        let mut count = 0;
        for outgoing in packets.iter() {
            self.send_sealed(outgoing, packets.header())?;
            count += u64::from(!outgoing.is_copy);
        }
        packets.clear();
        self.packets = packets;
        self.shared.next_sequence.store(u64::from(self.sender.next_sequence()), Relaxed);
        if count > 0 {
            stepper.sent(count);
        }
        Ok(())
    }

    /// Sends one packet behind a frame header of `header` bytes, sealed where there is a key.
    fn send_sealed(&mut self, outgoing: Outgoing<'_>, header: usize) -> Result<()> {
        let packet = Outgoing { bytes: &outgoing.bytes[header..], ..outgoing };
        let Some(mut sealing) = self.sealing.take() else {
            return self.send(outgoing.bytes, packet, packet.bytes.len());
        };
        let sent = match sealing.sound(packet.bytes, header > 0) {
            Ok(Some(frame)) => self.send(frame, packet, frame.len() - header),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        self.sealing = Some(sealing);
        sent
    }

    /// Sends a frame, which holds `bytes` bytes of a packet, however long it takes while nobody aborts; sound that comes
    /// meanwhile is trimmed.
    fn send(&mut self, frame: &[u8], packet: Outgoing<'_>, bytes: usize) -> Result<()> {
        if let Some(network) = &mut self.network {
            let now = self.clock.now();
            let passage = network.enter(now, (), frame);
            self.tap.entered(now, &self.transport, passage, frame);
            self.count(packet, bytes, "sent");
            return self.deliver();
        }
        let stall = if self.hearing.is_some() { SHORT_STALL } else { STALL };
        loop {
            let verdict = match &mut self.transport {
                Transport::Udp(udp) => match udp.send(frame)? {
                    Sent::Sent => "sent",
                    Sent::Refused => {
                        let peer = udp.peer();
                        self.warn(&format!(
                            "nobody listens on {peer}: is the server running, and on this port?"
                        ));
                        "refused"
                    }
                    Sent::Dropped(obstacle) => {
                        self.warn(&format!("{obstacle}: a packet was dropped"));
                        "dropped"
                    }
                },
                Transport::Tcp(tcp) => match tcp.send(frame, stall) {
                    Ok(SendOutcome::Sent) => "sent",
                    Ok(SendOutcome::Blocked) => {
                        self.trim();
                        if self.shared.aborting.load(Relaxed) {
                            return Ok(());
                        }
                        self.listen();
                        continue;
                    }
                    Err(error) => {
                        self.reconnect(&error)?;
                        continue;
                    }
                },
            };
            if verdict != "dropped" {
                self.tap.sent(self.clock.now(), &self.transport, frame);
            }
            self.count(packet, bytes, verdict);
            return Ok(());
        }
    }

    /// Sends what has come through the bad network, where there is one.
    fn deliver(&mut self) -> Result<()> {
        let Some(network) = &mut self.network else { return Ok(()) };
        while let Some((_, (), packet)) = network.leave(self.clock.now())
            && let Transport::Udp(udp) = &mut self.transport
        {
            if !matches!(udp.send(packet)?, Sent::Dropped(_)) {
                self.tap.sent(self.clock.now(), &self.transport, packet);
            }
        }
        Ok(())
    }

    /// A packet went, as `bytes` bytes.
    fn count(&mut self, outgoing: Outgoing<'_>, bytes: usize, verdict: &'static str) {
        let Outgoing { bytes: packet, copies, is_copy } = outgoing;
        if verdict != "dropped" {
            self.shared.packets.fetch_add(u64::from(!is_copy), Relaxed);
            self.shared.copies.fetch_add(u64::from(copies), Relaxed);
            self.shared.bytes.fetch_add(bytes as u64, Relaxed);
            // Reports are of the stream itself.
            if let Some(feedback) = self.feedback.as_mut().filter(|_| !is_copy) {
                let length = self.config.encoding().format.duration(self.sender.frames_per_packet() as u64);
                feedback.sent(packet, length);
            }
        }
        if self.log.is_none() && !log::log_enabled!(target: TARGET, log::Level::Debug) {
            return;
        }
        let verdict = if is_copy && verdict == "sent" { "copy" } else { verdict };
        let header = match self.config.wire {
            Wire::Rtp => rtp::parse(packet).ok().map(|(h, _)| (h.sequence, Some(h.timestamp))),
            Wire::Classic => packet.first_chunk().map(|bytes| (u16::from_le_bytes(*bytes), None)),
        };
        let (sequence, timestamp) = header.unzip();
        let peer = self.transport.peer();
        log::debug!(target: TARGET, "packet to {peer}: sequence {}, {} bytes, {verdict}", sequence.unwrap_or(0), packet.len());
        if let Some(log) = &self.log {
            let time = self.clock.now();
            let timestamp = timestamp.flatten();
            log.write(PacketLine {
                time,
                outgoing: true,
                peer,
                sequence,
                timestamp,
                bytes: packet.len(),
                verdict,
            });
        }
    }

    /// An idle connection may have died, too.
    fn watch_connection(&mut self) -> Result<()> {
        if let Transport::Tcp(tcp) = &mut self.transport
            && let Err(error) = tcp.send(&[], Duration::ZERO)
        {
            self.reconnect(&error)?;
        }
        Ok(())
    }

    /// Tries to connect anew, as long as the config says; sound that comes meanwhile waits, and the oldest is dropped.
    fn reconnect(&mut self, lost: &Error) -> Result<()> {
        let patience = self.config.path.reconnect;
        log::error!(target: TARGET, "connection to {} lost: {lost}", self.transport.peer());
        let deadline = self.clock.now() + patience;
        let mut pause = FIRST_PAUSE;
        loop {
            if self.shared.aborting.load(Relaxed)
                || self.shared.stopping.load(Relaxed)
                || self.clock.now() >= deadline
            {
                return Err(Error::new(
                    ErrorKind::Transport,
                    format!("connection to {} lost: {lost}", self.transport.peer()),
                ));
            }
            self.trim();
            self.rest.sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
            if self.clock.now() < deadline
                && let Ok(transport) = Transport::connect(&self.config.path, &self.shared.aborting)
            {
                log::info!(target: TARGET, "connected to {} again", transport.peer());
                self.transport = transport;
                self.tap.connected(self.clock.now(), &self.transport);
                if let Some(feedback) = &mut self.feedback {
                    feedback.reconnected();
                }
                self.shared.reconnects.fetch_add(1, Relaxed);
                return Ok(());
            }
        }
    }

    /// One line a second at most.
    fn warn(&mut self, text: &str) {
        let now = self.clock.now();
        if now.since(self.warned) > Duration::from_secs(1) {
            self.warned = now;
            log::warn!(target: TARGET, "{text}");
        }
    }
}

const TARGET: &str = "audiostream.client";
/// Bytes that sealing adds at most: AES-GCM's tag (RFC 7714).
const LONGEST_SEAL: usize = 16;
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// How long one try of a stalled send may take: where nobody listens meanwhile …
const STALL: Duration = Duration::from_millis(50);
/// … and where somebody does.
const SHORT_STALL: Duration = Duration::from_millis(5);
/// How long the thread sleeps where nobody wakes it.
const POLL: Duration = Duration::from_millis(20);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
