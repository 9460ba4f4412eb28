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
        Digest::new(hasher)
    }

    /// The hash of `parts`, each with its length, under a `domain` of its own.
    pub fn digest(&self, domain: u8, parts: &[&[u8]]) -> u128 {
        let mut digest = self.begin(domain);
        parts.iter().for_each(|part| digest.add(part));
        digest.end()
    }
}

/// Bytes gathered before they are hashed: the hash is quickest with many at a time.
const GATHERED_BYTES: usize = 128;

/// A hash under way; a copy goes its own way from here.
#[derive(Clone)]
pub struct Digest {
    hasher: SipHasher13,
    gathered: [u8; GATHERED_BYTES],
    length: usize,
}

impl Digest {
    fn new(hasher: SipHasher13) -> Self {
        Self { hasher, gathered: [0; GATHERED_BYTES], length: 0 }
    }

    /// Adds a part, with its length.
    pub fn add(&mut self, part: &[u8]) {
        let end = self.length + 2 + part.len();
        if end > GATHERED_BYTES {
            return self.add_large(part);
        }
        self.gathered[self.length..self.length + 2].copy_from_slice(&(part.len() as u16).to_le_bytes());
        self.gathered[self.length + 2..end].copy_from_slice(part);
        self.length = end;
    }

    /// Parts that do not fit beside what is gathered.
    fn add_large(&mut self, part: &[u8]) {
        self.hasher.write(&self.gathered[..self.length]);
        self.hasher.write(&(part.len() as u16).to_le_bytes());
        self.hasher.write(part);
        self.length = 0;
    }

    /// The hash.
    pub fn end(mut self) -> u128 {
        self.hasher.write(&self.gathered[..self.length]);
        self.hasher.finish128().as_u128()
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
