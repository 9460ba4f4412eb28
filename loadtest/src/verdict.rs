//! Whether what was told holds, rule by rule.
//!
//! Owns: `Rule`, `Faults` (counts and the first examples of each rule), and `Verdict`, the table at the end.
//! Invariants: examples are bounded; none shows a PIN or a card number.
//! Deliberately absent: how it is found out (`ledger`, `check`).

use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// Most examples that are kept of a rule's breaches.
const EXAMPLES_MAX: usize = 10;

/// What must hold at the end of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Every message got an answer.
    Answered,
    /// Every 00 that was not reversed has exactly one performance that stands.
    Approved,
    /// Nothing else has one that stands.
    Nothing,
    /// Every accepted reversal leaves none that stands (S-7).
    Reversed,
    /// Every reversal is accepted (S-7).
    Reversals,
    /// Repeats get the same answer, every element but DE7 (S-2).
    Repeats,
    /// After its reversal a sale is told 17, and 17 is told to nothing else (S-4).
    Cancelled,
    /// A serial number or PIN is given in one sale only (`voucher-once`).
    Vouchers,
    /// No supplier is asked or performs one request twice (`performed-once`).
    Performed,
    /// The sum over all accounts is zero, and nothing stays reserved or under way (S-15).
    Settled,
    /// The networks paid for what stands, and for nothing else (`money-conserved`).
    Money,
    /// No reversal waits for an operator (S-9).
    Parked,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 12] = [
        Self::Answered,
        Self::Approved,
        Self::Nothing,
        Self::Reversed,
        Self::Reversals,
        Self::Repeats,
        Self::Cancelled,
        Self::Vouchers,
        Self::Performed,
        Self::Settled,
        Self::Money,
        Self::Parked,
    ];

    /// Its name in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Approved => "approved",
            Self::Nothing => "nothing-else",
            Self::Reversed => "reversed",
            Self::Reversals => "reversals-accepted",
            Self::Repeats => "repeats-same",
            Self::Cancelled => "cancelled-stays",
            Self::Vouchers => "voucher-once",
            Self::Performed => "performed-once",
            Self::Settled => "settled",
            Self::Money => "money-conserved",
            Self::Parked => "none-parked",
        }
    }

    /// What it says.
    pub fn says(self) -> &'static str {
        match self {
            Self::Answered => "every message got an answer",
            Self::Approved => "every 00 has exactly one performance that stands, of its amount",
            Self::Nothing => "no other code has one that stands",
            Self::Reversed => "no accepted reversal leaves one that stands",
            Self::Reversals => "every reversal is accepted",
            Self::Repeats => "repeats get the same answer, every element but DE7",
            Self::Cancelled => "after its reversal a sale is told 17, and nothing else is",
            Self::Vouchers => "no serial number or PIN is given in two sales, or without an approval",
            Self::Performed => "no supplier was asked for one RRN twice, or performed it twice",
            Self::Settled => "all accounts add up to zero; nothing stays reserved or under way",
            Self::Money => "the networks paid for what stands, and for nothing else",
            Self::Parked => "no reversal waits for an operator",
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

/// How often a rule was looked at, how often it was broken, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Judged<A> {
    held: u64,
    broken: u64,
    examples: Vec<(A, String)>,
}

/// What was judged, by rule; `A` says about what.
#[derive(Clone, Debug)]
pub(crate) struct Faults<A>(BTreeMap<Rule, Judged<A>>);

impl<A> Default for Faults<A> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<A> Faults<A> {
    /// Counts a case of a rule; `what` says how it was broken.
    pub(crate) fn judge(&mut self, rule: Rule, held: bool, about: A, what: impl FnOnce() -> String) {
        self.judge_of(rule, held, || about, what);
    }

