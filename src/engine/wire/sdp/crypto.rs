//! Keys in a description: `a=crypto` (RFC 4568).
//!
//! `TAG SUITE METHOD:KEY [PARAMETER]…`. Another program's key is given by the method `inline`; one of our own is written
//! as its text has it, the word before its colon being the method (§9.1): who does not know that passes the line over.

use super::Description;
use crate::engine::error::{Error, Result};
use crate::engine::key::{Key, KeyForm};

impl Description {
    /// The key of the first `a=crypto` that can be used; `None` where there is no such line. Where there are lines and none
    /// can be used, the error says why not the first, and repeats no key.
    pub fn key(&self) -> Result<Option<Key>> {
        let mut why = None;
        for line in &self.crypto {
            match read(line) {
                Ok(key) => return Ok(Some(key)),
                Err(reason) => why = why.or(Some(reason)),
            }
        }
        why.map_or(Ok(None), |why| {
            Err(Error::config(format!(
                "sdp: no a=crypto that can be used: {why}; expected the suite AES_CM_128_HMAC_SHA1_80 or AEAD_AES_128_GCM"
            )))
        })
    }

    /// Tells `key`: from now on the description is a secret.
    pub fn set_key(&mut self, key: &Key) {
        let (suite, method) =
            (key.form().suite(), if key.form() == KeyForm::Audiostream { "" } else { INLINE });
        self.crypto = vec![format!("1 {suite} {method}{}", *key.reveal())];
    }
}

fn read(line: &str) -> std::result::Result<Key, String> {
    let mut words = line.split_whitespace().skip(1);
    let suite = words.next().ok_or("it names no suite")?;
    let known = [KeyForm::AesCm, KeyForm::AesGcm].iter().any(|form| form.suite().eq_ignore_ascii_case(suite));
    if !known {
        let shown: String = suite.chars().take(SHOWN).collect();
        return Err(format!("the suite {shown:?} is not known"));
    }
    let method = words.next().ok_or("it has no key")?;
    if method.contains(';') {
        return Err("it has several keys".into());
    }
    // Of what may follow, these change the packets; RFC 4568 §6.3.7 wants all to be refused that is not known, unless it
    // is marked by '-' as such that need not be.
    if let Some(parameter) = words.find(|word| !(word.starts_with('-') || word.starts_with("WSH="))) {
        let name: String = parameter.split('=').next().unwrap_or_default().chars().take(SHOWN).collect();
        return Err(format!("its parameter {name:?} is not supported"));
    }
    let (key, rest) = method.split_once('|').unwrap_or((method, ""));
    // A lifetime binds the sender. An identifier would stand in every packet.
    if rest.contains(':') {
        return Err("its key has an identifier (MKI)".into());
    }
    let key = Key::parse(key).map_err(|error| error.message().to_owned())?;
    if !key.form().suite().eq_ignore_ascii_case(suite) {
        return Err(format!("its key is not one of {suite}"));
    }
    Ok(key)
}

const INLINE: &str = "inline:";
/// Characters of a word that an error repeats.
const SHOWN: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CM: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    const GCM: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA==";

    fn described(lines: &[&str]) -> Description {
        let lines: String = lines.iter().flat_map(|line| ["a=crypto:", *line, "\r\n"]).collect();
        Description::parse(&format!("v=0\r\nm=audio 5004 RTP/SAVP 11\r\n{lines}")).unwrap()
    }

    fn key(lines: &[&str]) -> Option<Key> {
        described(lines).key().unwrap()
    }

    #[test]
    fn a_key_is_found_with_its_suite() {
        assert_eq!(key(&[]), None);
        for (line, form) in [
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{CM}"), KeyForm::AesCm),
            (format!("22 AES_CM_128_HMAC_SHA1_80 inline:{CM}|2^31 WSH=64 -NEW=1"), KeyForm::AesCm),
            (format!("1 aead_aes_128_gcm  inline:{GCM}"), KeyForm::AesGcm),
        ] {
            assert_eq!(key(&[&line]).unwrap().form(), form);
        }
    }

    #[test]
    fn the_first_line_that_can_be_used_is_taken() {
        let cm = format!("3 AES_CM_128_HMAC_SHA1_80 inline:{CM}");
        let gcm = format!("2 AEAD_AES_128_GCM inline:{GCM}");
        let unknown = format!("1 AES_256_CM_HMAC_SHA1_80 inline:{CM}");
        assert_eq!(key(&[&unknown, &gcm, &cm]).unwrap().form(), KeyForm::AesGcm);
    }

    #[test]
    fn what_cannot_be_used_is_told_without_its_key() {
        for (line, words) in [
            (format!("1 AES_CM_128_HMAC_SHA1_32 inline:{CM}"), "\"AES_CM_128_HMAC_SHA1_32\" is not known"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{CM}|2^20|1:4"), "identifier"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{CM}|1:4"), "identifier"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{CM};inline:{CM}"), "several keys"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{CM} UNENCRYPTED_SRTP"), "\"UNENCRYPTED_SRTP\""),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{CM} KDR=4"), "\"KDR\""),
            (format!("1 AEAD_AES_128_GCM inline:{CM}"), "not one of AEAD_AES_128_GCM"),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:WVNf".into(), "3 bytes"),
            ("1 AES_CM_128_HMAC_SHA1_80".into(), "no key"),
            ("1".into(), "no suite"),
        ] {
            let error = described(&[&line]).key().unwrap_err();
            assert!(error.message().contains(words), "{error}");
            assert!(!error.message().contains("WVNf"), "{error}");
        }
    }

    #[test]
    fn a_key_that_is_told_reads_back() {
        for (text, line) in [
            (CM.to_owned(), format!("1 AES_CM_128_HMAC_SHA1_80 inline:{CM}")),
            (GCM.to_owned(), format!("1 AEAD_AES_128_GCM inline:{GCM}")),
            (
                Key::from_random([0xa7; 32]).reveal().to_string(),
                format!("1 AEAD_AES_128_GCM {}", *Key::from_random([0xa7; 32]).reveal()),
            ),
        ] {
            let mut description = described(&[]);
            let key = Key::parse(&text).unwrap();
            description.set_key(&key);
            assert!(description.write().ends_with(&format!("a=crypto:{line}\r\n")));
            assert_eq!(Description::parse(&description.write()).unwrap().key().unwrap(), Some(key));
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in "[0-9]{0,2} ?(AES_CM_128_HMAC_SHA1_80|AEAD_AES_128_GCM)? ?(inline:|audiostream1:)?[A-Za-z0-9+/=|;:]{0,60} ?[!-~]{0,20}") {
            let _ = described(&[&line]).key();
        }
    }
}
