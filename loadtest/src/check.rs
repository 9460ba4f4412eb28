//! Whether what was told is what the suppliers did.
//!
//! Owns: `Evidence` (what the suppliers' records and the switch's books say) and `check`, which holds it against what loads were told.
//! Invariants: it looks at records, pages and answers only, never at the switch's own files; a sale is matched with what suppliers did by
//! its account, which no other sale has, and where the record hides or lacks that, by the RRN in the supplier's reference.
//! Deliberately absent: waiting until everything has settled (`site`), and what answers show by themselves (`ledger`).

use crate::ledger::{Reversed, Sale, shown};
use crate::records::{Deed, Records};
use crate::report::{LiveCounters, Stage};
use crate::site::{self, Books, Site};
use crate::told::Told;
use crate::verdict::{Faults, Rule, Verdict};
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch;

/// What a load is held against.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// What the suppliers did meanwhile.
    pub deeds: Vec<Deed>,
    /// The switch's books before and after, where its pages were asked.
    pub books: Option<(Books, Books)>,
}

/// Taken before a load, so that what was there is not counted.
#[derive(Debug)]
pub struct Before {
    records: Records,
    books: Option<Books>,
}

impl Before {
    /// Notes where the suppliers' records in `folder` end, and what the books say.
    ///
    /// # Errors
    /// The records cannot be read, or the pages that `site` names not be reached.
    pub async fn of(folder: &Path, site: &Site) -> io::Result<Self> {
        let records = Records::from_now(folder)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", folder.display())))?;
        let books = match site.pages {
            Some(pages) => Some(
                Books::read(pages)
                    .await
                    .map_err(|error| io::Error::new(error.kind(), format!("pages at {pages}: {error}")))?,
            ),
            None => None,
        };
        Ok(Self { records, books })
    }

    /// Waits until nothing is under way any more, for `bound` at most, then judges what loads were told.
    ///
    /// # Errors
    /// The records cannot be read.
    pub async fn judge(
        self,
        told: &[Told],
        site: &watch::Receiver<Site>,
        bound: Duration,
        live: &LiveCounters,
    ) -> io::Result<Verdict> {
        live.enter(Stage::Settle);
        let after = site::at_rest(site, bound, live).await;
        let books = self.books.map(|before| (before, after.unwrap_or_default()));
        Ok(check(told, &Evidence { deeds: self.records.read()?, books }))
    }
}

/// Holds what loads were told against what was done.
pub fn check(told: &[Told], evidence: &Evidence) -> Verdict {
    let mut check = Check::new(&evidence.deeds);
    for told in told {
        check.faults.add(&told.ledger.faults, |at| told.words(*at));
        for (at, sale) in told.ledger.sales().iter().enumerate() {
            check.sale(told, at as u32, sale);
        }
    }
    check.unclaimed();
    check.asked_once();
    if let Some((before, after)) = &evidence.books {
        check.books(before, after);
    }
    Verdict::of(check.faults)
}

struct Check<'a> {
    deeds: &'a [Deed],
    by_account: HashMap<&'a str, Vec<usize>>,
    by_rrn: HashMap<&'a str, usize>,
    /// Deeds that belong to a sale that was looked at.
    claimed: Vec<bool>,
    /// What stands by what was told, minor units.
    sold: i64,
    faults: Faults<String>,
}

impl<'a> Check<'a> {
    fn new(deeds: &'a [Deed]) -> Self {
        let mut by_account: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut by_rrn = HashMap::new();
        for (at, deed) in deeds.iter().enumerate() {
            if !deed.account.is_empty() && !deed.account.contains('*') {
                by_account.entry(&deed.account).or_default().push(at);
            }
            // A second supplier's attempt under another RRN; the same RRN at two suppliers shows in `asked_once`.
            by_rrn.entry(&*deed.rrn).or_insert(at);
        }
        let claimed = vec![false; deeds.len()];
        Self { deeds, by_account, by_rrn, claimed, sold: 0, faults: Faults::default() }
    }

