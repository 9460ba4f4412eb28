//! Whether the yard has more to do than it can, and how much of its window a connection has meanwhile.
//!
//! Owns: `Pressure`, what the system says of the thread's time, looked at now and then; one for all conduits of a thread.
//! Invariants: idle time takes pressure away, whoever asked last; a window is whole without it, and never less than a quarter.
//! Deliberately absent: what is done about refusals (`restraint`), and windows themselves (`shared`). Waiting for a processor that others use counts as work: then there is
//! more to do than can be done, too.

use crate::machine::ThreadTime;
use std::cell::Cell;
use std::time::Duration;
use tokio::time::Instant;

/// How long one look holds; who waits for pressure to end looks again after it.
pub(super) const LOOK: Duration = Duration::from_millis(20);
/// Idle time below one in so many is pressure: what the yard's own work makes it wait for is in it, its disk and its suppliers.
const IDLE_MIN: u32 = 4;
/// Idle time below one in so many is none: what more is taken then makes nothing sooner.
const IDLE_NONE: u32 = 20;
/// Idle time above one in so many is some: more could be done.
const IDLE_SOME: u32 = 10;
/// Idle time is that of so long: whoever sends or answers pauses now and then.
const SMOOTH: Duration = Duration::from_millis(160);
/// A whole window shrinks to nothing in so long: what is under way must end before less is seen of it.
const SHRINK: Duration = Duration::from_millis(800);
/// And nothing grows to a whole one: what waits unread is there at once.
const GROW: Duration = Duration::from_millis(200);

/// A whole window.
const WHOLE: u32 = 1_024;
/// The least of it.
const LEAST: u32 = WHOLE / 4;

/// The pressure on the yard that this is used on.
#[derive(Debug)]
pub struct Pressure {
    time: ThreadTime,
    looked: Cell<Instant>,
    /// Time wanted until then.
    wanted: Cell<Duration>,
    is_full: Cell<bool>,
    /// Idle time lately, in parts of [`WHOLE`].
    idle: Cell<u32>,
    /// What a connection has of its window, in parts of [`WHOLE`].
    share: Cell<u32>,
}

impl Pressure {
    /// None so far, on this thread.
    pub fn new(now: Instant) -> Self {
        let time = ThreadTime::of_this_thread();
        let wanted = Cell::new(time.wanted());
        Self {
            time,
            looked: Cell::new(now),
            wanted,
            is_full: Cell::default(),
            idle: Cell::new(WHOLE),
            share: Cell::new(WHOLE),
        }
    }

    /// Looks again when it is time to.
    pub(super) fn look(&self, now: Instant) {
        if now.saturating_duration_since(self.looked.get()) >= LOOK {
            self.learn(now, self.time.wanted());
        }
    }

    /// Whether there was hardly any idle time lately.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.get()
    }

    /// How many requests a connection with this window may have open. While there is no idle time at all, ever less: more under way than keeps the yard busy makes no sale
    /// sooner and each one dearer, since its memory is no longer at hand when its answer comes. What is not taken waits unread.
    pub(super) fn window(&self, window: u32) -> u32 {
        let part = u64::from(window) * u64::from(self.share.get()) / u64::from(WHOLE);
        // Not more than the window, so that it fits.
        (part as u32).max(1)
    }

    fn learn(&self, now: Instant, wanted: Duration) {
        let passed = now.saturating_duration_since(self.looked.replace(now));
        let idle = passed.saturating_sub(wanted.saturating_sub(self.wanted.replace(wanted)));
        self.is_full.set(idle * IDLE_MIN < passed);
        let fresh = parts(passed, SMOOTH);
        let lately = (self.idle.get() * (WHOLE - fresh) + parts(idle, passed) * fresh) / WHOLE;
        self.idle.set(lately);
        let share = self.share.get();
        if lately * IDLE_NONE < WHOLE {
            self.share.set(share.saturating_sub(parts(passed, SHRINK)).max(LEAST));
        } else if lately * IDLE_SOME > WHOLE {
            self.share.set((share + parts(passed, GROW)).min(WHOLE));
        }
    }
}

/// How much that is of the whole, in parts of [`WHOLE`]; more than all of it is all of it.
fn parts(part: Duration, whole: Duration) -> u32 {
    let parts = part.as_micros() * u128::from(WHOLE) / whole.as_micros().max(1);
    parts.min(u128::from(WHOLE)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A pressure that learns of so much time wanted in each look.
    fn looks(pressure: &Pressure, count: u32, wanted: Duration) {
        for _ in 0..count {
            pressure.learn(pressure.looked.get() + LOOK, pressure.wanted.get() + wanted);
        }
    }

    #[test]
    fn hardly_any_idle_time_is_pressure_and_some_is_none() {
        let pressure = Pressure::new(Instant::now());
        looks(&pressure, 1, ms(18));
        assert!(pressure.is_full());
        looks(&pressure, 1, ms(14));
        assert!(!pressure.is_full(), "more than a quarter of it was idle");
        looks(&pressure, 1, ms(20));
        assert!(pressure.is_full());
        pressure.learn(pressure.looked.get() + ms(8_000), pressure.wanted.get() + ms(20));
        assert!(!pressure.is_full());
    }

    #[test]
    fn a_window_shrinks_while_nothing_is_idle_and_is_whole_soon_after() {
        let pressure = Pressure::new(Instant::now());
        assert_eq!(pressure.window(128), 128);
        looks(&pressure, 40, ms(20));
        assert!((33..128).contains(&pressure.window(128)), "{}", pressure.window(128));
        looks(&pressure, 1_000, ms(20));
        assert_eq!((pressure.window(128), pressure.window(1)), (32, 1));
        // One pause says little, and a little idle time is as it should be.
        looks(&pressure, 1, ms(12));
        looks(&pressure, 100, Duration::from_micros(18_600));
        assert_eq!(pressure.window(128), 32);
        looks(&pressure, 15, ms(10));
        assert_eq!(pressure.window(128), 128);
    }

    #[test]
    fn after_a_long_pause_a_window_is_whole() {
        let pressure = Pressure::new(Instant::now());
        looks(&pressure, 1_000, ms(20));
        pressure.learn(pressure.looked.get() + ms(1_000), pressure.wanted.get());
        assert_eq!(pressure.window(128), 128);
    }
}
