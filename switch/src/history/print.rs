//! The answers of `audit` and `transaction find`, as they are printed.
//!
//! Owns: options to questions, and the layout of answers. Invariants: an answer says how far back was looked, and whether there may be more.
//! Deliberately absent: where the journal is (beside a switch that runs, its socket; else its folder).

use super::audit::{AuditAsk, Entry, audit};
use super::find::{FindAsk, Search, Transaction};
use super::{MOMENT_FORM, Reach, Source, moment, time};
use crate::cli::operators::{AuditArgs, FindArgs};
use std::fmt::Write as _;
use std::sync::Arc;
use switchyard_core::iso8583::Dialect;

/// Of what sales a search by card tells nothing.
const CARD_REACH: &str = "only what a supplier was asked with a card number is found by it: what the switch sells from its own stock and accounts keeps none";

/// Answers `audit`.
///
/// # Errors
/// Why not, for people.
pub fn run_audit(args: &AuditArgs, source: &Source<'_>, now_ms: u64) -> Result<String, String> {
    let ask = AuditAsk { since_ms: since(&args.since, now_ms)?, limit: args.limit as usize };
    let (entries, reach) = audit(source, &ask).map_err(|error| error.to_string())?;
    let mut out = String::new();
    if args.show.json {
        entries.iter().for_each(|entry| object(&mut out, entry));
        object(&mut out, &told(reach));
        return Ok(out);
    }
    entries.iter().for_each(|entry| line(&mut out, entry));
    let _ = writeln!(out, "{}; {}", counted(entries.len(), "entry", "entries"), reached(reach));
    Ok(out)
}

/// Answers `transaction find`.
///
/// # Errors
/// Why not, for people.
pub fn run_find(
    args: &FindArgs,
    source: Source<'_>,
    dialects: &[Arc<Dialect>],
    now_ms: u64,
) -> Result<String, String> {
    let ask = FindAsk {
        terminal: args.terminal.clone(),
        stan: args.stan,
        rrn: args.rrn.clone(),
        account: args.account.clone(),
        serial: args.serial.clone(),
        card: args.card.then(|| args.number.clone()),
        since_ms: since(&args.since, now_ms)?,
        limit: args.limit as usize,
    };
    let search = Search { source, ask: &ask, dialects };
    let (transactions, reach) = search.run().map_err(|error| error.to_string())?;
    let mut out = String::new();
    if args.show.json {
        transactions.iter().for_each(|transaction| object(&mut out, transaction));
        let mut told = told(reach);
        if args.card {
            told["card"] = CARD_REACH.into();
        }
        object(&mut out, &told);
        return Ok(out);
    }
    transactions.iter().for_each(|transaction| steps(&mut out, transaction));
    let count = counted(transactions.len(), "transaction", "transactions");
    let _ = writeln!(out, "{count}; {}", reached(reach));
    if args.card {
        let _ = writeln!(out, "{CARD_REACH}");
    }
    Ok(out)
}

fn counted(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

fn since(text: &str, now_ms: u64) -> Result<u64, String> {
    moment(text, now_ms).ok_or_else(|| format!("--since `{text}` is no moment: give {MOMENT_FORM}"))
}

fn object(out: &mut String, value: &impl serde::Serialize) {
    // These are texts and numbers, which always have a form in JSON.
    let _ = writeln!(out, "{}", serde_json::to_string(value).unwrap_or_default());
}

/// How far was looked, as the last object of an answer in JSON.
fn told(reach: Reach) -> serde_json::Value {
    serde_json::json!({ "looked_back_to": reach.back_to_ms.map(time), "complete": reach.complete })
}

fn line(out: &mut String, entry: &Entry) {
    let Entry { at, who, what, reason, .. } = entry;
    let why = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    let _ = writeln!(out, "{at}  {who:<12}  {what}{why}");
}

fn steps(out: &mut String, transaction: &Transaction) {
    let Transaction { flight, network, terminal, merchant, product, amount, rrn, account, .. } = transaction;
    let stan = transaction.stan.map_or_else(|| "?".to_owned(), |stan| format!("{stan:06}"));
    let _ = write!(out, "{flight}  {product} {amount}  STAN {stan}  RRN {rrn}");
    if !account.is_empty() {
        let _ = write!(out, "  account {account}");
    }
    if let Some(card) = &transaction.card {
        let _ = write!(out, "  card {card}");
    }
    let _ = writeln!(
        out,
        "\n  network {network}, merchant {merchant}, terminal {terminal}, day {}",
        transaction.day
    );
    for step in &transaction.steps {
        let _ = writeln!(out, "  {}  {}", step.at, step.what);
    }
    out.push('\n');
}

fn reached(reach: Reach) -> String {
    match (reach.back_to_ms, reach.complete) {
        (None, _) => "the journal has nothing".to_owned(),
        (Some(back), true) => format!("looked back to {}", time(back)),
        (Some(back), false) => {
            format!(
                "looked back to {}, there may be more: a larger --limit, or a narrower question, finds it",
                time(back)
            )
        }
    }
}
