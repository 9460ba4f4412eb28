//! The words for what facts are made of: accounts, causes, proofs, ends, operators and their acts.
//!
//! Owns: each of them, once, for sentences (`words`), for fields (`cli::journal::facts`) and for pages (`control`).
//! Invariants: an account number shows its last four characters at most.
//! Deliberately absent: sentences, and the names of fields.

use switchyard_core::account::Account;
use switchyard_core::fact::{Cause, NameKind, Proof, Settlement};
use switchyard_core::operate::{Act, Operator, Party};
use switchyard_core::outcome::Verdict;
use switchyard_core::reversal::Taken;

/// Which name an id has.
pub type NameOf<'a> = &'a dyn Fn(NameKind, u16) -> String;

/// An account number as people may see it: the last four characters of at least six.
pub fn masked(account: &str) -> String {
    const SHOWN: usize = 4;
    match account.len() {
        0 => String::new(),
        length if length < SHOWN + 2 => "***".to_owned(),
        length => format!("{}{}", "*".repeat(length - SHOWN), &account[length - SHOWN..]),
    }
}

/// Whose account.
pub fn account(account: Account, name: NameOf<'_>) -> String {
    match account {
        Account::Network(id) => format!("network/{}", name(NameKind::Network, id.0)),
        Account::Merchant(code) => format!("merchant/{code}"),
        Account::Supplier(id) => format!("supplier/{}", name(NameKind::Supplier, id.0)),
        Account::Suspense(id) => format!("suspense/{}", name(NameKind::Supplier, id.0)),
        Account::Wallet(number) => format!("wallet/{}", masked(number.as_str())),
        Account::Contra => "contra".to_owned(),
    }
}

/// What became of a request.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approved => "approved",
        Verdict::Declined => "declined",
        Verdict::Unknown => "unknown",
        Verdict::Cancelled => "cancelled",
    }
}

/// Why another supplier may be asked.
pub fn proof(proof: &Proof) -> String {
    match proof {
        Proof::NeverSent => "it was never sent".to_owned(),
        Proof::Refused(code) => format!("refused with {code}, which performed nothing"),
    }
}

/// Why an outcome is unknown.
pub fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::TimedOut => "no answer in time",
        Cause::LinkLost => "the link was lost",
        Cause::Crash => "the switch went down in between",
        Cause::Cancelled => "its terminal had reversed it when the supplier approved",
        Cause::Unmapped => "an answer with a code that is not in the supplier's table",
    }
}

/// How a doubt ended.
pub fn settlement(settlement: Settlement) -> &'static str {
    match settlement {
        Settlement::Reversed => "reversed at the supplier",
        Settlement::NotFound => "over: the supplier does not know it, and will not perform it",
        Settlement::NotPerformed => "over: the supplier says that it did not perform it",
    }
}

/// How an approved sale is taken back.
pub fn taken(taken: &Taken) -> &'static str {
    match taken {
        Taken::Asked { .. } => "the supplier is asked to reverse it",
        Taken::Withdrawn { credited: true } => "voucher withdrawn, amount credited",
        Taken::Withdrawn { credited: false } => "voucher withdrawn, amount in suspense for an operator",
        Taken::Unloaded => "the value was taken back",
        Taken::Spent => "the value is spent, an operator settles it",
    }
}

/// Who did something.
pub fn operator(operator: &Operator) -> String {
    match operator.name.as_str() {
        "" => format!("uid {}", operator.uid),
        name => name.to_owned(),
    }
}

/// What an operator did, without to what.
pub fn act(act: &Act) -> &'static str {
    match act {
        Act::Credited { .. } => "credited",
        Act::Debited { .. } => "debited",
        Act::Terminal { blocked: true, .. } => "blocked",
        Act::Terminal { blocked: false, .. } => "unblocked",
        Act::Supplier { drained: true, .. } => "drained",
        Act::Supplier { drained: false, .. } => "resumed",
        Act::DayClosed { .. } => "closed",
        Act::Loaded { .. } => "loaded",
        Act::Retried { .. } => "sent again",
        Act::Settled { .. } => "settled",
        Act::KeysRotated { .. } => "rotated",
    }
}

/// Who gets an amount.
pub fn party(party: Party) -> &'static str {
    match party {
        Party::Network => "network",
        Party::Supplier => "supplier",
    }
}
