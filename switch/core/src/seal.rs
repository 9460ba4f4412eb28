//! Sealing: how a secret lies on disk.
//!
//! Owns the AES-256-GCM data keys, the rule by which nonces are made, and the ring in which the keys of one
//! process are found. PINs, receipts with PINs and PANs go through here before they reach a fact or a stock
//! file (S-18).
//!
//! Invariants:
//! - A nonce is used once under a key: it is the position of the fact and the index of the secret in that
//!   fact. Positions may repeat after a torn tail was cut, keys never do, because each start makes a new one.
//! - A key is never printed, and its bytes are overwritten when it is dropped.
//!
//! Deliberately absent: randomness (keys are made by the shell), files, and the key-encryption key.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::aead::{self, AES_256_GCM, Aad, LessSafeKey, UnboundKey};
use zeroize::{Zeroize, Zeroizing};

use crate::log::Lsn;

/// Length of a data key in bytes.
pub const DATA_KEY_BYTES: usize = 32;

/// What sealing adds to the length of a secret: the tag of AES-GCM, in bytes.
pub const TAG_BYTES: usize = 16;

/// The bit that tells keys of stock batches from keys of journal epochs.
const STOCK_BIT: u32 = 0x8000_0000;

/// Why something could not be sealed or opened. Holds no secret and no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The tag does not fit: another key, another nonce, other associated data, or damaged bytes.
    /// A retry gives the same answer. Look for a key file that was exchanged, or a damaged disk.
    #[error("sealed bytes do not open: wrong key, wrong place or damaged")]
    DoesNotOpen,
    /// The cipher refused to seal, which it only does for a secret beyond its length limit (64 GiB).
    /// Nothing was written. A fault of the switch; a retry gives the same answer.
    #[error("the cipher refused to seal")]
    Refused,
}

/// Which key sealed something: stored beside the sealed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

impl KeyId {
    /// The key of a journal epoch. Epochs lie below 2³¹.
    pub fn epoch(epoch: u32) -> KeyId {
        KeyId(epoch & !STOCK_BIT)
    }

    /// The key of a stock batch. Batch numbers lie below 2³¹.
    pub fn stock(batch: u32) -> KeyId {
        KeyId(STOCK_BIT | batch)
    }

    /// Whether this is the key of a stock batch.
    pub fn is_stock(self) -> bool {
        self.0 & STOCK_BIT != 0
    }
}

/// The number that AES-GCM must never see twice under one key (NIST SP 800-38D, 8.2.1: deterministic
/// construction).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Nonce(pub [u8; 12]);

impl Nonce {
    /// The nonce of the secret with this index (from 0) in the fact at this position.
    pub fn of(lsn: Lsn, index: u32) -> Nonce {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&lsn.0.to_le_bytes());
        bytes[8..].copy_from_slice(&index.to_le_bytes());
        Nonce(bytes)
    }
}

/// A key of 32 bytes that seals secrets with AES-256-GCM.
pub struct DataKey {
    bytes: Zeroizing<[u8; DATA_KEY_BYTES]>,
    cipher: LessSafeKey,
}

impl DataKey {
    /// Takes over the bytes of a key, which the shell drew at random or unwrapped.
    ///
    /// # Errors
    /// [`SealError::Refused`] when the cipher does not take the key.
    pub fn new(bytes: Zeroizing<[u8; DATA_KEY_BYTES]>) -> Result<DataKey, SealError> {
        let unbound = UnboundKey::new(&AES_256_GCM, bytes.as_slice()).map_err(|_| SealError::Refused)?;
        Ok(DataKey { bytes, cipher: LessSafeKey::new(unbound) })
    }

    /// The key itself, for wrapping it under another key and for nothing else.
    pub fn expose(&self) -> &[u8; DATA_KEY_BYTES] {
        &self.bytes
    }

    /// Appends the sealed form of `plain` to `out`: the ciphertext, then 16 bytes of tag.
    /// `aad` is not stored; the same bytes must be given to [`DataKey::open`].
    ///
    /// # Errors
    /// [`SealError::Refused`]; `out` is then as before.
    pub fn seal(&self, nonce: Nonce, aad: &[u8], plain: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        let start = out.len();
        out.extend_from_slice(plain);
        match self.cipher.seal_in_place_separate_tag(cipher_nonce(nonce), Aad::from(aad), &mut out[start..]) {
            Ok(tag) => {
                out.extend_from_slice(tag.as_ref());
                Ok(())
            }
            Err(_) => {
                wipe_from(out, start);
                Err(SealError::Refused)
            }
        }
    }

