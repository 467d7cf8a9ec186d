//! A WAV file as an input: every frame once, in real time; other rates and channels are converted on the way.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::Format;

use super::convert::{Intake, Layout};
use super::pacer::Halt;
use super::source::{Filled, Source};
use super::wav::Reader;

/// The file.
pub(super) struct FileSource {
    path: PathBuf,
    reader: Reader,
    conversion: Option<Conversion>,
}

struct Conversion {
    intake: Intake,
    raw: Vec<i16>,
    ready: VecDeque<i16>,
    /// Samples of the converter's delay, still to be dropped.
    skip: usize,
    /// Samples that the whole file becomes, still to be given.
    left: usize,
    /// Pieces of silence pushed after the end.
    pushed_on: u32,
}

impl FileSource {
    /// Checks the file; nothing is streamed yet.
    pub(super) fn open(path: &Path, format: Format) -> Result<Self> {
        let reader = Reader::open(path)?;
        let layout = Layout { rate: reader.rate, channels: reader.channels };
        let same = layout.rate == format.rate() && layout.channels == format.channels();
        let conversion = if same {
            None
        } else {
            let intake = Intake::new(layout, format)?;
            let frames = u128::from(reader.left) * u128::from(format.rate()) / u128::from(layout.rate);
            Some(Conversion {
                skip: intake.delay() * format.channels(),
                left: usize::try_from(frames).unwrap_or(usize::MAX / 4) * format.channels(),
                intake,
                raw: vec![0; PIECE_FRAMES * layout.channels],
                ready: VecDeque::new(),
                pushed_on: 0,
            })
        };
        Ok(Self { path: path.to_owned(), reader, conversion })
    }

    fn trouble(&self, error: &std::io::Error) -> Error {
        Error::io(ErrorKind::Recording, format!("cannot read {}", self.path.display()), error)
    }
}

impl Source for FileSource {
    fn fill(&mut self, out: &mut [i16], _: &Halt) -> Filled {
        let read = match &mut self.conversion {
            None => self.reader.read(out),
            Some(conversion) => conversion.read(&mut self.reader, out),
        };
        match read {
            Ok(samples) if samples == out.len() => Filled::Whole,
            Ok(samples) => Filled::Last(samples),
            Err(error) => Filled::Failed(0, self.trouble(&error)),
        }
    }
}

impl Conversion {
    fn read(&mut self, reader: &mut Reader, out: &mut [i16]) -> std::io::Result<usize> {
        let mut wanted = out.len().min(self.left);
        while self.ready.len() < wanted {
            let samples = reader.read(&mut self.raw)?;
            // At the end the converter is pushed on with silence, until it has given all.
            self.raw[samples..].fill(0);
            if samples == 0 {
                self.pushed_on += 1;
                if self.pushed_on > 2 {
                    // The file is shorter than its header says.
                    self.left = self.ready.len();
                    break;
                }
            }
            let (ready, skip) = (&mut self.ready, &mut self.skip);
            self.intake.push(&self.raw, |sound| {
                let drop = sound.len().min(*skip);
                *skip -= drop;
                ready.extend(&sound[drop..]);
            });
        }
        wanted = wanted.min(self.left);
        for (to, from) in out.iter_mut().zip(self.ready.drain(..wanted)) {
            *to = from;
        }
        self.left -= wanted;
        Ok(wanted)
    }
}

/// Frames read at once.
const PIECE_FRAMES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::record::wav::WavWriter;

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("audiostream-{}-{name}.wav", std::process::id()))
    }

    fn read_all(path: &Path, format: Format) -> Vec<i16> {
        let mut source = FileSource::open(path, format).unwrap();
        let mut all = Vec::new();
        let mut block = vec![0; 441 * format.channels()];
        loop {
            match source.fill(&mut block, &Halt::default()) {
                Filled::Whole => all.extend_from_slice(&block),
                Filled::Last(samples) => {
                    all.extend_from_slice(&block[..samples]);
                    return all;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_file_of_the_streams_format_comes_out_as_it_is() {
        let path = scratch("same");
        let sound: Vec<i16> = (0..1000).map(|n| n * 31).collect();
        let mut writer = WavWriter::create(&path, Format::DEFAULT).unwrap();
        writer.append(&sound).unwrap();
        writer.finish().unwrap();
        assert_eq!(read_all(&path, Format::DEFAULT), sound);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_of_another_rate_and_channels_keeps_its_length_and_sound() {
        let path = scratch("other");
        let format = Format::new(48_000, 2).unwrap();
        let at =
            |n: usize, rate: f64| ((n as f64 * 500.0 * std::f64::consts::TAU / rate).sin() * 8000.0) as i16;
        let sound: Vec<i16> = (0..48_000).flat_map(|n| [at(n, 48_000.0); 2]).collect();
        let mut writer = WavWriter::create(&path, format).unwrap();
        writer.append(&sound).unwrap();
        writer.finish().unwrap();
        let heard = read_all(&path, Format::DEFAULT);
        assert_eq!(heard.len(), 44_100);
        for n in (1000..43_000).step_by(977) {
            // Half a sample of delay would be 285.
            assert!((heard[n] - at(n, 44_100.0)).abs() < 140, "{n}: {} {}", heard[n], at(n, 44_100.0));
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_is_no_wav_file_is_refused_when_opened() {
        let path = scratch("text");
        std::fs::write(&path, "no sound here, only words, and more than twelve of them").unwrap();
        let refusal = |path: &Path| FileSource::open(path, Format::DEFAULT).err().unwrap();
        assert_eq!(refusal(&path).kind(), ErrorKind::Recording);
        assert!(refusal(&path).message().contains("is not a WAV file"));
        assert!(refusal(&scratch("nowhere")).errno().is_some());
        assert!(refusal(&std::env::temp_dir()).message().contains("folder"));
        std::fs::remove_file(path).unwrap();
    }
}
