//! The index in a checkpoint: its entries as they stood, as bytes, and back.
//!
//! Owns: the packed form of an entry, `IndexSnapshot`, and `Refill`, which makes an index of entries that are read back.
//! Invariants: an entry packs to `ENTRY_BYTES`, whatever it holds; entries keep their numbers, which open flights name.
//! Deliberately absent: the tables. They follow from the entries, and are made again.

use super::table::{Sorted, Table};
use super::{CHUNK_ENTRIES, Chunk, Entry, EntryNo, Index, RunMark, Runs, Standing};
use crate::log::Lsn;
use crate::pack::{self, Pack, Unpack, Unreadable};
use std::collections::VecDeque;
use std::sync::Arc;

/// Length of a packed entry.
pub const ENTRY_BYTES: usize = 74;

impl Pack for Entry {
    fn pack(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bytes());
    }
}

impl Entry {
    /// The packed entry.
    pub(super) fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..16].copy_from_slice(&self.key.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.named.to_le_bytes());
        let numbers = [self.contents, self.flight.0, self.admitted_ms, self.intent_at.0, self.outcome_at.0];
        for (place, number) in bytes[32..72].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes[72] = self.standing as u8;
        bytes[73] = u8::from(self.secret);
        bytes
    }

    /// Reads a packed entry.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn unpack(from: &mut Unpack<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            key: from.u128()?,
            named: from.u128()?,
            contents: from.u64()?,
            flight: from.flight()?,
            admitted_ms: from.u64()?,
            intent_at: Lsn(from.u64()?),
            outcome_at: Lsn(from.u64()?),
            standing: Standing::of(from.byte()?)?,
            secret: from.flag()?,
        })
    }
}

impl Standing {
    const ALL: [Self; 5] = [Self::InFlight, Self::Approved, Self::Answered, Self::Cancelled, Self::Blocked];

    fn of(number: u8) -> Result<Self, Unreadable> {
        Self::ALL.into_iter().find(|standing| *standing as u8 == number).ok_or(Unreadable)
    }
}

impl Index {
    /// The entries as they stand, for a checkpoint: costs a count for each chunk, whatever is in it, and later a copy of each chunk that changes while the
    /// snapshot lives. The few further names are copied.
    pub fn snapshot(&self) -> IndexSnapshot {
        // What leaves memory at this moment is in it all the same: it is in a run too, which does no harm.
        let Self { chunks, first, left, seen, seen_since, .. } = self;
        let seen = seen_since.iter().map(|(since_ms, named)| (*since_ms, *named, seen[named])).collect();
        IndexSnapshot { chunks: chunks.clone(), first: *first, left: *left, seen, runs: self.runs.marks() }
    }
}

/// The entries of an index at one moment, without its tables.
#[derive(Clone, Debug)]
pub struct IndexSnapshot {
    chunks: VecDeque<Chunk>,
    first: EntryNo,
    left: usize,
    seen: Vec<Seen>,
    runs: Vec<RunMark>,
}

/// When a further key of S-5 was seen, Unix milliseconds; it; and the key of S-1 that it belongs to.
type Seen = (u64, u128, u128);

impl IndexSnapshot {
    /// The number of the oldest entry; the others follow without gaps.
    pub fn first(&self) -> EntryNo {
        self.first.wrapping_add(self.left as u32)
    }

    /// The oldest position of the log that entries in runs name; none where there are no runs.
    pub fn runs_need_from(&self) -> Option<Lsn> {
        self.runs.iter().map(|run| run.needs_from).min()
    }

    /// Appends everything but the entries: how many there are, the first one's number, further names, the runs that hold the rest.
    pub fn pack_head(&self, out: &mut Vec<u8>) {
        (self.len() as u64).pack(out);
        self.first().pack(out);
        pack::list(out, self.seen.iter(), |(since_ms, named, key), out| {
            since_ms.pack(out);
            named.pack(out);
            key.pack(out);
        });
        pack::list(out, self.runs.iter(), |run, out| run.pack(out));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum::<usize>() - self.left
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).skip(self.left)
    }

    /// The entries, oldest first. A chunk goes when it is over, so those that leave memory meanwhile, which are the oldest, are free soon.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = Entry> {
        let of = |chunk: Chunk| (0..chunk.len()).map(move |place| chunk[place]);
        self.chunks.into_iter().flat_map(of).skip(self.left)
    }
}

/// An index that is read back, entry after entry, and gets its tables at the end: each is made once in its size, shard by shard, so that it neither grows nor
/// is reached all over the memory.
#[derive(Debug)]
pub struct Refill {
    index: Index,
    /// How many entries there will be.
    expected: u64,
}

