//! What a fact says, for people: masked.
//!
//! Owns: the name of each fact and its fields, in order. Invariants: no card number, PIN, sealed byte or hash is among them, and of accounts only the last four characters;
//! ids are shown by the names that the journal gave them.
//! Deliberately absent: the layout (`show`), and what a fact changes.

use crate::history::{phrases, time};
use serde_json::Value as Json;
use switchyard_core::adapter::LocalEffect;
use switchyard_core::details::{self, Detail};
use switchyard_core::fact::{Fact, NameKind};
use switchyard_core::flight::{Attempt, Flight};
use switchyard_core::ids::{FlightNo, NetworkId};
use switchyard_core::operate::{Act, Action};
use switchyard_core::outcome::Outcome;
use switchyard_core::reversal::Undone;
use switchyard_core::text::Text;

/// The names of facts, as `--kind` takes them.
pub const KINDS: [&str; 21] = [
    "named",
    "deposit",
    "day",
    "stock",
    "intent",
    "moved",
    "outcome",
    "doubt",
    "sale",
    "settled",
    "parked",
    "late",
    "contradicted",
    "stray",
    "replayed",
    "undo",
    "operated",
    "cut-over",
    "seen",
    "blocked",
    "recognised",
];

pub use crate::history::phrases::NameOf as Names;

/// A fact as it is shown.
#[derive(Debug)]
pub struct Shown {
    /// One of [`KINDS`].
    pub kind: &'static str,
    /// When, Unix milliseconds, where the fact says it.
    pub at_ms: Option<u64>,
    /// Its flight, where it is about one.
    pub flight: Option<FlightNo>,
    /// Its terminal, where it says it.
    pub terminal: Option<Text<8>>,
    /// Everything else, in order.
    pub fields: Vec<(&'static str, Json)>,
}

impl Shown {
    fn new(kind: &'static str) -> Self {
        Self { kind, at_ms: None, flight: None, terminal: None, fields: Vec::new() }
    }

    fn at(self, at_ms: u64) -> Self {
        Self { at_ms: Some(at_ms), ..self }
    }

    fn of(self, flight: FlightNo) -> Self {
        Self { flight: Some(flight), ..self }
    }

