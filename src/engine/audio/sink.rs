//! The built-in outputs: what takes sound without a device.
//!
//! `null` is paced by a clock and skips what is missing, as a device does. Files and pipes take what is there and
//! wait for what is not: a scheduling hiccup neither loses nor inserts a sample.

use crossbeam_channel::Sender;

use crate::engine::config::Audio;
use crate::engine::error::Result;
use crate::engine::format::to_i16;
use crate::engine::playout::render::{Render, Starved};
use crate::engine::record::wav::WavWriter;
use crate::engine::time::Clock;

use super::Notice;
use super::pacer::{Ending, Halt, Schedule};

/// Something that keeps sound.
pub(super) trait Sink: Send + 'static {
    /// Takes interleaved samples of the stream's format.
    fn write(&mut self, samples: &[i16]) -> Result<()>;
    /// There will be no more.
    fn finish(&mut self) -> Result<()>;
}

impl Sink for WavWriter {
    fn write(&mut self, samples: &[i16]) -> Result<()> {
        self.append(samples)
    }

    fn finish(&mut self) -> Result<()> {
        self.complete()
    }
}

/// Pulls a block each time one is due, and discards it.
pub(super) fn run_null(mut render: Box<dyn Render>, audio: &Audio, clock: Clock, halt: &Halt) {
    let frames = audio.block.frames(audio.format);
    let mut block = vec![0.0; frames * audio.format.channels()];
    let mut schedule = Schedule::new(clock, audio.format);
    while schedule.wait(frames, halt).is_none() {
        render.render(clock.now(), &mut block, Starved::Advance);
    }
}

/// Pulls what is ready and writes it, looking again each time a block is due.
pub(super) fn run_sink(
    mut render: Box<dyn Render>,
    sink: Box<dyn Sink>,
    audio: &Audio,
    clock: Clock,
    notices: &Sender<Notice>,
    halt: &Halt,
) -> Result<()> {
    let channels = audio.format.channels();
    let frames = audio.block.frames(audio.format);
    let mut block = vec![0.0; frames * channels];
    let mut samples = vec![0; frames * channels];
    let mut sink = Some(sink);
    let mut schedule = Schedule::new(clock, audio.format);
    let mut outcome = Ok(());
    loop {
        let ending = halt.get();
        if ending == Some(Ending::Abrupt) {
            break;
        }
        let starved = if ending.is_some() { Starved::Drain } else { Starved::Wait };
        let ready = render.render(clock.now(), &mut block, starved).min(frames);
        for (to, from) in samples.iter_mut().zip(&block[..ready * channels]) {
            *to = to_i16(*from);
        }
        if ready > 0
            && let Some(writing) = &mut sink
            && let Err(error) = writing.write(&samples[..ready * channels])
        {
            // What is on the disk stays as it is; the stream goes on.
            let _ = writing.finish();
            let _ = notices.try_send(Notice::SinkFailed(error.clone()));
            outcome = Err(error);
            sink = None;
        }
        if ready < frames {
            if ending.is_some() && ready == 0 {
                break;
            }
            // An ending wakes this early, and what is ready then is still taken.
            let _ = schedule.wait(frames, halt);
        }
    }
    match &mut sink {
        Some(sink) => sink.finish(),
        None => outcome,
    }
}
