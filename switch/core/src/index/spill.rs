//! How entries leave memory for a run, and stay part of the index.
//!
//! Owns: which entries are with whoever writes runs, and which lie in a run already.
//! Invariants: an entry leaves memory only when it lies in a run that is on disk; one that was handed over is not changed any more, a newer one takes its place;
//! entries that are open stay.
//! Deliberately absent: writing (the shell's). Where an entry lies is no business of the log, so none of this is in `State::apply`.

use super::run::{NAME_WRITING_BYTES, RunMark};
use super::runs::Run;
use super::{CHUNK_ENTRIES, Chunk, Entry, EntryNo, Index, Standing};
use crate::log::Lsn;

/// What an entry takes in memory, its places in both tables among it: a place is nine bytes, and a table is between seven sixteenths and seven eighths full.
pub const ENTRY_MEMORY_BYTES: usize = size_of::<Entry>() + 42;
/// What a further second key takes: a place in a table, which is as full as those, and one in the order in which they came; and what it takes on its way to a run.
const SEEN_MEMORY_BYTES: usize = 128 + size_of::<(u128, u128)>() + NAME_WRITING_BYTES;

/// A shard of a table is swept in the time in which so many entries leave.
const LEAVERS_PER_SHARD: usize = 64;

/// Most chunks that one run gets: about a million entries.
pub(super) const SPILL_CHUNKS_MAX: usize = 1_024;

/// Most entries that one run gets, where the index may take `bytes_max`: an eighth of that.
pub fn spill_entries_max(bytes_max: usize) -> usize {
    (bytes_max / 8 / (CHUNK_ENTRIES * ENTRY_MEMORY_BYTES)).clamp(1, SPILL_CHUNKS_MAX) * CHUNK_ENTRIES
}

/// Entries on their way to a run.
#[derive(Debug)]
pub struct Spill {
    /// The number of the run that they become.
    pub number: u32,
    /// The end of the log that they are the fold of.
    pub at: Lsn,
    chunks: Vec<Chunk>,
    left: usize,
    /// Further second keys that were seen up to then, and the key that each belongs to.
    pub seen: Vec<(u128, u128)>,
}

/// Entries by their place in a spill.
pub(super) struct Spilled<'s> {
    chunks: Vec<&'s [Entry]>,
    left: usize,
}

impl<'s> Spilled<'s> {
    /// The entry at that place, counted from the oldest.
    pub(super) fn at(&self, place: u32) -> &'s Entry {
        let place = self.left + place as usize;
        &self.chunks[place / CHUNK_ENTRIES][place % CHUNK_ENTRIES]
    }
}

impl Spill {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum::<usize>() - self.left
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries.
    pub(super) fn entries(&self) -> Spilled<'_> {
        Spilled { chunks: self.chunks.iter().map(|chunk| chunk.as_slice()).collect(), left: self.left }
    }

    /// Of these entries, in the order in which they came.
    #[cfg(test)]
    pub(super) fn of(number: u32, at: Lsn, entries: &[Entry], seen: &[(u128, u128)]) -> Self {
        let chunks = entries.chunks(CHUNK_ENTRIES).map(|entries| Chunk::new(entries.to_vec())).collect();
        Self { number, at, chunks, left: 0, seen: seen.to_vec() }
    }
}

impl Index {
    /// What entries, filters and heads take, in bytes.
    pub fn bytes(&self) -> usize {
        self.memory_bytes() + self.runs.bytes()
    }

    /// What entries and both tables hold of memory, in use or kept for entries to come, in bytes: flat from the first run on, while [`Index::bytes`] goes up and down with what is in
    /// memory. Asks every shard of the tables, so it is no question for each request.
    pub fn held_bytes(&self) -> usize {
        let chunks = self.chunks.len() + self.spares.len();
        chunks * CHUNK_ENTRIES * size_of::<Entry>() + self.by_key.held_bytes() + self.by_named.held_bytes()
    }

    fn memory_bytes(&self) -> usize {
        self.len() * ENTRY_MEMORY_BYTES + self.seen_since.len() * SEEN_MEMORY_BYTES
    }

    /// Whether entries take more than an eighth of `bytes_max`, or half of what filters leave of it: the rest is for filters, which take a fiftieth of it, and for what comes
    /// while a run is written. What is in memory is what a start reads, so it is kept small. Not while a run is being written, or while its entries leave.
    pub fn is_crowded(&self, bytes_max: usize) -> bool {
        let room = (bytes_max / 8).min(bytes_max.saturating_sub(self.runs.bytes()) / 2);
        self.handed + self.leaving == 0 && self.memory_bytes() > room
    }

    /// When the newest entry was admitted, Unix milliseconds; 0 without entries.
    pub fn newest_ms(&self) -> u64 {
        self.chunks.back().and_then(|chunk| chunk.last()).map_or(0, |entry| entry.admitted_ms)
    }