    fn with(mut self, name: &'static str, value: impl Into<Json>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// A text, where it is not empty.
    fn text<const N: usize>(self, name: &'static str, text: Text<N>) -> Self {
        if text.is_empty() { self } else { self.with(name, text.as_str()) }
    }

    fn attempt(self, attempt: &Attempt, names: Names<'_>) -> Self {
        let shown = self.with("attempt", attempt.number).with("supplier", supplier(attempt, names));
        if attempt.stan == 0 { shown } else { shown.with("supplier_stan", format!("{:06}", attempt.stan)) }
    }

    fn item(self, flight: &Flight, names: Names<'_>) -> Self {
        let shown = Self { terminal: Some(flight.terminal), ..self }
            .of(flight.number)
            .with("network", names(NameKind::Network, flight.network.0))
            .text("merchant", flight.merchant)
            .with("product", names(NameKind::Product, flight.product.0))
            .with("amount_minor", flight.amount.0)
            .with("currency", format!("{:03}", flight.currency))
            .with("local", ascii(&flight.local))
            .with("day", ascii(&flight.day))
            .text("rrn", flight.rrn)
            .attempt(&flight.attempt, names);
        if flight.account.is_empty() {
            shown
        } else {
            shown.with("account", phrases::masked(flight.account.as_str()))
        }
    }

    fn outcome(self, outcome: &Outcome<'_>) -> Self {
        let mut shown = self
            .of(outcome.flight)
            .with("verdict", phrases::verdict(outcome.verdict))
            .with("code", ascii(&outcome.code.0))
            .text("rrn", outcome.rrn)
            .text("approval", outcome.approval);
        for (name, detail) in [("serial", Detail::Serial), ("supplier_reference", Detail::SupplierReference)]
        {
            if let Some(value) = details::find(outcome.details, detail) {
                shown = shown.with(name, ascii(value));
            }
        }
        if outcome.sealed.is_empty() { shown } else { shown.with("secret", "***") }
    }

    fn effect(self, effect: &LocalEffect, names: Names<'_>) -> Self {
        match effect {
            LocalEffect::Voucher { product, batch, index } => self
                .with("sold", names(NameKind::Product, product.0))
                .with("batch", *batch)
                .with("voucher", *index),
            LocalEffect::Load { account, amount } => {
                self.with("loaded", phrases::masked(account.as_str())).with("loaded_minor", amount.0)
            }
        }
    }

    fn action(self, action: &Action, names: Names<'_>) -> Self {
        let shown = self.with("by", phrases::operator(&action.by)).text("reason", action.reason);
        let shown = shown.with("act", phrases::act(&action.act));
        let network = |id: NetworkId| names(NameKind::Network, id.0);
        match &action.act {
            Act::Credited { network: id, merchant, amount }
            | Act::Debited { network: id, merchant, amount } => shown
                .with("network", network(*id))
                .text("merchant", merchant.unwrap_or_default())
                .with("amount_minor", amount.0),
            Act::KeysRotated { old, new, since_ms, retired } => shown
                .with("old_key", hex::encode(old))
                .with("new_key", hex::encode(new))
                .with("since", time(*since_ms))
                .with("retired", *retired),
            Act::Terminal { terminal, .. } => Self { terminal: Some(*terminal), ..shown },
            Act::Supplier { supplier, .. } => shown.with("supplier", names(NameKind::Supplier, supplier.0)),
            Act::DayClosed { network: id, date, until_ms } => {
                shown.with("network", network(*id)).with("date", *date).with("until", time(*until_ms))
            }
            Act::Loaded { product, batch, count } => shown
                .with("product", names(NameKind::Product, product.0))
                .text("batch", *batch)
                .with("vouchers", *count),
            Act::Retried { flight, stan } => shown.of(*flight).with("supplier_stan", format!("{stan:06}")),
            Act::Settled { flight, to, .. } => shown.of(*flight).with("to", phrases::party(*to)),
        }
    }

    fn undone(self, undone: &Undone, names: Names<'_>) -> Self {
        match undone {
            Undone::Blocked(_) => self.with("undone", "blocked"),
            Undone::Open(original) => self.with("undone", "open").of(original.flight),
            Undone::Nothing(original) => self.with("undone", "nothing").of(original.flight),
            Undone::Again => self.with("undone", "again"),
            Undone::Sold { flight, taken, .. } => {
                let shown = self.with("undone", "sold").with("taken", phrases::taken(taken));
                let shown = Self { terminal: Some(flight.terminal), ..shown };
                shown.of(flight.number).with("amount_minor", flight.amount.0).attempt(&flight.attempt, names)
            }
        }
    }
}

/// What a fact says.
pub fn shown(fact: &Fact<'_>, names: Names<'_>) -> Shown {
    match fact {
        Fact::Named { kind, id, name } => {
            Shown::new("named").with("what", name_kind(*kind)).with("id", *id).text("name", *name)
        }
        Fact::Deposit { at_ms, account, amount, reason } => Shown::new("deposit")
            .at(*at_ms)
            .with("account", phrases::account(*account, names))
            .with("amount_minor", amount.0)
            .text("reason", *reason),
        Fact::Day { network, date, until_ms } => Shown::new("day")
            .with("network", names(NameKind::Network, network.0))
            .with("date", *date)
            .with("until", time(*until_ms)),
        Fact::Stock(batch) => Shown::new("stock")
            .with("product", names(NameKind::Product, batch.product.0))
            .text("batch", batch.name)
            .with("number", batch.number)
            .with("vouchers", batch.count),
        Fact::Intent { flight, .. } => Shown::new("intent").at(flight.admitted_ms).item(flight, names),
        Fact::Moved { at_ms, flight, proof, attempt } => Shown::new("moved")
            .at(*at_ms)
            .of(*flight)
            .with("proof", phrases::proof(proof))
            .attempt(attempt, names),
        Fact::Outcome { at_ms, outcome, .. } => Shown::new("outcome").at(*at_ms).outcome(outcome),
        Fact::Doubt { at_ms, cause, outcome } => {
            Shown::new("doubt").at(*at_ms).with("cause", phrases::cause(*cause)).outcome(outcome)
        }
        Fact::Sale { flight, outcome, effect, .. } => Shown::new("sale")
            .at(flight.admitted_ms)
            .item(flight, names)
            .outcome(outcome)
            .effect(effect, names),
        Fact::Settled { at_ms, flight, settlement } => {
            Shown::new("settled").at(*at_ms).of(*flight).with("how", phrases::settlement(*settlement))
        }
        Fact::Parked { at_ms, flight, code } => {
            Shown::new("parked").at(*at_ms).of(*flight).text("supplier_code", *code)
        }
        Fact::Late { at_ms, flight, code, approved, sealed, stan, .. } => {
            let shown = Shown::new("late").at(*at_ms).of(*flight).text("supplier_code", *code);
            let shown = shown.with("approved", *approved == Some(true));
            let shown = if approved.is_some() { shown } else { shown.with("mapped", false) };
            let shown = if *stan == 0 { shown } else { shown.with("reversal_stan", *stan) };
            if sealed.is_empty() { shown } else { shown.with("secret", "***") }
        }
        Fact::Contradicted { at_ms, flight, code, undo, stan } => {
            let shown = Shown::new("contradicted").at(*at_ms).of(*flight).text("supplier_code", *code);
            let shown = if *stan == 0 { shown } else { shown.with("reversal_stan", *stan) };
            match undo {
                None => shown,
                Some(undo) => shown.with("undone_by", undo.number.to_string()).attempt(&undo.attempt, names),
            }
        }
        Fact::Stray { at_ms, flight, supplier, code, approved, sealed, .. } => {
            let shown = Shown::new("stray")
                .at(*at_ms)
                .of(*flight)
                .with("supplier", names(NameKind::Supplier, supplier.0))
                .text("supplier_code", *code)
                .with("approved", *approved);
            if sealed.is_empty() { shown } else { shown.with("secret", "***") }
        }
        Fact::Replayed { at_ms, flight } => Shown::new("replayed").at(*at_ms).of(*flight),
        Fact::Undo { at_ms, reversal, outcome, undone, .. } => {
            let shown = Shown::new("undo").at(*at_ms).of(reversal.number);
            let shown = shown.with("reversal", reversal.number.to_string()).text("reason", reversal.reason);
            let shown = shown.with("network", names(NameKind::Network, reversal.network.0));
            shown.with("code", ascii(&outcome.code.0)).undone(undone, names)
        }
        Fact::Seen { at_ms, .. } => Shown::new("seen").at(*at_ms),
        Fact::Blocked { at_ms, .. } => Shown::new("blocked").at(*at_ms),
        Fact::Recognised { at_ms, undone, .. } => Shown::new("recognised").at(*at_ms).undone(undone, names),
        Fact::Operated(action) => Shown::new("operated").at(action.at_ms).action(action, names),
        Fact::CutOver { at_ms, network, date, until_ms, stan, .. } => Shown::new("cut-over")
            .at(*at_ms)
            .with("network", names(NameKind::Network, network.0))
            .with("date", *date)
            .with("until", time(*until_ms))
            .with("stan", format!("{stan:06}")),
    }
}

fn ascii(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn supplier(attempt: &Attempt, names: Names<'_>) -> String {
    names(NameKind::Supplier, attempt.supplier.0)
}

fn name_kind(kind: NameKind) -> &'static str {
    match kind {
        NameKind::Network => "network",
        NameKind::Product => "product",
        NameKind::Supplier => "supplier",
        NameKind::Dialect => "dialect",
    }
}
