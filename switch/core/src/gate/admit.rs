//! Admission: what becomes of a request that was never seen.
//!
//! Owns: the rest of the order of checks, from the position on; the choice of a supplier that takes the item; the first fact, of a sale over a wire or of a local one.
//! Invariants: nothing is asked of a supplier without credits and a fact; a refusal here performed nothing and stores nothing (S-2); what is too old is
//! shed before anything is performed.
//! Deliberately absent: duplicates (they come first), and what suppliers answer (`heard`).

use super::{Gate, Waiting, answer_with, relaxed};
use crate::account::Account;
use crate::adapter::{Ask, LocalAsk, Order};
use crate::catalogue::{Candidate, Catalogue, Funding, Merchant, Network, Product, Service, Supplier};
use crate::code::Code;
use crate::fact::Fact;
use crate::flight::{Attempt, Flight, SealedPan};
use crate::ids::{FlightNo, Now};
use crate::money::Minor;
use crate::outcome::{Outcome, Verdict, seal_details};
use crate::route::{self, NoRoute, Query, Route};
use crate::seal::Nonce;
use crate::ticket::Ticket;
use std::sync::Arc;

impl Gate {
    /// A new request: the rest of the checks, position, route, credits; then its first fact.
    pub(super) fn admit(&mut self, now: Now, ticket: Box<Ticket>) {
        if let Some(code) = ticket.request.refusal {
            return self.refuse(now, ticket, code);
        }
        if is_too_old(now, &ticket) || !self.room || self.is_window_full() {
            return self.refuse(now, ticket, Code::FAULT);
        }
        let catalogue = ticket.catalogue.clone().unwrap_or_default();
        let network = catalogue.networks.get(ticket.request.network as usize);
        let product = catalogue.products.get(ticket.request.product as usize);
        let (Some(network), Some(product)) = (network, product) else {
            return self.refuse(now, ticket, Code::FAULT);
        };
        let merchant = catalogue.merchants.get(ticket.request.merchant as usize);
        if !self.positions_allow(network, merchant, ticket.request.amount) {
            return self.refuse(now, ticket, Code::LIMIT);
        }
        let route = match self.choose(now, &catalogue, product, &ticket) {
            Ok(route) => route,
            Err(NoRoute::Nobody) => return self.refuse(now, ticket, Code::ROUTE),
            Err(NoRoute::OutOfReach) => return self.refuse(now, ticket, Code::SUPPLIER),
        };
        self.try_route(now, &catalogue, network, product, ticket, route);
    }

    /// Whether the network can pay, and the merchant where it has a position of its own.
    fn positions_allow(&self, network: &Network, merchant: Option<&Merchant>, amount: Minor) -> bool {
        self.position_allows(Account::Network(network.id), network.funding, amount)
            && merchant.is_none_or(|merchant| {
                let account = Account::Merchant(merchant.code);
                merchant.funding.is_none_or(|funding| self.position_allows(account, funding, amount))
            })
    }

    /// Whether an account can pay (S-15).
    fn position_allows(&self, account: Account, funding: Funding, amount: Minor) -> bool {
        self.free(account, funding).is_some_and(|free| free >= amount)
    }

    fn choose(
        &mut self,
        now: Now,
        catalogue: &Arc<Catalogue>,
        product: &Product,
        ticket: &Ticket,
    ) -> Result<Route, NoRoute> {
        let request = &ticket.request;
        let terminal = catalogue.terminals.get(request.terminal as usize).map(|terminal| terminal.code);
        let account = request.account;
        let by_card = product.account.source == crate::catalogue::AccountSource::Card;
        let query = Query {
            network: request.network,
            terminal: terminal.unwrap_or_default(),
            amount: request.amount,
            account: if by_card { ticket.pan.expose() } else { account.as_bytes() },
            named: request.supplier,
            minute: (now.wall_ms / 60_000 % 1_440) as u16,
            seed: self.counters.tickets,
        };
        let supplies = &self.supplies;
        let health = |at: u32| {
            let supplier = catalogue.suppliers.get(at as usize);
            let supply = supplier.and_then(|s| supplies.get(usize::from(s.id.0)));
            supply.map(|supply| supply.health(now)).unwrap_or_default()
        };
        let routed = route::route(catalogue, product, &query, health);
        let trace = match &routed {
            Ok(route) => route.trace,
            Err((_, trace)) => *trace,
        };
        self.explanations.keep(ticket, catalogue, query.terminal, trace);
        routed.map_err(|(why, _)| why)
    }

