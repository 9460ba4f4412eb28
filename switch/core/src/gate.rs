//! The gate: the one writer of business state.
//!
//! Owns: `State`, the open batch of the log, supplier credits and STANs, the tickets that wait for a flight, and what is to be released when the log is durable.
//! Invariants: it decides, appends a fact, applies it at once, and queues the effect with the position of the last fact that the decision read
//! (`durable-before-visible`); every ticket that enters leaves once (`answered-once`); a later attempt is made only on proof that the one before performed nothing (S-12).
//! Deliberately absent: clocks, sockets, threads and files; parsing and building of messages; anything that a restart could not forget, outside `State`.
//!
//! The way of a sale: [`Gate::ask`] → `admit` → `send` (or `sell`, for a local supplier) → [`Gate::release`]; the answer's: [`Gate::heard`] → `finish` → [`Gate::release`].

mod admit;
mod adopt;
mod advise;
mod alert;
mod cold;
mod contradict;
mod day;
mod explain;
mod heard;
mod inquire;
mod late;
mod operate;
mod parked;
mod recognise;
mod recover;
mod release;
mod reverse;
mod stray;
mod supply;
mod watch;

pub use alert::Alert;
pub(crate) use explain::EXPLANATIONS_BYTES;
pub use explain::{Explained, Explanations};
pub use operate::NotDone;
pub use recover::Recovered;
pub use release::{Released, Releases};
pub use supply::{STAN_MAX, Supply};

use crate::adapter::{Local, LocalSale, Order};
use crate::catalogue::{Catalogue, Network, Service};
use crate::code::Code;
use crate::fact::{Fact, NameKind};
use crate::flight::Flight;
use crate::ids::{FlightNo, Now, ProductId, SupplierId};
use crate::index::{Entry, Standing};
use crate::log::{Log, Lsn};
use crate::outcome::{Outcome, Verdict};
use crate::pack::Pack;
use crate::request::Kind;
use crate::route::Route;
use crate::seal::{DataKey, KeyId, Keyring};
use crate::shelf::Shelf;
use crate::slab::{Slab, slab_bytes};
use crate::stamp::Transmission;
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
    /// Parked reversals that a supplier may have; beyond it no sale is asked of it, and what would add to them gets 96.
    pub parked_max: usize,
    /// Vouchers taken back that a terminal is credited for by itself on a business day (S-10).
    pub voucher_credits_max: u16,
    /// STANs that a supplier's requests have: 1 to this, then 1 again, each when nothing open has it (S-14). [`STAN_MAX`], but where it is tested that they come round.
    pub stan_max: u32,
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
    /// Reversals of what a supplier had approved and does not know: parked.
    pub denied: u64,
    /// Attempts at another supplier.
    pub moved: u64,
    /// Reports about flights that are not open any more.
    pub stale: u64,
    /// Reversals accepted.
    pub reversals: u64,
    /// Originals that reversals blocked before they came.
    pub blocked: u64,
    /// Sales undone when the message came by which a reversal had named them before.
    pub recognised: u64,
    /// Reversals refused, for another amount than their original's.
    pub partial: u64,
    /// Vouchers taken back.
    pub withdrawn: u64,
    /// Inquiries answered.
    pub inquiries: u64,
    /// Business days that began, each because the one before was over or was closed.
    pub days: u64,
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

/// What so many tickets that wait take, without the tickets.
pub(crate) fn waiting_bytes(tickets: usize) -> usize {
    slab_bytes::<FlightNo, Waiting>(tickets)
}

