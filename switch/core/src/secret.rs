//! Values that must not be seen: PAN, PIN, and what carries them.
//!
//! Owns: `Secret`, bytes that do not print and are wiped when cleared or dropped (R-22, S-18).
//! Invariants: `Debug` shows `***`; there is no `Display`, no `Clone`, no `PartialEq`.
//! Deliberately absent: encryption; `seal` does that.

use std::fmt;
use zeroize::Zeroize;

/// Bytes that do not print. The buffer is kept when cleared, so that a recycled ticket allocates nothing.
#[derive(Default)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// An empty secret without a buffer.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The clear bytes. The caller writes them where they belong and keeps no copy.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The buffer, to be filled. Only what decodes a message or opens a seal writes here.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// Keeps the first `length` bytes, wiping the rest.
    pub fn shorten(&mut self, length: usize) {
        if let Some(rest) = self.0.get_mut(length..) {
            rest.zeroize();
            self.0.truncate(length);
        }
    }

    /// Room of the buffer, in bytes.
    pub fn room_bytes(&self) -> usize {
        self.0.capacity()
    }

    /// Whether there is anything in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Replaces what was there, wiping it first.
    pub fn set(&mut self, bytes: &[u8]) {
        self.clear();
        self.0.extend_from_slice(bytes);
    }

    /// Wipes the bytes and keeps the buffer. An empty one is clean already: whoever shortens it wipes first.
    pub fn clear(&mut self) {
        if self.0.is_empty() {
            return;
        }
        let capacity = self.0.capacity();
        self.0.resize(capacity, 0);
        self.0.as_mut_slice().zeroize();
        self.0.clear();
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