    /// Appends the secret in `sealed` to `out`. The caller wipes `out` when it is done with it.
    ///
    /// # Errors
    /// [`SealError::DoesNotOpen`]; `out` is then as before.
    pub fn open(&self, nonce: Nonce, aad: &[u8], sealed: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        let Some(plain_len) = sealed.len().checked_sub(TAG_BYTES) else {
            return Err(SealError::DoesNotOpen);
        };
        let (ciphertext, tag) = sealed.split_at(plain_len);
        let start = out.len();
        out.resize(start + plain_len, 0);
        let opened = self.cipher.open_separate_gather(
            cipher_nonce(nonce),
            Aad::from(aad),
            ciphertext,
            tag,
            &mut out[start..],
        );
        if opened.is_err() {
            wipe_from(out, start);
            return Err(SealError::DoesNotOpen);
        }
        Ok(())
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(***)")
    }
}

fn cipher_nonce(nonce: Nonce) -> aead::Nonce {
    aead::Nonce::assume_unique_for_key(nonce.0)
}

fn wipe_from(out: &mut Vec<u8>, start: usize) {
    out[start..].zeroize();
    out.truncate(start);
}

/// The data keys that this process may use, by their ids: one for each journal epoch and stock batch.
///
/// Shared as `Arc<Keyring>`. Keys are added when segments and stock batches are opened and are never taken
/// out or exchanged; a reader takes a read lock for the length of one look-up, which only such an addition
/// can hold up.
#[derive(Default)]
pub struct Keyring {
    keys: RwLock<HashMap<KeyId, Arc<DataKey>>>,
}

impl Keyring {
    /// An empty ring.
    pub fn new() -> Keyring {
        Keyring::default()
    }

    /// Adds a key. The key of an id that is already there stays, because what it sealed must still open; the
    /// answer is then false.
    pub fn insert(&self, id: KeyId, key: DataKey) -> bool {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if keys.contains_key(&id) {
            return false;
        }
        keys.insert(id, Arc::new(key));
        true
    }

    /// The key of an id. Callers that seal often hold on to the answer.
    pub fn key(&self, id: KeyId) -> Option<Arc<DataKey>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} keys)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> DataKey {
        DataKey::new(Zeroizing::new([byte; DATA_KEY_BYTES])).expect("a key of the right length")
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_and_keeps_what_stood_before(
            plain in proptest::collection::vec(any::<u8>(), 0..200),
            before in proptest::collection::vec(any::<u8>(), 0..20),
            lsn: u64, index: u32,
        ) {
            let nonce = Nonce::of(Lsn(lsn), index);
            let mut sealed = before.clone();
            key(1).seal(nonce, b"serial", &plain, &mut sealed).expect("seals");
            prop_assert_eq!(sealed.len(), before.len() + plain.len() + TAG_BYTES);
            let mut opened = before.clone();
            key(1).open(nonce, b"serial", &sealed[before.len()..], &mut opened).expect("opens");
            prop_assert_eq!(&opened[before.len()..], &plain[..]);
            prop_assert_eq!(&opened[..before.len()], &before[..]);
        }

        #[test]
        fn nonces_of_different_places_differ(a: (u64, u32), b: (u64, u32)) {
            prop_assume!(a != b);
            prop_assert_ne!(Nonce::of(Lsn(a.0), a.1), Nonce::of(Lsn(b.0), b.1));
        }
    }

    #[test]
    fn another_key_place_text_or_bit_does_not_open() {
        let nonce = Nonce::of(Lsn(4096), 0);
        let mut sealed = Vec::new();
        key(1).seal(nonce, b"serial", b"1234567890", &mut sealed).expect("seals");
        let refused = |key: &DataKey, nonce, aad: &[u8], sealed: &[u8]| {
            let mut out = b"kept".to_vec();
            assert_eq!(key.open(nonce, aad, sealed, &mut out), Err(SealError::DoesNotOpen));
            assert_eq!(out, b"kept");
        };
        refused(&key(2), nonce, b"serial", &sealed);
        refused(&key(1), Nonce::of(Lsn(4096), 1), b"serial", &sealed);
        refused(&key(1), nonce, b"another", &sealed);
        for length in 0..sealed.len() {
            refused(&key(1), nonce, b"serial", &sealed[..length]);
        }
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            refused(&key(1), nonce, b"serial", &flipped);
        }
    }

    #[test]
    fn keys_do_not_print_and_are_not_exchanged() {
        let ring = Keyring::new();
        assert!(ring.insert(KeyId::epoch(7), key(7)));
        assert!(!ring.insert(KeyId::epoch(7), key(8)));
        assert!(ring.insert(KeyId::stock(7), key(9)));
        let found = ring.key(KeyId::epoch(7)).expect("inserted above");
        assert_eq!(found.expose(), &[7; DATA_KEY_BYTES]);
        assert_eq!(format!("{found:?} {ring:?}"), "DataKey(***) Keyring(2 keys)");
        assert!(ring.key(KeyId::epoch(8)).is_none());
        assert!(KeyId::stock(7).is_stock() && !KeyId::epoch(7).is_stock());
    }
}
