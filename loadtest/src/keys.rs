//! Keys: which terminal asks next, under which STAN, in which second.
//!
//! Owns: `Keys`, the order in which a load uses up what S-1 gives it: terminals times STANs, anew with each second of DE12 and 13.
//! Invariants: no two sales have one key (terminal, STAN, second): of one load never; of loads that run at once on the same terminals, while
//! their lanes differ; of loads that follow one another, since each begins with a second of its own ([`next_second`]) and has ended by
//! its last one. A sale's STAN is odd, and the even one after it is its reversal's, so that reversals have keys of their own too. Terminals
//! ask in turn.
//! Deliberately absent: clocks and waiting (`load`), and which STANs are open (`engine`).
//!
//! Where it ends: a terminal has 499,999 sales a second. What a lane has beyond that is taken from the next second, so an open loop that asks
//! for more is refused before it begins. And a pair of terminal and STAN comes again, in another second, after [`Keys::per_second`] sales.

use std::time::Duration;

/// STANs that sales may have: 1, 3, and so on to 999,997 (DE11, n6).
const STANS: u64 = 499_999;
/// Loads that may run at once on the same terminals; fewer where there are fewer terminals.
pub(crate) const LANES_MAX: u64 = 64;

/// A sale's key, as far as a load chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Number of the terminal.
    pub(crate) terminal: u32,
    /// DE11, odd.
    pub(crate) stan: u32,
    /// DE12 and 13, seconds since 1970.
    pub(crate) second: u64,
}

/// The keys of one load.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    terminals: u64,
    /// The lane's first pair among all pairs of terminal and STAN.
    first: u64,
    /// Pairs of the lane.
    pairs: u64,
    /// Which of them is next.
    next: u64,
    second: u64,
    /// Pairs used in that second.
    used: u64,
}

impl Keys {
    /// The keys of so many terminals, at least one. `lane`: counted modulo the number of lanes. `start`: where in its lane it begins.
    pub(crate) fn new(terminals: usize, lane: u64, start: u64) -> Self {
        let terminals = terminals.max(1) as u64;
        let pairs = Self::per_second(terminals as usize);
        let lane = lane % LANES_MAX.min(terminals);
        Self { terminals, first: lane * pairs, pairs, next: start % pairs, second: 0, used: 0 }
    }

    /// Sales that one lane of so many terminals has a second: a multiple of `terminals`.
    pub(crate) fn per_second(terminals: usize) -> u64 {
        let terminals = terminals.max(1) as u64;
        STANS / LANES_MAX.min(terminals) * terminals
    }

    /// Sets the wall clock. It may go back: a second that was used is not begun again.
    pub(crate) fn set_second(&mut self, second: u64) {
        if second > self.second {
            self.begin(second);
        }
    }

    fn begin(&mut self, second: u64) {
        (self.second, self.used) = (second, 0);
    }

    /// The second of the last key, which the clock may not have reached yet.
    pub(crate) fn second(&self) -> u64 {
        self.second
    }

    /// The next key.
    pub(crate) fn next(&mut self) -> Key {
        if self.used == self.pairs {
            self.begin(self.second + 1);
        }
        let (terminal, stan) = pair(self.first + self.next, self.terminals);
        self.next = (self.next + 1) % self.pairs;
        self.used += 1;
        Key { terminal, stan, second: self.second }
    }
}

/// The pair of that number, below terminals × STANs: each once. Terminals come in turn, and so do STANs; where both turns would end
/// together and the same pairs come again, STANs go on by one.
fn pair(number: u64, terminals: u64) -> (u32, u32) {
    let shift = number / lcm(terminals, STANS);
    let slot = (number + shift) % STANS;
    ((number % terminals) as u32, (2 * slot + 1) as u32)
}

fn lcm(left: u64, right: u64) -> u64 {
    let (mut a, mut b) = (left, right);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    left / a * right
}

