//! Without a key: what looks sealed is noise, and is not taken for sound.
//!
//! Guaranteed: a packet sealed with a key of our own, whose counter is told, is known by itself; linear PCM and G.711 under any key
//! by its second packet, whose time is too early by exactly a seal. That is before a source of datagrams is believed.
//!
//! Not guaranteed: that Opus under a foreign key is known, nor that the first packet on a connection is under one.

use super::{Name, Sources};
use crate::engine::coding::Encoding;
use crate::engine::config::Wire;
use crate::engine::key::KeyForm;
use crate::engine::session::complaints::Refusal;
use crate::engine::session::sealing::looks_plain;
use crate::engine::wire::rtp::{self, RtpHeader};
use crate::engine::wire::seal;

/// The last packets of those that may yet turn out to be sealed.
#[derive(Default)]
pub struct Suspicion {
    last: Vec<(Name, RtpHeader, usize)>,
}

impl Sources {
    /// Why a packet of a source that has hardly begun must not be heard, if it looks sealed.
    pub(super) fn suspicion(&mut self, name: &Name, bytes: &[u8]) -> Option<Refusal> {
        let is_new = self.entries.get(name).is_none_or(|entry| entry.receiver.received() < NEW);
        if self.opening.is_some() || name.wire != Wire::Rtp || !is_new {
            return None;
        }
        let (header, encoding) = rtp::sound_of(bytes, &self.config.payloads)?;
        let is_late = self.suspicion.is_too_early(name, header, encoding, bytes.len());
        (is_late || has_our_end(bytes)).then_some(Refusal::Sealed)
    }

    /// Whether reports that could not be read look sealed: only the first header is in clear.
    pub(super) fn looks_sealed(&self, bytes: &[u8]) -> bool {
        let Some(&[_, _, n0, n1]) = bytes.first_chunk() else { return false };
        let first = 4 * (usize::from(u16::from_be_bytes([n0, n1])) + 1);
        let rest = bytes.get(first..).unwrap_or_default();
        self.opening.is_none()
            && rest.len() > seal::rtcp_overhead(KeyForm::AesCm)
            && !rtp::is_rtcp(rest)
            && !looks_plain(bytes)
    }
}

impl Suspicion {
    /// Whether a packet follows the last one of its source sooner than that one lasts, by exactly a seal.
    fn is_too_early(&mut self, name: &Name, header: RtpHeader, encoding: Encoding, len: usize) -> bool {
        let last = self.last.iter().position(|(last, _, _)| last == name).map(|at| self.last.remove(at));
        if self.last.len() == MOST {
            self.last.remove(0);
        }
        self.last.push((*name, header, len));
        let (Some((_, before, len)), Some(sample)) = (last, encoding.coding.sample_bytes()) else {
            return false;
        };
        let frames = header.timestamp.wrapping_sub(before.timestamp) as usize;
        let expected = RtpHeader::LEN + frames.saturating_mul(sample * encoding.format.channels());
        header.sequence == before.sequence.wrapping_add(1)
            && FORMS.iter().any(|form| expected.checked_add(seal::rtp_overhead(*form)) == Some(len))
    }
}

/// Whether a packet ends as those under a key of our own: with a small rollover counter and a nonce, after what has no form.
fn has_our_end(bytes: &[u8]) -> bool {
    let Some((rest, nonce)) = bytes.split_last_chunk::<16>() else { return false };
    let Some(rollover) = rest.last_chunk().map(|word| u32::from_be_bytes(*word)) else { return false };
    let different = (1..nonce.len()).filter(|&n| !nonce[..n].contains(&nonce[n])).count();
    rollover < MOST_ROLLOVERS && different >= 9 && !looks_plain(bytes)
}

const FORMS: [KeyForm; 3] = [KeyForm::Audiostream, KeyForm::AesCm, KeyForm::AesGcm];
/// Packets of a source after which nothing is suspected of it any more.
pub(super) const NEW: u64 = 16;
/// Sources that are watched at once.
const MOST: usize = 64;
/// After a week at 100 packets a second. One packet of noise in four million is taken for sealed.
const MOST_ROLLOVERS: u32 = 1_024;
