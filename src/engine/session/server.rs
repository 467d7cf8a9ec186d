//! A server: hears senders on a port, plays them, counts them, records them.
//!
//! Threads: `as-net` receives and counts; the output's own thread or callback plays; the recorder's writes. None of
//! them waits for another, nor for whoever reads the figures.

mod recording;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver as Notices, Sender, bounded};

use super::events::{Events, Told};
use super::forwarding::Forwarding;
use super::frames::{FrameStream, Wanted};
use super::mouth::{Guest, Mouth};
use super::packet_log::PacketLog;
use super::receiving::Receiving;
use super::sources::{MOST_GAIN, Sources};
use super::talking::Talking;
use super::timed::Timed;
use super::wiretap::{self, Wiretap};
use crate::engine::audio::Notice;
use crate::engine::audio::{Capture, CaptureTarget, Playback, device};
use crate::engine::config::{Output, ServerConfig};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::net::waker::Waker;
use crate::engine::playout::histogram::Bar;
use crate::engine::playout::live::Bounds;
use crate::engine::playout::render::{Controls, Renderer, Roster};
use crate::engine::playout::tap::Whose;
use crate::engine::record::Recorded;
use crate::engine::record::pcap::file::PcapFile;
use crate::engine::record::reception::ReceptionRecorder;
use crate::engine::record::tracks::TrackRecorder;
use crate::engine::stats::{ServerStats, SourceStats};
use crate::engine::time::{Clock, Micros};

/// A server. Methods may be called from any thread; none waits longer than it says.
pub struct Server {
    config: ServerConfig,
    clock: Clock,
    tap: Wiretap,
    shared: Arc<Shared>,
    parts: Mutex<Parts>,
}

/// What the network thread shares with everybody else.
pub struct Shared {
    /// The sources.
    pub sources: Mutex<Sources>,
    /// Dropped by the kernel before we could take it.
    pub kernel_drops: AtomicU64,
    /// Frames of our own microphone that found no room.
    pub unspoken: Arc<AtomicU64>,
    /// Told to end.
    pub stopping: AtomicBool,
    /// TCP: had clients, and the last of them has left.
    pub ended: AtomicBool,
    /// What happens to the sources.
    pub events: Arc<Events>,
    arrivals: Mutex<Arrivals>,
    changed: Condvar,
}

#[derive(Default)]
struct Arrivals {
    packets: u64,
    /// How many wait for packets.
    watchers: u32,
    failure: Option<Error>,
}

#[derive(Default)]
struct Parts {
    receiving: Option<Receiving>,
    waker: Option<Waker>,
    address: Option<SocketAddr>,
    playback: Option<Playback>,
    /// Our own microphone, where the sources hear it.
    capture: Option<Capture>,
    controls: Option<Arc<Controls>>,
    notices: Option<Notices<Notice>>,
    thread: Option<JoinHandle<Receiving>>,
    recorder: Option<ReceptionRecorder>,
    recorded: Option<Recorded>,
    /// Of sources by themselves.
    tracks: Option<TrackRecorder>,
    log: Option<PacketLog>,
    pcap: Option<PcapFile>,
    closed: bool,
}

impl Server {
    /// A server that has opened nothing yet but its packet log and capture.
    pub fn new(config: ServerConfig, packet_log: Option<&Path>) -> Result<Self> {
        let config = config.validated()?;
        device::check_host_api(config.audio.host_api.as_deref())?;
        let log = packet_log.map(PacketLog::open).transpose()?;
        let clock = Clock::new();
        let pcap = config.pcap.as_deref().map(|path| wiretap::open(path, clock)).transpose()?;
        let tap = Wiretap::new(pcap.as_ref());
        let sources = Sources::new(config.clone());
        let events = sources.events();
        Ok(Self {
            config,
            clock,
            tap,
            shared: Arc::new(Shared {
                sources: Mutex::new(sources),
                kernel_drops: AtomicU64::new(0),
                unspoken: Arc::default(),
                stopping: AtomicBool::new(false),
                ended: AtomicBool::new(false),
                events,
                arrivals: Mutex::default(),
                changed: Condvar::new(),
            }),
            parts: Mutex::new(Parts { log, pcap, ..Parts::default() }),
        })
    }