    /// The oldest entries, for a run, where the index is crowded. Those from number `open` on stay, where there is one.
    pub fn spill(&mut self, bytes_max: usize, open: Option<EntryNo>, at: Lsn) -> Option<Spill> {
        if !self.is_crowded(bytes_max) {
            return None;
        }
        let wanted = spill_entries_max(bytes_max) / CHUNK_ENTRIES;
        let over = open.map_or(usize::MAX, |open| open.wrapping_sub(self.first) as usize / CHUNK_ENTRIES);
        // The last chunk is being filled.
        let count = wanted.min(over).min(self.chunks.len().saturating_sub(1));
        if count == 0 {
            return None;
        }
        self.handed = count;
        let chunks: Vec<Chunk> = self.chunks.iter().take(count).cloned().collect();
        // They are in order of time; what was seen while these entries came goes with them.
        let upto_ms = chunks.last().and_then(|chunk| chunk.last()).map_or(0, |entry| entry.admitted_ms);
        let seen = self.seen_since.iter().take_while(|(since_ms, _)| *since_ms <= upto_ms);
        let seen: Vec<_> = seen.filter_map(|(_, named)| Some((*named, *self.seen.get(named)?))).collect();
        self.handed_seen = seen.len();
        Some(Spill { number: self.runs.next_number(), at, chunks, left: self.left, seen })
    }

    /// The run of the last spill is on disk: its entries may leave.
    pub fn spilled(&mut self, run: Run) {
        self.runs.add(run);
        // Until the next run is on disk as many again will do.
        self.spares.bound(self.chunks.len());
        (self.leaving, self.handed) = (self.handed, 0);
        (self.leaving_seen, self.handed_seen) = (self.handed_seen, 0);
    }

    /// The run of the last spill could not be written: its entries stay, to be spilled again.
    pub fn not_spilled(&mut self) {
        (self.handed, self.handed_seen) = (0, 0);
    }

    /// Whether something in memory lies in a run, or the tables still name what has left.
    pub fn has_leavers(&self) -> bool {
        self.leaving + self.leaving_seen + self.unswept > 0
    }

    /// Lets up to `count` entries leave memory that lie in a run. Little by little, so that it stops nobody for long. What blocks an original that may still come,
    /// admitted since `comes_ms`, stays: an original is new, so nobody would look for it in a run by its second key.
    pub fn leave(&mut self, count: usize, comes_ms: u64) {
        for _ in 0..count {
            if self.leaving + self.leaving_seen == 0 {
                break;
            }
            if self.leaving_seen > 0 {
                self.forget_oldest_seen();
            }
            if self.leaving > 0 {
                self.let_oldest_leave(comes_ms);
            }
        }
        self.sweep_some(count / LEAVERS_PER_SHARD + 1);
    }

    fn let_oldest_leave(&mut self, comes_ms: u64) {
        let oldest = self.chunks.front().and_then(|chunk| chunk.get(self.left));
        let blocking = oldest.filter(|entry| self.still_blocks(entry, comes_ms)).copied();
        if let Some(entry) = blocking {
            self.add(entry);
        }
        self.remove_oldest();
        if self.leaving == 0 {
            self.begin_sweep();
        }
    }

    fn still_blocks(&self, entry: &Entry, comes_ms: u64) -> bool {
        let is_newest = || self.by_key(entry.key) == Some(self.first.wrapping_add(self.left as u32));
        entry.standing == Standing::Blocked && entry.admitted_ms >= comes_ms && is_newest()
    }

    /// The runs that a checkpoint relied on, and that are not attached yet.
    pub fn relied(&self) -> &[RunMark] {
        self.runs.relied()
    }

    /// The runs that were relied on, opened; those that are missing were too old.
    pub fn attach(&mut self, runs: Vec<Run>) {
        self.runs.attach(runs);
    }

    /// Lets go what is too old to be repeated (filters), and the oldest run when it is too old to be reversed: its number.
    pub fn age(&mut self, repeatable_ms: u64, reversible_ms: u64) -> Option<u32> {
        self.runs.age(repeatable_ms, reversible_ms)
    }

    /// Whether the entry of that place was handed over, and must stay as it is.
    pub(super) fn is_handed(&self, place: usize) -> bool {
        place < (self.handed + self.leaving) * CHUNK_ENTRIES
    }

    /// The number of the entry that may be changed in place of this one: itself, the one that took its place, or a newer one that takes it now.
    pub(super) fn renew(&mut self, number: EntryNo) -> Option<EntryNo> {
        let entry = *self.entry(number)?;
        let newest = self.by_key(entry.key)?;
        if !self.is_handed(newest.wrapping_sub(self.first) as usize) {
            return Some(newest);
        }
        self.renewed = true;
        let entry = *self.entry(newest)?;
        Some(self.add(entry))
    }
}

#[cfg(test)]
mod tests;
