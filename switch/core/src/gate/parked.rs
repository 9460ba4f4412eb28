//! How many reversals may wait for an operator.
//!
//! Owns: the bound at each supplier, and who is told of it. Invariants: parked reversals take no place from those that wait for a supplier, and those of one supplier none from another's;
//! nothing is lost for the bound: a reversal that would be parked beyond it gets 96 and comes again, and what a supplier refuses is parked all the same, while no new sale and no
//! new reversal reaches it, so that what is parked exceeds the bound by no more than was open there.
//! Deliberately absent: settling them (`operate`).

use super::{Alert, Gate};
use crate::ids::{Now, SupplierId};

/// How often it is told that a supplier has many, microseconds.
const MANY_TOLD_US: u64 = 60_000_000;

impl Gate {
    /// Whether a supplier has as many parked reversals as it may.
    pub(super) fn is_parked_full(&self, supplier: SupplierId) -> bool {
        self.state.parked(supplier) >= self.options.parked_max
    }

    /// As many reversals of a supplier as may be parked.
    pub fn parked_max(&self) -> usize {
        self.options.parked_max
    }

    /// A reversal gets 96, for as many as may are parked at its supplier.
    pub(super) fn refuse_parked(&mut self, now: Now, supplier: SupplierId) {
        if let Some(supply) = self.supplies.get_mut(usize::from(supplier.0)) {
            supply.parked_refused += 1;
        }
        self.count_parked(now, supplier);
    }

    /// What is parked at a supplier has changed, or one more found no room.
    pub(super) fn count_parked(&mut self, now: Now, supplier: SupplierId) {
        let (parked, parked_max) = (self.state.parked(supplier), self.options.parked_max);
        let Some(supply) = self.supplies.get_mut(usize::from(supplier.0)) else { return };
        supply.parked_full = parked >= parked_max;
        if parked >= parked_max - parked_max / 8 && now.mono_us >= supply.parked_told_us {
            supply.parked_told_us = now.mono_us + MANY_TOLD_US;
            let name = self.state.name(crate::fact::NameKind::Supplier, supplier.0).unwrap_or_default();
            self.alert(Alert::ManyParked { supplier: name, parked, parked_max });
        }
    }
}
