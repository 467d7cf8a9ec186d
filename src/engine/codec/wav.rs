//! WAV headers: written for our own 16-bit files of any size, read from anyone's.
//!
//! What we write is always [`WavHeader::LEN`] bytes, so that it can be patched in place: RIFF with a `JUNK` chunk that becomes
//! `ds64` once the sizes no longer fit 32 bits (RF64, EBU Tech 3306). What we read: RIFF, RF64 and BW64, chunks in any
//! order, integers of 8 to 32 bits and floats, files that were never finished or were cut short.

use std::io::{Read, Seek, SeekFrom};

use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::{Format, to_f32, to_i16};

/// What a WAV file holds, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WavHeader {
    /// How a sample is stored.
    pub kind: SampleKind,
    /// Samples in a frame, 1 to 32.
    pub channels: u16,
    /// Frames a second, never zero.
    pub rate: u32,
    /// Where the first sample begins, bytes from the start of the file.
    pub data_start: u64,
    /// Bytes of whole frames that are really there.
    pub data_bytes: u64,
}

/// How a sample is stored; integers are little-endian, and as a rule signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SampleKind {
    /// 8 bits, unsigned, 128 being silence.
    U8,
    /// 16 bits.
    I16,
    /// 24 bits in three bytes.
    I24,
    /// 32 bits, or fewer at their upper end.
    I32,
    /// IEEE 754 single precision, full scale being 1.
    F32,
    /// IEEE 754 double precision.
    F64,
}

impl WavHeader {
    /// The header's length in bytes, whatever the file's.
    pub const LEN: usize = 80;

    /// The header of a file of ours that holds `data_bytes` bytes of 16-bit samples so far.
    pub fn encode(format: Format, data_bytes: u64) -> [u8; Self::LEN] {
        let riff_bytes = data_bytes + Self::LEN as u64 - 8;
        // All ones is no size: it refers to ds64.
        let small = u32::try_from(riff_bytes).ok().filter(|&size| size != u32::MAX);
        let frame_bytes = format.frame_bytes() as u32;
        let mut out = [0; Self::LEN];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(if small.is_some() { b"RIFF" } else { b"RF64" });
        put(&small.unwrap_or(u32::MAX).to_le_bytes());
        put(b"WAVE");
        put(if small.is_some() { b"JUNK" } else { b"ds64" });
        put(&DS64_BYTES.to_le_bytes());
        if small.is_some() {
            put(&[0; DS64_BYTES as usize]);
        } else {
            put(&riff_bytes.to_le_bytes());
            put(&data_bytes.to_le_bytes());
            put(&(data_bytes / u64::from(frame_bytes)).to_le_bytes());
            put(&0u32.to_le_bytes());
        }
        put(b"fmt ");
        put(&16u32.to_le_bytes());
        put(&TAG_PCM.to_le_bytes());
        put(&(format.channels() as u16).to_le_bytes());
        put(&format.rate().to_le_bytes());
        put(&(format.rate() * frame_bytes).to_le_bytes());
        put(&(frame_bytes as u16).to_le_bytes());
        put(&16u16.to_le_bytes());
        put(b"data");
        put(&small.map_or(u32::MAX, |_| data_bytes as u32).to_le_bytes());
        out
    }

