//! A client: captures sound, sends it to a server, records it.
//!
//! Threads: the device's callback (or a built-in source's pacer) captures; `as-send` packs and sends; `as-record`
//! writes. None of them waits for another, nor for whoever reads the figures.

use std::net::SocketAddr;
use std::path::{self, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver as Notices, bounded};
use rtrb::{Consumer, RingBuffer};

use super::capturing::{Captured, Microphone};
use super::describe::describe;
use super::hearing::{Figures, Heard, Hearing};
use super::overheard::Overheard;
use super::packet_log::PacketLog;
use super::party::party;
use super::place::destination;
use super::recorders::{Recorders, Side, Taps};
use super::sending::{Progress, Sending, Supply};
use super::server::lock;
use super::stepper::Stepper;
use super::transport::Transport;
use super::wiretap::{self, Wiretap};
use crate::engine::audio::Notice;
use crate::engine::audio::capture::Capture;
use crate::engine::audio::device;
use crate::engine::audio::push::PushWriter;
use crate::engine::config::{ClientConfig, Input, Output, PATIENCE, Path};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::key::Key;
use crate::engine::net::rest::Rest;
use crate::engine::record::Recorded;
use crate::engine::record::pcap::file::PcapFile;
use crate::engine::record::tap::RecorderState;
use crate::engine::stats::{ClientStats, RemoteReport, RemoteStats};
use crate::engine::stream::repeat::Repeater;
use crate::engine::stream::sender::{Outline, Sender};
use crate::engine::time::Clock;
use crate::engine::wire::sdp::Description;

/// A client. Methods may be called from any thread; none waits longer than it says.
pub struct Client {
    config: ClientConfig,
    clock: Clock,
    tap: Wiretap,
    identity: Identity,
    captured: Arc<Captured>,
    progress: Arc<Progress>,
    stepper: Arc<Stepper>,
    parts: Mutex<Parts>,
    recorders: Mutex<Option<Recorders>>,
    figures: OnceLock<Figures>,
    /// Where a program writes its sound.
    pushed: Mutex<Option<PushWriter>>,
}

/// Where an RTP stream starts; random, as RFC 3550 §5.1 asks. The classic wire starts at zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The synchronisation source.
    pub ssrc: u32,
    /// The first sequence number.
    pub sequence: u16,
    /// The first timestamp.
    pub timestamp: u32,
}

#[derive(Default)]
struct Parts {
    capture: Option<Capture>,
    capturing: bool,
    heard: Option<Heard>,
    hearing: Option<Hearing>,
    ring: Option<Consumer<i16>>,
    notices: Option<Notices<Notice>>,
    transport: Option<Transport>,
    addresses: Option<(SocketAddr, SocketAddr)>,
    thread: Option<JoinHandle<()>>,
    log: Option<PacketLog>,
    pcap: Option<PcapFile>,
    input: String,
    closed: bool,
}

impl Client {
    /// A client that has opened nothing yet but its packet log and capture.
    pub fn new(config: ClientConfig, identity: Identity, packet_log: Option<&path::Path>) -> Result<Self> {
        let config = destination(config)?.validated()?;
        let identity = identity.sealed_with(config.key.as_ref());
        device::check_host_api(config.audio.host_api.as_deref())?;
        // What this build cannot encode, or no packet can hold, is said now, and not when the stream begins.
        new_repeater(&config, &new_sender(&config, identity)?)?;
        let log = packet_log.map(PacketLog::open).transpose()?;
        let clock = Clock::new();
        let pcap = config.pcap.as_deref().map(|path| wiretap::open(path, clock)).transpose()?;
        let tap = Wiretap::new(pcap.as_ref());
        Ok(Self {
            config,
            clock,
            tap,
            identity,
            captured: Arc::default(),
            progress: Arc::default(),
            stepper: Arc::default(),
            parts: Mutex::new(Parts { log, pcap, ..Parts::default() }),
            recorders: Mutex::new(None),
            figures: OnceLock::new(),
            pushed: Mutex::new(None),
        })
    }

