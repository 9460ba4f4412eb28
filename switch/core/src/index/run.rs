//! A run: entries of the index that lie in a file, sorted by their keys.
//!
//! Owns: the form of the file, and finding an entry in it with two or three blocks read.
//!
//! ```text
//! block     crc32c of the block's number and the rest 4 · 4,092 bytes; every part begins with a block of its own
//! head      magic 8 · version 4 · number 4 · entries 4 · names 4 · keys that the filter has room for 4 · position of the log 8 · oldest 8
//!           · newest 8 · first position named 8 · hours of keys 1,024 · hours of second keys 1,024
//! filter    127 blocks of the filter each
//! entries   55 each, by key: key 16 · second key 16 · contents 8 · flight 8 · admitted 8 · intent 8 · outcome 8 · standing 1 · secret 1
//! names     127 each, by second key: second key 16 · the key it belongs to 16
//! ```
//!
//! Invariants: a run is never changed; every block is checked when it is read; a key is there once, with what was known of it last; keys are keyed hashes, so
//! they lie evenly, and where one must lie is computed, not searched for.
//! Deliberately absent: how one is written (`writer`), and files. Who has them hands blocks in and out.

mod order;
mod writer;

pub(super) use writer::NAME_WRITING_BYTES;
pub use writer::{RUN_WRITER_BYTES, RUN_WRITING_BYTES, RunWriter};

use super::filter::{FILTER_BLOCK_BYTES, Filter};
use super::hour::{HOURS_BYTES, Hours};
use super::{ENTRY_BYTES, Entry};
use crate::log::Lsn;
use crate::pack::{Pack, Unpack, Unreadable};
use std::io;

/// Bytes of a block: what is read, written and checked at a time.
pub const BLOCK_BYTES: usize = 4_096;

/// A block.
pub type Block = [u8; BLOCK_BYTES];

const CHECK_BYTES: usize = 4;
const MAGIC: [u8; 8] = *b"SWYRUN\0\0";
const VERSION: u32 = 2;
const ENTRY_ROW_BYTES: usize = ENTRY_BYTES;
const NAME_ROW_BYTES: usize = 2 * KEY_BYTES;
const KEY_BYTES: usize = 16;
const ENTRIES_PER_BLOCK: usize = (BLOCK_BYTES - CHECK_BYTES) / ENTRY_ROW_BYTES;
const NAMES_PER_BLOCK: usize = (BLOCK_BYTES - CHECK_BYTES) / NAME_ROW_BYTES;
const FILTERS_PER_BLOCK: usize = (BLOCK_BYTES - CHECK_BYTES) / FILTER_BLOCK_BYTES;

/// So many guesses from a key's value; beyond them the table is halved, so that a search ends however keys lie.
const GUESSES_MAX: u32 = 6;
/// More steps no search takes.
const STEPS_MAX: u32 = 64;

/// Why a run cannot be used. A retry gives the same answer until the file is restored.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A block cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    /// A block is not as it was written.
    #[error("block {0} is damaged")]
    Damaged(u32),
    /// It is no run.
    #[error("it does not begin as a run of duplicates does")]
    Foreign,
    /// Another release wrote it.
    #[error(
        "it has version {0} of the format, this release reads version {VERSION}; start the release that wrote it"
    )]
    Version(u32),
}

impl From<Unreadable> for RunError {
    /// A head that passes its check and holds what it cannot hold was not written here.
    fn from(_: Unreadable) -> Self {
        Self::Foreign
    }
}

/// What a checkpoint remembers of a run that it relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunMark {
    /// Its number: counts up.
    pub number: u32,
    /// Entries in it.
    pub entries: u32,
    /// When its newest entry was admitted, Unix milliseconds.
    pub newest_ms: u64,
    /// The oldest position of the log that its entries name: segments from there on are still read.
    pub needs_from: Lsn,
    /// Checksum of its head.
    pub check: u32,
}

impl RunMark {
    /// Reads a packed mark.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn unpack(from: &mut Unpack<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            number: from.u32()?,
            entries: from.u32()?,
            newest_ms: from.u64()?,
            needs_from: Lsn(from.u64()?),
            check: from.u32()?,
        })
    }
}

impl Pack for RunMark {
    fn pack(&self, out: &mut Vec<u8>) {
        self.number.pack(out);
        self.entries.pack(out);
        self.newest_ms.pack(out);
        self.needs_from.0.pack(out);
        self.check.pack(out);
    }
}

