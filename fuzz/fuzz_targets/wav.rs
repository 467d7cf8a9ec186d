//! Any file is read without panic, and without asking for more than there is.
#![no_main]

use std::io::Cursor;

use _engine::engine::codec::wav::{WavHeader, decode_f32, decode_i16};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let Ok(header) = WavHeader::parse(&mut Cursor::new(file)) else { return };
    let (mut floats, mut samples) = (Vec::new(), Vec::new());
    decode_f32(file, header.kind, &mut floats);
    decode_i16(file, header.kind, &mut samples);
    assert_eq!(floats.len(), samples.len());
});
