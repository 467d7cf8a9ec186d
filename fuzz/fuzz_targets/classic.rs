//! Any datagram is parsed without panic; what is believed is whole chunks.
#![no_main]

use _engine::engine::format::Format;
use _engine::engine::wire::classic;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| {
    for channels in 1..=2 {
        let Ok(format) = Format::new(8_000, channels) else { unreachable!("a valid format") };
        let parsed = classic::parse(packet, format);
        assert_eq!(parsed.is_ok(), classic::could_be(packet, format));
        if let Ok((_, pcm)) = parsed {
            assert_eq!(pcm.len() % classic::chunk_bytes(format), 0);
            assert!(!pcm.is_empty());
        }
    }
});
