//! The index of requests: both keys of every request in the window, and where its records lie (S-1 to S-5).
//!
//! Owns: one entry of fixed size a request, in order of admission, and two tables from key to entry; and, for what does not fit in memory, what is known of the
//! runs that hold the older entries.
//! Invariants: an entry is found by both its keys for as long as it is there, and by none of them afterwards; entries leave in the order in which they came, only when they are over and older than
//! the window, or lie in a run; what memory says of a key is newer than what a run says; a full index refuses, it never evicts (S-3).
//! Deliberately absent: frames and answers (the journal has them, at `intent_at` and `outcome_at`), and the files of runs.

pub mod filter;
mod hour;
mod image;
pub mod run;
mod runs;
mod spares;
mod spill;
mod table;

pub use hour::{Hour, Hours};
pub use image::{ENTRY_BYTES, IndexSnapshot, Refill};
pub use run::{RUN_WRITER_BYTES, RUN_WRITING_BYTES, RunHead, RunMark};
pub use runs::{Run, Runs};
pub use spill::{ENTRY_MEMORY_BYTES, Spill, spill_entries_max};

use crate::ids::FlightNo;
use crate::log::Lsn;
use rustc_hash::FxHashMap;
use spares::Spares;
use std::collections::VecDeque;
use std::sync::Arc;
use table::{SHARDS, Table};

/// How a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Standing {
    /// Its flight is open; a repeat waits.
    InFlight = 1,
    /// It was approved, and that stands; a repeat gets the answer, a reversal undoes it.
    Approved = 2,
    /// It has an answer, and nothing of it stands at a supplier: declined, unknown, or itself a reversal. A repeat gets the answer.
    Answered = 3,
    /// A reversal was accepted for it: every repeat gets 17 (S-4).
    Cancelled = 4,
    /// A reversal named it before it was ever seen: when it comes, it gets 17 (S-4).
    Blocked = 5,
}

impl Standing {
    /// Whether there is an answer to give again.
    pub fn has_answer(self) -> bool {
        matches!(self, Self::Approved | Self::Answered)
    }
}

/// What the index knows of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key of S-1, hashed.
    pub key: u128,
    /// The key that a reversal can name (S-5), hashed.
    pub named: u128,
    /// The contents compared under the key (S-1), hashed.
    pub contents: u64,
    /// Its flight.
    pub flight: FlightNo,
    /// When it was admitted, Unix milliseconds.
    pub admitted_ms: u64,
    /// Where its intent (or sale) lies.
    pub intent_at: Lsn,
    /// Where its outcome lies.
    pub outcome_at: Lsn,
    /// How it stands.
    pub standing: Standing,
    /// Whether its answer has a secret: replays of it are in the audit trail (S-18).
    pub secret: bool,
}

/// Number of an entry: counts up, wraps after 2^32, of which far fewer are ever there at once.
pub type EntryNo = u32;

/// Where a flight's request lies in the index. Any two are equal: where an entry lies is no part of the state, and differs where entries were given to runs.
#[derive(Clone, Copy, Debug, Default, Eq)]
pub struct EntryPlace(pub EntryNo);

