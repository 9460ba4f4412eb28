//! The gate: the one writer of business state.
//!
//! Owns: `State`, the open batch of the log, supplier credits and STANs, the tickets that wait for a flight, and what is to be released when the log is durable.
//! Invariants: it decides, appends a fact, applies it at once, and queues the effect with the position of the last fact that the decision read
//! (`durable-before-visible`); every ticket that enters leaves once (`answered-once`); a later attempt is made only on proof that the one before performed nothing (S-12).
//! Deliberately absent: clocks, sockets, threads and files; parsing and building of messages; anything that a restart could not forget, outside `State`.
//!
//! The way of a sale: [`Gate::ask`] → `admit` → `send` (or `sell`, for a local supplier) → [`Gate::release`]; the answer's: [`Gate::heard`] → `finish` → [`Gate::release`].

mod advise;
mod alert;
mod cold;
mod contradict;
mod day;
mod explain;
mod heard;
mod inquire;
mod operate;
mod recover;
mod release;
mod reverse;
mod supply;
mod watch;

pub use alert::Alert;
pub(crate) use explain::EXPLANATIONS_BYTES;
pub use explain::{Explained, Explanations};
pub use operate::NotDone;
pub use recover::Recovered;
pub use release::{Released, Releases};
pub use supply::Supply;

use crate::account::Account;
use crate::adapter::{Ask, Local, LocalAsk, LocalSale, Order};
use crate::catalogue::{Candidate, Catalogue, Funding, Merchant, Network, Product, Service, Supplier};
use crate::code::Code;
use crate::fact::{Fact, NameKind};
use crate::flight::{Attempt, Flight, SealedPan};
use crate::ids::{FlightNo, NetworkId, Now, ProductId, SupplierId};
use crate::index::{Entry, Standing};
use crate::log::{Log, Lsn};
use crate::money::Minor;
use crate::outcome::{Outcome, Verdict, seal_details};
use crate::pack::Pack;
use crate::request::Kind;
use crate::route::{self, NoRoute, Query, Route};
use crate::seal::{DataKey, KeyId, Keyring, Nonce};
use crate::shelf::Shelf;
use crate::stamp;
use crate::state::{Misfit, State};
use crate::text::Text;
use crate::ticket::{Errand, Ticket};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What the gate is told once.
#[derive(Clone, Debug)]
pub struct GateOptions {
    /// Bytes that the index may take in memory, filters of runs among them; full means 96, never an eviction (S-3).
    pub duplicate_bytes_max: usize,
    /// How long after its admission a request can be repeated: the window, and the slack of time zones on both sides (S-3), milliseconds.
    pub repeatable_ms: u64,
    /// How long after its admission a request can be reversed (S-3), milliseconds.
    pub reversible_ms: u64,
    /// Reversals that may be open at a time, over all suppliers; beyond it those of approved sales get 96 and come again.
    pub reversals_max: usize,
    /// Vouchers taken back that a terminal is credited for by itself on a business day (S-10).
    pub voucher_credits_max: u16,
    /// The journal's data key of this epoch, and its id.
    pub key: Arc<DataKey>,
    /// See `key`.
    pub key_id: KeyId,
    /// All keys, to open what earlier epochs sealed.
    pub keyring: Arc<Keyring>,
}

/// What the gate counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateCounters {
    /// Tickets taken in.
    pub tickets: u64,
    /// Tickets released with an answer.
    pub answers: u64,
    /// Decisions of local suppliers, sales and refusals.
    pub local: u64,
    /// Refusals that performed nothing.
    pub refused: u64,
    /// Repeats of something answered.
    pub repeats: u64,
    /// Repeats that joined a flight.
    pub joined: u64,
    /// Tickets whose key was looked for in runs.
    pub sought: u64,
    /// Flights approved.
    pub approved: u64,
    /// Flights declined.
    pub declined: u64,
    /// Flights whose outcome became unknown.
    pub unknown: u64,
    /// Doubts settled.
    pub settled: u64,
    /// Reversals parked.
    pub parked: u64,
    /// Answers that came late.
    pub late: u64,
    /// Second answers that said otherwise than the first.
    pub contradicted: u64,
    /// Attempts at another supplier.
    pub moved: u64,
    /// Reports about flights that are not open any more.
    pub stale: u64,
    /// Reversals accepted.
    pub reversals: u64,
    /// Originals that reversals blocked before they came.
    pub blocked: u64,
    /// Reversals refused, for another amount than their original's.
    pub partial: u64,
    /// Vouchers taken back.
    pub withdrawn: u64,
    /// Inquiries answered.
    pub inquiries: u64,
}

