//! One sender, one receiver: packets numbered, believed, counted, put in order. Pure.

pub mod queue;
pub mod sequence;
