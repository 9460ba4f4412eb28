//! Advices on their way out: the reversals that suppliers owe an answer to.
//!
//! Owns: handing reversals to sessions, as many at a time as a supplier has advice credits, the rest waiting by number.
//! Invariants: an advice waits in the backlog or is at the session, and is in `State` as a doubt all the while, so that a restart loses none (S-9); one advice
//! an original at a time, so that they are in order; what is not at the session takes a few bytes only.
//! Deliberately absent: sending, repeats and their pace (the session's).

use super::Gate;
use crate::adapter::{Ask, Order};
use crate::flight::{Flight, Phase};
use crate::ids::{FlightNo, SupplierId};
use crate::log::Lsn;

impl Gate {
    /// The reversal of a flight is to go out once the log is durable up to `at`.
    pub(super) fn advise(&mut self, at: Lsn, supplier: SupplierId, flight: FlightNo) {
        self.supplies[usize::from(supplier.0)].backlog.push_back((at, flight));
        self.hand_advices(supplier);
    }

    /// Hands over what the credits allow.
    pub(super) fn hand_advices(&mut self, supplier: SupplierId) {
        while let Some((at, number)) = self.supplies[usize::from(supplier.0)].next_advice() {
            let open = self.state.flight(number).filter(|flight| flight.phase == Phase::Doubt).copied();
            match open {
                Some(flight) => {
                    let order = self.reversal_order(&flight);
                    self.releases.order(at, order, false);
                }
                // It ended while it waited.
                None => self.supplies[usize::from(supplier.0)].advice_back(),
            }
        }
    }

    /// The reversal of a flight, built from the journal's fields alone (S-14).
    pub(super) fn reversal_order(&mut self, flight: &Flight) -> Box<Order> {
        let mut order = self.order(flight);
        order.ask = Ask::Reversal { repeat: false };
        order.stan = flight.undo_stan();
        order.link = flight.link;
        let sealed = flight.pan.as_bytes();
        if !sealed.is_empty() {
            let keyring = &self.options.keyring;
            // Without its key the reversal goes out without the card number; STAN and RRN name the original.
            let _ = crate::outcome::open_bound(sealed, flight.number, keyring, &mut order.pan);
        }
        order
    }
}
