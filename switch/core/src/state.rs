//! Everything the business knows: the fold of the log.
//!
//! Owns: names, accounts, stock, business days, the index of requests, open flights, the counters that give numbers.
//! Invariants: `State::apply` is the only thing that changes it, decides nothing, and is the only code that replay runs (`fold`); money is conserved; a voucher
//! is sold at most once; a fact that does not fit is an error that stops the process, never ignored.
//! Deliberately absent: credits, health, waiting tickets, trays: what a restart may forget (the gate's).

mod aging;
mod checkpoint;
mod controls;
mod ended;
mod parked;
mod payment;
mod undo;

pub use aging::BELIEVED_MS;
pub use checkpoint::{ImageFault, PIECE_BYTES_MAX, Piece, Restoring, Snapshot};
pub use ended::Ended;

use crate::account::{Account, Accounts, OutOfRange};
use crate::adapter::LocalEffect;
use crate::fact::{Cause, Fact, NameKind};
use crate::flight::{Flight, Held, Phase};
use crate::ids::{FlightNo, NetworkId, SupplierId};
use crate::index::{Entry, EntryPlace, Index, Spill, Standing};
use crate::log::Lsn;
use crate::money::Minor;
use crate::numbered::Numbered;
use crate::operate::Controls;
use crate::outcome::{Outcome, Verdict};
use crate::slab::Slab;
use crate::stock::Stock;
use crate::text::Text;
use crate::withdrawn::{Withdrawn, WithdrawnVouchers};
use aging::{Aging, STEP_MS};
use parked::Parked;
use payment::{pay, pay_back, release, reserve};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// How long a settled flight is remembered, so that a late approval after its reversal starts a new one (S-8), and what contradicts an operator is noticed: the longest late window that a supplier may have, and
/// a minute, which is as far as a leap of the clock counts.
pub const SETTLED_KEPT_MS: u64 = 600_000 + STEP_MS;
/// Of how many that is remembered at most, the latest ones: for a late window of a minute, two thousand reversals a second.
pub const SETTLED_KEPT_MAX: usize = 1 << 17;

/// A business day of a network (S-16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// YYYYMMDD.
    pub date: u32,
    /// When it ends, Unix milliseconds.
    pub until_ms: u64,
}

impl Day {
    /// MMDD digits, as in DE15.
    pub fn digits(self) -> [u8; 4] {
        let number = self.date % 10_000;
        let digit = |unit: u32| b'0' + (number / unit % 10) as u8;
        [digit(1_000), digit(100), digit(10), digit(1)]
    }

    /// This day, but never one before `other`: a business day is not taken back.
    #[must_use]
    pub fn max_by_date(self, other: Self) -> Self {
        if self.date >= other.date { self } else { Self { date: other.date, until_ms: self.until_ms } }
    }
}

/// A fact does not fit the state: a damaged log, or a bug. The process stops.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// A fact names a flight that is not open.
    #[error("a fact names {0}, which is not open")]
    NotOpen(FlightNo),
    /// A name got an id out of order.
    #[error("a name got id {0}, out of order")]
    Name(u16),
    /// An amount left its range.
    #[error("{0}")]
    Amount(#[from] OutOfRange),
    /// A voucher was sold twice, or is not in stock.
    #[error("the stock does not allow a sale: {0}")]
    Stock(String),
}

/// The fold of the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Accounts.
    pub accounts: Accounts,
    /// Vouchers.
    pub stock: Stock,
    /// Requests of the window.
    pub index: Index,
    /// Vouchers that were taken back.
    pub withdrawn: WithdrawnVouchers,
    /// The end of the log that was folded.
    pub last: Lsn,
    names: FxHashMap<NameKind, Vec<Text<30>>>,
    days: Numbered<Day>,
    flights: Slab<FlightNo, Flight>,
    settled: VecDeque<Ended>,
    /// Follows from `flights`.
    parked: Parked,
    /// Flights that are over and remembered for a while; follows from `flights`.
    over: usize,
    stans: Numbered<u32>,
    controls: Controls,
    last_flight: FlightNo,
    aging: Aging,
    window_ms: u64,
}