/// A ticket that waits for its flight, and those of its repeats.
#[derive(Debug)]
struct Waiting {
    ticket: Box<Ticket>,
    joined: Vec<Box<Ticket>>,
    /// The candidates not tried yet.
    route: Route,
}

/// Orders kept for the next attempt.
pub(crate) const ORDERS_KEPT: usize = 4_096;
/// Room of an order that is kept; the usual answer needs a quarter of it.
pub(crate) const ORDER_BYTES_KEPT: usize = 1_024;

/// What a ticket that waits takes, with its key.
pub(crate) const WAITING_BYTES: usize = size_of::<(FlightNo, Waiting)>();

/// The gate.
pub struct Gate {
    state: State,
    log: Log,
    options: GateOptions,
    catalogue: Arc<Catalogue>,
    shelf: Shelf,
    locals: FxHashMap<SupplierId, Box<dyn Local>>,
    supplies: Vec<Supply>,
    waiting: FxHashMap<FlightNo, Waiting>,
    releases: Releases,
    explanations: Explanations,
    orders: Vec<Box<Order>>,
    sale: LocalSale,
    sealed: Vec<u8>,
    next_flight: FlightNo,
    dialects: Vec<u16>,
    /// Whether the journal has room for sales.
    room: bool,
    misfit: Option<Misfit>,
    alerts: Vec<Alert>,
    /// What happened, counted.
    pub counters: GateCounters,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate")
            .field("waiting", &self.waiting.len())
            .field("counters", &self.counters)
            .finish()
    }
}

impl Gate {
    /// A gate over the folded `state`, going on at `log`. `dialects` are the names of the dialects by their index in tickets; `locals` are the local suppliers' adapters by code.
    /// Names that the journal does not know are named; networks named for the first time get their opening deposit.
    pub fn new(
        state: State,
        log: Log,
        options: GateOptions,
        catalogue: Catalogue,
        dialects: &[&str],
        locals: Vec<(Text<12>, Box<dyn Local>)>,
        now: Now,
    ) -> Self {
        let next_flight = FlightNo::first(log.epoch(), now.wall_ms).max(state.last_flight().next());
        let mut gate = Self {
            state,
            log,
            options,
            catalogue: Arc::new(Catalogue::default()),
            shelf: Shelf::default(),
            locals: FxHashMap::default(),
            supplies: Vec::new(),
            waiting: FxHashMap::default(),
            releases: Releases::default(),
            explanations: Explanations::default(),
            orders: Vec::new(),
            sale: LocalSale::default(),
            sealed: Vec::new(),
            next_flight,
            dialects: Vec::new(),
            room: true,
            misfit: None,
            alerts: Vec::new(),
            counters: GateCounters::default(),
        };
        gate.dialects = dialects.iter().map(|name| gate.name(NameKind::Dialect, name)).collect();
        gate.adopt(catalogue, now);
        for (code, local) in locals {
            if let Some((_, supplier)) = gate.catalogue.supplier(code) {
                gate.locals.insert(supplier.id, local);
            }
        }
        gate
    }

    /// Takes a catalogue over: gives ids to names not seen before, deposits, business days.
    pub fn adopt(&mut self, mut catalogue: Catalogue, now: Now) -> Arc<Catalogue> {
        for supplier in &mut catalogue.suppliers {
            supplier.id = SupplierId(self.name(NameKind::Supplier, supplier.code.as_str()));
        }
        for product in &mut catalogue.products {
            product.id = ProductId(self.name(NameKind::Product, product.code.as_str()));
        }
        for network in &mut catalogue.networks {
            let known = self.state.id(NameKind::Network, network.code.as_str()).is_some();
            network.id = NetworkId(self.name(NameKind::Network, network.code.as_str()));
            if let (false, Funding::Prefunded { opening }) = (known, network.funding) {
                self.deposit(Account::Network(network.id), opening, now);
            }
        }
        for merchant in &catalogue.merchants {
            let account = Account::Merchant(merchant.code);
            if let (false, Some(Funding::Prefunded { opening })) =
                (self.state.accounts.holds(account), merchant.funding)
            {
                self.deposit(account, opening, now);
            }
        }
        // Suppliers that are no longer configured have a place too: the journal may hold doubts about them.
        let places = usize::from(self.state.names(NameKind::Supplier));
        self.supplies.resize_with(self.supplies.len().max(places), Supply::default);
        for supplier in &catalogue.suppliers {
            let supply = &mut self.supplies[usize::from(supplier.id.0)];
            supply.configure(supplier);
            supply.drain(self.state.controls().is_drained(supplier.id));
        }
        self.catalogue = Arc::new(catalogue);
        Arc::clone(&self.catalogue)
    }

