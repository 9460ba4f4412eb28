//! What the log says of every flight, told apart from `State`: the checker's own books.

mod contradiction;
mod days;
mod operating;
mod stans;
mod undo;

pub(crate) use undo::{Found, Undo, Wanted};

use stans::Stans;
use std::collections::{HashMap, HashSet};
use switchyard_core::account::Account;
use switchyard_core::adapter::LocalEffect;
use switchyard_core::catalogue::Service;
use switchyard_core::fact::{Fact, Proof};
use switchyard_core::flight::{Attempt, Flight};
use switchyard_core::ids::{FlightNo, NetworkId, ProductId, SupplierId};
use switchyard_core::log::Lsn;
use switchyard_core::outcome::Verdict;
use switchyard_core::text::Text;

/// How a flight stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    Asked,
    Sold,
    Approved,
    Declined,
    /// Nothing was performed, and its terminal had reversed it before that was known.
    Cancelled,
    /// Its outcome is unknown, or its terminal reversed it: a reversal is open at its supplier.
    Doubt,
    Settled,
    Parked,
    /// A voucher of ours that was taken back, and credited.
    Withdrawn,
    /// Stored value that was taken back.
    Unloaded,
    /// An operator ended its parked reversal.
    Closed,
}

/// Where the amount of a flight is while that is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Held {
    #[default]
    Nothing,
    Reserved,
    Suspense,
}

/// One try at a supplier.
#[derive(Clone, Debug)]
pub(crate) struct Try {
    pub(crate) supplier: SupplierId,
    pub(crate) rrn: Text<12>,
    pub(crate) stan: u32,
    /// Where the fact lies that allows it.
    pub(crate) at: Lsn,
}

/// A flight.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    pub(crate) key: u128,
    pub(crate) contents: u64,
    pub(crate) service: Service,
    /// The flight whose refusal its supplier contradicted: this one is there to undo what was approved.
    pub(crate) contradicts: Option<FlightNo>,
    pub(crate) tries: Vec<Try>,
    pub(crate) stand: Stand,
    /// What its terminals are told.
    pub(crate) verdict: Option<Verdict>,
    /// Where its answer lies.
    pub(crate) answered_at: Option<Lsn>,
    /// Where the fact lies that its newest reversal needs.
    pub(crate) doubted_at: Option<Lsn>,
    /// Where the first reversal of a terminal lies.
    pub(crate) reversed_at: Option<Lsn>,
    /// The STAN of its reversal.
    pub(crate) undo_stan: u32,
    pub(crate) held: Held,
    network: NetworkId,
    amount: i64,
    terminal: Text<8>,
    account: Text<30>,
}

impl Story {
    fn last(&self) -> &Try {
        self.tries.last().expect("a flight has a try")
    }
}

/// All flights and reversals, and what the accounts hold.
#[derive(Default)]
pub(crate) struct Stories {
    pub(crate) flights: HashMap<FlightNo, Story>,
    /// Reversals that were accepted.
    pub(crate) undos: HashMap<FlightNo, Undo>,
    /// What the reversals that were sent name, by their keys and contents.
    pub(crate) wanted: HashMap<(u128, u64), Wanted>,
    pub(crate) posted: HashMap<NetworkId, i64>,
    pub(crate) reserved: HashMap<NetworkId, i64>,
    /// What was paid in and out, of networks and of merchants.
    paid: HashMap<NetworkId, i64>,
    merchants: HashMap<Text<15>, i64>,
    pub(crate) suspense: HashMap<SupplierId, i64>,
    pub(crate) suppliers: HashMap<SupplierId, i64>,
    pub(crate) wallets: HashMap<Text<30>, i64>,
    /// Vouchers taken back.
    pub(crate) withdrawn: usize,
    /// Credits given to a terminal on a business day.
    pub(crate) credits: HashMap<(Text<8>, [u8; 4]), u16>,
    /// What operators' settlements took from networks, whatever those had.
    pub(crate) forced: HashMap<NetworkId, i64>,
    /// Terminals that operators have blocked, suppliers that they have drained.
    pub(crate) blocked_terminals: HashSet<Text<8>>,
    pub(crate) drained: HashSet<SupplierId>,
    /// Business days, YYYYMMDD.
    days: HashMap<NetworkId, u32>,
    /// RRNs that a supplier approved after it had refused or undone them, and when the switch last heard of it, Unix milliseconds.
    again: HashMap<Text<12>, u64>,
    keys: HashMap<u128, FlightNo>,
    /// Second keys, and the first key that each belongs to.
    names: HashMap<u128, u128>,
    /// Keys of either kind that a reversal blocked before anything had them, and where.
    blocked: HashMap<u128, Lsn>,
    stans: Stans,
    vouchers: HashSet<(ProductId, u32, u32)>,
    /// The contents of the reversal with that key.
    contents: HashMap<u128, u64>,
    /// Keys under which reversals with different contents came: their repeats cannot be told apart.
    ambiguous: HashSet<u128>,
}

