//! What the devices have to say, as log lines.

use crate::engine::audio::Notice;

/// Writes a notice to the log, under `target`.
pub fn report(target: &'static str, notice: &Notice) {
    match notice {
        Notice::PriorityRefused(why) => {
            log::info!(target: target, "no real-time priority for the sound: {why}");
        }
        Notice::DeviceLost(why) => {
            log::warn!(target: target, "sound device lost, trying to open it again: {why}");
        }
        Notice::DeviceBack { gap } => {
            log::warn!(target: target, "sound device is back after {:.1} s", gap.as_secs_f64());
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
