//! A sale that a reversal meant before anybody could know (S-4, S-5).
//!
//! A reversal may name its original by a transmission time that never arrived here, while the sale came by a repeat with another one. Nothing links the two: the reversal is answered
//! 00, and the name is blocked. When the message with that time comes after all, it has the sale's key: now it is known which sale the reversal meant.
//!
//! Owns: undoing that sale then, in the one fact that says it.
//! Invariants: nothing stands that was answered as reversed, once that can be known; the message gets 17 in any case (S-4); one original is reversed once.
//! Deliberately absent: guessing before that message comes. A key of S-5 says nothing of that of S-1.

use super::{Alert, Gate, network};
use crate::fact::Fact;
use crate::ids::Now;
use crate::index::{Entry, Standing};
use crate::log::Lsn;
use crate::reversal::{Original, Recalled, Undone};
use crate::ticket::{Errand, Ticket};

impl Gate {
    /// A message whose key is known, and whose key or name was blocked: what stands under its key is undone.
    pub(super) fn recognise(&mut self, now: Now, ticket: Box<Ticket>, entry: &Entry) {
        // Other contents are another request (S-1): it is the one that the reversal named, and nothing of it stands.
        let same = entry.contents == ticket.request.contents;
        let open = self.state.flight(entry.flight).copied();
        match (entry.standing, open) {
            (Standing::Cancelled | Standing::Blocked, _) => {}
            _ if !same => {}
            (Standing::Approved, None) => return self.recognise_sold(now, ticket, entry),
            (_, Some(flight)) => {
                self.recognised(now, &ticket, Undone::Open(Original::from(&flight)));
                self.unsend(now, &flight);
            }
            (Standing::Answered | Standing::InFlight, None) => {
                self.recognised(now, &ticket, Undone::Nothing(Original::of(entry)));
            }
        }
        self.tell_cancelled(now, ticket);
    }

    /// An approved sale: read from the journal first, then taken back.
    fn recognise_sold(&mut self, now: Now, mut ticket: Box<Ticket>, entry: &Entry) {
        let recalled = ticket.recalled.take().filter(|recalled| recalled.flight.number == entry.flight);
        let Some(recalled) = recalled else {
            return self.recall(entry.outcome_at, ticket, entry, Errand::Original);
        };
        let Recalled { flight, link, effect, .. } = *recalled;
        // What it adds to a full index is an entry, where its own has left memory.
        let room = self.in_memory(entry.key).is_some() || !self.is_reserve_full();
        let taken = if room { self.taken(now, &ticket, &flight, effect) } else { None };
        let Some(taken) = taken else {
            self.reversals_full(now, flight.attempt.supplier);
            return self.not_recognised(now, ticket);
        };
        let at = self.recognised(now, &ticket, Undone::Sold { flight: Box::new(flight), link, taken });
        self.follow(now, at, &flight, taken);
        self.tell_cancelled(now, ticket);
    }

    /// What a reversal meant cannot be undone now: somebody is told. The message may come again.
    pub(super) fn not_recognised(&mut self, now: Now, ticket: Box<Ticket>) {
        if let Some(entry) = self.own(&ticket) {
            self.alert(Alert::Standing { flight: entry.flight });
        }
        self.tell_cancelled(now, ticket);
    }

    fn recognised(&mut self, now: Now, ticket: &Ticket, undone: Undone) -> Lsn {
        let catalogue = ticket.catalogue.clone().unwrap_or_default();
        network(&catalogue, ticket).map(|network| self.day(now, network));
        let day = self.day_digits(now, ticket);
        self.counters.recognised += 1;
        self.record(&Fact::Recognised { at_ms: now.wall_ms, day, undone })
    }
}
