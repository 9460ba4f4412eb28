//! The gate's actor: the core's gate with its journal, on the yard.
//!
//! Owns: `switchyard_core::gate::Gate`, the journal, and the gate's ends of the rings.
//! Invariants: a turn drains, writes one batch, and releases what is durable (or written, where relaxed); after a failure of the journal, or a fact that does not fit,
//! nothing more is released and the process stops.
//! Deliberately absent: decisions (the core's).

mod cold;
mod day;
mod operate;

pub use cold::WINDOW_FULL_ADVICE;
pub use operate::{
    AdviceList, Look, MerchantPosition, NetworkPositions, OpenAdvices, OpenAt, Operate, Operated,
    PositionNow, Sight,
};

use crate::board::{Board, show};
use crate::checkpointer::Checkpointer;
use crate::clock::Clock;
use crate::history::phrases;
use crate::journal::{Journal, Room};
use crate::keeper::KeeperWish;
use crate::ring::{Ring, Turn};
use crate::runs::RunWish;
use crate::stock::{self, StockReader};
use actix::{Actor, AsyncContext, Context, Handler, Message, MessageResult};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Context as TaskContext;
use std::time::Duration;
use switchyard_core::account::{Account, Balance};
use switchyard_core::adapter::Order;
use switchyard_core::gate::{Explained, Gate, Released};
use switchyard_core::ids::{ProductId, SupplierId};
use switchyard_core::index::Run;
use switchyard_core::log::Lsn;
use switchyard_core::operate::{Instruction, Operator, Reason};
use switchyard_core::session::Report;
use switchyard_core::shelf::Voucher;
use switchyard_core::stock::{Place, Stock, StockBatch};
use switchyard_core::text::Text;
use switchyard_core::ticket::{Errand, Ticket};
use tokio::sync::oneshot;

/// Most tickets, and most reports, taken in one turn: what keeps a turn short, and what a flight is made of in the nearest caches until its next turn.
const TURN_ITEMS_MAX: usize = 128;

/// Tickets that are looked over before each is asked.
const FORESEEN: usize = 32;

/// Refusals of one turn: a tenth of it. The others have their turn before more is refused (design: backpressure).
const REFUSALS_A_TURN_MAX: u64 = TURN_ITEMS_MAX as u64 / 10;

/// The journal seals its last batch after being idle for so long, so that rot in it is not taken for a torn tail.
const SEAL_IDLE_MS: u64 = 1_000;

/// What to do about a fact that does not fit.
const MISFIT_ADVICE: &str = "That is a fault of the switch: keep a copy of the data folder, and report it; the next start reads the same facts, and says whether they fit.";

/// What is said last: what happened, that nothing given is taken back, and what to do.
fn last_words(what: impl std::fmt::Display, advice: &str) -> String {
    format!("{what}. Every answer that was given stands; nothing more is acknowledged. {advice}")
}

/// A wish of the gate: a product's tray is to be filled from a place on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrayWish {
    /// Which product.
    pub product: ProductId,
    /// From where.
    pub from: Place,
    /// How many.
    pub count: u32,
}

/// The keeper's answer to a wish.
#[derive(Debug)]
pub struct TrayFilled {
    /// Which product.
    pub product: ProductId,
    /// What was read, in order.
    pub vouchers: Vec<Voucher>,
    /// The last place that was read; none when nothing could be.
    pub reached: Option<Place>,
}

/// The rings that end at the gate, or begin there.
#[derive(Debug)]
pub struct GateRings {
    /// Requests of all conduits.
    pub requests: Arc<Ring<Box<Ticket>>>,
    /// Reversals and network management of all conduits: drained first (S-19).
    pub first: Arc<Ring<Box<Ticket>>>,
    /// Tickets for which the keeper has read a stored answer or a reversal's original, or looked into the runs.
    pub originals: Arc<Ring<Box<Ticket>>>,
    /// Reports of all suppliers.
    pub reports: Arc<Ring<(SupplierId, Report)>>,
    /// Filled trays.
    pub trays: Arc<Ring<TrayFilled>>,
    /// Answers, one ring a conduit.
    pub answers: Vec<Arc<Ring<Box<Ticket>>>>,
    /// Orders, by supplier's id; none for local suppliers.
    pub orders: Vec<Option<Arc<Ring<Box<Order>>>>>,
    /// Stored answers to be read.
    pub recalls: Arc<Ring<Box<Ticket>>>,
    /// Trays to be filled.
    pub wishes: Arc<Ring<KeeperWish>>,
    /// Runs to be written or removed.
    pub runs: Arc<Ring<RunWish>>,
    /// Runs that are written; none for one that could not be.
    pub written_runs: Arc<Ring<Option<Run>>>,
}

