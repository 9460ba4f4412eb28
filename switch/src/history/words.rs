//! Facts in words.
//!
//! Owns: the sentence for a fact or an act, made of `phrases`. Invariants: nothing sealed is opened.
//! Deliberately absent: layout (`control::operate`).

use super::{Names, phrases};
use switchyard_core::details::{self, Detail};
use switchyard_core::fact::Fact;
use switchyard_core::ids::NetworkId;
use switchyard_core::operate::{Act, Payer};
use switchyard_core::outcome::Outcome;
use switchyard_core::reversal::Undone;
use switchyard_core::text::Text;

/// That the PIN of an answer is kept, and the serial number of its voucher, by which it can be talked about.
fn kept_pin(details: &[u8]) -> String {
    let serial = details::find(details, Detail::Serial).map(String::from_utf8_lossy);
    let serial = serial.map_or_else(String::new, |serial| format!(" of serial {serial}"));
    format!("; its PIN{serial} is kept, sealed, and was given to nobody by this answer")
}

/// A day YYYYMMDD as people read it: YYYY-MM-DD.
pub fn date(date: u32) -> String {
    format!("{:04}-{:02}-{:02}", date / 10_000, date / 100 % 100, date % 100)
}

/// Whose position, of a network or of one of its merchants.
fn holder(network: NetworkId, merchant: Option<Text<15>>, names: &Names) -> String {
    let network = names.network(network);
    merchant.map_or_else(|| network.to_owned(), |merchant| format!("merchant {merchant} of {network}"))
}

/// A business day is over, whoever closed it; `begun` is the next one, YYYYMMDD.
pub(super) fn day_closed(network: NetworkId, begun: u32, names: &Names) -> String {
    format!("day of {} closed; {} began", names.network(network), date(begun))
}

/// What an operator did.
pub(crate) fn act(act: &Act, names: &Names) -> String {
    let done = phrases::act(act);
    match act {
        Act::Credited { network, merchant, amount } | Act::Debited { network, merchant, amount } => {
            let whose = holder(*network, *merchant, names);
            format!("position of {whose} {done} with {}", names.money(*network, *amount))
        }
        Act::KeysRotated { old, new, since_ms, retired } => {
            let ([old, new], since) = ([old, new].map(hex::encode), super::time(*since_ms));
            format!("keys {done} at {since}: {old} followed by {new}, which opens {retired} retired ones")
        }
        Act::Terminal { terminal, .. } => format!("terminal {terminal} {done}"),
        Act::Supplier { supplier, .. } => format!("supplier {} {done}", names.supplier(*supplier)),
        Act::DayClosed { network, date, .. } => day_closed(*network, *date, names),
        Act::Loaded { product, batch, count } => {
            format!("batch {batch} {done}: {count} vouchers of {}", names.product(*product))
        }
        Act::Retried { flight, stan } => format!("reversal of flight {flight} {done}, as STAN {stan:06}"),
        Act::Settled { flight, payer, to } => {
            let whom = phrases::party(*to);
            let from = match payer {
                Payer::Nobody => "where it lies",
                Payer::Network => "from the network's position",
                Payer::Suspense => "from suspense",
            };
            format!("reversal of flight {flight} {done} by an operator: amount to the {whom}, {from}")
        }
    }
}

/// A step of a transaction.
pub(super) fn step(fact: &Fact<'_>, names: &Names) -> String {
    match fact {
        Fact::Intent { flight, .. } => {
            let (supplier, stan) = (names.supplier(flight.attempt.supplier), flight.attempt.stan);
            format!("admitted; asked of {supplier} as STAN {stan:06}")
        }
        Fact::Sale { flight, outcome, .. } => {
            format!("sold by {}: {}", names.supplier(flight.attempt.supplier), answer(outcome))
        }
        Fact::Moved { proof, attempt, .. } => {
            let why = phrases::proof(proof);
            format!("{why}; asked of {} as STAN {:06}", names.supplier(attempt.supplier), attempt.stan)
        }
        Fact::Outcome { outcome, .. } => answer(outcome),
        Fact::Doubt { cause, .. } => {
            let why = phrases::cause(*cause);
            format!("outcome unknown, {why}: answered 68, being reversed")
        }
        Fact::Settled { settlement, .. } => phrases::settlement(*settlement).to_owned(),
        Fact::Parked { code, .. } if code.is_empty() => "reversal expired: parked for an operator".to_owned(),
        Fact::Parked { code, .. } => format!("reversal answered with {code}: parked for an operator"),
        Fact::Late { code, approved: Some(true), .. } => {
            format!("late answer {code}, an approval: to be reversed")
        }
        Fact::Late { code, approved: None, .. } => {
            format!("late answer {code}, which is not in the supplier's table: what it said before stands")
        }
        Fact::Late { code, .. } => format!("late answer {code}"),
        Fact::Contradicted { code, undo: Some(_), .. } => {
            format!("second answer {code}, an approval: the first one stands, it is to be reversed")
        }
        Fact::Contradicted { code, .. } => format!("second answer {code}: the first one stands"),
        Fact::Stray { supplier, code, approved, details, sealed, .. } => {
            let what = if *approved { ", an approval" } else { "" };
            let pin = if sealed.is_empty() { String::new() } else { kept_pin(details) };
            format!(
                "{} answered once more, with {code}{what}, when it was no longer remembered{pin}",
                names.supplier(*supplier)
            )
        }
        Fact::Replayed { .. } => "stored answer given again, with its PIN".to_owned(),
        Fact::Operated(action) => act(&action.act, names),
        Fact::Undo { undone, .. } => undo(undone),
        Fact::Recognised { undone, .. } => {
            format!("recognised by a transmission time that a reversal had named before: {}", undo(undone))
        }
        Fact::Named { .. }
        | Fact::Deposit { .. }
        | Fact::Day { .. }
        | Fact::Stock(_)
        | Fact::Seen { .. }
        | Fact::Blocked { .. }
        | Fact::CutOver { .. } => String::new(),
    }
}

/// What a terminal's reversal did to its original.
fn undo(undone: &Undone) -> String {
    let what = match undone {
        Undone::Blocked(_) => " before it came: blocked".to_owned(),
        Undone::Open(_) => " while it is open".to_owned(),
        Undone::Nothing(_) => "; nothing stood".to_owned(),
        Undone::Again => " again".to_owned(),
        Undone::Sold { taken, .. } => format!(": {}", phrases::taken(taken)),
    };
    format!("reversed by its terminal{what}")
}

fn answer(outcome: &Outcome<'_>) -> String {
    let verdict = phrases::verdict(outcome.verdict);
    let mut text = format!("{verdict}, {}", outcome.code);
    let details = [(Detail::Serial, "serial"), (Detail::SupplierReference, "supplier's reference")];
    for (detail, name) in details {
        if let Some(value) = details::find(outcome.details, detail) {
            text.push_str(&format!(", {name} {}", String::from_utf8_lossy(value)));
        }
    }
    text
}