    /// The same, where it takes time to say about what.
    pub(crate) fn judge_of(
        &mut self,
        rule: Rule,
        held: bool,
        about: impl FnOnce() -> A,
        what: impl FnOnce() -> String,
    ) {
        let judged = self.0.entry(rule).or_insert(Judged { held: 0, broken: 0, examples: Vec::new() });
        if held {
            judged.held += 1;
            return;
        }
        judged.broken += 1;
        if judged.examples.len() < EXAMPLES_MAX {
            judged.examples.push((about(), what()));
        }
    }

    /// Adds what was judged elsewhere, and says in words what it was about.
    pub(crate) fn add<B>(&mut self, other: &Faults<B>, about: impl Fn(&B) -> A) {
        for (rule, judged) in &other.0 {
            let sum = self.0.entry(*rule).or_insert(Judged { held: 0, broken: 0, examples: Vec::new() });
            sum.held += judged.held;
            sum.broken += judged.broken;
            let room = EXAMPLES_MAX - sum.examples.len().min(EXAMPLES_MAX);
            sum.examples
                .extend(judged.examples.iter().take(room).map(|(at, what)| (about(at), what.clone())));
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Which rule.
    pub rule: Rule,
    /// How many cases held.
    pub held: u64,
    /// How many did not.
    pub broken: u64,
    /// The first of them.
    pub examples: Vec<String>,
}

/// The table at the end of a load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// One line a rule that was looked at.
    pub rules: Vec<Line>,
}

impl Verdict {
    pub(crate) fn of(faults: Faults<String>) -> Self {
        let line = |(rule, judged): (Rule, Judged<String>)| Line {
            rule,
            held: judged.held,
            broken: judged.broken,
            examples: judged.examples.into_iter().map(|(about, what)| format!("{about}: {what}")).collect(),
        };
        Self { rules: faults.0.into_iter().map(line).collect() }
    }

    /// Whether no rule was broken.
    pub fn holds(&self) -> bool {
        self.rules.iter().all(|line| line.broken == 0)
    }

    /// The line of a rule, where it was looked at.
    pub fn line(&self, rule: Rule) -> Option<&Line> {
        self.rules.iter().find(|line| line.rule == rule)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<19} {:>9} {:>7}", "rule", "held", "broken")?;
        for line in &self.rules {
            let (name, says) = (line.rule.name(), line.rule.says());
            writeln!(f, "{name:<19} {:>9} {:>7}  {says}", line.held, line.broken)?;
            for example in &line.examples {
                writeln!(f, "    {example}")?;
            }
        }
        let looked = |rule: &Rule| self.line(*rule).is_some();
        let missing: Vec<_> = Rule::ALL.iter().filter(|rule| !looked(rule)).map(|rule| rule.name()).collect();
        if !missing.is_empty() {
            writeln!(f, "no case of: {}", missing.join(", "))?;
        }
        write!(
            f,
            "{}",
            if self.holds() { "everything held" } else { "BROKEN: what was told is not what was done" }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_examples_are_kept_and_all_are_counted() {
        let mut faults = Faults::default();
        for number in 0..25 {
            faults.judge(Rule::Approved, number % 5 == 0, number, || format!("number {number}"));
        }
        let mut words = Faults::default();
        words.add(&faults, |number| format!("sale {number}"));
        let verdict = Verdict::of(words);
        let line = verdict.line(Rule::Approved).expect("a line");
        assert_eq!((line.held, line.broken, line.examples.len()), (5, 20, EXAMPLES_MAX));
        assert_eq!(line.examples[0], "sale 1: number 1");
        assert!(!verdict.holds() && verdict.to_string().contains("BROKEN"));
        assert!(verdict.to_string().contains("no case of: answered, nothing-else"));
    }

    #[test]
    fn what_was_never_broken_holds() {
        let mut faults = Faults::default();
        faults.judge(Rule::Repeats, true, String::new(), String::new);
        let verdict = Verdict::of(faults);
        assert!(verdict.holds() && verdict.to_string().ends_with("everything held"));
    }
}
