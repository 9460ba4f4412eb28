//! How many sales a connection may have taken in a turn while the gate refuses what it sends.
//!
//! Owns: `Restraint`, one number a connection: what its refusals have cost and its other answers have paid back.
//! Invariants: in the long run refusals are at most a tenth of what else is done for a connection, and a few in each of its turns in which nothing
//! is done; who is not refused is not restrained. Under overload work goes into sales that can be done, and the others wait unread.
//! Deliberately absent: what is refused (`gate`), windows and credits (`shared`), and refusals of the conduit's own (`desk`).

/// What a refusal costs; any other answer pays back one.
const COST: u32 = 10;
/// What is paid back in a turn without an answer but refusals, so that a connection on which everything is refused goes on.
const RELIEF: u32 = 4 * COST;
/// Where nothing more is taken: a turn's messages, all of them refused.
const DEBT_MAX: u32 = super::desk::TURN_MESSAGES * COST;

/// The restraint of one connection.
#[derive(Debug, Default)]
pub(super) struct Restraint {
    debt: u32,
    /// Sales taken in this turn.
    taken: u32,
    /// Whether something else than a refusal was answered in this turn.
    served: bool,
}

impl Restraint {
    /// A turn begins, and the one before has ended.
    pub(super) fn begin_turn(&mut self) {
        if !self.served {
            self.debt = self.debt.saturating_sub(RELIEF);
        }
        (self.taken, self.served) = (0, false);
    }

    /// A sale was handed to the gate.
    pub(super) fn take(&mut self) {
        self.taken += 1;
    }

    /// An answer came back.
    pub(super) fn answered(&mut self, refused: bool) {
        self.debt = if refused { self.debt + COST } else { self.debt.saturating_sub(1) };
        self.served |= !refused;
    }

    /// Whether no further sale may be taken in this turn; there may be one in a later turn, whatever is answered until then.
    pub(super) fn holds(&self) -> bool {
        self.taken >= DEBT_MAX.saturating_sub(self.debt) / COST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns in which as many sales come as are let in: `full` are under way at most, the others refused in the next turn, and `done` end in each.
    fn turns(count: u32, full: u32, done: u32) -> (u32, u32) {
        let mut restraint = Restraint::default();
        let (mut under_way, mut refused, mut ended, mut refusals) = (0u32, 0, 0, 0);
        for turn in 0..count {
            restraint.begin_turn();
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
            while !restraint.holds() && under_way + refused < 512 {
                restraint.take();
                if under_way < full { under_way += 1 } else { refused += 1 }
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
    fn who_is_refused_everything_gets_a_few_answers_in_each_turn() {
        let (ended, refusals) = turns(4_000, 0, 0);
        assert_eq!((ended, refusals), (0, 2_000 * RELIEF / COST));
    }

    #[test]
    fn who_is_not_refused_is_not_restrained() {
        let mut restraint = Restraint::default();
        for _ in 0..100 {
            restraint.begin_turn();
            (1..512).for_each(|_| restraint.take());
            assert!(!restraint.holds());
            (1..512).for_each(|_| restraint.answered(false));
        }
    }
}