    /// Opens the source, and lets a device begin to deliver; a source that ends by itself waits for the stream to start. Again is nothing.
    pub fn open_audio(&self) -> Result<()> {
        let mut parts = self.parts()?;
        if parts.capture.is_some() {
            return Ok(());
        }
        let audio = &self.config.audio;
        let channels = audio.format.channels();
        let (Taps { local, heard: taps }, recorders) =
            Recorders::new(audio.format, self.config.output.is_some())?;
        let frames = audio.format.frames(PATIENCE * 2).max(4 * audio.block.frames(audio.format));
        let (producer, ring) = RingBuffer::new(frames * channels);
        let (notify, notices) = bounded(NOTICES);
        let mut beside = None;
        if let (Some(output), Some([remote, both])) = (&self.config.output, taps) {
            let (overheard, with) = Overheard::new(audio.format, self.clock, remote, both);
            let (hearing, heard) = Hearing::open(
                &self.config,
                output,
                self.identity.ssrc,
                self.clock,
                overheard,
                notify.clone(),
            )?;
            let _ = self.figures.set(heard.figures());
            (parts.heard, parts.hearing) = (Some(heard), Some(hearing));
            beside = Some(with).filter(|_| !output.is_whole());
        }
        let microphone =
            Microphone::new(producer, local, channels, Arc::clone(&self.captured)).beside(beside);
        let target = Box::new(microphone);
        let mut capture = if self.config.input == Input::Push {
            let (capture, writer) = Capture::open_push(audio, PUSHED, target, notify);
            *lock(&self.pushed) = Some(writer);
            capture
        } else {
            Capture::open(&self.config.input, audio, target, notify)?
        };
        if !self.config.input.is_finite() {
            capture.start()?;
            parts.capturing = true;
        }
        parts.input = capture.description();
        parts.capture = Some(capture);
        parts.ring = Some(ring);
        parts.notices = Some(notices);
        *lock(&self.recorders) = Some(recorders);
        Ok(())
    }

    /// Finds the server; TCP connects, for 5 s at most. Again is nothing.
    pub fn open_socket(&self) -> Result<()> {
        if self.parts()?.addresses.is_some() {
            return Ok(());
        }
        // Without the lock: it may take seconds, and close() must get through.
        let transport = Transport::connect(&self.config.path, &self.progress.aborting)?;
        let mut parts = self.parts()?;
        parts.addresses = Some((transport.local_addr()?, transport.peer()));
        parts.transport = Some(transport);
        Ok(())
    }

    /// The session description (RFC 8866) of what it sends, for those who are to hear it; the same for as long as it lives.
    /// Finds the server, if that has not been done.
    pub fn sdp(&self, with_key: bool) -> Result<String> {
        if self.addresses().is_none() {
            self.open_socket()?;
        }
        let ends = self.addresses().ok_or_else(|| Error::new(ErrorKind::State, "the socket is not open"))?;
        let mut description = self.description(&new_sender(&self.config, self.identity)?, ends)?;
        match &self.config.key {
            Some(key) if with_key => description.set_key(key),
            None if with_key => {
                return Err(Error::config("sdp: there is no key to tell: the stream is in clear"));
            }
            _ => {}
        }
        Ok(description.write())
    }

    /// Streams from now on, opening what is not open yet; again is nothing.
    pub fn start(&self) -> Result<()> {
        self.stepper.run_free();
        self.launch()
    }

    /// Sends one packet, waiting `timeout` at most for sound; false where there was none or the stream has ended.
    pub fn send_one(&self, timeout: Duration) -> Result<bool> {
        self.launch()?;
        self.stepper.step(timeout)
    }

    /// Takes whole frames of a program's sound to be sent, waiting for room at most `timeout`; the frames taken.
    pub fn push(&self, samples: &[i16], timeout: Duration) -> Result<usize> {
        self.pusher()?.write(samples, timeout).ok_or_else(over)
    }

    /// Frames of a program's sound that wait to be sent, and that may wait.
    pub fn pushed(&self) -> Result<(usize, usize)> {
        let writer = self.pusher()?;
        writer.waiting().map(|waiting| (waiting, writer.capacity())).ok_or_else(over)
    }

    fn pusher(&self) -> Result<PushWriter> {
        let writer = lock(&self.pushed).clone();
        writer.ok_or_else(|| {
            Error::new(ErrorKind::State, "there is nothing to write to: make the client with input='push'")
        })
    }

    /// Waits until the stream has ended by itself (a file is over), or `timeout` is over.
    pub fn wait(&self, timeout: Duration) -> Result<bool> {
        self.stepper.wait_end(timeout)
    }

    /// Ends a connect that hangs.
    pub fn cancel(&self) {
        self.progress.aborting.store(true, Relaxed);
    }