/// The gate.
pub struct Gate {
    state: State,
    log: Log,
    options: GateOptions,
    catalogue: Arc<Catalogue>,
    shelf: Shelf,
    locals: FxHashMap<SupplierId, Box<dyn Local>>,
    supplies: Vec<Supply>,
    waiting: Slab<FlightNo, Waiting>,
    releases: Releases,
    explanations: Explanations,
    orders: Vec<Box<Order>>,
    sale: LocalSale,
    sealed: Vec<u8>,
    next_flight: FlightNo,
    transmission: Transmission,
    dialects: Vec<u16>,
    /// Whether the journal has room for sales.
    room: bool,
    misfit: Option<Misfit>,
    alerts: Vec<Alert>,
    /// Before that nobody is told again that too many reversals are open.
    full_again_us: u64,
    /// Whether somebody was told that the clock has leapt ahead.
    clock_ahead: bool,
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
    /// Names that the journal does not know are named; networks and merchants that are seen for the first time get their opening deposit. That may be more than a batch holds: `write` is
    /// called with the log whenever its batch is full, and takes it.
    ///
    /// # Errors
    /// Those of `write`: the start has failed, and the next one goes on where it ended.
    #[expect(clippy::too_many_arguments, reason = "the parts of a start, each from another owner")]
    pub fn new<E>(
        state: State,
        log: Log,
        options: GateOptions,
        catalogue: Catalogue,
        dialects: &[&str],
        locals: Vec<(Text<12>, Box<dyn Local>)>,
        now: Now,
        mut write: impl FnMut(&mut Log) -> Result<(), E>,
    ) -> Result<Self, E> {
        let next_flight = FlightNo::first(log.epoch(), now.wall_ms).max(state.last_flight().next());
        let mut gate = Self {
            state,
            log,
            options,
            catalogue: Arc::new(Catalogue::default()),
            shelf: Shelf::default(),
            locals: FxHashMap::default(),
            supplies: Vec::new(),
            waiting: Slab::default(),
            releases: Releases::default(),
            explanations: Explanations::default(),
            orders: Vec::new(),
            sale: LocalSale::default(),
            sealed: Vec::new(),
            next_flight,
            transmission: Transmission::default(),
            dialects: Vec::new(),
            room: true,
            misfit: None,
            alerts: Vec::new(),
            full_again_us: 0,
            clock_ahead: false,
            counters: GateCounters::default(),
        };
        gate.dialects = gate.name_all(NameKind::Dialect, dialects.iter().copied(), &mut write)?;
        gate.adopt(catalogue, now, write)?;
        for (code, local) in locals {
            if let Some((_, supplier)) = gate.catalogue.supplier(code) {
                gate.locals.insert(supplier.id, local);
            }
        }
        Ok(gate)
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

    /// What the index may take in memory, bytes.
    pub fn window_bytes_max(&self) -> usize {
        self.options.duplicate_bytes_max
    }

    /// Whether the index has no room for a new request: sales get 96 (S-3).
    pub fn is_window_full(&self) -> bool {
        self.state.index.bytes() >= self.options.duplicate_bytes_max
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

    /// Looks at what will be needed for these tickets, so that it is at hand when each is asked.
    pub fn foresee<'a>(&self, tickets: impl Iterator<Item = &'a Ticket>) {
        let keys = tickets.map(|ticket| (ticket.request.key, ticket.request.named));
        // How many there are does not matter: that they were looked for does.
        std::hint::black_box(self.state.index.foresee(keys));
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
            return self.recognise(now, ticket, &entry);
        }
        if entry.contents != ticket.request.contents {
            return self.refuse(now, ticket, Code::OTHER_CONTENTS);
        }
        let seen = self.see(now, &ticket, &entry);
        match entry.standing {
            Standing::Cancelled | Standing::Blocked => self.tell_cancelled(now, ticket),
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
        match self.waiting.get_mut(flight) {
            Some(waiting) => waiting.joined.push(ticket),
            // Nobody waits for it only between a crash and its Doubt, before conduits open.
            None => self.refuse(now, ticket, Code::FAULT),
        }
    }

    /// Answers without a fact: nothing was performed, nothing is stored (S-2).
    fn refuse(&mut self, now: Now, mut ticket: Box<Ticket>, code: Code) {
        self.counters.refused += 1;
        ticket.refused = true;
        let outcome = self.bare_outcome(now, &ticket, code);
        answer_with(&mut ticket, &outcome);
        self.releases.now(ticket);
    }

    /// Says how something stands, with a code and without a fact. It leaves when what it says is durable: a power cut must not take that back.
    fn tell(&mut self, now: Now, ticket: Box<Ticket>, code: Code) {
        let outcome = self.bare_outcome(now, &ticket, code);
        self.say(ticket, &outcome);
    }

    /// Answers with what no fact says, once all that was known is durable.
    fn say(&mut self, mut ticket: Box<Ticket>, outcome: &Outcome<'_>) {
        answer_with(&mut ticket, outcome);
        let last = self.state.last;
        self.releases.ticket(last, last, ticket, false);
    }

    /// 17 to a sale that was reversed (S-4). It has the RRN and the business day of the sale's first answer, so that its repeats are alike (S-2, S-16); what was never performed has
    /// none. Where the sale is not open any more its day is in the journal only.
    fn tell_cancelled(&mut self, now: Now, mut ticket: Box<Ticket>) {
        let entry = self.own(&ticket).filter(|entry| entry.standing != Standing::Blocked);
        let Some(entry) = entry.filter(|entry| entry.contents == ticket.request.contents) else {
            return self.tell(now, ticket, Code::CANCELLED);
        };
        if ticket.request.rrn.is_empty() {
            ticket.request.rrn = entry.flight.rrn(0);
        }
        match self.state.flight(entry.flight).map(|flight| flight.day) {
            Some(day) => self.tell_cancelled_of(now, ticket, day),
            None => self.recall(entry.outcome_at, ticket, &entry, Errand::Cancelled),
        }
    }

    /// 17, with the business day of the sale; zeros where what was read does not know it, and it is told with the present one.
    fn tell_cancelled_of(&mut self, now: Now, ticket: Box<Ticket>, day: [u8; 4]) {
        let today = self.bare_outcome(now, &ticket, Code::CANCELLED);
        let day = if day == [0; 4] { today.day } else { day };
        self.say(ticket, &Outcome { day, ..today });
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
        order.performed = flight.performed;
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