impl PartialEq for EntryPlace {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Entries a chunk: the index grows by so many at a time, so that growing never copies what is there. A chunk that a snapshot shares is copied
/// before it is changed, so a chunk is also what the first change after a snapshot costs.
const CHUNK_ENTRIES: usize = 1024;

/// Entries that a snapshot may share.
type Chunk = Arc<Vec<Entry>>;

/// The chunk, to be changed: a copy of its own, with room for a whole chunk, when a snapshot shares it.
fn own(chunk: &mut Chunk) -> &mut Vec<Entry> {
    // Nobody but a snapshot shares it, and no new one is made meanwhile: one that lets go of it in this moment costs a copy, no more.
    if Arc::strong_count(chunk) > 1 {
        let mut copy = Vec::with_capacity(CHUNK_ENTRIES);
        copy.extend_from_slice(chunk);
        *chunk = Arc::new(copy);
    }
    Arc::make_mut(chunk)
}

/// The index.
#[derive(Clone, Debug, Default)]
pub struct Index {
    chunks: VecDeque<Chunk>,
    /// Chunks that entries have left.
    spares: Spares,
    /// Number of the oldest chunk's first entry.
    first: EntryNo,
    /// Entries of the oldest chunk that have left.
    left: usize,
    by_key: Table,
    by_named: Table,
    /// Oldest chunks that lie in a run, and leave.
    leaving: usize,
    /// Chunks after these that are being written to a run.
    handed: usize,
    /// Oldest further keys that lie in a run, and those after them that are being written to one.
    leaving_seen: usize,
    handed_seen: usize,
    /// Numbers in each table whose entries have left since the last sweep began.
    stale: usize,
    /// Shards of the tables that this sweep has not seen yet.
    unswept: usize,
    /// Whether an entry ever took another's place.
    renewed: bool,
    runs: Runs,
    /// Further keys of S-5, of repeats with a transmission time of their own, and the key of S-1 that each belongs to.
    seen: FxHashMap<u128, u128>,
    /// The same, oldest first: when it was seen, Unix milliseconds.
    seen_since: VecDeque<(u64, u128)>,
    /// Entries that stand `Blocked`.
    blocked: usize,
}

impl Index {
    /// How many entries there are in memory.
    pub fn len(&self) -> usize {
        let last = self.chunks.back().map_or(0, |chunk| chunk.len());
        (self.chunks.len() * CHUNK_ENTRIES).saturating_sub(CHUNK_ENTRIES - last).saturating_sub(self.left)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The runs with what is not in memory.
    pub fn runs(&self) -> &Runs {
        &self.runs
    }

    /// The entry of that number; none once it has left.
    pub fn entry(&self, number: EntryNo) -> Option<&Entry> {
        let place = number.wrapping_sub(self.first) as usize;
        if place < self.left {
            return None;
        }
        self.chunks.get(place / CHUNK_ENTRIES)?.get(place % CHUNK_ENTRIES)
    }

    /// The entry of that number, or what took its place, to be changed; its keys must stay.
    pub fn entry_mut(&mut self, number: EntryNo) -> Option<&mut Entry> {
        let mut place = number.wrapping_sub(self.first) as usize;
        if self.renewed || self.is_handed(place) {
            place = self.renew(number)?.wrapping_sub(self.first) as usize;
        }
        own(self.chunks.get_mut(place / CHUNK_ENTRIES)?).get_mut(place % CHUNK_ENTRIES)
    }

    /// The entry with that key of S-1.
    pub fn by_key(&self, key: u128) -> Option<EntryNo> {
        self.by_key.find(key, |number| self.entry(number).is_some_and(|entry| entry.key == key))
    }

    /// How many of these keys, of S-1 and of S-5, entries may have. To ask that of many requests before each of them is looked up: one look waits for memory while the next
    /// begins, and the second look finds what it needs at hand.
    pub fn foresee(&self, keys: impl Iterator<Item = (u128, u128)>) -> usize {
        keys.map(|(key, named)| {
            usize::from(self.by_key.may_hold(key)) + usize::from(self.by_named.may_hold(named))
        })
        .sum()
    }

    /// The newest entry with that key of S-5, its own or that of a repeat.
    pub fn by_named(&self, named: u128) -> Option<EntryNo> {
        self.by_own_named(named).or_else(|| self.by_key(*self.seen.get(&named)?))
    }

    /// Whether a reversal blocked the request with that key of S-5 before it came.
    pub fn is_blocked(&self, named: u128) -> bool {
        let blocked = |number| self.entry(number).is_some_and(|entry| entry.standing == Standing::Blocked);
        self.blocked > 0 && self.by_own_named(named).is_some_and(blocked)
    }

    /// Whether a request is known by that key of S-5, wherever it lies.
    pub fn knows_name(&self, named: u128) -> bool {
        self.by_own_named(named).is_some() || self.seen.contains_key(&named)
    }

    /// The key of S-1 that a key of S-5 belongs to, as far as memory knows.
    pub fn key_of_named(&self, named: u128) -> Option<u128> {
        let own = self.by_own_named(named).and_then(|number| self.entry(number));
        own.map(|entry| entry.key).or_else(|| self.seen.get(&named).copied())
    }

    /// A repeat of the request with `key` had the key of S-5 `named`: a reversal may name it by that too.
    pub fn see(&mut self, at_ms: u64, key: u128, named: u128) {
        if self.seen.insert(named, key).is_none() {
            self.seen_since.push_back((at_ms, named));
        }
    }

    /// Marks the request of `entry` cancelled. Wherever its entry lay, it is as given then.
    pub fn cancel(&mut self, entry: &Entry) {
        let cancelled = Entry { standing: Standing::Cancelled, ..*entry };
        match self.by_key(entry.key).and_then(|number| self.entry_mut(number)) {
            // Its names still lead to it.
            Some(known) => *known = Entry { named: known.named, ..cancelled },
            None => {
                self.add(cancelled);
            }
        }
    }

    fn by_own_named(&self, named: u128) -> Option<EntryNo> {
        self.by_named.find(named, |number| self.entry(number).is_some_and(|entry| entry.named == named))
    }

    /// Adds an entry. An older one under the same key is no longer found by it.
    pub fn add(&mut self, entry: Entry) -> EntryNo {
        if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK_ENTRIES) {
            let chunk = self.spares.take();
            self.chunks.push_back(chunk);
        }
        let chunks = self.chunks.len() - 1;
        let Some(chunk) = self.chunks.back_mut() else { unreachable!("a chunk was pushed above") };
        let number = self.first.wrapping_add((chunks * CHUNK_ENTRIES + chunk.len()) as u32);
        own(chunk).push(entry);
        self.blocked += usize::from(entry.standing == Standing::Blocked);
        let Self { chunks, first, by_key, by_named, .. } = self;
        // One that has left may still be found here: then its place is taken.
        let at = |number: EntryNo| {
            let place = number.wrapping_sub(*first) as usize;
            chunks.get(place / CHUNK_ENTRIES).and_then(|chunk| chunk.get(place % CHUNK_ENTRIES))
        };
        by_key.put(entry.key, number, |known| at(known).is_some_and(|known| known.key == entry.key));
        by_named.put(entry.named, number, |known| at(known).is_some_and(|known| known.named == entry.named));
        number
    }

