//! Any text is read or refused without panic; what is read is bounded, and reads back the same once written.
#![no_main]

use _engine::engine::wire::sdp::Description;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    match Description::parse(&text) {
        Ok(description) => {
            assert!(description.first_sound().is_some() && description.port > 0);
            assert_eq!(Description::parse(&description.write()), Ok(description));
        }
        Err(error) => assert!(error.message().len() < 1_000),
    }
});
