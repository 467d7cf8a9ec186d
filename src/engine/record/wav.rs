//! A WAV file that is valid at every moment while it is written.
//!
//! Guaranteed: what [`append`](WavWriter::append) took is in the file when it returns; the header follows within
//! 10 ms of sound, data first, so that a process that is killed leaves a file that players open, short by no more
//! than that; the disk itself follows about every second. A file that cannot grow (a full disk, a limit, an error of the
//! device) keeps what fitted, in whole frames, under a right header. Past 4 GiB it is RF64.
//!
//! Not guaranteed: that a power cut loses less than the disk's own caches hold.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::sync::{SyncThread, Syncer};
use crate::engine::codec::wav::WavHeader;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::Format;

/// Writes 16-bit PCM to one file.
pub struct WavWriter {
    file: Arc<File>,
    path: PathBuf,
    format: Format,
    frames: u64,
    /// What the header in the file says.
    stated: u64,
    /// What was there when a sync was last asked for.
    synced: u64,
    failed: bool,
    /// The file system counts links.
    was_linked: bool,
    bytes: Vec<u8>,
    syncer: Option<Syncer>,
    /// How long its end waits for the disk.
    patience: Duration,
}

impl WavWriter {
    /// Creates the file, or empties the one that is there.
    pub fn create(path: &Path, format: Format) -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
            .map_err(|e| refused(path, &e))?;
        Self::take_over(file, path, format)
    }

    /// Writes to `file`, which was just created, is empty and lies at `path`.
    pub fn take_over(file: File, path: &Path, format: Format) -> Result<Self> {
        let thread = SyncThread::start().map_err(|e| refused(path, &e))?;
        Self::begin(file, path, format, &thread, SYNC_PATIENCE)
    }

    /// The same, one of many: `thread` brings it to the disk, and its end does not wait for that.
    pub(super) fn take_over_beside(
        file: File,
        path: &Path,
        format: Format,
        thread: &SyncThread,
    ) -> Result<Self> {
        Self::begin(file, path, format, thread, Duration::ZERO)
    }

    fn begin(
        file: File,
        path: &Path,
        format: Format,
        thread: &SyncThread,
        patience: Duration,
    ) -> Result<Self> {
        file.write_all_at(&WavHeader::encode(format, 0), 0).map_err(|e| refused(path, &e))?;
        let was_linked = file.metadata().is_ok_and(|file| file.nlink() > 0);
        let file = Arc::new(file);
        Ok(Self {
            syncer: Some(thread.syncer(Arc::clone(&file))),
            file,
            path: path.into(),
            format,
            frames: 0,
            stated: 0,
            synced: 0,
            failed: false,
            was_linked,
            bytes: Vec::new(),
            patience,
        })
    }

    /// Appends whole frames of interleaved samples. An error ends the file, which stays valid with what fitted; it is
    /// returned once, later sound is ignored.
    pub fn append(&mut self, samples: &[i16]) -> Result<()> {
        for piece in samples.chunks(self.piece_frames() * self.format.channels()) {
            if self.failed {
                break;
            }
            self.bytes.clear();
            self.bytes.extend(piece.iter().flat_map(|s| s.to_le_bytes()));
            let (written, result) = self.write_bytes();
            self.frames += written / self.format.frame_bytes() as u64;
            self.settle(result)?;
        }
        Ok(())
    }

    /// Appends frames of silence; a long stretch takes no room on file systems that know holes.
    pub fn append_silence(&mut self, frames: u64) -> Result<()> {
        if frames >= u64::from(self.format.rate()) && !self.failed {
            let target = self.frames.saturating_add(frames);
            if self.file.set_len(self.data_end(target)).is_ok() {
                self.frames = target;
                return self.settle(Ok(()));
            }
        }
        let zeros = vec![0; self.piece_frames() * self.format.channels()];
        let mut left = frames;
        while left > 0 && !self.failed {
            let now = left.min(self.piece_frames() as u64);
            self.append(&zeros[..now as usize * self.format.channels()])?;
            left -= now;
        }
        Ok(())
    }

    /// Puts samples over frames that are in the file, from `frame` on.
    pub fn patch(&mut self, frame: u64, samples: &[i16]) -> Result<()> {
        if self.failed {
            return Ok(());
        }
        let held = (self.frames.saturating_sub(frame) as usize).saturating_mul(self.format.channels());
        self.bytes.clear();
        self.bytes.extend(samples.iter().take(held).flat_map(|s| s.to_le_bytes()));
        let result = self.file.write_all_at(&self.bytes, self.data_end(frame));
        self.end_on(result)
    }

    /// Adds samples to frames that are in the file, from `frame` on, with saturation.
    pub fn add(&mut self, frame: u64, samples: &[i16]) -> Result<()> {
        if self.failed {
            return Ok(());
        }
        let held = (self.frames.saturating_sub(frame) as usize).saturating_mul(self.format.channels());
        let mut sum = samples[..samples.len().min(held)].to_vec();
        let mut there = vec![0; sum.len() * 2];
        if let Err(error) = self.file.read_exact_at(&mut there, self.data_end(frame)) {
            return self.end_on(Err(error));
        }
        for (sample, bytes) in sum.iter_mut().zip(there.chunks_exact(2)) {
            *sample = sample.saturating_add(i16::from_le_bytes([bytes[0], bytes[1]]));
        }
        self.patch(frame, &sum)
    }

    /// Frames in the file.
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// The file's length in bytes, its header included.
    pub fn bytes(&self) -> u64 {
        self.data_end(self.frames)
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// It has been renamed to this.
    pub(super) fn set_path(&mut self, path: &Path) {
        self.path = path.into();
    }

    /// The format of the sound in it.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Whether an error has ended the file.
    pub const fn has_failed(&self) -> bool {
        self.failed
    }

    /// Brings the header up to date and asks the disk to follow, without waiting for it. Nothing to do where nothing
    /// was appended since: cheap to call when the sound pauses.
    pub fn sync(&mut self) -> Result<()> {
        if self.failed || self.synced == self.frames {
            return Ok(());
        }
        let result = self.state_frames().and_then(|()| self.still_linked());
        self.synced = self.frames;
        if let Some(syncer) = &self.syncer {
            syncer.ask();
        }
        self.end_on(result)
    }

    /// Completes the file and returns its frames; waits at most two seconds for the disk, one of many not at all.
    pub fn finish(mut self) -> Result<u64> {
        self.complete()?;
        Ok(self.frames)
    }

    /// As [`finish`](Self::finish), for who wants to look at it afterwards.
    pub fn complete(&mut self) -> Result<()> {
        let mut result =
            if self.failed { Ok(()) } else { self.state_frames().and_then(|()| self.still_there()) };
        if let Some(syncer) = self.syncer.take() {
            let synced = syncer.finish(self.patience);
            result = result.and(if self.failed { Ok(()) } else { synced });
        }
        self.end_on(result)
    }

    /// Writes `self.bytes` behind the last frame; how many bytes fitted, and why no more.
    fn write_bytes(&self) -> (u64, io::Result<()>) {
        let (mut done, at) = (0, self.data_end(self.frames));
        while done < self.bytes.len() {
            match self.file.write_at(&self.bytes[done..], at + done as u64) {
                Ok(0) => return (done as u64, Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => done += count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return (done as u64, Err(e)),
            }
        }
        (done as u64, Ok(()))
    }

    /// After frames were added, or could not be: header, disk, errors.
    fn settle(&mut self, mut result: io::Result<()>) -> Result<()> {
        if result.is_ok() && (self.frames - self.stated) * 100 >= u64::from(self.format.rate()) {
            result = self.state_frames();
        }
        if self.frames - self.synced >= u64::from(self.format.rate()) {
            self.synced = self.frames;
            if let Some(syncer) = &self.syncer {
                syncer.ask();
                result = result.and(syncer.take_error().map_or(Ok(()), Err));
            }
            result = result.and_then(|()| self.still_linked());
        }
        self.end_on(result)
    }

    /// An error where somebody has deleted the file: nobody would find what is written to it.
    fn still_linked(&self) -> io::Result<()> {
        // Some file systems do not count links at all.
        let deleted = self.was_linked && self.file.metadata()?.nlink() == 0;
        if deleted { Err(gone("was deleted while it was written")) } else { Ok(()) }
    }

    /// An error where the file is not at its path any more.
    fn still_there(&self) -> io::Result<()> {
        self.still_linked()?;
        let (own, there) = (self.file.metadata()?, self.path.metadata());
        match there {
            Ok(there) if (there.dev(), there.ino()) == (own.dev(), own.ino()) => Ok(()),
            _ => Err(gone("was moved or replaced while it was written")),
        }
    }

    /// Makes the header say what is there.
    fn state_frames(&mut self) -> io::Result<()> {
        if self.stated != self.frames {
            let data_bytes = self.frames * self.format.frame_bytes() as u64;
            self.file.write_all_at(&WavHeader::encode(self.format, data_bytes), 0)?;
            self.stated = self.frames;
        }
        Ok(())
    }

    /// Where `result` is an error, ends the file with whole frames and a header that fits them.
    fn end_on(&mut self, result: io::Result<()>) -> Result<()> {
        let Err(error) = result else { return Ok(()) };
        if self.failed {
            return Ok(());
        }
        self.failed = true;
        if self.state_frames().is_err() {
            // The header cannot change any more: the file becomes what it says.
            self.frames = self.stated;
        }
        let _ = self.file.set_len(self.data_end(self.frames));
        if let Some(syncer) = &self.syncer {
            syncer.ask();
        }
        let seconds = self.format.duration(self.frames).as_secs_f64();
        let what = format!("the recording {} ends after {seconds:.2} s", self.path.display());
        Err(Error::io(ErrorKind::Recording, what, &error))
    }

    fn data_end(&self, frames: u64) -> u64 {
        WavHeader::LEN as u64 + frames.saturating_mul(self.format.frame_bytes() as u64)
    }

    /// 50 ms: the most that is written between two headers.
    fn piece_frames(&self) -> usize {
        self.format.rate() as usize / 20
    }
}

impl Drop for WavWriter {
    fn drop(&mut self) {
        if !self.failed {
            let _ = self.state_frames();
        }
    }
}

fn gone(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("the file {what}"))
}

fn refused(path: &Path, error: &io::Error) -> Error {
    Error::io(ErrorKind::Recording, format!("cannot write {}", path.display()), error)
}

/// How long [`WavWriter::finish`] waits for the disk.
const SYNC_PATIENCE: Duration = Duration::from_secs(2);
