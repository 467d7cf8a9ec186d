//! The secret that two ends share, as text: read, made, and never printed by accident.
//!
//! What is done with it is in `wire::seal`.

use std::fmt;
use std::sync::Arc;

use base64ct::{Base64, Base64Unpadded, Encoding};
use zeroize::{Zeroize, Zeroizing};

use super::error::{Error, Result};

/// A shared secret. Copies share one piece of memory, which is overwritten when the last is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    form: KeyForm,
    secret: Arc<Zeroizing<Vec<u8>>>,
}

/// What a key is for, which follows from how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyForm {
    /// Ours: 32 bytes, from which every client and direction derives its own `AEAD_AES_128_GCM` key.
    Audiostream,
    /// Another program's for `AES_CM_128_HMAC_SHA1_80` (RFC 3711): 16 bytes of key, 14 of salt.
    AesCm,
    /// Another program's for `AEAD_AES_128_GCM` (RFC 7714): 16 bytes of key, 12 of salt.
    AesGcm,
}

impl Key {
    /// Bytes of randomness that a key of our own is made of.
    pub const RANDOM_LEN: usize = 32;

    /// Reads `audiostream1:BASE64` as [`reveal`](Self::reveal) writes it, or the base64 of key and salt as SDP's
    /// `a=crypto` has it, with or without its `inline:`. White space around it is passed over. No error repeats the text.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let (is_ours, base64) = match text.strip_prefix(OURS) {
            Some(base64) => (true, base64),
            None => (false, text.strip_prefix(INLINE).unwrap_or(text)),
        };
        if base64.contains('|') {
            return Err(Error::config(
                "key: a lifetime or a key identifier, after '|', is not supported: leave it out",
            ));
        }
        let secret = Base64Unpadded::decode_vec(base64.trim_end_matches('='))
            .map_err(|_| Error::config(format!("key is not base64; {EXPECTED}")))?;
        let secret = Arc::new(Zeroizing::new(secret));
        let form = match (is_ours, secret.len()) {
            (true, Self::RANDOM_LEN) => KeyForm::Audiostream,
            (false, 30) => KeyForm::AesCm,
            (false, 28) => KeyForm::AesGcm,
            (_, len) => return Err(Error::config(format!("key has {len} bytes; {EXPECTED}"))),
        };
        Ok(Self { form, secret })
    }

    /// A key of our own from bytes that nobody can guess: the operating system's randomness.
    pub fn from_random(mut random: [u8; Self::RANDOM_LEN]) -> Self {
        let secret = Arc::new(Zeroizing::new(random.to_vec()));
        random.zeroize();
        Self { form: KeyForm::Audiostream, secret }
    }

    /// The key itself, as [`parse`](Self::parse) reads it; a foreign one as it stands behind SDP's `inline:`. Not for logs.
    pub fn reveal(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(Base64::encode_string(&self.secret));
        if self.form == KeyForm::Audiostream {
            text.insert_str(0, OURS);
        }
        text
    }

    /// What the key is for.
    pub const fn form(&self) -> KeyForm {
        self.form
    }

    /// The bytes: a secret of ours, or a master key and its salt.
    pub(super) fn secret(&self) -> &[u8] {
        &self.secret
    }
}

impl KeyForm {
    /// Its name in SDP's `a=crypto` (RFC 4568 §6.2, RFC 7714 §14.2).
    pub const fn suite(self) -> &'static str {
        match self {
            Self::AesCm => "AES_CM_128_HMAC_SHA1_80",
            Self::AesGcm | Self::Audiostream => "AEAD_AES_128_GCM",
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.form).finish_non_exhaustive()
    }
}

const OURS: &str = "audiostream1:";
const INLINE: &str = "inline:";
const EXPECTED: &str = "expected what 'audiostream keygen' prints, or for other programs the base64 of 30 bytes \
    (AES_CM_128_HMAC_SHA1_80) or of 28 (AEAD_AES_128_GCM)";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn form(text: &str) -> Option<KeyForm> {
        Key::parse(text).ok().map(|key| key.form())
    }

    #[test]
    fn the_length_says_what_a_foreign_key_is_for() {
        // RFC 4568 §9.1.
        let sdes = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
        assert_eq!(form(sdes), Some(KeyForm::AesCm));
        assert_eq!(form(&format!(" inline:{sdes}\n")), Some(KeyForm::AesCm));
        assert_eq!(*Key::parse(sdes).unwrap().reveal(), sdes);
        let gcm = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA==";
        assert_eq!(form(gcm), Some(KeyForm::AesGcm));
        assert_eq!(form(gcm.trim_end_matches('=')), Some(KeyForm::AesGcm));
        assert_eq!(*Key::parse(gcm).unwrap().reveal(), gcm);
    }

    #[test]
    fn a_key_that_was_made_reads_back() {
        let key = Key::from_random([0xa7; 32]);
        let text = key.reveal();
        assert!(text.starts_with("audiostream1:p6en"));
        assert_eq!(Key::parse(&text).unwrap(), key);
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        for text in [
            "",
            "secret",
            "audiostream1:",
            "audiostream1:c2VjcmV0",
            "audiostream1:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
            "p6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6c=",
            "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4",
            "WVNfX19zZW1jdGwgKCkg*wkyMjA7fQp9CnVubGVz",
        ] {
            let message = Key::parse(text).unwrap_err().to_string();
            assert!(message.starts_with("key"), "{message}");
            assert!(
                !["secret", "c2Vjc", "WVNf", "p6en"].iter().any(|part| message.contains(part)),
                "{message}"
            );
        }
    }

    #[test]
    fn a_printed_key_does_not_tell_itself() {
        let key = Key::from_random([0x41; 32]);
        assert_eq!(format!("{key:?}"), "Key(Audiostream, ..)");
        assert_eq!(format!("{:?}", Some(key)), "Some(Key(Audiostream, ..))");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(audiostream1:|inline:)?[A-Za-z0-9+/=|]{0,60}") {
            if let Ok(key) = Key::parse(&text) {
                prop_assert_eq!(Key::parse(&key.reveal()).unwrap(), key);
            }
        }
    }
}
