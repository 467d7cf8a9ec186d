//! What the devices have to say, as log lines.

use crate::engine::audio::{Notice, Side};

/// Writes a notice to the log, under `target`.
pub fn report(target: &'static str, notice: &Notice) {
    match notice {
        Notice::PriorityRefused(why) => {
            log::info!(target: target, "no real-time priority for the sound: {why}");
        }
        Notice::DeviceLost { side: Side::Microphone, reason } => {
            log::warn!(target: target, "the microphone is away: silence goes on in its place, and it is looked for again: {reason}");
        }
        Notice::DeviceLost { side: Side::Speaker, reason } => {
            log::warn!(target: target, "the speaker is away: the sound goes on unheard, and it is looked for again: {reason}");
        }
        Notice::DeviceBack { side, gap } => {
            log::warn!(target: target, "the {} is back after {:.1} s", name(*side), gap.as_secs_f64());
        }
        Notice::Unpaced(side) => {
            log::warn!(target: target, "the {} takes or gives any amount of sound at once: a clock paces it", name(*side));
        }
        Notice::Xruns(count) => log::warn!(target: target, "the sound device ran over or dry {count} times"),
        Notice::BlockGrown(frames) => {
            log::warn!(target: target, "the sound device was opened anew with blocks of {frames} frames: it kept running dry");
        }
        Notice::SourceFailed(error) => {
            log::error!(target: target, "the input can no longer be read: {error}");
        }
        Notice::SinkFailed(error) => {
            log::error!(target: target, "the output can no longer be written: {error}");
        }
    }
}

fn name(side: Side) -> &'static str {
    match side {
        Side::Microphone => "microphone",
        Side::Speaker => "speaker",
    }
}
