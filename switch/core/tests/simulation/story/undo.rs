//! What the log says of reversals from terminals: what each one named, and whether it undid that.

use super::{Held, Stand, Stories, Story, add};
use crate::world::CREDITS_MAX;
use switchyard_core::code::Code;
use switchyard_core::flight::Flight;
use switchyard_core::ids::FlightNo;
use switchyard_core::log::Lsn;
use switchyard_core::outcome::{Outcome, Verdict};
use switchyard_core::request::Request;
use switchyard_core::reversal::{Named, Reversal, Taken, Undone};

/// What a reversal that was sent wants undone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) named: Named,
    /// Minor units; 0: it names no amount.
    pub(crate) amount: i64,
}

/// What something names, as the log has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Flight(FlightNo),
    /// It was blocked before it came, at that position.
    Blocked(Lsn),
}

/// A reversal that was accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Undo {
    pub(crate) at: Lsn,
    pub(crate) key: u128,
    pub(crate) contents: u64,
    pub(crate) named: Named,
    /// The key of its original, where that was there.
    pub(crate) original: Option<u128>,
}

impl Stories {
    /// What a reversal or an inquiry names.
    pub(crate) fn find(&self, named: Named) -> Option<Found> {
        let blocked = |key: Option<u128>| key.and_then(|key| self.blocked.get(&key)).copied();
        let flight = |key: u128| self.keys.get(&key).copied().map(Found::Flight);
        let by_named = named.named.and_then(|named| self.names.get(&named)).and_then(|key| flight(*key));
        by_named
            .or_else(|| flight(named.key?))
            .or_else(|| blocked(named.key).into_iter().chain(blocked(named.named)).min().map(Found::Blocked))
    }

    /// Where the first reversal lies of anything that an inquiry names. A sale that was let in since, by the key that no reversal gave, changes nothing about that.
    pub(crate) fn undone_at(&self, named: Named) -> Option<Lsn> {
        let keys = [named.key, named.named].into_iter().flatten();
        let blocked = keys.filter_map(|key| self.blocked.get(&key).copied());
        let flight = match self.find(named) {
            Some(Found::Flight(number)) => self.flights[&number].reversed_at,
            _ => None,
        };
        blocked.chain(flight).min()
    }

    /// Whether different reversals have this key.
    pub(crate) fn is_ambiguous(&self, key: u128) -> bool {
        self.ambiguous.contains(&key)
    }

    /// Where the first reversal lies that a request for a sale comes after.
    pub(crate) fn reversed_at(&self, request: &Request) -> Option<Lsn> {
        let blocked = |key| self.blocked.get(&key).copied();
        let flight = self.keys.get(&request.key).and_then(|number| self.flights.get(number));
        let reversed = flight.and_then(|story| story.reversed_at);
        [blocked(request.key), blocked(request.named), reversed].into_iter().flatten().min()
    }

    /// Whether a sale is there under the key and with the contents of a request.
    pub(crate) fn is_there(&self, request: &Request) -> bool {
        let flight = self.keys.get(&request.key).and_then(|number| self.flights.get(number));
        flight.is_some_and(|story| story.contents == request.contents)
    }

    /// What of a reversal's keys no earlier one blocked.
    fn unblocked(&self, named: Named) -> Named {
        let free = |key: &u128| !self.blocked.contains_key(key);
        Named { key: named.key.filter(free), named: named.named.filter(free) }
    }

    pub(super) fn undo(
        &mut self,
        at: Lsn,
        at_ms: u64,
        reversal: &Reversal,
        outcome: &Outcome<'_>,
        undone: &Undone,
    ) {
        assert_eq!((outcome.verdict, outcome.code), (Verdict::Approved, Code::APPROVED));
        assert_eq!(outcome.flight, reversal.number);
        self.booked(reversal.network, outcome.day);
        let wanted = *self.wanted.get(&(reversal.key, reversal.contents)).expect("somebody sent it");
        let mut original = None;
        match (self.find(wanted.named), undone) {
            (None | Some(Found::Blocked(_)), undone @ (Undone::Blocked(_) | Undone::Again)) => {
                let rest = self.unblocked(wanted.named);
                let right = if rest == Named::default() { Undone::Again } else { Undone::Blocked(rest) };
                assert_eq!(*undone, right);
                let keys = [rest.key, rest.named].into_iter().flatten();
                self.blocked.extend(keys.map(|key| (key, at)));
            }
            (Some(Found::Flight(number)), undone) => {
                original = Some(self.flights[&number].key);
                self.undo_flight((at, at_ms), number, wanted.amount, outcome.day, undone);
            }
            other => panic!("a reversal of {wanted:?} is told wrong: {other:?}"),
        }
        let Reversal { key, contents, .. } = *reversal;
        if self.contents.insert(key, contents).is_some_and(|before| before != contents) {
            self.ambiguous.insert(key);
        }
        let undo = Undo { at, key, contents, named: wanted.named, original };
        assert!(self.undos.insert(reversal.number, undo).is_none(), "a reversal's number is given twice");
    }

