//! The receiver's side.

use std::fmt;

use super::cipher::Place;
use super::derive::{Ciphers, Nonce, Way};
use super::sealed::{Sealed, rtcp_ssrc, rtp_ssrc};
use super::window::Window;
use crate::engine::key::{Key, KeyForm};

/// Opens what one sender sealed. What it refuses changes nothing.
pub struct Opener {
    key: Key,
    way: Way,
    ssrc: u32,
    search: u32,
    /// With a key of our own, known once the sender's nonce is believed.
    ciphers: Option<Ciphers>,
    peer: Option<Nonce>,
    rtp: Option<Window>,
    rtcp: Option<Window>,
}

/// Why a packet was not opened. It is counted, and no parser of sound or reports sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// Too short for header, tag and nonce; so are most packets that nobody sealed.
    Short,
    /// Reports that say of themselves that they are not encrypted; half of those that nobody sealed.
    Plain,
    /// Another SSRC than this opener's.
    Source,
    /// Of another sender than the one that proved itself: its nonce is another.
    Nonce,
    /// Not authentic: another key, forged, damaged, or never sealed.
    Tag,
    /// Opened before.
    Replayed,
    /// Too far behind to be told from a replay.
    TooOld,
}

impl Opener {
    /// Rollover counters worth trying: at 100 packets a second the sender may have begun a week ago.
    pub const SEARCH: u32 = 1_024;

    /// The opener for the sender of `ssrc`.
    ///
    /// Under a foreign key, a first packet is tried with `search` rollover counters from zero; after it has been opened none
    /// is tried. That is what a stranger can make us do with one packet: to hash it, and then for each counter three blocks of
    /// SHA-1 (`AES_CM_128_HMAC_SHA1_80`) or one of AES (`AEAD_AES_128_GCM`). With 1 only a stream that has not wrapped is
    /// opened. Where more than 2^15 packets in a row were lost, only [`find_rtp`](Self::find_rtp) finds the counter again.
    ///
    /// Under a key of our own nothing is searched for, first or later; a first packet costs a key derivation.
    pub fn new(key: &Key, way: Way, ssrc: u32, search: u32) -> Self {
        let ciphers = (key.form() != KeyForm::Audiostream).then(|| Ciphers::new(key, way, Nonce::default()));
        Self { key: key.clone(), way, ssrc, search, ciphers, peer: None, rtp: None, rtcp: None }
    }

    /// Puts the opened RTP packet in place of what is in `out`; it is empty where there is none.
    pub fn open_rtp(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        out.clear();
        let sealed = Sealed::rtp(packet, self.key.form()).ok_or(Refused::Short)?;
        if rtp_ssrc(packet) != Some(self.ssrc) {
            return Err(Refused::Source);
        }
        let fresh = self.fresh_ciphers(sealed.nonce)?;
        let ciphers = fresh.as_ref().or(self.ciphers.as_ref()).ok_or(Refused::Nonce)?;
        let sequence = u64::from(sealed.sequence());
        let told = sealed.word.map(|rollover| u64::from(rollover) << 16 | sequence);
        let place = |index| Place { ssrc: self.ssrc, index, is_rtcp: false };
        let index = if let Some(window) = &self.rtp {
            let index = told.or_else(|| window.index_of(sealed.sequence())).ok_or(Refused::TooOld)?;
            window.check(index)?;
            let digest = ciphers.rtp.digest(sealed.header, sealed.encrypted, place(index));
            ciphers.rtp.is_tag(&digest, place(index), sealed.tag).then_some(index)
        } else {
            let digest = ciphers.rtp.digest(sealed.header, sealed.encrypted, place(0));
            let is_its_tag = |index: &u64| ciphers.rtp.is_tag(&digest, place(*index), sealed.tag);
            match told {
                Some(index) => Some(index).filter(is_its_tag),
                None => (0..u64::from(self.search)).map(|n| n << 16 | sequence).find(is_its_tag),
            }
        };
        let index = index.ok_or(Refused::Tag)?;
        out.extend_from_slice(sealed.header);
        out.extend_from_slice(sealed.encrypted);
        ciphers.rtp.apply(place(index), &mut out[sealed.header.len()..]);
        accept(&mut self.rtp, index);
        self.believe(sealed.nonce, fresh);
        Ok(())
    }

