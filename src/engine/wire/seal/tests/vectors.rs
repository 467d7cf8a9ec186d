//! What the RFCs print, and what libsrtp makes (by Python's `pylibsrtp` 1.0.0).

use super::super::cipher::{Cipher, Place};
use super::super::gcm::Gcm;
use super::*;

/// RFC 7714 §16.1.1.
#[test]
fn aes_128_gcm_seals_sound_as_the_rfc_does() {
    let place = Place { ssrc: 0x5501_a0b2, index: 0xf17b, is_rtcp: false };
    let mut packet = hex("8040f17b8041f8d35501a0b2");
    packet.extend(b"Gallia est omnis divisa in partes tres");
    let sealed = hex(
        "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833\
         899d7f27beb16a9152cf765ee4390cce",
    );
    assert_eq!(with_the_rfcs_session_key(packet, 12, place), sealed);
}

/// RFC 7714 §17.1: header, ciphertext, tag; then E flag and index.
#[test]
fn aes_128_gcm_seals_reports_as_the_rfc_does() {
    let place = Place { ssrc: 0x4d61_7273, index: 0x5d4, is_rtcp: true };
    let packet = hex(
        "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
    );
    let sealed = hex(
        "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275b\
         c84aa45896cf4d2fc5abf87245d9eade",
    );
    assert_eq!(with_the_rfcs_session_key(packet, 8, place), sealed);
    assert_eq!(place.word(), 0x8000_05d4);
}

#[test]
fn sound_is_sealed_as_libsrtp_seals_it() {
    for (name, way, form) in STREAMS {
        let mut sealer = Sealer::new(&key(form), way, OUR_NONCE, SSRC);
        if way != Way::ToServer {
            sealer = Sealer::new(&key(form), way, SERVER, SSRC);
        }
        let mut opener = Opener::new(&key(form), way, SSRC, Opener::SEARCH);
        for (n, packet) in SOUND.iter().enumerate() {
            if n == 3 {
                sealer.skip_to(0x3_4001, 0);
                // Under its rule (RFC 3711 §3.3.1) an opener that slept through two wraps knows no better than a new one.
                opener = Opener::new(&key(form), way, SSRC, Opener::SEARCH);
            }
            let packet = hex(packet);
            let sealed = seal(&mut sealer, &packet);
            let theirs = hex(name.sound[n]);
            let tail = &sealed[theirs.len()..];
            assert_eq!(sealed[..theirs.len()], theirs, "{form:?} {n}");
            match form {
                KeyForm::Audiostream => {
                    assert_eq!(tail[..4], [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 3]][n]);
                    assert_eq!(tail[4..], if way == Way::ToServer { OUR_NONCE } else { SERVER }.0);
                }
                KeyForm::AesCm | KeyForm::AesGcm => assert!(tail.is_empty()),
            }
            assert_eq!(sealed.len() - packet.len(), super::super::rtp_overhead(form));
            assert_eq!(open(&mut opener, &sealed), Ok(packet), "{form:?} {n}");
        }
    }
}

#[test]
fn reports_are_sealed_as_libsrtp_seals_them() {
    for (name, way, form) in STREAMS {
        let nonce = if way == Way::ToServer { OUR_NONCE } else { SERVER };
        let mut sealer = Sealer::new(&key(form), way, nonce, SSRC);
        let mut opener = Opener::new(&key(form), way, SSRC, 0);
        // libsrtp counts from one.
        sealer.skip_to(0, 1);
        for theirs in name.reports.map(hex) {
            let packet = hex(REPORT);
            let sealed = seal_report(&mut sealer, &packet);
            assert_eq!(sealed[..theirs.len()], theirs, "{form:?}");
            assert_eq!(sealed.len() - packet.len(), super::super::rtcp_overhead(form));
            assert_eq!(open_report(&mut opener, &sealed), Ok(packet));
        }
    }
}

fn with_the_rfcs_session_key(mut packet: Vec<u8>, header: usize, place: Place) -> Vec<u8> {
    let key = std::array::from_fn(|n| n as u8);
    let cipher = Cipher::Gcm(Box::new(Gcm::new(&key, b"Quid pro quo")));
    cipher.apply(place, &mut packet[header..]);
    let digest = cipher.digest(&packet[..header], &packet[header..], place);
    cipher.write_tag(&digest, place, &mut packet);
    packet
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|digits| u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap())
        .collect()
}

