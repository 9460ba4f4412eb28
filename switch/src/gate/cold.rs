//! The gate's side of runs: entries handed over, tickets sent to look into them.
//!
//! Owns: when a run is wished for, and when again after the disk refused one; when what is in memory is worth huge pages.
//! Invariants: at most one run is being written; a ticket that is sent to look comes back.
//! Deliberately absent: which entries, and what a found one means (the core's).

use super::GateActor;
use crate::machine;
use crate::runs::RunWish;
use switchyard_core::index::Run;
use switchyard_core::ticket::Ticket;

/// With less than this, the index of requests lies in small pages.
const SMALL_PAGES_BYTES: usize = 16 << 20;

/// Runs that are written before the index has its size: what comes then takes the place of what has left.
const RUNS_TO_SETTLE: usize = 2;

/// What new memory comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pages {
    /// Small pages: there is little.
    #[default]
    Small,
    /// Huge pages may be, while the index grows; so many runs were there when that began.
    Huge(usize),
    /// Small pages, beside the huge ones that there are.
    Settled,
}

impl Pages {
    /// What comes after them, for an index that takes so much and has so many runs.
    fn after(self, bytes: usize, runs: usize) -> Self {
        match self {
            Self::Small if bytes > SMALL_PAGES_BYTES => Self::Huge(runs),
            Self::Huge(before) if runs >= before + RUNS_TO_SETTLE => Self::Settled,
            same => same,
        }
    }
}

/// How long after a run could not be written it is tried again.
const AGAIN_US: u64 = 1_000_000;

/// What to do about a full duplicate index.
pub const WINDOW_FULL_ADVICE: &str = "make room on the disk where DATA/runs cannot be written (the log says so), else raise gate.duplicate_bytes_max and start again";

impl GateActor {
    /// Takes runs that were written, and wishes for one when memory is crowded.
    pub(super) fn spill(&mut self, now_us: u64) {
        while let Some(written) = self.rings.written_runs.pop() {
            self.written(written, now_us);
        }
        if now_us < self.spill_after_us {
            return;
        }
        let Some(spill) = self.gate.spill() else { return };
        if self.rings.runs.push(RunWish::Write(spill)).is_err() {
            // Removals fill the ring only when hundreds of runs grew too old at once.
            self.written(None, now_us);
        }
        self.rings.runs.wake();
    }

    fn written(&mut self, run: Option<Run>, now_us: u64) {
        match run {
            Some(run) => self.gate.spilled(run),
            None => {
                self.gate.not_spilled();
                self.spill_after_us = now_us + AGAIN_US;
            }
        }
    }

    /// Once a second: lets go of what is too old to be asked for.
    pub(super) fn age(&mut self) {
        while self.rings.runs.len() < self.rings.runs.capacity() / 2 {
            let Some(number) = self.gate.age() else { return };
            let _ = self.rings.runs.push(RunWish::Remove(number));
            self.rings.runs.wake();
        }
    }

    /// Once a second: says when the index is full, and when it is no more.
    pub(super) fn watch_window(&mut self) {
        let full = self.gate.is_window_full();
        if std::mem::replace(&mut self.window_full, full) == full {
            return;
        }
        match full {
            true => tracing::error!("the duplicate index is full: sales get 96; {WINDOW_FULL_ADVICE}"),
            false => tracing::info!("the duplicate index has room again: sales are taken"),
        }
    }

    /// Once a second: an index that grows takes so much memory that it is worth huge pages. When it has its size they end: the system would go on joining small pages to huge
    /// ones, where most of one is used by nothing.
    pub(super) fn watch_memory(&mut self) {
        let index = &self.gate.state().index;
        let pages = self.pages.after(index.bytes(), index.runs().len());
        if std::mem::replace(&mut self.pages, pages) == pages {
            return;
        }
        match pages {
            Pages::Huge(_) => machine::allow_huge_pages(),
            Pages::Small | Pages::Settled => machine::use_small_pages(),
        }
    }

    /// Sends tickets to the keeper whose key may lie in a run.
    pub(super) fn send_seeks(&mut self) {
        if self.released.seeks.is_empty() {
            return;
        }
        for ticket in self.released.seeks.drain(..) {
            let ticket: Box<Ticket> = ticket;
            if self.rings.recalls.push(ticket).is_err() {
                // The ring has room for every ticket there is, so this is a bug; nothing was performed, and a repeat is a new attempt.
                tracing::error!("the ring of recalls is full");
            }
        }
        self.rings.recalls.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_huge_while_a_large_index_grows() {
        let (little, much) = (SMALL_PAGES_BYTES, SMALL_PAGES_BYTES + 1);
        assert_eq!(Pages::Small.after(little, 3), Pages::Small);
        assert_eq!(Pages::Small.after(much, 3), Pages::Huge(3));
        assert_eq!(Pages::Huge(3).after(much, 4), Pages::Huge(3));
        assert_eq!(Pages::Huge(3).after(little, 5), Pages::Settled);
        assert_eq!(Pages::Settled.after(much, 9), Pages::Settled);
    }
}