impl Refill {
    /// Begins with what [`IndexSnapshot::pack_head`] wrote.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn unpack_head(from: &mut Unpack<'_>) -> Result<Self, Unreadable> {
        let (expected, first) = (from.u64()?, from.u32()?);
        let seen: Vec<Seen> = from.list(|from| Ok((from.u64()?, from.u128()?, from.u128()?)))?;
        let runs = Runs::relying_on(from.list(RunMark::unpack)?);
        let index = Index {
            runs,
            first,
            seen: seen.iter().map(|(_, named, key)| (*named, *key)).collect(),
            seen_since: seen.iter().map(|(since_ms, named, _)| (*since_ms, *named)).collect(),
            ..Index::default()
        };
        Ok(Self { index, expected })
    }

    /// Whether every entry is there that the head announced.
    pub fn is_whole(&self) -> bool {
        self.index.len() as u64 == self.expected
    }

    /// The next entry.
    pub fn push(&mut self, entry: Entry) {
        self.index.blocked += usize::from(entry.standing == Standing::Blocked);
        let chunks = &mut self.index.chunks;
        match chunks.back_mut().and_then(Arc::get_mut).filter(|chunk| chunk.len() < CHUNK_ENTRIES) {
            Some(chunk) => chunk.push(entry),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK_ENTRIES);
                chunk.push(entry);
                chunks.push_back(Arc::new(chunk));
            }
        }
    }

    /// The index.
    pub fn end(mut self) -> Index {
        let mut sorted = Sorted::default();
        self.index.by_key = self.table(&mut sorted, |entry| entry.key);
        self.index.by_named = self.table(&mut sorted, |entry| entry.named);
        // Where a key has two entries, the newer one took the other's place before: an open flight may still know the older one's number.
        self.index.renewed = self.index.by_key.len() < self.index.len();
        self.index
    }

    /// The table of one key. Of entries under the same one the newest is found.
    fn table(&self, sorted: &mut Sorted, key: impl Fn(&Entry) -> u128) -> Table {
        sorted.clear();
        for (place, entry) in self.index.iter().enumerate() {
            sorted.push(key(entry), self.index.first.wrapping_add(place as u32));
        }
        // Entries are looked at only where the bits that they lie by agree: they lie far from each other.
        let key_of = |number: EntryNo| self.index.entry(number).map(&key);
        Table::filled(sorted, |one, other| key_of(one) == key_of(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::FlightNo;

    fn entry(number: u64) -> Entry {
        let key = u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        Entry {
            key,
            // Every second one has the name of the one before.
            named: !u128::from(number / 2).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835),
            contents: number,
            flight: FlightNo(number),
            admitted_ms: number,
            intent_at: Lsn(number),
            outcome_at: Lsn(number + 1),
            standing: Standing::ALL[number as usize % Standing::ALL.len()],
            secret: number.is_multiple_of(5),
        }
    }

    #[test]
    fn an_index_read_back_is_the_same_and_finds_the_same() {
        let mut index = Index::default();
        for number in 0..5_000 {
            index.add(Entry { standing: Standing::Answered, ..entry(number) });
        }
        (0..100)
            .for_each(|number| index.see(1_400 + number * 2, entry(number + 1_550).key, u128::from(number)));
        index.expire(1_500);
        let snapshot = index.snapshot();
        let (mut head, mut bytes) = (Vec::new(), Vec::new());
        snapshot.pack_head(&mut head);
        snapshot.iter().for_each(|entry| entry.pack(&mut bytes));
        assert_eq!(bytes.len(), snapshot.len() * ENTRY_BYTES);
        let mut refill = Refill::unpack_head(&mut Unpack(&head)).expect("just packed");
        assert!(!refill.is_whole());
        for bytes in bytes.chunks(ENTRY_BYTES) {
            refill.push(Entry::unpack(&mut Unpack(bytes)).expect("just packed"));
        }
        assert!(refill.is_whole());
        let mut back = refill.end();
        assert_eq!(back, index);
        for number in 0..5_000 {
            let Entry { key, named, .. } = entry(number);
            assert_eq!(back.by_key(key), index.by_key(key), "key {number}");
            assert_eq!(back.by_named(named), index.by_named(named), "name {number}");
        }
        (0..100).for_each(|number| assert_eq!(back.by_named(number), index.by_named(number), "further name"));
        assert_eq!(back.add(entry(5_000)), index.add(entry(5_000)));
        back.expire(3_000);
        index.expire(3_000);
        assert_eq!(back, index);
    }

    #[test]
    fn an_entry_that_took_another_ones_place_before_the_checkpoint_is_still_the_one_that_changes() {
        let mut index = Index::default();
        let first = index.add(entry(0));
        index.add(Entry { standing: Standing::Answered, ..entry(0) });
        let mut head = Vec::new();
        index.snapshot().pack_head(&mut head);
        let mut refill = Refill::unpack_head(&mut Unpack(&head)).expect("just packed");
        index.iter().for_each(|entry| refill.push(*entry));
        let mut back = refill.end();
        back.entry_mut(first).expect("it is there").standing = Standing::Cancelled;
        let found = back.by_key(entry(0).key).and_then(|number| back.entry(number)).copied();
        assert_eq!(found.map(|entry| entry.standing), Some(Standing::Cancelled));
    }

    #[test]
    fn what_a_checkpoint_has_written_is_not_shared_any_more() {
        let mut index = Index::default();
        (0..3 * CHUNK_ENTRIES as u64).for_each(|number| {
            index.add(entry(number));
        });
        let mut entries = index.snapshot().into_entries();
        assert_eq!(entries.by_ref().take(CHUNK_ENTRIES + 1).last(), Some(entry(CHUNK_ENTRIES as u64)));
        let shared: Vec<_> = index.chunks.iter().map(|chunk| Arc::strong_count(chunk) > 1).collect();
        assert_eq!(shared, [false, true, true]);
    }

    #[test]
    fn an_entry_reads_back() {
        for number in 0..10 {
            let mut bytes = Vec::new();
            entry(number).pack(&mut bytes);
            assert_eq!((bytes.len(), Entry::unpack(&mut Unpack(&bytes))), (ENTRY_BYTES, Ok(entry(number))));
        }
    }
}