/// The actor.
pub struct GateActor {
    gate: Gate,
    journal: Option<Journal>,
    rings: GateRings,
    /// Tickets taken from the rings.
    coming: VecDeque<Box<Ticket>>,
    board: Arc<Board>,
    clock: Clock,
    released: Released,
    tray_vouchers: u32,
    /// Products whose wish is with the keeper.
    wished: Vec<ProductId>,
    /// Local decisions at the last look at the trays.
    sold_at: u64,
    /// What was counted of reversals when they were shown last.
    advised_at: u64,
    batches: u64,
    idle_since_us: u64,
    sealed: bool,
    /// What there was room for at the last look.
    room: Room,
    days_shown: day::DaysShown,
    /// Whether the duplicate index had none.
    window_full: bool,
    /// Who waits for a batch to be durable.
    arrivals: Vec<(Lsn, oneshot::Sender<()>)>,
    /// What new memory comes in.
    pages: cold::Pages,
    /// Before that no run is wished for: the disk refused one.
    spill_after_us: u64,
    /// None where there are none, and after the end.
    checkpointer: Option<Checkpointer>,
    fail: fn(String),
}

impl GateActor {
    /// The actor of `gate`. `fail` is called once, with the reason, when the process must stop.
    pub fn new(
        gate: Gate,
        journal: Journal,
        rings: GateRings,
        board: Arc<Board>,
        clock: Clock,
        tray_vouchers: u32,
        fail: fn(String),
    ) -> Self {
        // Who asks whether sales are taken compares with it.
        show(&board.gate.window_bytes_max, gate.window_bytes_max() as u64);
        Self {
            gate,
            journal: Some(journal),
            rings,
            coming: VecDeque::with_capacity(FORESEEN),
            board,
            clock,
            released: Released::default(),
            tray_vouchers,
            wished: Vec::new(),
            sold_at: 0,
            advised_at: u64::MAX,
            batches: 0,
            idle_since_us: 0,
            sealed: false,
            room: Room::Plenty,
            days_shown: day::DaysShown::default(),
            window_full: false,
            arrivals: Vec::new(),
            pages: cold::Pages::default(),
            spill_after_us: 0,
            checkpointer: None,
            fail,
        }
    }

    /// With checkpoints.
    #[must_use]
    pub fn with_checkpoints(self, checkpointer: Checkpointer) -> Self {
        Self { checkpointer: Some(checkpointer), ..self }
    }

    fn turn(&mut self, _: &mut Context<Self>, cx: &mut TaskContext<'_>) {
        if self.journal.is_none() {
            return;
        }
        self.rings.requests.register(cx.waker());
        self.rings.first.register(cx.waker());
        self.rings.originals.register(cx.waker());
        self.rings.reports.register(cx.waker());
        self.rings.trays.register(cx.waker());
        self.rings.written_runs.register(cx.waker());
        self.journal.iter().for_each(|journal| journal.register(cx.waker()));
        self.watch_room();
        let more = self.take_in();
        if let Err(reason) = self.write() {
            self.journal = None;
            return (self.fail)(reason);
        }
        self.checkpoint();
        self.release();
        self.alert();
        self.wish();
        self.show();
        if more {
            cx.waker().wake_by_ref();
        }
    }

