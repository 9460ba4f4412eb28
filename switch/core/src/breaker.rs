//! A circuit breaker: leaves a supplier alone while too many of its outcomes are unknown.
//!
//! Owns: the count of outcomes in a sliding window, the position (closed, open, half-open), and the sale that probes.
//! Invariants: only unknown outcomes open it, declines are answers; while it is open nobody is asked; half-open lets one sale at a time through, and only that
//! sale's outcome moves it; what was asked before it opened moves nothing.
//! Deliberately absent: clocks (`now` is an argument), and reversals and network management, which it never stops.

use crate::ids::Now;

/// When it opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRules {
    /// It opens when so many of a hundred outcomes are unknown, 1 to 100 ...
    pub unknown_percent: u8,
    /// ... of at least so many ...
    pub requests_min: u32,
    /// ... in so long.
    pub window_ms: u32,
    /// How long it stays open before sales probe.
    pub open_ms: u32,
}

impl Default for BreakerRules {
    fn default() -> Self {
        Self { unknown_percent: 50, requests_min: 20, window_ms: 10_000, open_ms: 5_000 }
    }
}

/// Where it stands; the number is what metrics show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Position {
    /// Sales pass.
    #[default]
    Closed = 0,
    /// One sale at a time passes, to see whether the supplier answers again.
    HalfOpen = 1,
    /// No sale passes.
    Open = 2,
}

impl Position {
    /// The name in pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }

    /// The position of a number that metrics show; what is none is closed.
    pub fn of(number: u64) -> Self {
        match number {
            1 => Self::HalfOpen,
            2 => Self::Open,
            _ => Self::Closed,
        }
    }
}

/// Parts of the window: it slides by one of them.
const SLICES: usize = 10;

/// Probes in a row that must be answered before it closes.
pub const PROBES: u8 = 3;

/// Outcomes of one part of the window.
#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    number: u64,
    answered: u32,
    unknown: u32,
}

#[derive(Clone, Copy, Debug)]
enum Standing {
    Closed,
    Open { until_us: u64 },
    HalfOpen { probe: Option<u32>, answered: u8 },
}

/// The breaker of one supplier. Attempts are told apart by their STAN.
#[derive(Debug)]
pub struct Breaker {
    rules: BreakerRules,
    standing: Standing,
    slices: [Slice; SLICES],
    /// The number of the first part of the window from which on no outcome is unknown.
    known_from: u64,
    opened: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::new(BreakerRules::default())
    }
}

impl Breaker {
    /// A closed one.
    pub fn new(rules: BreakerRules) -> Self {
        Self {
            rules,
            standing: Standing::Closed,
            slices: [Slice::default(); SLICES],
            known_from: 0,
            opened: 0,
        }
    }

    /// Goes on under other rules.
    pub fn configure(&mut self, rules: BreakerRules) {
        if self.rules != rules {
            self.rules = rules;
            self.clear();
        }
    }

    /// Where it stands.
    pub fn position(&self, now: Now) -> Position {
        match self.standing {
            Standing::Closed => Position::Closed,
            Standing::Open { until_us } if now.mono_us < until_us => Position::Open,
            Standing::Open { .. } | Standing::HalfOpen { .. } => Position::HalfOpen,
        }
    }

    /// How often it opened.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// Whether a sale may be asked now.
    pub fn lets(&self, now: Now) -> bool {
        match self.standing {
            Standing::Closed => true,
            Standing::Open { until_us } => now.mono_us >= until_us,
            Standing::HalfOpen { probe, .. } => probe.is_none(),
        }
    }

    /// A sale is asked under that STAN. Half-open, it is the probe.
    pub fn asked(&mut self, now: Now, stan: u32) {
        match &mut self.standing {
            Standing::Open { until_us } if now.mono_us >= *until_us => {
                self.standing = Standing::HalfOpen { probe: Some(stan), answered: 0 };
            }
            Standing::HalfOpen { probe, .. } => *probe = Some(stan),
            Standing::Closed | Standing::Open { .. } => {}
        }
    }

