//! Where a client's sound comes from, and where a server's goes.

use std::path::PathBuf;

use crate::engine::error::{Error, Result};

/// Which device of a host: the default one, one by its place in the list, or by its name or a part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The system's default.
    #[default]
    Default,
    /// The index that `list_devices` shows.
    Index(usize),
    /// The whole name, or a part of exactly one name, in any case.
    Name(String),
}

/// Where a client's sound comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A microphone.
    Device(DeviceChoice),
    /// A sine of 440 Hz at -12 dBFS.
    Tone,
    /// A short speech-like sound of our own, repeated.
    Voice,
    /// Digital silence.
    Silence,
    /// PCM (`i16`, little-endian, interleaved) from standard input, until it ends.
    Stdin,
    /// What a program writes, until it says that it ends.
    Push,
    /// A WAV file, streamed in real time, until it ends.
    File(PathBuf),
}

impl Input {
    /// From the words of `--input` and `input=`: `tone`, `voice`, `silence`, `push`, `-`, `file:PATH`, an index, or a device's name.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "tone" => Self::Tone,
            "voice" => Self::Voice,
            "silence" => Self::Silence,
            "push" => Self::Push,
            "-" => Self::Stdin,
            _ => match text.strip_prefix("file:") {
                Some("") => return Err(Error::config("file: needs a path, as in file:speech.wav")),
                Some(path) => Self::File(path.into()),
                None => Self::Device(device_choice(text)),
            },
        })
    }

    /// Whether it ends by itself.
    pub const fn is_finite(&self) -> bool {
        matches!(self, Self::Stdin | Self::Push | Self::File(_))
    }
}

/// Where a server's sound goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A speaker.
    Device(DeviceChoice),
    /// Nothing is played at all: sources are counted, and recorded where that is wanted.
    None,
    /// Nowhere, at the pace of a clock.
    Null,
    /// PCM (`i16`, little-endian, interleaved) to standard output.
    Stdout,
    /// A WAV file: from the first sound to the last, silence between them at its length.
    File(PathBuf),
}

impl Output {
    /// From the words of `--output` and `output=`: `none`, `null`, `-`, `file:PATH`, an index, or a device's name.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "none" => Self::None,
            "null" => Self::Null,
            "-" => Self::Stdout,
            _ => match text.strip_prefix("file:") {
                Some("") => return Err(Error::config("file: needs a path, as in file:heard.wav")),
                Some(path) => Self::File(path.into()),
                None => Self::Device(device_choice(text)),
            },
        })
    }
}

impl Output {
    /// Whether everything is wanted, however late, and not what is due now.
    pub const fn is_whole(&self) -> bool {
        matches!(self, Self::Stdout | Self::File(_))
    }
}

fn device_choice(text: &str) -> DeviceChoice {
    match text {
        "" | "default" => DeviceChoice::Default,
        _ => text.parse().map_or_else(|_| DeviceChoice::Name(text.into()), DeviceChoice::Index),
    }
}
