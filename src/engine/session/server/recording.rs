//! What a server records: all that arrives to one file, and sources to files of their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Parts, Server, lock};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::record::folder;
use crate::engine::record::local_time::LocalTime;
use crate::engine::record::naming::file_name;
use crate::engine::record::reception::{Notes, ReceptionRecorder};
use crate::engine::record::tap::RecorderState;
use crate::engine::record::tracks::{Take, TrackRecorder};
use crate::engine::record::{QUEUE_PACKETS, QUEUE_SAMPLES, Recorded};
use crate::engine::session::tracks::Tracks;
use crate::engine::stream::queue::packet_queue;

impl Server {
    /// Records what arrives from now on to `folder/name` (`None`: named by the time). Returns the path.
    pub fn start_recording(&self, folder: &Path, name: Option<&str>) -> Result<std::path::PathBuf> {
        let mut parts = self.parts()?;
        if parts.recorder.is_some() {
            return Err(Error::new(ErrorKind::State, "a recording is running: stop it first"));
        }
        let now = LocalTime::now();
        let path = folder::place(folder, name, now)?;
        let format = self.config.audio.format;
        let (queue, packets) = packet_queue(QUEUE_PACKETS, QUEUE_SAMPLES, format.channels());
        let notes = Notes { started: now.to_string(), dropped: queue.drop_counter(), ..Notes::default() };
        let labels = Arc::clone(&notes.labels);
        let recorder = ReceptionRecorder::start(path.clone(), format, packets, RECORDER_PATIENCE, notes)?;
        lock(&self.shared.sources).set_recorder(Some((queue, labels)));
        parts.recorder = Some(recorder);
        Ok(path)
    }

    /// Ends the recording; `None` where none is running.
    pub fn stop_recording(&self) -> Result<Option<Recorded>> {
        let mut parts = self.parts()?;
        self.finish_recording(&mut parts)
    }

    /// What the recorder is at, and the last recording.
    pub fn recording_state(&self) -> RecorderState {
        let parts = lock(&self.parts);
        let last = parts.recorded.clone();
        match parts.recorder.as_ref().map(ReceptionRecorder::state) {
            Some(state) => RecorderState {
                recording: state.recording,
                frames: state.frames,
                path: Some(state.path),
                error: state.error,
                last,
                ..RecorderState::default()
            },
            None => RecorderState {
                frames: last.as_ref().map_or(0, |last| last.frames),
                path: last.as_ref().map(|last| last.path.clone()),
                error: last.as_ref().and_then(|last| last.error.clone()),
                last,
                ..RecorderState::default()
            },
        }
    }

    /// Records each source by itself from now on, to files in `folder` that are named by what the sources are called.
    pub fn record_each(&self, folder: &Path) -> Result<()> {
        let mut parts = self.parts()?;
        self.open_tracks(&mut parts)?;
        lock(&self.shared.sources).record_each(folder);
        Ok(())
    }

    /// Records one source from now on to `folder/name` (`None`: named by what it is called). Returns the path.
    pub fn source_record(&self, number: u32, folder: &Path, name: Option<&str>) -> Result<PathBuf> {
        // Held to the end: nobody else begins one meanwhile.
        let mut parts = self.parts()?;
        self.open_tracks(&mut parts)?;
        let called = lock(&self.shared.sources).recordable(number)?;
        let now = LocalTime::now();
        let named = file_name(&called, now);
        let (path, file) = folder::place_open(folder, Some(name.unwrap_or(&named)), now)?;
        let begun = lock(&self.shared.sources).record_source(number, path.clone(), file);
        begun.inspect_err(|_| {
            // What could not even be begun leaves no empty file behind.
            let _ = std::fs::remove_file(&path);
        })?;
        Ok(path)
    }

    /// Ends the recording of one source; the one that ran, or the last one, complete. `None` where there was none.
    pub fn source_stop_recording(&self, number: u32) -> Result<Option<Recorded>> {
        let take = lock(&self.shared.sources).end_recording(number);
        take.map_or(Ok(None), |take| take.wait())
    }

    /// What the recording of one source is at.
    pub fn source_recording(&self, number: u32) -> RecorderState {
        let take = lock(&self.shared.sources).recording(number);
        let state = take.as_deref().map(Take::progress).unwrap_or_default();
        RecorderState {
            recording: take.is_some() && !state.is_over && state.error.is_none(),
            frames: state.frames,
            path: state.path,
            last: state.recorded,
            error: state.error,
            dropped_frames: 0,
        }
    }

    fn open_tracks(&self, parts: &mut Parts) -> Result<()> {
        if parts.tracks.is_none() {
            let (writer, recorder) = TrackRecorder::start(RECORDER_PATIENCE)?;
            lock(&self.shared.sources).set_tracks(Tracks::new(writer));
            parts.tracks = Some(recorder);
        }
        Ok(())
    }

    pub(super) fn finish_recording(&self, parts: &mut Parts) -> Result<Option<Recorded>> {
        let Some(recorder) = parts.recorder.take() else { return Ok(None) };
        lock(&self.shared.sources).set_recorder(None);
        let finished = recorder.stop()?;
        parts.recorded = Some(finished.clone());
        Ok(Some(finished))
    }
}

/// How long a recording waits for a packet that is late.
const RECORDER_PATIENCE: Duration = Duration::from_secs(3);