    /// It was answered in time, whatever the answer says.
    pub fn answered(&mut self, now: Now, stan: u32) {
        match &mut self.standing {
            Standing::Closed => {
                self.slice(now).answered += 1;
                self.judge(now);
            }
            Standing::HalfOpen { probe, answered } if *probe == Some(stan) => {
                (*probe, *answered) = (None, *answered + 1);
                if *answered >= PROBES {
                    self.standing = Standing::Closed;
                    self.clear();
                }
            }
            Standing::HalfOpen { .. } | Standing::Open { .. } => {}
        }
    }

    /// Its outcome is unknown.
    pub fn unknown(&mut self, now: Now, stan: u32) {
        match self.standing {
            Standing::Closed => {
                let slice = self.slice(now);
                slice.unknown += 1;
                self.known_from = slice.number + 1;
                self.judge(now);
            }
            Standing::HalfOpen { probe, .. } if probe == Some(stan) => self.open(now),
            Standing::HalfOpen { .. } | Standing::Open { .. } => {}
        }
    }

    /// It was never sent: that says nothing, and another sale may probe.
    pub fn withdrawn(&mut self, stan: u32) {
        if let Standing::HalfOpen { probe, .. } = &mut self.standing
            && *probe == Some(stan)
        {
            *probe = None;
        }
    }

    /// The supplier's link is back: rather than waiting out its time, an open breaker lets a sale probe.
    pub fn returned(&mut self) {
        if let Standing::Open { .. } = self.standing {
            self.standing = Standing::HalfOpen { probe: None, answered: 0 };
        }
    }

    fn clear(&mut self) {
        (self.slices, self.known_from) = ([Slice::default(); SLICES], 0);
    }

    fn open(&mut self, now: Now) {
        self.opened += 1;
        self.standing = Standing::Open { until_us: now.mono_us + u64::from(self.rules.open_ms) * 1_000 };
    }

    fn number(&self, now: Now) -> u64 {
        now.mono_us / (u64::from(self.rules.window_ms) * 1_000 / SLICES as u64).max(1)
    }

    fn slice(&mut self, now: Now) -> &mut Slice {
        let number = self.number(now);
        let slice = &mut self.slices[(number % SLICES as u64) as usize];
        if slice.number != number {
            *slice = Slice { number, ..Slice::default() };
        }
        slice
    }