    /// Reads a file's chunks up to its sound; the reader is left where the sound begins.
    ///
    /// A size of the sound that is missing (0 or all ones, as a recorder leaves it that was killed, or one that writes to a
    /// pipe) means: to the end of the file. So does a size that the file does not have.
    pub fn parse(file: &mut (impl Read + Seek)) -> Result<Self> {
        let end = file.seek(SeekFrom::End(0)).map_err(|e| unreadable(&e))?;
        file.seek(SeekFrom::Start(0)).map_err(|e| unreadable(&e))?;
        let [r0, r1, r2, r3, s0, s1, s2, s3, w0, w1, w2, w3] = read(file)?;
        if !matches!(&[r0, r1, r2, r3], b"RIFF" | b"RF64" | b"BW64") || [w0, w1, w2, w3] != *b"WAVE" {
            return Err(refuse("it is not a WAV file"));
        }
        let finished = u64::from(u32::from_le_bytes([s0, s1, s2, s3])) + 8 == end;
        let (mut layout, mut long_data, mut data) = (None, None, None);
        let mut at = 12;
        for _ in 0..MAX_CHUNKS {
            if at + 8 > end {
                break;
            }
            file.seek(SeekFrom::Start(at)).map_err(|e| unreadable(&e))?;
            let [n0, n1, n2, n3, s0, s1, s2, s3] = read(file)?;
            let mut size = u64::from(u32::from_le_bytes([s0, s1, s2, s3]));
            at += 8;
            match &[n0, n1, n2, n3] {
                b"ds64" if size >= 16 => {
                    let [_, _, _, _, _, _, _, _, bytes @ ..]: [u8; 16] = read(file)?;
                    long_data = Some(u64::from_le_bytes(bytes));
                }
                b"fmt " if layout.is_none() => layout = Some(Layout::read(file, size)?),
                b"data" if data.is_none() => {
                    if size == u64::from(u32::MAX) {
                        size = long_data.filter(|&size| size > 0).unwrap_or(u64::MAX);
                    } else if size == 0 && !finished {
                        size = u64::MAX;
                    }
                    size = size.min(end - at);
                    data = Some((at, size));
                }
                _ => {}
            }
            if let (Some(layout), Some((data_start, bytes))) = (layout, data) {
                file.seek(SeekFrom::Start(data_start)).map_err(|e| unreadable(&e))?;
                return Ok(layout.header(data_start, bytes));
            }
            // Chunks begin at even offsets.
            at = at.saturating_add(size).saturating_add(size & 1);
        }
        Err(refuse(if layout.is_none() { "it says no sample format" } else { "it holds no sound" }))
    }

    /// Bytes of one frame.
    pub const fn frame_bytes(&self) -> usize {
        self.channels as usize * self.kind.bytes()
    }

    /// Whole frames in the file.
    pub const fn frames(&self) -> u64 {
        self.data_bytes / self.frame_bytes() as u64
    }
}

impl SampleKind {
    /// Bytes of one sample.
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I16 => 2,
            Self::I24 => 3,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

/// Appends stored samples as `i16` (the nearest, saturating) or as `f32` in [-1, 1), which a float file may exceed. 16-bit samples
/// stay exact in both. What is no number is silence; a part of a sample at the end is left out.
pub fn decode_samples<T: Sample>(bytes: &[u8], kind: SampleKind, out: &mut Vec<T>) {
    match kind {
        SampleKind::U8 => extend(bytes, out, |[b]| T::from_i16((i16::from(b) - 128) << 8)),
        SampleKind::I16 => extend(bytes, out, |b| T::from_i16(i16::from_le_bytes(b))),
        // At the upper end of 32 bits.
        SampleKind::I24 => extend(bytes, out, |[a, b, c]| T::from_i32(i32::from_le_bytes([0, a, b, c]))),
        SampleKind::I32 => extend(bytes, out, |b| T::from_i32(i32::from_le_bytes(b))),
        SampleKind::F32 => extend(bytes, out, |b| T::from_f32(f32::from_le_bytes(b))),
        SampleKind::F64 => extend(bytes, out, |b| T::from_f32(f64::from_le_bytes(b) as f32)),
    }
}

/// What stored samples can become.
pub trait Sample: Copy {
    /// From 16 bits, exactly.
    fn from_i16(sample: i16) -> Self;
    /// From 32 bits.
    fn from_i32(sample: i32) -> Self;
    /// From a float, whatever it is.
    fn from_f32(sample: f32) -> Self;
}

impl Sample for i16 {
    fn from_i16(sample: i16) -> Self {
        sample
    }

    fn from_i32(sample: i32) -> Self {
        (sample.saturating_add(1 << 15) >> 16) as Self
    }

    fn from_f32(sample: f32) -> Self {
        to_i16(sample)
    }
}

impl Sample for f32 {
    fn from_i16(sample: i16) -> Self {
        to_f32(sample)
    }

    fn from_i32(sample: i32) -> Self {
        sample as Self / 2_147_483_648.0
    }

