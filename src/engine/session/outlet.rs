//! What happens to a source's packets besides being counted: they are played, recorded, written down.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use super::packet_log::PacketLog;
use crate::engine::config::ServerConfig;
use crate::engine::format::Format;
use crate::engine::playout::counters::PlayerCounters;
use crate::engine::playout::player::Player;
use crate::engine::playout::render::Roster;
use crate::engine::record::reception::Labels;
use crate::engine::stream::queue::{Head, PacketWriter, packet_queue};

/// What happens to a source's packets besides being counted.
pub enum Outlet {
    /// Not believed yet, or idle.
    None,
    Playing {
        /// To the playing thread.
        queue: PacketWriter,
        /// What it counts.
        counters: Arc<PlayerCounters>,
    },
    /// Counted only: there are too many.
    Refused,
    /// It played; its figures stay.
    Past(Arc<PlayerCounters>),
}

/// Where believed packets go.
#[derive(Default)]
pub struct Outlets {
    /// To be played.
    pub roster: Option<Roster>,
    /// To be recorded.
    pub recorder: Option<Recorder>,
    /// To be written down.
    pub log: Option<PacketLog>,
    /// Packets that the recorder had no room for.
    pub dropped: u64,
}

/// The recorder's end of the queue, and the names of the sources for its sidecar.
pub struct Recorder {
    queue: PacketWriter,
    labels: Labels,
    scratch: Vec<i16>,
}

impl Recorder {
    /// For the other end of `queue`; sources are named in `labels`.
    pub fn new(queue: PacketWriter, labels: Labels) -> Self {
        Self { queue, labels, scratch: Vec::new() }
    }

    /// Names a source.
    pub fn label(&self, number: u32, name: &dyn Display) {
        if let Ok(mut labels) = self.labels.lock() {
            labels.push((number, name.to_string()));
        }
    }
}

impl Outlets {
    /// Hands a packet to the recorder, where there is one.
    pub fn record(&mut self, head: Head, samples: &[i16], from: Format, to: Format) {
        if let Some(recorder) = &mut self.recorder {
            let fits = if from.channels() == to.channels() {
                recorder.queue.push(head, samples)
            } else {
                remix(samples, from.channels(), &mut recorder.scratch);
                recorder.queue.push(head, &recorder.scratch)
            };
            self.dropped += u64::from(!fits);
        }
    }
}

impl Outlet {
    /// Makes a player when a source is believed, or when a silent one speaks again.
    pub fn open(
        &mut self,
        config: &ServerConfig,
        format: Format,
        playing: usize,
        out: &mut Outlets,
        name: &dyn Display,
        number: u32,
    ) {
        if matches!(self, Self::Playing { .. } | Self::Refused) {
            return;
        }
        let again = matches!(self, Self::Past(_));
        if playing >= config.max_sources {
            if !again {
                log::warn!(target: TARGET, "{name} is not played: max_sources={} are already", config.max_sources);
            }
            *self = if again { std::mem::replace(self, Self::None) } else { Self::Refused };
            return;
        }
        if !again {
            log::info!(target: TARGET, "connection from {name}, {} Hz, {} channel(s)", format.rate(), format.channels());
            if let Some(recorder) = &out.recorder {
                recorder.label(number, name);
            }
        }
        let samples = format.frames(QUEUE) * format.channels();
        let (queue, reader) = packet_queue(QUEUE_PACKETS, samples, format.channels());
        let counters = if let Self::Past(counters) = self { Arc::clone(counters) } else { Arc::default() };
        let player = if config.output.is_whole() {
            Player::whole(reader, format, Arc::clone(&counters))
        } else {
            Player::live(reader, format, config.max_delay(), Arc::clone(&counters))
        };
        if let Some(roster) = &mut out.roster {
            roster.sweep();
            if !roster.add(player) {
                return;
            }
        }
        *self = Self::Playing { queue, counters };
    }

    /// Ends playing; the figures stay.
    pub fn retire(&mut self) {
        if let Self::Playing { counters, .. } = self {
            *self = Self::Past(Arc::clone(counters));
        }
    }

    /// Whether it has a player.
    pub fn is_playing(&self) -> bool {
        matches!(self, Self::Playing { .. })
    }

    /// What the player counts, or has counted.
    pub fn counters(&self) -> Option<&PlayerCounters> {
        match self {
            Self::Playing { counters, .. } | Self::Past(counters) => Some(counters),
            Self::None | Self::Refused => None,
        }
    }
}

/// Mono to both sides, stereo to the mean.
fn remix(samples: &[i16], from: usize, out: &mut Vec<i16>) {
    out.clear();
    if from == 1 {
        out.extend(samples.iter().flat_map(|s| [*s, *s]));
    } else {
        out.extend(samples.chunks_exact(2).map(|pair| i16::midpoint(pair[0], pair[1])));
    }
}

const TARGET: &str = "audiostream.server";
/// Sound that may wait for the playing thread.
const QUEUE: Duration = Duration::from_secs(2);
/// Packets that may wait for the playing thread.
const QUEUE_PACKETS: usize = 1024;
