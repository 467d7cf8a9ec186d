//! One sender, one receiver: packets numbered, believed, counted, put in order. Pure.

mod beside;
mod clocks;
pub mod conform;
mod decoding;
pub mod digits;
mod lately;
mod media_clock;
mod mended;
mod probation;
pub mod queue;
pub mod receiver;
pub mod remedy;
pub mod repeat;
pub mod reports;
pub mod sender;
pub mod sequence;
mod standby;
mod voices;