/// Moves an amount to an account of the books.
fn add<K: std::hash::Hash + Eq>(accounts: &mut HashMap<K, i64>, key: K, amount: i64) {
    *accounts.entry(key).or_default() += amount;
}

impl Stories {
    /// Takes the next fact in, and says where the log breaks a rule.
    pub(crate) fn tell(&mut self, at: Lsn, fact: &Fact<'_>) {
        match fact {
            Fact::Contradicted { flight, undo, stan, .. } => {
                self.contradicted(at, *flight, undo.as_ref(), *stan);
            }
            Fact::Named { .. } | Fact::Stock(_) | Fact::Replayed { .. } | Fact::Stray { .. } => {}
            Fact::Day { network, date, .. } => self.day_began(*network, *date),
            Fact::CutOver { network, date, .. } => self.day_closed(*network, *date),
            Fact::Operated(action) => self.operated(at, action),
            Fact::Seen { key, named, .. } => {
                assert!(self.keys.contains_key(key));
                let before = self.names.insert(*named, *key);
                // A name that left memory is seen again.
                assert!(before.is_none_or(|before| before == *key), "a name is given to two sales");
            }
            Fact::Blocked { key, named, .. } => {
                assert!(self.blocked.contains_key(named) && !self.keys.contains_key(key));
                assert_eq!(self.blocked.insert(*key, at), None, "a key is blocked twice");
            }
            Fact::Undo { at_ms, reversal, outcome, undone, .. } => {
                self.undo(at, *at_ms, reversal, outcome, undone);
            }
            Fact::Recognised { at_ms, day, undone } => self.recognised((at, *at_ms), *day, undone),
            Fact::Deposit { account, amount, .. } => match account {
                Account::Network(network) => {
                    add(&mut self.posted, *network, amount.0);
                    add(&mut self.paid, *network, amount.0);
                }
                Account::Merchant(merchant) => add(&mut self.merchants, *merchant, amount.0),
                other => panic!("nobody pays into {other:?} here"),
            },
            Fact::Intent { flight, .. } => {
                self.open(at, flight, Stand::Asked);
                let Attempt { supplier, stan, .. } = flight.attempt;
                self.claim(flight.admitted_ms, supplier, stan, flight.number);
                add(&mut self.reserved, flight.network, flight.amount.0);
            }
            Fact::Sale { flight, outcome, effect, .. } => {
                assert_eq!(outcome.verdict, Verdict::Approved);
                self.open(at, flight, Stand::Sold);
                self.sold(flight, effect);
            }
            Fact::Moved { at_ms, flight, proof, attempt } => self.moved(at, *at_ms, *flight, *proof, attempt),
            Fact::Outcome { outcome, .. } => self.outcome(at, outcome.flight, outcome.verdict),
            Fact::Doubt { outcome, .. } => self.doubt(at, outcome),
            Fact::Settled { at_ms, flight, .. } => self.settled(*at_ms, *flight),
            Fact::Parked { at_ms, flight, .. } => self.parked(*at_ms, *flight),
            Fact::Late { at_ms, flight, approved, sealed, stan, .. } => {
                self.withdrawn += usize::from(!sealed.is_empty());
                self.late((at, *at_ms), *flight, *approved, *stan);
            }
        }
    }

