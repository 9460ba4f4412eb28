//! Business days: which one counts, and how one is closed (S-16).
//!
//! Owns: the gate's half of days: one begins when the last is over, or is closed by a network's message or an operator.
//! Invariants: a business day is not taken back; a cut-over that is repeated closes no other day, and gets the same answer.
//! Deliberately absent: the calendar (`stamp`).

use super::{Gate, answer_with};
use crate::catalogue::Network;
use crate::code::Code;
use crate::fact::Fact;
use crate::ids::Now;
use crate::operate::LastCutOver;
use crate::outcome::{Outcome, Verdict};
use crate::stamp;
use crate::state::Day;
use crate::ticket::Ticket;

impl Gate {
    pub(super) fn day_digits(&self, now: Now, ticket: &Ticket) -> [u8; 4] {
        let network = ticket.catalogue.as_ref().and_then(|c| c.networks.get(ticket.request.network as usize));
        network.map_or_else(|| stamp::month_day(now.wall_ms), |network| self.day_at(now, network).digits())
    }

    /// The network's business day at `now`, whether it has begun or not.
    pub fn day_at(&self, now: Now, network: &Network) -> Day {
        stamp::day_at(self.state.day(network.id), now.wall_ms, &network.cut_over)
    }

    /// The network's business day; begins the next one when the last is over (S-16).
    pub(super) fn day(&mut self, now: Now, network: &Network) -> [u8; 4] {
        let day = self.day_at(now, network);
        if self.state.day(network.id) != Some(day) {
            self.record(&Fact::Day { network: network.id, date: day.date, until_ms: day.until_ms });
            self.counters.days += 1;
        }
        day.digits()
    }

    /// The day that begins when the network's is closed now.
    pub(super) fn day_after(&self, now: Now, network: &Network) -> Day {
        stamp::next_day(self.day_at(now, network), now.wall_ms, &network.cut_over)
    }

    /// An incoming cut-over: 00, and the network's day is closed (S-16), once however often the message comes.
    pub(super) fn cut_over(&mut self, now: Now, ticket: Box<Ticket>) {
        let catalogue = ticket.catalogue.clone().unwrap_or_default();
        let Some(network) = catalogue.networks.get(ticket.request.network as usize) else {
            return self.refuse(now, ticket, Code::NETWORK);
        };
        let (stan, transmission) = (ticket.request.stan, ticket.request.transmission);
        let today = self.day_at(now, network);
        let last = self.state.controls().last_cut_over(network.id);
        let repeated =
            |last: &LastCutOver| last.is_repeated_by(stan, transmission, ticket.mti.is_repeat(), today.date);
        if let Some(last) = last.filter(repeated) {
            return self.cut_over_done(ticket, Day { date: last.date, ..Day::default() });
        }
        let next = self.day_after(now, network);
        self.record(&Fact::CutOver {
            at_ms: now.wall_ms,
            network: network.id,
            date: next.date,
            until_ms: next.until_ms,
            stan,
            transmission,
        });
        self.counters.days += 1;
        self.cut_over_done(ticket, next);
    }

    /// Answers once everything up to here is durable: a repeat may come before the cut-over itself is.
    fn cut_over_done(&mut self, mut ticket: Box<Ticket>, begun: Day) {
        let outcome = Outcome {
            flight: self.number(),
            verdict: Verdict::Approved,
            code: Code::APPROVED,
            day: begun.digits(),
            ..Outcome::default()
        };
        answer_with(&mut ticket, &outcome);
        let at = self.state.last;
        self.releases.ticket(at, at, ticket, false);
    }
}
