//! The little of WAV that the built-in ends need: 16-bit PCM, headers read and written.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::Format;

/// A file being read.
pub(super) struct Reader {
    file: BufReader<File>,
    pub(super) rate: u32,
    pub(super) channels: usize,
    /// Frames not read yet, as the header has them.
    pub(super) left: u64,
    bytes: Vec<u8>,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let name = path.display();
        let unreadable = |e: &io::Error| match e.kind() {
            io::ErrorKind::UnexpectedEof => Error::new(
                ErrorKind::Recording,
                format!("{name} is not a WAV file: it ends within its header"),
            ),
            _ => Error::io(ErrorKind::Recording, format!("cannot read {name}"), e),
        };
        let other = |what: &str| Error::new(ErrorKind::Recording, format!("{name} {what}"));
        let file = File::open(path).map_err(|e| unreadable(&e))?;
        if file.metadata().map_err(|e| unreadable(&e))?.is_dir() {
            return Err(other("is a folder, not a WAV file"));
        }
        let mut file = BufReader::new(file);
        let mut head = [0; 12];
        file.read_exact(&mut head).map_err(|e| unreadable(&e))?;
        if !(&head[..4] == b"RIFF" || &head[..4] == b"RF64") || &head[8..] != b"WAVE" {
            return Err(other("is not a WAV file"));
        }
        let mut format = None;
        let mut long_data = None;
        loop {
            let mut chunk = [0; 8];
            file.read_exact(&mut chunk).map_err(|e| unreadable(&e))?;
            let length = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]);
            let mut skip = i64::from(length) + i64::from(length & 1);
            match &chunk[..4] {
                b"fmt " if length >= 16 => {
                    let mut f = [0; 16];
                    file.read_exact(&mut f).map_err(|e| unreadable(&e))?;
                    skip -= 16;
                    let tag = u16::from_le_bytes([f[0], f[1]]);
                    let bits = u16::from_le_bytes([f[14], f[15]]);
                    if !matches!(tag, PCM | EXTENSIBLE) || bits != 16 {
                        return Err(other("is not 16-bit PCM: convert it first"));
                    }
                    let rate = u32::from_le_bytes([f[4], f[5], f[6], f[7]]);
                    let channels = usize::from(u16::from_le_bytes([f[2], f[3]]));
                    if !(1..=64).contains(&channels) || !(1_000..=768_000).contains(&rate) {
                        return Err(other("has a header that makes no sense"));
                    }
                    format = Some((rate, channels));
                }
                b"ds64" if length >= 16 => {
                    let mut sizes = [0; 16];
                    file.read_exact(&mut sizes).map_err(|e| unreadable(&e))?;
                    skip -= 16;
                    long_data = sizes[8..].try_into().ok().map(u64::from_le_bytes);
                }
                b"data" => {
                    let (rate, channels) = format.ok_or_else(|| other("has no format before its sound"))?;
                    let bytes = long_data.filter(|_| length == u32::MAX).unwrap_or(u64::from(length));
                    let left = bytes / (2 * channels as u64);
                    return Ok(Self { file, rate, channels, left, bytes: Vec::new() });
                }
                _ => {}
            }
            file.seek_relative(skip).map_err(|e| unreadable(&e))?;
        }
    }

    /// Fills `out` with whole frames; the samples read, fewer only at the end of the sound or of the file.
    pub(super) fn read(&mut self, out: &mut [i16]) -> io::Result<usize> {
        let most =
            out.len().min(usize::try_from(self.left).unwrap_or(usize::MAX).saturating_mul(self.channels));
        self.bytes.resize(most * 2, 0);
        let mut filled = 0;
        while filled < self.bytes.len() {
            match self.file.read(&mut self.bytes[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        let frames = filled / (2 * self.channels);
        for (sample, bytes) in out.iter_mut().zip(self.bytes[..frames * 2 * self.channels].chunks_exact(2)) {
            *sample = i16::from_le_bytes([bytes[0], bytes[1]]);
        }
        self.left = if filled < self.bytes.len() { 0 } else { self.left - frames as u64 };
        Ok(frames * self.channels)
    }
}

/// A file being written, whose header is right every 100 ms of sound.
pub(super) struct Writer {
    file: File,
    format: Format,
    name: String,
    bytes: Vec<u8>,
    written: u64,
    patched: u64,
}

impl Writer {
    pub(super) fn create(path: &Path, format: Format) -> Result<Self> {
        let name = path.display().to_string();
        let file = File::create(path)
            .map_err(|e| Error::io(ErrorKind::Recording, format!("cannot write {name}"), &e))?;
        let mut writer = Self { file, format, name, bytes: Vec::new(), written: 0, patched: 0 };
        writer.patch()?;
        Ok(writer)
    }

    pub(super) fn append(&mut self, samples: &[i16]) -> Result<()> {
        self.bytes.clear();
        self.bytes.extend(samples.iter().flat_map(|s| s.to_le_bytes()));
        self.file.write_all(&self.bytes).map_err(|e| self.trouble(&e))?;
        self.written += self.bytes.len() as u64;
        let tenth = u64::from(self.format.rate()) * self.format.frame_bytes() as u64 / 10;
        if self.written - self.patched >= tenth { self.patch() } else { Ok(()) }
    }

    pub(super) fn finish(&mut self) -> Result<()> {
        self.patch()
    }

    fn patch(&mut self) -> Result<()> {
        let data = u32::try_from(self.written).unwrap_or(u32::MAX);
        let rate = self.format.rate();
        let frame = self.format.frame_bytes() as u32;
        let mut head = Vec::with_capacity(44);
        head.extend_from_slice(b"RIFF");
        head.extend_from_slice(&data.saturating_add(36).to_le_bytes());
        head.extend_from_slice(b"WAVEfmt ");
        head.extend_from_slice(&16u32.to_le_bytes());
        head.extend_from_slice(&PCM.to_le_bytes());
        head.extend_from_slice(&(self.format.channels() as u16).to_le_bytes());
        head.extend_from_slice(&rate.to_le_bytes());
        head.extend_from_slice(&(rate * frame).to_le_bytes());
        head.extend_from_slice(&(frame as u16).to_le_bytes());
        head.extend_from_slice(&16u16.to_le_bytes());
        head.extend_from_slice(b"data");
        head.extend_from_slice(&data.to_le_bytes());
        self.patched = self.written;
        let mut write = || {
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(&head)?;
            self.file.seek(SeekFrom::End(0))
        };
        write().map(|_| ()).map_err(|e| self.trouble(&e))
    }

    fn trouble(&self, error: &io::Error) -> Error {
        Error::io(ErrorKind::Recording, format!("cannot write {}", self.name), error)
    }
}

const PCM: u16 = 1;
const EXTENSIBLE: u16 = 0xFFFE;
