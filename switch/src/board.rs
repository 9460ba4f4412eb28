//! The board: what the actors show of themselves, for pages, metrics and the live line.
//!
//! Owns: rows of numbers, one writer each, read by anybody.
//! Invariants: a writer only stores, it never waits (`plane-apart`); a reader sees each number whole, and numbers of one row from about the same moment.
//! Deliberately absent: the `metrics` crate (the control plane feeds it from here, the data plane never calls it), history, and names that are secrets.

use crate::conduit::ConduitCounters;
use crate::days::Days;
use crate::door::DoorCounters;
use crossbeam::utils::CachePadded;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! row {
    ($(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $field:ident,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub struct $name {
            $($(#[$about])* pub $field: AtomicU64,)*
        }

        impl $name {
            /// Name and value of every number.
            pub fn read(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($field), self.$field.load(Relaxed)),)*]
            }
        }
    };
}

row!(
    /// The gate's row.
    GateRow {
        /// Tickets taken in.
        tickets,
        /// Tickets answered.
        answers,
        /// Refusals that performed nothing.
        refused,
        /// Repeats of something answered.
        repeats,
        /// Repeats that joined a flight.
        joined,
        /// Flights approved.
        approved,
        /// Flights declined.
        declined,
        /// Flights whose outcome became unknown.
        unknown,
        /// Doubts settled.
        settled,
        /// Reversals parked.
        parked,
        /// Answers that came late.
        late,
        /// Attempts at another supplier.
        moved,
        /// Second answers that said otherwise than the first.
        contradicted,
        /// Reversals of what a supplier had approved and does not know.
        denied,
        /// Reports about flights that were over.
        stale,
        /// Reversals accepted.
        reversals,
        /// Originals that reversals blocked before they came.
        blocked,
        /// Sales undone when the message came by which a reversal had named them before.
        recognised,
        /// Reversals refused, for another amount than their original's.
        partial,
        /// Vouchers taken back.
        withdrawn,
        /// Inquiries answered.
        inquiries,
        /// Flights with a ticket that waits.
        in_flight,
        /// Tickets whose key was looked for in runs.
        sought,
        /// Requests of the duplicate window that are in memory.
        window_requests,
        /// What the duplicate window takes in memory, filters of runs among it, in bytes.
        window_bytes,
        /// What it may take; from there on sales get 96.
        window_bytes_max,
        /// What entries and tables of the duplicate window hold of memory, in use or kept for those to come, in bytes.
        window_held_bytes,
        /// Runs of requests that memory has given to files.
        runs,
        /// Batches written.
        batches,
        /// Position up to which the journal is written, in bytes.
        written_bytes,
        /// Position up to which it is synced, in bytes.
        durable_bytes,
        /// Segments of the journal that are prepared; below two, sales get 96.
        segments_prepared,
        /// Sum over all accounts; anything but zero is an alarm (`money-conserved`). Two's complement.
        accounts_sum,
    }
);

row!(
    /// A supplier's row.
    SupplierRow {
        /// Sales handed to a link.
        asked,
        /// Sales answered in time.
        answered,
        /// Sales without an answer in time.
        timed_out,
        /// Sales whose link was lost.
        cut,
        /// Sales never sent.
        not_sent,
        /// Reversals sent, repeats too.
        reversals_sent,
        /// Questions for a sale's status sent, repeats too.
        status_asked,
        /// Reversals that came to their end.
        undone,
        /// Answers after the time-out.
        late,
        /// Answers to something answered before.
        duplicate,
        /// Answers that say otherwise than the one before.
        contradictory,
        /// Answers to nothing that is known.
        unmatched,
        /// Those of them that approve a sale.
        unmatched_approved,
        /// Frames that are no message.
        garbage,
        /// Messages that were not expected.
        unexpected,
        /// Attempts and reversals open.
        open,
        /// Reversals that wait for a link or a place.
        reversals_waiting,
        /// Links that are connected.
        links_up,
        /// 1 while sales can be sent.
        ready,
    }
);

row!(
    /// A supplier's row as the gate sees it: the gate writes it, once a second.
    SupplyRow {
        /// Attempts under way.
        in_flight,
        /// Attempts that may be under way.
        window,
        /// Attempts and reversals not at their end.
        advices,
        /// Reversals that wait for an advice credit.
        backlog,
        /// Attempts without an answer in time whose answer may still come.
        late_open,
        /// Of those as many as there may be; beyond it no sale is asked.
        late_max,
        /// Sales that were not asked because there were as many.
        late_full,
        /// Reversals of what it sold that wait for an operator.
        parked,
        /// Of those as many as there may be; beyond it no sale is asked, and reversals get 96.
        parked_max,
        /// Reversals that got 96 because there were as many.
        parked_refused,
        /// Its breaker: 0 closed, 1 half-open, 2 open.
        breaker,
        /// How often its breaker opened.
        breaker_opened,
    }
);

