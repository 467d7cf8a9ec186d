//! audiostream's engine: live sound over a network, measured. See ARCHITECTURE.md for the rooms.

pub mod engine;
