//! The audit trail: who did what, when and why.
//!
//! Owns: which facts are in it, and how they are read back. They are facts among all others, under the journal's chained checksums: one that is changed, taken out
//! or put in breaks the chain of its batch, and the next start, or `journal verify`, says where.
//! Deliberately absent: an own file, which could be changed apart from the journal.

use super::{Reach, Source, at_ms, phrases, words};
use crate::journal::JournalError;
use serde::Serialize;
use std::collections::VecDeque;
use switchyard_core::account::Account;
use switchyard_core::fact::Fact;
use switchyard_core::log::Lsn;

/// Most entries of an answer.
pub const ENTRIES_MAX: usize = 10_000;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct AuditAsk {
    /// Nothing older, Unix milliseconds.
    pub since_ms: u64,
    /// The newest so many.
    pub limit: usize,
}

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Where its fact lies in the journal.
    pub position: u64,
    /// When, Unix milliseconds.
    #[serde(skip)]
    pub at_ms: u64,
    /// When, as text.
    pub at: String,
    /// The user's number; none where no operator did it.
    pub uid: Option<u32>,
    /// Who.
    pub who: String,
    /// What.
    pub what: String,
    /// Why; empty where there is no reason.
    pub reason: String,
}

/// The trail, oldest first, and how far back it was looked for.
///
/// # Errors
/// The journal cannot be read, or is damaged.
pub fn audit(source: &Source<'_>, ask: &AuditAsk) -> Result<(Vec<Entry>, Reach), JournalError> {
    let mut entries = VecDeque::new();
    let mut reach = Reach::default();
    source.back(ask.since_ms, &mut reach, |source, number, reach| {
        let mut found = Vec::new();
        source.facts(number, |at, fact| {
            let Some(at_ms) = at_ms(fact) else { return true };
            reach.saw(at_ms);
            if at_ms >= ask.since_ms
                && let Some(entry) = entry(source, at, at_ms, fact)
            {
                found.push(entry);
            }
            // Of a segment with more than that only the newest are wanted.
            if found.len() > 2 * ask.limit {
                found.drain(..ask.limit);
            }
            true
        })?;
        found.into_iter().rev().for_each(|entry| entries.push_front(entry));
        Ok(entries.len() < ask.limit)
    })?;
    if entries.len() > ask.limit {
        reach.complete = false;
        entries.drain(..entries.len() - ask.limit);
    }
    Ok((entries.into(), reach))
}

fn entry(source: &Source<'_>, at: Lsn, at_ms: u64, fact: &Fact<'_>) -> Option<Entry> {
    let entry = |uid, who: String, what, reason: &str| Entry {
        position: at.0,
        at_ms,
        at: super::time(at_ms),
        uid,
        who,
        what,
        reason: reason.to_owned(),
    };
    match fact {
        Fact::Operated(action) => {
            let who = phrases::operator(&action.by);
            let what = words::act(&action.act, source.names);
            Some(entry(Some(action.by.uid), who, what, action.reason.as_str()))
        }
        Fact::Deposit { account, amount, reason, .. } => {
            let amount = match account {
                Account::Network(network) => source.names.money(*network, *amount),
                _ => format!("{} minor units", amount.0),
            };
            let what = format!(
                "{} credited with {amount}",
                phrases::account(*account, &|kind, id| source.names.of_kind(kind, id))
            );
            Some(entry(None, "configuration".to_owned(), what, reason.as_str()))
        }
        Fact::CutOver { network, date, .. } => {
            let what = words::day_closed(*network, *date, source.names);
            Some(entry(None, "network".to_owned(), what, "message 201"))
        }
        Fact::Replayed { flight, .. } => {
            let what = format!("stored answer of flight {flight} given again, with its PIN");
            Some(entry(None, "terminal".to_owned(), what, "repeated request"))
        }
        _ => None,
    }
}