    fn name(&mut self, kind: NameKind, name: &str) -> u16 {
        if let Some(id) = self.state.id(kind, name) {
            return id;
        }
        let id = self.state.names(kind);
        let name = Text::new(name.as_bytes()).unwrap_or_default();
        self.record(&Fact::Named { kind, id, name });
        id
    }

    fn deposit(&mut self, account: Account, amount: Minor, now: Now) {
        let reason = Text::new(b"opening amount of the configuration").unwrap_or_default();
        self.record(&Fact::Deposit { at_ms: now.wall_ms, account, amount, reason });
    }

    /// The state, to be looked at.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The snapshot in force.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// The open batch.
    pub fn log(&mut self) -> &mut Log {
        &mut self.log
    }

    /// The trays, for the keeper to fill.
    pub fn shelf(&mut self) -> &mut Shelf {
        &mut self.shelf
    }

    /// The state and the trays, to fill the one after the other.
    pub fn stock_and_shelf(&mut self) -> (&State, &mut Shelf) {
        (&self.state, &mut self.shelf)
    }

    /// From where on a product's tray is to be filled; none when nothing is left to put on it.
    pub fn tray_wanted(&self, product: ProductId) -> Option<crate::stock::Place> {
        self.shelf.wanted(product, &self.state.stock)
    }

    /// Why routes were chosen, lately.
    pub fn explanations(&self) -> &Explanations {
        &self.explanations
    }

    /// A supplier's credits, as they stand.
    pub fn supply(&self, supplier: SupplierId) -> Option<&Supply> {
        self.supplies.get(usize::from(supplier.0))
    }

    /// Flights with a ticket that waits.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether the journal has room for sales; without it they get 96, while outcomes and reversals go on.
    pub fn set_room(&mut self, room: bool) {
        self.room = room;
    }

    /// A fact that did not fit: the process must stop.
    pub fn misfit(&self) -> Option<&Misfit> {
        self.misfit.as_ref()
    }

    /// Loads a batch of vouchers into the books; its file is there already. The position at which it is durable.
    pub fn load_stock(&mut self, batch: crate::stock::StockBatch) -> Lsn {
        self.record(&Fact::Stock(batch))
    }

    /// Appends a fact and applies it.
    fn record(&mut self, fact: &Fact<'_>) -> Lsn {
        let at = self.log.append(|out| fact.pack(out));
        if let Err(misfit) = self.state.apply(at, fact) {
            self.misfit.get_or_insert(misfit);
        }
        at
    }

    fn number(&mut self) -> FlightNo {
        let number = self.next_flight;
        self.next_flight = number.next();
        number
    }

    /// Takes a ticket in.
    pub fn ask(&mut self, now: Now, ticket: Box<Ticket>) {
        self.counters.tickets += 1;
        self.make_room();
        self.look_up(now, ticket);
    }

    fn look_up(&mut self, now: Now, ticket: Box<Ticket>) {
        if self.must_seek(&ticket) {
            return self.seek(ticket);
        }
        match ticket.request.kind {
            Kind::CutOver => self.cut_over(now, ticket),
            Kind::Sale => self.sale(now, ticket),
            Kind::Reversal => self.reverse(now, ticket),
            Kind::Inquiry => self.inquire(now, ticket),
        }
    }

    fn sale(&mut self, now: Now, ticket: Box<Ticket>) {
        match self.own(&ticket) {
            Some(entry) => self.repeat(now, ticket, entry),
            None if self.state.index.is_blocked(ticket.request.named) => {
                self.block_key(now, &ticket);
                self.tell(now, ticket, Code::CANCELLED)
            }
            None => self.admit(now, ticket),
        }
    }

