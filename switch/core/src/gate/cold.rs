//! Requests that memory has given to runs: looked for, and given.
//!
//! Owns: the way of a ticket whose key, or whose original, may lie in a run; and what is asked of whoever writes runs.
//! Invariants: a ticket that comes back goes on exactly as if the run had been memory; two tickets of one key that are away at the same time are still one
//! performance, because memory is asked again first; what was spilled while a ticket was away is looked for again; a run that cannot be read is 96, never a
//! new sale (S-3).
//! Deliberately absent: files, and what a run looks like (`index::run`).

use super::{Alert, Gate};
use crate::code::Code;
use crate::ids::Now;
use crate::index::{Entry, Run, Spill, Standing};
use crate::request::{Kind, Request};
use crate::reversal::Named;
use crate::seek::Seek;
use crate::ticket::{Errand, Ticket};

/// Entries that leave memory for each request that comes, once they lie in a run: faster than new ones come.
const LEAVE_PER_REQUEST: usize = 8;
/// Entries that leave memory in a second in which few requests come.
const LEAVE_PER_PULSE: usize = 8_192;

impl Gate {
    /// Whether the ticket must go to the keeper first, because a run that it has not seen may hold what it asks for. For a new request that costs a look at one
    /// filter, or at none.
    pub(super) fn must_seek(&self, ticket: &Ticket) -> bool {
        let runs = self.state.index.runs();
        let after = if self.knows_more(ticket) { 0 } else { ticket.seek.upto };
        if runs.is_empty() || runs.newest() == after {
            return false;
        }
        let request = &ticket.request;
        match request.kind {
            Kind::CutOver => false,
            Kind::Sale => self.own_may_lie(request, after),
            Kind::Reversal => self.own_may_lie(request, after) || self.original_may_lie(ticket, after),
            Kind::Inquiry => request.refusal.is_none() && self.original_may_lie(ticket, after),
        }
    }

    /// Whether memory has learnt, while the ticket was away, which key the original's name belongs to (a repeat came with it): nobody has looked for that key yet.
    fn knows_more(&self, ticket: &Ticket) -> bool {
        let key = match ticket.request.kind {
            Kind::Reversal | Kind::Inquiry => self.names_of(ticket).key,
            Kind::Sale | Kind::CutOver => None,
        };
        key.is_some() && key != ticket.seek.original.key && key != ticket.seek.found.key
    }

    fn own_may_lie(&self, request: &Request, after: u32) -> bool {
        self.state.index.runs().may_hold(request.key, after) && self.in_memory(request.key).is_none()
    }

    fn original_may_lie(&self, ticket: &Ticket, after: u32) -> bool {
        let index = &self.state.index;
        let Named { key, named } = self.names_of(ticket);
        let cold = |key: u128| index.runs().may_ever_hold(key, after) && self.in_memory(key).is_none();
        // A name counts for more than a key, so a key in memory does not spare looking for the name.
        let by_name = |named: u128| index.runs().may_name(named, after) && !index.knows_name(named);
        named.is_some_and(by_name) || key.is_some_and(cold) || ticket.seek.found.key.is_some_and(cold)
    }

    /// What the ticket names its original by: where memory knows whose name it is, by that key; where it only knows that the name was blocked, by the key given.
    fn names_of(&self, ticket: &Ticket) -> Named {
        let given = ticket.request.original;
        let Some(key) = given.named.and_then(|named| self.state.index.key_of_named(named)) else {
            return given;
        };
        let blocked = self.in_memory(key).is_some_and(|entry| entry.standing == Standing::Blocked);
        Named { key: given.key.filter(|_| blocked).or(Some(key)), named: None }
    }

    /// Sends the ticket to the keeper, to look into the runs.
    pub(super) fn seek(&mut self, mut ticket: Box<Ticket>) {
        self.counters.sought += 1;
        ticket.errand = Errand::Seek;
        let request = &ticket.request;
        let own = matches!(request.kind, Kind::Sale | Kind::Reversal).then_some(request.key);
        let original = self.names_of(&ticket);
        let upto = self.state.index.runs().newest();
        ticket.seek = Seek { own, original, upto, ..Seek::default() };
        self.releases.seek(ticket);
    }

    /// A ticket came back from the keeper.
    pub fn sought(&mut self, now: Now, mut ticket: Box<Ticket>) {
        ticket.errand = Errand::Ask;
        if ticket.seek.found.unreadable {
            return self.refuse(now, ticket, Code::FAULT);
        }
        self.look_up(now, ticket);
    }

    pub(super) fn in_memory(&self, key: u128) -> Option<Entry> {
        let index = &self.state.index;
        index.by_key(key).and_then(|number| index.entry(number)).copied()
    }

    /// The entry under the ticket's own key, wherever it lies.
    pub(super) fn own(&self, ticket: &Ticket) -> Option<Entry> {
        self.in_memory(ticket.request.key).or(ticket.seek.found.own)
    }

    /// What a reversal or an inquiry names, wherever it lies: by its key of S-5, else by that of S-1. A sale that is there goes before one that was only blocked: an
    /// earlier reversal may have named it by a transmission time that never arrived here.
    pub(super) fn original(&self, ticket: &Ticket) -> Option<Entry> {
        let (index, given, found) = (&self.state.index, ticket.request.original, &ticket.seek.found);
        let named = given.named.and_then(|named| index.by_named(named));
        let named = named.and_then(|number| index.entry(number)).copied();
        let sought = found.key.and_then(|key| self.in_memory(key)).or(found.original);
        let by_key = given.key.and_then(|key| self.in_memory(key));
        let there = |entry: &Entry| entry.standing != Standing::Blocked;
        named.filter(there).or(sought.filter(there)).or(by_key).or(sought).or(named)
    }

    /// The oldest requests, when there are too many in memory: to be written to a run, and told of by [`Gate::spilled`] or [`Gate::not_spilled`].
    pub fn spill(&mut self) -> Option<Spill> {
        self.state.spill(self.options.duplicate_bytes_max)
    }

    /// A run is on disk, and the keeper looks into it: what it holds may leave memory.
    pub fn spilled(&mut self, run: Run) {
        self.state.index.spilled(run);
    }

    /// A run could not be written. Its entries stay in memory; when that is full, sales get 96.
    pub fn not_spilled(&mut self) {
        self.state.index.not_spilled();
    }

    /// What lies in a run leaves memory as requests come.
    pub(super) fn make_room(&mut self) {
        self.leave(LEAVE_PER_REQUEST);
    }

    fn leave(&mut self, count: usize) {
        if self.state.index.has_leavers() {
            let comes_ms = self.state.aged_ms().saturating_sub(self.options.repeatable_ms);
            self.state.index.leave(count, comes_ms);
        }
    }

    /// Somebody is told when the clock has leapt ahead.
    fn watch_clock(&mut self) {
        let ahead = self.state.is_clock_ahead();
        if ahead && !self.clock_ahead {
            self.alert(Alert::ClockAhead);
        }
        self.clock_ahead = ahead;
    }

    /// Once a second: what lies in a run leaves memory though nobody asks anything, and what is too old goes. The number of a run whose file is to be removed.
    ///
    /// Age is counted by the time of requests, and not at once where that leaps ahead: a clock that jumps makes nobody forget.
    pub fn age(&mut self) -> Option<u32> {
        self.leave(LEAVE_PER_PULSE);
        self.watch_clock();
        let now_ms = self.state.aged_ms();
        let repeatable_ms = now_ms.saturating_sub(self.options.repeatable_ms);
        self.state.index.age(repeatable_ms, now_ms.saturating_sub(self.options.reversible_ms))
    }
}