    /// Tries the candidates in order until one takes the item.
    fn try_route(
        &mut self,
        now: Now,
        catalogue: &Catalogue,
        network: &Network,
        product: &Product,
        ticket: Box<Ticket>,
        mut route: Route,
    ) {
        let mut code = Code::ROUTE;
        while let Some(place) = route.take() {
            let Some(candidate) = product.candidates.get(usize::from(place)) else { continue };
            let Some(supplier) = catalogue.suppliers.get(candidate.supplier as usize) else { continue };
            if supplier.local {
                match self.decide(now, supplier, product, &ticket) {
                    Ok(()) => return self.sell(now, supplier, network, product, ticket),
                    Err(refusal) => code = refusal,
                }
                continue;
            }
            if self.supplies[usize::from(supplier.id.0)].takes(now, ticket.place, ticket.window) {
                return self.send(now, supplier, candidate, network, product, ticket, route);
            }
            code = Code::SUPPLIER;
        }
        self.refuse(now, ticket, code);
    }

    fn decide(
        &mut self,
        now: Now,
        supplier: &Supplier,
        product: &Product,
        ticket: &Ticket,
    ) -> Result<(), Code> {
        let ask = LocalAsk {
            product: product.id,
            service: product.service,
            amount: ticket.request.amount,
            currency: ticket.request.currency,
            exponent: product.exponent,
            account: ticket.request.account,
        };
        self.counters.local += 1;
        self.sale.clear();
        let local = self.locals.get(&supplier.id).ok_or(Code::SUPPLIER)?;
        local.decide(now, &self.state, &mut self.shelf, &ask, &mut self.sale)
    }

    /// The flight of a ticket, as its first fact has it.
    fn flight(
        &mut self,
        now: Now,
        ticket: &Ticket,
        network: &Network,
        product: &Product,
        attempt: Attempt,
    ) -> Flight {
        let number = self.number();
        let request = &ticket.request;
        let catalogue = ticket.catalogue.as_deref();
        let merchant = catalogue.and_then(|c| c.merchants.get(request.merchant as usize));
        let terminal = catalogue.and_then(|c| c.terminals.get(request.terminal as usize)).map(|t| t.code);
        Flight {
            number,
            admitted_ms: now.wall_ms,
            key: request.key,
            named: request.named,
            contents: request.contents,
            network: network.id,
            product: product.id,
            service: Service::ALL.iter().position(|s| *s == product.service).unwrap_or_default() as u8,
            amount: request.amount,
            currency: request.currency,
            account: request.account,
            terminal: terminal.unwrap_or_default(),
            merchant: merchant.map(|merchant| merchant.code).unwrap_or_default(),
            merchant_pays: merchant.is_some_and(|merchant| merchant.funding.is_some()),
            acquirer: network.code,
            local: request.local,
            day: self.day(now, network),
            rrn: if request.rrn.is_empty() { number.rrn(0) } else { request.rrn },
            attempt,
            ..Flight::default()
        }
    }

