//! What SRTP costs for a packet of 10 ms: to seal it, to open it, and to refuse one that a stranger made, as the first of its
//! source (all of the search) and later. Against a copy of the same bytes.

#![allow(clippy::similar_names, reason = "sealer and sealed, opener and opened")]

use std::hint::black_box;

use _engine::engine::key::Key;
use _engine::engine::wire::rtp::RtpHeader;
use _engine::engine::wire::seal::{Nonce, Opener, Sealer, Way};
use divan::Bencher;
use divan::counter::BytesCount;

fn main() {
    divan::main();
}

#[divan::bench]
fn copy(bencher: Bencher) {
    let packet = packet(0);
    let mut out = Vec::with_capacity(packet.len());
    bencher.counter(BytesCount::new(packet.len())).bench_local(|| {
        out.clear();
        out.extend_from_slice(black_box(&packet));
        black_box(out.len())
    });
}

#[divan::bench(args = FORMS)]
fn seal(bencher: Bencher, form: &Form) {
    let mut packet = packet(0);
    let mut sealer = sealer(form);
    let mut sealed = Vec::with_capacity(1_500);
    let mut sequence = 0_u16;
    bencher.counter(BytesCount::new(packet.len())).bench_local(|| {
        sequence = sequence.wrapping_add(1);
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        sealer.seal_rtp(black_box(&packet), &mut sealed).expect("the next packet");
        black_box(sealed.len())
    });
}

#[divan::bench(args = FORMS)]
fn open(bencher: Bencher, form: &Form) {
    let mut sealer = sealer(form);
    let stream: Vec<Vec<u8>> = (0..STREAM)
        .map(|n| {
            let mut sealed = Vec::new();
            sealer.seal_rtp(&packet(n as u16), &mut sealed).expect("the next packet");
            sealed
        })
        .collect();
    let mut opened = Vec::with_capacity(1_500);
    let (mut opener, mut at) = (opener(form), 0);
    bencher.counter(BytesCount::new(packet(0).len())).bench_local(|| {
        if at == stream.len() {
            // One key derivation in as many packets as a minute has.
            (opener, at) = (self::opener(form), 0);
        }
        opener.open_rtp(black_box(&stream[at]), &mut opened).expect("the next packet");
        at += 1;
        black_box(opened.len())
    });
}

#[divan::bench(args = FORMS)]
fn refuse(bencher: Bencher, form: &Form) {
    let (mut sealer, mut opener) = (sealer(form), opener(form));
    let (mut sealed, mut opened) = (Vec::new(), Vec::with_capacity(1_500));
    sealer.seal_rtp(&packet(0), &mut sealed).expect("the first packet");
    opener.open_rtp(&sealed, &mut opened).expect("the first packet");
    sealer.seal_rtp(&packet(1), &mut sealed).expect("the second packet");
    sealed[500] ^= 1;
    bencher.bench_local(|| opener.open_rtp(black_box(&sealed), &mut opened).is_err());
}

#[divan::bench(args = FORMS)]
fn refuse_a_stranger(bencher: Bencher, form: &Form) {
    let key = form.key();
    let mut opened = Vec::with_capacity(1_500);
    let mut forged = packet(1);
    forged.extend([0; 36]);
    bencher.bench_local(|| {
        let mut opener = Opener::new(&key, Way::ToServer, SSRC, Opener::SEARCH);
        opener.open_rtp(black_box(&forged), &mut opened).is_err()
    });
}

struct Form(&'static str, &'static str);

impl Form {
    fn key(&self) -> Key {
        Key::parse(self.1).expect("a key")
    }
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

fn sealer(form: &Form) -> Sealer {
    Sealer::new(&form.key(), Way::ToServer, Nonce([1; 16]), SSRC)
}

fn opener(form: &Form) -> Opener {
    Opener::new(&form.key(), Way::ToServer, SSRC, Opener::SEARCH)
}

/// 10 ms of mono at 44.1 kHz, and the header.
fn packet(sequence: u16) -> Vec<u8> {
    let header = RtpHeader { payload_type: 11, sequence, timestamp: 0, ssrc: SSRC, marker: false };
    let mut packet = header.to_bytes().to_vec();
    packet.extend((0..882).map(|n| (n * 31) as u8));
    packet
}

const FORMS: [Form; 3] = [
    Form("AES_CM_128_HMAC_SHA1_80", "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e"),
    Form("AEAD_AES_128_GCM", "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA=="),
    Form("audiostream", "audiostream1:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="),
];
const SSRC: u32 = 7;
const STREAM: usize = 6_000;
