//! Frames of sound to bytes and back. Pure.

pub mod decoder;
pub mod encoder;
pub mod g711;
pub mod l16;
pub mod l24;
#[cfg_attr(not(feature = "opus"), path = "opus_absent.rs")]
mod opus;
pub mod toc;
pub mod wav;

pub use decoder::{Decoder, Snapshot};
pub use encoder::{Encoder, MIN_BITRATE, Settings};
