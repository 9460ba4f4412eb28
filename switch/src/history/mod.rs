//! What the journal tells people: the audit trail, and transactions with every step.
//!
//! Owns: reading facts back in time, newest segment first, and saying them in words.
//! Invariants: an answer says how far back was looked; work is bounded by a time, output by a number; accounts and cards are masked, PINs are never read, and card numbers only where somebody looks for one.
//! Deliberately absent: an index for questions (a scan of the log answers them, beside the switch and not in it), and the current state (the gate's).

pub mod audit;
pub mod card;
pub mod find;
pub mod phrases;
pub mod print;
mod words;

pub(crate) use phrases::masked;
pub(crate) use words::act;
pub use words::date;

use crate::journal::{JournalError, JournalReader};
use jiff::Timestamp;
use std::time::{Duration, Instant};
use switchyard_core::catalogue::Catalogue;
use switchyard_core::fact::{Fact, NameKind};
use switchyard_core::ids::{FlightNo, NetworkId, ProductId, SupplierId};
use switchyard_core::log::Lsn;
use switchyard_core::money::Minor;
use switchyard_core::seal::Keyring;
use switchyard_core::state::State;
use switchyard_core::text::Text;

/// The longest that one question may read.
pub const SEARCH_MAX: Duration = Duration::from_secs(20);

/// The names of the journal's ids.
#[derive(Clone, Debug, Default)]
pub struct Names {
    networks: Vec<Text<30>>,
    products: Vec<Text<30>>,
    suppliers: Vec<Text<30>>,
    dialects: Vec<Text<30>>,
    /// By network: the currency's code and its decimal places; none for networks that are no longer configured.
    currencies: Vec<Option<(String, u8)>>,
}

impl Names {
    /// Those of a state, with the currencies of the networks in `catalogue`, whose ids need not be the journal's.
    pub fn of(state: &State, catalogue: &Catalogue) -> Self {
        let all = |kind| -> Vec<_> { (0..state.names(kind)).filter_map(|id| state.name(kind, id)).collect() };
        let networks = all(NameKind::Network);
        let currency = |code: &Text<30>| {
            let (_, network) = catalogue.network(Text::new(code.as_bytes())?)?;
            currency(network.currency)
        };
        Self {
            currencies: networks.iter().map(currency).collect(),
            networks,
            products: all(NameKind::Product),
            suppliers: all(NameKind::Supplier),
            dialects: all(NameKind::Dialect),
        }
    }

    /// An amount of a network's money, in units of its currency.
    pub fn money(&self, network: NetworkId, amount: Minor) -> String {
        match self.currencies.get(usize::from(network.0)).and_then(Option::as_ref) {
            Some((code, exponent)) => format!("{} {code}", amount.display(*exponent)),
            None => format!("{} minor units", amount.0),
        }
    }

    fn network(&self, id: NetworkId) -> &str {
        name(&self.networks, id.0)
    }

    pub(crate) fn product(&self, id: ProductId) -> &str {
        name(&self.products, id.0)
    }

    pub(crate) fn supplier(&self, id: SupplierId) -> &str {
        name(&self.suppliers, id.0)
    }

    /// The name of an id of that kind.
    pub fn of_kind(&self, kind: NameKind, id: u16) -> String {
        let names = match kind {
            NameKind::Network => &self.networks,
            NameKind::Product => &self.products,
            NameKind::Supplier => &self.suppliers,
            NameKind::Dialect => &self.dialects,
        };
        name(names, id).to_owned()
    }

    fn dialect(&self, id: u16) -> &str {
        name(&self.dialects, id)
    }
}

/// The code of a currency, such as EUR, and its decimal places, by its number (ISO 4217).
pub(crate) fn currency(numeric: u16) -> Option<(String, u8)> {
    let currency = iso_currency::Currency::from_numeric(numeric)?;
    Some((currency.code().to_owned(), crate::config::exponent(numeric)?))
}

fn name(names: &[Text<30>], id: u16) -> &str {
    names.get(usize::from(id)).map_or("?", |name| name.as_str())
}

/// A journal to be asked: its reader, and up to where it may be read.
pub struct Source<'a> {
    /// Reads it.
    pub reader: &'a JournalReader,
    /// Everything below is durable.
    pub upto: Lsn,
    /// The names of its ids.
    pub names: &'a Names,
    /// Its data keys: for card numbers that are looked for.
    pub keyring: &'a Keyring,
}

/// How far back a question was looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The oldest time that was looked at, Unix milliseconds; none where there was nothing.
    pub back_to_ms: Option<u64>,
    /// Whether everything that was asked for was looked at; otherwise time or the number of results ended it before.
    pub complete: bool,
}

impl Reach {
    fn saw(&mut self, at_ms: u64) {
        self.back_to_ms = Some(self.back_to_ms.map_or(at_ms, |oldest| oldest.min(at_ms)));
    }
}

