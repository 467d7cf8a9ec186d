//! What we report of a source and no standard block has a place for: an application's own packet (RFC 3550 §6.7).
//!
//! Who does not know it passes it over. All counts are since the beginning.

use super::write::write_application;

/// Counts of one source, and its clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The source.
    pub ssrc: u32,
    /// Packets that came again, modulo 2³².
    pub duplicated: u32,
    /// Packets that came after one with a higher sequence number, modulo 2³².
    pub reordered: u32,
    /// The source's clock against the output's, in 10⁻⁹; `None` until it is known.
    pub drift_ppb: Option<i32>,
}

impl Tally {
    /// Appends it as a packet from `own`.
    pub fn write(&self, own: u32, out: &mut Vec<u8>) {
        let drift = self.drift_ppb.map_or(UNKNOWN, |ppb| ppb.max(-i32::MAX));
        let words = [self.ssrc, self.duplicated, self.reordered, drift as u32];
        write_application(own, NAME, words.map(u32::to_be_bytes).as_flattened(), out);
    }

    /// Reads what an application's packet of that name holds; `None` where it is another's, or too short.
    pub fn read(name: [u8; 4], data: &[u8]) -> Option<Self> {
        let (words, _) = data.as_chunks::<4>();
        let (&[ssrc, duplicated, reordered, drift], _) = words.split_first_chunk()?;
        let drift = i32::from_be_bytes(drift);
        (name == NAME).then(|| Self {
            ssrc: u32::from_be_bytes(ssrc),
            duplicated: u32::from_be_bytes(duplicated),
            reordered: u32::from_be_bytes(reordered),
            drift_ppb: (drift != UNKNOWN).then_some(drift),
        })
    }
}

const NAME: [u8; 4] = *b"AStl";
const UNKNOWN: i32 = i32::MIN;

#[cfg(test)]
mod tests {
    use super::super::{Compound, Packet};
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written_and_nobody_elses_is() {
        for drift_ppb in [None, Some(-250_000), Some(0)] {
            let tally = Tally { ssrc: 7, duplicated: 1, reordered: u32::MAX, drift_ppb };
            let mut out = Vec::new();
            tally.write(5, &mut out);
            assert_eq!(out.len(), 28);
            let packet = Compound::parse(&out).unwrap().packets().next().unwrap();
            let Packet::Application { ssrc: 5, name, data } = packet else { panic!("{packet:?}") };
            assert_eq!(Tally::read(name, data), Some(tally));
            assert_eq!(Tally::read(name, &data[..15]), None);
            assert_eq!(Tally::read(*b"PoC1", data), None);
        }
    }
}
