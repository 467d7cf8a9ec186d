//! One sender, one receiver: packets numbered, believed, counted, put in order. Pure.

mod standby;
mod decoding;
mod lately;
mod media_clock;
mod mended;
mod probation;
pub mod queue;
pub mod receiver;
pub mod reports;
pub mod sender;
pub mod sequence;
