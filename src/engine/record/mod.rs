//! Recordings: WAV files, written by threads of their own through bounded queues.
//!
//! The client's side ([`tap`]) records what the microphone delivers; the server's side ([`reception`]) what arrived, in
//! sequence order, with a list of what did not; [`tracks`] does that for each source by itself.

use std::path::PathBuf;

use super::error::Error;
use super::format::Format;
use wav::WavWriter;

pub mod assembly;
pub mod folder;
mod lane;
mod lead;
pub mod local_time;
pub mod naming;
mod part;
pub mod pcap;
pub mod reception;
pub mod sidecar;
mod sync;
pub mod tap;
pub mod traces;
mod track;
pub mod tracks;
pub mod wav;

#[cfg(test)]
mod tests;

/// A recording that is finished: its file is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Where the file lies.
    pub path: PathBuf,
    /// Its length in frames.
    pub frames: u64,
    /// The format of its sound.
    pub format: Format,
    /// Its length in bytes, header included.
    pub bytes: u64,
    /// What ended it before its time, if anything did; it is valid up to there.
    pub error: Option<Error>,
}

impl Recorded {
    /// Completes the file of `writer`, which an `error` may have ended.
    fn complete(writer: &mut WavWriter, error: Option<Error>) -> Self {
        let late = writer.complete().err();
        Self {
            path: writer.path().to_path_buf(),
            frames: writer.frames(),
            format: writer.format(),
            bytes: writer.bytes(),
            error: error.or(late),
        }
    }
}