impl Source<'_> {
    /// Hands over the segments below `upto`, newest first, until `each` says that it has enough, a segment ends before `since_ms`, or the time is over.
    fn back(
        &self,
        since_ms: u64,
        reach: &mut Reach,
        mut each: impl FnMut(&Self, u64, &mut Reach) -> Result<bool, JournalError>,
    ) -> Result<(), JournalError> {
        let began = Instant::now();
        for number in self.reader.segments_back(self.upto)? {
            if began.elapsed() > SEARCH_MAX {
                return Ok(());
            }
            let enough = !each(self, number, reach)?;
            if reach.back_to_ms.is_some_and(|oldest| oldest < since_ms) {
                break;
            }
            if enough {
                return Ok(());
            }
        }
        reach.complete = true;
        Ok(())
    }

    /// The facts of a segment that can be read; a later release's are passed over.
    fn facts(&self, number: u64, mut each: impl FnMut(Lsn, &Fact<'_>) -> bool) -> Result<(), JournalError> {
        self.reader.facts_of(number, self.upto, |at, bytes| match Fact::unpack(bytes) {
            Ok(fact) => each(at, &fact),
            Err(_) => true,
        })
    }
}

/// When a fact happened, Unix milliseconds; none for those that say no time.
fn at_ms(fact: &Fact<'_>) -> Option<u64> {
    match fact {
        Fact::Named { .. } | Fact::Day { .. } | Fact::Stock(_) => None,
        Fact::Intent { flight, .. } | Fact::Sale { flight, .. } => Some(flight.admitted_ms),
        Fact::Deposit { at_ms, .. }
        | Fact::Moved { at_ms, .. }
        | Fact::Outcome { at_ms, .. }
        | Fact::Doubt { at_ms, .. }
        | Fact::Settled { at_ms, .. }
        | Fact::Parked { at_ms, .. }
        | Fact::Late { at_ms, .. }
        | Fact::Replayed { at_ms, .. }
        | Fact::Undo { at_ms, .. }
        | Fact::Contradicted { at_ms, .. }
        | Fact::Stray { at_ms, .. }
        | Fact::Seen { at_ms, .. }
        | Fact::Blocked { at_ms, .. }
        | Fact::Recognised { at_ms, .. }
        | Fact::CutOver { at_ms, .. } => Some(*at_ms),
        Fact::Operated(action) => Some(action.at_ms),
    }
}

/// The flight that a fact is about.
fn flight(fact: &Fact<'_>) -> Option<FlightNo> {
    match fact {
        Fact::Named { .. }
        | Fact::Deposit { .. }
        | Fact::Day { .. }
        | Fact::Stock(_)
        | Fact::Seen { .. }
        | Fact::Blocked { .. }
        | Fact::CutOver { .. } => None,
        Fact::Undo { undone, .. } | Fact::Recognised { undone, .. } => undone.flight(),
        Fact::Intent { flight, .. } | Fact::Sale { flight, .. } => Some(flight.number),
        Fact::Outcome { outcome, .. } | Fact::Doubt { outcome, .. } => Some(outcome.flight),
        Fact::Moved { flight, .. }
        | Fact::Settled { flight, .. }
        | Fact::Parked { flight, .. }
        | Fact::Late { flight, .. }
        | Fact::Contradicted { flight, .. }
        | Fact::Stray { flight, .. }
        | Fact::Replayed { flight, .. } => Some(*flight),
        Fact::Operated(action) => action.act.flight(),
    }
}

/// A time as people read it: UTC, to the millisecond.
pub fn time(at_ms: u64) -> String {
    let at = i64::try_from(at_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| "?".to_owned(), |at| format!("{at:.3}"))
}

/// A moment as people give it: so long ago (`90s`, `30m`, `2h`, `7d`), a date (`2026-05-01`, UTC), or a time (`2026-05-01T12:00:00Z`); Unix milliseconds.
pub fn moment(text: &str, now_ms: u64) -> Option<u64> {
    if let Some(at) = text.split_at_checked(text.len().saturating_sub(1)) {
        let unit_s = match at.1 {
            "s" => Some(1),
            "m" => Some(60),
            "h" => Some(3_600),
            "d" => Some(86_400),
            _ => None,
        };
        if let (Some(unit_s), Ok(number)) = (unit_s, at.0.parse::<u32>()) {
            return Some(now_ms.saturating_sub(u64::from(number) * unit_s * 1_000));
        }
    }
    let date = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let at = text.parse::<Timestamp>().ok().or_else(|| date().map(|at| at.timestamp()))?;
    u64::try_from(at.as_millisecond()).ok()
}

/// How a moment is given, for messages.
pub const MOMENT_FORM: &str =
    "so long ago (90s, 30m, 2h, 7d), a date (2026-05-01, UTC) or a time (2026-05-01T12:00:00Z)";

#[cfg(test)]
mod tests;
