//! After a start: whose answers may still come.
//!
//! Owns: the list of attempts whose outcome was unknown shortly before, for the sessions to match, and the quarantine of their STANs.
//! Invariants: an attempt is watched through its supplier's late window, counted from when its doubt ended, and from now where it is not over; its STAN is given to
//! nobody meanwhile.
//! Deliberately absent: what a late answer changes (`heard`). Attempts that were answered in time before the start are not watched: a second answer to one of them
//! is a stray (`stray`).

use super::Gate;
use crate::flight::{Attempt, Flight, Phase};
use crate::ids::Now;
use crate::session::Watch;

impl Gate {
    /// What the sessions are to watch. Call it once, after `recover`, and hand each to its supplier's session.
    pub fn watches(&mut self, now: Now) -> Vec<Watch> {
        let mut watches: Vec<(Watch, bool)> = Vec::new();
        for flight in self.state.flights().filter(|flight| !flight.phase.is_over()) {
            let is_parked = flight.phase == Phase::Parked;
            let since_ms = if is_parked { flight.admitted_ms } else { now.wall_ms };
            // A doubt's STAN is in use: `recover` took it.
            watches.extend(
                self.watch(now, flight, flight.undo_stan(), since_ms).map(|watch| (watch, is_parked)),
            );
        }
        for (ended, flight) in self.state.settled() {
            // When a reversal was parked is not known; not before its sale was admitted. Later its STAN may be another's, also where an operator has settled it since.
            let (stan, since_ms) = match ended.stan {
                0 => (flight.undo_stan(), flight.admitted_ms),
                stan => (stan, ended.at_ms),
            };
            watches.extend(self.watch(now, flight, stan, since_ms).map(|watch| (watch, true)));
        }
        watches.sort_unstable_by_key(|(watch, _)| (watch.until_us, watch.flight));
        for (watch, is_free) in &watches {
            let supply = &mut self.supplies[usize::from(watch.supplier.0)];
            if *is_free && !supply.is_in_use(watch.stan) {
                supply.keep_back(watch.stan, watch.until_us);
            }
        }
        watches.into_iter().map(|(watch, _)| watch).collect()
    }

    /// The watch of a flight under a STAN whose late window began at `since_ms`; none where it is over, or where the supplier is not asked over a wire.
    fn watch(&self, now: Now, flight: &Flight, stan: u32, since_ms: u64) -> Option<Watch> {
        let attempt = &flight.attempt;
        let (_, supplier) = self.catalogue.supplier_of(attempt.supplier)?;
        // What contradicts a refusal, and found no STAN to be undone under, has none: that of the sale was free.
        if flight.attempt.number == Attempt::CONTRADICTED && flight.reversal_stan == 0 {
            return None;
        }
        let until_ms = since_ms + u64::from(supplier.late_window_ms);
        let left_ms = until_ms.checked_sub(now.wall_ms).filter(|left_ms| *left_ms > 0)?;
        (!supplier.local).then(|| Watch {
            supplier: attempt.supplier,
            flight: flight.number,
            attempt: attempt.number,
            stan,
            transmission: attempt.transmission,
            rrn: flight.sent_rrn(),
            // The clock may have been set back: no watch is longer than the window.
            until_us: now.mono_us + left_ms.min(u64::from(supplier.late_window_ms)) * 1_000,
        })
    }
}
