//! An answer that says otherwise than the one before, or than an operator.
//!
//! Owns: the record of it, and the reversal of what a supplier approved after it had refused.
//! Invariants: the first answer stands: neither position nor stored answer changes; what the supplier performed all the same is undone until it is settled or
//! parked, as every doubt is. The reversal is a flight of its own, because the contradicted one may be on its way to another supplier by now.
//! Deliberately absent: how a contradiction is noticed (the session's).

use super::{Alert, Gate};
use crate::adapter::{Answer, Order};
use crate::catalogue::{Meaning, Service};
use crate::fact::Fact;
use crate::flight::{Attempt, Flight, Phase};
use crate::ids::{FlightNo, Now, ProductId};

impl Gate {
    /// A second answer contradicts the first. `undo`: the sale that it approves.
    pub(super) fn contradicted(
        &mut self,
        now: Now,
        flight: FlightNo,
        answer: &Answer,
        undo: Option<Box<Order>>,
    ) {
        self.counters.contradicted += 1;
        let (at_ms, code) = (now.wall_ms, answer.code);
        let undo = undo.map(|order| (self.doubt_of(now, &order), order));
        let doubt = undo.as_ref().map(|(doubt, _)| *doubt);
        let stan = doubt.and_then(|doubt| self.undo_stan(now, doubt.attempt.supplier)).unwrap_or(0);
        let at = self.record(&Fact::Contradicted { at_ms, flight, code, undo: doubt, stan });
        if let Some((doubt, spare)) = undo {
            let supplier = doubt.attempt.supplier;
            // What the approval brought belongs to nobody: a PIN is withdrawn (S-10).
            self.late(now, doubt.number, answer);
            self.undo_late(now, at, supplier, doubt.number, stan);
            self.recycle(spare);
        }
    }

    /// A supplier does not know what it said it performed. Not found ends a reversal (S-8), but confirms none: the network gets its money when the supplier says that it undid the sale
    /// (S-15), or when an operator does (S-9).
    pub(super) fn denied(&mut self, now: Now, order: &Order) {
        self.counters.denied += 1;
        let (flight, tries) = (order.flight, order.tries);
        self.park_with(now, flight, order.answer.code, Alert::Denied { flight, tries });
    }

    /// A late answer to what an operator has settled: it changes nothing, but where it says otherwise somebody is told (S-9, R-34).
    pub(super) fn compare_with_operator(&mut self, flight: &Flight, answer: &Answer) {
        let stands = match (flight.phase, answer.sale) {
            (Phase::Void, Some(Meaning::Approved)) => false,
            (Phase::Stands, Some(Meaning::Declined(_) | Meaning::NotPerformed(_))) => true,
            _ => return,
        };
        self.counters.contradicted += 1;
        self.alert(Alert::Contradicted { flight: flight.number, stands });
    }

    /// A flight of which nothing is known but how to undo it: it reserves nothing, and nobody waits for it.
    fn doubt_of(&mut self, now: Now, order: &Order) -> Flight {
        let catalogue = self.catalogue.clone();
        let network = catalogue.network(order.network).map(|(_, network)| network);
        let merchant = catalogue.merchant(order.merchant).map(|(_, merchant)| merchant);
        Flight {
            number: self.number(),
            admitted_ms: now.wall_ms,
            network: network.map(|network| network.id).unwrap_or_default(),
            product: self.product_of(order).unwrap_or_default(),
            service: Service::ALL.iter().position(|s| Some(*s) == order.service).unwrap_or_default() as u8,
            amount: order.amount,
            currency: order.currency,
            account: order.account,
            terminal: order.terminal,
            merchant: order.merchant,
            // Where an operator lets it stand after all, everybody pays who pays for a sale.
            merchant_pays: merchant.is_some_and(|merchant| merchant.funding.is_some()),
            acquirer: order.network,
            local: order.local,
            day: network.map(|network| self.day_at(now, network).digits()).unwrap_or_default(),
            rrn: order.rrn,
            attempt: Attempt {
                number: Attempt::CONTRADICTED,
                supplier: order.supplier,
                stan: order.stan,
                transmission: order.transmission,
                product: order.product,
            },
            ..Flight::default()
        }
    }

    /// The product that a supplier knows by the code in `order`.
    fn product_of(&self, order: &Order) -> Option<ProductId> {
        let (supplier, _) = self.catalogue.supplier_of(order.supplier)?;
        let sold = |candidate: &crate::catalogue::Candidate| {
            candidate.supplier == supplier && candidate.product == order.product
        };
        self.catalogue.products.iter().find(|product| product.candidates.iter().any(sold)).map(|p| p.id)
    }
}