    /// Drains the rings: reports, reversals, sales. Whether there may be more.
    fn take_in(&mut self) -> bool {
        let now = self.clock.now();
        self.spill(now.mono_us);
        while let Some(filled) = self.rings.trays.pop() {
            self.fill(filled);
        }
        for _ in 0..TURN_ITEMS_MAX {
            let Some((supplier, report)) = self.rings.reports.pop() else { break };
            self.gate.heard(now, supplier, report);
            if self.gate.log().is_full() {
                return true;
            }
        }
        while let Some(ticket) = self.rings.originals.pop() {
            match ticket.errand {
                Errand::Seek => self.gate.sought(now, ticket),
                _ => self.gate.recalled(now, ticket),
            }
            if self.gate.log().is_full() {
                return true;
            }
        }
        let refused_max = self.gate.counters.refused + REFUSALS_A_TURN_MAX;
        for _ in 0..TURN_ITEMS_MAX {
            let Some(ticket) = self.next_ticket() else { break };
            self.gate.ask(now, ticket);
            if self.gate.log().is_full() || self.gate.counters.refused >= refused_max {
                return true;
            }
        }
        let rings = &self.rings;
        !rings.reports.is_empty()
            || !self.coming.is_empty()
            || !rings.first.is_empty()
            || !rings.requests.is_empty()
    }

    /// The next ticket, reversals first; some are taken from the rings at a time, and looked over.
    fn next_ticket(&mut self) -> Option<Box<Ticket>> {
        if self.coming.is_empty() {
            let rings = &self.rings;
            let next = || rings.first.pop().or_else(|| rings.requests.pop());
            self.coming.extend(std::iter::from_fn(next).take(FORESEEN));
            self.gate.foresee(self.coming.iter().map(Box::as_ref));
        }
        self.coming.pop_front()
    }

    /// Writes the open batch.
    fn write(&mut self) -> Result<(), String> {
        let Some(journal) = self.journal.as_mut() else { return Ok(()) };
        if let Some(misfit) = self.gate.misfit() {
            return Err(last_words(format!("a fact does not fit the state: {misfit}"), MISFIT_ADVICE));
        }
        if let Some(failure) = journal.failure() {
            return Err(last_words(&failure, failure.advice()));
        }
        let durable = journal.durable();
        if let Some(batch) = self.gate.log().take(durable) {
            journal.write(batch).map_err(|error| last_words(&error, error.advice()))?;
            self.batches += 1;
            self.sealed = false;
            self.idle_since_us = self.clock.now().mono_us;
        }
        Ok(())
    }

    /// Between two batches: a snapshot for the checkpoint that is due.
    fn checkpoint(&mut self) {
        let (Some(journal), Some(checkpointer)) = (&self.journal, &mut self.checkpointer) else { return };
        let facts = journal.facts();
        if !checkpointer.is_due(facts) {
            return;
        }
        let state = self.gate.state();
        if let Some(durable) = checkpointer.give(facts, state.snapshot()) {
            self.arrivals.push((state.last, durable));
        }
    }

    /// Hands out what may leave, and wakes each receiver once.
    fn release(&mut self) {
        let Some(journal) = self.journal.as_ref() else { return };
        let durable = journal.durable();
        for (_, told) in self.arrivals.extract_if(.., |(at, _)| *at < durable) {
            // Who asked may have gone; the batch is stock all the same.
            let _ = told.send(());
        }
        self.gate.release(journal.written(), durable, &mut self.released);
        journal.set_awaited(self.gate.awaits_sync() || !self.arrivals.is_empty());
        self.show_days(durable);
        self.send_seeks();
        if self.released.tickets.is_empty() && self.released.orders.is_empty() {
            return;
        }
        let now_us = self.clock.now().mono_us;
        let mut orders = std::mem::take(&mut self.released.orders);
        for order in orders.drain(..) {
            self.send_order(order);
        }
        self.released.orders = orders;
        let mut tickets = std::mem::take(&mut self.released.tickets);
        for ticket in tickets.drain(..) {
            self.send_ticket(now_us, ticket);
        }
        self.released.tickets = tickets;
        self.rings.orders.iter().flatten().filter(|ring| !ring.is_empty()).for_each(|ring| ring.wake());
        self.rings.answers.iter().filter(|ring| !ring.is_empty()).for_each(|ring| ring.wake());
        if !self.rings.recalls.is_empty() {
            self.rings.recalls.wake();
        }
    }

