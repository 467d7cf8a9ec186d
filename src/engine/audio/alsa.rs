//! ALSA's library writes what it thinks of a machine's configuration to standard error. Not in our process.

use std::ffi::{c_char, c_int};
use std::sync::Once;

/// From here on the library keeps silent; its functions still return their errors.
#[allow(unsafe_code, reason = "a C library's global handler can only be set from C")]
pub(super) fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let handler: Handler = ignore;
        // SAFETY: the library calls the handler with more arguments than it takes. Under the C calling conventions
        // of Linux the caller places and removes them, so one that looks at none of them may be called so.
        let handler = unsafe { std::mem::transmute::<Handler, Variadic>(handler) };
        // SAFETY: a function of the library's own, given a function that lives for ever.
        unsafe { snd_lib_error_set_handler(Some(handler)) };
    });
}

extern "C" fn ignore(_: *const c_char, _: c_int, _: *const c_char, _: c_int, _: *const c_char) {}

type Handler = extern "C" fn(*const c_char, c_int, *const c_char, c_int, *const c_char);
type Variadic = unsafe extern "C" fn(*const c_char, c_int, *const c_char, c_int, *const c_char, ...);

// cpal's ALSA backend links the library.
#[allow(unsafe_code, reason = "declared as in alsa/error.h")]
unsafe extern "C" {
    fn snd_lib_error_set_handler(handler: Option<Variadic>) -> c_int;
}