/// Buckets of a histogram: sixteen for each power of two.
const BUCKETS: usize = 640;

/// Times in microseconds, counted in buckets about 6 % wide. One writer.
#[derive(Debug)]
pub struct Histogram {
    buckets: Vec<AtomicU64>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect() }
    }
}

fn bucket(value: u64) -> usize {
    if value < 16 {
        return value as usize;
    }
    let power = 63 - value.leading_zeros() as usize;
    let place = ((power - 3) << 4) | ((value >> (power - 4)) & 15) as usize;
    place.min(BUCKETS - 1)
}

/// The largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    if bucket < 16 {
        return bucket as u64;
    }
    let power = (bucket >> 4) + 3;
    let within = (bucket & 15) as u64;
    ((16 + within + 1) << (power - 4)) - 1
}

impl Histogram {
    /// Counts a value.
    pub fn count(&self, value: u64) {
        let cell = &self.buckets[bucket(value)];
        cell.store(cell.load(Relaxed) + 1, Relaxed);
    }

    /// The counts as they stand.
    pub fn read(&self) -> Vec<u64> {
        self.buckets.iter().map(|cell| cell.load(Relaxed)).collect()
    }
}

/// The value below which `share` (0.0 to 1.0) of the counts lie, in microseconds; `None` without counts.
pub fn quantile(counts: &[u64], share: f64) -> Option<u64> {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    let wanted = ((total as f64 * share).ceil() as u64).clamp(1, total);
    let mut seen = 0;
    counts
        .iter()
        .position(|count| {
            seen += count;
            seen >= wanted
        })
        .map(upper)
}

/// Checkpoints, as the thread that writes them shows them.
#[derive(Debug, Default)]
pub struct CheckpointRow {
    /// When the newest one was made, Unix milliseconds; the moment of the start where there was none then.
    pub at_ms: AtomicU64,
    /// Made since the start.
    pub made: AtomicU64,
    /// Not made since the start, because something failed.
    pub failed: AtomicU64,
}

impl CheckpointRow {
    /// Name and value of every number, at a moment in Unix milliseconds.
    pub fn read(&self, now_ms: u64) -> [(&'static str, u64); 3] {
        let age_ms = now_ms.saturating_sub(self.at_ms.load(Relaxed));
        [("age_s", age_ms / 1_000), ("made", self.made.load(Relaxed)), ("failed", self.failed.load(Relaxed))]
    }
}

/// The board.
#[derive(Debug, Default)]
pub struct Board {
    /// The gate.
    pub gate: CachePadded<GateRow>,
    /// Suppliers: code and row, in the order of the configuration.
    pub suppliers: Vec<(String, CachePadded<SupplierRow>)>,
    /// The gate's view of the same suppliers, in the same order.
    pub supplies: Vec<CachePadded<SupplyRow>>,
    /// Conduits: name and counters, in the order of the configuration.
    pub conduits: Vec<(String, Arc<ConduitCounters>)>,
    /// What happened at the conduits' doors, in the same order.
    pub doors: Vec<(String, Arc<DoorCounters>)>,
    /// The networks' business days.
    pub days: Arc<Days>,
    /// Checkpoints.
    pub checkpoints: CheckpointRow,
    /// From a message's last byte to the release of its answer.
    pub latency: Histogram,
}

/// Stores a number in its place.
pub fn show(place: &AtomicU64, value: u64) {
    place.store(value, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_bucket() {
        let histogram = Histogram::default();
        for value in 1..=10_000 {
            histogram.count(value);
        }
        let counts = histogram.read();
        for (share, exact) in [(0.5, 5_000.0), (0.99, 9_900.0), (1.0, 10_000.0)] {
            let found = quantile(&counts, share).unwrap_or(0) as f64;
            assert!((found - exact).abs() / exact < 0.07, "{share}: {found}");
        }
        assert_eq!(quantile(&[0; 4], 0.5), None);
    }

    #[test]
    fn every_value_lies_in_its_bucket() {
        for value in (0..2_000).chain([4_095, 4_096, 1 << 20, (1 << 30) + 12_345]) {
            let place = bucket(value);
            assert!(value <= upper(place), "{value}");
            assert!(place == 0 || value > upper(place - 1), "{value}");
        }
    }
}
