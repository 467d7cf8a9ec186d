//! When a frame is heard. Pure: time and packets come in as arguments, sound goes out.

mod abroad;
pub mod buffer;
mod burg;
mod comfort;
pub mod conceal;
pub mod counters;
pub mod delay;
pub mod drift;
#[cfg(test)]
mod fit;
pub mod foresight;
mod grid;
pub mod histogram;
mod inlet;
mod interpolate;
mod kernel;
mod ledger;
pub mod listeners;
pub mod live;
pub mod mixer;
mod pauses;
pub mod peak;
pub mod player;
pub mod pulse;
pub mod render;
mod repetition;
pub mod resample;
mod schur;
pub mod stretch;
pub mod tap;
mod tape;
mod taps;
mod toeplitz;
pub mod transit;
mod trend;
pub mod whole;
pub mod window;
