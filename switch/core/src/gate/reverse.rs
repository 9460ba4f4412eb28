//! Reversals: an 04xx from a terminal, in every order that it may come in (S-4 to S-10, R-32).
//!
//! Owns: finding the original, deciding what is undone, and the one fact that says it.
//! Invariants: a reversal of something known or unknown ends in 00 and blocks its original for good (S-4); it is answered as soon as it is durable, without
//! waiting for the supplier (S-7); one original is reversed once at its supplier, whoever asked for it.
//! Deliberately absent: terminal, merchant, product, amount limits, positions: nothing that could keep a reversal out (S-7).
//!
//! The way: [`Gate::reverse`] → `original` → `undo` → the fact → [`Gate::release`]; an approved sale is first read from the journal by the keeper.

use super::{Alert, Gate, answer_with, network};
use crate::account::Account;
use crate::adapter::LocalEffect;
use crate::code::Code;
use crate::fact::Fact;
use crate::flight::{Flight, Phase};
use crate::ids::{FlightNo, Now, SupplierId};
use crate::index::{Entry, Standing};
use crate::log::Lsn;
use crate::money::Minor;
use crate::outcome::{Outcome, Verdict};
use crate::request::Kind;
use crate::reversal::{Named, Original, Recalled, Reversal, Taken, Undone};
use crate::ticket::{Errand, Ticket};

/// How often it is told that too many reversals are open, microseconds.
const FULL_TOLD_US: u64 = 60_000_000;

impl Gate {
    /// A reversal: its own repeat gets its stored answer, anything else undoes what it names.
    pub(super) fn reverse(&mut self, now: Now, ticket: Box<Ticket>) {
        match self.own(&ticket) {
            Some(entry) if entry.contents == ticket.request.contents && entry.standing.has_answer() => {
                self.counters.repeats += 1;
                self.recall(entry.outcome_at, ticket, &entry, Errand::Recall);
            }
            _ if self.is_reserve_full() => self.refuse(now, ticket, Code::FAULT),
            _ => self.undo(now, ticket),
        }
    }

    /// Whether the reserve of an eighth of the window that reversals have is full too (S-19).
    pub(super) fn is_reserve_full(&self) -> bool {
        self.state.index.bytes() / 9 >= self.options.duplicate_bytes_max / 8
    }

    /// An original came under the name that a reversal had blocked. Its repeats have other names, so its key is blocked from now on (S-4).
    pub(super) fn block_key(&mut self, now: Now, ticket: &Ticket) {
        if !self.is_reserve_full() {
            let (key, named) = (ticket.request.key, ticket.request.named);
            self.record(&Fact::Blocked { at_ms: now.wall_ms, key, named });
        }
    }

    /// A ticket that comes back from the keeper. Meanwhile a reversal may have come, the very same one too, or another sale that it names.
    pub fn recalled(&mut self, now: Now, ticket: Box<Ticket>) {
        match (ticket.errand, ticket.recalled.is_some()) {
            // Meanwhile its entry may have left memory.
            (Errand::Original, true) => self.look_up(now, ticket),
            (Errand::Original, false) if ticket.request.kind == Kind::Sale => {
                self.not_recognised(now, ticket)
            }
            // The journal cannot be read there: 96, and the reversal comes again.
            (Errand::Original, false) => self.refuse(now, ticket, Code::FAULT),
            (Errand::Cancelled, _) => {
                let recalled = ticket.recalled.as_ref();
                let day = recalled.map(|recalled| recalled.flight.day).unwrap_or_default();
                self.tell_cancelled_of(now, ticket, day);
            }
            _ if self.is_reversed(&ticket) => match ticket.request.kind {
                Kind::Sale => self.tell_cancelled(now, ticket),
                _ => self.tell(now, ticket, Code::CANCELLED),
            },
            // Its entry may have left memory meanwhile, cancelled perhaps.
            _ if self.must_seek(&ticket) => self.seek(ticket),
            _ => self.releases.now(ticket),
        }
    }

    /// Whether what a stored answer is about was reversed (S-4).
    fn is_reversed(&self, ticket: &Ticket) -> bool {
        let request = &ticket.request;
        let entry = match request.kind {
            Kind::Sale => self.own(ticket),
            Kind::Inquiry => self.original(ticket),
            Kind::Reversal | Kind::CutOver => None,
        };
        entry.is_some_and(|entry| entry.standing == Standing::Cancelled)
    }

