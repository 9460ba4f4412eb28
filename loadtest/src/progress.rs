//! Progress bars: for a load, and for kills.
//!
//! Owns: the bars and their one line of figures.
//! Invariants: nothing is shown where standard error is no terminal; it reads counters and touches nothing else.
//! Deliberately absent: the final report.

use crate::load::Length;
use crate::report::{LiveCounters, Stage};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::sync::Arc;
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
        bar.set_message(match waiting(live) {
            Some(waiting) => waiting,
            None => {
                let open = live.open.load(Ordering::Relaxed);
                let lost = live.lost.load(Ordering::Relaxed);
                format!("{rate:.0}/s, mean {mean_us} µs, {open} open, {answered} answered, {lost} lost")
            }
        });
    }
    bar.finish_and_clear();
}

/// What the end of a load waits for.
fn waiting(live: &LiveCounters) -> Option<String> {
    let open = live.open.load(Ordering::Relaxed);
    Some(match live.stage() {
        Stage::WarmUp | Stage::Measure => return None,
        Stage::LastAnswers => format!("the last answers: {open} open"),
        Stage::Repeats => format!("everything once more: {} answered", live.answered.load(Ordering::Relaxed)),
        Stage::Settle => {
            format!("until everything has settled: {} left", live.unsettled.load(Ordering::Relaxed))
        }
    })
}

/// A bar that counts kills.
#[derive(Debug)]
pub struct Kills(ProgressBar);

impl Kills {
    /// Nothing is shown where standard error is no terminal.
    pub fn new(times: u32) -> Self {
        let bar = if stderr().is_terminal() { ProgressBar::new(times.into()) } else { ProgressBar::hidden() };
        Self(match ProgressStyle::with_template("{elapsed:>4} {bar:30} {pos}/{len} kills, {msg}") {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        })
    }

    /// The switch was killed, the `number`th time, and is back.
    pub fn killed(&self, number: u32) {
        self.0.set_position(number.into());
    }

    /// Shows how it goes until `stop`.
    pub async fn show(&self, live: &[Arc<LiveCounters>], stop: CancellationToken) {
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => break,
            }
            let answered: u64 = live.iter().map(|live| live.answered.load(Ordering::Relaxed)).sum();
            let waiting = live.iter().find_map(|live| waiting(live));
            self.0.set_message(waiting.unwrap_or_else(|| format!("{answered} answered")));
        }
        self.0.finish_and_clear();
    }
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
