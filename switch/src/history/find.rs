//! Transactions found in the journal, with every step and its time.
//!
//! Owns: what a transaction can be found by, and its telling. Two walks: back in time to what fits, then on from the oldest of these for all that became of them.
//! Invariants: what is shown is masked; card numbers are opened only where one is looked for, after everything else fits.
//! Deliberately absent: what the state still knows of it (the gate's).

use super::card::CardNumber;
use super::{Reach, SEARCH_MAX, Source, at_ms, flight, words};
use crate::journal::JournalError;
use rustc_hash::FxHashMap;
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;
use switchyard_core::details::{self, Detail};
use switchyard_core::fact::Fact;
use switchyard_core::flight::Flight;
use switchyard_core::ids::FlightNo;
use switchyard_core::iso8583::{Dialect, Role};
use switchyard_core::log::Lsn;
use switchyard_core::outcome::Outcome;

/// Most transactions of an answer.
pub const TRANSACTIONS_MAX: usize = 100;
/// Most steps that are told of one transaction.
const STEPS_MAX: usize = 200;

/// What is asked for: everything that is given must fit.
#[derive(Clone, Debug, Default)]
pub struct FindAsk {
    /// DE41.
    pub terminal: Option<String>,
    /// DE11.
    pub stan: Option<u32>,
    /// DE37, the network's or the switch's at any supplier.
    pub rrn: Option<String>,
    /// The account.
    pub account: Option<String>,
    /// The serial number of the voucher that was sold.
    pub serial: Option<String>,
    /// The card number.
    pub card: Option<CardNumber>,
    /// Nothing older, Unix milliseconds.
    pub since_ms: u64,
    /// The newest so many.
    pub limit: usize,
}

/// A transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Transaction {
    /// Its flight.
    pub flight: String,
    /// The network's code.
    pub network: String,
    /// DE42.
    pub merchant: String,
    /// DE41.
    pub terminal: String,
    /// DE11.
    pub stan: Option<u32>,
    /// DE37 of its answer.
    pub rrn: String,
    /// The product's code.
    pub product: String,
    /// The amount, in units of its currency.
    pub amount: String,
    /// The account, masked.
    pub account: String,
    /// The card, masked, where it was looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
    /// The business day, MMDD.
    pub day: String,
    /// What happened, in order.
    pub steps: Vec<Step>,
}

/// A step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// When, UTC.
    pub at: String,
    /// What.
    pub what: String,
}

/// A search: what is asked for, and the dialects that requests may be in.
pub struct Search<'a> {
    /// Where.
    pub source: Source<'a>,
    /// What.
    pub ask: &'a FindAsk,
    /// The configured dialects.
    pub dialects: &'a [Arc<Dialect>],
}

/// What fits: where its first fact lies.
type Found = Vec<(FlightNo, Lsn)>;

