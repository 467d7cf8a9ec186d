//! What happens to a source's packets besides being counted: they are played, recorded, written down.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use super::forwarding::Forwarding;
use super::packet_log::PacketLog;
use super::tracks::Tracks;
use crate::engine::coding::Encoding;
use crate::engine::config::{Output, ServerConfig};
use crate::engine::format::Format;
use crate::engine::playout::counters::PlayerCounters;
use crate::engine::playout::player::Player;
use crate::engine::playout::render::Roster;
use crate::engine::playout::tap::Tap;
use crate::engine::record::reception::Labels;
use crate::engine::stream::conform::Conform;
use crate::engine::stream::queue::{Head, Origin, PacketWriter, packet_queue};

/// What happens to a source's packets besides being counted.
pub enum Outlet {
    /// Not believed yet, or idle.
    None,
    Playing {
        /// To the playing thread; `None` where it is not heard: nothing is, or there is too much to play.
        queue: Option<PacketWriter>,
        /// What it counts.
        counters: Arc<PlayerCounters>,
    },
    /// It is there, and the speaker has no room for it yet: those that have just left are still in it.
    Waiting(Arc<PlayerCounters>),
    /// What it sends cannot be played here.
    Unplayable,
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
    /// To be recorded, each source by itself.
    pub tracks: Option<Tracks>,
    /// To be sent on, as they came.
    pub forwarding: Option<Forwarding>,
    /// To be read by programs, packet by packet.
    pub readers: Vec<Tap>,
    /// To be written down.
    pub log: Option<PacketLog>,
    /// Packets that the recorder had no room for.
    pub dropped: u64,
}

/// The recorder's end of the queue, and the names of the sources for its sidecar.
pub struct Recorder {
    queue: PacketWriter,
    labels: Labels,
    format: Format,
    /// The sources of another format, by number: those heard lately.
    conforms: HashMap<u32, Conforming>,
}

struct Conforming {
    conform: Conform,
    /// Something came since the last sweep.
    fresh: bool,
}

impl Recorder {
    /// For the other end of `queue`, which takes packets in `format`; sources are named in `labels`.
    pub fn new(queue: PacketWriter, labels: Labels, format: Format) -> Self {
        Self { queue, labels, format, conforms: HashMap::new() }
    }

    /// Takes a packet of sound; the packets dropped.
    fn take(&mut self, head: Head, samples: &[i16], from: Format) -> u64 {
        let Self { queue, format, conforms, .. } = self;
        if from == *format {
            return u64::from(!queue.push(head, samples));
        }
        let entry = match conforms.entry(head.source) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => match Conform::new(from, *format) {
                Ok(conform) => entry.insert(Conforming { conform, fresh: true }),
                Err(_) => return 1,
            },
        };
        entry.fresh = true;
        let mut dropped = 0;
        entry
            .conform
            .take(head, samples, &mut |head, samples| dropped += u64::from(!queue.push(head, samples)));
        dropped
    }

    /// Now and then: nothing waits for what may never follow, nor is a silent source's filter kept. The packets dropped.
    fn sweep(&mut self) -> u64 {
        let Self { queue, conforms, .. } = self;
        let mut dropped = 0;
        conforms.retain(|_, entry| {
            let fresh = std::mem::take(&mut entry.fresh);
            if !fresh {
                entry.conform.rest(&mut |head, samples| dropped += u64::from(!queue.push(head, samples)));
            }
            fresh
        });
        dropped
    }

    /// Names a source.
    pub fn label(&self, number: u32, name: &dyn Display) {
        if let Ok(mut labels) = self.labels.lock() {
            if labels.len() == MOST_LABELS {
                labels.remove(0);
            }
            labels.push((number, name.to_string()));
        }
    }
}

impl Outlets {
    /// Hands a packet of sound in the format `from` to the recorder, where there is one. What the codec made up is not recorded:
    /// there the recording is silent, and its notes tell of it.
    pub fn record(&mut self, head: Head, samples: &[i16], from: Format) {
        if let Some(recorder) = &mut self.recorder
            && !head.origin.is_made_up()
        {
            self.dropped += recorder.take(head, samples, from);
        }
    }

    /// Names a source for the recorder, where there is one.
    pub fn label(&self, number: u32, name: &dyn Display) {
        if let Some(recorder) = &self.recorder {
            recorder.label(number, name);
        }
    }

