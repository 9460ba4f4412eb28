//! A session's deadlines: what is due, and what is done then.
//!
//! Owns: the kinds of deadlines, firing them, and sweeping out those that no longer matter.
//! Invariants: a deadline names the flight that it is about, and means nothing once its STAN has another; deadlines are bounded by what is open, not by what was asked.
//! Deliberately absent: the wheel itself (`wheel`), and reversals' waits (`advices`).

use super::advices::REVERSALS_A_TURN_MAX;
use super::{Report, Session};
use crate::adapter::Heard;
use crate::ids::{FlightNo, Now};

/// A deadline.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    /// The attempt with that STAN, of that flight, has had its time.
    Answer(u32, FlightNo),
    /// The late window of that STAN, of that flight, is over.
    Forget(u32, FlightNo),
    /// The reversal with that STAN, of that flight, is to be sent (again).
    Repeat(u32, FlightNo),
    /// The reversal with that STAN, of that flight, was not answered: another one may have its place.
    Yield(u32, FlightNo),
    /// Reversals that wait for a link are looked through for those that have expired.
    Expire,
    /// More reversals may be sent than the last turn was allowed to.
    Continue,
    /// The adapter asked to be woken.
    Adapter(u64),
}

/// Deadlines below which nothing is swept.
pub(super) const SWEEP_MIN: usize = 4_096;

impl Session {
    /// Most sales are answered long before their deadline, which stays in the wheel: where many do, what no longer matters goes, so that deadlines are bounded by
    /// what is open and not by what was asked. Each costs one look, as it would when it fires.
    pub(super) fn sweep(&mut self) {
        if self.wheel.len() < self.sweep_at {
            return;
        }
        let Self { wheel, open, .. } = self;
        let find = |stan: &u32, flight: &FlightNo| open.get(*stan).filter(|open| open.flight == *flight);
        wheel.retain(|due| match due {
            Due::Answer(stan, flight) => find(stan, flight).is_some_and(|open| open.asked.is_some()),
            Due::Forget(stan, flight) => find(stan, flight).is_some(),
            Due::Repeat(stan, flight) | Due::Yield(stan, flight) => {
                find(stan, flight).is_some_and(|open| open.reversal.is_some())
            }
            Due::Expire | Due::Continue | Due::Adapter(_) => true,
        });
        self.sweep_at = (2 * self.wheel.len()).max(SWEEP_MIN);
    }

    /// Fires what is due.
    pub fn tick(&mut self, now: Now) {
        self.turn_left = REVERSALS_A_TURN_MAX;
        let mut due = std::mem::take(&mut self.due);
        self.wheel.due(now.mono_us, |what| due.push(what));
        for what in due.drain(..) {
            match what {
                Due::Answer(stan, flight) => self.time_out(now, stan, flight),
                Due::Forget(stan, flight) => self.forget(now, stan, flight),
                Due::Repeat(stan, flight) => self.repeat(now, stan, flight),
                Due::Yield(stan, flight) => self.yield_place(stan, flight),
                Due::Expire => self.expire(now),
                Due::Continue => self.continuing = false,
                Due::Adapter(token) => self.hear(now, Heard::Wake(token)),
            }
        }
        self.due = due;
        self.send_reversals(now);
    }

    fn time_out(&mut self, now: Now, stan: u32, flight: FlightNo) {
        let late_until_us = now.mono_us + self.late_window_us();
        let Some(open) = self.open.get_mut(stan).filter(|open| open.flight == flight) else { return };
        let Some(mut order) = open.asked.take() else { return };
        open.late_until_us = late_until_us;
        order.link = Some(open.link);
        self.wheel.put(late_until_us, Due::Forget(stan, flight));
        self.counters.timed_out += 1;
        self.reports.push_back(Report::TimedOut(order));
    }

    fn forget(&mut self, now: Now, stan: u32, flight: FlightNo) {
        let over = self.open.get(stan).is_some_and(|open| {
            open.flight == flight
                && open.asked.is_none()
                && open.reversal.is_none()
                && open.late_until_us <= now.mono_us
        });
        if over {
            self.open.discard(stan);
        }
    }
}
