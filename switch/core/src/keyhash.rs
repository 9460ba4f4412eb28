//! Keys of requests, hashed: what the index finds them by.
//!
//! Owns: the two keys of S-1 and S-5 and the digest of contents, as keyed hashes (SipHash-1-3, 128 bits).
//! Invariants: the key of the hash is a secret of the data folder, so digests say nothing to who has only them (PCI DSS 3.5.1.1: hashes of card numbers are keyed).
//! Deliberately absent: what is compared (`request` decides that).

use siphasher::sip128::{Hasher128, SipHasher13};
use std::fmt;
use std::hash::Hasher;
use zeroize::Zeroize;

/// The key of the hash. Does not print; wiped when dropped.
#[derive(Clone)]
pub struct KeyHash([u8; 16]);

impl KeyHash {
    /// From 16 random bytes that the data folder keeps.
    pub fn new(key: [u8; 16]) -> Self {
        Self(key)
    }

    /// A hash of parts that come one after the other, under a `domain` of its own.
    pub fn begin(&self, domain: u8) -> Digest {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write_u8(domain);
        Digest(hasher)
    }

    /// The hash of `parts`, each with its length, under a `domain` of its own.
    pub fn digest(&self, domain: u8, parts: &[&[u8]]) -> u128 {
        let mut digest = self.begin(domain);
        parts.iter().for_each(|part| digest.add(part));
        digest.end()
    }
}

/// A hash under way.
pub struct Digest(SipHasher13);

impl Digest {
    /// Adds a part, with its length.
    pub fn add(&mut self, part: &[u8]) {
        self.0.write_u16(part.len() as u16);
        self.0.write(part);
    }

    /// The hash.
    pub fn end(self) -> u128 {
        self.0.finish128().as_u128()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Drop for KeyHash {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
