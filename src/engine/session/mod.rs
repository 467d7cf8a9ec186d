//! Wires the rooms together and owns the threads: a client, a server.

pub mod client;
mod notices;
pub mod packet_log;
mod receiving;
pub mod server;
pub mod sources;
mod stepper;
