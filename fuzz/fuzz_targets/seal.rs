//! No bytes are opened that were not sealed, whatever the key; a sealed packet, bent by the input, is opened only if it came
//! through whole, and once. Any text is a key or is refused.
#![no_main]

use _engine::engine::key::Key;
use _engine::engine::wire::seal::{Nonce, Opener, Sealer, Way};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(key) = Key::parse(&String::from_utf8_lossy(input)) {
        assert_eq!(Key::parse(&key.reveal()).expect("what is written is read"), key);
    }
    let Some((&[control, at, bend], bytes)) = input.split_first_chunk() else { return };
    let key = Key::parse(KEYS[usize::from(control) % KEYS.len()]).expect("a key");
    let ssrc = |offset: usize| {
        bytes.get(offset..offset + 4).map_or(7, |b| u32::from_be_bytes(b.try_into().expect("4")))
    };
    let mut out = Vec::new();

    // Under a key that nothing is sealed with: the fuzzer learns what it sees compared, and so what is authentic.
    let unused = Key::parse(UNUSED[usize::from(control) % UNUSED.len()]).expect("a key");
    let mut opener = Opener::new(&unused, Way::ToServer, ssrc(8), 2);
    assert!(opener.open_rtp(bytes, &mut out).is_err() && out.is_empty());
    let mut opener = Opener::new(&unused, Way::ToServer, ssrc(4), 2);
    assert!(opener.open_rtcp(bytes, &mut out).is_err() && out.is_empty());

    let mut opener = Opener::new(&key, Way::ToServer, ssrc(8), 2);
    let mut sealer = Sealer::new(&key, Way::ToServer, Nonce([1; 16]), ssrc(8));
    let mut sealed = Vec::new();
    if sealer.seal_rtp(bytes, &mut sealed).is_ok() {
        let bent = bent(&sealed, at, bend);
        assert_eq!(opener.open_rtp(&bent, &mut out).is_ok(), bent == sealed);
        assert_eq!(opener.open_rtp(&sealed, &mut out).is_ok(), bent != sealed);
        assert!(bent == sealed || out == bytes);
    }

    let mut opener = Opener::new(&key, Way::ToServer, ssrc(4), 2);
    let mut sealer = Sealer::new(&key, Way::ToServer, Nonce([1; 16]), ssrc(4));
    if sealer.seal_rtcp(bytes, &mut sealed).is_ok() {
        let bent = bent(&sealed, at, bend);
        assert_eq!(opener.open_rtcp(&bent, &mut out).is_ok(), bent == sealed);
        assert_eq!(opener.open_rtcp(&sealed, &mut out).is_ok(), bent != sealed);
        assert!(bent == sealed || out == bytes);
    }
});

/// One byte changed, or cut off behind it.
fn bent(sealed: &[u8], at: u8, bend: u8) -> Vec<u8> {
    let at = usize::from(at) * sealed.len() / 256;
    let mut bent = sealed.to_vec();
    if bend == 0xff {
        bent.truncate(at);
    } else {
        bent[at] ^= bend;
    }
    bent
}

const KEYS: [&str; 3] = [
    "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e",
    "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA==",
    "audiostream1:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
];

const UNUSED: [&str; 3] = [
    "4QIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e",
    "4QIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA==",
    "audiostream1:4QIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
];