    fn send_order(&mut self, order: Box<Order>) {
        let ring = self.rings.orders.get(usize::from(order.supplier.0)).and_then(Option::as_ref);
        let Some(ring) = ring else { return };
        if let Err(order) = ring.push(order) {
            // The ring has room for every credit there is, so this is a bug; the journal knows the flight, and the next start resolves it.
            tracing::error!(flight = %order.flight, "a supplier's ring is full");
        }
    }

    fn send_ticket(&mut self, now_us: u64, ticket: Box<Ticket>) {
        let ring = match ticket.errand {
            // It comes back.
            Errand::Recall | Errand::Status | Errand::Original | Errand::Cancelled => {
                Some(&self.rings.recalls)
            }
            _ => {
                self.board.latency.count(now_us.saturating_sub(ticket.received_us));
                self.rings.answers.get(usize::from(ticket.place.conduit))
            }
        };
        if ring.is_none_or(|ring| ring.push(ticket).is_err()) {
            // The ring has room for every ticket there is, so this is a bug; the outcome is durable, and a repeat gets it.
            tracing::error!("an answer ring is full");
        }
    }

    /// Tells of what somebody should look at.
    fn alert(&mut self) {
        for alert in self.gate.alerts() {
            tracing::warn!(target: "switchyard::alert", "{alert}");
        }
    }

    /// Asks the keeper for vouchers of products whose tray is half empty.
    fn wish(&mut self) {
        let local = self.gate.counters.local;
        if local != self.sold_at {
            self.sold_at = local;
            self.wish_all();
        }
    }

    fn wish_all(&mut self) {
        for product in self.gate.state().stock.products() {
            let tray = self.gate.shelf().len(product) as u32;
            if tray > self.tray_vouchers / 2 || self.wished.contains(&product) {
                continue;
            }
            let Some(from) = self.gate.tray_wanted(product) else { continue };
            let wish = TrayWish { product, from, count: self.tray_vouchers - tray };
            if self.rings.wishes.push(KeeperWish::Tray(wish)).is_ok() {
                self.wished.push(product);
                self.rings.wishes.wake();
            }
        }
    }

    fn fill(&mut self, filled: TrayFilled) {
        self.wished.retain(|product| *product != filled.product);
        let tray_vouchers = self.tray_vouchers as usize;
        for voucher in filled.vouchers {
            self.gate.shelf().put(filled.product, voucher, tray_vouchers);
        }
        if let Some(reached) = filled.reached {
            self.gate.shelf().reach(filled.product, reached);
            self.wish_all();
        }
    }

    /// Without room for sales they get 96; outcomes and reversals go on in what is left.
    fn watch_room(&mut self) {
        let Some(journal) = &self.journal else { return };
        let room = journal.room();
        show(&self.board.gate.segments_prepared, journal.prepared() as u64);
        if (room == Room::Plenty) != (self.room == Room::Plenty) {
            match room {
                Room::Plenty => tracing::info!("the journal has room again: sales are taken"),
                _ => tracing::error!(
                    "the journal has no room for sales: they get 96 until there is room on the disk; outcomes and reversals go on"
                ),
            }
        }
        self.room = room;
        self.gate.set_room(room == Room::Plenty);
    }

    fn show(&mut self) {
        self.show_advices();
        let (row, counters) = (&self.board.gate, self.gate.counters);
        show(&row.tickets, counters.tickets);
        show(&row.answers, counters.answers);
        show(&row.refused, counters.refused);
        show(&row.repeats, counters.repeats);
        show(&row.joined, counters.joined);
        show(&row.sought, counters.sought);
        show(&row.approved, counters.approved);
        show(&row.declined, counters.declined);
        show(&row.unknown, counters.unknown);
        show(&row.settled, counters.settled);
        show(&row.parked, counters.parked);
        show(&row.late, counters.late);
        show(&row.moved, counters.moved);
        show(&row.contradicted, counters.contradicted);
        show(&row.denied, counters.denied);
        show(&row.stale, counters.stale);
        show(&row.reversals, counters.reversals);
        show(&row.blocked, counters.blocked);
        show(&row.recognised, counters.recognised);
        show(&row.partial, counters.partial);
        show(&row.withdrawn, counters.withdrawn);
        show(&row.inquiries, counters.inquiries);
        show(&row.in_flight, self.gate.waiting() as u64);
        let index = &self.gate.state().index;
        show(&row.window_requests, index.len() as u64);
        show(&row.window_bytes, index.bytes() as u64);
        show(&row.runs, index.runs().len() as u64);
        show(&row.batches, self.batches);
        if let Some(journal) = &self.journal {
            show(&row.written_bytes, journal.written().0);
            show(&row.durable_bytes, journal.durable().0);
        }
    }

