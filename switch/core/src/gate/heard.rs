//! The way back: what suppliers report, and what becomes of flights.
//!
//! Owns: the gate's half from a report to the fact and the answer: outcomes, later attempts, doubts, reversals' ends, late answers.
//! Invariants: the first terminal outcome of a flight wins; another supplier is asked only on proof that the one before performed nothing (S-12); an unknown
//! outcome is answered 68 at once and reversed until it is settled or parked (S-13, S-9).
//! Deliberately absent: matching and time-outs (the session's).

use super::{Alert, Gate, Waiting, answer_with, relaxed, unknown_outcome};
use crate::adapter::{Answer, Order};
use crate::catalogue::{Catalogue, Meaning, ReversalMeaning, Service, StatusMeaning};
use crate::code::Code;
use crate::fact::{Cause, Fact, Proof, Settlement};
use crate::flight::{Flight, Phase};
use crate::ids::{FlightNo, Now, SupplierId};
use crate::log::Lsn;
use crate::outcome::{Outcome, Verdict, seal_details};
use crate::request::Kind;
use crate::seal::Nonce;
use crate::session::Report;
use crate::text::Text;
use std::sync::Arc;

impl Gate {
    /// A report of a supplier's session.
    pub fn heard(&mut self, now: Now, supplier: SupplierId, report: Report) {
        match report {
            Report::Ready(ready) => self.supplies[usize::from(supplier.0)].link_ready(ready),
            Report::Late { flight, attempt, answer } if self.state.flight(flight).is_none() => {
                self.forgotten(now, supplier, flight.rrn(attempt), &answer);
            }
            Report::Late { flight, answer, .. } => self.late(now, flight, &answer),
            Report::Contradicted { flight, answer, undo, .. } => {
                self.contradicted(now, flight, &answer, undo)
            }
            Report::Stray { stray, answer } => self.stray(now, supplier, *stray, &answer),
            Report::Undone(order) => self.undone(now, order),
            Report::Answered(order) => match self.current(&order) {
                Some(flight) => self.answered(now, flight, order),
                None => self.stale(order),
            },
            Report::NotSent(order) => match self.current(&order) {
                Some(flight) => self.next_attempt(now, flight, order, Proof::NeverSent, Code::SUPPLIER),
                None => self.stale(order),
            },
            Report::TimedOut(order) => self.doubtful(now, order, Cause::TimedOut),
            Report::Cut(order) => self.doubtful(now, order, Cause::LinkLost),
        }
    }

    /// The flight that an order's report is about, while that attempt is under way.
    fn current(&self, order: &Order) -> Option<Flight> {
        let flight = self.state.flight(order.flight)?;
        (flight.phase == Phase::Asked && flight.attempt.number == order.attempt).then_some(*flight)
    }

    fn stale(&mut self, order: Box<Order>) {
        self.counters.stale += 1;
        self.recycle(order);
    }

    /// An answer in time: what its code means decides (S-11).
    fn answered(&mut self, now: Now, flight: Flight, order: Box<Order>) {
        let meaning = order.answer.sale.unwrap_or(Meaning::Unknown);
        let latency_us = now.mono_us.saturating_sub(order.sent_us);
        let known = meaning != Meaning::Unknown;
        self.supplies[usize::from(order.supplier.0)].answered(now, order.stan, latency_us, known);
        match meaning {
            // Its terminal has reversed it: what was just performed is undone (S-7).
            Meaning::Approved if flight.cancelled => self.doubt(now, flight, order, Cause::Cancelled),
            Meaning::Approved => self.finish(now, flight, order, Verdict::Approved, Code::APPROVED),
            Meaning::Declined(code) => self.declined(now, flight, order, code),
            Meaning::NotPerformed(code) => {
                let proof = Proof::Refused(order.answer.code);
                self.next_attempt(now, flight, order, proof, code);
            }
            Meaning::Unknown => self.doubt(now, flight, order, Cause::Unmapped),
        }
    }