    /// A local sale: intent, outcome and effect in one fact.
    fn sell(
        &mut self,
        now: Now,
        supplier: &Supplier,
        network: &Network,
        product: &Product,
        mut ticket: Box<Ticket>,
    ) {
        let attempt = Attempt { number: 1, supplier: supplier.id, ..Attempt::default() };
        let flight = self.flight(now, &ticket, network, product, attempt);
        let sale = std::mem::take(&mut self.sale);
        let outcome = Outcome {
            flight: flight.number,
            verdict: Verdict::Approved,
            code: Code::APPROVED,
            day: flight.day,
            rrn: flight.rrn,
            approval: flight.number.approval(),
            details: &sale.details.0,
            sealed: &sale.sealed,
        };
        if let Some(effect) = sale.effect {
            let dialect = self.dialect(&ticket);
            let at = self.record(&Fact::Sale { flight, dialect, frame: &ticket.frame, outcome, effect });
            self.counters.approved += 1;
            answer_with(&mut ticket, &outcome);
            let relaxed = relaxed(&ticket, product.service);
            self.releases.ticket(at, at, ticket, relaxed);
        } else {
            self.refuse(now, ticket, Code::FAULT);
        }
        self.sale = sale;
    }

    pub(super) fn dialect(&self, ticket: &Ticket) -> u16 {
        self.dialects.get(usize::from(ticket.dialect)).copied().unwrap_or_default()
    }

    /// A sale over a wire: the intent, then the order.
    #[expect(clippy::too_many_arguments, reason = "the parts of one decision, each from another owner")]
    fn send(
        &mut self,
        now: Now,
        supplier: &Supplier,
        candidate: &Candidate,
        network: &Network,
        product: &Product,
        ticket: Box<Ticket>,
        route: Route,
    ) {
        let attempt = self.attempt(now, supplier, candidate, &ticket, 1);
        let mut flight = self.flight(now, &ticket, network, product, attempt);
        flight.pan = self.seal_pan(&ticket, flight.number);
        let dialect = self.dialect(&ticket);
        let at = self.record(&Fact::Intent { flight, dialect, frame: &ticket.frame });
        let order = self.sale_order(now, &flight, supplier, &ticket);
        self.releases.order(at, order, relaxed(&ticket, product.service));
        self.waiting.insert(flight.number, Waiting { ticket, joined: Vec::new(), route });
    }

    /// Takes the credits and the STAN of a new attempt.
    pub(super) fn attempt(
        &mut self,
        now: Now,
        supplier: &Supplier,
        candidate: &Candidate,
        ticket: &Ticket,
        number: u8,
    ) -> Attempt {
        let last = self.state.stan(supplier.id);
        let stan = self.supplies[usize::from(supplier.id.0)].take(now, last, ticket.place);
        Attempt {
            number,
            supplier: supplier.id,
            stan,
            transmission: self.transmission.at(now.wall_ms),
            product: candidate.product,
        }
    }

    fn seal_pan(&mut self, ticket: &Ticket, number: FlightNo) -> SealedPan {
        if ticket.pan.is_empty() {
            return SealedPan::default();
        }
        let nonce = Nonce::of(self.log.next(), 1);
        let key = &self.options.key;
        self.sealed.clear();
        let sealed =
            seal_details(key, self.options.key_id, nonce, number, ticket.pan.expose(), &mut self.sealed);
        sealed.ok().and_then(|()| SealedPan::new(&self.sealed)).unwrap_or_default()
    }

    /// The order of a flight's attempt, with the card number from its ticket.
    pub(super) fn sale_order(
        &mut self,
        now: Now,
        flight: &Flight,
        supplier: &Supplier,
        ticket: &Ticket,
    ) -> Box<Order> {
        let mut order = self.order(flight);
        order.ask = Ask::Sale;
        order.pan.set(ticket.pan.expose());
        let timeout_us = now.mono_us + u64::from(supplier.timeout_ms) * 1_000;
        order.deadline_us = timeout_us.min(ticket.deadline_us.max(now.mono_us));
        order
    }
}

/// Whether a sale has waited for the gate so long that half of its time is over. A supplier would hardly have the time that its own limit gives it, so what came of it would be 68 and a
/// reversal, more work than the sale: under overload it is shed instead, before anything is performed.
fn is_too_old(now: Now, ticket: &Ticket) -> bool {
    let allowed_us = ticket.deadline_us.saturating_sub(ticket.received_us) / 2;
    now.mono_us.saturating_sub(ticket.received_us) >= allowed_us
}