    /// The suppliers, when something about their reversals has changed.
    fn show_advices(&mut self) {
        let counters = self.gate.counters;
        let counted =
            counters.unknown + counters.settled + counters.parked + counters.late + counters.reversals;
        if std::mem::replace(&mut self.advised_at, counted) != counted {
            self.show_supplies();
        }
    }

    /// What the gate holds of each supplier. Not in every turn: there may be many.
    fn show_supplies(&self) {
        let now = self.clock.now();
        for (row, supplier) in self.board.supplies.iter().zip(&self.gate.catalogue().suppliers) {
            let Some(supply) = self.gate.supply(supplier.id) else { continue };
            show(&row.in_flight, u64::from(supply.in_flight()));
            show(&row.window, u64::from(supply.window()));
            show(&row.advices, u64::from(supply.advices()));
            show(&row.backlog, supply.backlog() as u64);
            show(&row.late_open, u64::from(supply.late()));
            show(&row.late_max, u64::from(supply.late_max()));
            show(&row.late_full, supply.late_full());
            show(&row.parked, self.gate.state().parked(supplier.id) as u64);
            show(&row.parked_max, self.gate.parked_max() as u64);
            show(&row.parked_refused, supply.parked_refused());
            show(&row.breaker, supply.breaker(now) as u64);
            show(&row.breaker_opened, supply.breaker_opened());
        }
    }

    /// Once a second: shows the suppliers, looks at the memory, seals an idle journal, adds up the accounts, asks again for trays that could not be filled.
    fn pulse(&mut self, _: &mut Context<Self>) {
        self.watch_room();
        self.wish_all();
        self.age();
        self.watch_window();
        self.watch_memory();
        self.gate.watch_late(self.clock.now());
        self.alert();
        self.show_supplies();
        show(&self.board.gate.window_held_bytes, self.gate.state().index.held_bytes() as u64);
        let sum = self.gate.state().accounts.sum();
        show(&self.board.gate.accounts_sum, sum as u64);
        if sum != 0 {
            tracing::error!(sum, "money-conserved: the sum over all accounts is not zero");
        }
        let now_us = self.clock.now().mono_us;
        let Some(journal) = self.journal.as_mut() else { return };
        let idle = now_us.saturating_sub(self.idle_since_us) >= SEAL_IDLE_MS * 1_000;
        if self.sealed || !idle || journal.durable() != journal.written() || self.gate.log().facts() > 0 {
            return;
        }
        let durable = journal.durable();
        let batch = self.gate.log().seal_batch(durable);
        match journal.write(batch) {
            Ok(()) => self.sealed = true,
            Err(error) => {
                self.journal = None;
                (self.fail)(last_words(&error, error.advice()));
            }
        }
    }
}

impl Actor for GateActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(Turn::new(Self::turn));
        ctx.run_interval(Duration::from_millis(SEAL_IDLE_MS), Self::pulse);
        self.show_all_days();
        self.wish_all();
    }
}

/// Fills every tray, before anything else happens.
///
/// # Errors
/// A batch file cannot be read.
pub fn fill_trays(
    gate: &mut Gate,
    reader: &mut StockReader,
    tray_vouchers: u32,
) -> Result<(), stock::StockError> {
    for product in gate.state().stock.products() {
        let (state, shelf) = gate.stock_and_shelf();
        for place in stock::fill_tray(reader, shelf, &state.stock, product, tray_vouchers as usize)? {
            tracing::error!(
                batch = place.batch,
                index = place.index,
                "a voucher is damaged and is left out; restore the batch file from a copy"
            );
        }
    }
    Ok(())
}

