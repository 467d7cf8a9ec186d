//! For tests: how much memory this thread has taken and not given back.

#![allow(unsafe_code, reason = "an allocator that counts and hands on")]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

use assert_no_alloc::AllocDisabler;

/// Counts for each thread, and aborts where an audio callback allocates.
pub struct Counting;

/// Bytes that this thread has allocated, less those that it has freed.
pub fn held() -> i64 {
    HELD.get()
}

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
}

// SAFETY: all is handed on as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get() + layout.size() as i64);
        // SAFETY: the caller's promises are the same.
        unsafe { AllocDisabler.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - layout.size() as i64);
        // SAFETY: the caller's promises are the same.
        unsafe { AllocDisabler.dealloc(place, layout) }
    }
}