    /// A sale that an earlier reversal meant. By which name it came is not in the fact.
    pub(super) fn recognised(&mut self, at: (Lsn, u64), day: [u8; 4], undone: &Undone) {
        let number = undone.flight().expect("a sale is recognised");
        assert!(!self.blocked.is_empty(), "{number} is recognised, and no reversal named what was not there");
        assert_ne!(*undone, Undone::Again);
        self.undo_flight(at, number, 0, day, undone);
    }

    fn undo_flight(
        &mut self,
        (at, at_ms): (Lsn, u64),
        number: FlightNo,
        amount: i64,
        day: [u8; 4],
        undone: &Undone,
    ) {
        let story = self.flights.get_mut(&number).expect("just found");
        let again = story.reversed_at.is_some();
        assert_eq!(again, *undone == Undone::Again, "one original is reversed once (S-7)");
        if again {
            return;
        }
        story.reversed_at = Some(at);
        let whole = amount == 0 || amount == story.amount;
        match undone {
            Undone::Open(original) => {
                assert!(whole, "reversals are whole (S-6)");
                assert_eq!((original.key, original.flight), (story.key, number));
                let open = [Stand::Asked, Stand::Doubt, Stand::Settled, Stand::Parked, Stand::Closed];
                assert!(open.contains(&story.stand), "{number} is {:?}", story.stand);
            }
            Undone::Nothing(original) => {
                assert!(whole, "reversals are whole, also of what does not stand (S-6)");
                assert_eq!((original.key, original.flight), (story.key, number));
                assert!(
                    matches!(story.stand, Stand::Declined | Stand::Settled | Stand::Closed),
                    "{:?}",
                    story.stand
                );
            }
            Undone::Sold { flight, taken, .. } => {
                assert!(whole, "reversals are whole (S-6)");
                self.take_back((at, at_ms), flight, day, *taken);
            }
            Undone::Blocked(_) | Undone::Again => panic!("{number} is there, and was {undone:?}"),
        }
    }

    /// An approved sale is taken back.
    fn take_back(&mut self, (at, at_ms): (Lsn, u64), flight: &Flight, day: [u8; 4], taken: Taken) {
        let number = flight.number;
        let Story { stand, network, amount, terminal, account, .. } = self.flights[&number];
        let tried = self.flights[&number].last().clone();
        assert_eq!((flight.attempt.supplier, flight.attempt.stan), (tried.supplier, tried.stan));
        let (stand, held) = match taken {
            Taken::Asked { stan } => {
                assert_eq!(stand, Stand::Approved);
                self.claim(at_ms, tried.supplier, stan, number);
                add(&mut self.suppliers, tried.supplier, -amount);
                add(&mut self.suspense, tried.supplier, amount);
                let story = self.flights.get_mut(&number).expect("it is there");
                (story.undo_stan, story.doubted_at) = (stan, Some(at));
                (Stand::Doubt, Held::Suspense)
            }
            Taken::Withdrawn { credited } => {
                assert_eq!(stand, Stand::Sold);
                let credits = self.credits.entry((terminal, day)).or_default();
                assert_eq!(credited, *credits < CREDITS_MAX, "credits of {terminal} (S-10)");
                *credits += u16::from(credited);
                self.withdrawn += 1;
                add(&mut self.suppliers, tried.supplier, -amount);
                if credited {
                    add(&mut self.posted, network, amount);
                    (Stand::Withdrawn, Held::Nothing)
                } else {
                    add(&mut self.suspense, tried.supplier, amount);
                    (Stand::Parked, Held::Suspense)
                }
            }
            Taken::Unloaded => {
                assert_eq!(stand, Stand::Sold);
                add(&mut self.wallets, account, -amount);
                assert!(self.wallets[&account] >= 0, "a wallet gives what it does not have");
                add(&mut self.posted, network, amount);
                (Stand::Unloaded, Held::Nothing)
            }
            Taken::Spent => {
                assert_eq!(stand, Stand::Sold);
                assert!(self.wallets[&account] < amount, "what is there can be taken back");
                (Stand::Parked, Held::Nothing)
            }
        };
        let story = self.flights.get_mut(&number).expect("it is there");
        (story.stand, story.held) = (stand, held);
    }
}