    fn from_f32(sample: f32) -> Self {
        if sample.is_finite() { sample } else { 0.0 }
    }
}

/// What a `fmt ` chunk says.
#[derive(Clone, Copy)]
struct Layout {
    kind: SampleKind,
    channels: u16,
    rate: u32,
}

impl Layout {
    fn read(file: &mut impl Read, size: u64) -> Result<Self> {
        if size < 16 {
            return Err(refuse("its format chunk is too short"));
        }
        let [t0, t1, c0, c1, r0, r1, r2, r3, _, _, _, _, a0, a1, b0, b1] = read(file)?;
        let mut tag = u16::from_le_bytes([t0, t1]);
        let channels = u16::from_le_bytes([c0, c1]);
        let rate = u32::from_le_bytes([r0, r1, r2, r3]);
        let align = u16::from_le_bytes([a0, a1]);
        let bits = u16::from_le_bytes([b0, b1]);
        if tag == TAG_EXTENSIBLE {
            if size < 40 {
                return Err(refuse("its extensible format chunk is too short"));
            }
            // Extension size, valid bits, channel mask; then the sub-format, whose first two bytes are the tag.
            let [_, _, _, _, _, _, _, _, s0, s1, guid @ ..]: [u8; 24] = read(file)?;
            if guid != SUBFORMAT_TAIL {
                return Err(refuse("its sub-format is not supported; convert it to PCM"));
            }
            tag = u16::from_le_bytes([s0, s1]);
        }
        if !(1..=MAX_CHANNELS).contains(&channels) {
            return Err(refuse(format!("it has {channels} channels; 1 to {MAX_CHANNELS} are supported")));
        }
        if rate == 0 {
            return Err(refuse("its sample rate is zero"));
        }
        // Odd bit counts are stored at the upper end of whole bytes, so that only the container matters.
        let container =
            if align.is_multiple_of(channels) && align > 0 { align / channels } else { bits.div_ceil(8) };
        let kind = match (tag, container) {
            (TAG_PCM, 1) => SampleKind::U8,
            (TAG_PCM, 2) => SampleKind::I16,
            (TAG_PCM, 3) => SampleKind::I24,
            (TAG_PCM, 4) => SampleKind::I32,
            (TAG_FLOAT, 4) => SampleKind::F32,
            (TAG_FLOAT, 8) => SampleKind::F64,
            _ => {
                return Err(refuse(format!(
                    "format tag {tag:#06x} with {bits} bits is not supported; convert it to PCM"
                )));
            }
        };
        Ok(Self { kind, channels, rate })
    }

    fn header(self, data_start: u64, bytes: u64) -> WavHeader {
        let Self { kind, channels, rate } = self;
        let mut header = WavHeader { kind, channels, rate, data_start, data_bytes: 0 };
        header.data_bytes = bytes - bytes % header.frame_bytes() as u64;
        header
    }
}

fn extend<const N: usize, T>(bytes: &[u8], out: &mut Vec<T>, sample: impl Fn([u8; N]) -> T) {
    out.extend(bytes.as_chunks().0.iter().map(|&stored| sample(stored)));
}

fn read<const N: usize>(file: &mut impl Read) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes).map_err(|e| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => refuse("it is cut short"),
        _ => unreadable(&e),
    })?;
    Ok(bytes)
}

fn refuse(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Recording, why)
}

fn unreadable(error: &std::io::Error) -> Error {
    Error::io(ErrorKind::Recording, "it cannot be read", error)
}

/// A `ds64` chunk without a table: three sizes of 64 bits and the table's length.
const DS64_BYTES: u32 = 28;

const TAG_PCM: u16 = 1;
const TAG_FLOAT: u16 = 3;
const TAG_EXTENSIBLE: u16 = 0xfffe;

/// What follows the tag in `KSDATAFORMAT_SUBTYPE_PCM` and `…_IEEE_FLOAT`.
const SUBFORMAT_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

const MAX_CHANNELS: u16 = 32;

/// More than any honest file has; a hostile one may consist of nothing but chunks.
const MAX_CHUNKS: usize = 10_000;

#[cfg(test)]
mod tests;
