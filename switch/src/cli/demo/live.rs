//! The line of figures that a demonstration shows while it runs.
//!
//! Owns: the figures in one line, and where it is drawn: in place on a terminal, else a line every five seconds. Deliberately
//! absent: the figures themselves (`control`).

use crate::control::Figures;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::Write as _;
use std::time::{Duration, Instant};

/// How often the line changes on a terminal.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(250);
/// How often there is a new line elsewhere.
const FILE_INTERVAL: Duration = Duration::from_secs(5);
/// The rate is of the last so long, at least.
const RATE_INTERVAL: Duration = Duration::from_secs(1);

/// The line.
pub(super) struct Live {
    bar: Option<ProgressBar>,
    began: Instant,
    shown_at: Instant,
    rate: Rate,
}

/// Messages a second, of the last whole interval.
struct Rate {
    at: Instant,
    answers: u64,
    per_second: f64,
}

impl Live {
    /// A line on standard output.
    pub(super) fn new(is_terminal: bool) -> Self {
        let now = Instant::now();
        let bar = is_terminal.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
            let style = ProgressStyle::with_template("{wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            bar.with_style(style)
        });
        Self { bar, began: now, shown_at: now, rate: Rate { at: now, answers: 0, per_second: 0.0 } }
    }

    /// How long to wait before the next `show`.
    pub(super) fn interval(&self) -> Duration {
        TERMINAL_INTERVAL
    }

    /// Shows the figures, where it is time to.
    pub(super) fn show(&mut self, figures: &Figures) {
        let now = Instant::now();
        self.rate.follow(now, figures.answers);
        let line = line(figures, self.rate.per_second, self.began.elapsed());
        match &self.bar {
            Some(bar) => bar.set_message(line),
            None if now.duration_since(self.shown_at) >= FILE_INTERVAL => {
                self.shown_at = now;
                drop(writeln!(std::io::stdout(), "{line}"));
            }
            None => {}
        }
    }

    /// Says something beside the line.
    pub(super) fn say(&self, words: &str) {
        match &self.bar {
            Some(bar) => bar.println(words),
            // Who does not read it any more has no use for it.
            None => drop(writeln!(std::io::stdout(), "{words}")),
        }
    }

    /// Takes the line away; what it said last.
    pub(super) fn finish(self, figures: &Figures) -> String {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let elapsed = self.began.elapsed();
        line(figures, figures.answers as f64 / elapsed.as_secs_f64().max(0.001), elapsed)
    }
}

impl Rate {
    fn follow(&mut self, now: Instant, answers: u64) {
        let since = now.duration_since(self.at);
        if since >= RATE_INTERVAL {
            self.per_second = answers.saturating_sub(self.answers) as f64 / since.as_secs_f64();
            (self.at, self.answers) = (now, answers);
        }
    }
}

fn line(figures: &Figures, per_second: f64, elapsed: Duration) -> String {
    let ms =
        |us: Option<u64>| us.map_or_else(|| "-".to_owned(), |us| format!("{:.1} ms", us as f64 / 1_000.0));
    let seconds = elapsed.as_secs();
    format!(
        "{}:{:02}  {} tx  {per_second:.1}/s  approved {}  declined {}  unknown {}  refused {}  in flight {}  p50 {}  p99 {}",
        seconds / 60,
        seconds % 60,
        figures.answers,
        figures.approved,
        figures.declined,
        figures.unknown,
        figures.refused,
        figures.in_flight,
        ms(figures.p50_us),
        ms(figures.p99_us),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_the_last_interval() {
        let began = Instant::now();
        let mut rate = Rate { at: began, answers: 0, per_second: 0.0 };
        rate.follow(began + Duration::from_millis(500), 100);
        assert_eq!(rate.per_second, 0.0);
        rate.follow(began + Duration::from_secs(2), 100);
        assert_eq!(rate.per_second, 50.0);
        rate.follow(began + Duration::from_secs(4), 120);
        assert_eq!(rate.per_second, 10.0);
    }
}
