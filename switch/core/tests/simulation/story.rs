//! What the log says of every flight, told apart from `State`: the checker's own books.

use std::collections::HashMap;
use switchyard_core::account::Account;
use switchyard_core::catalogue::Service;
use switchyard_core::fact::{Fact, Proof};
use switchyard_core::ids::{FlightNo, NetworkId, SupplierId};
use switchyard_core::log::Lsn;
use switchyard_core::operate::Act;
use switchyard_core::outcome::Verdict;
use switchyard_core::text::Text;

/// How a flight stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    Asked,
    Sold,
    Approved,
    Declined,
    Doubt,
    Settled,
    Parked,
}

/// One try at a supplier.
#[derive(Clone, Debug)]
pub(crate) struct Try {
    pub(crate) supplier: SupplierId,
    pub(crate) rrn: Text<12>,
    /// Where the fact lies that allows it.
    pub(crate) at: Lsn,
}

/// A flight.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    pub(crate) key: u128,
    pub(crate) contents: u64,
    pub(crate) service: Service,
    pub(crate) tries: Vec<Try>,
    pub(crate) stand: Stand,
    /// Where its answer lies.
    pub(crate) answered_at: Option<Lsn>,
    /// Where the fact lies that its newest reversal needs.
    pub(crate) doubted_at: Option<Lsn>,
    network: NetworkId,
    amount: i64,
    reserved: bool,
}

/// All flights, and the positions of networks.
#[derive(Default)]
pub(crate) struct Stories {
    pub(crate) flights: HashMap<FlightNo, Story>,
    pub(crate) posted: HashMap<NetworkId, i64>,
    pub(crate) reserved: HashMap<NetworkId, i64>,
    keys: HashMap<u128, FlightNo>,
}

impl Stories {
    /// Takes the next fact in, and says where the log breaks a rule.
    pub(crate) fn tell(&mut self, at: Lsn, fact: &Fact<'_>) {
        match fact {
            Fact::Contradicted { .. } => panic!("the suppliers here do not contradict themselves"),
            Fact::Named { .. }
            | Fact::Day { .. }
            | Fact::Stock(_)
            | Fact::Replayed { .. }
            | Fact::Seen { .. }
            | Fact::CutOver { .. } => {}
            Fact::Undo { .. } => panic!("no terminal reverses yet"),
            Fact::Operated(action) => self.operated(&action.act),
            Fact::Deposit { account, amount, .. } => {
                let Account::Network(network) = account else { panic!("only networks are paid into here") };
                *self.posted.entry(*network).or_default() += amount.0;
            }
            Fact::Intent { flight, .. } => {
                self.open(at, flight, Stand::Asked);
                *self.reserved.entry(flight.network).or_default() += flight.amount.0;
            }
            Fact::Sale { flight, outcome, .. } => {
                assert_eq!(outcome.verdict, Verdict::Approved);
                self.open(at, flight, Stand::Sold);
                *self.posted.entry(flight.network).or_default() -= flight.amount.0;
            }
            Fact::Moved { flight, proof, attempt, .. } => {
                let story = self.story(*flight, &[Stand::Asked]);
                assert!(matches!(proof, Proof::NeverSent | Proof::Refused(_)));
                assert_eq!(usize::from(attempt.number), story.tries.len() + 1);
                assert!(
                    story.tries.iter().all(|before| before.supplier != attempt.supplier),
                    "nobody is asked twice"
                );
                let rrn = flight.rrn(attempt.number);
                story.tries.push(Try { supplier: attempt.supplier, rrn, at });
            }
            Fact::Outcome { outcome, .. } => {
                let approved = outcome.verdict == Verdict::Approved;
                let story = self.story(outcome.flight, &[Stand::Asked]);
                story.stand = if approved { Stand::Approved } else { Stand::Declined };
                story.answered_at = Some(at);
                let (network, amount) = (story.network, story.amount);
                if approved {
                    *self.posted.entry(network).or_default() -= amount;
                }
                self.give_back(outcome.flight);
            }
            Fact::Doubt { outcome, .. } => {
                assert_eq!(outcome.verdict, Verdict::Unknown);
                let story = self.story(outcome.flight, &[Stand::Asked]);
                story.stand = Stand::Doubt;
                story.answered_at = Some(at);
                story.doubted_at = Some(at);
            }
            Fact::Settled { flight, .. } => {
                self.story(*flight, &[Stand::Doubt]).stand = Stand::Settled;
                self.give_back(*flight);
            }
            Fact::Parked { flight, .. } => {
                let story = self.story(*flight, &[Stand::Doubt]);
                story.stand = Stand::Parked;
                if story.reserved {
                    let (network, amount) = (story.network, story.amount);
                    *self.posted.entry(network).or_default() -= amount;
                }
                self.give_back(*flight);
            }
            Fact::Late { flight, approved, .. } => {
                let story = self.story(*flight, &[Stand::Doubt, Stand::Settled, Stand::Parked]);
                if *approved && story.stand == Stand::Settled {
                    story.stand = Stand::Doubt;
                    story.doubted_at = Some(at);
                }
            }
        }
    }

    /// Only credits and debits are part of the account.
    fn operated(&mut self, act: &Act) {
        match *act {
            Act::Credited { network, amount } => *self.posted.entry(network).or_default() += amount.0,
            Act::Debited { network, amount } => *self.posted.entry(network).or_default() -= amount.0,
            _ => {}
        }
    }

    /// How many flights a supplier has in a phase.
    pub(crate) fn count(&self, supplier: SupplierId, stand: Stand) -> usize {
        let there = |story: &&Story| {
            story.stand == stand && story.tries.last().is_some_and(|t| t.supplier == supplier)
        };
        self.flights.values().filter(there).count()
    }

    fn open(&mut self, at: Lsn, flight: &switchyard_core::flight::Flight, stand: Stand) {
        let before = self.keys.insert(flight.key, flight.number);
        assert_eq!(before, None, "performed-once: a key is admitted twice");
        let rrn = flight.number.rrn(flight.attempt.number);
        let story = Story {
            key: flight.key,
            contents: flight.contents,
            service: flight.service().expect("a kind of service"),
            tries: vec![Try { supplier: flight.attempt.supplier, rrn, at }],
            stand,
            answered_at: (stand == Stand::Sold).then_some(at),
            doubted_at: None,
            network: flight.network,
            amount: flight.amount.0,
            reserved: stand == Stand::Asked,
        };
        assert!(self.flights.insert(flight.number, story).is_none(), "a flight's number is given twice");
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

    fn give_back(&mut self, flight: FlightNo) {
        let Some(story) = self.flights.get_mut(&flight) else { return };
        if std::mem::take(&mut story.reserved) {
            *self.reserved.entry(story.network).or_default() -= story.amount;
        }
    }
}
