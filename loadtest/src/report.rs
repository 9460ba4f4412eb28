//! What came of a load.
//!
//! Owns: `Report` (the end), `LiveCounters` (on the way) and `Outcomes` (by response code).
//! Invariants: outcomes, percentiles and throughput are of the measured part only; counts of errors are of the whole run.
//! Deliberately absent: how it was measured (`engine`, `load`).

use crate::verdict::Verdict;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Counts while a load runs, since its start. One writer; anyone may read.
#[derive(Debug, Default)]
pub struct LiveCounters {
    /// Requests sent.
    pub sent: AtomicU64,
    /// Requests answered.
    pub answered: AtomicU64,
    /// Answered with 00.
    pub approved: AtomicU64,
    /// Answered with 68.
    pub unknown: AtomicU64,
    /// Open on a connection when it was lost.
    pub lost: AtomicU64,
    /// Open now.
    pub open: AtomicU64,
    /// Sum of all latencies, microseconds; divide its growth by that of `answered`.
    pub latency_us: AtomicU64,
    /// Amounts and requests that the end still waits for.
    pub unsettled: AtomicU64,
    stage: AtomicU8,
}

/// Where a load stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Nothing is measured yet.
    #[default]
    WarmUp,
    /// Its main part.
    Measure,
    /// The last answers are awaited.
    LastAnswers,
    /// Everything is repeated once more.
    Repeats,
    /// Reversals are awaited until nothing is open at the suppliers.
    Settle,
}

impl Stage {
    const ALL: [Self; 5] = [Self::WarmUp, Self::Measure, Self::LastAnswers, Self::Repeats, Self::Settle];
}

impl LiveCounters {
    pub(crate) fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// Where the load stands.
    pub fn stage(&self) -> Stage {
        Stage::ALL[usize::from(self.stage.load(Ordering::Relaxed))]
    }
}

/// Answers by response code (DE39).
#[derive(Clone, Debug)]
pub struct Outcomes {
    by_number: [u64; 100],
    other: u64,
}

impl Default for Outcomes {
    fn default() -> Self {
        Self { by_number: [0; 100], other: 0 }
    }
}

impl Outcomes {
    pub(crate) fn count(&mut self, code: &[u8]) {
        match code {
            [tens @ b'0'..=b'9', units @ b'0'..=b'9'] => {
                self.by_number[usize::from((tens - b'0') * 10 + (units - b'0'))] += 1;
            }
            _ => self.other += 1,
        }
    }

    /// The codes that occurred; `other` for those that are not two digits.
    pub fn by_code(&self) -> BTreeMap<String, u64> {
        let numbered = self.by_number.iter().enumerate().map(|(code, count)| (format!("{code:02}"), *count));
        numbered.chain([("other".into(), self.other)]).filter(|(_, count)| *count > 0).collect()
    }
}

/// The end of a load.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Length of the measured part, seconds.
    pub seconds: f64,
    /// Requests sent in the whole run.
    pub sent: u64,
    /// Requests answered in the whole run.
    pub answered: u64,
    /// Answers in the measured part, per second.
    pub throughput: f64,
    /// Approvals in the measured part that came before the terminals' patience was over, per second.
    pub goodput: f64,
    /// Latencies of the measured requests.
    pub latency_us: Percentiles,
    /// Latencies of the measured sales that were not approved.
    pub refusal_latency_us: Percentiles,
    /// Latencies of the measured reversals.
    pub reversal_latency_us: Percentiles,
    /// Measured answers to sales by response code.
    pub outcomes: BTreeMap<String, u64>,
    /// Answers to repeats by response code, in the whole run.
    pub repeats: BTreeMap<String, u64>,
    /// Answers to reversals by response code, in the whole run.
    pub reversals: BTreeMap<String, u64>,
    /// Messages sent again because their connection was lost.
    pub asked_again: u64,
    /// What went wrong, in the whole run.
    pub errors: Errors,
    /// The watched process, where there was one.
    pub process: Option<ProcessFigures>,
    /// Whether what was told is what the suppliers did, where that was checked.
    pub verdict: Option<Verdict>,
}

