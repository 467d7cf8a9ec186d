//! When a frame is heard. Pure: time and packets come in as arguments, sound goes out.

pub mod buffer;
pub mod burg;
pub mod conceal;
pub mod counters;
pub mod delay;
pub mod drift;
pub mod histogram;
pub mod inlet;
pub mod interpolate;
pub mod kernel;
pub mod live;
pub mod mixer;
pub mod player;
pub mod render;
pub mod repetition;
pub mod resample;
pub mod stretch;
pub mod tape;
pub mod toeplitz;
pub mod transit;
pub mod whole;
