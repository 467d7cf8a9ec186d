//! Which sources are recorded by themselves, and what their notes say.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::{Entry, Name, Sources, TARGET};
use crate::engine::coding::Encoding;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::record::sidecar::About;
use crate::engine::record::tracks::{Place, Take};
use crate::engine::session::reporting::Correspondence;
use crate::engine::session::tracks::{Recorded, Tracks};
use crate::engine::stats::Reception;
use crate::engine::stream::reports::{Listener, WallClock};
use crate::engine::time::Micros;

impl Sources {
    /// Lets sources be recorded by themselves.
    pub fn set_tracks(&mut self, tracks: Tracks) {
        self.out.tracks = Some(tracks);
    }

    /// Records each by itself from now on, where they may be.
    pub fn record_each(&mut self, folder: &Path) {
        if let Some(tracks) = &mut self.out.tracks {
            tracks.record_each(folder.to_owned());
        }
    }

    /// What a source's recording would be called, if one may begin now.
    pub fn recordable(&self, number: u32) -> Result<String> {
        let state = |text: String| Error::new(ErrorKind::State, text);
        let gone = || state(format!("source {number} has left, and is forgotten"));
        let (name, entry) = self.find(number).ok_or_else(gone)?;
        if !entry.outlet.is_playing() {
            return Err(state(format!("source {number} is silent: it can be recorded once it goes on")));
        }
        if let Recorded::Now(running) = &entry.recorded {
            let path = running.take.progress().path;
            let to = path.map_or_else(String::new, |path| format!(" to {}", path.display()));
            return Err(state(format!("source {number} is being recorded{to}: stop that first")));
        }
        Ok(entry.about(name, self.reporting.wall()).title().to_owned())
    }

    /// Records a source from now on to this file, which is new.
    pub fn record_source(&mut self, number: u32, path: PathBuf, file: File) -> Result<()> {
        self.recordable(number)?;
        let wall = self.reporting.wall();
        let entry = self.entries.iter_mut().find(|(_, entry)| entry.number == number && entry.counts());
        if let (Some((name, entry)), Some(tracks)) = (entry, &mut self.out.tracks) {
            let (format, about) = (entry.encoding.format, entry.about(name, wall));
            let before = entry.receiver.reception();
            tracks.begin(&mut entry.recorded, format, before, about, Place::File(path, file))?;
        }
        Ok(())
    }

    /// Ends the recording of a source, and tells which that is: the one that ran, or the last one.
    pub fn end_recording(&mut self, number: u32) -> Option<Arc<Take>> {
        let wall = self.reporting.wall();
        let (name, entry) = self.entries.iter_mut().find(|(_, entry)| entry.number == number)?;
        entry.tell_recording(name, wall);
        let take = entry.recorded.take().cloned();
        entry.recorded.end(true);
        self.end_takes();
        take
    }

    /// A source's recording: the one that runs, or the last one.
    pub fn recording(&self, number: u32) -> Option<Arc<Take>> {
        self.find(number).and_then(|(_, entry)| entry.recorded.take().cloned())
    }

    /// Now and then: brings the notes up to date, and ends the recordings of those that have gone.
    pub(super) fn sweep_recordings(&mut self) {
        if self.out.tracks.is_none() {
            return;
        }
        let wall = self.reporting.wall();
        for (name, entry) in &mut self.entries {
            entry.tell_recording(name, wall);
            if !entry.outlet.is_playing() {
                entry.recorded.end(false);
            }
        }
        self.end_takes();
    }

    /// Tells, now and then, of packets that the recorders had no room for.
    pub(super) fn tell_unrecorded(&mut self, now: Micros) {
        let dropped = self.out.dropped + self.out.tracks.as_ref().map_or(0, |tracks| tracks.counts().dropped);
        let (told, when) = self.unrecorded;
        if dropped > told && (told == 0 || now.since(when) >= TELL_EVERY) {
            self.unrecorded = (dropped, now);
            let new = dropped - told;
            log::warn!(target: TARGET, "{new} packets are not recorded, because the disk is too slow; {dropped} so far");
        }
    }

    fn end_takes(&mut self) {
        if let Some(tracks) = &mut self.out.tracks {
            let numbers: Vec<u32> =
                self.entries.values().filter_map(|entry| entry.recorded.number()).collect();
            tracks.keep(&numbers);
        }
    }
}

impl Entry {
    /// What the notes of its recording say of it, apart from counts.
    fn about(&self, name: &Name, wall: WallClock) -> About {
        let listener = self.reports.as_deref().map(Correspondence::listener);
        about(name, self.number, self.encoding, listener, wall)
    }

    fn tell_recording(&mut self, name: &Name, wall: WallClock) {
        let Recorded::Now(running) = &self.recorded else { return };
        let now = self.about(name, wall);
        let reception = self.receiver.reception().since(&running.before);
        let mut about = running.take.about.lock().unwrap_or_else(PoisonError::into_inner);
        let (dropped, sender_clock) = (about.dropped, about.sender_clock.or(now.sender_clock));
        *about = About { reception, dropped, sender_clock, ..now };
    }
}

/// How often it is told what is not recorded.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What is known of a source.
pub(super) fn about(
    name: &Name,
    number: u32,
    encoding: Encoding,
    listener: Option<&Listener>,
    wall: WallClock,
) -> About {
    About {
        number,
        ssrc: name.ssrc,
        address: name.address.to_string(),
        transport: name.protocol().name(),
        wire: name.wire.name(),
        codec: encoding.to_string(),
        cname: listener.and_then(Listener::cname).map(Into::into),
        name: listener.and_then(Listener::name).map(Into::into),
        reception: Reception::default(),
        dropped: 0,
        sender_clock: listener.and_then(Listener::sender_clock),
        wall,
    }
}
