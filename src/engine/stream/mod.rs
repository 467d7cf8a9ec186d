//! One sender, one receiver: packets numbered, believed, counted, put in order. Pure.

mod decoding;
mod media_clock;
mod probation;
pub mod queue;
pub mod receiver;
pub mod reports;
pub mod sender;
pub mod sequence;
