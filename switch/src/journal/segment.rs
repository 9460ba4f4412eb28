//! Segments made ahead of need.
//!
//! Owns the queue of prepared segments between the keeper, which makes them, and the gate, which uses them
//! up.
//!
//! Invariants:
//! - A file with the name of a segment has its full length, in zeros that were synced, before the log enters
//!   it: a sync while the log runs has no lengths and no blocks of the file to write.
//! - Segments are entered in the order of their numbers, without gaps.
//! - A segment that the log has left is let go from the system's memory before the next is made: the journal takes no more memory than is prepared and written
//!   now, and what is prepared takes the memory that was let go, which is far cheaper than memory that nobody has used for long. Who reads old facts reads the disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Waker;

use atomic_waker::AtomicWaker;
use crossbeam::queue::ArrayQueue;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::error::{JournalError, io_error};
use super::folder::Folder;

/// Most segments that are held prepared.
pub(super) const PREPARED_MAX: usize = 64;

/// Zeros are written in pieces of this size. The system keeps what is written at once in one block of its memory, and each small write into a block later looks
/// at all of the block: pieces of a megabyte made every batch and every sync dearer.
pub(super) const ZEROS_BYTES: usize = 64 << 10;

/// A segment that the log may enter.
pub(super) struct Prepared {
    pub(super) number: u64,
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
}

/// The prepared segments, in order.
pub(super) struct Stock {
    queue: ArrayQueue<Prepared>,
    taken: AtomicWaker,
}

impl Stock {
    pub(super) fn new() -> Stock {
        Stock { queue: ArrayQueue::new(PREPARED_MAX), taken: AtomicWaker::new() }
    }

    pub(super) fn prepared(&self) -> usize {
        self.queue.len()
    }

    /// Takes the next segment and wakes who makes them.
    pub(super) fn take(&self) -> Option<Prepared> {
        let prepared = self.queue.pop();
        self.taken.wake();
        prepared
    }
}

/// Makes segments ahead of need, for the keeper thread.
pub struct SegmentMaker {
    folder: Arc<Folder>,
    stock: Arc<Stock>,
    segment_bytes: u64,
    prepared_min: usize,
    /// Number of the next segment.
    next: u64,
    /// Number of the first segment that may still be in memory though the log has left it.
    warm: u64,
    zeros: Vec<u8>,
}

impl SegmentMaker {
    pub(super) fn new(
        folder: Arc<Folder>,
        stock: Arc<Stock>,
        segment_bytes: u64,
        prepared_min: usize,
        next: u64,
    ) -> SegmentMaker {
        let warm = next.saturating_sub(1);
        SegmentMaker { folder, stock, segment_bytes, prepared_min, next, warm, zeros: vec![0; ZEROS_BYTES] }
    }

    /// Makes one segment if fewer than `prepared_min` are prepared, and says whether it made one. To be
    /// called until it says no, each time the waker is woken. Takes as long as the disk needs to write and
    /// sync a segment.
    ///
    /// # Errors
    /// [`JournalError::Io`], when the disk is full for example. Nothing is left behind and the log is not
    /// concerned: tell the operator and call again later.
    pub fn prepare(&mut self) -> Result<bool, JournalError> {
        if self.stock.prepared() >= self.prepared_min {
            return Ok(false);
        }
        self.make()?;
        Ok(true)
    }

    /// Registers whom to wake when a segment was used up. One waker at a time; call [`SegmentMaker::prepare`]
    /// once more after registering.
    pub fn register(&self, waker: &Waker) {
        self.stock.taken.register(waker);
    }

    /// Adds a file that was prepared by an earlier process and never entered.
    pub(super) fn adopt(&mut self, path: PathBuf) -> Result<(), JournalError> {
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(io_error("open", &path))?;
        self.push(file, path);
        Ok(())
    }

    /// Number of the next segment to be made.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn make(&mut self) -> Result<(), JournalError> {
        self.let_go();
        let making = self.folder.making_path(self.next);
        let path = self.folder.segment_path(self.next);
        let made = self.prewrite(&making).map_err(io_error("prepare", &path)).and_then(|file| {
            std::fs::rename(&making, &path).map_err(io_error("name", &path))?;
            self.folder.sync()?;
            Ok(file)
        });
        match made {
            Ok(file) => {
                self.push(file, path);
                Ok(())
            }
            Err(error) => {
                // What failed is told by the error; the leftover is only waste, and the next start removes
                // it.
                let _ = std::fs::remove_file(&making);
                Err(error)
            }
        }
    }

    /// Lets the segments that the log has left go from the system's memory. What is not synced yet stays there, and so does all of it where the system does not know
    /// of such advice: that costs memory and nothing else.
    fn let_go(&mut self) {
        let first_prepared = self.next - self.stock.prepared() as u64;
        let current = first_prepared.saturating_sub(1);
        for number in self.warm..current {
            if let Ok(file) = File::open(self.folder.segment_path(number)) {
                let _ = posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
            }
        }
        self.warm = self.warm.max(current);
    }

    fn push(&mut self, file: File, path: PathBuf) {
        let prepared = Prepared { number: self.next, file: Arc::new(file), path };
        // The queue holds PREPARED_MAX, above which neither `prepare` nor the start goes.
        let pushed = self.stock.queue.push(prepared).is_ok();
        debug_assert!(pushed, "more segments than the queue holds");
        self.next += 1;
    }

    fn prewrite(&self, path: &Path) -> io::Result<File> {
        let mut open = OpenOptions::new();
        open.read(true).write(true).create(true).truncate(true).mode(0o600);
        let mut file = open.open(path)?;
        let mut left = self.segment_bytes;
        while left > 0 {
            let piece = left.min(self.zeros.len() as u64);
            file.write_all(&self.zeros[..piece as usize])?;
            left -= piece;
        }
        file.sync_all()?;
        Ok(file)
    }
}
