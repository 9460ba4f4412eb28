//! After a start: what was in doubt is resolved by itself.
//!
//! Owns: step 5 of the recovery: an intent without an outcome becomes a doubt, every doubt's reversal goes out again.
//! Invariants: a request in doubt is reversed, never sent again (S-13); nothing here leaves before its fact is durable.
//! Deliberately absent: reading the log (the journal's).

use super::{Gate, unknown_outcome};
use crate::fact::{Cause, Fact};
use crate::flight::{Flight, Phase};
use crate::ids::Now;
use crate::log::Log;
use crate::text::Text;

/// What recovery found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Intents that had no outcome.
    pub doubted: usize,
    /// Reversals that go out again.
    pub reversals: usize,
}

impl Gate {
    /// Turns what is open into doubts and queues their reversals, in order of admission. Call it once, before the conduits open.
    ///
    /// `write` is called with the log whenever its batch is full, and takes it: more may be in doubt than one batch holds.
    ///
    /// # Errors
    /// Those of `write`: the start has failed, and the next one resolves the rest.
    pub fn recover<E>(
        &mut self,
        now: Now,
        mut write: impl FnMut(&mut Log) -> Result<(), E>,
    ) -> Result<Recovered, E> {
        let mut open: Vec<Flight> = self
            .state
            .flights()
            .filter(|flight| matches!(flight.phase, Phase::Asked | Phase::Doubt))
            .copied()
            .collect();
        open.sort_unstable_by_key(|flight| flight.number);
        let mut recovered = Recovered::default();
        for flight in open {
            if self.log.is_full() {
                write(&mut self.log)?;
            }
            let mut at = self.state.last;
            if flight.phase == Phase::Asked {
                let outcome = unknown_outcome(&flight);
                at = self.record(&Fact::Doubt { at_ms: now.wall_ms, cause: Cause::Crash, outcome });
                self.counters.unknown += 1;
                recovered.doubted += 1;
            }
            let supplier = flight.attempt.supplier;
            // Nobody is there who could send it: an operator settles it, or has it sent again when the supplier is back (S-9).
            if self.catalogue.supplier_of(supplier).is_none() {
                self.park(now, flight.number, Text::EMPTY);
                continue;
            }
            self.supplies[usize::from(supplier.0)].reopened(flight.undo_stan());
            self.advise(at, supplier, flight.number);
            recovered.reversals += 1;
        }
        Ok(recovered)
    }
}
