//! The engine: sound in, packets out; packets in, sound out. Knows no Python.
//!
//! Arrows point one way: session → (net, audio, record) → (stream, playout) → (wire, codec) → plain value types.

pub mod ahead;
pub mod audio;
pub mod codec;
pub mod coding;
pub mod config;
pub mod error;
pub mod exact;
pub mod format;
pub mod key;
pub mod lab;
pub mod net;
pub mod networks;
pub mod playout;
pub mod printable;
pub mod rate;
pub mod record;
pub mod session;
pub mod sim;
pub mod stats;
pub mod stream;
pub mod time;
pub mod url;
pub mod wire;

#[cfg(test)]
pub mod counting;
