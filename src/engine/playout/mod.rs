//! When a frame is heard. Pure: time and packets come in as arguments, sound goes out.

pub mod buffer;
pub mod delay;
pub mod drift;
pub mod histogram;
pub mod mixer;
pub mod player;
pub mod render;
pub mod resample;
pub mod stretch;
pub mod transit;