    /// The figures as they are now.
    pub fn stats(&self) -> ClientStats {
        let received = self.figures.get().and_then(Figures::stats);
        let (captured, progress) = (&self.captured, &self.progress);
        ClientStats {
            packets_sent: progress.packets.load(Relaxed),
            copies_sent: progress.copies.load(Relaxed),
            bytes_sent: progress.bytes.load(Relaxed),
            frames_captured: captured.frames.load(Relaxed),
            frames_dropped: captured.frames_dropped.load(Relaxed) + progress.frames_dropped.load(Relaxed),
            overruns: captured.overruns.load(Relaxed) + progress.overruns.load(Relaxed),
            reconnects: progress.reconnects.load(Relaxed),
            unauthentic: progress.unauthentic.load(Relaxed),
            unheard: progress.unheard.load(Relaxed),
            received,
            next_sequence: progress.next_sequence.load(Relaxed) as u16,
            level_db: captured.level_db(),
            pcap_dropped: self.tap.dropped(),
            remote: lock(&progress.remote).map(|(remote, came)| RemoteStats {
                age_ms: self.clock.now().since(came).as_secs_f64() * 1e3,
                ..remote
            }),
        }
    }

    /// The other end's reports since this was asked last, oldest first; so many are kept, see their numbers.
    pub fn take_reports(&self) -> Vec<RemoteReport> {
        lock(&self.progress.reports).drain(..).collect()
    }

    /// Sends what is captured by now and no more sound; reports go on.
    pub fn end_sound(&self) {
        self.captured.streaming.store(false, Relaxed);
    }

    /// Records one side or both from now on into a file in `folder`, `frames` of them or until stopped. Returns the path.
    pub fn start_recording(&self, side: Side, folder: &path::Path, frames: Option<u64>) -> Result<PathBuf> {
        drop(self.parts()?);
        if side == Side::Both && self.config.output.as_ref().is_some_and(Output::is_whole) {
            return Err(Error::config(
                "both sides keep step only with an output that keeps time, a device or 'null'",
            ));
        }
        let mut recorders = lock(&self.recorders);
        let recorders =
            recorders.as_mut().ok_or_else(|| Error::new(ErrorKind::State, "open the sound source first"))?;
        recorders.start(side, folder, frames)
    }

    /// Ends the recording, under `filename` if one is given; `None` where none is running.
    pub fn stop_recording(&self, filename: Option<&str>) -> Result<Option<Recorded>> {
        lock(&self.recorders).as_ref().map_or(Ok(None), |recorders| recorders.stop(filename))
    }

    /// What the recorder is at, and the last recording.
    pub fn recording_state(&self) -> RecorderState {
        lock(&self.recorders).as_ref().map(Recorders::state).unwrap_or_default()
    }

    /// Sets the gain of what is sent and recorded, 1 being as it is.
    pub fn set_gain(&self, gain: f32) -> Result<()> {
        if !(0.0..=16.0).contains(&gain) {
            return Err(Error::config(format!("gain must be 0 to 16, not {gain}")));
        }
        self.captured.set_gain(gain);
        Ok(())
    }

    /// Sends and records silence, or no longer.
    pub fn set_muted(&self, muted: bool) {
        self.captured.muted.store(muted, Relaxed);
    }

    /// The way to the server, as it was given or as its URL has it.
    pub const fn path(&self) -> &Path {
        &self.config.path
    }

