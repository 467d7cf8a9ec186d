//! The whole receive path of a server that has no key.
#![no_main]

mod receiving;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| receiving::run(None, false, input));