/// Asks why a route was chosen.
#[derive(Debug)]
pub struct Explain {
    /// DE41.
    pub terminal: Text<8>,
    /// DE11.
    pub stan: u32,
}

impl Message for Explain {
    type Result = Option<Explained>;
}

impl Handler<Explain> for GateActor {
    type Result = Option<Explained>;

    fn handle(&mut self, ask: Explain, _: &mut Self::Context) -> Self::Result {
        self.gate.explanations().find(ask.terminal, ask.stan)
    }
}

/// Asks the position of every account, minor units: whose, posted, reserved. Stored-value accounts are one line: there may be very many, and nobody else can be served meanwhile.
#[derive(Debug)]
pub struct Positions;

impl Message for Positions {
    type Result = Vec<(String, i64, i64)>;
}

impl Handler<Positions> for GateActor {
    type Result = Vec<(String, i64, i64)>;

    fn handle(&mut self, _: Positions, _: &mut Self::Context) -> Self::Result {
        let state = self.gate.state();
        let name = |kind, id| state.name(kind, id).map_or_else(|| id.to_string(), |name| name.to_string());
        let position = |(account, balance): (Account, Balance)| {
            (phrases::account(account, &name), balance.posted.0, balance.reserved.0)
        };
        let mut positions: Vec<_> = state.accounts.positions().map(position).collect();
        positions.sort();
        let (wallets, stored) = state.accounts.wallets();
        if wallets > 0 {
            positions.push(("wallets".into(), i64::try_from(stored).unwrap_or(i64::MAX), 0));
        }
        positions
    }
}

/// Writes and syncs what is open, seals the journal, and ends it. The answer says whether that worked.
#[derive(Debug)]
pub struct Close;

impl Message for Close {
    type Result = Result<(), String>;
}

impl Handler<Close> for GateActor {
    type Result = Result<(), String>;

    fn handle(&mut self, _: Close, _: &mut Self::Context) -> Self::Result {
        // However this ends, the thread that writes checkpoints ends after it.
        let (journal, checkpointer) = (self.journal.take(), self.checkpointer.take());
        let Some(journal) = journal else { return Ok(()) };
        let facts = journal.facts();
        journal.close(self.gate.log(), Duration::from_secs(5)).map_err(|error| error.to_string())?;
        // The last checkpoint, of everything: the next start has nothing to replay.
        let durable = checkpointer.and_then(|mut last| last.give(facts, self.gate.state().snapshot()));
        let _ = durable.map(|durable| durable.send(()));
        Ok(())
    }
}

/// Asks for the stock as it stands.
#[derive(Debug)]
pub struct StockNow;

impl Message for StockNow {
    type Result = Stock;
}

impl Handler<StockNow> for GateActor {
    type Result = MessageResult<StockNow>;

    fn handle(&mut self, _: StockNow, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.gate.state().stock.clone())
    }
}

/// A batch of vouchers came into the stock folder; its key is on the ring.
#[derive(Debug)]
pub struct StockArrived {
    /// The batch.
    pub batch: StockBatch,
    /// Who loaded it.
    pub by: Operator,
    /// Told when its fact is durable; dropped when the journal fails.
    pub durable: oneshot::Sender<()>,
}

impl Message for StockArrived {
    type Result = ();
}

impl Handler<StockArrived> for GateActor {
    type Result = ();

    fn handle(&mut self, arrived: StockArrived, _: &mut Self::Context) {
        let StockBatch { product, name, count, .. } = arrived.batch;
        let loaded = self.gate.load_stock(arrived.batch);
        let load = Instruction::Load { product, batch: name, count };
        let done = self.gate.operate(self.clock.now(), arrived.by, Reason::default(), &load);
        let at = done.map_or(loaded, |(_, at)| at);
        self.arrivals.push((at, arrived.durable));
        self.wish_all();
        self.rings.requests.wake();
    }
}
