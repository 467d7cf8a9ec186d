//! Any file is read without panic, and without asking for more than there is.
#![no_main]

use std::io::Cursor;

use _engine::engine::codec::wav::{WavHeader, decode_samples};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let Ok(header) = WavHeader::parse(&mut Cursor::new(file)) else { return };
    let (mut floats, mut samples) = (Vec::<f32>::new(), Vec::<i16>::new());
    decode_samples(file, header.kind, &mut floats);
    decode_samples(file, header.kind, &mut samples);
    assert_eq!(floats.len(), samples.len());
});