/// What is known of a run without its tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunHead {
    /// What checkpoints call it by.
    pub mark: RunMark,
    /// Second keys in it.
    names: u32,
    /// So many keys its filter has room for: the entries that it was made of, of which several may have had one key.
    filter_keys: u32,
    /// The end of the log that its entries were the fold of.
    pub at: Lsn,
    /// When its oldest entry was admitted, Unix milliseconds.
    pub oldest_ms: u64,
    /// Hours of its keys.
    pub locals: Hours,
    /// Hours of its second keys.
    pub sents: Hours,
}

/// A table of rows that begin with a key, sorted by it.
#[derive(Clone, Copy)]
struct Table {
    first_block: usize,
    rows: usize,
    row_bytes: usize,
    rows_per_block: usize,
}

fn check(block: &Block, number: u32) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), &block[CHECK_BYTES..])
}

fn checked(block: &Block, number: u32) -> Result<&[u8], RunError> {
    let (written, rest) = block.split_at(CHECK_BYTES);
    if written == check(block, number).to_le_bytes() { Ok(rest) } else { Err(RunError::Damaged(number)) }
}

impl RunHead {
    /// Reads the first block of a run.
    ///
    /// # Errors
    /// It is damaged, or no run's, or another release's.
    pub fn decode(block: &Block) -> Result<Self, RunError> {
        if block[CHECK_BYTES..].first_chunk() != Some(&MAGIC) {
            return Err(RunError::Foreign);
        }
        let rest = checked(block, 0)?;
        let mut from = Unpack(&rest[MAGIC.len()..]);
        let version = from.u32()?;
        if version != VERSION {
            return Err(RunError::Version(version));
        }
        let (number, entries, names, filter_keys) = (from.u32()?, from.u32()?, from.u32()?, from.u32()?);
        let (at, oldest_ms, newest_ms) = (Lsn(from.u64()?), from.u64()?, from.u64()?);
        let needs_from = Lsn(from.u64()?);
        let locals = Hours::from_bytes(&from.array::<HOURS_BYTES>()?);
        let sents = Hours::from_bytes(&from.array::<HOURS_BYTES>()?);
        let check = check(block, 0);
        let mark = RunMark { number, entries, newest_ms, needs_from, check };
        Ok(Self { mark, names, filter_keys, at, oldest_ms, locals, sents })
    }

    fn encode(&mut self) -> Block {
        let mut packed = Vec::with_capacity(BLOCK_BYTES);
        packed.extend_from_slice(&[0; CHECK_BYTES]);
        MAGIC.pack(&mut packed);
        VERSION.pack(&mut packed);
        self.mark.number.pack(&mut packed);
        self.mark.entries.pack(&mut packed);
        self.names.pack(&mut packed);
        self.filter_keys.pack(&mut packed);
        self.at.0.pack(&mut packed);
        self.oldest_ms.pack(&mut packed);
        self.mark.newest_ms.pack(&mut packed);
        self.mark.needs_from.0.pack(&mut packed);
        self.locals.as_bytes().pack(&mut packed);
        self.sents.as_bytes().pack(&mut packed);
        let mut block = [0; BLOCK_BYTES];
        block[..packed.len()].copy_from_slice(&packed);
        seal(&mut block, 0);
        self.mark.check = check(&block, 0);
        block
    }

    fn filter_blocks(&self) -> usize {
        Filter::blocks_for(self.filter_keys as usize).div_ceil(FILTERS_PER_BLOCK)
    }

    fn entries(&self) -> Table {
        Table {
            first_block: 1 + self.filter_blocks(),
            rows: self.mark.entries as usize,
            row_bytes: ENTRY_ROW_BYTES,
            rows_per_block: ENTRIES_PER_BLOCK,
        }
    }

    fn names(&self) -> Table {
        let entries = self.entries();
        Table {
            first_block: entries.first_block + entries.rows.div_ceil(ENTRIES_PER_BLOCK),
            rows: self.names as usize,
            row_bytes: NAME_ROW_BYTES,
            rows_per_block: NAMES_PER_BLOCK,
        }
    }

    /// Length of the file in bytes.
    pub fn bytes(&self) -> u64 {
        let names = self.names();
        ((names.first_block + names.rows.div_ceil(NAMES_PER_BLOCK)) * BLOCK_BYTES) as u64
    }

    /// Reads the filter. `read` gives the block of a number.
    ///
    /// # Errors
    /// A block cannot be read, or is damaged.
    pub fn filter(
        &self,
        mut read: impl FnMut(u32, &mut Block) -> io::Result<()>,
    ) -> Result<Filter, RunError> {
        let mut filter = Filter::new(self.filter_keys as usize);
        let mut block = [0; BLOCK_BYTES];
        for at in 0..self.filter_blocks() {
            let number = (1 + at) as u32;
            read(number, &mut block)?;
            let (blocks, _) = checked(&block, number)?.as_chunks::<FILTER_BLOCK_BYTES>();
            for (within, bytes) in blocks.iter().enumerate() {
                filter.put_block(at * FILTERS_PER_BLOCK + within, bytes);
            }
        }
        Ok(filter)
    }

