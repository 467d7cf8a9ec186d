//! What is known of the sources, all together and each by its number; and what can be set of one.

use super::{Entry, Name, Sources};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::playout::counters::PlayerCounters;
use crate::engine::playout::histogram::Bar;
use crate::engine::session::tracks::Tracks;
use crate::engine::stats::{ServerStats, SourceStats};

impl Sources {
    /// How many sources are being played.
    pub fn playing(&self) -> usize {
        self.entries.values().filter(|entry| entry.outlet.is_playing()).count()
    }

    /// The sequence number of the last believed packet.
    pub fn last_sequence(&self) -> Option<u16> {
        self.last_sequence
    }

    /// Packets received from believed sources, the refused ones left out.
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// The delays of a source's packets lately, as far as playout follows the network; empty for unknown ones.
    pub fn histogram(&self, place: usize) -> Vec<Bar> {
        self.in_order()
            .get(place)
            .and_then(|(_, entry)| entry.outlet.counters())
            .map(PlayerCounters::histogram)
            .unwrap_or_default()
    }

    /// A snapshot; what the kernel dropped is the caller's to add.
    pub fn stats(&self) -> ServerStats {
        let mut stats = ServerStats {
            reception: self.departed.reception,
            playback: self.departed.playback,
            malformed: self.malformed,
            refused: self.access.refused,
            wrong_source: self.access.wrong_source,
            unauthentic: self.access.unauthentic,
            unheard: self.unheard,
            dropped_local: self.out.dropped,
            forwarded: self.forwarded(),
            recordings: self.out.tracks.as_ref().map_or(self.recordings, Tracks::counts),
            pcap_dropped: 0,
            events_dropped: 0,
            frames_unspoken: 0,
            sources: Vec::new(),
        };
        stats.dropped_local += stats.recordings.dropped;
        for (name, entry) in self.in_order() {
            let source = self.stats_of(name, entry);
            stats.reception.add(&entry.reception_at(self.config.audio.format));
            stats.playback.add(&source.playback);
            stats.dropped_local += source.dropped_local;
            stats.sources.push(source);
        }
        stats
    }

    /// The numbers of the sources that are known, oldest first.
    pub fn numbers(&self) -> Vec<u32> {
        self.in_order().iter().map(|(_, entry)| entry.number).collect()
    }

    /// One source's figures; `None` for one that was forgotten, or never was.
    pub fn source(&self, number: u32) -> Option<SourceStats> {
        self.find(number).map(|(name, entry)| self.stats_of(name, entry))
    }

    /// Sets the gain that one source is played with (recordings keep what arrived).
    pub fn set_gain(&self, number: u32, gain: f32) -> Result<()> {
        if !(0.0..=MOST_GAIN).contains(&gain) {
            return Err(Error::config(format!("gain must be 0 to {MOST_GAIN}, not {gain}")));
        }
        self.counters(number)?.set_gain(gain);
        Ok(())
    }

    /// Plays one source as silence, or no longer.
    pub fn set_muted(&self, number: u32, muted: bool) -> Result<()> {
        self.counters(number)?.set_muted(muted);
        Ok(())
    }

    fn counters(&self, number: u32) -> Result<&PlayerCounters> {
        let known = self.find(number).and_then(|(_, entry)| entry.outlet.counters());
        known.ok_or_else(|| Error::new(ErrorKind::State, "the source has left, and is forgotten"))
    }

    pub(super) fn find(&self, number: u32) -> Option<(&Name, &Entry)> {
        self.entries.iter().find(|(_, entry)| entry.number == number && entry.counts())
    }

    fn in_order(&self) -> Vec<(&Name, &Entry)> {
        let mut entries: Vec<_> = self.entries.iter().filter(|(_, entry)| entry.counts()).collect();
        entries.sort_unstable_by_key(|(_, entry)| entry.number);
        entries
    }

    fn stats_of(&self, name: &Name, entry: &Entry) -> SourceStats {
        SourceStats { quality: self.quality(entry), ..entry.stats(name) }
    }
}

/// The most that a sound is raised by.
pub const MOST_GAIN: f32 = 16.0;