    fn undo(&mut self, now: Now, ticket: Box<Ticket>) {
        let there = self.original(&ticket).filter(|entry| entry.standing != Standing::Blocked);
        let Some(entry) = there else {
            return self.block(now, ticket);
        };
        let open = self.state.flight(entry.flight).copied();
        match (entry.standing, open) {
            (Standing::Cancelled | Standing::Blocked, _) => {
                self.undo_nothing(now, ticket, &entry, Undone::Again);
            }
            (_, Some(flight)) => self.cancel(now, ticket, &flight),
            (Standing::Approved, None) => self.take_back(now, ticket, &entry),
            (Standing::Answered | Standing::InFlight, None) => {
                self.undo_nothing(now, ticket, &entry, Undone::Nothing(Original::of(&entry)));
            }
        }
    }

    /// Nothing of the original stands: declined, unknown and over, or reversed before. A reversal that names an amount is compared with it all the same: who reverses a part
    /// believes that the rest stands, and must not be told that it does (S-6). Where it is not open any more its amount is in the journal only.
    fn undo_nothing(&mut self, now: Now, mut ticket: Box<Ticket>, entry: &Entry, undone: Undone) {
        if ticket.request.amount != Minor::ZERO {
            let recalled = ticket.recalled.take().and_then(|recalled| recalled.amount_of(entry.flight));
            let open = self.state.flight(entry.flight).map(|flight| flight.amount);
            let Some(amount) = open.or(recalled) else {
                return self.recall(entry.outcome_at, ticket, entry, Errand::Original);
            };
            if amount != Minor::ZERO && !whole(&ticket, amount) {
                return self.refuse_partial(now, ticket, entry.flight);
            }
        }
        self.accept(now, ticket, undone);
    }

    /// Nothing is there: whatever comes by one of these keys is blocked, also where an earlier reversal gave only the other one.
    fn block(&mut self, now: Now, ticket: Box<Ticket>) {
        let named = ticket.request.original;
        let index = &self.state.index;
        let rest = Named {
            key: named.key.filter(|key| index.by_key(*key).is_none()),
            named: named.named.filter(|named| index.by_named(*named).is_none()),
        };
        if rest == Named::default() {
            self.accept(now, ticket, Undone::Again);
            return;
        }
        self.counters.blocked += 1;
        self.accept(now, ticket, Undone::Blocked(rest));
    }

    /// The original, or its doubt, is open: it is cancelled. What was not sent yet is not sent at all.
    fn cancel(&mut self, now: Now, ticket: Box<Ticket>, flight: &Flight) {
        if !whole(&ticket, flight.amount) {
            return self.refuse_partial(now, ticket, flight.number);
        }
        self.accept(now, ticket, Undone::Open(Original::from(flight)));
        self.unsend(now, flight);
    }

    /// What is cancelled and was not sent yet is not sent at all.
    pub(super) fn unsend(&mut self, now: Now, flight: &Flight) {
        if flight.phase == Phase::Asked
            && let Some(order) = self.releases.withdraw(flight.number)
        {
            let flight = Flight { cancelled: true, ..*flight };
            self.declined(now, flight, order, Code::CANCELLED);
        }
    }

    /// An approved sale: read from the journal first, then taken back.
    fn take_back(&mut self, now: Now, mut ticket: Box<Ticket>, entry: &Entry) {
        // What was read while this ticket was away may be another sale than the one that it names by now.
        let recalled = ticket.recalled.take().filter(|recalled| recalled.flight.number == entry.flight);
        let Some(recalled) = recalled else {
            return self.recall(entry.outcome_at, ticket, entry, Errand::Original);
        };
        let Recalled { flight, link, effect, .. } = *recalled;
        if !whole(&ticket, flight.amount) {
            return self.refuse_partial(now, ticket, flight.number);
        }
        let Some(taken) = self.taken(now, &ticket, &flight, effect) else {
            self.reversals_full(now, flight.attempt.supplier);
            return self.refuse(now, ticket, Code::FAULT);
        };
        let at = self.accept(now, ticket, Undone::Sold { flight: Box::new(flight), link, taken });
        self.follow(now, at, &flight, taken);
    }