    /// A key seen before: a repeat, or other contents under the same key (S-1, S-2, S-4).
    fn repeat(&mut self, now: Now, ticket: Box<Ticket>, entry: Entry) {
        // A reversal may have named just this message before anything of its sale was here.
        if entry.standing == Standing::Blocked || self.state.index.is_blocked(ticket.request.named) {
            if entry.standing == Standing::Approved {
                self.alert(Alert::Standing { flight: entry.flight });
            }
            return self.tell(now, ticket, Code::CANCELLED);
        }
        if entry.contents != ticket.request.contents {
            return self.refuse(now, ticket, Code::OTHER_CONTENTS);
        }
        let seen = self.see(now, &ticket, &entry);
        match entry.standing {
            Standing::Cancelled | Standing::Blocked => self.tell(now, ticket, Code::CANCELLED),
            Standing::InFlight => self.join(now, ticket, entry.flight),
            Standing::Approved | Standing::Answered => {
                self.counters.repeats += 1;
                let replayed = Fact::Replayed { at_ms: now.wall_ms, flight: entry.flight };
                let at = if entry.secret { self.record(&replayed) } else { entry.outcome_at };
                self.recall(seen.unwrap_or(at).max(at), ticket, &entry, Errand::Recall);
            }
        }
    }

    /// Sends a ticket to the keeper for what lies in the journal; what is not written yet is waited for.
    fn recall(&mut self, at: Lsn, mut ticket: Box<Ticket>, entry: &Entry, errand: Errand) {
        ticket.errand = errand;
        ticket.intent_at = entry.intent_at;
        ticket.outcome_at = entry.outcome_at;
        self.releases.ticket(at, self.log.last(), ticket, false);
    }

    /// A reversal may name its original by the transmission time of any of its repeats (S-5): that must be durable before the repeat is answered.
    fn see(&mut self, now: Now, ticket: &Ticket, entry: &Entry) -> Option<Lsn> {
        let named = ticket.request.named;
        let known = named == entry.named || self.state.index.knows_name(named);
        // Where it is full, a name may take half of the reversals' reserve: a reversal that does not find its original leaves a sale that nobody wants.
        let room = self.state.index.bytes() / 17 < self.options.duplicate_bytes_max / 16;
        (!known && room).then(|| self.record(&Fact::Seen { at_ms: now.wall_ms, key: entry.key, named }))
    }

    fn alert(&mut self, alert: Alert) {
        self.alerts.push(alert);
    }