    /// Binds the port; again is nothing.
    pub fn open_socket(&self) -> Result<()> {
        let mut parts = self.parts()?;
        if parts.address.is_none() {
            let receiving = Receiving::bind(&self.config, self.clock, self.tap.clone())?;
            if !self.config.forward.is_empty() {
                let forwarding = Forwarding::connect(&self.config.forward)?;
                lock(&self.shared.sources).set_forwarding(forwarding);
            }
            parts.address = Some(receiving.local_addr());
            parts.waker = receiving.waker();
            parts.receiving = Some(receiving);
        }
        Ok(())
    }

    /// Opens the output, and the microphone that the sources hear; again is nothing.
    pub fn open_audio(&self) -> Result<()> {
        if self.config.answers() {
            // Who answers is woken by the sound.
            self.open_socket()?;
        }
        let mut parts = self.parts()?;
        if parts.playback.is_none() && self.config.output != Output::None {
            let audio = &self.config.audio;
            let block = audio.block.frames(audio.format);
            let patience = self.config.delay.unwrap_or(PATIENCE);
            let (mut renderer, mut roster, controls) =
                Renderer::new(audio.format, self.config.max_sources, block, patience)?;
            let (notify, notices) = bounded(NOTICES);
            if let Some(waker) = parts.waker.clone().filter(|_| self.config.answers()) {
                let (capture, talking) = self.open_microphone(&waker, &mut roster, &notify)?;
                parts.capture = capture;
                lock(&self.shared.sources).set_talking(talking);
                renderer.set_bell(Box::new(move || waker.wake()));
            }
            let render = Box::new(Timed::new(renderer, self.clock, audio.format));
            let playback = Playback::open(&self.config.output, audio, self.clock, render, notify)?;
            let ServerConfig { min_delay: least, max_delay: most, delay: fixed, .. } = self.config;
            controls.set_bounds(Bounds { least, most, fixed });
            lock(&self.shared.sources).set_roster(roster);
            parts.playback = Some(playback);
            parts.controls = Some(controls);
            parts.notices = Some(notices);
        }
        Ok(())
    }

    fn open_microphone(
        &self,
        waker: &Waker,
        roster: &mut Roster,
        notify: &Sender<Notice>,
    ) -> Result<(Option<Capture>, Talking)> {
        let Some(input) = &self.config.talk else { return Ok((None, Talking::new(None))) };
        let format = self.config.audio.format;
        let dropped = Arc::clone(&self.shared.unspoken);
        let (target, talking): (Box<dyn CaptureTarget>, _) = if self.config.conference {
            let (guest, player) = Guest::new(format, self.clock, dropped);
            roster.add(player);
            (Box::new(guest), Talking::new(None))
        } else {
            let (mouth, spoken) = Mouth::new(format, waker.clone(), dropped);
            (Box::new(mouth), Talking::new(Some(spoken)))
        };
        let capture = Capture::open(input, &self.config.audio, target, notify.clone())?;
        Ok((Some(capture), talking))
    }

    /// Begins to receive and play, opening what is not open yet; again is nothing.
    pub fn start(&self) -> Result<()> {
        self.open_socket()?;
        self.open_audio()?;
        let mut parts = self.parts()?;
        let Some(receiving) = parts.receiving.take() else { return Ok(()) };
        if let Some(log) = parts.log.take() {
            lock(&self.shared.sources).set_packet_log(log);
        }
        if let Some(playback) = &mut parts.playback {
            playback.start()?;
        }
        if let Some(capture) = &mut parts.capture {
            capture.start()?;
        }
        // Once: a key would be the remedy, the list only keeps strangers out.
        let allow = &self.config.allow;
        match &self.config.key {
            None => log::info!(
                target: TARGET,
                "without a key anyone on the path can read and forge what is sent here; packets from {allow} are listened to"
            ),
            Some(key) => log::info!(
                target: TARGET,
                "only what is sealed with the key ({}) is heard; packets from {allow} are listened to",
                key.form().suite()
            ),
        }
        let notices = parts.notices.take();
        let shared = Arc::clone(&self.shared);
        parts.thread = Some(
            std::thread::Builder::new()
                .name("as-net".into())
                .spawn(move || receiving.run(&shared, notices.as_ref()))
                .map_err(|e| Error::io(ErrorKind::State, "the network thread", &e))?,
        );
        Ok(())
    }