impl State {
    /// A state without facts. Requests leave the index `window_ms` after they were admitted: when they can neither be repeated nor reversed any more (S-3).
    pub fn new(window_ms: u64) -> Self {
        Self { window_ms, ..Self::default() }
    }

    /// The id of a name.
    pub fn id(&self, kind: NameKind, name: &str) -> Option<u16> {
        let place = self.names.get(&kind)?.iter().position(|known| known.as_str() == name)?;
        u16::try_from(place).ok()
    }

    /// The name of an id.
    pub fn name(&self, kind: NameKind, id: u16) -> Option<Text<30>> {
        self.names.get(&kind)?.get(usize::from(id)).copied()
    }

    /// How many names of that kind there are: the next one's id.
    pub fn names(&self, kind: NameKind) -> u16 {
        self.names.get(&kind).map_or(0, |names| names.len() as u16)
    }

    /// A network's business day; none before its first one.
    pub fn day(&self, network: NetworkId) -> Option<Day> {
        self.days.get(network.0).copied()
    }

    /// An open flight, or one that was settled a short time ago.
    pub fn flight(&self, number: FlightNo) -> Option<&Flight> {
        self.flights.get(number)
    }

    /// All of those, in no order.
    pub fn flights(&self) -> impl Iterator<Item = &Flight> {
        self.flights.values()
    }

    /// Reversals that ended a short time ago, by their supplier or by an operator, oldest first; and their flights, which may be open again.
    pub fn settled(&self) -> impl Iterator<Item = (Ended, &Flight)> {
        self.settled.iter().filter_map(|ended| Some((*ended, self.flights.get(ended.flight)?)))
    }

    /// Parked reversals of a supplier: they wait for an operator.
    pub fn parked(&self, supplier: SupplierId) -> usize {
        self.parked.at(supplier)
    }

    /// Flights that are open, and wait for a supplier.
    pub fn open_flights(&self) -> usize {
        self.flights.len() - self.over - self.parked.all()
    }

    /// The balance of a stored-value account held here; none before its first load.
    pub fn wallet(&self, account: Text<30>) -> Option<Minor> {
        let account = Account::Wallet(account);
        self.accounts.holds(account).then(|| self.accounts.balance(account).posted)
    }

    /// The last STAN used at a supplier; 0 before the first.
    pub fn stan(&self, supplier: SupplierId) -> u32 {
        self.stans.get(supplier.0).copied().unwrap_or(0)
    }

    /// The highest flight number given.
    pub fn last_flight(&self) -> FlightNo {
        self.last_flight
    }

    /// The time by which requests age: what leaves the window is older by the window's length, Unix milliseconds. It does not follow a clock that leaps ahead.
    pub fn aged_ms(&self) -> u64 {
        self.aging.now_ms()
    }

    /// Whether the clock has leapt ahead of the requests before, so that for the time being nothing is forgotten.
    pub fn is_clock_ahead(&self) -> bool {
        self.aging.is_ahead()
    }

    /// The oldest requests, to be written to a run, when the index takes more than its share of `bytes_max` in memory; none where nothing is to be done. Requests
    /// that wait for their outcome stay. Only where entries lie changes, so the state stays the fold of the log.
    pub fn spill(&mut self, bytes_max: usize) -> Option<Spill> {
        let open = || {
            let asked = self.flights.values().filter(|flight| flight.phase == Phase::Asked);
            asked.min_by_key(|flight| flight.number).map(|flight| flight.entry.0)
        };
        let open = if self.index.is_crowded(bytes_max) { open() } else { return None };
        self.index.spill(bytes_max, open, self.last)
    }

