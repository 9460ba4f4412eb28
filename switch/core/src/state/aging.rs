//! The time by which requests age, and are forgotten (S-3).
//!
//! Owns: that time. Invariants: it follows the clock of the facts, but not at once where that goes ahead by more than a day from one fact to the next: a wrong clock that
//! is put right within a day has made nobody forget anything. Where the clock goes back, it goes back too: nothing is forgotten early then either. What is forgotten after minutes goes by
//! another time, which no leap of the clock takes further than a minute.
//! Deliberately absent: the clock itself, and telling a wrong clock from a switch that stood still; after standing still nothing is forgotten for a day more than it must be.

use crate::pack::{Pack, Unpack, Unreadable};

/// How far the clock may go ahead from one fact to the next and be believed at once. The window has more slack than that: the zones on both sides (S-3).
pub const BELIEVED_MS: u64 = 24 * 3_600_000;

/// What counts at most of the time from one fact to the next where something is forgotten after minutes, not days: the rest may be a leap of the clock.
pub(super) const STEP_MS: u64 = 60_000;

/// The time by which requests age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Aging {
    /// That time, Unix milliseconds.
    counted_ms: u64,
    /// When the clock went ahead, by itself; 0 where it did not.
    ahead_since_ms: u64,
    /// The clock of the last fact.
    last_ms: u64,
    /// Time that has certainly passed, milliseconds.
    passed_ms: u64,
}

impl Aging {
    /// A fact was made at `now_ms`: the time by which requests age now.
    pub(super) fn pass(&mut self, now_ms: u64) -> u64 {
        self.passed_ms += now_ms.saturating_sub(self.last_ms).min(STEP_MS);
        self.last_ms = now_ms;
        let Self { counted_ms, ahead_since_ms, .. } = *self;
        let near = counted_ms == 0 || now_ms <= counted_ms + BELIEVED_MS;
        let stayed = ahead_since_ms != 0 && now_ms >= ahead_since_ms + BELIEVED_MS;
        // Further ahead once more is not staying.
        let again = stayed && now_ms > ahead_since_ms + 2 * BELIEVED_MS;
        if near || (stayed && !again) {
            (self.counted_ms, self.ahead_since_ms) = (now_ms, 0);
        } else if ahead_since_ms == 0 || now_ms < ahead_since_ms || again {
            self.ahead_since_ms = now_ms;
        }
        self.counted_ms
    }

    /// See `pass`.
    pub(super) fn now_ms(self) -> u64 {
        self.counted_ms
    }

    /// Time that has certainly passed since the first fact, milliseconds: at most a minute from one fact to the next.
    pub(super) fn passed_ms(self) -> u64 {
        self.passed_ms
    }

    /// Whether the clock has gone ahead, and is not believed yet.
    pub(super) fn is_ahead(self) -> bool {
        self.ahead_since_ms != 0
    }

    /// Reads a packed one.
    ///
    /// # Errors
    /// The bytes are none.
    pub(super) fn unpack(from: &mut Unpack<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            counted_ms: from.u64()?,
            ahead_since_ms: from.u64()?,
            last_ms: from.u64()?,
            passed_ms: from.u64()?,
        })
    }
}

impl Pack for Aging {
    fn pack(&self, out: &mut Vec<u8>) {
        self.counted_ms.pack(out);
        self.ahead_since_ms.pack(out);
        self.last_ms.pack(out);
        self.passed_ms.pack(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;
    const START_MS: u64 = 1_000_000 * HOUR_MS;

    #[test]
    fn a_clock_that_goes_ahead_for_less_than_a_day_is_not_believed() {
        let mut aging = Aging::default();
        assert_eq!(aging.pass(START_MS), START_MS, "the first fact of all");
        for hour in 0..24 {
            assert_eq!(aging.pass(START_MS + (9_000 + hour) * HOUR_MS), START_MS);
            assert!(aging.is_ahead());
        }
        assert_eq!(aging.pass(START_MS + HOUR_MS), START_MS + HOUR_MS, "it was put right");
        assert!(!aging.is_ahead());
    }

    #[test]
    fn a_clock_that_stays_ahead_is_believed_after_a_day() {
        let mut aging = Aging::default();
        aging.pass(START_MS);
        for hour in 100..=123 {
            assert_eq!(aging.pass(START_MS + hour * HOUR_MS), START_MS);
        }
        let at_ms = START_MS + 124 * HOUR_MS;
        assert_eq!((aging.pass(at_ms), aging.is_ahead()), (at_ms, false));
    }

    #[test]
    fn each_leap_ahead_begins_the_day_anew() {
        let mut aging = Aging::default();
        for leap in 0..5 {
            assert_eq!(aging.pass(START_MS + leap * 1_000 * HOUR_MS), START_MS);
        }
        assert_eq!(aging.pass(START_MS + 4_024 * HOUR_MS), START_MS + 4_024 * HOUR_MS);
    }

    #[test]
    fn no_leap_passes_for_more_than_a_minute() {
        let mut aging = Aging::default();
        aging.pass(START_MS);
        let before_ms = aging.passed_ms();
        for at_ms in [START_MS + 30_000, START_MS + 20 * HOUR_MS, START_MS - HOUR_MS, START_MS - HOUR_MS + 5]
        {
            aging.pass(at_ms);
        }
        assert_eq!(aging.passed_ms() - before_ms, 30_000 + STEP_MS + 5);
    }

    #[test]
    fn a_clock_that_goes_back_is_followed_at_once() {
        let mut aging = Aging::default();
        aging.pass(START_MS);
        assert_eq!(aging.pass(START_MS - 500 * HOUR_MS), START_MS - 500 * HOUR_MS);
        assert!(!aging.is_ahead());
    }
}
