#![allow(clippy::similar_names, reason = "sealer and sealed, opener and opened")]

mod hostile;
mod rollover;
mod vectors;

use super::{Nonce, Opener, Sealer, Way};
use crate::engine::key::{Key, KeyForm};
use crate::engine::wire::rtp::RtpHeader;

const FORMS: [KeyForm; 3] = [KeyForm::AesCm, KeyForm::AesGcm, KeyForm::Audiostream];
const SSRC: u32 = 0x0a0b_0c0d;
const NONCE: Nonce = Nonce([0xa5; 16]);

fn key(form: KeyForm) -> Key {
    match form {
        KeyForm::AesCm => Key::parse("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e").unwrap(),
        KeyForm::AesGcm => Key::parse("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA==").unwrap(),
        KeyForm::Audiostream => Key::from_random(std::array::from_fn(|n| 0x40 + n as u8)),
    }
}

fn sealer(form: KeyForm) -> Sealer {
    Sealer::new(&key(form), Way::ToServer, NONCE, SSRC)
}

fn opener(form: KeyForm) -> Opener {
    Opener::new(&key(form), Way::ToServer, SSRC, Opener::SEARCH)
}

fn sound(sequence: u16, len: usize) -> Vec<u8> {
    let header = RtpHeader { payload_type: 11, sequence, timestamp: 7, ssrc: SSRC, ..RtpHeader::default() };
    let mut packet = header.to_bytes().to_vec();
    packet.extend((0..len).map(|n| (n * 31) as u8));
    packet
}

/// An empty receiver report, and something behind it.
fn report(behind: usize) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend(SSRC.to_be_bytes());
    packet.extend((0..behind).map(|n| n as u8));
    packet
}

fn seal(sealer: &mut Sealer, packet: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::new();
    sealer.seal_rtp(packet, &mut sealed).unwrap();
    sealed
}

fn seal_report(sealer: &mut Sealer, packet: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::new();
    sealer.seal_rtcp(packet, &mut sealed).unwrap();
    sealed
}

fn open(opener: &mut Opener, sealed: &[u8]) -> Result<Vec<u8>, super::Refused> {
    let mut opened = vec![1, 2, 3];
    let result = opener.open_rtp(sealed, &mut opened);
    assert!(result.is_ok() || opened.is_empty(), "what is refused leaves nothing behind");
    result.map(|()| opened)
}

fn open_report(opener: &mut Opener, sealed: &[u8]) -> Result<Vec<u8>, super::Refused> {
    let mut opened = vec![1, 2, 3];
    let result = opener.open_rtcp(sealed, &mut opened);
    assert!(result.is_ok() || opened.is_empty(), "what is refused leaves nothing behind");
    result.map(|()| opened)
}
