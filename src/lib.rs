//! audiostream's engine: live sound over a network, measured. See ARCHITECTURE.md for the rooms.

#[cfg(feature = "python")]
#[allow(unsafe_code, missing_docs, reason = "what pyo3's macros write")]
mod bindings;
pub mod engine;

/// Debug builds abort where an audio callback allocates.
#[cfg(all(debug_assertions, not(test)))]
#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

/// Tests count memory besides.
#[cfg(all(debug_assertions, test))]
#[global_allocator]
static GUARD: engine::counting::Counting = engine::counting::Counting;
