//! How long to wait before something that was lost is dialled again: a supplier's link, or a conduit's connection.
//!
//! Owns: the growth of the wait, and its jitter. Deliberately absent: the timer, and randomness of its own: the seed is given.

use std::time::Duration;

/// How long to wait before the next dial: doubling, up to a quarter less at random, so that links lost together do not
/// come back together. Whoever dials says when it starts again.
#[derive(Debug)]
pub(crate) struct Backoff {
    first_ms: u64,
    max_ms: u64,
    next_ms: u64,
    random: u64,
}

impl Backoff {
    /// Waits from `first_ms` to `max_ms`. `seed` makes the jitter; give each link or connection another.
    pub(crate) fn new(first_ms: u32, max_ms: u32, seed: u64) -> Self {
        let first_ms = u64::from(first_ms.max(1));
        // Xorshift has one forbidden state, zero.
        let random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        Self { first_ms, max_ms: u64::from(max_ms).max(first_ms), next_ms: first_ms, random }
    }

    /// The next wait is the first one again.
    pub(crate) fn reset(&mut self) {
        self.next_ms = self.first_ms;
    }

    /// The wait before the next dial.
    pub(crate) fn next(&mut self) -> Duration {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let wait_ms = self.next_ms - self.random % (self.next_ms / 4 + 1);
        self.next_ms = (self.next_ms * 2).min(self.max_ms);
        Duration::from_millis(wait_ms)
    }
}
