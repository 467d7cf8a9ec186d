//! The built-in inputs: what gives sound without a device, at the pace of a clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::Sender;

use crate::engine::config::{Audio, Input};
use crate::engine::error::{Error, Result};
use crate::engine::time::Clock;

use super::Notice;
use super::capture::CaptureTarget;
use super::pacer::{Halt, Schedule};

/// What a [`Source`] did with the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// All of it is sound.
    Whole,
    /// All of it is sound, and it had to be waited for: the source has a pace of its own.
    Late,
    /// It has so many samples, and there will be no more.
    Last(usize),
    /// It has so many samples, and there will be no more because of this.
    Failed(usize, Error),
}

/// Something that gives sound, block by block.
pub(super) trait Source: Send + 'static {
    /// Fills `out` (interleaved, the stream's format). May wait, but not past the end that `halt` announces.
    fn fill(&mut self, out: &mut [i16], halt: &Halt) -> Filled;
}

/// Delivers `source` to `target` until it ends or `halt` says so; each block when a device would have recorded it.
pub(super) fn run(
    mut source: Box<dyn Source>,
    audio: &Audio,
    mut target: Box<dyn CaptureTarget>,
    notices: &Sender<Notice>,
    ended: &Arc<AtomicBool>,
    halt: &Halt,
) {
    let format = audio.format;
    let frames = audio.block.frames(format);
    let mut block = vec![0; frames * format.channels()];
    let mut schedule = Schedule::new(Clock::new(), format);
    while halt.get().is_none() {
        let filled = source.fill(&mut block, halt);
        if halt.get().is_some() {
            break;
        }
        let (samples, over) = match filled {
            Filled::Whole => (block.len(), false),
            Filled::Late => {
                schedule.rebase();
                target.captured(&block);
                continue;
            }
            Filled::Last(samples) => (samples, true),
            Filled::Failed(samples, error) => {
                let _ = notices.try_send(Notice::SourceFailed(error));
                (samples, true)
            }
        };
        let frames = samples / format.channels();
        if schedule.wait(frames, halt).is_some() {
            break;
        }
        if frames > 0 {
            target.captured(&block[..frames * format.channels()]);
        }
        if over {
            ended.store(true, Ordering::Release);
            target.ended();
            break;
        }
    }
}

/// Digital silence.
pub(super) struct Silence;

impl Source for Silence {
    fn fill(&mut self, out: &mut [i16], _: &Halt) -> Filled {
        out.fill(0);
        Filled::Whole
    }
}

/// What `input` is, for people.
pub(super) fn describe(input: &Input) -> String {
    match input {
        Input::Device(_) => "device".into(),
        Input::Tone => "tone of 440 Hz".into(),
        Input::Voice => "built-in voice".into(),
        Input::Silence => "silence".into(),
        Input::Stdin => "standard input".into(),
        Input::Push => "a program".into(),
        Input::File(path) => path.display().to_string(),
    }
}

/// The source that `input` names, or none where it is a device.
pub(super) fn make(input: &Input, audio: &Audio) -> Result<Option<Box<dyn Source>>> {
    Ok(Some(match input {
        Input::Device(_) | Input::Push => return Ok(None),
        Input::Tone => Box::new(super::tone::Tone::new(audio.format)),
        Input::Voice => Box::new(super::voice::Voice::new(audio.format)),
        Input::Silence => Box::new(Silence),
        Input::Stdin => Box::new(super::stdio::PipeSource::stdin()?),
        Input::File(path) => Box::new(super::file::FileSource::open(path, audio.format)?),
    }))
}
