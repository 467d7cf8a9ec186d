//! `AES_CM_128_HMAC_SHA1_80` (RFC 3711 §4.1.1, §4.2.1): AES in counter mode, and 80 bits of HMAC-SHA-1.

use aes::Aes128;
use aes::cipher::{InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use ctr::{CtrCore, flavors};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use zeroize::Zeroizing;

use super::cipher::Place;

/// Bytes of a tag.
pub const TAG_LEN: usize = 10;

/// The transform with its session keys.
pub struct AesCm {
    aes: Aes128,
    salt: Zeroizing<[u8; 14]>,
    mac: Hmac<Sha1>,
}

impl AesCm {
    pub fn new(key: &[u8; 16], salt: &[u8; 14], authentication: &[u8; 20]) -> Self {
        Self {
            aes: Aes128::new(key.into()),
            salt: Zeroizing::new(*salt),
            mac: Hmac::new_from_slice(authentication).expect("HMAC takes a key of any length"),
        }
    }

    pub fn apply(&self, place: Place, payload: &mut [u8]) {
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&*self.salt);
        for (byte, counter) in iv[4..14].iter_mut().zip(place.counter()) {
            *byte ^= counter;
        }
        // The last 16 bits count blocks: a packet has fewer.
        let core = CtrCore::<_, flavors::Ctr128BE>::inner_iv_init(&self.aes, (&iv).into());
        StreamCipherCoreWrapper::from_core(core).apply_keystream(payload);
    }

    pub fn digest(&self, header: &[u8], encrypted: &[u8]) -> Hmac<Sha1> {
        self.mac.clone().chain_update(header).chain_update(encrypted)
    }

    pub fn tag(digest: &Hmac<Sha1>, place: Place) -> [u8; TAG_LEN] {
        let whole = digest.clone().chain_update(place.word().to_be_bytes()).finalize().into_bytes();
        *whole.first_chunk().expect("a tag is shorter than its hash")
    }

    pub fn is_tag(digest: &Hmac<Sha1>, place: Place, tag: &[u8]) -> bool {
        let whole = digest.clone().chain_update(place.word().to_be_bytes());
        tag.len() == TAG_LEN && whole.verify_truncated_left(tag).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3711 B.2: 0xff02 blocks, of which it prints the first and the last three.
    #[test]
    fn the_keystream_is_that_of_the_rfc() {
        let key = 0x2B7E_1516_28AE_D2A6_ABF7_1588_09CF_4F3C_u128.to_be_bytes();
        let salt = 0xF0F1_F2F3_F4F5_F6F7_F8F9_FAFB_FCFD_0000_u128.to_be_bytes();
        let cipher = AesCm::new(&key, salt.first_chunk().unwrap(), &[0; 20]);
        let mut stream = vec![0; 0xff02 * 16];
        cipher.apply(Place { ssrc: 0, index: 0, is_rtcp: false }, &mut stream);
        let block = |n: usize| u128::from_be_bytes(stream[n * 16..][..16].try_into().unwrap());
        assert_eq!(block(0), 0xE03E_AD09_35C9_5E80_E166_B16D_D92B_4EB4);
        assert_eq!(block(1), 0xD235_1316_2B02_D0F7_2A43_A2FE_4A5F_97AB);
        assert_eq!(block(2), 0x41E9_5B3B_B0A2_E8DD_4779_01E4_FCA8_94C0);
        assert_eq!(block(0xfeff), 0xEC8C_DF73_9860_7CB0_F2D2_1675_EA9E_A1E4);
        assert_eq!(block(0xff00), 0x362B_7C3C_6773_5163_18A0_77D7_FC50_73AE);
        assert_eq!(block(0xff01), 0x6A2C_C378_7889_374F_BEB4_C81B_17BA_6C44);
    }
}