    /// Where it sends from and to.
    pub fn addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        lock(&self.parts).addresses
    }

    /// Where its sound comes from.
    pub fn input_name(&self) -> String {
        lock(&self.parts).input.clone()
    }

    /// Where goes what is heard; `None` where nothing is listened to.
    pub fn output_name(&self) -> Option<String> {
        lock(&self.parts).heard.as_ref().map(Heard::description)
    }

    /// The stream's synchronisation source, zero on the classic wire.
    pub const fn ssrc(&self) -> u32 {
        self.identity.ssrc
    }

    /// Ends everything and frees it, a running recording finished; `drain` first sends what is captured. Again is nothing.
    pub fn close(&self, drain: bool) -> Result<()> {
        if !drain {
            self.progress.aborting.store(true, Relaxed);
        }
        if let Some(pushed) = lock(&self.pushed).as_ref() {
            // What is written goes at its pace, where anything does.
            let going = drain && self.captured.streaming.load(Relaxed);
            pushed.end(if going { PUSHED + DRAIN_TIMEOUT } else { Duration::ZERO });
        }
        let mut parts = lock(&self.parts);
        if parts.closed {
            return Ok(());
        }
        parts.closed = true;
        if let Some(capture) = &mut parts.capture {
            capture.stop();
        }
        self.progress.stopping.store(true, Relaxed);
        if let Some(thread) = parts.thread.take() {
            self.captured.wake();
            let _ = self.stepper.wait_end(DRAIN_TIMEOUT);
            self.progress.aborting.store(true, Relaxed);
            self.captured.wake();
            let _ = thread.join();
        }
        parts.hearing = None;
        let played = parts.heard.as_mut().map_or(Ok(()), |heard| heard.stop(drain));
        parts.capture = None;
        parts.transport = None;
        parts.log = None;
        parts.pcap = None;
        drop(parts);
        // The recorder stays, to be asked for what it recorded; its thread ends.
        played.and(lock(&self.recorders).as_mut().map_or(Ok(()), Recorders::close))
    }

    /// Opens what is not open, starts the sending thread and a source that waited for it.
    fn launch(&self) -> Result<()> {
        self.open_audio()?;
        self.open_socket()?;
        let mut parts = self.parts()?;
        if parts.thread.is_none()
            && let (Some(ring), Some(transport)) = (parts.ring.take(), parts.transport.take())
        {
            let sender = new_sender(&self.config, self.identity)?;
            let repeater = new_repeater(&self.config, &sender)?;
            self.progress.next_sequence.store(u64::from(sender.next_sequence()), Relaxed);
            let notices = parts.notices.take().unwrap_or_else(crossbeam_channel::never);
            let (captured, progress) = (Arc::clone(&self.captured), Arc::clone(&self.progress));
            let tap = self.tap.clone();
            let now = self.clock.now();
            if let Some(ends) = parts.addresses {
                tap.announce(now, ends.0.ip(), || self.description(&sender, ends).ok().map(|d| d.write()));
            }
            tap.connected(now, &transport);
            let rest = Rest::new()?;
            let waker = rest.waker();
            let (log, hearing) = (parts.log.take(), parts.hearing.take());
            let supply = Supply { ring, transport, log, tap, hearing, rest };
            let sending =
                Sending::new(self.config.clone(), self.clock, sender, repeater, supply, captured, progress)?;
            let stepper = Arc::clone(&self.stepper);
            let thread = std::thread::Builder::new()
                .name("as-send".into())
                .spawn(move || sending.run(&stepper, &notices))
                .map_err(|e| Error::io(ErrorKind::State, "the sending thread", &e))?;
            let _ = self.captured.reader.set(waker);
            if let Some(heard) = &mut parts.heard {
                heard.start()?;
            }
            parts.thread = Some(thread);
            self.captured.streaming.store(true, Relaxed);
        }
        if !parts.capturing
            && let Some(capture) = &mut parts.capture
        {
            capture.start()?;
            parts.capturing = true;
        }
        Ok(())
    }

    /// What it sends from the first of the ends to the other.
    fn description(&self, sender: &Sender, ends: (SocketAddr, SocketAddr)) -> Result<Description> {
        let packet = self.config.encoding().format.duration(sender.frames_per_packet() as u64);
        let means = new_repeater(&self.config, sender)?.map(|repeater| repeater.means());
        let cname = party(self.identity.ssrc, None).cname;
        describe(&self.config, self.identity, &cname, ends, packet, means)
    }

    fn parts(&self) -> Result<MutexGuard<'_, Parts>> {
        let parts = lock(&self.parts);
        if parts.closed {
            return Err(Error::new(ErrorKind::State, "the client is closed: make a new one"));
        }
        Ok(parts)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.close(false);
    }
}

fn new_sender(config: &ClientConfig, identity: Identity) -> Result<Sender> {
    let Identity { ssrc, sequence, timestamp } = identity;
    Sender::new(&Outline::of(config), ssrc, sequence, timestamp)
}

fn new_repeater(config: &ClientConfig, sender: &Sender) -> Result<Option<Repeater>> {
    let frames = sender.frames_per_packet();
    Repeater::new(&Outline::of(config), frames, sender.ssrc(), config.redundancy, config.spacing)
}

impl Identity {
    /// The same for a stream that is sealed: its first packets may be lost, and the wrap not noticed (RFC 3711 §3.3.1).
    const fn sealed_with(self, key: Option<&Key>) -> Self {
        match key {
            Some(_) => Self { sequence: self.sequence & 0x7fff, ..self },
            None => self,
        }
    }

    /// The start of an RTP stream, from 64 random bits.
    pub const fn from_random(bits: u64) -> Self {
        Self {
            ssrc: bits as u32,
            sequence: (bits >> 32) as u16,
            timestamp: (bits >> 16) as u32 ^ (bits >> 40) as u32,
        }
    }
}

fn over() -> Error {
    Error::new(ErrorKind::State, "the client is closed, or its stream is over: make a new one")
}

/// How much of a program's sound may wait.
const PUSHED: Duration = Duration::from_secs(2);
/// How long what is captured may take to be sent at the end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);
const NOTICES: usize = 64;