    /// Nothing was performed, and nothing will be.
    pub(super) fn declined(&mut self, now: Now, flight: Flight, order: Box<Order>, code: Code) {
        match flight.cancelled {
            true => self.finish(now, flight, order, Verdict::Cancelled, Code::CANCELLED),
            false => self.finish(now, flight, order, Verdict::Declined, code),
        }
    }

    /// The outcome of a flight: the fact, then the answers.
    fn finish(&mut self, now: Now, flight: Flight, order: Box<Order>, verdict: Verdict, code: Code) {
        let approved = verdict == Verdict::Approved;
        let approval = match order.answer.approval {
            own if !own.is_empty() => own,
            _ => flight.number.approval(),
        };
        let mut sealed = std::mem::take(&mut self.sealed);
        // A PIN belongs to an approval; what a declining supplier sends beside its code is not passed on.
        if approved {
            self.seal_answer(&order.answer, flight.number, &mut sealed);
        } else {
            sealed.clear();
        }
        let outcome = Outcome {
            flight: flight.number,
            verdict,
            code,
            day: flight.day,
            rrn: flight.rrn,
            approval: if approved { approval } else { Text::EMPTY },
            details: &order.answer.details.0,
            sealed: &sealed,
        };
        let link = order.link.unwrap_or_default();
        let moved = (flight.attempt.number > 1).then_some(flight.attempt);
        let at = self.record(&Fact::Outcome { at_ms: now.wall_ms, link, moved, outcome });
        match approved {
            true => self.counters.approved += 1,
            false => self.counters.declined += 1,
        }
        self.end_attempt(&flight, true);
        let voucher = flight.service() == Some(Service::Voucher);
        self.answer_waiting(at, &flight, &outcome, voucher);
        self.sealed = sealed;
        self.recycle(order);
    }

    /// Seals the secret details of an answer into `sealed`.
    pub(super) fn seal_answer(&mut self, answer: &Answer, flight: FlightNo, sealed: &mut Vec<u8>) {
        sealed.clear();
        if answer.secret.is_empty() {
            return;
        }
        let nonce = Nonce::of(self.log.next(), 0);
        let key = &self.options.key;
        let plain = answer.secret.expose();
        if seal_details(key, self.options.key_id, nonce, flight, plain, sealed).is_err() {
            sealed.clear();
        }
    }

    /// Gives back what an attempt held. Its advice credit only with `over`: a doubt keeps it.
    fn end_attempt(&mut self, flight: &Flight, over: bool) {
        let place = self.waiting.get(&flight.number).map(|waiting| waiting.ticket.place);
        self.supplies[usize::from(flight.attempt.supplier.0)].give_back(flight.attempt.stan, place, over);
    }

    /// Hands the tickets of a flight their outcome, to be answered once the log is durable up to `at`.
    fn answer_waiting(&mut self, at: Lsn, flight: &Flight, outcome: &Outcome<'_>, strict: bool) {
        let Some(Waiting { mut ticket, joined, .. }) = self.waiting.remove(&flight.number) else { return };
        for mut joined in joined {
            let relaxed = joined.relaxed && !strict;
            if joined.request.kind == Kind::Inquiry {
                answer_with(&mut joined, &Outcome { sealed: &[], ..*outcome });
                self.releases.ticket(at, at, joined, relaxed);
                continue;
            }
            joined.original.clear();
            joined.original.extend_from_slice(&ticket.frame);
            joined.original_dialect = ticket.dialect;
            answer_with(&mut joined, outcome);
            self.releases.ticket(at, at, joined, relaxed);
        }
        answer_with(&mut ticket, outcome);
        let relaxed = ticket.relaxed && !strict;
        self.releases.ticket(at, at, ticket, relaxed);
    }

