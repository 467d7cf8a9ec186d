//! audiostream's engine: live sound over a network, measured. See ARCHITECTURE.md for the rooms.

pub mod engine;

/// Debug builds abort where an audio callback allocates.
#[cfg(debug_assertions)]
#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;