    /// Lets entries go that are over and were admitted before `before_ms`, oldest first, up to the first that must stay.
    pub fn expire(&mut self, before_ms: u64) {
        while self.seen_since.front().is_some_and(|(since_ms, _)| *since_ms < before_ms) {
            self.forget_oldest_seen();
        }
        while let Some(entry) = self.chunks.front().and_then(|chunk| chunk.get(self.left)).copied() {
            if entry.admitted_ms >= before_ms || entry.standing == Standing::InFlight {
                break;
            }
            self.remove_oldest();
        }
        self.sweep_some(1);
    }

    fn forget_oldest_seen(&mut self) {
        let Some((_, named)) = self.seen_since.pop_front() else { return };
        self.seen.remove(&named);
        let count = if self.leaving_seen > 0 { &mut self.leaving_seen } else { &mut self.handed_seen };
        *count = count.saturating_sub(1);
    }

    /// The oldest entry leaves. Its number stays in the tables until they are swept, where it leads nowhere: to look for it there, all over the memory, costs far more
    /// than a sweep does.
    fn remove_oldest(&mut self) {
        let Some(entry) = self.chunks.front().and_then(|chunk| chunk.get(self.left)) else { return };
        self.blocked -= usize::from(entry.standing == Standing::Blocked);
        self.stale += 1;
        self.left += 1;
        if self.left == CHUNK_ENTRIES {
            if let Some(chunk) = self.chunks.pop_front() {
                self.spares.keep(chunk, self.chunks.len());
            }
            self.first = self.first.wrapping_add(CHUNK_ENTRIES as u32);
            self.left = 0;
            let count = if self.leaving > 0 { &mut self.leaving } else { &mut self.handed };
            *count = count.saturating_sub(1);
        }
    }

    /// Begins a sweep where a quarter as many entries have left as are there, and sweeps up to `shards` of the tables. While entries leave for a run none begins: one sweep at
    /// the end takes all of them.
    fn sweep_some(&mut self, shards: usize) {
        let is_due = self.leaving == 0 && self.stale > CHUNK_ENTRIES.max(self.len() / 4);
        if self.unswept == 0 && is_due {
            self.begin_sweep();
        }
        let oldest = self.first.wrapping_add(self.left as u32);
        let count = self.len();
        for _ in 0..shards.min(self.unswept) {
            self.unswept -= 1;
            let table = if self.unswept < SHARDS { &mut self.by_key } else { &mut self.by_named };
            table.keep(self.unswept % SHARDS, |number| (number.wrapping_sub(oldest) as usize) < count);
        }
    }

    fn begin_sweep(&mut self) {
        if self.stale > 0 {
            (self.stale, self.unswept) = (0, 2 * SHARDS);
        }
    }

    /// The entries, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).skip(self.left)
    }
}

