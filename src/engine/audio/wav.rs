//! A WAV file being read, a block at a time, as 16-bit samples.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::engine::codec::wav::{SampleKind, WavHeader, decode_samples};
use crate::engine::error::{Error, ErrorKind, Result};

/// A file that is open, and where its sound goes on.
pub(super) struct Reader {
    file: BufReader<File>,
    kind: SampleKind,
    pub(super) rate: u32,
    pub(super) channels: usize,
    /// Frames not read yet, as the header has them.
    pub(super) left: u64,
    bytes: Vec<u8>,
    samples: Vec<i16>,
}

impl Reader {
    /// Opens the file and reads its header: PCM of 8 to 32 bits or floats, RIFF or RF64.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let name = path.display();
        let unreadable = |e: &io::Error| Error::io(ErrorKind::Recording, format!("cannot read {name}"), e);
        let file = File::open(path).map_err(|e| unreadable(&e))?;
        if file.metadata().map_err(|e| unreadable(&e))?.is_dir() {
            return Err(Error::new(ErrorKind::Recording, format!("{name} is a folder, not a WAV file")));
        }
        let mut file = BufReader::new(file);
        let header = WavHeader::parse(&mut file)
            .map_err(|e| Error::new(ErrorKind::Recording, format!("{name}: {}", e.message())))?;
        if !(1..=64).contains(&header.channels) || !(1_000..=768_000).contains(&header.rate) {
            return Err(Error::new(ErrorKind::Recording, format!("{name} has a header that makes no sense")));
        }
        file.seek(SeekFrom::Start(header.data_start)).map_err(|e| unreadable(&e))?;
        Ok(Self {
            file,
            kind: header.kind,
            rate: header.rate,
            channels: usize::from(header.channels),
            left: header.frames(),
            bytes: Vec::new(),
            samples: Vec::new(),
        })
    }

    /// Fills `out` with whole frames; the samples read, fewer only at the end of the sound or of the file.
    pub(super) fn read(&mut self, out: &mut [i16]) -> io::Result<usize> {
        let frames = (out.len() / self.channels).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let frame_bytes = self.kind.bytes() * self.channels;
        self.bytes.clear();
        (&mut self.file).take((frames * frame_bytes) as u64).read_to_end(&mut self.bytes)?;
        let read = self.bytes.len() / frame_bytes;
        self.samples.clear();
        decode_samples(&self.bytes[..read * frame_bytes], self.kind, &mut self.samples);
        out[..read * self.channels].copy_from_slice(&self.samples);
        self.left = if read < frames { 0 } else { self.left - read as u64 };
        Ok(read * self.channels)
    }
}
