//! The whole receive path of a server that has a key, with senders that have it and others that have not.
#![no_main]

mod receiving;

use std::sync::LazyLock;

use _engine::engine::key::Key;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&control, steps)) = input.split_first() else { return };
    let key = &SOME[usize::from(control & 3) % SOME.len()];
    receiving::run(Some(key), control & 4 == 0, steps);
});

static SOME: LazyLock<[Key; 3]> = LazyLock::new(|| KEYS.map(|text| Key::parse(text).expect("a key")));

const KEYS: [&str; 3] = [
    "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e",
    "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA==",
    "audiostream1:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
];