/// Latencies in microseconds. In an open loop they count from the moment a request was meant to be sent.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Percentiles {
    /// Mean.
    pub mean: f64,
    /// Half are faster.
    pub p50: f64,
    /// 90 % are faster.
    pub p90: f64,
    /// 99 % are faster.
    pub p99: f64,
    /// 99.9 % are faster.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

impl Percentiles {
    pub(crate) fn of(latencies: &Histogram<u64>) -> Self {
        let us = |ns: u64| ns as f64 / 1_000.0;
        let quantile = |quantile: f64| us(latencies.value_at_quantile(quantile));
        Self {
            mean: latencies.mean() / 1_000.0,
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: us(latencies.max()),
        }
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mean, p50, p90, p99, p999, max } = self;
        write!(
            f,
            "µs: p50 {p50:.0}, p90 {p90:.0}, p99 {p99:.0}, p99.9 {p999:.0}, max {max:.0}, mean {mean:.0}"
        )
    }
}

/// What went wrong in a load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Errors {
    /// Requests that were open when their connection was lost.
    pub lost: u64,
    /// Requests still open at the end.
    pub unanswered: u64,
    /// Requests of the open loop that could not be sent, because too many were open, on their connection or in all, or no connection was up.
    pub not_sent: u64,
    /// Answers to nothing that was open.
    pub unmatched: u64,
    /// Answers that are no message of the dialect.
    pub unreadable: u64,
    /// Connections that ended.
    pub disconnects: u64,
}

/// What a watched process used during the measured part.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ProcessFigures {
    /// CPU time, user and system, seconds.
    pub cpu_s: f64,
    /// CPU time per answer, microseconds.
    pub cpu_us_per_transaction: f64,
    /// Resident memory at the end, KiB.
    pub rss_kib: u64,
    /// Largest resident memory so far, KiB.
    pub rss_max_kib: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "measured    {:.1} s; {} sent and {} answered in all",
            self.seconds, self.sent, self.answered
        )?;
        writeln!(f, "throughput  {:.0} /s; {:.0} /s approved in time", self.throughput, self.goodput)?;
        writeln!(f, "latency     {}", self.latency_us)?;
        if self.refusal_latency_us.max > 0.0 {
            writeln!(f, "not 00      {}", self.refusal_latency_us)?;
        }
        let total: u64 = self.outcomes.values().sum();
        for (code, count) in &self.outcomes {
            writeln!(f, "outcome {code}  {count} ({:.2} %)", *count as f64 * 100.0 / total.max(1) as f64)?;
        }
        self.write_follow_ups(f)?;
        if let Some(process) = &self.process {
            writeln!(
                f,
                "process     {:.2} CPU µs per transaction; {:.2} s CPU; {} KiB resident (at most {})",
                process.cpu_us_per_transaction, process.cpu_s, process.rss_kib, process.rss_max_kib
            )?;
        }
        let Errors { lost, unanswered, not_sent, unmatched, unreadable, disconnects } = self.errors;
        write!(
            f,
            "errors      {lost} lost, {unanswered} unanswered, {not_sent} not sent, {unmatched} unmatched, \
             {unreadable} unreadable, {disconnects} disconnects"
        )?;
        match &self.verdict {
            Some(verdict) => write!(f, "\n\n{verdict}"),
            None => Ok(()),
        }
    }
}

impl Report {
    fn write_follow_ups(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes = |codes: &BTreeMap<String, u64>| {
            let each = codes.iter().map(|(code, count)| format!("{code}: {count}"));
            each.collect::<Vec<_>>().join(", ")
        };
        if !self.repeats.is_empty() {
            writeln!(f, "repeats     {}", codes(&self.repeats))?;
        }
        if !self.reversals.is_empty() {
            writeln!(f, "reversals   {}", codes(&self.reversals))?;
            writeln!(f, "            latency {}", self.reversal_latency_us)?;
        }
        if self.asked_again > 0 {
            writeln!(f, "asked again {} messages whose connection was lost", self.asked_again)?;
        }
        Ok(())
    }
}