    /// What somebody should look at, since the last time this was asked.
    pub fn alerts(&mut self) -> std::vec::Drain<'_, Alert> {
        self.alerts.drain(..)
    }

    fn join(&mut self, now: Now, ticket: Box<Ticket>, flight: FlightNo) {
        self.counters.joined += 1;
        match self.waiting.get_mut(&flight) {
            Some(waiting) => waiting.joined.push(ticket),
            // Nobody waits for it only between a crash and its Doubt, before conduits open.
            None => self.refuse(now, ticket, Code::FAULT),
        }
    }

    /// Answers without a fact: nothing was performed, nothing is stored (S-2).
    fn refuse(&mut self, now: Now, mut ticket: Box<Ticket>, code: Code) {
        self.counters.refused += 1;
        let outcome = self.bare_outcome(now, &ticket, code);
        answer_with(&mut ticket, &outcome);
        self.releases.now(ticket);
    }

    /// Says how something stands, with a code and without a fact. It leaves when what it says is durable: a power cut must not take that back.
    fn tell(&mut self, now: Now, mut ticket: Box<Ticket>, code: Code) {
        let outcome = self.bare_outcome(now, &ticket, code);
        answer_with(&mut ticket, &outcome);
        let last = self.state.last;
        self.releases.ticket(last, last, ticket, false);
    }

    /// An outcome that is nothing but its code.
    fn bare_outcome(&mut self, now: Now, ticket: &Ticket, code: Code) -> Outcome<'static> {
        let number = self.number();
        let own = ticket.request.rrn;
        Outcome {
            flight: number,
            verdict: Verdict::Declined,
            code,
            day: self.day_digits(now, ticket),
            rrn: if own.is_empty() { number.rrn(0) } else { own },
            ..Outcome::default()
        }
    }

    /// A new request: the rest of the checks, position, route, credits; then its first fact.
    fn admit(&mut self, now: Now, ticket: Box<Ticket>) {
        if let Some(code) = ticket.request.refusal {
            return self.refuse(now, ticket, code);
        }
        if is_too_old(now, &ticket)
            || !self.room
            || self.state.index.bytes() >= self.options.duplicate_bytes_max
        {
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
        catalogue: &Catalogue,
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
        self.explanations.keep(ticket, query.terminal, trace);
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

    fn dialect(&self, ticket: &Ticket) -> u16 {
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
    fn attempt(
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
            transmission: stamp::transmission(now.wall_ms),
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
    fn sale_order(&mut self, now: Now, flight: &Flight, supplier: &Supplier, ticket: &Ticket) -> Box<Order> {
        let mut order = self.order(flight);
        order.ask = Ask::Sale;
        order.pan.set(ticket.pan.expose());
        let timeout_us = now.mono_us + u64::from(supplier.timeout_ms) * 1_000;
        order.deadline_us = timeout_us.min(ticket.deadline_us.max(now.mono_us));
        order
    }

    /// An order with everything that a flight knows.
    fn order(&mut self, flight: &Flight) -> Box<Order> {
        let mut order = self.orders.pop().unwrap_or_default();
        order.answer.clear();
        order.pan.clear();
        order.flight = flight.number;
        order.attempt = flight.attempt.number;
        order.supplier = flight.attempt.supplier;
        order.stan = flight.attempt.stan;
        order.original_stan = flight.attempt.stan;
        order.transmission = flight.attempt.transmission;
        order.rrn = flight.sent_rrn();
        order.service = flight.service();
        order.product = flight.attempt.product;
        order.amount = flight.amount;
        order.currency = flight.currency;
        order.account = flight.account;
        order.terminal = flight.terminal;
        order.merchant = flight.merchant;
        order.network = flight.acquirer;
        order.local = flight.local;
        order.deadline_us = 0;
        order.link = None;
        order.sent_us = 0;
        order.tries = 0;
        order
    }

    fn recycle(&mut self, mut order: Box<Order>) {
        order.answer.clear();
        order.pan.clear();
        // What a peak or a long answer has left behind is given back.
        if self.orders.len() < ORDERS_KEPT && order.room_bytes() <= ORDER_BYTES_KEPT {
            self.orders.push(order);
        }
    }

    /// Whether anything waits for the log to be durable, and not just written.
    pub fn awaits_sync(&self) -> bool {
        self.releases.awaits_sync()
    }

    /// Hands out what may leave: strict effects up to `durable`, relaxed ones up to `written`.
    pub fn release(&mut self, written: Lsn, durable: Lsn, released: &mut Released) {
        let before = released.tickets.len();
        self.releases.release(written, durable, released);
        let answers = released.tickets[before..].iter().filter(|ticket| ticket.errand == Errand::Answer);
        self.counters.answers += answers.count() as u64;
    }
}

/// Whether a sale has waited for the gate so long that half of its time is over. A supplier would hardly have the time that its own limit gives it, so what came of it would be 68 and a
/// reversal, more work than the sale: under overload it is shed instead, before anything is performed.
fn is_too_old(now: Now, ticket: &Ticket) -> bool {
    let allowed_us = ticket.deadline_us.saturating_sub(ticket.received_us) / 2;
    now.mono_us.saturating_sub(ticket.received_us) >= allowed_us
}

/// The answer to a request whose outcome is unknown, or whose terminal has reversed it.
fn unknown_outcome(flight: &Flight) -> Outcome<'static> {
    let (verdict, code) = match flight.cancelled {
        true => (Verdict::Cancelled, Code::CANCELLED),
        false => (Verdict::Unknown, Code::UNKNOWN),
    };
    Outcome { flight: flight.number, verdict, code, day: flight.day, rrn: flight.rrn, ..Outcome::default() }
}

/// The network that a ticket is from.
fn network<'a>(catalogue: &'a Catalogue, ticket: &Ticket) -> Option<&'a Network> {
    catalogue.networks.get(ticket.request.network as usize)
}

/// Whether a sale's effects wait for the write alone. Vouchers wait for the sync even on a relaxed conduit, before the supplier is asked too: a power cut must not
/// leave a voucher bought that nobody knows of (S-17).
fn relaxed(ticket: &Ticket, service: Service) -> bool {
    ticket.relaxed && service != Service::Voucher
}

fn answer_with(ticket: &mut Ticket, outcome: &Outcome<'_>) {
    ticket.errand = Errand::Answer;
    ticket.outcome.clear();
    outcome.pack(&mut ticket.outcome);
}
