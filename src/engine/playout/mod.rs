//! When a frame is heard. Pure: time and packets come in as arguments, sound goes out.

pub mod buffer;
pub mod burg;
pub mod cholesky;
pub mod conceal;
pub mod interpolate;
pub mod kernel;
pub mod repetition;
pub mod toeplitz;
