//! Wires the rooms together and owns the threads: a client, a server.

mod capturing;
pub mod client;
mod describe;
mod feedback;
mod impairment;
mod notices;
mod outlet;
pub mod packet_log;
mod packets;
mod party;
pub mod place;
mod receiving;
mod reporting;
mod sending;
pub mod server;
mod sources;
mod stepper;
mod timed;
