//! Why routes were chosen, lately: what `send --explain` shows.
//!
//! Owns: a ring of the last choices.
//! Invariants: bounded; the newest choice of a terminal's STAN is found.
//! Deliberately absent: history (the journal has the attempts).

use crate::catalogue::Catalogue;
use crate::route::{Reason, Trace};
use crate::text::Text;
use crate::ticket::Ticket;
use std::collections::VecDeque;
use std::sync::Arc;

/// Choices remembered.
const KEPT: usize = 4_096;

#[derive(Debug)]
struct Choice {
    terminal: Text<8>,
    stan: u32,
    product: u32,
    trace: Trace,
    /// Number of its snapshot, counted from 0.
    snapshot: u64,
}

/// What all of them take.
pub(crate) const EXPLANATIONS_BYTES: usize = KEPT * size_of::<Choice>();

/// The ring.
#[derive(Debug, Default)]
pub struct Explanations {
    choices: VecDeque<Choice>,
    /// The snapshots that they were made with, each once while it stays the same; no more than there are choices.
    snapshots: VecDeque<Arc<Catalogue>>,
    /// Number of the first of these.
    first: u64,
}

/// One choice, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The product's code.
    pub product: String,
    /// Its policy.
    pub policy: &'static str,
    /// The candidates in the order of the configuration: supplier and reason.
    pub candidates: Vec<(String, &'static str)>,
}

impl Explanations {
    pub(super) fn keep(
        &mut self,
        ticket: &Ticket,
        catalogue: &Arc<Catalogue>,
        terminal: Text<8>,
        trace: Trace,
    ) {
        if self.choices.len() == KEPT {
            self.choices.pop_front();
            self.let_go();
        }
        if self.snapshots.back().is_none_or(|last| !Arc::ptr_eq(last, catalogue)) {
            self.snapshots.push_back(Arc::clone(catalogue));
        }
        let snapshot = self.first + self.snapshots.len() as u64 - 1;
        let (stan, product) = (ticket.request.stan, ticket.request.product);
        self.choices.push_back(Choice { terminal, stan, product, trace, snapshot });
    }

    /// Snapshots that no choice has any more go.
    fn let_go(&mut self) {
        while self.choices.front().is_some_and(|choice| choice.snapshot > self.first) {
            self.snapshots.pop_front();
            self.first += 1;
        }
    }

    /// The newest choice for a terminal's STAN.
    pub fn find(&self, terminal: Text<8>, stan: u32) -> Option<Explained> {
        let choice = self.choices.iter().rev().find(|c| c.terminal == terminal && c.stan == stan)?;
        let catalogue = self.snapshots.get(usize::try_from(choice.snapshot - self.first).ok()?)?;
        let product = catalogue.products.get(choice.product as usize)?;
        let candidates =
            product.candidates.iter().zip(choice.trace.reasons).filter(|(_, r)| *r != Reason::None);
        let named = |at: u32| catalogue.suppliers.get(at as usize).map(|s| s.code.to_string());
        Some(Explained {
            product: product.code.to_string(),
            policy: product.policy.name(),
            candidates: candidates
                .map(|(candidate, reason)| (named(candidate.supplier).unwrap_or_default(), reason.words()))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Reason;

    #[test]
    fn a_choice_is_explained_by_its_own_snapshot_and_none_is_held_longer() {
        let snapshots = [Arc::new(Catalogue::default()), Arc::new(Catalogue::default())];
        let mut explanations = Explanations::default();
        let mut ticket = Ticket::default();
        let trace = Trace { reasons: [Reason::Place(1); _] };
        let mut keep = |stan: usize, snapshot: &Arc<Catalogue>| {
            ticket.request.stan = stan as u32;
            explanations.keep(&ticket, snapshot, Text::EMPTY, trace);
            // What it names is what it was made with.
            let newest = explanations.choices.back().expect("one was kept");
            let named = &explanations.snapshots[(newest.snapshot - explanations.first) as usize];
            assert!(Arc::ptr_eq(named, snapshot));
            explanations.snapshots.len()
        };
        let [first, second] = &snapshots;
        assert_eq!((keep(0, first), keep(1, first), keep(2, second), keep(3, first)), (1, 1, 2, 3));
        (4..KEPT).for_each(|stan| assert_eq!(keep(stan, second), 4));
        assert_eq!([keep(KEPT, second), keep(KEPT + 1, second)], [4, 3]);
        assert_eq!([keep(KEPT + 2, second), keep(KEPT + 3, second)], [2, 1]);
        assert_eq!((Arc::strong_count(first), Arc::strong_count(second)), (1, 2));
    }
}