struct Libsrtp {
    sound: [&'static str; 4],
    reports: [&'static str; 2],
}

const OUR_NONCE: Nonce = Nonce(0xa0a1_a2a3_a4a5_a6a7_a8a9_aaab_acad_aeaf_u128.to_be_bytes());
const SERVER: Nonce = Nonce(0xc0c1_c2c3_c4c5_c6c7_c8c9_cacb_cccd_cecf_u128.to_be_bytes());

const STREAMS: [(Libsrtp, Way, KeyForm); 4] = [
    (AES_CM, Way::ToServer, KeyForm::AesCm),
    (AES_GCM, Way::ToServer, KeyForm::AesGcm),
    (TO_SERVER, Way::ToServer, KeyForm::Audiostream),
    (TO_CLIENT, Way::ToClient(OUR_NONCE), KeyForm::Audiostream),
];

/// Sequence 65534; 65535 without payload; 1 after the wrap, with a contributing source and an extension; 0x7001 after the
/// third wrap.
const SOUND: [&str; 4] = [
    "800bfffe01b8fc8e0a0b0c0d000102030405060708090a0b0c0d0e0f10111213",
    "800bffff01b8fe470a0b0c0d",
    "910b0001000001b90a0b0c0d11223344bede000110ff0000000102",
    "800b700100c0f1b90a0b0c0d000102030405060708090a0b0c0d0e0f10111213",
];
const REPORT: &str = "80c900010a0b0c0d81ca00020a0b0c0d01016100";

const AES_CM: Libsrtp = Libsrtp {
    sound: [
        "800bfffe01b8fc8e0a0b0c0d0e056bb8885eb8b9f4fa2c29936b1f3fbc6b1f76301ad59dea4aedf517aa",
        "800bffff01b8fe470a0b0c0da54b7e6f71ecec98945d",
        "910b0001000001b90a0b0c0d11223344bede000110ff00004eaea1b9e5bdfcd7d0559a2491",
        "800b700100c0f1b90a0b0c0da4580ee7021f78054513aafb89ce7a56e712ee44c5a6a0181e8a7a5524b2",
    ],
    reports: [
        "80c900010a0b0c0df38132dee4b655d4ec260e6b80000001460842b8916cb2a99e7c",
        "80c900010a0b0c0df4563e887d00616ace860bea800000024a625e15e1c9d1db25b3",
    ],
};

const AES_GCM: Libsrtp = Libsrtp {
    sound: [
        "800bfffe01b8fc8e0a0b0c0d336521fe031991309b15c2d6cd87bdc320832309d91676b98444a79283aeefc9147cb36f",
        "800bffff01b8fe470a0b0c0dc1b1d734e1fe0726a90035d01fa5062c",
        "910b0001000001b90a0b0c0d11223344bede000110ff0000b63273cc52af739220fed63c5b57c9ba5843ac",
        "800b700100c0f1b90a0b0c0de3c57d6dad9198ce1e002ef29e34d093cb92041163986d4dbe15556d297ff1ac2bbd1e1f",
    ],
    reports: [
        "80c900010a0b0c0db8acd67fdb0ed5d21c2efb80461bb9e2e000b19b4791c1b94efb0b7680000001",
        "80c900010a0b0c0d56960f5f725a6a035d998ab05299ce392ef3590bca15b799968a3f4180000002",
    ],
};

/// By libsrtp under the master key that Python's `hmac` derives from the secret, the direction and the client's nonce.
const TO_SERVER: Libsrtp = Libsrtp {
    sound: [
        "800bfffe01b8fc8e0a0b0c0dabedc4b0b1601f70102a53084ff38737406a05dbd6de6e732a01966433bfc9aaf327d7b6",
        "800bffff01b8fe470a0b0c0d8022a88650f0d577d219a6e719d1cfff",
        "910b0001000001b90a0b0c0d11223344bede000110ff0000e7a86552c526d24bc54680fb530f0c0899d289",
        "800b700100c0f1b90a0b0c0d3c7a91a8b85dc3d4ae91d23690ce830ddd5037752036fefc8b06c0b0a2880ac87941b644",
    ],
    reports: [
        "80c900010a0b0c0d2175938de97a3f57319d96bd4f885bfcf712d465389f72f437c0167a80000001",
        "80c900010a0b0c0d26d82785fd901b71de693adcfc2105cd0878066b7125852cac30872380000002",
    ],
};

/// The same for an answer: from the client's nonce and the server's.
const TO_CLIENT: Libsrtp = Libsrtp {
    sound: [
        "800bfffe01b8fc8e0a0b0c0d181000e0a40b2b88863e8438934b7f3510b0276de5c9ce61a0460aaffd1d47e70cb69cf0",
        "800bffff01b8fe470a0b0c0d27a50e9a89bc9f9b5b246288cc8ebfc7",
        "910b0001000001b90a0b0c0d11223344bede000110ff0000cbba8d9fcb2134f6db08c84a4e6ccf23c89b25",
        "800b700100c0f1b90a0b0c0dc8acd8d1b96f65fc96d1cd14f635fcf5337bae152e208a713fad4706a52cd5fabfaa393a",
    ],
    reports: [
        "80c900010a0b0c0d50aa0256f0c9d3a38465d050b468dc6bb57a52002d03ed1c6b03bdeb80000001",
        "80c900010a0b0c0da851c792383d42806e4042486b8bab9d6359ede65c632450f4a2091780000002",
    ],
};