    /// The entry with that key of S-1.
    ///
    /// # Errors
    /// A block cannot be read, or is damaged.
    pub fn by_key(
        &self,
        key: u128,
        mut read: impl FnMut(u32, &mut Block) -> io::Result<()>,
    ) -> Result<Option<Entry>, RunError> {
        let mut block = [0; BLOCK_BYTES];
        let Some((row, number)) = self.entries().find(key, &mut block, &mut read)? else { return Ok(None) };
        Entry::unpack(&mut Unpack(&block[row..])).map(Some).map_err(|_| RunError::Damaged(number))
    }

    /// The key of S-1 that a key of S-5 belongs to.
    ///
    /// # Errors
    /// A block cannot be read, or is damaged.
    pub fn key_of_named(
        &self,
        named: u128,
        mut read: impl FnMut(u32, &mut Block) -> io::Result<()>,
    ) -> Result<Option<u128>, RunError> {
        let mut block = [0; BLOCK_BYTES];
        let Some((row, _)) = self.names().find(named, &mut block, &mut read)? else { return Ok(None) };
        Ok(Some(key_of(&block[row + KEY_BYTES..])))
    }

    /// Reads every block and checks it, and that rows are in order.
    ///
    /// # Errors
    /// Something is not as it was written.
    pub fn verify(&self, mut read: impl FnMut(u32, &mut Block) -> io::Result<()>) -> Result<(), RunError> {
        self.filter(&mut read)?;
        let mut block = [0; BLOCK_BYTES];
        for table in [self.entries(), self.names()] {
            let mut last = None;
            for at in 0..table.rows.div_ceil(table.rows_per_block) {
                let number = (table.first_block + at) as u32;
                read(number, &mut block)?;
                let rows = table.rows.min((at + 1) * table.rows_per_block) - at * table.rows_per_block;
                for row in checked(&block, number)?.chunks_exact(table.row_bytes).take(rows) {
                    let key = Some(key_of(row));
                    if last >= key {
                        return Err(RunError::Damaged(number));
                    }
                    last = key;
                }
            }
        }
        Ok(())
    }
}

fn key_of(row: &[u8]) -> u128 {
    row.first_chunk().map_or(0, |key| u128::from_le_bytes(*key))
}

impl Table {
    /// Where in `block` the row of a key lies then, and the number of that block.
    fn find(
        &self,
        key: u128,
        block: &mut Block,
        read: &mut impl FnMut(u32, &mut Block) -> io::Result<()>,
    ) -> Result<Option<(usize, u32)>, RunError> {
        let (mut from, mut to) = (0, self.rows);
        // Keys of rows `from..to` lie between these.
        let (mut low, mut high) = (0, u128::MAX);
        for step in 0..STEPS_MAX {
            if from >= to || key < low || key > high {
                return Ok(None);
            }
            let guess = if step < GUESSES_MAX { guess(key, low, high, from, to) } else { (from + to) / 2 };
            let number = (self.first_block + guess / self.rows_per_block) as u32;
            read(number, block)?;
            let rows = checked(block, number)?;
            let first = guess / self.rows_per_block * self.rows_per_block;
            let count = self.rows_per_block.min(self.rows - first);
            let at = |row: usize| key_of(&rows[row * self.row_bytes..]);
            if key < at(0) {
                (to, high) = (first, at(0));
            } else if key > at(count - 1) {
                (from, low) = (first + count, at(count - 1));
            } else {
                let row = rows[..count * self.row_bytes]
                    .chunks_exact(self.row_bytes)
                    .position(|row| key_of(row) == key);
                return Ok(row.map(|row| (CHECK_BYTES + row * self.row_bytes, number)));
            }
        }
        Ok(None)
    }
}

/// Where between two rows a key must lie, were keys to lie evenly.
fn guess(key: u128, low: u128, high: u128, from: usize, to: usize) -> usize {
    let (part, whole) = ((key - low) >> 64, ((high - low) >> 64) + 1);
    from + (part * (to - from) as u128 / whole) as usize
}

fn seal(block: &mut Block, number: u32) {
    let check = check(block, number);
    block[..CHECK_BYTES].copy_from_slice(&check.to_le_bytes());
}

#[cfg(test)]
pub(super) mod tests;
