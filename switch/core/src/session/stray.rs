//! Answers to sales that nothing here knows any more: they were answered before the last start, or longer ago than what is remembered of answers, or their late window is over.
//!
//! Owns: how many of them are told in a minute. Invariants: all are counted; what is told says how many were not.
//! Deliberately absent: whether one says otherwise than its sale's answer. Only the journal knows, and whoever is told can ask it (`transaction find --rrn`).

use crate::ids::Now;
use crate::text::Text;

/// Told in a minute, so that a supplier that repeats itself fills neither journal nor log.
pub(super) const STRAYS_A_MINUTE_MAX: u32 = 100;
const MINUTE_US: u64 = 60_000_000;

/// Such an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stray {
    /// DE37 of it; empty where it has none.
    pub rrn: Text<12>,
    /// DE11 of it.
    pub stan: u32,
    /// The supplier's code.
    pub code: Text<4>,
    /// Whether that is an approval.
    pub approved: bool,
    /// How many were counted before it and not told, since the last one that was.
    pub untold: u64,
}

/// How many were told.
#[derive(Debug, Default)]
pub(super) struct Strays {
    since_us: u64,
    told: u32,
    untold: u64,
}

impl Strays {
    /// Whether one more may be told; then it is, with how many were not.
    pub(super) fn tell(&mut self, now: Now) -> Option<u64> {
        if now.mono_us.saturating_sub(self.since_us) >= MINUTE_US {
            (self.since_us, self.told) = (now.mono_us, 0);
        }
        if self.told == STRAYS_A_MINUTE_MAX {
            self.untold += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_tells_so_many_and_the_next_one_says_how_many_were_not() {
        let at = |mono_us| Now { mono_us, wall_ms: 0 };
        let mut strays = Strays::default();
        let told = (0..STRAYS_A_MINUTE_MAX + 7).filter_map(|_| strays.tell(at(MINUTE_US)));
        assert!(told.eq(std::iter::repeat_n(0, STRAYS_A_MINUTE_MAX as usize)));
        assert_eq!(strays.tell(at(2 * MINUTE_US)), Some(7));
        assert_eq!(strays.tell(at(2 * MINUTE_US)), Some(0));
    }
}
