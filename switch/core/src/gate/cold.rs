//! Requests that memory has given to runs: looked for, and given.
//!
//! Owns: the way of a ticket whose key may lie in a run, and what is asked of whoever writes runs.
//! Invariants: a ticket that comes back goes on exactly as if the run had been memory; two tickets of one key that are away at the same time are still one
//! performance, because memory is asked again first; a run that cannot be read is 96, never a new sale (S-3).
//! Deliberately absent: files, and what a run looks like (`index::run`).

use super::Gate;
use crate::code::Code;
use crate::ids::Now;
use crate::index::{Hour, Run, Spill};
use crate::seek::{Found, Seek, SeekBy};
use crate::ticket::{Errand, Ticket};

/// Entries that leave memory for each request that comes, once they lie in a run: faster than new ones come.
const LEAVE_PER_REQUEST: usize = 2;
/// Entries that leave memory in a second in which few requests come.
const LEAVE_PER_PULSE: usize = 8_192;

impl Gate {
    /// Whether a run may have the ticket's key, newer than run number `after`. The usual answer costs a look at one filter, or at none.
    pub(super) fn may_lie_in_a_run(&mut self, ticket: &Ticket, after: u32) -> bool {
        self.state.index.leave(LEAVE_PER_REQUEST);
        let runs = self.state.index.runs();
        !runs.is_empty() && runs.may_hold(ticket.request.key, Hour::of_local(&ticket.request.local), after)
    }

    /// Sends the ticket to the keeper, to look for its key.
    pub(super) fn seek(&mut self, mut ticket: Box<Ticket>) {
        self.counters.sought += 1;
        ticket.errand = Errand::Seek;
        ticket.seek = Seek {
            by: SeekBy::Key,
            value: ticket.request.key,
            hour: Hour::of_local(&ticket.request.local),
            upto: self.state.index.runs().newest(),
            found: Found::Nothing,
        };
        self.releases.seek(ticket);
    }

    /// A ticket came back from the keeper.
    pub fn sought(&mut self, now: Now, mut ticket: Box<Ticket>) {
        ticket.errand = Errand::Ask;
        if let Some(entry) = self.in_memory(ticket.request.key) {
            return self.repeat(now, ticket, entry);
        }
        match ticket.seek.found {
            Found::Entry(entry) => self.repeat(now, ticket, entry),
            Found::Unreadable => self.refuse(now, ticket, Code::FAULT),
            // What was in memory when it left may lie in a newer run by now.
            Found::Nothing if self.may_lie_in_a_run(&ticket, ticket.seek.upto) => self.seek(ticket),
            Found::Nothing => self.admit(now, ticket),
        }
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

    /// Once a second: what lies in a run leaves memory though nobody asks anything, and what is too old goes. The number of a run whose file is to be removed.
    ///
    /// Age is counted from the newest request, not from the clock: a clock that jumps makes nobody forget.
    pub fn age(&mut self) -> Option<u32> {
        let index = &mut self.state.index;
        index.leave(LEAVE_PER_PULSE);
        let newest_ms = index.newest_ms();
        let repeatable_ms = newest_ms.saturating_sub(self.options.repeatable_ms);
        index.age(repeatable_ms, newest_ms.saturating_sub(self.options.reversible_ms))
    }
}
