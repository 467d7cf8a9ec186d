//! What to ask of a device: the stream's own format where it has it, the nearest that can be converted where not.

use cpal::traits::DeviceTrait;
use cpal::{BufferSize, SampleFormat, StreamConfig, SupportedBufferSize, SupportedStreamConfigRange};

use crate::engine::config::{Audio, Latency};
use crate::engine::error::{Error, Result};
use crate::engine::format::Format;

use super::convert::Layout;
use super::device::{Purpose, trouble};

/// How a device is to be opened.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) config: StreamConfig,
    pub(super) sample: SampleFormat,
    pub(super) layout: Layout,
    /// For people.
    pub(super) description: String,
    /// Whether a larger block can be asked for.
    pub(super) may_grow: bool,
    /// Whether its callbacks may have real-time priority.
    pub(super) may_promote: bool,
}

impl Plan {
    /// Frames of the stream in a block of the device: of `reported` frames, or of as many as were asked for.
    pub(super) fn stream_frames(&self, reported: Option<u32>, format: Format) -> usize {
        let asked = match self.config.buffer_size {
            BufferSize::Fixed(frames) => frames,
            BufferSize::Default => self.layout.rate / 50,
        };
        let frames = u64::from(reported.filter(|frames| *frames > 0).unwrap_or(asked));
        (frames * u64::from(format.rate())).div_ceil(u64::from(self.layout.rate)) as usize
    }
}

/// The plan for `device`; `growth` multiplies the block, where the system takes it to be one.
pub(super) fn plan(device: &cpal::Device, purpose: Purpose, audio: &Audio, growth: u32) -> Result<Plan> {
    let refused = |e| trouble("the device does not say what it can do", &e);
    let (default, ranges): (_, Vec<SupportedStreamConfigRange>) = match purpose {
        Purpose::Record => (
            device.default_input_config().map_err(refused)?,
            device.supported_input_configs().map_err(refused)?.collect(),
        ),
        Purpose::Play => (
            device.default_output_config().map_err(refused)?,
            device.supported_output_configs().map_err(refused)?.collect(),
        ),
    };
    let format = audio.format;
    let (range, rate) = ranges
        .iter()
        .filter(|range| KNOWN.contains(&range.sample_format()))
        .map(|range| (range, fitting_rate(range, format.rate(), default.sample_rate())))
        .min_by_key(|(range, rate)| {
            let wanted = format.channels() as u16;
            let channels = range.channels();
            // Rate first: converting it costs the most. Then enough channels, then as few as that.
            let type_rank = match range.sample_format() {
                own if own == default.sample_format() => 0,
                SampleFormat::F32 => 1,
                SampleFormat::I16 => 2,
                _ => 3,
            };
            (rate.abs_diff(format.rate()), channels < wanted, channels.abs_diff(wanted), type_rank)
        })
        .ok_or_else(|| Error::device("the device has no sample type that is known here"))?;

    let id = device.id().ok();
    let host = id.as_ref().map_or("custom", |id| id.host().name()).to_ascii_lowercase();
    let block = audio.block.frames(format) as u64;
    let own_block = (block * u64::from(rate)).div_ceil(u64::from(format.rate())) as u32;
    let buffer_size = match (audio.latency, host.as_str()) {
        // What PulseAudio takes by itself is two seconds, which no live sound can wait for.
        (Latency::High, "pulseaudio") => {
            BufferSize::Fixed(within(own_block.saturating_mul(4), range.buffer_size()))
        }
        (Latency::High, _) | (_, "jack") => BufferSize::Default,
        // Periods that are no power of two overrun without end on PipeWire's plug-in (cpal issue 1250).
        (Latency::Low, "alsa") => BufferSize::Fixed(within(
            own_block.next_power_of_two().saturating_mul(growth),
            range.buffer_size(),
        )),
        (Latency::Low, _) => BufferSize::Fixed(within(own_block, range.buffer_size())),
    };
    let name = device.description().map_or_else(|_| "device".into(), |d| d.name().to_owned());
    let channels = range.channels();
    let sample = range.sample_format();
    // ALSA's plug-ins may spin on their descriptor: with real-time priority they would take a core for good.
    let on_a_card = id.as_ref().is_some_and(|id| id.id().contains("CARD="));
    Ok(Plan {
        config: StreamConfig { channels, sample_rate: rate, buffer_size },
        sample,
        layout: Layout { rate, channels: usize::from(channels) },
        description: format!("{name} ({host}, {rate} Hz, {channels} ch, {sample})"),
        may_grow: host == "alsa" && buffer_size != BufferSize::Default,
        may_promote: host != "alsa" || on_a_card,
    })
}

/// The stream's rate where the range has it, else the device's own, else the nearest.
fn fitting_rate(range: &SupportedStreamConfigRange, wanted: u32, own: u32) -> u32 {
    let (low, high) = (range.min_sample_rate(), range.max_sample_rate());
    if (low..=high).contains(&wanted) { wanted } else { own.clamp(low, high) }
}

fn within(frames: u32, range: &SupportedBufferSize) -> u32 {
    match range {
        SupportedBufferSize::Range { min, max } if min <= max => frames.clamp(*min, *max),
        _ => frames,
    }
}

/// The sample types that are converted here; a device with none of them is reached through the system's own layer.
const KNOWN: [SampleFormat; 3] = [SampleFormat::I16, SampleFormat::F32, SampleFormat::I32];
