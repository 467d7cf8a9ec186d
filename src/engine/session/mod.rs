//! Wires the rooms together and owns the threads: a client, a server.

mod capturing;
pub mod client;
mod complaints;
mod describe;
mod doors;
pub mod events;
mod feedback;
pub mod forwarding;
pub mod frames;
mod hearing;
pub mod hop;
mod impairment;
mod mouth;
mod notices;
mod outlet;
mod overheard;
pub mod packet_log;
mod packets;
mod party;
pub mod place;
mod receiving;
pub mod recorders;
mod reporting;
mod sealing;
mod sending;
pub mod server;
pub mod sources;
mod stepper;
mod talking;
mod timed;
mod toil;
mod tracks;
mod transport;
mod wiretap;

pub use reporting::Way;

#[cfg(test)]
mod access_tests;
#[cfg(test)]
mod sealed_tests;