    /// Folds one fact in. `at` is its position.
    ///
    /// # Errors
    /// It does not fit: the log is damaged, or the code that made the fact is wrong.
    pub fn apply(&mut self, at: Lsn, fact: &Fact<'_>) -> Result<(), Misfit> {
        self.last = at;
        match fact {
            Fact::Named { kind, id, name } => self.named(*kind, *id, *name),
            Fact::Deposit { account, amount, .. } => {
                Ok(self.accounts.transfer(Account::Contra, *account, *amount)?)
            }
            Fact::Day { network, date, until_ms } => {
                self.days.set(network.0, Day { date: *date, until_ms: *until_ms });
                Ok(())
            }
            Fact::Stock(batch) => self.stock.add(batch).map_err(|error| Misfit::Stock(error.to_string())),
            Fact::Intent { flight, .. } => self.intent(at, flight),
            Fact::Moved { flight, attempt, .. } => {
                self.stans.set(attempt.supplier.0, attempt.stan);
                self.open(*flight)?.attempt = *attempt;
                Ok(())
            }
            Fact::Outcome { outcome, .. } => self.outcome(at, outcome),
            Fact::Doubt { at_ms, cause, outcome } => self.doubt(at, *at_ms, *cause, outcome),
            Fact::Sale { flight, outcome, effect, .. } => self.sale(at, flight, outcome, effect),
            Fact::Settled { at_ms, flight, .. } => self.settle(*at_ms, *flight),
            Fact::Parked { flight, .. } => self.park(*flight),
            Fact::Late { at_ms, flight, approved, sealed, stan, .. } => {
                self.late(*at_ms, *flight, *approved, !sealed.is_empty(), *stan)
            }
            Fact::Contradicted { undo, stan, .. } => {
                if let Some(undo) = undo {
                    self.last_flight = self.last_flight.max(undo.number);
                    self.reverse_under(undo.attempt.supplier, *stan);
                    let doubt = Flight { phase: Phase::Doubt, performed: true, intent_at: at, ..*undo };
                    self.keep(&Flight { reversal_stan: *stan, ..doubt });
                }
                Ok(())
            }
            Fact::Replayed { .. } | Fact::Stray { .. } => Ok(()),
            Fact::Undo { at_ms, reversal, outcome, undone, .. } => {
                self.undo(at, *at_ms, reversal, outcome, undone)
            }
            Fact::Seen { at_ms, key, named } => {
                self.index.see(*at_ms, *key, *named);
                Ok(())
            }
            Fact::Blocked { at_ms, key, named } => {
                self.index.add(undo::blocked(at, *at_ms, FlightNo::default(), *key, *named));
                Ok(())
            }
            Fact::Recognised { at_ms, day, undone } => {
                self.undone(at, *at_ms, *day, undone)?;
                self.forget(*at_ms);
                Ok(())
            }
            Fact::Operated(action) => self.operated(action),
            Fact::CutOver { network, date, until_ms, stan, transmission, .. } => {
                self.cut_over(*network, Day { date: *date, until_ms: *until_ms }, *stan, *transmission);
                Ok(())
            }
        }
    }

    /// Adds a flight, or puts it in place of what it was.
    fn keep(&mut self, flight: &Flight) -> &mut Flight {
        self.over += usize::from(flight.phase.is_over());
        let before = self.flights.get(flight.number);
        self.over -= usize::from(before.is_some_and(|before| before.phase.is_over()));
        self.flights.insert(flight.number, *flight)
    }

    fn let_go(&mut self, number: FlightNo) {
        let flight = self.flights.get(number);
        self.over -= usize::from(flight.is_some_and(|flight| flight.phase.is_over()));
        self.flights.discard(number);
    }

    fn open(&mut self, number: FlightNo) -> Result<&mut Flight, Misfit> {
        self.flights.get_mut(number).ok_or(Misfit::NotOpen(number))
    }