    /// What the only merchant of a network must have: what was paid in, and what became of all of the network's sales.
    pub(crate) fn merchant(&self, merchant: Text<15>, network: NetworkId) -> i64 {
        let of = |amounts: &HashMap<NetworkId, i64>| amounts.get(&network).copied().unwrap_or(0);
        self.merchants.get(&merchant).copied().unwrap_or(0) + of(&self.posted) - of(&self.paid)
    }

    /// How many flights a supplier has in a phase.
    pub(crate) fn count(&self, supplier: SupplierId, stand: Stand) -> usize {
        let there = |story: &&Story| story.stand == stand && story.last().supplier == supplier;
        self.flights.values().filter(there).count()
    }

    /// What of a supplier's sales waits in suspense.
    pub(crate) fn held(&self, supplier: SupplierId) -> i64 {
        let held = |story: &&Story| story.held == Held::Suspense && story.last().supplier == supplier;
        self.flights.values().filter(held).map(|story| story.amount).sum()
    }

    fn open(&mut self, at: Lsn, flight: &Flight, stand: Stand) {
        let before = self.keys.insert(flight.key, flight.number);
        assert_eq!(before, None, "performed-once: a key is admitted twice");
        let before = self.names.insert(flight.named, flight.key);
        assert_eq!(before, None, "a second key is admitted twice");
        let blocked = [flight.key, flight.named].map(|key| self.blocked.get(&key));
        assert_eq!(blocked, [None, None], "performed-once: an original is admitted after its reversal (S-4)");
        let (supplier, stan) = (flight.attempt.supplier, flight.attempt.stan);
        assert!(!self.drained.contains(&supplier), "a drained supplier gets a sale");
        self.booked(flight.network, flight.day);
        let rrn = flight.number.rrn(flight.attempt.number);
        let sold = stand == Stand::Sold;
        let story = Story {
            key: flight.key,
            contents: flight.contents,
            service: flight.service().expect("a kind of service"),
            contradicts: None,
            tries: vec![Try { supplier, rrn, stan, at }],
            stand,
            verdict: sold.then_some(Verdict::Approved),
            answered_at: sold.then_some(at),
            doubted_at: None,
            reversed_at: None,
            undo_stan: stan,
            held: if sold { Held::Nothing } else { Held::Reserved },
            network: flight.network,
            amount: flight.amount.0,
            terminal: flight.terminal,
            account: flight.account,
        };
        assert!(self.flights.insert(flight.number, story).is_none(), "a flight's number is given twice");
    }

    fn sold(&mut self, flight: &Flight, effect: &LocalEffect) {
        add(&mut self.posted, flight.network, -flight.amount.0);
        match effect {
            LocalEffect::Voucher { product, batch, index } => {
                let fresh = self.vouchers.insert((*product, *batch, *index));
                assert!(fresh, "voucher-once: a voucher is in two sales");
                add(&mut self.suppliers, flight.attempt.supplier, flight.amount.0);
            }
            LocalEffect::Load { account, amount } => {
                assert_eq!((*account, *amount), (flight.account, flight.amount));
                add(&mut self.wallets, *account, amount.0);
            }
        }
    }

    fn moved(&mut self, at: Lsn, at_ms: u64, number: FlightNo, proof: Proof, attempt: &Attempt) {
        assert!(matches!(proof, Proof::NeverSent | Proof::Refused(_)));
        let story = self.story(number, &[Stand::Asked]);
        assert_eq!(story.reversed_at, None, "nobody else is asked after a reversal (S-12)");
        assert_eq!(usize::from(attempt.number), story.tries.len() + 1);
        assert!(
            story.tries.iter().all(|before| before.supplier != attempt.supplier),
            "nobody is asked twice"
        );
        let before = story.last().clone();
        let rrn = number.rrn(attempt.number);
        story.tries.push(Try { supplier: attempt.supplier, rrn, stan: attempt.stan, at });
        story.undo_stan = attempt.stan;
        self.free(before.supplier, before.stan, number);
        assert!(!self.drained.contains(&attempt.supplier), "a drained supplier gets a sale");
        self.claim(at_ms, attempt.supplier, attempt.stan, number);
    }

