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
    catalogue: Option<Arc<Catalogue>>,
}

/// What all of them take.
pub(crate) const EXPLANATIONS_BYTES: usize = KEPT * size_of::<Choice>();

/// The ring.
#[derive(Debug, Default)]
pub struct Explanations {
    choices: VecDeque<Choice>,
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
    pub(super) fn keep(&mut self, ticket: &Ticket, terminal: Text<8>, trace: Trace) {
        if self.choices.len() == KEPT {
            self.choices.pop_front();
        }
        let (stan, product) = (ticket.request.stan, ticket.request.product);
        self.choices.push_back(Choice {
            terminal,
            stan,
            product,
            trace,
            catalogue: ticket.catalogue.clone(),
        });
    }

    /// The newest choice for a terminal's STAN.
    pub fn find(&self, terminal: Text<8>, stan: u32) -> Option<Explained> {
        let choice = self.choices.iter().rev().find(|c| c.terminal == terminal && c.stan == stan)?;
        let catalogue = choice.catalogue.as_deref()?;
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
