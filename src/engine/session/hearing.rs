//! A client hears what its server says: as a server hears its sources, with the same rooms.
//!
//! Works on the sending thread, which the socket wakes: sound comes back to the port that sound goes out from, so that it
//! finds its way through whatever translates addresses. Only the server is heard, and nothing that comes in our own name.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::Sender;

use super::overheard::Overheard;
use super::party::party;
use super::reporting::Letter;
use super::server::lock;
use super::sources::Sources;
use super::timed::Timed;
use crate::engine::audio::{Notice, Playback};
use crate::engine::coding::PayloadTypes;
use crate::engine::config::{ClientConfig, Output, Protocol, ServerConfig, Wire};
use crate::engine::error::Result;
use crate::engine::playout::live::Bounds;
use crate::engine::playout::render::{Controls, Render, Renderer};
use crate::engine::stats::{self, ServerStats, SourceStats};
use crate::engine::time::{Clock, Micros};
use crate::engine::wire::rtp;

/// The sending thread's end.
pub struct Hearing {
    sources: Arc<Mutex<Sources>>,
    ssrc: u32,
    connected: bool,
}

/// The client's end: what plays.
pub struct Heard {
    figures: Figures,
    playback: Playback,
}

/// What is known of it.
#[derive(Clone)]
pub struct Figures {
    sources: Arc<Mutex<Sources>>,
    controls: Arc<Controls>,
}

impl Hearing {
    /// Opens `output` for what is said to the stream `ssrc`. What is played passes through what `overhear` makes of the renderer.
    pub fn open(
        config: &ClientConfig,
        output: &Output,
        ssrc: u32,
        clock: Clock,
        overhear: Overheard,
        notify: Sender<Notice>,
    ) -> Result<(Self, Heard)> {
        let audio = &config.audio;
        let block = audio.block.frames(audio.format);
        let (renderer, roster, controls) = Renderer::new(audio.format, MOST_STREAMS, block, PATIENCE)?;
        controls.set_bounds(Bounds::default());
        let timed = Timed::new(renderer, clock, audio.format);
        let render: Box<dyn Render> = Box::new(overhear.around(timed));
        let playback = Playback::open(output, audio, clock, render, notify)?;
        let sources = Arc::new(Mutex::new(heard_by(config, output.clone(), ssrc, clock)));
        lock(&sources).set_roster(roster);
        let connected = config.path.protocol == Protocol::Tcp;
        let heard = Heard { figures: Figures { sources: Arc::clone(&sources), controls }, playback };
        Ok((Self { sources, ssrc, connected }, heard))
    }

    /// Takes what has come from the server, reports or sound.
    pub fn take(&mut self, server: SocketAddr, arrival: Micros, bytes: &[u8]) {
        if !rtp::is_rtcp(bytes) && rtp::parse(bytes).is_ok_and(|(header, _)| header.ssrc == self.ssrc) {
            // RFC 3550 §8.2: a loop.
            return;
        }
        let mut sources = lock(&self.sources);
        if self.connected {
            sources.framed(server, Wire::Rtp, arrival, bytes);
        } else {
            sources.datagram(server.into(), arrival, bytes);
        }
    }

    /// Between two packets: the reports of what is heard that are due.
    pub fn turn(&mut self, now: Micros) -> Vec<Vec<u8>> {
        let mut sources = lock(&self.sources);
        sources.sweep(now);
        sources.letters(now).into_iter().map(|Letter { bytes, .. }| bytes).collect()
    }
}

impl Heard {
    /// Lets it play.
    pub fn start(&mut self) -> Result<()> {
        self.playback.start()
    }

    /// Ends it; with `drain`, a file gets what is ready first.
    pub fn stop(&mut self, drain: bool) -> Result<()> {
        lock(&self.figures.sources).finish();
        self.playback.stop(drain)
    }

    /// What it plays to.
    pub fn description(&self) -> String {
        self.playback.description()
    }

    /// What is known of it, to be asked at any time.
    pub fn figures(&self) -> Figures {
        self.figures.clone()
    }
}

impl Figures {
    /// What is heard: the sums over all that the server has said, and who says it now. `None` before anything was heard.
    pub fn stats(&self) -> Option<SourceStats> {
        let ServerStats { reception, playback, dropped_local, mut sources, .. } = lock(&self.sources).stats();
        let newest = sources.pop()?;
        let stats::Playback { delay_ms, delay_target_ms, .. } = newest.playback;
        let level_db = self.controls.level_db();
        let playback = stats::Playback { delay_ms, delay_target_ms, level_db, ..playback };
        Some(SourceStats { reception, playback, dropped_local, ..newest })
    }
}

/// What hears a server in the name of the stream `ssrc`.
pub(super) fn heard_by(config: &ClientConfig, output: Output, ssrc: u32, clock: Clock) -> Sources {
    let mut sources = Sources::new(ServerConfig {
        audio: config.audio.clone(),
        protocol: config.path.protocol.into(),
        wire: Some(Wire::Rtp),
        payloads: PayloadTypes::new(config.audio.format),
        output,
        max_sources: MOST_STREAMS,
        name: config.name.clone(),
        ..ServerConfig::default()
    });
    sources.reporting.begin_as(party(ssrc, config.name.clone()), clock);
    sources
}

/// Streams of one server that are heard at once: one that starts anew is another.
const MOST_STREAMS: usize = 4;
/// How long a file waits for a missing packet.
const PATIENCE: Duration = Duration::from_millis(200);
