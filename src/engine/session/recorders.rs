//! A client's recorders: of what it says, of what it hears, of both side by side. One records at a time.

use std::path::{Path, PathBuf};

use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::Format;
use crate::engine::record::Recorded;
use crate::engine::record::tap::{RecorderState, TapRecorder, TapWriter};

/// What is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// What is captured and sent.
    #[default]
    Local,
    /// What is heard.
    Remote,
    /// Two channels: left what is said, right what is heard meanwhile.
    Both,
}

impl Side {
    /// `"local"`, `"remote"` or `"both"`.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "local" => Ok(Self::Local),
            "remote" => Ok(Self::Remote),
            "both" => Ok(Self::Both),
            _ => Err(Error::config(format!("what must be 'local', 'remote' or 'both', not {text:?}"))),
        }
    }
}

/// All of a client's.
pub struct Recorders {
    local: TapRecorder,
    /// What is heard, and both; where anything is.
    heard: Option<[TapRecorder; 2]>,
    last: Side,
}

/// The audio threads' ends.
pub struct Taps {
    /// Of what is captured.
    pub local: TapWriter,
    /// Of what is heard, and of both.
    pub heard: Option<[TapWriter; 2]>,
}

impl Recorders {
    /// Of a stream of `format`, whose server is heard where it `hears`.
    pub fn new(format: Format, hears: bool) -> Result<(Taps, Self)> {
        let (of_local, local) = TapRecorder::new(format)?;
        if !hears {
            return Ok((
                Taps { local: of_local, heard: None },
                Self { local, heard: None, last: Side::Local },
            ));
        }
        let (of_remote, remote) = TapRecorder::new(format)?;
        let (of_both, both) = TapRecorder::new(Format::new(format.rate(), 2)?)?;
        let taps = Taps { local: of_local, heard: Some([of_remote, of_both]) };
        Ok((taps, Self { local, heard: Some([remote, both]), last: Side::Local }))
    }

    /// Records `side` from now on to a new file in `folder`, `frames` of it or until stopped.
    pub fn start(&mut self, side: Side, folder: &Path, frames: Option<u64>) -> Result<PathBuf> {
        let running = self.state();
        if let Some(path) = running.path.filter(|_| running.recording) {
            let text = format!("already recording to {}: stop that first", path.display());
            return Err(Error::new(ErrorKind::State, text));
        }
        let path = self.of(side)?.start(folder, frames)?;
        self.last = side;
        Ok(path)
    }

    /// Ends the recording, under `filename` if one is given; `None` where none is running.
    pub fn stop(&self, filename: Option<&str>) -> Result<Option<Recorded>> {
        self.of(self.last)?.stop(filename)
    }

    /// What the recorder is at that recorded last.
    pub fn state(&self) -> RecorderState {
        self.of(self.last).map(TapRecorder::state).unwrap_or_default()
    }

    /// Ends all, a running recording finished. Again is nothing.
    pub fn close(&mut self) -> Result<()> {
        let mut done = self.local.close();
        for recorder in self.heard.iter_mut().flatten() {
            done = done.and(recorder.close());
        }
        done.map(|_| ())
    }

    fn of(&self, side: Side) -> Result<&TapRecorder> {
        match (side, &self.heard) {
            (Side::Local, _) => Ok(&self.local),
            (Side::Remote, Some([remote, _])) => Ok(remote),
            (Side::Both, Some([_, both])) => Ok(both),
            (Side::Remote | Side::Both, None) => Err(Error::config(
                "nothing is heard that could be recorded: give the client an output, a device or 'null'",
            )),
        }
    }
}
