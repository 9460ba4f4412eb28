//! The end of a load: the last answers, and what was remembered asked once more.
//!
//! Owns: the order in which a load comes to its end. Invariants: no new sale begins; every wait is bounded by the load's `drain_ms`
//! without an answer. Deliberately absent: the check itself (`check`).

use super::connection::top_up_all;
use super::{Run, SETTLE_BETWEEN, wall_ms};
use crate::keys;
use crate::report::{LiveCounters, Stage};
use crate::site;
use std::time::{Duration, Instant};

/// Waits for the last answers; where sales are remembered, asks again what got none, and repeats them all.
pub(super) async fn close(run: &Run, live: &LiveCounters) {
    live.enter(Stage::LastAnswers);
    drain(run).await;
    let repeat_all = match run.engine.borrow_mut().ledger() {
        None => return,
        Some(ledger) => {
            ledger.ask_again();
            run.load.profile.follow_ups.repeat_all
        }
    };
    drain(run).await;
    if !repeat_all {
        return;
    }
    // A repeat gets the same answer while a doubt is open and when it has ended; the latter is the rarer case in a load.
    live.enter(Stage::Settle);
    site::at_rest(&run.site, SETTLE_BETWEEN, live).await;
    live.enter(Stage::Repeats);
    if let Some(ledger) = run.engine.borrow_mut().ledger() {
        ledger.repeat_all();
    }
    drain(run).await;
    if let Some(ledger) = run.engine.borrow_mut().ledger() {
        ledger.ask_again();
    }
    drain(run).await;
}

/// Waits until the second of the last key has begun: the next load begins with one after it. It has, unless sales were asked faster than a
/// second has keys.
pub(super) async fn outlive_keys(run: &Run) {
    let last = run.engine.borrow().last_second();
    for _ in wall_ms() / 1_000..last {
        tokio::time::sleep(keys::next_second(wall_ms())).await;
    }
}

/// How often it is looked whether something is left to send.
const LOOK: Duration = Duration::from_millis(100);

/// Goes on until nothing is open and nothing follows, or no answer came for as long as the load waits for its last.
async fn drain(run: &Run) {
    let patience = Duration::from_millis(run.load.drain_ms);
    let (mut answered, mut since) = (run.engine.borrow().counts.answered, Instant::now());
    while !run.is_idle() && since.elapsed() < patience {
        top_up_all(run);
        let _ = tokio::time::timeout(LOOK, run.news.notified()).await;
        let now = run.engine.borrow().counts.answered;
        if now != answered {
            (answered, since) = (now, Instant::now());
        }
    }
}
