//! SRTP and SRTCP (RFC 3711, RFC 7714): sound and reports that only who has the key can make or read.
//!
//! Guaranteed: a [`Sealer`] never uses a counter twice; an [`Opener`] hands out nothing that is not authentic, and nothing
//! twice, and what it refuses changes nothing. Neither allocates once its output has grown.
//!
//! Not guaranteed: that a recording of a whole stream, sent again to an opener that never heard it, is refused: without a
//! handshake it cannot be told from the stream itself. [`Opener::peer`] lets a session remember whom it has heard.
//!
//! A key that another program made ([`KeyForm::AesCm`], [`KeyForm::AesGcm`]) is the master key of both directions, as
//! SDES has it (RFC 4568): sources differ by their SSRC alone. From a key of our own ([`KeyForm::Audiostream`]) each sender
//! derives a master key for its random [`Nonce`], and every packet ends with it, where SRTP has its master key
//! identifier (RFC 3711 §3.1). It needs no tag of its own: another nonce is another key.
//!
//! ```text
//! RTP    header | encrypted payload | tag (16) | rollover counter (4) | nonce (16)
//! RTCP   header | encrypted reports | tag (16) | E, index (4)         | nonce (16)
//! ```
//!
//! The rollover counter is told (as RFC 4771 does in its way), so that who joins late, or after a long silence, need not guess.

mod aes_cm;
mod cipher;
mod derive;
mod gcm;
mod opener;
mod sealed;
mod sealer;
mod window;

#[cfg(test)]
mod tests;

pub use derive::{Nonce, Way};
pub use opener::{Opener, Refused};
pub use sealer::{NotSealed, Sealer};

use super::rtp;
use crate::engine::key::KeyForm;

/// The sender that a sealed packet names, by which to find its opener: in clear, and not to be believed before it is opened.
/// Sound and reports are told apart as without a seal (RFC 5761): what tells them is in clear too.
pub fn ssrc(packet: &[u8]) -> Option<u32> {
    if rtp::is_rtcp(packet) { sealed::rtcp_ssrc(packet) } else { sealed::rtp_ssrc(packet) }
}

/// The nonce that a packet sealed with a key of such a form ends with, by which, with its SSRC, to find its opener: in clear, and
/// not to be believed either. Zeros with foreign keys, `None` where the packet is too short.
pub fn nonce(packet: &[u8], form: KeyForm) -> Option<Nonce> {
    match form {
        KeyForm::Audiostream => packet.last_chunk().map(|nonce| Nonce(*nonce)),
        KeyForm::AesCm | KeyForm::AesGcm => Some(Nonce::default()),
    }
}

/// Bytes that sealing adds to an RTP packet.
pub const fn rtp_overhead(form: KeyForm) -> usize {
    match form {
        KeyForm::AesCm => aes_cm::TAG_LEN,
        KeyForm::AesGcm => gcm::TAG_LEN,
        KeyForm::Audiostream => gcm::TAG_LEN + sealed::WORD_LEN + Nonce::LEN,
    }
}

/// Bytes that sealing adds to an RTCP packet.
pub const fn rtcp_overhead(form: KeyForm) -> usize {
    match form {
        KeyForm::AesCm => aes_cm::TAG_LEN + sealed::WORD_LEN,
        KeyForm::AesGcm => gcm::TAG_LEN + sealed::WORD_LEN,
        KeyForm::Audiostream => gcm::TAG_LEN + sealed::WORD_LEN + Nonce::LEN,
    }
}