    /// Whether [`start`](Self::start) has been called.
    pub fn is_started(&self) -> bool {
        lock(&self.parts).thread.is_some()
    }

    /// Waits until more than `seen` packets have been received, the session has ended, or `timeout` is over.
    /// Returns how many have.
    pub fn wait_packet(&self, seen: u64, timeout: Duration) -> Result<u64> {
        lock(&self.shared.arrivals).watchers += 1;
        let mut arrivals = self.shared.wait(timeout, |arrivals| {
            arrivals.packets > seen || arrivals.failure.is_some() || self.shared.is_over()
        });
        arrivals.watchers -= 1;
        arrivals.failure.clone().map_or(Ok(arrivals.packets), Err)
    }

    /// Waits until the session has ended by itself (TCP: the last client has left), or `timeout` is over.
    pub fn wait(&self, timeout: Duration) -> Result<bool> {
        let arrivals =
            self.shared.wait(timeout, |arrivals| arrivals.failure.is_some() || self.shared.is_over());
        arrivals.failure.clone().map_or_else(|| Ok(self.shared.is_over()), Err)
    }

    /// The figures as they are now.
    pub fn stats(&self) -> ServerStats {
        let mut stats = lock(&self.shared.sources).stats();
        stats.dropped_local += self.shared.kernel_drops.load(Relaxed);
        stats.frames_unspoken = self.shared.unspoken.load(Relaxed);
        stats.playback.level_db = self.level_db();
        stats.pcap_dropped = self.tap.dropped();
        stats.events_dropped = self.shared.events.dropped();
        stats
    }

    /// The numbers of the sources that are known, oldest first.
    pub fn sources(&self) -> Vec<u32> {
        lock(&self.shared.sources).numbers()
    }

    /// One source's figures; `None` for one that was forgotten, or never was.
    pub fn source_stats(&self, number: u32) -> Option<SourceStats> {
        lock(&self.shared.sources).source(number)
    }

    /// Sets the gain that one source is heard with.
    pub fn source_set_gain(&self, number: u32, gain: f32) -> Result<()> {
        lock(&self.shared.sources).set_gain(number, gain)
    }

    /// Silences one source, or no longer.
    pub fn source_set_muted(&self, number: u32, muted: bool) -> Result<()> {
        lock(&self.shared.sources).set_muted(number, muted)
    }

    /// What has happened to the sources since `cursor`, and what time it is; waits for something as [`Events::wait`] does.
    pub fn events(&self, cursor: Option<u64>, timeout: Duration) -> (Told, Micros) {
        let told = self.shared.events.wait(cursor, timeout);
        (told, self.clock.now())
    }

    /// The sequence number of the last packet; `None` before any.
    pub fn last_sequence(&self) -> Option<u16> {
        lock(&self.shared.sources).last_sequence()
    }

    /// The loudest sample lately, dBFS.
    pub fn level_db(&self) -> f64 {
        lock(&self.parts).controls.as_ref().map_or(f64::NEG_INFINITY, |controls| controls.level_db())
    }

    /// Sets the gain of what is heard (recordings keep what arrived).
    pub fn set_gain(&self, gain: f32) -> Result<()> {
        if !(0.0..=MOST_GAIN).contains(&gain) {
            return Err(Error::config(format!("gain must be 0 to {MOST_GAIN}, not {gain}")));
        }
        if let Some(controls) = &self.parts()?.controls {
            controls.set_gain(gain);
        }
        Ok(())
    }

    /// Changes what the delay may be, while it plays: fixed where `fixed` is given, else between `least` and `most`,
    /// which cannot be more than the server was made for.
    pub fn set_delay(&self, least: Duration, most: Duration, fixed: Option<Duration>) -> Result<()> {
        let limit = self.config.max_delay();
        if most > limit || least > most || fixed.is_some_and(|fixed| fixed > limit) {
            return Err(Error::config(format!(
                "the delay can be 0 to {} ms, its least not above its most: for more, make the server with a larger max_delay",
                limit.as_millis()
            )));
        }
        if let Some(controls) = &self.parts()?.controls {
            controls.set_bounds(Bounds { least, most, fixed });
        }
        Ok(())
    }

