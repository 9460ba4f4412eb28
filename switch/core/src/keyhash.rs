//! Keys of requests, hashed: what the index finds them by.
//!
//! Owns: the two keys of S-1 and S-5 and the digest of contents, as keyed hashes (SipHash-1-3, 128 bits).
//! Invariants: the key of the hash is a secret of the data folder, so digests say nothing to who has only them (PCI DSS 3.5.1.1: hashes of card numbers are keyed).
//! Deliberately absent: what is compared (`request` decides that).

use siphasher::sip128::SipHasher13;
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
    #[inline]
    pub fn begin(&self, domain: u8) -> Digest {
        let mut gathered = [0; GATHERED_BYTES];
        gathered[0] = domain;
        Digest { hasher: SipHasher13::new_with_key(&self.0), gathered, length: 1 }
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
    /// Adds a part, with its length.
    pub fn add(&mut self, part: &[u8]) {
        self.add_fixed(&(part.len() as u16).to_le_bytes());
        match self.gathered[self.length..].get_mut(..part.len()) {
            Some(place) => {
                place.copy_from_slice(part);
                self.length += part.len();
            }
            None => self.add_large(part),
        }
    }

    /// Adds a part whose length is the same in every hash of this domain.
    #[inline]
    pub fn add_fixed<const N: usize>(&mut self, part: &[u8; N]) {
        match self.gathered[self.length..].first_chunk_mut::<N>() {
            Some(place) => {
                *place = *part;
                self.length += N;
            }
            None => self.add_large(part),
        }
    }

    /// A part that does not fit beside what is gathered.
    #[inline(never)]
    fn add_large(&mut self, part: &[u8]) {
        self.hasher.write(&self.gathered[..self.length]);
        self.hasher.write(part);
        self.length = 0;
    }

    /// The hash with a last part whose length is the same in every hash of this domain. What was added before stays, for another last part.
    #[inline]
    pub fn end_with<const N: usize>(&mut self, last: &[u8; N]) -> u128 {
        match self.gathered[self.length..].first_chunk_mut::<N>() {
            Some(place) => {
                *place = *last;
                self.hasher.hash(&self.gathered[..self.length + N]).as_u128()
            }
            None => self.clone().end_with_large(last),
        }
    }

    #[inline(never)]
    fn end_with_large(mut self, last: &[u8]) -> u128 {
        self.add_large(last);
        self.end()
    }

    /// The hash.
    #[inline]
    pub fn end(&self) -> u128 {
        self.hasher.hash(&self.gathered[..self.length]).as_u128()
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

#[cfg(test)]
mod tests {
    use super::KeyHash;

    #[test]
    fn a_last_part_is_as_if_added_and_leaves_what_was_before() {
        let keys = KeyHash::new([7; 16]);
        for length in [0, 1, 100, 120, 124, 125, 126, 127, 300] {
            let mut shared = keys.begin(2);
            shared.add(&vec![b'x'; length]);
            let hashes = [*b"12", *b"34"].map(|last| {
                let mut added = shared.clone();
                added.add_fixed(&last);
                (shared.end_with(&last), added.end())
            });
            assert!(hashes.iter().all(|(at_once, added)| at_once == added), "{length}");
            assert_ne!(hashes[0], hashes[1]);
        }
    }
}