/// Two indexes are equal when they hold the same entries in the same order; their tables follow from that. Where an entry lies is no part of it: with runs, what
/// both have in memory must be the same under each key, and what only one has there, the other must have given to a run.
impl PartialEq for Index {
    fn eq(&self, other: &Self) -> bool {
        let is_plain = |index: &Self| index.runs.is_empty() && !index.renewed;
        if is_plain(self) && is_plain(other) {
            return self.len() == other.len() && self.iter().eq(other.iter()) && self.seen == other.seen;
        }
        self.agrees_with(other) && other.agrees_with(self)
    }
}

impl Index {
    fn oldest_ms(&self) -> u64 {
        self.iter().next().map_or(u64::MAX, |entry| entry.admitted_ms)
    }

    fn agrees_with(&self, other: &Self) -> bool {
        self.iter().all(|entry| {
            let newest = |index: &Self| index.by_key(entry.key).and_then(|at| index.entry(at)).copied();
            // What took another's place expires later than that would have.
            let absent = || !other.runs.is_empty() || entry.admitted_ms < other.oldest_ms();
            newest(other).map_or_else(absent, |theirs| newest(self) == Some(theirs))
        }) && self
            .seen
            .iter()
            .all(|(named, key)| other.seen.get(named).map_or(!other.runs.is_empty(), |theirs| theirs == key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u128, admitted_ms: u64) -> Entry {
        let spread = number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C834);
        Entry {
            key: spread,
            named: !spread,
            contents: 7,
            flight: FlightNo(number as u64),
            admitted_ms,
            intent_at: Lsn(1),
            outcome_at: Lsn(2),
            standing: Standing::Answered,
            secret: false,
        }
    }

    #[test]
    fn both_keys_find_an_entry_until_it_expires() {
        let mut index = Index::default();
        for number in 0..10_000u128 {
            index.add(entry(number, number as u64));
        }
        assert_eq!(index.len(), 10_000);
        for number in [0u128, 4_095, 4_096, 9_999] {
            let wanted = entry(number, number as u64);
            let by_key = index.by_key(wanted.key).and_then(|at| index.entry(at)).copied();
            let by_named = index.by_named(wanted.named).and_then(|at| index.entry(at)).copied();
            assert_eq!((by_key, by_named), (Some(wanted), Some(wanted)));
        }
        index.expire(5_000);
        assert_eq!(index.len(), 5_000);
        assert!(index.by_key(entry(4_999, 0).key).is_none());
        assert!(index.by_key(entry(5_000, 0).key).is_some());
        index.expire(u64::MAX);
        assert!(index.is_empty());
        let again = index.add(entry(1, 1));
        assert_eq!(index.by_key(entry(1, 1).key), Some(again));
    }

    #[test]
    fn a_snapshot_stays_as_it_was() {
        let mut index = Index::default();
        for number in 0..3_000u128 {
            index.add(entry(number, number as u64));
        }
        index.expire(100);
        let snapshot = index.snapshot();
        let before: Vec<_> = index.iter().copied().collect();
        let changed = index.by_key(entry(2_000, 0).key).expect("there");
        index.entry_mut(changed).expect("there").outcome_at = Lsn(77);
        index.add(entry(3_000, 3_000));
        index.expire(1_500);
        assert!(snapshot.iter().eq(&before));
        assert_eq!((snapshot.first(), index.len()), (100, 1_501));
        assert_eq!(index.entry(changed).map(|entry| entry.outcome_at), Some(Lsn(77)));
    }

    #[test]
    fn numbers_of_what_has_left_are_swept_out_of_the_tables() {
        let mut index = Index::default();
        let known = |index: &Index| [index.by_key.len(), index.by_named.len()];
        for number in 0..20_000u128 {
            index.add(entry(number, number as u64));
            index.expire((number as u64).saturating_sub(5_000));
            let bound = index.len() + index.len() / 2 + 2 * CHUNK_ENTRIES;
            assert!(known(&index).into_iter().all(|count| count <= bound), "{:?} of {number}", known(&index));
        }
        assert!(index.by_key(entry(14_998, 0).key).is_none(), "it has left");
        index.sweep_some(2 * SHARDS);
        index.begin_sweep();
        index.sweep_some(2 * SHARDS);
        assert_eq!(known(&index), [index.len(); 2]);
        let all_found = index
            .iter()
            .all(|entry| index.by_key(entry.key).is_some() && index.by_named(entry.named).is_some());
        assert!(all_found && index.len() == 5_001);
    }

    #[test]
    fn what_is_open_never_expires() {
        let mut index = Index::default();
        index.add(Entry { standing: Standing::InFlight, ..entry(1, 0) });
        index.add(entry(2, 0));
        index.expire(u64::MAX);
        assert_eq!(index.len(), 2);
    }
}
