//! How long a link waits before it is dialled again.

use std::time::Duration;

/// How long to wait before the next dial: doubling, up to a quarter less at random, so that links lost together do not
/// come back together. Starts again once the supplier has said something.
#[derive(Debug)]
pub(super) struct Backoff {
    first_ms: u64,
    max_ms: u64,
    next_ms: u64,
    random: u64,
}

impl Backoff {
    pub(super) fn new(first_ms: u32, max_ms: u32, seed: u64) -> Self {
        let first_ms = u64::from(first_ms.max(1));
        // Xorshift has one forbidden state, zero.
        let random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        Self { first_ms, max_ms: u64::from(max_ms).max(first_ms), next_ms: first_ms, random }
    }

    pub(super) fn reset(&mut self) {
        self.next_ms = self.first_ms;
    }

    pub(super) fn next(&mut self) -> Duration {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let wait_ms = self.next_ms - self.random % (self.next_ms / 4 + 1);
        self.next_ms = (self.next_ms * 2).min(self.max_ms);
        Duration::from_millis(wait_ms)
    }
}