    /// The delays of the packets of the source at this place of `stats().sources`, lately.
    pub fn delay_histogram(&self, place: usize) -> Vec<Bar> {
        lock(&self.shared.sources).histogram(place)
    }

    /// How dear concealment is now, the dearest being 0.
    pub fn tier(&self) -> u32 {
        lock(&self.parts).controls.as_ref().map_or(0, |controls| controls.tier())
    }

    /// Silences what is heard, or no longer.
    pub fn set_muted(&self, muted: bool) -> Result<()> {
        if let Some(controls) = &self.parts()?.controls {
            controls.set_muted(muted);
        }
        Ok(())
    }

    /// Hands out frames from now on.
    pub fn frames(&self, wanted: Wanted) -> Result<FrameStream> {
        drop(self.parts()?);
        let stream = lock(&self.shared.sources).frames(wanted, self.clock)?;
        Ok(match wanted.whose {
            Whose::Source(number) => stream.of_source(number, Arc::downgrade(&self.shared)),
            Whose::Mix | Whose::Each => stream,
        })
    }

    /// Where it listens.
    pub fn local_address(&self) -> Option<SocketAddr> {
        lock(&self.parts).address
    }

    /// What it plays to.
    pub fn output_name(&self) -> String {
        lock(&self.parts).playback.as_ref().map(Playback::description).unwrap_or_default()
    }

    /// Ends everything and frees it; `drain` first takes what the kernel still holds and writes what is ready to a
    /// file. Again is nothing.
    pub fn close(&self, drain: bool) -> Result<()> {
        let mut parts = lock(&self.parts);
        if parts.closed {
            return Ok(());
        }
        parts.closed = true;
        if let Some(mut capture) = parts.capture.take() {
            capture.stop();
        }
        self.shared.stopping.store(true, Relaxed);
        if let Some(waker) = &parts.waker {
            waker.wake();
        }
        if let Some(thread) = parts.thread.take()
            && let Ok(mut receiving) = thread.join()
            && drain
        {
            receiving.drain(&self.shared);
        }
        parts.receiving = None;
        parts.pcap = None;
        lock(&self.shared.sources).finish();
        let played = parts.playback.take().map_or(Ok(()), |mut playback| playback.stop(drain));
        let recorded = self.finish_recording(&mut parts);
        let tracks = parts.tracks.take().map_or(Ok(()), TrackRecorder::stop);
        self.shared.notify(|_| {});
        played.and(recorded.map(|_| ())).and(tracks)
    }

    fn parts(&self) -> Result<MutexGuard<'_, Parts>> {
        let parts = lock(&self.parts);
        if parts.closed {
            return Err(Error::new(ErrorKind::State, "the server is closed: make a new one"));
        }
        Ok(parts)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.close(false);
    }
}

impl Shared {
    /// Whether nothing more will come.
    pub fn is_over(&self) -> bool {
        self.ended.load(Relaxed) || self.stopping.load(Relaxed)
    }

    /// The packets received so far are `packets`.
    pub fn arrived(&self, packets: u64) {
        let mut arrivals = lock(&self.arrivals);
        arrivals.packets = packets;
        if arrivals.watchers > 0 {
            self.changed.notify_all();
        }
    }

    /// The network thread cannot go on.
    pub fn fail(&self, error: Error) {
        self.notify(|arrivals| arrivals.failure = Some(error));
    }

    /// Everybody has gone.
    pub fn end(&self) {
        self.ended.store(true, Relaxed);
        self.notify(|_| {});
    }

    fn notify(&self, change: impl FnOnce(&mut Arrivals)) {
        change(&mut lock(&self.arrivals));
        self.changed.notify_all();
    }

    fn wait(&self, timeout: Duration, done: impl Fn(&Arrivals) -> bool) -> MutexGuard<'_, Arrivals> {
        let result =
            self.changed.wait_timeout_while(lock(&self.arrivals), timeout, |arrivals| !done(arrivals));
        result.unwrap_or_else(std::sync::PoisonError::into_inner).0
    }
}

/// A mutex whose holder panicked still holds figures worth reading.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

const TARGET: &str = "audiostream.server";
/// How long a file waits for a missing packet.
const PATIENCE: Duration = Duration::from_millis(200);
const NOTICES: usize = 64;
