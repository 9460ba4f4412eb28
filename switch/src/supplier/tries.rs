//! How far reversals are, for operators.
//!
//! Owns: the question and its answer. Invariants: it changes nothing, and its size is bounded by who asks.
//! Deliberately absent: which reversals there are (the gate's), and what they are sent with (the session's).

use super::SupplierActor;
use actix::{Handler, Message, MessageResult};
use std::sync::Arc;
use std::time::Duration;
use switchyard_core::flight::Flight;
use switchyard_core::ids::FlightNo;

/// Asks a supplier's actor how far the reversals of these flights are; those of other suppliers are passed over.
#[derive(Debug)]
pub struct AskTries(pub Arc<[Flight]>);

/// How far a reversal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TriesOf {
    /// Whose.
    pub flight: FlightNo,
    /// How often it was sent since the last start, or since an operator had it sent again.
    pub sent: u16,
    /// How long until it is sent next; none while it waits for a link or a place.
    pub next: Option<Duration>,
}

impl Message for AskTries {
    type Result = Vec<TriesOf>;
}

impl Handler<AskTries> for SupplierActor {
    type Result = MessageResult<AskTries>;

    fn handle(&mut self, AskTries(flights): AskTries, _: &mut Self::Context) -> Self::Result {
        let now_us = self.clock.now().mono_us;
        let own = flights.iter().filter(|flight| flight.attempt.supplier == self.id);
        let tries = own.filter_map(|flight| {
            let tries = self.session.tries(flight.undo_stan(), flight.number)?;
            let next = tries.next_us.map(|at_us| Duration::from_micros(at_us.saturating_sub(now_us)));
            Some(TriesOf { flight: flight.number, sent: tries.sent, next })
        });
        MessageResult(tries.collect())
    }
}
