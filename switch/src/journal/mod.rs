//! The journal: the log in files, synced in groups.
//!
//! Owns the folder with the segments, the thread that syncs, and recovery. What the bytes are is `log` of the
//! core.
//!
//! Invariants:
//! - One writer: [`Journal`] belongs to the gate, and each batch is one positioned write behind the batch
//!   before.
//! - A fact at a position below [`Journal::durable`] survives a power cut, below [`Journal::written`] a kill
//!   of the process (S-17).
//! - After a write or a sync has failed, every later write fails with the same error and `durable` stands
//!   still.
//! - What was cut as a torn tail is cut off the file before a new epoch begins, so it is never read again.
//! - In the steady state a batch costs one write, and no allocation.
//!
//! Deliberately absent: what a fact means, when a checkpoint is due, and a way to repair damage.
//!
//! ```text
//! Opening::new → replay → start ─┬─ Log            the gate fills it            (core)
//!                                ├─ Journal        the gate writes its batches  ── sync thread
//!                                ├─ SegmentMaker   the keeper prepares segments
//!                                ├─ JournalReader  the keeper reads cold facts
//!                                └─ CheckpointFiles  the checkpointer writes checkpoints, retires segments
//! ```

mod checkpoint;
mod error;
mod folder;
mod inspect;
mod opening;
mod reader;
mod replay;
mod retire;
mod scan;
mod segment;
mod sync;
#[cfg(test)]
mod tests;

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::Duration;

use switchyard_core::log::{Batch, Log, Lsn, SegmentHeader};

use self::error::io_error;
use self::folder::Folder;
use self::opening::write_header;
use self::segment::Stock;
use self::sync::{Entered, Shared};

pub use self::checkpoint::{CHECKPOINTS_KEPT, CheckpointFault, CheckpointFiles};
pub use self::error::JournalError;
pub use self::inspect::Inspection;
pub use self::opening::Opening;
pub use self::reader::JournalReader;
pub(crate) use self::replay::KEY_PURPOSE;
pub use self::replay::Replayed;
pub use self::retire::Needs;
pub use self::scan::JournalPlace;
pub use self::segment::SegmentMaker;

/// With fewer prepared segments than this, sales are refused and what is left is kept for outcomes and
/// reversals.
pub const ROOM_PREPARED_MIN: usize = 2;

/// A data folder's journal, locked: nobody else opens it as long as this lives.
pub struct JournalLock(#[expect(dead_code, reason = "it is held, not used")] Folder);

/// Locks a journal's folder, which is made where it is missing, for work beside the log.
///
/// # Errors
/// [`JournalError::Locked`], [`JournalError::Io`].
pub fn lock(dir: &Path) -> Result<JournalLock, JournalError> {
    Folder::lock(dir).map(JournalLock)
}

/// Buffers that the journal may hold beside its open batch: zeros for segments, the window of a replay, a fact that is read back.
pub(crate) const BUFFER_BYTES: usize =
    segment::ZEROS_BYTES + folder::WINDOW_BYTES + switchyard_core::log::FACT_BYTES_MAX;

/// How the journal is kept. Every field is a configuration key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalOptions {
    /// Length of a segment in bytes: at least 4 MiB, a multiple of 4096, never changed for a folder. Default
    /// 64 MiB.
    pub segment_bytes: u64,
    /// How many segments are held prepared, 2 to 64. Default 3.
    pub prepared_min: usize,
    /// Time from the beginning of one sync to that of the next when few facts wait, in microseconds, at most
    /// 1,000,000. Default 500.
    pub sync_interval_us: u64,
    /// Count of waiting facts from which a sync does not wait for the interval, at least 1. Default 32.
    pub sync_facts_min: usize,
}

impl Default for JournalOptions {
    fn default() -> JournalOptions {
        JournalOptions { segment_bytes: 64 << 20, prepared_min: 3, sync_interval_us: 500, sync_facts_min: 32 }
    }
}

/// What there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// No prepared segment is left: the rest of the current one is all there is. Outcomes and reversals only.
    Last,
    /// The reserve is touched: outcomes and reversals only, sales get 96.
    SalesRefused,
    /// Everything.
    Plenty,
}

/// The log's files, for the gate.
pub struct Journal {
    shared: Arc<Shared>,
    stock: Arc<Stock>,
    current: Entered,
    /// Header of the current segment.
    header: SegmentHeader,
    written: Lsn,
    facts: u64,
    thread: Option<JoinHandle<()>>,
    ended: Receiver<()>,
    /// Last, so that the lock is given back when all else is done.
    folder: Arc<Folder>,
}

impl Journal {
    #[expect(clippy::too_many_arguments, reason = "the parts of a journal, joined in one place")]
    fn new(
        folder: Arc<Folder>,
        shared: Arc<Shared>,
        stock: Arc<Stock>,
        header: SegmentHeader,
        current: Entered,
        at: Lsn,
        thread: JoinHandle<()>,
        ended: Receiver<()>,
    ) -> Journal {
        Journal { shared, stock, current, header, written: at, facts: 0, thread: Some(thread), ended, folder }
    }

