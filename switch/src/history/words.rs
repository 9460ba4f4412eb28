//! Facts in words.
//!
//! Owns: what people read of a fact. Invariants: nothing sealed is opened, an account shows its last four characters at most.
//! Deliberately absent: layout (`control::operate`).

use super::Names;
use switchyard_core::account::Account;
use switchyard_core::details::{self, Detail};
use switchyard_core::fact::{Cause, Fact, Proof, Settlement};
use switchyard_core::ids::NetworkId;
use switchyard_core::operate::{Act, Party, Payer};
use switchyard_core::outcome::{Outcome, Verdict};
use switchyard_core::reversal::{Taken, Undone};
use switchyard_core::text::Text;

/// A day YYYYMMDD as people read it: YYYY-MM-DD.
pub fn date(date: u32) -> String {
    format!("{:04}-{:02}-{:02}", date / 10_000, date / 100 % 100, date % 100)
}

/// An account number as people may see it: the last four characters of at least six.
pub(crate) fn masked(account: &str) -> String {
    const SHOWN: usize = 4;
    match account.len() {
        0 => String::new(),
        length if length < SHOWN + 2 => "***".to_owned(),
        length => format!("{}{}", "*".repeat(length - SHOWN), &account[length - SHOWN..]),
    }
}

/// Whose account.
pub(super) fn account(account: Account, names: &Names) -> String {
    match account {
        Account::Network(id) => format!("network {}", names.network(id)),
        Account::Merchant(code) => format!("merchant {code}"),
        Account::Supplier(id) => format!("supplier {}", names.supplier(id)),
        Account::Suspense(id) => format!("suspense of {}", names.supplier(id)),
        Account::Wallet(number) => format!("wallet {}", masked(number.as_str())),
        Account::Contra => "contra".to_owned(),
    }
}

/// Whose position, of a network or of one of its merchants.
fn holder(network: NetworkId, merchant: Option<Text<15>>, names: &Names) -> String {
    let network = names.network(network);
    merchant.map_or_else(|| network.to_owned(), |merchant| format!("merchant {merchant} of {network}"))
}

/// What an operator did.
pub(crate) fn act(act: &Act, names: &Names) -> String {
    match act {
        Act::Credited { network, merchant, amount } => {
            let whose = holder(*network, *merchant, names);
            format!("position of {whose} credited with {}", names.money(*network, *amount))
        }
        Act::Debited { network, merchant, amount } => {
            let whose = holder(*network, *merchant, names);
            format!("position of {whose} debited by {}", names.money(*network, *amount))
        }
        Act::KeysRotated { old, new, since_ms, retired } => {
            let ([old, new], since) = ([old, new].map(hex::encode), super::time(*since_ms));
            format!("key-encryption key {old} followed by {new} at {since}; it opens {retired} retired ones")
        }
        Act::Terminal { terminal, blocked: true } => format!("terminal {terminal} blocked"),
        Act::Terminal { terminal, blocked: false } => format!("terminal {terminal} unblocked"),
        Act::Supplier { supplier, drained: true } => {
            format!("supplier {} drained", names.supplier(*supplier))
        }
        Act::Supplier { supplier, drained: false } => {
            format!("supplier {} resumed", names.supplier(*supplier))
        }
        Act::DayClosed { network, date: begun, .. } => {
            format!("day of {} closed; {} began", names.network(*network), date(*begun))
        }
        Act::Loaded { product, batch, count } => {
            format!("batch {batch} loaded: {count} vouchers of {}", names.product(*product))
        }
        Act::Retried { flight, stan } => format!("reversal of flight {flight} sent again, as STAN {stan:06}"),
        Act::Settled { flight, payer, to } => {
            let whom = match to {
                Party::Network => "to the network",
                Party::Supplier => "to the supplier",
            };
            let from = match payer {
                Payer::Nobody => "where it lies",
                Payer::Network => "from the network's position",
                Payer::Suspense => "from suspense",
            };
            format!("reversal of flight {flight} settled by an operator: amount {whom}, {from}")
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
            let why = match proof {
                Proof::NeverSent => "it was never sent".to_owned(),
                Proof::Refused(code) => format!("refused with {code}, which performed nothing"),
            };
            format!("{why}; asked of {} as STAN {:06}", names.supplier(attempt.supplier), attempt.stan)
        }
        Fact::Outcome { outcome, .. } => answer(outcome),
        Fact::Doubt { cause, .. } => {
            let why = match cause {
                Cause::TimedOut => "no answer in time",
                Cause::LinkLost => "the link was lost",
                Cause::Crash => "the switch went down in between",
                Cause::Cancelled => "its terminal had reversed it when the supplier approved",
                Cause::Unmapped => "an answer with a code that is not in the supplier's table",
            };
            format!("outcome unknown, {why}: answered 68, being reversed")
        }
        Fact::Settled { settlement: Settlement::Reversed, .. } => "reversed at the supplier".to_owned(),
        Fact::Settled { settlement: Settlement::NotFound, .. } => {
            "over: the supplier does not know it, and will not perform it".to_owned()
        }
        Fact::Settled { settlement: Settlement::NotPerformed, .. } => {
            "over: the supplier says that it did not perform it".to_owned()
        }
        Fact::Parked { code, .. } if code.is_empty() => "reversal expired: parked for an operator".to_owned(),
        Fact::Parked { code, .. } => format!("reversal answered with {code}: parked for an operator"),
        Fact::Late { code, approved: true, .. } => {
            format!("late answer {code}, an approval: to be reversed")
        }
        Fact::Late { code, .. } => format!("late answer {code}"),
        Fact::Contradicted { code, undo: Some(_), .. } => {
            format!("second answer {code}, an approval: the first one stands, it is to be reversed")
        }
        Fact::Contradicted { code, .. } => format!("second answer {code}: the first one stands"),
        Fact::Replayed { .. } => "stored answer given again, with its PIN".to_owned(),
        Fact::Operated(action) => act(&action.act, names),
        Fact::Undo { undone, .. } => undo(undone).to_owned(),
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
fn undo(undone: &Undone) -> &'static str {
    match undone {
        Undone::Blocked(_) => "reversed by its terminal before it came: blocked",
        Undone::Open(_) => "reversed by its terminal while it is open",
        Undone::Nothing(_) => "reversed by its terminal; nothing stood",
        Undone::Again => "reversed by its terminal again",
        Undone::Sold { taken, .. } => match taken {
            Taken::Asked { .. } => "reversed by its terminal: the supplier is asked to reverse it",
            Taken::Withdrawn { credited: true } => {
                "reversed by its terminal: voucher withdrawn, amount credited"
            }
            Taken::Withdrawn { credited: false } => {
                "reversed by its terminal: voucher withdrawn, amount in suspense for an operator"
            }
            Taken::Unloaded => "reversed by its terminal: the value was taken back",
            Taken::Spent => "reversed by its terminal: the value is spent, an operator settles it",
        },
    }
}

fn answer(outcome: &Outcome<'_>) -> String {
    let verdict = match outcome.verdict {
        Verdict::Approved => "approved",
        Verdict::Declined => "declined",
        Verdict::Unknown => "unknown",
        Verdict::Cancelled => "cancelled",
    };
    let mut text = format!("{verdict}, {}", outcome.code);
    let details = [(Detail::Serial, "serial"), (Detail::SupplierReference, "supplier's reference")];
    for (detail, name) in details {
        if let Some(value) = details::find(outcome.details, detail) {
            text.push_str(&format!(", {name} {}", String::from_utf8_lossy(value)));
        }
    }
    text
}
