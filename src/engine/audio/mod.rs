//! Sound devices and the built-in ends that stand in for them.
//!
//! Guaranteed: what runs on an audio thread allocates, locks, logs and blocks on nothing (debug builds abort
//! where it does); a stream survives its device; no call of [`Capture`] or [`Playback`] waits for ever.
//! Not guaranteed: the size of the pieces that sound comes in. Targets and renders take any count.

pub mod capture;
pub mod device;
pub mod playback;

#[cfg(target_os = "linux")]
mod alsa;
mod cadence;
#[cfg(test)]
mod card;
mod convert;
mod fd;
mod file;
mod health;
mod meter;
mod microphone;
mod pacer;
mod plan;
pub mod priority;
pub mod push;
mod sink;
mod source;
mod speaker;
mod stdio;
mod tone;
mod voice;
mod watch;
mod wav;

use std::time::Duration;

pub use capture::{Capture, CaptureTarget};
pub use device::{DeviceInfo, host_apis, list_devices};
pub use playback::Playback;
pub use voice::synthesise as voice;

use super::error::Error;

/// The direction of a device's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It records.
    Microphone,
    /// It plays.
    Speaker,
}

/// What a stream has to say while it runs. Sent with `try_send`, never from an audio callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The audio thread runs without real-time priority, and why; at most once a stream.
    PriorityRefused(String),
    /// The device is gone, and how that was seen; the stream tries to get it back.
    DeviceLost {
        /// Which one.
        side: Side,
        /// How that was seen.
        reason: String,
    },
    /// The device, or the one that is the default now, is back.
    DeviceBack {
        /// Which one.
        side: Side,
        /// How long there was none.
        gap: Duration,
    },
    /// Buffers that ran over or dry since the last such notice.
    Xruns(u64),
    /// The device takes or gives any amount of sound at once: a clock paces it from now on; once a stream.
    Unpaced(Side),
    /// So many ran over or dry that the device was opened anew with a larger block, in frames.
    BlockGrown(usize),
    /// The file or the pipe takes no more sound (disk full, pipe closed); the stream goes on and discards it.
    SinkFailed(Error),
    /// The file or the pipe gives no more sound; the input ends here.
    SourceFailed(Error),
}
