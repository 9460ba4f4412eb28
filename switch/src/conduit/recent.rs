//! How many requests a connection has open that came lately.
//!
//! Owns: `Recent`, a count in two spans of time. Invariants: what is older than both does not count, whether it is answered or not: a request that waits for a slow supplier is
//! soon none of them; a request counts for one span at the least.
//! Deliberately absent: what is made of it (`desk`), and the window, which counts all that is open.

use switchyard_core::ids::Now;

/// A span, in microseconds: many times what the yard needs for all that it takes at once.
const SPAN_US: u64 = 100_000;

/// Open requests of a connection that came in this span of time or in the one before.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// When the span before began, and this one; monotonic microseconds.
    began_us: [u64; 2],
    open: [u32; 2],
}

impl Recent {
    /// A turn begins.
    pub(super) fn begin_turn(&mut self, now: Now) {
        let age_us = now.mono_us.saturating_sub(self.began_us[1]);
        if age_us >= SPAN_US {
            let open = if age_us < 2 * SPAN_US { self.open[1] } else { 0 };
            (self.began_us, self.open) = ([self.began_us[1], now.mono_us], [open, 0]);
        }
    }

    /// A request was taken in this turn.
    pub(super) fn take(&mut self) {
        self.open[1] += 1;
    }

    /// One that came at that moment was answered.
    pub(super) fn answered(&mut self, received_us: u64) {
        let span = self.began_us.iter().rposition(|began_us| *began_us <= received_us);
        if let Some(span) = span {
            self.open[span] = self.open[span].saturating_sub(1);
        }
    }

    /// How many are open.
    pub(super) fn open(&self) -> u32 {
        self.open[0] + self.open[1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono_us: u64) -> Now {
        Now { mono_us, ..Now::default() }
    }

    #[test]
    fn what_waits_long_counts_no_more() {
        let mut recent = Recent::default();
        recent.begin_turn(at(SPAN_US));
        (0..64).for_each(|_| recent.take());
        (0..14).for_each(|_| recent.answered(SPAN_US));
        recent.begin_turn(at(2 * SPAN_US));
        (0..5).for_each(|_| recent.take());
        assert_eq!(recent.open(), 55);
        recent.answered(SPAN_US + 1);
        recent.answered(2 * SPAN_US);
        assert_eq!((recent.open(), recent.open), (53, [49, 4]));
        recent.begin_turn(at(3 * SPAN_US));
        recent.answered(SPAN_US);
        assert_eq!(recent.open(), 4, "fifty wait for a slow supplier");
        recent.begin_turn(at(9 * SPAN_US));
        assert_eq!(recent.open(), 0);
    }
}
