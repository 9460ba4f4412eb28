//! Time, as the shell reads it.
//!
//! Owns: `Clock`, from which the core gets its `Now`, and `Alarm`, the one timer of a connection or link.
//! Invariants: the core never reads a clock, it is handed a `Now` once a turn; deadlines use the monotonic clock only;
//! an alarm is moved when it must ring earlier, never when it may ring later, so a timer is not touched per frame.
//! Deliberately absent: time zones and business days (the core's `stamp`).

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::{SystemTime, UNIX_EPOCH};
use switchyard_core::ids::Now;
use tokio::time::{Instant, Sleep};

/// The process's clock. Copies agree on when the process started.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock that starts now. Make one, and hand out copies.
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// The moment, for the core. Read it once a turn.
    pub fn now(&self) -> Now {
        self.at(Instant::now())
    }

    /// The moment `instant`, which is now, for the core.
    pub fn at(&self, instant: Instant) -> Now {
        let mono = instant.saturating_duration_since(self.started);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            mono_us: u64::try_from(mono.as_micros()).unwrap_or(u64::MAX),
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The instant of a monotonic moment, for timers.
    pub fn instant(&self, mono_us: u64) -> Instant {
        self.started + std::time::Duration::from_micros(mono_us)
    }
}

/// A timer that wakes one task. Always polled from the same task.
#[derive(Debug, Default)]
pub struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Option<Instant>,
}

impl Alarm {
    /// Sees to it that the task is polled at `wanted` or before; it then looks at its deadlines itself and calls this
    /// again. An alarm that rings too early costs one poll; one that is moved costs the timer's lock.
    pub fn arm(&mut self, wanted: Option<Instant>, now: Instant, cx: &mut Context<'_>) {
        let Some(wanted) = wanted else { return };
        if self.armed.is_some_and(|armed| now < armed && armed <= wanted) {
            return;
        }
        self.armed = Some(wanted);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(wanted)));
        sleep.as_mut().reset(wanted);
        if sleep.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}
