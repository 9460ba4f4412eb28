//! How many answers may still come late.
//!
//! Owns: who is told when a supplier's table of them fills. Invariants: it is told from seven eighths on, before a sale is kept from that supplier, and once a minute as long as it lasts.
//! Deliberately absent: the table and its bound (`supply`), and how long an answer may come (the supplier's late window).

use super::{Alert, Gate};
use crate::fact::NameKind;
use crate::ids::Now;

/// How often it is told of a supplier, microseconds.
const LATE_TOLD_US: u64 = 60_000_000;

impl Gate {
    /// Once a second: somebody is told of suppliers from which nearly as many late answers are awaited as may be, or as many.
    pub fn watch_late(&mut self, now: Now) {
        for (id, supply) in (0u16..).zip(&mut self.supplies) {
            supply.free_quarantined(now);
            let (late, late_max) = (supply.late(), supply.late_max);
            if late_max == 0 || late < late_max - late_max / 8 || now.mono_us < supply.late_told_us {
                continue;
            }
            supply.late_told_us = now.mono_us + LATE_TOLD_US;
            let supplier = self.state.name(NameKind::Supplier, id).unwrap_or_default();
            self.alerts.push(Alert::ManyLate { supplier, late, late_max });
        }
    }
}
