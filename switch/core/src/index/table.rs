//! Numbers of entries by a key of theirs.
//!
//! Owns: the table of one kind of key, spread over shards.
//! Invariants: each shard grows by itself, so that growing stops nobody for long, and without a look at any entry: the bits that a number lies by are kept beside it; a shard grows only when
//! numbers fill it, so a table that fills up to the same height time after time stays as it is.
//! Deliberately absent: the keys themselves (entries have them), so who looks for one says whether an entry has it.

use super::EntryNo;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Tables a key is spread over.
pub(super) const SHARDS: usize = 256;

/// A number, and the bits of its key that it lies by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    bits: u32,
    number: EntryNo,
}

/// A table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    shards: Vec<HashTable<Slot>>,
    /// What stays of a shard while it is swept.
    kept: Vec<Slot>,
}

impl Default for Table {
    fn default() -> Self {
        Self::of(vec![HashTable::new(); SHARDS])
    }
}

fn shard(key: u128) -> usize {
    (key >> 120) as usize % SHARDS
}

fn bits(key: u128) -> u32 {
    key as u32
}

/// Keys are keyed hashes, so any of their bits are spread evenly. The table goes by the lowest bits, and by the highest for a first look.
fn hash(bits: u32) -> u64 {
    u64::from(bits) << 32 | u64::from(bits)
}

impl Table {
    fn of(shards: Vec<HashTable<Slot>>) -> Self {
        Self { shards, kept: Vec::new() }
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(HashTable::len).sum()
    }

    /// Bytes that it takes, used or not. Asks every shard.
    pub(super) fn held_bytes(&self) -> usize {
        self.shards.iter().map(HashTable::allocation_size).sum()
    }

    /// The number under that key; `has` says whether an entry has it.
    pub(super) fn find(&self, key: u128, has: impl Fn(EntryNo) -> bool) -> Option<EntryNo> {
        let bits = bits(key);
        let found = self.shards[shard(key)].find(hash(bits), |slot| slot.bits == bits && has(slot.number));
        found.map(|slot| slot.number)
    }

    /// Whether an entry may have that key.
    pub(super) fn may_hold(&self, key: u128) -> bool {
        self.find(key, |_| true).is_some()
    }

    /// Puts a number under its key, in place of the one that was there.
    pub(super) fn put(&mut self, key: u128, number: EntryNo, has: impl Fn(EntryNo) -> bool) {
        put(&mut self.shards[shard(key)], Slot { bits: bits(key), number }, has);
    }

    /// Keeps the numbers of that shard that are still of use. It goes through the shard as it lies in memory, and puts back what stays into the same memory, emptied: a number that is
    /// taken out by itself leaves a mark where it lay, marks take the room of numbers, and in the end the shard would grow for them.
    pub(super) fn keep(&mut self, shard: usize, is_of_use: impl Fn(EntryNo) -> bool) {
        let Self { shards, kept } = self;
        let shard = &mut shards[shard];
        kept.clear();
        kept.extend(shard.iter().filter(|slot| is_of_use(slot.number)));
        shard.clear();
        for slot in kept.drain(..) {
            shard.insert_unique(hash(slot.bits), slot, |known| hash(known.bits));
        }
    }

    /// A table of many numbers, oldest first; `same` says whether two have the same key: of those the newest is found.
    pub(super) fn filled(numbers: &Sorted, same: impl Fn(EntryNo, EntryNo) -> bool) -> Self {
        Self::of(numbers.0.iter().map(|of_shard| filled(of_shard, &same)).collect())
    }
}

fn put(table: &mut HashTable<Slot>, new: Slot, has: impl Fn(EntryNo) -> bool) {
    let same = |known: &Slot| known.bits == new.bits && has(known.number);
    match table.entry(hash(new.bits), same, |known| hash(known.bits)) {
        Entry::Occupied(mut known) => *known.get_mut() = new,
        Entry::Vacant(free) => {
            free.insert(new);
        }
    }
}

fn filled(numbers: &[Slot], same: impl Fn(EntryNo, EntryNo) -> bool) -> HashTable<Slot> {
    // With room for a quarter more: what comes soon after a start does not make every table grow at once.
    let mut table = HashTable::with_capacity(numbers.len() + numbers.len() / 4);
    for new in numbers {
        put(&mut table, *new, |known| same(known, new.number));
    }
    table
}

/// Numbers of entries, sorted by the shard of their key: a table filled from them is reached shard by shard, and not all over the memory.
#[derive(Debug)]
pub(super) struct Sorted(Vec<Vec<Slot>>);

impl Default for Sorted {
    fn default() -> Self {
        Self(vec![Vec::new(); SHARDS])
    }
}

impl Sorted {
    /// Forgets all, but keeps the room.
    pub(super) fn clear(&mut self) {
        self.0.iter_mut().for_each(Vec::clear);
    }

    /// The next number and its key.
    pub(super) fn push(&mut self, key: u128, number: EntryNo) {
        self.0[shard(key)].push(Slot { bits: bits(key), number });
    }
}
