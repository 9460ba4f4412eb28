//! Whether the yard has more to do than it can, and how many messages are under way at once meanwhile.
//!
//! Owns: `Pressure`, what the system says of the thread's time, looked at now and then; one for all conduits of a thread.
//! Invariants: idle time takes pressure away, whoever asked last; without it nothing is limited, and never to fewer than [`LEAST`]; a limit that makes
//! the yard wait is left, and not come back to soon.
//! Deliberately absent: what is done about refusals (`restraint`), tickets and who waits for them (`budget`). Waiting for a processor that others use counts as work: then there is
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
/// While nothing is idle, what may be under way shrinks to some third in so long: what is under way must end before less is seen of it.
const SHRINK: Duration = Duration::from_millis(400);
/// What was too few is tried again after some time: it is forgotten to a third in so long.
const FORGET: Duration = Duration::from_secs(10);
/// While something is, it doubles in so long: what waits unread is there at once.
const GROW: Duration = Duration::from_millis(40);

/// The whole, of which idle time is a part.
const WHOLE: u32 = 1_024;
/// So many messages under way keep the yard busy, and what belongs to them lies in a processor's second cache.
const LEAST: u32 = 256;

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
    /// Messages that may be under way before a sale is taken.
    sales_max: Cell<u32>,
    /// Fewer were too few lately: there was idle time while sales waited, for much is under way at a slow supplier.
    least: Cell<u32>,
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
            sales_max: Cell::new(u32::MAX),
            least: Cell::new(LEAST),
        }
    }

    /// Looks again when it is time to, while so many messages are under way and sales wait for tickets or do not. Whether it was.
    pub(super) fn look(&self, now: Instant, under_way: u32, sales_wait: bool) -> bool {
        let due = now.saturating_duration_since(self.looked.get()) >= LOOK;
        if due {
            self.learn(now, self.time.wanted(), under_way, sales_wait);
        }
        due
    }

    /// Whether there was hardly any idle time lately.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.get()
    }

    /// While so many messages are under way, no sale is taken. While there is no idle time at all, ever fewer: more than keeps the yard busy makes no sale sooner and each one
    /// dearer, since its memory is no longer at hand when its answer comes. What is not taken waits unread.
    pub(super) fn sales_max(&self) -> u32 {
        self.sales_max.get()
    }

    fn learn(&self, now: Instant, wanted: Duration, under_way: u32, sales_wait: bool) {
        let passed = now.saturating_duration_since(self.looked.replace(now));
        let idle = passed.saturating_sub(wanted.saturating_sub(self.wanted.replace(wanted)));
        self.is_full.set(idle * IDLE_MIN < passed);
        let fresh = parts(passed, SMOOTH).min(WHOLE);
        let lately = (self.idle.get() * (WHOLE - fresh) + parts(idle, passed) * fresh) / WHOLE;
        self.idle.set(lately);
        if lately * IDLE_NONE < WHOLE {
            self.shrink(passed, under_way);
        } else if lately * IDLE_SOME > WHOLE {
            self.grow(passed, under_way, sales_wait);
        }
    }

    fn shrink(&self, passed: Duration, under_way: u32) {
        let least = self.least.get();
        self.least.set(least.saturating_sub(part(least, parts(passed, FORGET)).max(1)).max(LEAST));
        // What nobody uses is not worth shrinking step by step.
        let used = self.sales_max.get().min(under_way);
        let fewer = used.saturating_sub(part(used, parts(passed, SHRINK)));
        self.sales_max.set(fewer.max(least));
    }

    fn grow(&self, passed: Duration, under_way: u32, sales_wait: bool) {
        let most = self.sales_max.get();
        let more = most.saturating_add(part(most, parts(passed, GROW)));
        self.sales_max.set(more);
        if sales_wait {
            self.least.set(more.min(under_way.saturating_mul(2)).max(LEAST));
        }
    }
}

/// How much that is of the whole, in parts of [`WHOLE`].
fn parts(part: Duration, whole: Duration) -> u32 {
    let parts = part.as_micros() * u128::from(WHOLE) / whole.as_micros().max(1);
    u32::try_from(parts).unwrap_or(u32::MAX)
}

/// So many parts of [`WHOLE`] of `of`.
fn part(of: u32, parts: u32) -> u32 {
    let part = u64::from(of) * u64::from(parts) / u64::from(WHOLE);
    u32::try_from(part).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Under way while it looks.
    const UNDER_WAY: u32 = 2_048;

    /// A pressure that learns of so much time wanted in each look.
    fn looks(pressure: &Pressure, count: u32, wanted: Duration) {
        for _ in 0..count {
            pressure.learn(pressure.looked.get() + LOOK, pressure.wanted.get() + wanted, UNDER_WAY, false);
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
        pressure.learn(pressure.looked.get() + ms(8_000), pressure.wanted.get() + ms(20), 0, false);
        assert!(!pressure.is_full());
    }

    #[test]
    fn fewer_are_taken_while_nothing_is_idle_and_all_soon_after() {
        let pressure = Pressure::new(Instant::now());
        assert_eq!(pressure.sales_max(), u32::MAX);
        looks(&pressure, 40, ms(20));
        assert!((LEAST..UNDER_WAY).contains(&pressure.sales_max()), "{}", pressure.sales_max());
        looks(&pressure, 1_000, ms(20));
        assert_eq!(pressure.sales_max(), LEAST);
        // One pause says little, and a little idle time is as it should be.
        looks(&pressure, 1, ms(12));
        looks(&pressure, 100, Duration::from_micros(18_600));
        assert_eq!(pressure.sales_max(), LEAST);
        looks(&pressure, 15, ms(10));
        assert!(pressure.sales_max() > 16_384, "{}", pressure.sales_max());
    }

    #[test]
    fn what_is_under_way_at_a_slow_supplier_stands_in_nobodys_way() {
        const HELD: u32 = 1_000;
        let pressure = Pressure::new(Instant::now());
        let mut idle = 0;
        for _ in 0..3_000 {
            // With some more than what is held the yard is busy; with no more it waits.
            let waits = pressure.sales_max() <= HELD + LEAST / 2;
            idle += u32::from(waits);
            let wanted = pressure.wanted.get() + if waits { ms(0) } else { LOOK };
            let under_way = pressure.sales_max().min(HELD + UNDER_WAY);
            pressure.learn(pressure.looked.get() + LOOK, wanted, under_way, true);
        }
        assert!((1..60).contains(&idle), "{idle} of 3,000 looks in vain");
        // When it has answered, fewer are enough again.
        looks(&pressure, 3_000, ms(20));
        assert_eq!(pressure.sales_max(), LEAST);
    }

    #[test]
    fn after_a_long_pause_nothing_is_limited() {
        let pressure = Pressure::new(Instant::now());
        looks(&pressure, 1_000, ms(20));
        for _ in 0..2 {
            pressure.learn(pressure.looked.get() + ms(1_000), pressure.wanted.get(), 0, false);
        }
        assert!(pressure.sales_max() > 16_384, "{}", pressure.sales_max());
        looks(&pressure, 100_000, ms(0));
        assert_eq!(pressure.sales_max(), u32::MAX);
    }
}