    /// Writes a batch with one positioned write, and lets the sync thread know.
    ///
    /// # Errors
    /// [`JournalError`], of this write or of anything that failed before. The process then answers nothing
    /// more and stops.
    ///
    /// # Panics
    /// When the batch is not of the log that came with this journal: a fault of the switch.
    pub fn write(&mut self, batch: Batch<'_>) -> Result<(), JournalError> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        self.write_through(&batch).inspect_err(|error| self.shared.fail(error.clone()))?;
        if self.shared.announce(self.written, self.facts) {
            self.unpark();
        }
        Ok(())
    }

    /// Writes what is open in the log at a start, when nobody prepares segments yet: `maker` makes the next one here when none is left.
    ///
    /// # Errors
    /// As [`Journal::write`], and those of [`SegmentMaker::prepare`].
    pub fn write_at_start(&mut self, log: &mut Log, maker: &mut SegmentMaker) -> Result<(), JournalError> {
        if self.prepared() == 0 {
            maker.prepare()?;
        }
        let durable = self.durable();
        log.take(durable).map_or(Ok(()), |batch| self.write(batch))
    }

    /// Says whether anybody waits for what is written to be durable. While nobody does, syncs are made at leisure.
    pub fn set_awaited(&self, awaited: bool) {
        if self.shared.set_awaited(awaited) {
            self.unpark();
        }
    }

    /// Everything below this position is written: it survives a kill of the process.
    pub fn written(&self) -> Lsn {
        self.written
    }

    /// Everything below this position is synced. An effect may leave when its position is below.
    pub fn durable(&self) -> Lsn {
        self.shared.durable()
    }

    /// Registers whom to wake when `durable` has advanced, or the journal has failed. One waker at a time;
    /// look at both once more after registering.
    pub fn register(&self, waker: &Waker) {
        self.shared.register(waker);
    }

    /// What failed first, if anything did.
    pub fn failure(&self) -> Option<JournalError> {
        self.shared.failure()
    }

    /// What there is room for. To be asked before a sale is admitted.
    pub fn room(&self) -> Room {
        match self.stock.prepared() {
            0 => Room::Last,
            prepared if prepared < ROOM_PREPARED_MIN => Room::SalesRefused,
            _ => Room::Plenty,
        }
    }

    /// How many facts were written since the start.
    pub fn facts(&self) -> u64 {
        self.facts
    }

    /// The checkpoints of this journal, for the thread that writes them.
    pub fn checkpoint_files(&self) -> CheckpointFiles {
        CheckpointFiles { folder: Arc::clone(&self.folder), segment_bytes: self.header.segment_bytes }
    }

    /// How many segments are prepared.
    pub fn prepared(&self) -> usize {
        self.stock.prepared()
    }

    /// The epoch of this start.
    pub fn epoch(&self) -> u32 {
        self.header.epoch
    }

    /// Writes what is open in the log, waits until all is synced, writes and syncs a seal batch, and ends the
    /// sync thread. Blocks for at most `deadline`, and the time of one sync.
    ///
    /// # Errors
    /// [`JournalError`]. What was answered stands in any case.
    pub fn close(mut self, log: &mut Log, deadline: Duration) -> Result<(), JournalError> {
        if let Some(batch) = log.take(self.durable()) {
            self.write(batch)?;
        }
        self.stop();
        if self.ended.recv_timeout(deadline).is_err() {
            return Err(JournalError::CloseTimeout(deadline.as_millis()));
        }
        if let Some(thread) = self.thread.take() {
            // A panic of the thread aborts the process in a release; in a test the journal has then not
            // become durable.
            let _ = thread.join();
        }
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        self.write_through(&log.seal_batch(self.durable()))?;
        self.current.file.sync_data().map_err(io_error("sync", &self.current.path))
    }

    fn write_through(&mut self, batch: &Batch<'_>) -> Result<(), JournalError> {
        let segment_bytes = self.header.segment_bytes;
        let number = batch.at.segment(segment_bytes);
        if number == self.header.number {
            assert_eq!(batch.at, self.written, "a batch that does not follow the one before");
        } else {
            self.enter(number, batch)?;
        }
        self.current
            .file
            .write_all_at(batch.bytes, batch.at.offset(segment_bytes))
            .map_err(io_error("write", &self.current.path))?;
        self.written = batch.end;
        self.facts += batch.facts as u64;
        Ok(())
    }

    /// Goes over to the next segment.
    fn enter(&mut self, number: u64, batch: &Batch<'_>) -> Result<(), JournalError> {
        let prepared = self.stock.take().ok_or(JournalError::NoSegment)?;
        assert_eq!((number, prepared.number), (self.header.number + 1, number), "a segment out of order");
        self.header.number = number;
        self.header.follows = self.written;
        self.header.chain = batch.chain;
        self.header.durable_upto = batch.durable_upto;
        self.current = Entered { file: prepared.file, path: prepared.path };
        write_header(&self.current, &self.header)?;
        self.shared.enter(self.current.clone())
    }

    fn stop(&self) {
        self.shared.stop();
        self.unpark();
    }

    fn unpark(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Journal {
    /// Without [`Journal::close`] the thread syncs what is written and ends by itself; nobody waits for it.
    fn drop(&mut self) {
        self.stop();
    }
}
