//! Inquiries: how an earlier transaction stands (0100 with processing code 30).
//!
//! Owns: the answer to them. Nothing is performed and nothing is stored (S-2), and no PIN is shown.
//! Invariants: what is open is waited for; what became of an unknown is said here (S-13).
//! Deliberately absent: balances, lookups and trials.

use super::Gate;
use crate::code::Code;
use crate::flight::Phase;
use crate::ids::Now;
use crate::index::Standing;
use crate::ticket::{Errand, Ticket};

impl Gate {
    /// An inquiry about the original that it names.
    pub(super) fn inquire(&mut self, now: Now, ticket: Box<Ticket>) {
        if let Some(code) = ticket.request.refusal {
            return self.refuse(now, ticket, code);
        }
        self.counters.inquiries += 1;
        let Some(entry) = self.original(&ticket) else {
            return self.refuse(now, ticket, Code::NOT_FOUND);
        };
        let phase = self.state.flight(entry.flight).map(|flight| flight.phase);
        match (entry.standing, phase) {
            (Standing::Cancelled | Standing::Blocked, _) => self.tell(now, ticket, Code::CANCELLED),
            (Standing::InFlight, _) => self.join(now, ticket, entry.flight),
            (_, Some(Phase::Doubt | Phase::Parked)) => self.tell(now, ticket, Code::UNKNOWN),
            (Standing::Approved | Standing::Answered, _) => {
                self.recall(entry.outcome_at, ticket, &entry, Errand::Status);
            }
        }
    }
}
