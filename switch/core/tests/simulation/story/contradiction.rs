//! What the log says of suppliers that contradict themselves.

use super::{Held, Stand, Stories, Story, Try};
use switchyard_core::adapter::Order;
use switchyard_core::flight::{Attempt, Flight};
use switchyard_core::ids::FlightNo;
use switchyard_core::log::Lsn;
use switchyard_core::outcome::Verdict;
use switchyard_core::text::Text;

impl Stories {
    /// A second answer said otherwise than the first: what it approves gets a flight of its own, to be undone.
    pub(super) fn contradicted(&mut self, at: Lsn, of: FlightNo, undo: Option<&Flight>, stan: u32) {
        let story = &self.flights[&of];
        let Some(undo) = undo else {
            let performed = [Verdict::Approved, Verdict::Cancelled, Verdict::Unknown];
            assert!(story.verdict.is_none_or(|verdict| performed.contains(&verdict)), "nothing was approved");
            return;
        };
        assert_eq!(undo.attempt.number, Attempt::CONTRADICTED);
        let (supplier, rrn) = (undo.attempt.supplier, undo.sent_rrn());
        let tried = story.tries.iter().find(|tried| tried.rrn == rrn).expect("a try of that flight");
        assert_eq!(
            (tried.supplier, tried.stan),
            (supplier, undo.attempt.stan),
            "what the supplier saw (S-14)"
        );
        assert_eq!(
            (undo.amount.0, undo.terminal, undo.network),
            (story.amount, story.terminal, story.network)
        );
        let contradiction = Story {
            key: 0,
            contents: 0,
            contradicts: Some(of),
            tries: vec![Try { at, ..tried.clone() }],
            stand: Stand::Doubt,
            verdict: None,
            answered_at: None,
            doubted_at: Some(at),
            reversed_at: None,
            undo_stan: stan,
            held: Held::Nothing,
            ..story.clone()
        };
        assert!(
            self.flights.insert(undo.number, contradiction).is_none(),
            "a flight's number is given twice"
        );
        self.again.insert(rrn, undo.admitted_ms);
        self.claim(undo.admitted_ms, supplier, stan, undo.number);
    }

    /// The try that an order is for.
    pub(crate) fn tried(&self, order: &Order) -> Option<&Try> {
        let story = self.flights.get(&order.flight)?;
        let place =
            if story.contradicts.is_some() { 0 } else { usize::from(order.attempt).checked_sub(1)? };
        story.tries.get(place)
    }

    /// Whether the log has it that a supplier performed this after it had refused or undone it, at that moment (Unix milliseconds) or later.
    pub(crate) fn is_told_again(&self, rrn: Text<12>, since_ms: u64) -> bool {
        self.again.get(&rrn).is_some_and(|at_ms| *at_ms >= since_ms)
    }
}
