//! Memory that is asked for before it is needed. Where many sources take turns, each finds its own in no near cache, and
//! waiting for it, line by line, would be most of the work.
//!
//! Guaranteed: a hint. Nothing is read or changed by it, and where there is no such instruction nothing is done.

/// The processor may fetch the place.
#[inline]
pub fn fetch<T: ?Sized>(what: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let from = std::ptr::from_ref(what).cast::<i8>();
        for at in (0..size_of_val(what)).step_by(LINE) {
            #[allow(unsafe_code, reason = "the instruction has no safe name")]
            // SAFETY: prefetching touches nothing that a program could see, wherever it points; and this is a live object.
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(at));
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = what;
}

/// A line of the cache, bytes.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;