    /// The attempt certainly performed nothing: the next candidate, or the end (S-12).
    fn next_attempt(&mut self, now: Now, flight: Flight, order: Box<Order>, proof: Proof, code: Code) {
        let next = if flight.cancelled { None } else { self.next_candidate(now, &flight) };
        let Some((catalogue, supplier, product, place)) = next else {
            return self.declined(now, flight, order, code);
        };
        let (Some(supplier), Some(product)) =
            (catalogue.suppliers.get(supplier as usize), catalogue.products.get(product as usize))
        else {
            return self.declined(now, flight, order, code);
        };
        let Some(candidate) = product.candidates.get(usize::from(place)) else {
            return self.declined(now, flight, order, code);
        };
        self.end_attempt(&flight, true);
        let Some(waiting) = self.waiting.remove(&flight.number) else {
            return self.declined(now, flight, order, code);
        };
        let attempt = self.attempt(now, supplier, candidate, &waiting.ticket, flight.attempt.number + 1);
        let moved = Fact::Moved { at_ms: now.wall_ms, flight: flight.number, proof, attempt };
        let at = self.record(&moved);
        self.counters.moved += 1;
        let flight = Flight { attempt, ..flight };
        let next = self.sale_order(now, &flight, supplier, &waiting.ticket);
        self.releases.order(at, next, relaxed(&waiting.ticket, product.service));
        self.waiting.insert(flight.number, waiting);
        self.recycle(order);
    }

    /// The next candidate of a waiting flight that is in reach, over a wire, and has credits: snapshot, supplier, product, place.
    fn next_candidate(&mut self, now: Now, flight: &Flight) -> Option<(Arc<Catalogue>, u32, u32, u8)> {
        if flight.attempt.number + 1 >= FlightNo::ATTEMPTS_MAX {
            return None;
        }
        let waiting = self.waiting.get_mut(&flight.number)?;
        if now.mono_us >= waiting.ticket.deadline_us {
            return None;
        }
        let catalogue = waiting.ticket.catalogue.clone()?;
        let product = waiting.ticket.request.product;
        while let Some(place) = waiting.route.take() {
            let candidate = catalogue.products.get(product as usize)?.candidates.get(usize::from(place))?;
            let supplier = catalogue.suppliers.get(candidate.supplier as usize)?;
            let supply = self.supplies.get_mut(usize::from(supplier.id.0))?;
            let (held, window) = (waiting.ticket.place, waiting.ticket.window);
            if !supplier.local && supply.takes(now, held, window) {
                return Some((Arc::clone(&catalogue), candidate.supplier, product, place));
            }
        }
        None
    }

    fn doubtful(&mut self, now: Now, order: Box<Order>, cause: Cause) {
        self.supplies[usize::from(order.supplier.0)].unknown(now, order.stan);
        match self.current(&order) {
            Some(flight) => self.doubt(now, flight, order, cause),
            None => self.stale(order),
        }
    }

    /// The outcome is unknown: 68 at once, and the reversal on its way, in one fact (S-13).
    fn doubt(&mut self, now: Now, flight: Flight, order: Box<Order>, cause: Cause) {
        let mut sealed = std::mem::take(&mut self.sealed);
        // A PIN that came for a sale that is not wanted any more is kept, sealed, as withdrawn (S-10).
        self.seal_answer(&order.answer, flight.number, &mut sealed);
        let details: &[u8] = if sealed.is_empty() { &[] } else { &order.answer.details.0 };
        let outcome = Outcome { details, sealed: &sealed, ..unknown_outcome(&flight) };
        let at = self.record(&Fact::Doubt { at_ms: now.wall_ms, cause, outcome });
        self.counters.unknown += 1;
        self.end_attempt(&flight, false);
        self.answer_waiting(at, &flight, &outcome, false);
        self.sealed = sealed;
        self.recycle(order);
        self.advise(at, flight.attempt.supplier, flight.number);
    }

