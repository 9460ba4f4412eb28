//! How many sales a connection may have taken, while the yard is full and the gate refuses what it sends.
//!
//! Owns: `Restraint`, what a connection's refusals have cost and its other answers have paid back.
//! Invariants: under pressure, in the long run, refusals are at most a tenth of what else is done for a connection; where nothing else is done, one at a time; without
//! pressure nobody is restrained, so a supplier that refuses everything stands in nobody's way. Under overload work goes into sales that can be done, and the others
//! wait unread.
//! Deliberately absent: what is refused (`gate`), pressure itself, windows and credits (`shared`), and refusals of the conduit's own (`desk`).

/// What a refusal costs; any other answer pays back one.
const COST: u32 = 10;
/// Where nothing more is taken: a turn's messages, all of them refused.
const DEBT_MAX: u32 = super::desk::TURN_MESSAGES * COST;

/// The restraint of one connection.
#[derive(Debug, Default)]
pub(super) struct Restraint {
    /// Whether the yard is full.
    full: bool,
    debt: u32,
    /// Sales taken since the last answers.
    taken: u32,
    /// Whether answers came since.
    answered: bool,
}

impl Restraint {
    /// A turn begins.
    pub(super) fn begin_turn(&mut self, full: bool) {
        if !full {
            self.debt = 0;
        }
        self.full = full;
        if std::mem::take(&mut self.answered) {
            self.taken = 0;
        }
    }

    /// A sale was handed to the gate.
    pub(super) fn take(&mut self) {
        self.taken += 1;
    }

    /// An answer came back.
    pub(super) fn answered(&mut self, refused: bool) {
        self.debt = if refused { self.debt + COST } else { self.debt.saturating_sub(1) };
        self.answered = true;
    }

    /// Whether no further sale may be taken until answers come, or the pressure ends; `open`: requests of the connection that are not answered.
    pub(super) fn holds(&self, open: u32) -> bool {
        // One is taken where nothing else would bring an answer.
        self.full && open > 0 && self.taken >= DEBT_MAX.saturating_sub(self.debt) / COST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns in which as many sales come as are let in: `full` are under way at most, the others refused in the next turn, and `done` end in each. What ended, and what was
    /// refused, in the second half.
    fn turns(count: u32, full: u32, done: u32) -> (u32, u32) {
        let mut restraint = Restraint::default();
        let (mut under_way, mut refused, mut ended, mut refusals) = (0u32, 0, 0, 0);
        for turn in 0..count {
            let ending = done.min(under_way);
            (0..refused).for_each(|_| restraint.answered(true));
            (0..ending).for_each(|_| restraint.answered(false));
            under_way -= ending;
            // The first turns work off what was free.
            if turn >= count / 2 {
                ended += ending;
                refusals += refused;
            }
            refused = 0;
            // A turn in which nothing is answered lets nothing more in.
            for _ in 0..2 {
                restraint.begin_turn(true);
                while !restraint.holds(under_way + refused) && under_way + refused < 512 {
                    restraint.take();
                    if under_way < full { under_way += 1 } else { refused += 1 }
                }
            }
        }
        (ended, refusals)
    }

    #[test]
    fn refusals_stay_a_tenth_and_cost_no_sale() {
        for (full, done) in [(56, 20), (56, 56), (56, 3), (400, 200)] {
            let (ended, refusals) = turns(4_000, full, done);
            assert_eq!(ended, 2_000 * done.min(full), "{full} {done}");
            assert!(refusals <= ended / COST + 600, "{refusals} beside {ended}");
        }
    }

    #[test]
    fn who_is_refused_everything_gets_an_answer_at_a_time() {
        let (ended, refusals) = turns(4_000, 0, 0);
        assert_eq!((ended, refusals), (0, 2_000));
    }

    #[test]
    fn without_pressure_nobody_is_restrained() {
        let mut restraint = Restraint::default();
        for _ in 0..100 {
            restraint.begin_turn(false);
            for _ in 0..512 {
                assert!(!restraint.holds(1));
                restraint.take();
                restraint.answered(true);
            }
        }
    }

    #[test]
    fn who_is_not_refused_is_not_restrained() {
        let mut restraint = Restraint::default();
        for _ in 0..100 {
            restraint.begin_turn(true);
            (1..512).for_each(|_| restraint.take());
            assert!(!restraint.holds(511));
            (1..512).for_each(|_| restraint.answered(false));
        }
    }
}