    /// Hands a packet of sound to the programs that read packets. What was not sent is not read.
    pub fn read(&mut self, head: &Head, samples: &[i16], from: Format) {
        if matches!(head.origin, Origin::Received | Origin::Repaired) {
            let readers = self.readers.iter_mut().filter(|reader| reader.wants(head.source));
            readers.for_each(|reader| reader.packet(head, from, samples));
        }
    }

    /// Now and then.
    pub fn sweep(&mut self) {
        self.readers.retain(|reader| !reader.is_closed());
        if let Some(roster) = &mut self.roster {
            roster.sweep();
        }
        if let Some(recorder) = &mut self.recorder {
            self.dropped += recorder.sweep();
        }
    }

    /// Begins or ends recording; what was under way is recorded.
    pub fn set_recorder(&mut self, recorder: Option<Recorder>) {
        if let Some(mut last) = std::mem::replace(&mut self.recorder, recorder) {
            for _ in 0..2 {
                self.dropped += last.sweep();
            }
        }
    }
}

impl Outlet {
    /// Makes a player when a source is believed, or when a silent one speaks again.
    pub fn open(
        &mut self,
        config: &ServerConfig,
        encoding: Encoding,
        out: &mut Outlets,
        name: &dyn Display,
        number: u32,
    ) {
        if matches!(self, Self::Playing { .. } | Self::Unplayable) {
            return;
        }
        let counters = match self {
            Self::Past(counters) | Self::Waiting(counters) => Arc::clone(counters),
            _ => Arc::default(),
        };
        if let Some(roster) = &mut out.roster {
            roster.sweep();
            if !roster.has_room() {
                *self = Self::Waiting(counters);
                return;
            }
        }
        if config.output == Output::None {
            *self = Self::Playing { queue: None, counters };
            return;
        }
        let format = encoding.format;
        let samples = format.frames(QUEUE + config.max_delay()) * format.channels();
        let packets = QUEUE_PACKETS.max((config.max_delay().as_millis() / 5) as usize);
        let (queue, reader) = packet_queue(packets, samples, format.channels());
        let player = if config.output.is_whole() {
            Player::whole(reader, format, Arc::clone(&counters))
        } else {
            Player::live(reader, format, config.max_delay(), Arc::clone(&counters))
        };
        let player = match player.numbered(number).at_rate(config.audio.format.rate()) {
            Ok(player) => player,
            Err(why) => {
                log::error!(target: TARGET, "{name} cannot be played: {why}");
                *self = Self::Unplayable;
                return;
            }
        };
        if let Some(roster) = &mut out.roster {
            // There is room: it was asked.
            roster.add(player);
        }
        *self = Self::Playing { queue: Some(queue), counters };
    }

    /// Ends playing; the figures stay.
    pub fn retire(&mut self) {
        if let Self::Playing { counters, .. } | Self::Waiting(counters) = self {
            *self = Self::Past(Arc::clone(counters));
        }
    }

    /// Its player has been given up, because there was too much to play: it goes on unheard. Whether it does.
    pub fn is_unheard(&mut self) -> bool {
        let Self::Playing { queue, .. } = self else { return false };
        if queue.as_ref().is_some_and(PacketWriter::is_abandoned) {
            *queue = None;
        }
        queue.is_none()
    }

    /// Whether it has a player, or waits for one.
    pub fn is_playing(&self) -> bool {
        matches!(self, Self::Playing { .. } | Self::Waiting(_))
    }

    /// What the player counts, or has counted.
    pub fn counters(&self) -> Option<&PlayerCounters> {
        match self {
            Self::Playing { counters, .. } | Self::Waiting(counters) | Self::Past(counters) => Some(counters),
            Self::None | Self::Unplayable => None,
        }
    }
}

const TARGET: &str = "audiostream.server";
/// Sources of a recording whose names are kept: whoever comes and goes without end is forgotten first.
const MOST_LABELS: usize = 4096;
/// Sound that may wait for the playing thread, or there besides the delay.
const QUEUE: Duration = Duration::from_secs(2);
/// Packets that may wait for the playing thread, or there: at least, and one for each 5 ms of the longest delay.
const QUEUE_PACKETS: usize = 160;
