//! A progress bar for a load.
//!
//! Owns: the bar and its one line of figures.
//! Invariants: nothing is shown where standard error is no terminal; it reads counters and touches nothing else.
//! Deliberately absent: the final report.

use crate::load::Length;
use crate::report::LiveCounters;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often the bar moves.
const INTERVAL: Duration = Duration::from_millis(200);

/// Shows how a load goes until `stop`.
pub async fn show(live: &LiveCounters, length: Length, warm_up_ms: u64, stop: CancellationToken) {
    if !stderr().is_terminal() {
        return;
    }
    let bar = bar(length, warm_up_ms);
    let start = Instant::now();
    let mut ticks = tokio::time::interval(INTERVAL);
    let mut before = (0, 0, start);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => break,
        }
        let answered = live.answered.load(Ordering::Relaxed);
        let latency_us = live.latency_us.load(Ordering::Relaxed);
        let count = answered - before.0;
        let rate = count as f64 / before.2.elapsed().as_secs_f64().max(f64::EPSILON);
        let mean_us = (latency_us - before.1) / count.max(1);
        before = (answered, latency_us, Instant::now());
        bar.set_position(match length {
            Length::Requests(_) => answered,
            Length::Time(_) | Length::Endless => start.elapsed().as_millis() as u64,
        });
        let open = live.open.load(Ordering::Relaxed);
        let lost = live.lost.load(Ordering::Relaxed);
        bar.set_message(format!(
            "{rate:.0}/s, mean {mean_us} µs, {open} open, {answered} answered, {lost} lost"
        ));
    }
    bar.finish_and_clear();
}

fn bar(length: Length, warm_up_ms: u64) -> ProgressBar {
    let (bar, template) = match length {
        Length::Time(time) => {
            (ProgressBar::new(time.as_millis() as u64 + warm_up_ms), "{elapsed:>4} {bar:30} {msg}")
        }
        Length::Requests(count) => (ProgressBar::new(count), "{percent:>3}% {bar:30} {msg}"),
        Length::Endless => (ProgressBar::new_spinner(), "{elapsed:>4} {spinner} {msg}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
