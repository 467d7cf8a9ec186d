use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::engine::codec::l16;

fn ours(format: Format, samples: &[i16]) -> Vec<u8> {
    let mut file = WavHeader::encode(format, samples.len() as u64 * 2).to_vec();
    l16::encode_le(samples, &mut file);
    file
}

fn chunk(name: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = [name, &(body.len() as u32).to_le_bytes(), body].concat();
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
        let (mut floats, mut whole) = (Vec::<f32>::new(), Vec::<i16>::new());
        decode_samples(&bytes, kind, &mut floats);
        decode_samples(&bytes, kind, &mut whole);
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
    let (mut floats, mut whole) = (Vec::<f32>::new(), Vec::<i16>::new());
    decode_samples(bytes, header.kind, &mut floats);
    decode_samples(bytes, header.kind, &mut whole);
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
    let file =
        riff(&[chunk(b"LIST", b"odd"), data, chunk(b"bext", &[0; 7]), chunk(b"fmt ", &fmt(1, 1, 8000, 16))]);
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
    assert_eq!((header.kind, header.channels, header.rate, header.frames()), (SampleKind::I32, 2, 96_000, 2));
    body[24] = 3;
    assert_eq!(parse(&riff(&[chunk(b"fmt ", &body), chunk(b"data", &[])])).unwrap().kind, SampleKind::F32);
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
    let file = riff(&[chunk(b"fmt ", &fmt(1, 1, 8000, 16)), chunk(b"data", &[]), chunk(b"LIST", &[1; 40])]);
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
    let with = |body: Vec<u8>| parse(&riff(&[chunk(b"fmt ", &body), chunk(b"data", &[0; 8])])).unwrap_err();
    assert!(with(fmt(7, 1, 8000, 8)).message().contains("0x0007"));
    assert!(with(fmt(1, 0, 8000, 16)).message().contains("channels"));
    assert!(with(fmt(1, 33, 8000, 16)).message().contains("channels"));
    assert!(with(fmt(1, 1, 0, 16)).message().contains("rate"));
    assert!(parse(b"OggS and something that is long enough").unwrap_err().message().contains("not a WAV"));
    let silent = riff(&[chunk(b"fmt ", &fmt(1, 1, 8000, 16))]);
    assert!(parse(&silent).unwrap_err().message().contains("no sound"));
}

#[test]
fn what_is_no_number_is_silence() {
    let bytes: Vec<u8> = [f32::NAN, f32::INFINITY, 2.0, -0.5].iter().flat_map(|f| f.to_le_bytes()).collect();
    let mut out: Vec<f32> = Vec::new();
    decode_samples(&bytes, SampleKind::F32, &mut out);
    assert_eq!(out, [0.0f32, 0.0, 2.0, -0.5]);
    let mut out: Vec<i16> = Vec::new();
    decode_samples(&bytes, SampleKind::F32, &mut out);
    assert_eq!(out, [0i16, 32_767, 32_767, -16_384]);
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