/// How long it takes until a second begins in which no load before has asked; the wall clock is given in milliseconds.
pub(crate) fn next_second(wall_ms: u64) -> Duration {
    Duration::from_millis(1_000 - wall_ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn every_pair_comes_once() {
        // 7 and 31 divide the number of STANs' neighbours or itself; 999 is the demonstration's.
        for terminals in [1, 2, 3, 7, 12] {
            let mut seen = vec![false; (terminals * STANS) as usize];
            for number in 0..terminals * STANS {
                let (terminal, stan) = pair(number, terminals);
                assert!(stan % 2 == 1 && stan < 999_999 && u64::from(terminal) < terminals);
                let at = u64::from(terminal) * STANS + u64::from(stan / 2);
                assert!(!std::mem::replace(&mut seen[at as usize], true), "{terminals}: {number}");
            }
        }
    }

    #[test]
    fn terminals_ask_in_turn_over_the_end_of_a_lane_and_of_a_second() {
        let mut keys = Keys::new(7, 3, Keys::per_second(7) - 5);
        let terminals: Vec<u32> = (0..20)
            .map(|at| {
                keys.set_second(at / 4);
                keys.next().terminal
            })
            .collect();
        assert!(terminals.windows(2).all(|pair| pair[1] == (pair[0] + 1) % 7), "{terminals:?}");
    }

    #[test]
    fn a_second_that_is_used_up_is_followed_by_the_next_one() {
        let mut keys = Keys::new(1, 0, 0);
        keys.set_second(100);
        let mut seen = HashSet::new();
        for _ in 0..STANS + 1_000 {
            assert!(seen.insert(keys.next()));
        }
        assert_eq!(keys.second(), 101);
        // The clock goes back, and comes to a second that was used.
        for second in [40, 100, 101] {
            keys.set_second(second);
            assert!(seen.insert(keys.next()));
        }
    }

    #[test]
    fn a_hundred_thousand_a_second_have_keys_of_their_own() {
        let mut keys = Keys::new(999, 5, 123_456_789);
        // A pair comes again after more than a minute, so a few seconds of each lap show every second of an hour.
        for second in (0..3_600).step_by(450) {
            keys.set_second(second);
            let seen: HashSet<Key> = (0..100_000).map(|_| keys.next()).collect();
            assert_eq!(seen.len(), 100_000);
            assert!(seen.iter().all(|key| key.second == second));
            keys.next = (keys.next + 449 * 100_000) % keys.pairs;
        }
        assert!(Keys::per_second(999) > 60 * 100_000);
    }

    /// A load: its lane, where it begins, and for each turn how far the clock moves, which may be back, and how many sales it asks.
    #[derive(Clone, Debug)]
    struct Loaded {
        lane: u64,
        start: u64,
        turns: Vec<(i64, u16)>,
    }

    fn loaded() -> impl Strategy<Value = Loaded> {
        let turn = (prop_oneof![8 => 0i64..400, 1 => 900i64..2_500, 1 => -3_000i64..0], 0u16..80);
        (0u64..64, any::<u64>(), prop::collection::vec(turn, 1..20)).prop_map(|(lane, start, turns)| Loaded {
            lane,
            start,
            turns,
        })
    }

    impl Loaded {
        /// Every key of it, from a moment on, and when it ended.
        fn run(&self, terminals: usize, wall_ms: u64) -> (Vec<Key>, u64) {
            let mut keys = Keys::new(terminals, self.lane, self.start);
            let (mut now_ms, mut latest_ms) = (wall_ms, wall_ms);
            let mut asked = Vec::new();
            for (moved_ms, sales) in &self.turns {
                now_ms = now_ms.saturating_add_signed(*moved_ms).max(wall_ms);
                latest_ms = latest_ms.max(now_ms);
                keys.set_second(now_ms / 1_000);
                asked.extend((0..*sales).map(|_| keys.next()));
            }
            (asked, latest_ms.max(keys.second() * 1_000))
        }
    }

    proptest! {
        #[test]
        fn loads_one_after_the_other_and_at_once_share_no_key(
            terminals in 1usize..1_200,
            rounds in prop::collection::vec(prop::collection::vec(loaded(), 1..4), 1..5),
        ) {
            let mut seen = HashSet::new();
            let mut wall_ms = 1_798_761_599_042u64;
            for round in rounds {
                wall_ms += next_second(wall_ms).as_millis() as u64;
                let lanes = LANES_MAX.min(terminals as u64);
                let mut taken = HashSet::new();
                let mut ended_ms = wall_ms;
                for load in round.iter().filter(|load| taken.insert(load.lane % lanes)) {
                    let (keys, until_ms) = load.run(terminals, wall_ms);
                    ended_ms = ended_ms.max(until_ms);
                    for key in keys {
                        prop_assert!(seen.insert(key), "{key:?}");
                    }
                }
                wall_ms = ended_ms;
            }
        }
    }
}