    fn sale(&mut self, told: &Told, at: u32, sale: &Sale) {
        let described = told.describe(sale);
        let answered = (sale.code.is_some() || !sale.sent) && sale.reversed != Reversed::Asked;
        let words = || told.words(at);
        let mine = self.deeds_of(sale, &described.account);
        for deed in &mine {
            self.claimed[*deed] = true;
        }
        self.faults.judge_of(Rule::Answered, answered, words, || "no answer".into());
        if !answered {
            return;
        }
        if sale.is_sold() {
            self.sold += described.amount as i64;
        }
        if !told.frames.is_recorded(&sale.request) {
            return;
        }
        let standing: Vec<&Deed> =
            mine.iter().map(|at| &self.deeds[*at]).filter(|deed| deed.stands()).collect();
        let rule = match sale.reversed {
            Reversed::Accepted => Rule::Reversed,
            _ if sale.is_sold() => Rule::Approved,
            _ => Rule::Nothing,
        };
        let held = match (rule, &*standing) {
            (Rule::Approved, [deed]) => deed.amount == described.amount,
            (Rule::Approved, _) => false,
            (_, standing) => standing.is_empty(),
        };
        let did = || mine.iter().map(|at| did(&self.deeds[*at])).collect::<Vec<_>>().join("; ");
        let what = || {
            let code = sale.code.map_or_else(|| "nothing".to_owned(), shown);
            let done = if mine.is_empty() { "no supplier knows it".to_owned() } else { did() };
            format!("told {code}{}; {done}", if rule == Rule::Reversed { ", reversed" } else { "" })
        };
        self.faults.judge_of(rule, held, words, what);
    }

    /// What suppliers did for a sale: by its account, else by the reference of its approval.
    fn deeds_of(&self, sale: &Sale, account: &str) -> Vec<usize> {
        if let Some(deeds) = self.by_account.get(account).filter(|_| !account.is_empty()) {
            return deeds.clone();
        }
        self.by_rrn
            .get(sale.reference.as_str())
            .filter(|_| !sale.reference.is_empty())
            .copied()
            .into_iter()
            .collect()
    }

    /// What stands must belong to a sale.
    fn unclaimed(&mut self) {
        for (deed, claimed) in self.deeds.iter().zip(&self.claimed) {
            if !claimed && deed.performed > 0 {
                self.faults.judge(Rule::Nothing, !deed.stands(), String::new(), || {
                    format!("{}, and no approval names it", did(deed))
                });
            }
        }
    }

    fn asked_once(&mut self) {
        for (at, deed) in self.deeds.iter().enumerate() {
            let elsewhere = self.by_rrn.get(&*deed.rrn).is_some_and(|first| *first != at);
            let once = deed.asked <= 1 && deed.performed <= 1 && !elsewhere;
            self.faults.judge(Rule::Performed, once, String::new(), || did(deed));
        }
    }

    fn books(&mut self, before: &Books, after: &Books) {
        let Books { in_flight, advices, parked, .. } = after;
        let settled = after.is_at_rest() && after.sum() == 0 && !after.positions.is_empty();
        self.faults.judge(Rule::Settled, settled, String::new(), || {
            let (sum, reserved) = (after.sum(), after.reserved());
            format!(
                "sum {sum}, reserved {reserved}, {in_flight} under way, {advices} reversals not confirmed"
            )
        });
        // What waits in suspense has left neither for a supplier nor for a network.
        let spent = |kind: &str| before.posted(kind) - after.posted(kind);
        let paid = spent("network/") + spent("suspense/");
        let sold = self.sold;
        self.faults.judge(Rule::Money, paid == sold, String::new(), || {
            format!("{sold} stands by what was told, and {paid} was paid: is anybody else asking?")
        });
        self.faults.judge(Rule::Parked, *parked == 0, String::new(), || format!("{parked} parked"));
    }
}

fn did(deed: &Deed) -> String {
    let Deed { supplier, rrn, amount, asked, performed, undone, .. } = deed;
    format!("{supplier}, RRN {rrn}: asked {asked}, performed {performed}, undone {undone}, of {amount}")
}

#[cfg(test)]
mod tests;