    fn named(&mut self, kind: NameKind, id: u16, name: Text<30>) -> Result<(), Misfit> {
        let names = self.names.entry(kind).or_default();
        if names.len() != usize::from(id) {
            return Err(Misfit::Name(id));
        }
        names.push(name);
        Ok(())
    }

    /// Adds a request to the index, and lets go what left the window.
    fn enter(&mut self, at: Lsn, flight: &Flight, standing: Standing, secret: bool) -> u32 {
        self.forget(flight.admitted_ms);
        self.last_flight = self.last_flight.max(flight.number);
        self.index.add(Entry {
            key: flight.key,
            named: flight.named,
            contents: flight.contents,
            flight: flight.number,
            admitted_ms: flight.admitted_ms,
            intent_at: at,
            outcome_at: at,
            standing,
            secret,
        })
    }

    fn forget(&mut self, now_ms: u64) {
        let now_ms = self.aging.pass(now_ms);
        self.index.expire(now_ms.saturating_sub(self.window_ms));
        while let Some(ended) = self.settled.front().copied() {
            let passed_ms = self.aging.passed_ms() - ended.passed_ms;
            if passed_ms < SETTLED_KEPT_MS && self.settled.len() <= SETTLED_KEPT_MAX {
                return;
            }
            self.settled.pop_front();
            // One that began again, and ended since, is kept for that end.
            let over = |flight: &Flight| flight.phase.is_over() && ended.is_last_of(flight);
            if self.flights.get(ended.flight).is_some_and(over) {
                self.let_go(ended.flight);
            }
        }
    }

    fn intent(&mut self, at: Lsn, flight: &Flight) -> Result<(), Misfit> {
        reserve(&mut self.accounts, flight)?;
        self.stans.set(flight.attempt.supplier.0, flight.attempt.stan);
        let entry = EntryPlace(self.enter(at, flight, Standing::InFlight, false));
        let kept = self.keep(flight);
        (kept.entry, kept.intent_at, kept.phase, kept.held) = (entry, at, Phase::Asked, Held::Reserved);
        Ok(())
    }

    fn outcome(&mut self, at: Lsn, outcome: &Outcome<'_>) -> Result<(), Misfit> {
        let flight = self.flights.get(outcome.flight).ok_or(Misfit::NotOpen(outcome.flight))?;
        release(&mut self.accounts, flight)?;
        if outcome.verdict == Verdict::Approved {
            pay(&mut self.accounts, flight, Account::Supplier(flight.attempt.supplier))?;
        }
        let entry = flight.entry;
        self.let_go(outcome.flight);
        self.answered(entry, at, outcome);
        Ok(())
    }

    fn doubt(&mut self, at: Lsn, at_ms: u64, cause: Cause, outcome: &Outcome<'_>) -> Result<(), Misfit> {
        let flight = self.open(outcome.flight)?;
        (flight.phase, flight.performed) = (Phase::Doubt, cause == Cause::Cancelled);
        let flight = *flight;
        self.answered(flight.entry, at, outcome);
        self.withdraw(at_ms, &flight, !outcome.sealed.is_empty());
        Ok(())
    }

    /// A reversal that was accepted meanwhile stays the last word on its original (S-4).
    fn answered(&mut self, entry: EntryPlace, at: Lsn, outcome: &Outcome<'_>) {
        if let Some(entry) = self.index.entry_mut(entry.0) {
            entry.outcome_at = at;
            entry.secret = !outcome.sealed.is_empty();
            if entry.standing != Standing::Cancelled {
                entry.standing = standing(outcome.verdict);
            }
        }
    }

    /// A PIN that came with an answer that nobody gets: it is never handed over (S-10).
    fn withdraw(&mut self, at_ms: u64, flight: &Flight, pin: bool) {
        if pin {
            self.withdrawn.add(Withdrawn {
                at_ms,
                flight: flight.number,
                product: flight.product,
                supplier: flight.attempt.supplier,
            });
        }
    }