    /// From now on so many rollover counters are tried for a first packet: see [`new`](Self::new).
    pub const fn set_search(&mut self, search: u32) {
        self.search = search;
    }

    /// The same as [`open_rtp`](Self::open_rtp) where more than 2^15 packets in a row may have been lost under a foreign key: as many
    /// rollover counters as for a first packet are tried, from the last on. No packet before the last is found so.
    pub fn find_rtp(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        let refused = match self.open_rtp(packet, out) {
            Err(refused @ (Refused::Tag | Refused::TooOld | Refused::Replayed)) => refused,
            done => return done,
        };
        let sealed = Sealed::rtp(packet, self.key.form()).ok_or(Refused::Short)?;
        let (Some(window), Some(ciphers), None) = (&mut self.rtp, &self.ciphers, sealed.word) else {
            return Err(refused);
        };
        let place = |index| Place { ssrc: self.ssrc, index, is_rtcp: false };
        let digest = ciphers.rtp.digest(sealed.header, sealed.encrypted, place(0));
        let rollover = window.highest() >> 16;
        let later = (rollover..rollover + u64::from(self.search)).take_while(|n| u32::try_from(*n).is_ok());
        let index = later
            .map(|n| n << 16 | u64::from(sealed.sequence()))
            .find(|index| *index > window.highest() && ciphers.rtp.is_tag(&digest, place(*index), sealed.tag))
            .ok_or(refused)?;
        out.extend_from_slice(sealed.header);
        out.extend_from_slice(sealed.encrypted);
        ciphers.rtp.apply(place(index), &mut out[sealed.header.len()..]);
        window.accept(index);
        Ok(())
    }

    /// Whether sound was opened.
    pub const fn knows_rtp(&self) -> bool {
        self.rtp.is_some()
    }

    /// The same for RTCP.
    pub fn open_rtcp(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        out.clear();
        let sealed = Sealed::rtcp(packet, self.key.form()).ok_or(Refused::Short)?;
        if rtcp_ssrc(packet) != Some(self.ssrc) {
            return Err(Refused::Source);
        }
        let place = sealed.rtcp_place(self.ssrc).ok_or(Refused::Plain)?;
        let fresh = self.fresh_ciphers(sealed.nonce)?;
        let ciphers = fresh.as_ref().or(self.ciphers.as_ref()).ok_or(Refused::Nonce)?;
        if let Some(window) = &self.rtcp {
            window.check(place.index)?;
        }
        let digest = ciphers.rtcp.digest(sealed.header, sealed.encrypted, place);
        if !ciphers.rtcp.is_tag(&digest, place, sealed.tag) {
            return Err(Refused::Tag);
        }
        out.extend_from_slice(sealed.header);
        out.extend_from_slice(sealed.encrypted);
        ciphers.rtcp.apply(place, &mut out[sealed.header.len()..]);
        accept(&mut self.rtcp, place.index);
        self.believe(sealed.nonce, fresh);
        Ok(())
    }

    /// The sender's nonce, once one of its packets was opened: answers go [`Way::ToClient`] of it. Zeros with a foreign key.
    pub const fn peer(&self) -> Option<Nonce> {
        self.peer
    }

    /// The ciphers to try on a sender that has not proved itself; none where they are known, an error where they are another's.
    fn fresh_ciphers(&self, nonce: Nonce) -> Result<Option<Ciphers>, Refused> {
        match self.peer {
            Some(peer) if peer != nonce => Err(Refused::Nonce),
            None if self.ciphers.is_none() => Ok(Some(Ciphers::new(&self.key, self.way, nonce))),
            _ => Ok(None),
        }
    }

    fn believe(&mut self, nonce: Nonce, fresh: Option<Ciphers>) {
        self.peer = Some(nonce);
        if fresh.is_some() {
            self.ciphers = fresh;
        }
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("key", &self.key).field("ssrc", &self.ssrc).finish_non_exhaustive()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "too short for a sealed packet",
            Self::Plain => "reports that are not encrypted",
            Self::Source => "another source's SSRC",
            Self::Nonce => "another sender's nonce",
            Self::Tag => "not sealed with this key, or damaged",
            Self::Replayed => "a replay",
            Self::TooOld => "too old to be told from a replay",
        })
    }
}

impl std::error::Error for Refused {}

fn accept(window: &mut Option<Window>, index: u64) {
    match window {
        Some(window) => window.accept(index),
        None => *window = Some(Window::new(index)),
    }
}