    fn outcome(&mut self, at: Lsn, number: FlightNo, verdict: Verdict) {
        let story = self.story(number, &[Stand::Asked]);
        let reversed = story.reversed_at.is_some();
        story.stand = match verdict {
            Verdict::Approved => Stand::Approved,
            Verdict::Declined => Stand::Declined,
            Verdict::Cancelled => Stand::Cancelled,
            Verdict::Unknown => panic!("what is unknown is a doubt"),
        };
        assert_eq!(reversed, verdict == Verdict::Cancelled, "a reversed sale is cancelled (S-7)");
        (story.answered_at, story.verdict) = (Some(at), Some(verdict));
        let (network, amount, tried) = (story.network, story.amount, story.last().clone());
        self.release(number);
        self.free(tried.supplier, tried.stan, number);
        if verdict == Verdict::Approved {
            add(&mut self.posted, network, -amount);
            add(&mut self.suppliers, tried.supplier, amount);
        }
    }

    fn doubt(&mut self, at: Lsn, outcome: &switchyard_core::outcome::Outcome<'_>) {
        self.withdrawn += usize::from(!outcome.sealed.is_empty());
        let story = self.story(outcome.flight, &[Stand::Asked]);
        let verdict = if story.reversed_at.is_some() { Verdict::Cancelled } else { Verdict::Unknown };
        assert_eq!(outcome.verdict, verdict);
        story.stand = Stand::Doubt;
        (story.answered_at, story.verdict) = (Some(at), Some(verdict));
        story.doubted_at = Some(at);
    }

    fn settled(&mut self, at_ms: u64, number: FlightNo) {
        let story = self.story(number, &[Stand::Doubt]);
        story.stand = Stand::Settled;
        let (network, amount, supplier) = (story.network, story.amount, story.last().supplier);
        let (held, stan) = (story.held, story.undo_stan);
        self.keep_back(at_ms, supplier, stan, number, true);
        if held == Held::Suspense {
            add(&mut self.suspense, supplier, -amount);
            add(&mut self.posted, network, amount);
        }
        self.release(number);
    }

    fn parked(&mut self, at_ms: u64, number: FlightNo) {
        let story = self.story(number, &[Stand::Doubt]);
        story.stand = Stand::Parked;
        let (network, amount, supplier) = (story.network, story.amount, story.last().supplier);
        let (held, stan) = (story.held, story.undo_stan);
        self.keep_back(at_ms, supplier, stan, number, false);
        if held == Held::Reserved {
            self.release(number);
            add(&mut self.posted, network, -amount);
            add(&mut self.suspense, supplier, amount);
        }
        if held != Held::Nothing {
            self.story(number, &[Stand::Parked]).held = Held::Suspense;
        }
    }

    fn late(&mut self, (at, at_ms): (Lsn, u64), number: FlightNo, approved: Option<bool>, stan: u32) {
        let over = [Stand::Doubt, Stand::Settled, Stand::Parked, Stand::Closed];
        let story = self.story(number, &over);
        let again = approved == Some(true) && story.stand == Stand::Settled;
        assert!(again || stan == 0, "a reversal has a STAN, and does not begin");
        if again {
            (story.stand, story.doubted_at, story.undo_stan) = (Stand::Doubt, Some(at), stan);
            let Try { supplier, rrn, .. } = *story.last();
            self.again.insert(rrn, at_ms);
            self.claim(at_ms, supplier, stan, number);
        }
    }

    fn story(&mut self, flight: FlightNo, allowed: &[Stand]) -> &mut Story {
        let story = self.flights.get_mut(&flight).expect("the fact's flight was opened before");
        assert!(
            allowed.contains(&story.stand),
            "one-terminal-outcome: {flight} is {:?}, not {allowed:?}",
            story.stand
        );
        story
    }

    /// What a flight held is nowhere of its own any more; what was reserved is free.
    fn release(&mut self, flight: FlightNo) {
        let Some(story) = self.flights.get_mut(&flight) else { return };
        if std::mem::take(&mut story.held) == Held::Reserved {
            add(&mut self.reserved, story.network, -story.amount);
        }
    }
}
