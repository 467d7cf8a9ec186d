//! `AEAD_AES_128_GCM` (RFC 7714, NIST SP 800-38D). Put together here from AES and GHASH, because the hash does not depend on
//! the rollover counter: where that has to be searched for, each candidate costs one block of AES, not the packet again.

use std::hint::black_box;

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use ctr::{CtrCore, flavors};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use zeroize::Zeroizing;

use super::cipher::Place;

/// Bytes of a tag.
pub const TAG_LEN: usize = 16;

/// The transform with its session keys.
pub struct Gcm {
    aes: Aes128,
    salt: Zeroizing<[u8; 12]>,
    hash: GHash,
}

impl Gcm {
    pub fn new(key: &[u8; 16], salt: &[u8; 12]) -> Self {
        let aes = Aes128::new(key.into());
        let mut hash_key = Zeroizing::new([0; 16]);
        aes.encrypt_block((&mut *hash_key).into());
        Self { hash: GHash::new((&*hash_key).into()), aes, salt: Zeroizing::new(*salt) }
    }

    pub fn apply(&self, place: Place, payload: &mut [u8]) {
        let block = self.counter_block(place, 2);
        let core = CtrCore::<_, flavors::Ctr32BE>::inner_iv_init(&self.aes, (&block).into());
        StreamCipherCoreWrapper::from_core(core).apply_keystream(payload);
    }

    pub fn digest(&self, authenticated: &[u8], encrypted: &[u8]) -> u128 {
        let mut hash = self.hash.clone();
        hash.update_padded(authenticated);
        hash.update_padded(encrypted);
        let bits = (authenticated.len() as u128 * 8) << 64 | (encrypted.len() as u128 * 8);
        hash.update(&[bits.to_be_bytes().into()]);
        u128::from_be_bytes(hash.finalize().into())
    }

    pub fn tag(&self, digest: u128, place: Place) -> [u8; TAG_LEN] {
        let mut block = self.counter_block(place, 1);
        self.aes.encrypt_block((&mut block).into());
        (digest ^ u128::from_be_bytes(block)).to_be_bytes()
    }

    pub fn is_tag(&self, digest: u128, place: Place, tag: &[u8]) -> bool {
        let Ok(tag) = <[u8; TAG_LEN]>::try_from(tag) else { return false };
        // All bits at once, and no shortcut for the compiler to take: the time tells nothing.
        black_box(u128::from_be_bytes(tag) ^ u128::from_be_bytes(self.tag(digest, place))) == 0
    }

    /// RFC 7714 §8.1 and §9.1: two zero bytes, SSRC and index, with the salt over them; then GCM's own count of blocks.
    fn counter_block(&self, place: Place, count: u32) -> [u8; 16] {
        let mut block = [0; 16];
        block[..12].copy_from_slice(&*self.salt);
        for (byte, counter) in block[2..12].iter_mut().zip(place.counter()) {
            *byte ^= counter;
        }
        block[12..].copy_from_slice(&count.to_be_bytes());
        block
    }
}
