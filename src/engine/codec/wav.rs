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

/// Appends stored samples as floats in [-1, 1); a float file may exceed that. 16-bit samples stay exact: `to_i16` gives them
/// back. What is no number is silence. A part of a sample at the end is left out.
pub fn decode_f32(bytes: &[u8], kind: SampleKind, out: &mut Vec<f32>) {
    match kind {
        SampleKind::U8 => out.extend(bytes.iter().map(|&b| (f32::from(b) - 128.0) / 128.0)),
        SampleKind::I16 => out.extend(bytes.as_chunks().0.iter().map(|&b| to_f32(i16::from_le_bytes(b)))),
        SampleKind::I24 => out.extend(bytes.as_chunks().0.iter().map(|&b| whole_to_f32(from_24(b)))),
        SampleKind::I32 => {
            out.extend(bytes.as_chunks().0.iter().map(|&b| whole_to_f32(i32::from_le_bytes(b))))
        }
        SampleKind::F32 => out.extend(bytes.as_chunks().0.iter().map(|&b| finite(f32::from_le_bytes(b)))),
        SampleKind::F64 => {
            out.extend(bytes.as_chunks().0.iter().map(|&b| finite(f64::from_le_bytes(b) as f32)))
        }
    }
}

/// Appends stored samples as 16-bit ones, the nearest and saturating. 16-bit samples stay as they are.
pub fn decode_i16(bytes: &[u8], kind: SampleKind, out: &mut Vec<i16>) {
    match kind {
        SampleKind::U8 => out.extend(bytes.iter().map(|&b| (i16::from(b) - 128) << 8)),
        SampleKind::I16 => out.extend(bytes.as_chunks().0.iter().map(|&b| i16::from_le_bytes(b))),
        SampleKind::I24 => out.extend(bytes.as_chunks().0.iter().map(|&b| nearest(from_24(b)))),
        SampleKind::I32 => out.extend(bytes.as_chunks().0.iter().map(|&b| nearest(i32::from_le_bytes(b)))),
        SampleKind::F32 => out.extend(bytes.as_chunks().0.iter().map(|&b| to_i16(f32::from_le_bytes(b)))),
        SampleKind::F64 => {
            out.extend(bytes.as_chunks().0.iter().map(|&b| to_i16(f64::from_le_bytes(b) as f32)))
        }
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

/// The sample at the upper end of 32 bits.
fn from_24([b0, b1, b2]: [u8; 3]) -> i32 {
    i32::from_le_bytes([0, b0, b1, b2])
}

fn whole_to_f32(sample: i32) -> f32 {
    sample as f32 / 2_147_483_648.0
}

fn nearest(sample: i32) -> i16 {
    (sample.saturating_add(1 << 15) >> 16) as i16
}

fn finite(sample: f32) -> f32 {
    if sample.is_finite() { sample } else { 0.0 }
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
mod tests {
    use super::*;
    use crate::engine::codec::l16;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn ours(format: Format, samples: &[i16]) -> Vec<u8> {
        let mut file = WavHeader::encode(format, samples.len() as u64 * 2).to_vec();
        l16::encode_le(samples, &mut file);
        file
    }

    fn chunk(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut out = [&name[..], &(body.len() as u32).to_le_bytes(), body].concat();
        out.resize(out.len().next_multiple_of(2), 0);
        out
    }

    fn fmt(tag: u16, channels: u16, rate: u32, bits: u16) -> Vec<u8> {
        let align = channels * bits.div_ceil(8);
        let mut body = Vec::new();
        body.extend([tag.to_le_bytes(), channels.to_le_bytes()].concat());
        body.extend([rate.to_le_bytes(), (rate * u32::from(align)).to_le_bytes()].concat());
        body.extend([align.to_le_bytes(), bits.to_le_bytes()].concat());
        body
    }

    fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
        let body = chunks.concat();
        [&b"RIFF"[..], &(body.len() as u32 + 4).to_le_bytes(), b"WAVE", &body].concat()
    }

    fn parse(file: &[u8]) -> Result<WavHeader> {
        WavHeader::parse(&mut Cursor::new(file))
    }

    #[test]
    fn hound_reads_what_we_write() {
        for channels in [1, 2] {
            let samples: Vec<i16> = (0..2000).map(|i| (i * 37 % 65_536 - 32_768) as i16).collect();
            let file = ours(Format::new(44_100, channels).unwrap(), &samples);
            let mut reader = hound::WavReader::new(&file[..]).unwrap();
            assert_eq!(reader.spec().channels, channels);
            assert_eq!(reader.spec().sample_rate, 44_100);
            let read: Vec<i16> = reader.samples().map(std::result::Result::unwrap).collect();
            assert_eq!(read, samples);
        }
    }

    #[test]
    fn we_read_what_hound_writes() {
        let kinds = [
            (8, SampleKind::U8),
            (16, SampleKind::I16),
            (24, SampleKind::I24),
            (32, SampleKind::I32),
            (33, SampleKind::F32),
        ];
        for (bits, kind) in kinds {
            let float = kind == SampleKind::F32;
            let spec = hound::WavSpec {
                channels: 3,
                sample_rate: 48_000,
                bits_per_sample: if float { 32 } else { bits },
                sample_format: if float { hound::SampleFormat::Float } else { hound::SampleFormat::Int },
            };
            let mut file = Cursor::new(Vec::new());
            let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
            let values = [0i8, 1, -1, 64, -64, 127, -128, 5, 6];
            for v in values {
                if float {
                    writer.write_sample(f32::from(v) / 128.0).unwrap();
                } else {
                    writer.write_sample(i32::from(v) << (bits - 8)).unwrap();
                }
            }
            writer.finalize().unwrap();
            let header = WavHeader::parse(&mut file).unwrap();
            assert_eq!((header.kind, header.channels, header.rate, header.frames()), (kind, 3, 48_000, 3));
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            assert_eq!(file.position(), header.data_start + header.data_bytes);
            let (mut floats, mut whole) = (Vec::new(), Vec::new());
            decode_f32(&bytes, kind, &mut floats);
            decode_i16(&bytes, kind, &mut whole);
            assert_eq!(floats, values.map(|v| f32::from(v) / 128.0));
            assert_eq!(whole, values.map(|v| i16::from(v) << 8));
        }
    }

    #[test]
    fn sixteen_bits_stay_exact() {
        let samples: Vec<i16> = (i16::MIN..=i16::MAX).collect();
        let file = ours(Format::DEFAULT, &samples);
        let header = parse(&file).unwrap();
        let bytes = &file[header.data_start as usize..];
        let (mut floats, mut whole) = (Vec::new(), Vec::new());
        decode_f32(bytes, header.kind, &mut floats);
        decode_i16(bytes, header.kind, &mut whole);
        assert_eq!(whole, samples);
        assert!(floats.iter().zip(&samples).all(|(&f, &s)| to_i16(f) == s));
    }

    #[test]
    fn past_four_gigabytes_the_file_is_rf64_and_says_its_size() {
        let data = (1u64 << 32) + 1000;
        let header = WavHeader::encode(Format::DEFAULT, data);
        assert_eq!(&header[..4], b"RF64");
        assert_eq!(&header[12..16], b"ds64");
        assert_eq!(u64::from_le_bytes(header[20..28].try_into().unwrap()), data + 72);
        assert_eq!(u64::from_le_bytes(header[28..36].try_into().unwrap()), data);
        assert_eq!(u64::from_le_bytes(header[36..44].try_into().unwrap()), data / 2);
        let parsed = WavHeader::parse(&mut Sparse { head: &header, length: data + 80, at: 0 }).unwrap();
        assert_eq!((parsed.data_start, parsed.data_bytes, parsed.frames()), (80, data, data / 2));
    }

    #[test]
    fn the_header_keeps_its_length_and_its_place_for_ds64() {
        let largest = u64::from(u32::MAX) - 73;
        for (data, name, junk) in
            [(0, b"RIFF", b"JUNK"), (largest, b"RIFF", b"JUNK"), (largest + 1, b"RF64", b"ds64")]
        {
            let header = WavHeader::encode(Format::DEFAULT, data);
            assert_eq!((&header[..4], &header[12..16]), (&name[..], &junk[..]));
            assert_eq!(&header[72..76], b"data");
        }
    }

    #[test]
    fn chunks_come_in_any_order_with_odd_sizes_between() {
        let data = chunk(b"data", &[1, 0, 2, 0]);
        let file = riff(&[
            chunk(b"LIST", b"odd"),
            data,
            chunk(b"bext", &[0; 7]),
            chunk(b"fmt ", &fmt(1, 1, 8000, 16)),
        ]);
        let header = parse(&file).unwrap();
        let start = header.data_start as usize;
        assert_eq!(header.rate, 8000);
        assert_eq!(file[start..start + header.data_bytes as usize], [1, 0, 2, 0]);
    }

    #[test]
    fn an_extensible_header_says_its_tag_further_on() {
        let mut body = fmt(TAG_EXTENSIBLE, 2, 96_000, 32);
        body.extend([22, 0, 24, 0, 3, 0, 0, 0, 1, 0]);
        body.extend(SUBFORMAT_TAIL);
        let header = parse(&riff(&[chunk(b"fmt ", &body), chunk(b"data", &[0; 16])])).unwrap();
        assert_eq!(
            (header.kind, header.channels, header.rate, header.frames()),
            (SampleKind::I32, 2, 96_000, 2)
        );
        body[24] = 3;
        assert_eq!(
            parse(&riff(&[chunk(b"fmt ", &body), chunk(b"data", &[])])).unwrap().kind,
            SampleKind::F32
        );
        body[30] ^= 1;
        assert!(parse(&riff(&[chunk(b"fmt ", &body), chunk(b"data", &[])])).is_err());
    }

    #[test]
    fn an_unfinished_file_goes_on_to_its_end() {
        for size in [0u32, u32::MAX] {
            let mut file = ours(Format::DEFAULT, &[1, 2, 3]);
            file[4..8].copy_from_slice(&size.to_le_bytes());
            file[76..80].copy_from_slice(&size.to_le_bytes());
            file.push(9);
            assert_eq!(parse(&file).unwrap().data_bytes, 6, "half a sample is left out");
        }
    }

    #[test]
    fn an_empty_file_that_was_finished_is_empty() {
        let file =
            riff(&[chunk(b"fmt ", &fmt(1, 1, 8000, 16)), chunk(b"data", &[]), chunk(b"LIST", &[1; 40])]);
        assert_eq!(parse(&file).unwrap().data_bytes, 0);
    }

    #[test]
    fn a_file_cut_short_ends_where_it_ends() {
        let file = ours(Format::DEFAULT, &[1; 100]);
        assert_eq!(parse(&file[..100]).unwrap().frames(), 10);
        assert!(parse(&file[..70]).is_err());
        assert!(parse(&file[..5]).is_err());
    }

    #[test]
    fn what_is_not_pcm_is_refused_with_a_reason() {
        let with =
            |body: Vec<u8>| parse(&riff(&[chunk(b"fmt ", &body), chunk(b"data", &[0; 8])])).unwrap_err();
        assert!(with(fmt(7, 1, 8000, 8)).message().contains("0x0007"));
        assert!(with(fmt(1, 0, 8000, 16)).message().contains("channels"));
        assert!(with(fmt(1, 33, 8000, 16)).message().contains("channels"));
        assert!(with(fmt(1, 1, 0, 16)).message().contains("rate"));
        assert!(
            parse(b"OggS and something that is long enough").unwrap_err().message().contains("not a WAV")
        );
        let silent = riff(&[chunk(b"fmt ", &fmt(1, 1, 8000, 16))]);
        assert!(parse(&silent).unwrap_err().message().contains("no sound"));
    }

    #[test]
    fn what_is_no_number_is_silence() {
        let bytes: Vec<u8> =
            [f32::NAN, f32::INFINITY, 2.0, -0.5].iter().flat_map(|f| f.to_le_bytes()).collect();
        let mut out = Vec::new();
        decode_f32(&bytes, SampleKind::F32, &mut out);
        assert_eq!(out, [0.0, 0.0, 2.0, -0.5]);
        let mut out = Vec::new();
        decode_i16(&bytes, SampleKind::F32, &mut out);
        assert_eq!(out, [0, 32_767, 32_767, -16_384]);
    }

    /// A file that is all silence after its header, and takes no memory.
    struct Sparse<'a> {
        head: &'a [u8],
        length: u64,
        at: u64,
    }

    impl Read for Sparse<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let count = out.len().min((self.length - self.at) as usize);
            for byte in &mut out[..count] {
                *byte = self.head.get(self.at as usize).copied().unwrap_or(0);
                self.at += 1;
            }
            Ok(count)
        }
    }

    impl Seek for Sparse<'_> {
        fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
            self.at = match to {
                SeekFrom::Start(at) => at,
                SeekFrom::End(back) => self.length.saturating_add_signed(back),
                SeekFrom::Current(step) => self.at.saturating_add_signed(step),
            };
            Ok(self.at)
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(tail in prop::collection::vec(any::<u8>(), 0..200), chunks: bool) {
            let head: &[u8] = if chunks { b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" } else { b"RF64\0\0\0\0WAVE" };
            let file = [head, &tail].concat();
            if let Ok(header) = parse(&file) {
                prop_assert!(header.data_start + header.data_bytes <= file.len() as u64);
            }
        }

        #[test]
        fn what_we_write_we_read(data in 0u64..1 << 40, rate in 8_000u32..=192_000, channels in 1u16..=2) {
            let format = Format::new(rate, channels).unwrap();
            let data = data - data % format.frame_bytes() as u64;
            let header = WavHeader::encode(format, data);
            let parsed = WavHeader::parse(&mut Sparse { head: &header, length: data + 80, at: 0 }).unwrap();
            prop_assert_eq!(parsed, WavHeader {
                kind: SampleKind::I16, channels, rate, data_start: 80, data_bytes: data,
            });
        }
    }
}
