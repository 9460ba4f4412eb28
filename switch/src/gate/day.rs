//! The gate's side of the days that conduits answer with.
//!
//! Owns: when a day that began is shown. Invariants: not before its fact is durable, for it stands in answers then (`durable-before-visible`); a turn in which none began
//! costs a comparison.
//! Deliberately absent: when days begin (the core's).

use super::GateActor;
use switchyard_core::log::Lsn;

/// How far days are shown.
#[derive(Debug, Default)]
pub(super) struct DaysShown {
    /// How many had begun when that was looked at last.
    seen: u64,
    /// The end of the log then, while it is not durable.
    due: Option<Lsn>,
}

impl GateActor {
    /// Shows the days of all networks when one began and that is durable.
    pub(super) fn show_days(&mut self, durable: Lsn) {
        let days = self.gate.counters.days;
        if days != self.days_shown.seen {
            self.days_shown = DaysShown { seen: days, due: Some(self.gate.state().last) };
        }
        if self.days_shown.due.is_some_and(|at| at < durable) {
            self.days_shown.due = None;
            self.show_all_days();
        }
    }

    pub(super) fn show_all_days(&self) {
        let state = self.gate.state();
        for network in &self.gate.catalogue().networks {
            if let Some(day) = state.day(network.id) {
                self.board.days.show(network.id, day);
            }
        }
    }
}