    /// What follows from a sale that was taken back at `at`.
    pub(super) fn follow(&mut self, now: Now, at: Lsn, flight: &Flight, taken: Taken) {
        if taken.is_parked() {
            self.count_parked(now, flight.attempt.supplier);
        }
        match taken {
            Taken::Asked { .. } => self.advise(at, flight.attempt.supplier, flight.number),
            Taken::Withdrawn { credited } => {
                self.counters.withdrawn += 1;
                if !credited {
                    self.alert(Alert::Credits { flight: flight.number, terminal: flight.terminal });
                }
            }
            Taken::Spent => self.alert(Alert::Spent { flight: flight.number }),
            Taken::Unloaded => {}
        }
    }

    /// How an approved sale is taken back; none while too many reversals are open, or too many of its supplier's are parked.
    pub(super) fn taken(
        &mut self,
        now: Now,
        ticket: &Ticket,
        flight: &Flight,
        effect: Option<LocalEffect>,
    ) -> Option<Taken> {
        let (supplier, full) = (flight.attempt.supplier, self.is_parked_full(flight.attempt.supplier));
        let taken = match effect {
            None => {
                if full || self.state.open_flights() >= self.options.reversals_max {
                    return None;
                }
                Taken::Asked { stan: self.undo_stan(now, supplier)? }
            }
            Some(LocalEffect::Voucher { .. }) => {
                let day = self.day_digits(now, ticket);
                let credits = self.state.withdrawn.credits(flight.terminal, day);
                Taken::Withdrawn { credited: credits < self.options.voucher_credits_max }
            }
            Some(LocalEffect::Load { account, amount }) => {
                let left = self.state.accounts.balance(Account::Wallet(account)).posted;
                if left >= amount { Taken::Unloaded } else { Taken::Spent }
            }
        };
        (!(full && taken.is_parked())).then_some(taken)
    }

    /// Too many reversals are open, or parked at that supplier: somebody is told once a minute, and not with each that is refused.
    pub(super) fn reversals_full(&mut self, now: Now, supplier: SupplierId) {
        if self.is_parked_full(supplier) {
            return self.refuse_parked(now, supplier);
        }
        if now.mono_us >= self.full_again_us {
            self.full_again_us = now.mono_us + FULL_TOLD_US;
            self.alert(Alert::ReversalsFull);
        }
    }

    /// Another amount than the original's: refused, and nothing is reversed (S-6).
    fn refuse_partial(&mut self, now: Now, ticket: Box<Ticket>, flight: FlightNo) {
        self.counters.partial += 1;
        self.alert(Alert::Partial { flight });
        self.refuse(now, ticket, Code::AMOUNT);
    }

    /// Records a reversal and what it undid; its answer leaves when that is durable, on every conduit (S-17).
    fn accept(&mut self, now: Now, mut ticket: Box<Ticket>, undone: Undone) -> Lsn {
        let catalogue = ticket.catalogue.clone().unwrap_or_default();
        let network = network(&catalogue, &ticket);
        // A reversal settles in the day in which it is accepted (S-16).
        network.map(|network| self.day(now, network));
        self.counters.reversals += 1;
        let outcome =
            Outcome { verdict: Verdict::Approved, ..self.bare_outcome(now, &ticket, Code::APPROVED) };
        let request = &ticket.request;
        let reversal = Reversal {
            number: outcome.flight,
            key: request.key,
            named: request.named,
            contents: request.contents,
            network: network.map(|network| network.id).unwrap_or_default(),
            reason: request.reason,
        };
        let dialect = self.dialect(&ticket);
        let at_ms = now.wall_ms;
        let at = self.record(&Fact::Undo { at_ms, reversal, dialect, frame: &ticket.frame, outcome, undone });
        answer_with(&mut ticket, &outcome);
        self.releases.ticket(at, at, ticket, false);
        at
    }
}

/// Whether a reversal is of the whole amount: it names none, or that one (S-6).
fn whole(ticket: &Ticket, amount: Minor) -> bool {
    ticket.request.amount == Minor::ZERO || ticket.request.amount == amount
}
