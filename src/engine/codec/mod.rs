//! Frames of sound to bytes and back. Pure.

pub mod l16;
pub mod wav;
