//! How many reversals are parked at each supplier.
//!
//! Owns: those counts. Invariants: each is the number of flights of that supplier whose phase is `Parked`. Deliberately absent: the bound on them (the gate's).

use crate::flight::{Flight, Phase};
use crate::ids::SupplierId;
use rustc_hash::FxHashMap;

/// Parked reversals by supplier; none where there are none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Parked(FxHashMap<SupplierId, usize>);

impl Parked {
    /// Those among flights.
    pub(super) fn of<'a>(flights: impl Iterator<Item = &'a Flight>) -> Self {
        let mut parked = Self::default();
        flights
            .filter(|flight| flight.phase == Phase::Parked)
            .for_each(|flight| parked.add(flight.attempt.supplier));
        parked
    }

    pub(super) fn add(&mut self, supplier: SupplierId) {
        *self.0.entry(supplier).or_default() += 1;
    }

    pub(super) fn remove(&mut self, supplier: SupplierId) {
        if let Some(count) = self.0.get_mut(&supplier) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&supplier);
            }
        }
    }

    pub(super) fn at(&self, supplier: SupplierId) -> usize {
        self.0.get(&supplier).copied().unwrap_or(0)
    }

    pub(super) fn all(&self) -> usize {
        self.0.values().sum()
    }
}
