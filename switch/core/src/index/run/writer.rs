//! How a run is written.
//!
//! Owns: the way from entries in the order of time to rows in the order of keys, and the memory that takes, which stays for the next run.
//! Invariants: entries and names are read where they lie and go straight into blocks; nothing is made of a run in memory but its filter.
//! Deliberately absent: where blocks go.

use super::order::{ORDER_BYTES, ORDER_NUMBER_BYTES, Order};
use super::{BLOCK_BYTES, Block, CHECK_BYTES, KEY_BYTES, NAME_ROW_BYTES, RunHead, RunMark, seal};
use crate::index::filter::{BITS_PER_KEY, Filter};
use crate::index::spill::SPILL_CHUNKS_MAX;
use crate::index::{Entry, Hour, Hours, Spill};
use std::io;

/// What an entry takes beside itself while it is written to a run: its number, and its bits of the filter.
pub const RUN_WRITING_BYTES: usize = ORDER_NUMBER_BYTES + BITS_PER_KEY / 8;
/// What a further second key takes meanwhile: its number.
pub(crate) const NAME_WRITING_BYTES: usize = ORDER_NUMBER_BYTES;
/// What writing takes beside that, at the most: the order's own, where chunks of entries lie, and the head, which is packed.
pub const RUN_WRITER_BYTES: usize = ORDER_BYTES + SPILL_CHUNKS_MAX * size_of::<&[Entry]>() + 4 * BLOCK_BYTES;

/// Writes runs, one after the other, in the same memory.
#[derive(Debug, Default)]
pub struct RunWriter {
    order: Order,
}

impl RunWriter {
    /// Writes a run. `put` takes blocks and their numbers: entries and names in order; then the filter, and last the head, which both come before them in a run, but say what they were.
    ///
    /// # Errors
    /// What `put` says.
    pub fn write(
        &mut self,
        spill: &Spill,
        mut put: impl FnMut(u32, &Block) -> io::Result<()>,
    ) -> io::Result<(RunHead, Filter)> {
        let mut filter = Filter::new(spill.len());
        let mut head = RunHead::of_none(spill);
        let mut rows = Rows::new(head.entries().first_block, &mut put);
        self.put_entries(spill, &mut head, &mut filter, &mut rows)?;
        self.put_names(spill, &mut head, &mut rows)?;
        let mut rows = Rows::new(1, &mut put);
        filter.blocks().try_for_each(|block| rows.row(&block))?;
        rows.end()?;
        put(0, &head.encode())?;
        Ok((head, filter))
    }

    /// Of several entries under one key the last counts.
    fn put_entries<P: Put>(
        &mut self,
        spill: &Spill,
        head: &mut RunHead,
        filter: &mut Filter,
        rows: &mut Rows<'_, P>,
    ) -> io::Result<()> {
        let entries = spill.entries();
        let put = |key, number| {
            let entry = entries.at(number);
            head.add(entry);
            filter.add(key);
            rows.row(&entry.to_bytes())
        };
        self.order.each(spill.len(), |number| entries.at(number).key, put)?;
        rows.end()
    }

    /// Each second key leads to what it belonged to last; that of an entry counts for more than one that was seen, so those come first.
    fn put_names<P: Put>(
        &mut self,
        spill: &Spill,
        head: &mut RunHead,
        rows: &mut Rows<'_, P>,
    ) -> io::Result<()> {
        let (entries, seen) = (spill.entries(), &spill.seen[..]);
        let own = |number: u32| entries.at(number - seen.len() as u32);
        let named = |number: u32| match seen.get(number as usize) {
            Some((named, _)) => *named,
            None => own(number).named,
        };
        let put = |named: u128, number: u32| {
            let key = seen.get(number as usize).map_or_else(|| own(number).key, |(_, key)| *key);
            head.names += 1;
            head.sents.add(Hour::in_key(named));
            let mut row = [0; NAME_ROW_BYTES];
            row[..KEY_BYTES].copy_from_slice(&named.to_le_bytes());
            row[KEY_BYTES..].copy_from_slice(&key.to_le_bytes());
            rows.row(&row)
        };
        self.order.each(seen.len() + spill.len(), named, put)?;
        rows.end()
    }
}

impl RunHead {
    /// Of a run to which nothing was added yet.
    fn of_none(spill: &Spill) -> Self {
        let mark = RunMark { number: spill.number, entries: 0, newest_ms: 0, needs_from: spill.at, check: 0 };
        Self {
            mark,
            names: 0,
            filter_keys: spill.len() as u32,
            at: spill.at,
            oldest_ms: if spill.is_empty() { 0 } else { u64::MAX },
            locals: Hours::default(),
            sents: Hours::default(),
        }
    }

    fn add(&mut self, entry: &Entry) {
        self.mark.entries += 1;
        self.mark.newest_ms = self.mark.newest_ms.max(entry.admitted_ms);
        self.mark.needs_from = self.mark.needs_from.min(entry.intent_at).min(entry.outcome_at);
        self.oldest_ms = self.oldest_ms.min(entry.admitted_ms);
        self.locals.add(Hour::in_key(entry.key));
    }
}

/// What takes a block and its number.
trait Put: FnMut(u32, &Block) -> io::Result<()> {}
impl<P: FnMut(u32, &Block) -> io::Result<()>> Put for P {}

/// Rows on their way into blocks.
struct Rows<'p, P> {
    block: Block,
    filled: usize,
    number: u32,
    put: &'p mut P,
}

impl<'p, P: Put> Rows<'p, P> {
    /// The first block will have that number.
    fn new(number: usize, put: &'p mut P) -> Self {
        Self { block: [0; BLOCK_BYTES], filled: CHECK_BYTES, number: number as u32, put }
    }

    fn row<const BYTES: usize>(&mut self, row: &[u8; BYTES]) -> io::Result<()> {
        if self.filled + BYTES > BLOCK_BYTES {
            self.end()?;
        }
        self.block[self.filled..self.filled + BYTES].copy_from_slice(row);
        self.filled += BYTES;
        Ok(())
    }

    /// Ends a part: what follows begins with a block of its own.
    fn end(&mut self) -> io::Result<()> {
        if self.filled == CHECK_BYTES {
            return Ok(());
        }
        self.block[self.filled..].fill(0);
        seal(&mut self.block, self.number);
        (self.put)(self.number, &self.block)?;
        self.filled = CHECK_BYTES;
        self.number += 1;
        Ok(())
    }
}