    /// A reversal came to its end.
    fn undone(&mut self, now: Now, order: Box<Order>) {
        let open = self.state.flight(order.flight).filter(|flight| flight.phase == Phase::Doubt);
        let Some(performed) = open.map(|flight| flight.performed) else {
            let supplier = order.supplier;
            self.supplies[usize::from(supplier.0)].advice_back();
            self.stale(order);
            return self.hand_advices(supplier);
        };
        let (at_ms, flight) = (now.wall_ms, order.flight);
        match order.answer.reversal {
            Some(ReversalMeaning::Reversed) => self.settle(at_ms, flight, Settlement::Reversed),
            Some(ReversalMeaning::NotFound) if performed => self.denied(now, &order),
            Some(ReversalMeaning::NotFound) => self.settle(at_ms, flight, Settlement::NotFound),
            None if order.answer.status == Some(StatusMeaning::NotPerformed) => {
                self.settle(at_ms, flight, Settlement::NotPerformed);
            }
            _ => {
                self.park(now, flight, order.answer.code);
            }
        }
        let supplier = order.supplier;
        self.supplies[usize::from(supplier.0)].settled(now, order.stan);
        self.supplies[usize::from(supplier.0)].advice_back();
        self.recycle(order);
        self.hand_advices(supplier);
    }

    pub(super) fn park(&mut self, now: Now, flight: FlightNo, code: Text<4>) {
        self.park_with(now, flight, code, Alert::Parked { flight });
    }

    pub(super) fn park_with(&mut self, now: Now, flight: FlightNo, code: Text<4>, alert: Alert) {
        self.record(&Fact::Parked { at_ms: now.wall_ms, flight, code });
        self.counters.parked += 1;
        self.alert(alert);
        if let Some(supplier) = self.state.flight(flight).map(|flight| flight.attempt.supplier) {
            self.count_parked(now, supplier);
        }
    }

    fn settle(&mut self, at_ms: u64, flight: FlightNo, settlement: Settlement) {
        self.record(&Fact::Settled { at_ms, flight, settlement });
        self.counters.settled += 1;
    }

    /// An answer after the outcome was unknown: recorded; an approval after its reversal was answered starts a new one (S-8).
    pub(super) fn late(&mut self, now: Now, number: FlightNo, answer: &Answer) {
        self.counters.late += 1;
        let (at_ms, code) = (now.wall_ms, answer.code);
        let approved = answer.sale.and_then(Meaning::performed);
        let Some(flight) = self.state.flight(number).copied() else { return };
        let mut sealed = std::mem::take(&mut self.sealed);
        // A PIN that comes late is kept, sealed, as withdrawn (S-10).
        self.seal_answer(answer, number, &mut sealed);
        let details: &[u8] = if sealed.is_empty() { &[] } else { &answer.details.0 };
        let (supplier, again) =
            (flight.attempt.supplier, approved == Some(true) && flight.phase == Phase::Settled);
        let stan = if again { self.undo_stan(now, supplier).unwrap_or(0) } else { 0 };
        let late = Fact::Late { at_ms, flight: number, code, approved, details, sealed: &sealed, stan };
        let at = self.record(&late);
        self.sealed = sealed;
        self.compare_with_operator(&flight, answer);
        if again {
            self.undo_late(now, at, supplier, number, stan);
        }
    }

    /// A STAN for a reversal that has none yet; none while all are in use.
    pub(super) fn undo_stan(&mut self, now: Now, supplier: SupplierId) -> Option<u32> {
        let last = self.state.stan(supplier);
        self.supplies[usize::from(supplier.0)].take_undo_stan(now, last)
    }

    /// What a supplier performed after all is reversed, under a STAN of its own: that of the sale may be another's by now, and an answer to an earlier reversal must not end this one. Without a
    /// free STAN (0) an operator sends it later (S-9).
    pub(super) fn undo_late(&mut self, now: Now, at: Lsn, supplier: SupplierId, flight: FlightNo, stan: u32) {
        match stan {
            0 => self.park(now, flight, Text::EMPTY),
            _ => self.advise(at, supplier, flight),
        }
    }
}