impl Search<'_> {
    /// The newest transactions that fit, newest first, and how far back was looked.
    ///
    /// # Errors
    /// The journal cannot be read, or is damaged.
    pub fn run(&self) -> Result<(Vec<Transaction>, Reach), JournalError> {
        let mut found = Found::new();
        let mut sold = Vec::new();
        let mut reach = Reach::default();
        self.source.back(self.ask.since_ms, &mut reach, |_, number, reach| {
            self.look(number, reach, &mut found, &mut sold)?;
            Ok(found.len() < self.ask.limit)
        })?;
        if found.len() > self.ask.limit {
            reach.complete = false;
            found.truncate(self.ask.limit);
        }
        let transactions = self.tell(&found, &mut reach)?;
        Ok((transactions, reach))
    }

    /// Looks through a segment. `sold` are flights of an approval with the serial asked for whose intent was not met yet.
    fn look(
        &self,
        number: u64,
        reach: &mut Reach,
        found: &mut Found,
        sold: &mut Vec<FlightNo>,
    ) -> Result<(), JournalError> {
        let by_serial = self.ask.serial.is_some();
        let mut fitting = Found::new();
        self.source.facts(number, |at, fact| {
            let when = at_ms(fact);
            when.inspect(|at_ms| reach.saw(*at_ms));
            let recent = when.is_some_and(|at_ms| at_ms >= self.ask.since_ms);
            match fact {
                Fact::Intent { flight, dialect, frame } if recent && self.fits(flight, *dialect, frame) => {
                    fitting.push((flight.number, at));
                }
                Fact::Sale { flight, dialect, frame, outcome, .. }
                    if recent && self.serial_fits(outcome) && self.fits(flight, *dialect, frame) =>
                {
                    fitting.push((flight.number, at));
                    sold.extend(by_serial.then_some(flight.number));
                }
                Fact::Outcome { outcome, .. } if by_serial && self.serial_fits(outcome) => {
                    sold.push(outcome.flight);
                }
                _ => {}
            }
            true
        })?;
        let wanted = |(flight, _): &(FlightNo, Lsn)| !by_serial || sold.contains(flight);
        found.extend(fitting.into_iter().rev().filter(wanted));
        Ok(())
    }

    fn fits(&self, flight: &Flight, dialect: u16, frame: &[u8]) -> bool {
        let ask = self.ask;
        let is = |asked: &Option<String>, value: &str| asked.as_ref().is_none_or(|asked| asked == value);
        let rrn = ask.rrn.as_ref().is_none_or(|asked| {
            asked == flight.rrn.as_str() || FlightNo::of_rrn(asked) == Some(flight.number)
        });
        rrn && is(&ask.terminal, flight.terminal.as_str())
            && is(&ask.account, flight.account.as_str())
            && ask.stan.is_none_or(|asked| self.stan(dialect, frame) == Some(asked))
            && ask.card.as_ref().is_none_or(|asked| asked.is_of(flight, self.source.keyring))
    }

    fn serial_fits(&self, outcome: &Outcome<'_>) -> bool {
        let serial = details::find(outcome.details, Detail::Serial);
        self.ask.serial.as_ref().is_none_or(|asked| serial == Some(asked.as_bytes()))
    }

    /// The STAN of a stored request; none where its dialect is no longer configured.
    fn stan(&self, dialect: u16, frame: &[u8]) -> Option<u32> {
        let name = self.source.names.dialect(dialect);
        let dialect = self.dialects.iter().find(|dialect| dialect.name() == name)?;
        let stan = dialect.view(frame).ok()?.value(Role::Stan)?.number()?;
        u32::try_from(stan).ok()
    }

    /// What became of what was found: every fact from the oldest on.
    fn tell(&self, found: &Found, reach: &mut Reach) -> Result<Vec<Transaction>, JournalError> {
        let Some(oldest) = found.iter().map(|(_, at)| *at).min() else { return Ok(Vec::new()) };
        let places: FxHashMap<FlightNo, usize> =
            found.iter().enumerate().map(|(place, (flight, _))| (*flight, place)).collect();
        let mut told: Vec<Option<Transaction>> = vec![None; found.len()];
        let began = Instant::now();
        let mut segments = self.source.reader.segments_back(self.source.upto)?;
        segments.reverse();
        let first = self.source.reader.segment_of(oldest);
        for number in segments.into_iter().filter(|number| *number >= first) {
            if began.elapsed() > SEARCH_MAX {
                reach.complete = false;
                break;
            }
            self.source.facts(number, |_, fact| {
                let Some(place) = flight(fact).and_then(|flight| places.get(&flight)) else { return true };
                if let Fact::Intent { flight, dialect, frame } | Fact::Sale { flight, dialect, frame, .. } =
                    fact
                {
                    told[*place] = Some(self.begin(flight, *dialect, frame));
                }
                if let Some(transaction) = &mut told[*place]
                    && transaction.steps.len() < STEPS_MAX
                {
                    let at = at_ms(fact).map_or_else(String::new, super::time);
                    transaction.steps.push(Step { at, what: words::step(fact, self.source.names) });
                }
                true
            })?;
        }
        Ok(told.into_iter().flatten().collect())
    }

    fn begin(&self, flight: &Flight, dialect: u16, frame: &[u8]) -> Transaction {
        let names = self.source.names;
        let amount = match super::currency(flight.currency) {
            Some((code, exponent)) => format!("{} {code}", flight.amount.display(exponent)),
            None => format!("{} minor units", flight.amount.0),
        };
        Transaction {
            flight: flight.number.to_string(),
            network: flight.acquirer.to_string(),
            merchant: flight.merchant.to_string(),
            terminal: flight.terminal.to_string(),
            stan: self.stan(dialect, frame),
            rrn: flight.rrn.to_string(),
            product: names.product(flight.product).to_owned(),
            amount,
            account: super::masked(flight.account.as_str()),
            card: self.ask.card.as_ref().map(CardNumber::masked),
            day: String::from_utf8_lossy(&flight.day).into_owned(),
            steps: Vec::new(),
        }
    }
}
