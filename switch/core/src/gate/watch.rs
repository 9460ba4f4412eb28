//! After a start: whose answers may still come.
//!
//! Owns: the list of attempts whose outcome was unknown shortly before, for the sessions to match, and the quarantine of their STANs.
//! Invariants: an attempt is watched through its supplier's late window, counted from when its doubt ended, and from now where it is not over; its STAN is given to
//! nobody meanwhile.
//! Deliberately absent: what a late answer changes (`heard`). Attempts that were answered in time before the start are not watched: a second answer to one of them
//! is unmatched, and counted.

use super::Gate;
use crate::flight::{Flight, Phase};
use crate::ids::Now;
use crate::session::Watch;

impl Gate {
    /// What the sessions are to watch. Call it once, after `recover`, and hand each to its supplier's session.
    pub fn watches(&mut self, now: Now) -> Vec<Watch> {
        let mut watches: Vec<(Watch, Phase)> = Vec::new();
        // When a reversal was parked is not known; not before its sale was admitted. Later its STAN may be another's, also where an operator has settled it since.
        for flight in self.state.flights().filter(|flight| !flight.phase.is_over()) {
            let since_ms = if flight.phase == Phase::Parked { flight.admitted_ms } else { now.wall_ms };
            watches.extend(self.watch(now, flight, since_ms).map(|watch| (watch, flight.phase)));
        }
        for (settled_ms, flight) in self.state.settled() {
            let since_ms = if flight.phase == Phase::Settled { settled_ms } else { flight.admitted_ms };
            watches.extend(self.watch(now, flight, since_ms).map(|watch| (watch, flight.phase)));
        }
        watches.sort_unstable_by_key(|(watch, _)| (watch.until_us, watch.flight));
        for (watch, phase) in &watches {
            // A doubt's STAN is in use: `recover` took it.
            if phase.is_over() || *phase == Phase::Parked {
                self.supplies[usize::from(watch.supplier.0)].keep_back(watch.stan, watch.until_us);
            }
        }
        watches.into_iter().map(|(watch, _)| watch).collect()
    }

    /// The watch of a flight whose late window began at `since_ms`; none where it is over, or where the supplier is not asked over a wire.
    fn watch(&self, now: Now, flight: &Flight, since_ms: u64) -> Option<Watch> {
        let attempt = &flight.attempt;
        let (_, supplier) = self.catalogue.supplier_of(attempt.supplier)?;
        let until_ms = since_ms + u64::from(supplier.late_window_ms);
        let left_ms = until_ms.checked_sub(now.wall_ms).filter(|left_ms| *left_ms > 0)?;
        (!supplier.local).then(|| Watch {
            supplier: attempt.supplier,
            flight: flight.number,
            attempt: attempt.number,
            stan: flight.undo_stan(),
            transmission: attempt.transmission,
            rrn: flight.sent_rrn(),
            // The clock may have been set back: no watch is longer than the window.
            until_us: now.mono_us + left_ms.min(u64::from(supplier.late_window_ms)) * 1_000,
        })
    }
}
