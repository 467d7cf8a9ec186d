//! Standard input and output as ends: PCM, `i16`, little-endian, interleaved.
//!
//! Neither keeps the end of a stream waiting: the descriptor is waited for in short steps.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::engine::error::{Error, ErrorKind, Result};

use super::fd::{Ready, wait};
use super::pacer::{Ending, Halt};
use super::sink::Sink;
use super::source::{Filled, Source};

/// A pipe (or file, or terminal) that sound comes from.
pub(super) struct PipeSource {
    file: File,
    bytes: Vec<u8>,
}

impl PipeSource {
    /// Standard input.
    pub(super) fn stdin() -> Result<Self> {
        Self::new(io::stdin()).map_err(|e| Error::io(ErrorKind::Recording, "cannot read standard input", &e))
    }

    pub(super) fn new(descriptor: impl AsFd) -> io::Result<Self> {
        Ok(Self { file: descriptor.as_fd().try_clone_to_owned()?.into(), bytes: Vec::new() })
    }

    /// Bytes read, and whether any were waited for; fewer than asked for only at the end.
    fn read(&mut self, halt: &Halt) -> io::Result<(usize, bool)> {
        let (mut filled, mut waited) = (0, false);
        while filled < self.bytes.len() && halt.get().is_none() {
            if !wait(self.file.as_fd(), Ready::Read, Duration::ZERO)? {
                waited = true;
                if !wait(self.file.as_fd(), Ready::Read, STEP)? {
                    continue;
                }
            }
            match self.file.read(&mut self.bytes[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(e) if matches!(e.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
                Err(e) => return Err(e),
            }
        }
        Ok((filled, waited))
    }
}

impl Source for PipeSource {
    fn fill(&mut self, out: &mut [i16], halt: &Halt) -> Filled {
        self.bytes.resize(out.len() * 2, 0);
        let (filled, waited) = match self.read(halt) {
            Ok(read) => read,
            Err(e) => {
                return Filled::Failed(0, Error::io(ErrorKind::Recording, "cannot read standard input", &e));
            }
        };
        for (sample, bytes) in out.iter_mut().zip(self.bytes[..filled].chunks_exact(2)) {
            *sample = i16::from_le_bytes([bytes[0], bytes[1]]);
        }
        match (filled == self.bytes.len(), waited) {
            (true, false) => Filled::Whole,
            (true, true) => Filled::Late,
            (false, _) => Filled::Last(filled / 2),
        }
    }
}

/// A pipe (or file, or terminal) that sound goes to.
pub(super) struct PipeSink {
    file: File,
    bytes: Vec<u8>,
    halt: Halt,
}

impl PipeSink {
    /// Standard output; `halt` ends the wait for a reader that does not read.
    pub(super) fn stdout(halt: Halt) -> Result<Self> {
        Self::new(io::stdout(), halt)
            .map_err(|e| Error::io(ErrorKind::Recording, "cannot write standard output", &e))
    }

    pub(super) fn new(descriptor: impl AsFd, halt: Halt) -> io::Result<Self> {
        Ok(Self { file: descriptor.as_fd().try_clone_to_owned()?.into(), bytes: Vec::new(), halt })
    }

    fn write_out(&mut self) -> io::Result<()> {
        let (mut written, mut patience) = (0, DRAIN_STEPS);
        while written < self.bytes.len() {
            match self.halt.get() {
                Some(Ending::Abrupt) => return Ok(()),
                Some(Ending::Drained) if patience == 0 => return Ok(()),
                _ => {}
            }
            if !wait(self.file.as_fd(), Ready::Write, STEP)? {
                patience = patience.saturating_sub(1);
                continue;
            }
            // A pipe that is ready takes this much without blocking (POSIX's PIPE_BUF on Linux).
            let end = self.bytes.len().min(written + 4096);
            match self.file.write(&self.bytes[written..end]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(e) if matches!(e.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

impl Sink for PipeSink {
    fn write(&mut self, samples: &[i16]) -> Result<()> {
        self.bytes.clear();
        self.bytes.extend(samples.iter().flat_map(|s| s.to_le_bytes()));
        self.write_out().map_err(|e| Error::io(ErrorKind::Recording, "cannot write standard output", &e))
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// How long a descriptor is waited for before the end is looked for.
const STEP: Duration = Duration::from_millis(50);
/// Steps without progress that the rest is given at the end.
const DRAIN_STEPS: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_gives_every_sample_to_the_last() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut source = PipeSource::new(&reader).unwrap();
        drop(reader);
        let sound: Vec<i16> = (0..25).collect();
        writer.write_all(&sound.iter().flat_map(|s| s.to_le_bytes()).collect::<Vec<_>>()).unwrap();
        // Half a sample at the end is none.
        writer.write_all(&[7]).unwrap();
        drop(writer);
        let mut block = [0; 10];
        let halt = Halt::default();
        assert_eq!(source.fill(&mut block, &halt), Filled::Whole);
        assert_eq!(block[9], 9);
        assert_eq!(source.fill(&mut block, &halt), Filled::Whole);
        assert_eq!(source.fill(&mut block, &halt), Filled::Last(5));
        assert_eq!(block[..5], [20, 21, 22, 23, 24]);
    }

    #[test]
    fn a_closed_pipe_is_an_error_and_a_full_one_no_hindrance() {
        let (reader, writer) = io::pipe().unwrap();
        let halt = Halt::default();
        let mut sink = PipeSink::new(&writer, halt.clone()).unwrap();
        halt.set(Ending::Drained);
        // More than a pipe holds: the rest is given up after a while.
        sink.write(&vec![1; 100_000]).unwrap();
        drop(reader);
        let error = sink.write(&[1; 10]).unwrap_err();
        assert_eq!(error.errno(), Some(libc::EPIPE));
    }
}