    fn late(
        &mut self,
        at_ms: u64,
        number: FlightNo,
        approved: Option<bool>,
        pin: bool,
        stan: u32,
    ) -> Result<(), Misfit> {
        let flight = self.open(number)?;
        flight.performed = approved.unwrap_or(flight.performed);
        let begins_again = approved == Some(true) && flight.phase == Phase::Settled;
        if begins_again {
            flight.phase = Phase::Doubt;
            if stan != 0 {
                flight.reversal_stan = stan;
            }
        }
        let flight = *flight;
        self.over -= usize::from(begins_again);
        self.reverse_under(flight.attempt.supplier, stan);
        self.withdraw(at_ms, &flight, pin);
        Ok(())
    }

    /// A STAN was given for a reversal; 0: none was.
    fn reverse_under(&mut self, supplier: SupplierId, stan: u32) {
        if stan != 0 {
            self.stans.set(supplier.0, stan);
        }
    }

    fn sale(
        &mut self,
        at: Lsn,
        flight: &Flight,
        outcome: &Outcome<'_>,
        effect: &LocalEffect,
    ) -> Result<(), Misfit> {
        let to = match effect {
            LocalEffect::Voucher { product, batch, index } => {
                let sold = self.stock.sold(*product, *batch, *index);
                sold.map_err(|error| Misfit::Stock(error.to_string()))?;
                Account::Supplier(flight.attempt.supplier)
            }
            LocalEffect::Load { account, .. } => Account::Wallet(*account),
        };
        pay(&mut self.accounts, flight, to)?;
        self.enter(at, flight, Standing::Approved, !outcome.sealed.is_empty());
        Ok(())
    }

    /// The supplier undid it: what was held goes to the network (S-15).
    fn settle(&mut self, at_ms: u64, number: FlightNo) -> Result<(), Misfit> {
        let before = self.end_doubt(number, Phase::Settled, Held::Nothing)?;
        match before.held {
            Held::Nothing => {}
            Held::Reserved => release(&mut self.accounts, &before)?,
            Held::Suspense => {
                pay_back(&mut self.accounts, &before, Account::Suspense(before.attempt.supplier))?
            }
        }
        self.ended(at_ms, number, before.undo_stan());
        Ok(())
    }

    /// A reversal has ended: its flight is remembered for a while.
    fn ended(&mut self, at_ms: u64, flight: FlightNo, stan: u32) {
        self.settled.push_back(Ended { at_ms, passed_ms: self.aging.passed_ms(), flight, stan });
    }

    /// What was held waits in suspense until an operator settles it (S-9).
    fn park(&mut self, number: FlightNo) -> Result<(), Misfit> {
        let held = match self.open(number)?.held {
            Held::Nothing => Held::Nothing,
            Held::Reserved | Held::Suspense => Held::Suspense,
        };
        let before = self.end_doubt(number, Phase::Parked, held)?;
        self.parked.add(before.attempt.supplier);
        if before.held == Held::Reserved {
            release(&mut self.accounts, &before)?;
            pay(&mut self.accounts, &before, Account::Suspense(before.attempt.supplier))?;
        }
        Ok(())
    }

    /// The flight as it was before.
    fn end_doubt(&mut self, number: FlightNo, phase: Phase, held: Held) -> Result<Flight, Misfit> {
        let flight = self.open(number)?;
        let before = *flight;
        (flight.phase, flight.held) = (phase, held);
        self.over += usize::from(phase.is_over());
        self.over -= usize::from(before.phase.is_over());
        Ok(before)
    }
}

fn standing(verdict: Verdict) -> Standing {
    match verdict {
        Verdict::Approved => Standing::Approved,
        Verdict::Declined | Verdict::Unknown => Standing::Answered,
        Verdict::Cancelled => Standing::Cancelled,
    }
}
