//! The runs that the index relies on: which of them can hold a key, told without reading.
//!
//! Owns: each run's head, the filters of those in the window, and the way from an hour to them.
//! Invariants: a key that lies in a run is never told to lie in none; a new key of an hour costs as much with a thousand runs as with one, unless they share the
//! hour; filters go when nothing in their run can be repeated any more, heads when nothing in it can be reversed any more (S-3).
//! Deliberately absent: files, and entries in memory.

use super::filter::Filter;
use super::hour::Hour;
use super::run::{RunHead, RunMark};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::Arc;

/// What a run's head takes, beside its filter: two sets of hours and some numbers.
const HEAD_BYTES: usize = 4_096;

/// A run as the keeper wrote or opened it.
#[derive(Clone, Debug)]
pub struct Run {
    /// What is known of it.
    pub head: Arc<RunHead>,
    /// Its filter; none when everything in it is too old to be repeated.
    pub filter: Option<Arc<Filter>>,
}

/// A filter and the number of its run.
type Numbered = (u32, Arc<Filter>);

/// The runs, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    list: VecDeque<Run>,
    by_hour: FxHashMap<Hour, Vec<Numbered>>,
    filter_bytes: usize,
    /// The highest number that a run had.
    last_number: u32,
    /// Runs that a checkpoint relies on, and that are not attached yet.
    relied: Vec<RunMark>,
}

impl Runs {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && self.relied.is_empty()
    }

    /// Runs that are known by their marks alone.
    pub(super) fn relying_on(relied: Vec<RunMark>) -> Self {
        let last_number = relied.iter().map(|mark| mark.number).max().unwrap_or(0);
        Self { relied, last_number, ..Self::default() }
    }

    /// See `relying_on`.
    pub(super) fn relied(&self) -> &[RunMark] {
        &self.relied
    }

    /// The runs that were relied on, opened; those that are missing were too old.
    pub(super) fn attach(&mut self, runs: Vec<Run>) {
        self.relied.clear();
        runs.into_iter().for_each(|run| self.add(run));
    }

    /// The number of the newest that there was; 0 before the first.
    pub fn newest(&self) -> u32 {
        self.last_number
    }

    /// What a checkpoint remembers of them.
    pub fn marks(&self) -> Vec<RunMark> {
        let attached = self.list.iter().map(|run| run.head.mark);
        self.relied.iter().copied().chain(attached).collect()
    }

    /// What they take in memory.
    pub fn bytes(&self) -> usize {
        self.filter_bytes + self.list.len() * HEAD_BYTES
    }

    /// Entries in them.
    pub fn entries(&self) -> u64 {
        self.list.iter().map(|run| u64::from(run.head.mark.entries)).sum()
    }

    /// The number of the next one.
    pub(super) fn next_number(&self) -> u32 {
        self.last_number + 1
    }

    pub(super) fn add(&mut self, run: Run) {
        self.last_number = self.last_number.max(run.head.mark.number);
        if let Some(filter) = &run.filter {
            self.filter_bytes += filter.bytes();
            for hour in run.head.locals.iter() {
                self.by_hour.entry(hour).or_default().push((run.head.mark.number, Arc::clone(filter)));
            }
        }
        self.list.push_back(run);
    }

    /// Whether a run in the window, newer than number `after`, can hold that key of S-1.
    pub fn may_hold(&self, key: u128, after: u32) -> bool {
        if self.by_hour.is_empty() {
            return false;
        }
        let Some(filters) = self.by_hour.get(&Hour::in_key(key)) else { return false };
        filters.iter().any(|(number, filter)| *number > after && filter.may_hold(key))
    }

    /// Whether any run, newer than number `after` and however old, can hold that key of S-1: what a reversal asks.
    pub fn may_ever_hold(&self, key: u128, after: u32) -> bool {
        let local = Hour::in_key(key);
        let can = |run: &Run| run.filter.as_ref().is_none_or(|filter| filter.may_hold(key));
        self.newer(after).any(|run| run.head.locals.holds(local) && can(run))
    }

    /// Whether any run, newer than number `after`, can hold that key of S-5.
    pub fn may_name(&self, named: u128, after: u32) -> bool {
        let sent = Hour::in_key(named);
        self.newer(after).any(|run| run.head.sents.holds(sent))
    }

    fn newer(&self, after: u32) -> impl Iterator<Item = &Run> {
        self.list.iter().rev().take_while(move |run| run.head.mark.number > after)
    }

    /// Lets the filters go of runs whose entries were all admitted before `repeatable_ms`, and the oldest run, if all of its entries were admitted before
    /// `reversible_ms`: its number, so that its file is removed.
    pub(super) fn age(&mut self, repeatable_ms: u64, reversible_ms: u64) -> Option<u32> {
        for at in 0..self.list.len() {
            if self.list[at].filter.is_some() && self.list[at].head.mark.newest_ms < repeatable_ms {
                self.drop_filter(at);
            }
        }
        let gone = self.list.pop_front_if(|run| run.head.mark.newest_ms < reversible_ms)?;
        Some(gone.head.mark.number)
    }

    fn drop_filter(&mut self, at: usize) {
        let run = &mut self.list[at];
        let number = run.head.mark.number;
        let Some(filter) = run.filter.take() else { return };
        self.filter_bytes -= filter.bytes();
        for hour in run.head.locals.iter() {
            let Some(filters) = self.by_hour.get_mut(&hour) else { continue };
            filters.retain(|(other, _)| *other != number);
            if filters.is_empty() {
                self.by_hour.remove(&hour);
            }
        }
    }
}
