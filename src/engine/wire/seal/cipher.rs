//! The two transforms behind one face, and the place in a stream that a packet is sealed for.

use hmac::Hmac;
use sha1::Sha1;

use super::aes_cm::AesCm;
use super::gcm::Gcm;

/// One packet's place: never the same twice under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The sender.
    pub ssrc: u32,
    /// RTP: rollover counter and sequence number, 48 bits (RFC 3711 §3.3.1). RTCP: its 31-bit index.
    pub index: u64,
    /// Reports, not sound.
    pub is_rtcp: bool,
}

impl Place {
    /// What follows the packet under the tag: the rollover counter, or the index with the mark of encryption.
    pub const fn word(self) -> u32 {
        if self.is_rtcp { ENCRYPTED | self.index as u32 } else { (self.index >> 16) as u32 }
    }

    /// SSRC and index, as both transforms lay them into the counter block.
    pub fn counter(self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[..4].copy_from_slice(&self.ssrc.to_be_bytes());
        bytes[4..].copy_from_slice(&self.index.to_be_bytes()[2..]);
        bytes
    }
}

/// One transform with its session keys.
pub enum Cipher {
    AesCm(Box<AesCm>),
    Gcm(Box<Gcm>),
}

/// A packet, hashed. What is left to do for one rollover counter is little, whatever the packet's length.
pub enum Digest {
    AesCm(Hmac<Sha1>),
    Gcm(u128),
}

impl Cipher {
    /// Encrypts or decrypts.
    pub fn apply(&self, place: Place, payload: &mut [u8]) {
        match self {
            Self::AesCm(cipher) => cipher.apply(place, payload),
            Self::Gcm(cipher) => cipher.apply(place, payload),
        }
    }

    /// Hashes an encrypted packet. Of an RTP packet's `place` nothing is used.
    pub fn digest(&self, header: &[u8], encrypted: &[u8], place: Place) -> Digest {
        match self {
            Self::AesCm(cipher) => Digest::AesCm(cipher.digest(header, encrypted)),
            Self::Gcm(cipher) if place.is_rtcp => {
                let mut authenticated = [0; 12];
                authenticated[..8].copy_from_slice(header);
                authenticated[8..].copy_from_slice(&place.word().to_be_bytes());
                Digest::Gcm(cipher.digest(&authenticated, encrypted))
            }
            Self::Gcm(cipher) => Digest::Gcm(cipher.digest(header, encrypted)),
        }
    }

    /// Appends the tag.
    pub fn write_tag(&self, digest: &Digest, place: Place, out: &mut Vec<u8>) {
        match (self, digest) {
            (Self::AesCm(_), Digest::AesCm(digest)) => out.extend_from_slice(&AesCm::tag(digest, place)),
            (Self::Gcm(cipher), Digest::Gcm(digest)) => out.extend_from_slice(&cipher.tag(*digest, place)),
            _ => unreachable!("a digest is asked for where it was made"),
        }
    }

    /// Whether `tag` is the tag, in a time that does not depend on it.
    pub fn is_tag(&self, digest: &Digest, place: Place, tag: &[u8]) -> bool {
        match (self, digest) {
            (Self::AesCm(_), Digest::AesCm(digest)) => AesCm::is_tag(digest, place, tag),
            (Self::Gcm(cipher), Digest::Gcm(digest)) => cipher.is_tag(*digest, place, tag),
            _ => false,
        }
    }
}

/// The E flag of RFC 3711 §3.4.
pub const ENCRYPTED: u32 = 1 << 31;
