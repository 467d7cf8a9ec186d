//! A bad network, bad clocks and a sound card, all invented: seeded, in virtual time. Pure, and always compiled.
//!
//! Tests, benches and the `--network` option share the one [`link::Link`]; nothing else imitates loss.

pub mod clock;
pub mod config;
pub mod draw;
pub mod link;
pub mod mahimahi;
pub mod outbox;
pub mod presets;
pub mod scenario;
pub mod tcp;
pub mod trace;
