//! From the shared key to the keys of one sender.

use aes::Aes128;
use aes::cipher::{KeyInit, KeyIvInit, StreamCipher};
use ctr::Ctr128BE;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::aes_cm::AesCm;
use super::cipher::Cipher;
use super::gcm::Gcm;
use crate::engine::key::{Key, KeyForm};

/// A sender's random number: with a key of our own, what tells its keys from every other sender's. Foreign keys pass it over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Nonce(pub [u8; Self::LEN]);

impl Nonce {
    /// Its bytes.
    pub const LEN: usize = 16;
}

/// Which way a stream goes. With a key of our own each way has its own keys; foreign keys pass it over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// From a client.
    ToServer,
    /// From a server, to the client of this nonce and to no other.
    ToClient(Nonce),
}

/// What seals one sender's packets.
pub struct Ciphers {
    /// Sound.
    pub rtp: Cipher,
    /// Reports.
    pub rtcp: Cipher,
}

impl Ciphers {
    /// The ciphers of the sender that has `nonce`.
    pub fn new(key: &Key, way: Way, nonce: Nonce) -> Self {
        match key.form() {
            KeyForm::Audiostream => Master::of_sender(key.secret(), way, nonce).ciphers(true),
            KeyForm::AesCm => Master::new(key.secret()).ciphers(false),
            KeyForm::AesGcm => Master::new(key.secret()).ciphers(true),
        }
    }
}

/// A master key and its salt. The 12 bytes of salt that RFC 7714 has are followed by zeros.
pub struct Master(Zeroizing<[u8; KEY_LEN + SALT_LEN]>);

impl Master {
    fn new(key_and_salt: &[u8]) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_LEN + SALT_LEN]);
        bytes[..key_and_salt.len()].copy_from_slice(key_and_salt);
        Self(bytes)
    }

    /// HKDF-Expand with SHA-256 (RFC 5869 §2.3), of which the first block is enough; the secret is random throughout, so that
    /// nothing has to be extracted (§3.3).
    fn of_sender(secret: &[u8], way: Way, nonce: Nonce) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
        match way {
            Way::ToServer => mac.update(b"audiostream1 to server"),
            Way::ToClient(client) => {
                mac.update(b"audiostream1 to client");
                mac.update(&client.0);
            }
        }
        mac.update(&nonce.0);
        mac.update(&[1]);
        let block = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
        Self::new(&block[..KEY_LEN + GCM_SALT_LEN])
    }

    fn ciphers(&self, is_gcm: bool) -> Ciphers {
        let cipher = |first_label| {
            let key = self.derive::<16>(first_label);
            let salt = self.derive::<14>(first_label + 2);
            if is_gcm {
                Cipher::Gcm(Box::new(Gcm::new(&key, salt.first_chunk().expect("14 bytes hold 12"))))
            } else {
                Cipher::AesCm(Box::new(AesCm::new(&key, &salt, &self.derive(first_label + 1))))
            }
        };
        Ciphers { rtp: cipher(RTP_LABEL), rtcp: cipher(RTCP_LABEL) }
    }

    /// The key derivation of RFC 3711 §4.3, at a rate of zero: once for all packets.
    pub fn derive<const LEN: usize>(&self, label: u8) -> Zeroizing<[u8; LEN]> {
        let (key, salt) = self.0.split_first_chunk::<KEY_LEN>().expect("a key before its salt");
        let mut iv = Zeroizing::new([0; 16]);
        iv[..SALT_LEN].copy_from_slice(salt);
        iv[7] ^= label;
        let mut bytes = Zeroizing::new([0; LEN]);
        Ctr128BE::<Aes128>::new(key.into(), (&*iv).into()).apply_keystream(&mut *bytes);
        bytes
    }
}

const KEY_LEN: usize = 16;
const SALT_LEN: usize = 14;
const GCM_SALT_LEN: usize = 12;
/// The key of encryption; that of authentication and the salt have the next two.
const RTP_LABEL: u8 = 0;
const RTCP_LABEL: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        std::array::from_fn(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap())
    }

    /// RFC 3711 B.3.
    #[test]
    fn session_keys_are_those_of_the_rfc() {
        let master =
            Master::new(&bytes::<30>("E1F97A0D3E018BE0D64FA32C06DE41390EC675AD498AFEEBB6960B3AABE6"));
        assert_eq!(*master.derive::<16>(0), bytes("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(*master.derive::<14>(2), bytes("30CBBC08863D8C85D49DB34A9AE1"));
        assert_eq!(
            *master.derive::<94>(1),
            bytes(
                "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF7227098\
                 6371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2"
            )
        );
    }

    #[test]
    fn every_sender_and_every_way_has_its_own_master_key() {
        let secret = [7; 32];
        let (a, b) = (Nonce([1; 16]), Nonce([2; 16]));
        let masters = [
            (Way::ToServer, a),
            (Way::ToServer, b),
            (Way::ToClient(a), a),
            (Way::ToClient(a), b),
            (Way::ToClient(b), a),
        ]
        .map(|(way, nonce)| *Master::of_sender(&secret, way, nonce).0);
        for (n, one) in masters.iter().enumerate() {
            assert!(!masters[..n].contains(one));
            assert_eq!(one[28..], [0, 0]);
        }
    }
}