    fn judge(&mut self, now: Now) {
        let number = self.number(now);
        // As long as all is well: where nothing of the window is unknown, there is nothing to count.
        if self.known_from + SLICES as u64 <= number + 1 || self.known_from == 0 {
            return;
        }
        let recent = self.slices.iter().filter(|slice| slice.number + SLICES as u64 > number);
        let (answered, unknown) = recent.fold((0u64, 0u64), |(answered, unknown), slice| {
            (answered + u64::from(slice.answered), unknown + u64::from(slice.unknown))
        });
        let all = answered + unknown;
        if all >= u64::from(self.rules.requests_min)
            && unknown * 100 >= all * u64::from(self.rules.unknown_percent)
        {
            self.open(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    const RULES: BreakerRules =
        BreakerRules { unknown_percent: 50, requests_min: 20, window_ms: 10_000, open_ms: 5_000 };

    fn at(ms: u64) -> Now {
        Now { mono_us: ms * 1_000, wall_ms: 0 }
    }

    /// One that has just opened, at 0.
    fn open() -> Breaker {
        let mut breaker = Breaker::new(RULES);
        (1..=20).for_each(|stan| breaker.unknown(at(0), stan));
        assert_eq!(breaker.position(at(0)), Position::Open);
        breaker
    }

    #[test]
    fn half_of_twenty_opens_it_and_less_does_not() {
        for (unknown, opens) in [(9, false), (10, true)] {
            let mut breaker = Breaker::new(RULES);
            (0..20 - unknown).for_each(|stan| breaker.answered(at(1), stan));
            (0..unknown).for_each(|stan| breaker.unknown(at(2), stan));
            assert_eq!(breaker.position(at(2)) == Position::Open, opens, "{unknown} of 20");
        }
        let mut breaker = Breaker::new(RULES);
        (0..19).for_each(|stan| breaker.unknown(at(1), stan));
        assert!(breaker.lets(at(1)), "nineteen are too few");
    }

    #[test]
    fn what_left_the_window_does_not_count() {
        let mut breaker = Breaker::new(RULES);
        (0..19).for_each(|stan| breaker.unknown(at(0), stan));
        breaker.unknown(at(10_000), 19);
        assert!(breaker.lets(at(10_000)));
        (0..19).for_each(|stan| breaker.unknown(at(10_001), stan));
        assert!(!breaker.lets(at(10_001)));
    }

    #[test]
    fn probes_pass_one_by_one_and_their_answers_close_it() {
        let mut breaker = open();
        assert!(!breaker.lets(at(4_999)) && breaker.lets(at(5_000)));
        for stan in 0..u32::from(PROBES) {
            assert_eq!(breaker.position(at(5_000)), Position::HalfOpen);
            breaker.asked(at(5_000), stan);
            assert!(!breaker.lets(at(60_000)), "one at a time");
            breaker.answered(at(5_001), 999);
            assert!(!breaker.lets(at(5_001)), "only the probe's answer counts");
            breaker.answered(at(5_002), stan);
        }
        assert_eq!(breaker.position(at(5_002)), Position::Closed);
        (0..19).for_each(|stan| breaker.unknown(at(5_003), stan));
        assert!(breaker.lets(at(5_003)), "it begins anew");
    }

    #[test]
    fn a_probe_without_an_answer_opens_it_again_and_one_never_sent_says_nothing() {
        let mut breaker = open();
        breaker.asked(at(5_000), 1);
        breaker.withdrawn(1);
        assert!(breaker.lets(at(5_000)));
        breaker.asked(at(5_000), 2);
        breaker.unknown(at(8_000), 1);
        breaker.unknown(at(8_000), 2);
        assert!(!breaker.lets(at(12_999)) && breaker.lets(at(13_000)));
        assert_eq!(breaker.opened(), 2);
    }

    #[test]
    fn a_link_that_returns_is_probed_at_once() {
        let mut breaker = open();
        breaker.returned();
        assert_eq!(breaker.position(at(1)), Position::HalfOpen);
        breaker.asked(at(1), 1);
        breaker.returned();
        assert!(!breaker.lets(at(1)), "the probe under way stays the only one");
        let mut closed = Breaker::new(RULES);
        closed.returned();
        assert_eq!(closed.position(at(1)), Position::Closed);
    }

    proptest! {
        /// Against a model that remembers every outcome: what the slices forget early is at most a tenth of the window.
        #[test]
        fn it_opens_where_the_rule_says(outcomes in prop::collection::vec((0u64..900, any::<bool>()), 1..200)) {
            let mut breaker = Breaker::new(RULES);
            let (mut now, mut seen) = (0, VecDeque::new());
            for (step, unknown) in outcomes {
                now += step;
                seen.push_back((now, unknown));
                match unknown {
                    true => breaker.unknown(at(now), 1),
                    false => breaker.answered(at(now), 1),
                }
                let slice = u64::from(RULES.window_ms) / SLICES as u64;
                let first = (now / slice + 1).saturating_sub(SLICES as u64) * slice;
                while seen.front().is_some_and(|(when, _)| *when < first) {
                    seen.pop_front();
                }
                let bad = seen.iter().filter(|(_, unknown)| *unknown).count();
                let opens = seen.len() >= 20 && bad * 2 >= seen.len();
                prop_assert_eq!(!breaker.lets(at(now)), opens);
                if opens {
                    break;
                }
            }
        }
    }
}
