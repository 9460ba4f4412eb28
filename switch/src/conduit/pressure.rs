//! Whether the yard has more to do than it can.
//!
//! Owns: `Pressure`, what the runtime says of its own busy time, looked at now and then; one for all conduits of a thread. Invariants: idle time takes it away,
//! whoever asked last.
//! Deliberately absent: what is done about it (`restraint`). A processor that others use counts as busy: then there is more to do than can be done, too.

use std::cell::Cell;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// How long one look holds; who waits for pressure to end looks again after it.
pub(super) const LOOK: Duration = Duration::from_millis(20);
/// Idle time below one in so many is none: what the yard's own work makes it wait for is in it, its disk and its suppliers.
const IDLE_MIN: u32 = 4;

/// The pressure on the yard that this is used on.
#[derive(Debug)]
pub struct Pressure {
    looked: Cell<Instant>,
    /// Busy time until then.
    busy: Cell<Duration>,
    is_full: Cell<bool>,
}

impl Pressure {
    /// None so far.
    pub fn new(now: Instant) -> Self {
        Self { looked: Cell::new(now), busy: Cell::default(), is_full: Cell::default() }
    }

    /// Whether there was hardly any idle time lately.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        if now.saturating_duration_since(self.looked.get()) >= LOOK {
            self.look(now, busy_time());
        }
        self.is_full.get()
    }

    fn look(&self, now: Instant, busy: Duration) {
        let passed = now.saturating_duration_since(self.looked.replace(now));
        let idle = passed.saturating_sub(busy.saturating_sub(self.busy.replace(busy)));
        self.is_full.set(idle * IDLE_MIN < passed);
    }
}

/// Busy time of this thread's runtime, which has one worker.
fn busy_time() -> Duration {
    Handle::try_current().map_or(Duration::ZERO, |handle| handle.metrics().worker_total_busy_duration(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardly_any_idle_time_is_pressure_and_some_is_none() {
        let began = Instant::now();
        let ms = Duration::from_millis;
        let pressure = Pressure::new(began);
        pressure.look(began + ms(20), ms(18));
        assert!(pressure.is_full.get());
        pressure.look(began + ms(40), ms(32));
        assert!(!pressure.is_full.get(), "more than a quarter of it was idle");
        pressure.look(began + ms(1_040), ms(1_030));
        assert!(pressure.is_full.get());
        pressure.look(began + ms(9_040), ms(1_050));
        assert!(!pressure.is_full.get());
    }
}
