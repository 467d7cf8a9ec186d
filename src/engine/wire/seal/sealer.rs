//! The sender's side.

use std::fmt;

use super::cipher::Place;
use super::derive::{Ciphers, Nonce, Way};
use super::sealed::{RTCP_HEADER_LEN, header_len, rtcp_ssrc, rtp_ssrc};
use crate::engine::key::{Key, KeyForm};

/// Seals one sender's packets: sound, and reports.
pub struct Sealer {
    ciphers: Ciphers,
    form: KeyForm,
    nonce: Nonce,
    ssrc: u32,
    /// Rollover counter and sequence number of the last packet.
    last_rtp: Option<u64>,
    /// How many reports were sealed.
    rtcp_index: u64,
}

/// Why a packet was not sealed. It must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotSealed {
    /// Not a packet of RTP, or of RTCP.
    Header,
    /// Another source's.
    Source,
    /// Its sequence number is not after the last one's: the counter would be used twice.
    Repeated,
    /// No counter is left under this key: go on with a new SSRC, a new nonce and a new sealer.
    Exhausted,
}

impl Sealer {
    /// The sealer of the sender of `ssrc`. `nonce` must be random, and made for this sealer alone; so must `ssrc` be under a
    /// foreign key.
    pub fn new(key: &Key, way: Way, nonce: Nonce, ssrc: u32) -> Self {
        let ciphers = Ciphers::new(key, way, nonce);
        Self { ciphers, form: key.form(), nonce, ssrc, last_rtp: None, rtcp_index: 0 }
    }

    /// Puts the sealed packet in place of what is in `out`; it is empty where there is none. Sequence numbers must go up, by
    /// less than 2^15, and wrap.
    pub fn seal_rtp(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), NotSealed> {
        out.clear();
        if packet.len() > MAX_LEN || packet.first().is_none_or(|flags| flags >> 6 != 2) {
            return Err(NotSealed::Header);
        }
        let header = header_len(packet).ok_or(NotSealed::Header)?;
        if rtp_ssrc(packet) != Some(self.ssrc) {
            return Err(NotSealed::Source);
        }
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        let index = match self.last_rtp {
            None => u64::from(sequence),
            Some(last) => match sequence.wrapping_sub(last as u16) {
                0 | 0x8000.. => return Err(NotSealed::Repeated),
                step => last + u64::from(step),
            },
        };
        if index >= RTP_INDICES {
            return Err(NotSealed::Exhausted);
        }
        self.last_rtp = Some(index);
        let place = Place { ssrc: self.ssrc, index, is_rtcp: false };
        out.extend_from_slice(packet);
        self.ciphers.rtp.apply(place, &mut out[header..]);
        let digest = self.ciphers.rtp.digest(&out[..header], &out[header..], place);
        self.ciphers.rtp.write_tag(&digest, place, out);
        if self.form == KeyForm::Audiostream {
            out.extend_from_slice(&place.word().to_be_bytes());
            out.extend_from_slice(&self.nonce.0);
        }
        Ok(())
    }

    /// The same for a compound packet of reports.
    pub fn seal_rtcp(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), NotSealed> {
        out.clear();
        if packet.len() > MAX_LEN || packet.first().is_none_or(|flags| flags >> 6 != 2) {
            return Err(NotSealed::Header);
        }
        let ssrc = rtcp_ssrc(packet).ok_or(NotSealed::Header)?;
        if ssrc != self.ssrc {
            return Err(NotSealed::Source);
        }
        if self.rtcp_index >= RTCP_INDICES {
            return Err(NotSealed::Exhausted);
        }
        let place = Place { ssrc, index: self.rtcp_index, is_rtcp: true };
        self.rtcp_index += 1;
        out.extend_from_slice(packet);
        self.ciphers.rtcp.apply(place, &mut out[RTCP_HEADER_LEN..]);
        let digest = self.ciphers.rtcp.digest(&out[..RTCP_HEADER_LEN], &out[RTCP_HEADER_LEN..], place);
        if self.form == KeyForm::AesCm {
            out.extend_from_slice(&place.word().to_be_bytes());
        }
        self.ciphers.rtcp.write_tag(&digest, place, out);
        if self.form != KeyForm::AesCm {
            out.extend_from_slice(&place.word().to_be_bytes());
        }
        if self.form == KeyForm::Audiostream {
            out.extend_from_slice(&self.nonce.0);
        }
        Ok(())
    }

    /// Goes on as if these were the last counters used.
    #[cfg(test)]
    pub(super) fn skip_to(&mut self, last_rtp: u64, rtcp_index: u64) {
        self.last_rtp = Some(last_rtp);
        self.rtcp_index = rtcp_index;
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("form", &self.form).field("ssrc", &self.ssrc).finish_non_exhaustive()
    }
}

impl fmt::Display for NotSealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "not a packet of RTP or RTCP",
            Self::Source => "another source's packet",
            Self::Repeated => "its sequence number was used",
            Self::Exhausted => "the key has no counter left for this SSRC",
        })
    }
}

impl std::error::Error for NotSealed {}

/// Rollover counter and sequence number have 48 bits (RFC 3711 §9.2).
const RTP_INDICES: u64 = 1 << 48;
/// The index has 31 bits (RFC 3711 §9.2).
const RTCP_INDICES: u64 = 1 << 31;
/// Far below where the count of blocks would reach into the index.
const MAX_LEN: usize = u16::MAX as usize;
