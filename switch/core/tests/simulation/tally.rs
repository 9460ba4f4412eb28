//! The facts of one life of the switch, counted: what its gate must have counted too.

use switchyard_core::fact::Fact;
use switchyard_core::gate::GateCounters;
use switchyard_core::outcome::Verdict;
use switchyard_core::reversal::{Taken, Undone};

/// The counts, in the gate's own form; what no fact says is 0.
#[derive(Default)]
pub(crate) struct Tally(GateCounters);

impl Tally {
    /// One more fact.
    pub(crate) fn count(&mut self, fact: &Fact<'_>) {
        let counts = &mut self.0;
        match fact {
            Fact::Sale { .. } => counts.approved += 1,
            Fact::Outcome { outcome, .. } if outcome.verdict == Verdict::Approved => counts.approved += 1,
            Fact::Outcome { .. } => counts.declined += 1,
            Fact::Doubt { .. } => counts.unknown += 1,
            Fact::Moved { .. } => counts.moved += 1,
            Fact::Settled { .. } => counts.settled += 1,
            Fact::Parked { .. } => counts.parked += 1,
            Fact::Contradicted { .. } => counts.contradicted += 1,
            Fact::Late { .. } => counts.late += 1,
            Fact::Undo { undone, .. } => {
                counts.reversals += 1;
                self.count_undone(undone);
            }
            Fact::Recognised { undone, .. } => {
                counts.recognised += 1;
                self.count_undone(undone);
            }
            _ => {}
        }
    }

    fn count_undone(&mut self, undone: &Undone) {
        match undone {
            Undone::Blocked(_) => self.0.blocked += 1,
            Undone::Sold { taken: Taken::Withdrawn { .. }, .. } => self.0.withdrawn += 1,
            _ => {}
        }
    }

    /// What the gate counted agrees with what it wrote. Answers about what it no longer knows leave no fact; those that contradict an operator are late ones in the log.
    pub(crate) fn check(&self, counters: &GateCounters) {
        assert!(self.0.late <= counters.late, "late answers are on record, and were not counted");
        let contradicted = self.0.contradicted..=self.0.contradicted + self.0.late;
        assert!(
            contradicted.contains(&counters.contradicted),
            "contradictions are on record, and were not counted"
        );
        let counted = GateCounters {
            approved: counters.approved,
            declined: counters.declined,
            unknown: counters.unknown,
            moved: counters.moved,
            settled: counters.settled,
            parked: counters.parked,
            reversals: counters.reversals,
            recognised: counters.recognised,
            blocked: counters.blocked,
            withdrawn: counters.withdrawn,
            late: self.0.late,
            contradicted: self.0.contradicted,
            ..GateCounters::default()
        };
        assert_eq!(counted, self.0, "the gate counted something else than it wrote");
    }
}
