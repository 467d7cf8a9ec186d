//! Any Opus payloads, in any order, with holes, snapshots and restorations between them: decoded or refused, and as long as they say.
#![no_main]

use _engine::engine::codec::{Decoder, Snapshot};
use _engine::engine::coding::{Coding, Encoding};
use _engine::engine::format::Format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, Vec<(u8, u16, Vec<u8>)>)| {
    let (stereo, steps) = input;
    let channels = 1 + usize::from(stereo);
    let encoding = Encoding { coding: Coding::Opus, format: Format::opus(channels) };
    let mut decoder = Decoder::new(encoding).expect("the fuzzer is built with Opus");
    let mut snapshot = Snapshot::default();
    let mut sound = Vec::new();
    for (choice, hole, payload) in steps.iter().take(8) {
        if choice & 1 != 0 {
            decoder.snapshot(&mut snapshot);
        }
        if choice & 2 != 0 {
            sound.clear();
            let frames = u32::from(*hole);
            let repaired = decoder.bridge(frames, payload, &mut sound);
            let bridged = frames.min(Decoder::MAX_BRIDGE_FRAMES);
            assert!(repaired <= bridged);
            assert_eq!(sound.len(), bridged as usize * channels);
        }
        sound.clear();
        let frames = decoder.frames(payload);
        let decoded = decoder.decode(payload, &mut sound);
        let expected = frames.filter(|_| decoded).unwrap_or(0);
        assert_eq!(sound.len(), expected as usize * channels);
        if choice & 4 != 0 {
            decoder.restore(&snapshot);
        }
    }
});
