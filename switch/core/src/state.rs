//! Everything the business knows: the fold of the log.
//!
//! Owns: names, accounts, stock, business days, the index of requests, open flights, the counters that give numbers.
//! Invariants: `State::apply` is the only thing that changes it, decides nothing, and is the only code that replay runs (`fold`); money is conserved; a voucher
//! is sold at most once; a fact that does not fit is an error that stops the process, never ignored.
//! Deliberately absent: credits, health, waiting tickets, trays: what a restart may forget (the gate's).

use crate::account::{Account, Accounts, OutOfRange};
use crate::adapter::LocalEffect;
use crate::fact::{Fact, NameKind};
use crate::flight::{Flight, Phase};
use crate::ids::{FlightNo, NetworkId, SupplierId};
use crate::index::{Entry, Hour, Index, Spill, Standing};
use crate::log::Lsn;
use crate::money::Minor;
use crate::outcome::{Outcome, Verdict};
use crate::stock::Stock;
use crate::text::Text;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// How long a settled flight is remembered, so that a late approval after its reversal starts a new one (S-8): the longest late window that a supplier may have.
pub const SETTLED_KEPT_MS: u64 = 600_000;

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
    /// The end of the log that was folded.
    pub last: Lsn,
    names: FxHashMap<NameKind, Vec<Text<30>>>,
    days: FxHashMap<NetworkId, Day>,
    flights: FxHashMap<FlightNo, Flight>,
    settled: VecDeque<(u64, FlightNo)>,
    stans: FxHashMap<SupplierId, u32>,
    last_flight: FlightNo,
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
        self.days.get(&network).copied()
    }

    /// An open flight, or one that was settled a short time ago.
    pub fn flight(&self, number: FlightNo) -> Option<&Flight> {
        self.flights.get(&number)
    }

    /// All of those, in no order.
    pub fn flights(&self) -> impl Iterator<Item = &Flight> {
        self.flights.values()
    }

    /// The balance of a stored-value account held here; none before its first load.
    pub fn wallet(&self, account: Text<30>) -> Option<Minor> {
        let account = Account::Wallet(account);
        self.accounts.holds(account).then(|| self.accounts.balance(account).posted)
    }

    /// The last STAN used at a supplier; 0 before the first.
    pub fn stan(&self, supplier: SupplierId) -> u32 {
        self.stans.get(&supplier).copied().unwrap_or(0)
    }

    /// The highest flight number given.
    pub fn last_flight(&self) -> FlightNo {
        self.last_flight
    }

    /// The oldest requests, to be written to a run, when the index takes more than its share of `bytes_max` in memory; none where nothing is to be done. Requests
    /// that wait for their outcome stay. Only where entries lie changes, so the state stays the fold of the log.
    pub fn spill(&mut self, bytes_max: usize) -> Option<Spill> {
        let open = || {
            let asked = self.flights.values().filter(|flight| flight.phase == Phase::Asked);
            asked.min_by_key(|flight| flight.number).map(|flight| flight.entry)
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
                self.days.insert(*network, Day { date: *date, until_ms: *until_ms });
                Ok(())
            }
            Fact::Stock(batch) => self.stock.add(batch).map_err(|error| Misfit::Stock(error.to_string())),
            Fact::Intent { flight, .. } => self.intent(at, flight),
            Fact::Moved { flight, attempt, .. } => {
                self.stans.insert(attempt.supplier, attempt.stan);
                self.open(*flight)?.attempt = *attempt;
                Ok(())
            }
            Fact::Outcome { outcome, .. } => self.outcome(at, outcome),
            Fact::Doubt { outcome, .. } => self.doubt(at, outcome),
            Fact::Sale { flight, outcome, effect, .. } => self.sale(at, flight, outcome, effect),
            Fact::Settled { at_ms, flight, .. } => self.settle(*at_ms, *flight),
            Fact::Parked { flight, .. } => self.park(*flight),
            Fact::Late { flight, approved, .. } => {
                let flight = self.open(*flight)?;
                if *approved && flight.phase == Phase::Settled {
                    flight.phase = Phase::Doubt;
                }
                Ok(())
            }
            Fact::Replayed { .. } => Ok(()),
        }
    }

    fn open(&mut self, number: FlightNo) -> Result<&mut Flight, Misfit> {
        self.flights.get_mut(&number).ok_or(Misfit::NotOpen(number))
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
            local: Hour::of_local(&flight.local),
            sent: flight.sent,
            standing,
            secret,
        })
    }

    fn forget(&mut self, now_ms: u64) {
        self.index.expire(now_ms.saturating_sub(self.window_ms));
        while let Some((since_ms, number)) = self.settled.front().copied() {
            if since_ms + SETTLED_KEPT_MS > now_ms {
                return;
            }
            self.settled.pop_front();
            if self.flights.get(&number).is_some_and(|flight| flight.phase == Phase::Settled) {
                self.flights.remove(&number);
            }
        }
    }

    fn intent(&mut self, at: Lsn, flight: &Flight) -> Result<(), Misfit> {
        self.accounts.reserve(Account::Network(flight.network), flight.amount)?;
        self.stans.insert(flight.attempt.supplier, flight.attempt.stan);
        let entry = self.enter(at, flight, Standing::InFlight, false);
        self.flights.insert(flight.number, Flight { entry, phase: Phase::Asked, reserved: true, ..*flight });
        Ok(())
    }

    fn outcome(&mut self, at: Lsn, outcome: &Outcome<'_>) -> Result<(), Misfit> {
        let flight = self.flights.remove(&outcome.flight).ok_or(Misfit::NotOpen(outcome.flight))?;
        let network = Account::Network(flight.network);
        self.accounts.release(network, flight.amount)?;
        if outcome.verdict == Verdict::Approved {
            self.accounts.transfer(network, Account::Supplier(flight.attempt.supplier), flight.amount)?;
        }
        self.answered(&flight, at, outcome);
        Ok(())
    }

    fn doubt(&mut self, at: Lsn, outcome: &Outcome<'_>) -> Result<(), Misfit> {
        let flight = self.open(outcome.flight)?;
        flight.phase = Phase::Doubt;
        let flight = *flight;
        self.answered(&flight, at, outcome);
        Ok(())
    }

    fn answered(&mut self, flight: &Flight, at: Lsn, outcome: &Outcome<'_>) {
        if let Some(entry) = self.index.entry_mut(flight.entry) {
            entry.outcome_at = at;
            entry.standing = Standing::Answered;
            entry.secret = !outcome.sealed.is_empty();
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
        self.accounts.transfer(Account::Network(flight.network), to, flight.amount)?;
        self.enter(at, flight, Standing::Answered, !outcome.sealed.is_empty());
        Ok(())
    }

    fn settle(&mut self, at_ms: u64, number: FlightNo) -> Result<(), Misfit> {
        self.end_doubt(number, Phase::Settled)?;
        self.settled.push_back((at_ms, number));
        Ok(())
    }

    /// The reservation becomes an amount in suspense until an operator settles it (S-9).
    fn park(&mut self, number: FlightNo) -> Result<(), Misfit> {
        let flight = self.end_doubt(number, Phase::Parked)?;
        if flight.reserved {
            let (network, suspense) =
                (Account::Network(flight.network), Account::Suspense(flight.attempt.supplier));
            self.accounts.transfer(network, suspense, flight.amount)?;
        }
        Ok(())
    }

    /// Gives back what a doubt still reserved. The flight as it was before.
    fn end_doubt(&mut self, number: FlightNo, phase: Phase) -> Result<Flight, Misfit> {
        let flight = self.open(number)?;
        let before = *flight;
        flight.phase = phase;
        flight.reserved = false;
        if before.reserved {
            self.accounts.release(Account::Network(before.network), before.amount)?;
        }
        Ok(before)
    }
}
