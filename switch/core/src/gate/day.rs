//! Business days: which one counts, and how one is closed (S-16).
//!
//! Owns: the gate's half of days: one begins when the last is over, or is closed by a network's message or an operator.
//! Invariants: a business day is not taken back; a cut-over that is repeated closes no other day, and gets the same answer; no clock begins a day that lies more than `CALENDAR_LEAP_MS_MAX`
//! after the requests before, until it has stayed there for a day; a day that begins out of turn is told.
//! Deliberately absent: the calendar (`stamp`).

use super::{Alert, Gate, answer_with};
use crate::catalogue::Network;
use crate::code::Code;
use crate::fact::Fact;
use crate::ids::Now;
use crate::operate::LastCutOver;
use crate::outcome::{Outcome, Verdict};
use crate::stamp;
use crate::state::{BELIEVED_MS, Day};
use crate::ticket::Ticket;

/// How far the clock may be ahead of the requests before and begin a business day at once, 31 days: no switch stands still for longer, and a day is not taken back. A clock that is further ahead
/// begins one when it has stayed there for a day (`State::aged_ms`).
pub const CALENDAR_LEAP_MS_MAX: u64 = 31 * 24 * 3_600_000;

impl Gate {
    pub(super) fn day_digits(&self, now: Now, ticket: &Ticket) -> [u8; 4] {
        let network = ticket.catalogue.as_ref().and_then(|c| c.networks.get(ticket.request.network as usize));
        network.map_or_else(|| stamp::month_day(now.wall_ms), |network| self.day_at(now, network).digits())
    }

    /// The network's business day at `now`, whether it has begun or not.
    pub fn day_at(&self, now: Now, network: &Network) -> Day {
        stamp::day_at(self.state.day(network.id), self.calendar_ms(now), &network.cut_over)
    }

    /// The time that business days follow: the clock, or where that is far ahead of the requests before the time of those.
    fn calendar_ms(&self, now: Now) -> u64 {
        match self.state.aged_ms() {
            0 => now.wall_ms,
            aged_ms if now.wall_ms > aged_ms + CALENDAR_LEAP_MS_MAX => aged_ms,
            _ => now.wall_ms,
        }
    }

    /// Whether the network's business day is ahead of the calendar: it was closed early, or a wrong clock began it.
    pub(super) fn is_day_ahead(&self, now: Now, network: &Network) -> bool {
        let calendar = stamp::business_day(self.calendar_ms(now), &network.cut_over);
        self.day_at(now, network).date > calendar.date
    }

    /// The network's business day; begins the next one when the last is over (S-16).
    pub(super) fn day(&mut self, now: Now, network: &Network) -> [u8; 4] {
        let day = self.day_at(now, network);
        let before = self.state.day(network.id);
        if before != Some(day) {
            // Asked before this fact is one of the requests that the clock is compared with.
            let leapt = before.filter(|_| now.wall_ms > self.state.aged_ms() + BELIEVED_MS);
            if let Some(before) = leapt {
                self.alert(Alert::DayLeapt { network: network.code, before: before.date, date: day.date });
            }
            self.record(&Fact::Day { network: network.id, date: day.date, until_ms: day.until_ms });
            self.counters.days += 1;
        }
        day.digits()
    }

    /// The day that begins when the network's is closed now.
    pub(super) fn day_after(&self, now: Now, network: &Network) -> Day {
        stamp::next_day(self.day_at(now, network), self.calendar_ms(now), &network.cut_over)
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
        // It is another cut-over, and is believed (S-16); who meant the one before sends it under a STAN of its own.
        if self.is_day_ahead(now, network) {
            self.alert(Alert::ClosedAgain { network: network.code, closed: today.date, date: next.date });
        }
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
