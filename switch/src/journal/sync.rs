//! The thread that calls fdatasync, and nothing else.
//!
//! Two integers cross: `written` from the gate to this thread, `durable` back. Beside them: how many facts
//! were written and at how many this thread wants to be woken, and, when the log enters a segment, its file.
//!
//! Invariants:
//! - `durable` only grows, and only to what `written` was before a sync of every file concerned began.
//! - A file is left behind only after it was synced when the writer had already turned to the next one.
//! - After a sync that failed there is no other one: the kernel may have dropped what it could not write and
//!   would report success. The failure is kept, the gate is woken, the thread ends.
//! - Idle, the thread is parked.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use atomic_waker::AtomicWaker;
use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;
use switchyard_core::log::Lsn;

use super::error::{JournalError, io_error};

/// How many segments may wait for their sync: the disk is then gigabytes behind.
pub(super) const ENTERED_MAX: usize = 16;

/// While nobody waits for durability (relaxed conduits alone are busy), a sync begins so much later: what a power cut may lose is bounded by it, and syncs cost
/// next to nothing.
const UNAWAITED: Duration = Duration::from_millis(10);

/// The system call, so that a test can watch it and make it fail.
pub(super) type SyncCall = Box<dyn FnMut(&File) -> io::Result<()> + Send>;

/// A file that is being written, and what it is called in errors.
#[derive(Clone)]
pub(super) struct Entered {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
}

/// What the gate and the sync thread share.
pub(super) struct Shared {
    written: CachePadded<AtomicU64>,
    facts: CachePadded<AtomicU64>,
    durable: CachePadded<AtomicU64>,
    /// The thread is to be woken once so many facts were written: 0 when it is idle, never (the greatest
    /// number) while it works, or pauses and nobody waits.
    wake_at: CachePadded<AtomicU64>,
    /// Whether somebody waits for what is written to be durable.
    awaited: AtomicBool,
    stop: AtomicBool,
    failure: OnceLock<JournalError>,
    waker: AtomicWaker,
    entered: ArrayQueue<Entered>,
}

impl Shared {
    pub(super) fn new(durable: Lsn) -> Shared {
        Shared {
            written: CachePadded::new(AtomicU64::new(durable.0)),
            facts: CachePadded::new(AtomicU64::new(0)),
            durable: CachePadded::new(AtomicU64::new(durable.0)),
            wake_at: CachePadded::new(AtomicU64::new(u64::MAX)),
            awaited: AtomicBool::new(true),
            stop: AtomicBool::new(false),
            failure: OnceLock::new(),
            waker: AtomicWaker::new(),
            entered: ArrayQueue::new(ENTERED_MAX),
        }
    }

    pub(super) fn durable(&self) -> Lsn {
        Lsn(self.durable.load(SeqCst))
    }

    pub(super) fn register(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }

    pub(super) fn failure(&self) -> Option<JournalError> {
        self.failure.get().cloned()
    }

    /// Keeps the first failure and wakes the gate.
    pub(super) fn fail(&self, error: JournalError) {
        // Only the first failure is the cause; one that is there already stays.
        let _ = self.failure.set(error);
        self.waker.wake();
    }

    /// The writer turns to this file; to be called before anything in it is announced.
    pub(super) fn enter(&self, entered: Entered) -> Result<(), JournalError> {
        self.entered.push(entered).map_err(|_| JournalError::SyncBehind(ENTERED_MAX))
    }

    /// Everything below `end`, with so many facts in all, is written. Whether the thread is to be unparked.
    ///
    /// The thread says at how many facts it wants to be woken, and then looks at `written` once more before
    /// it parks; here it is the other way round. With one order for all these accesses at least one of the
    /// two sees the other.
    pub(super) fn announce(&self, end: Lsn, facts: u64) -> bool {
        self.written.store(end.0, SeqCst);
        self.facts.store(facts, SeqCst);
        facts >= self.wake_at.load(SeqCst)
    }

    /// Says whether somebody waits for durability; true when that has just begun, and the sync thread is to be woken.
    pub(super) fn set_awaited(&self, awaited: bool) -> bool {
        self.awaited.load(SeqCst) != awaited && !self.awaited.swap(awaited, SeqCst) && awaited
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, SeqCst);
    }
}

/// What the sync thread is to do next.
#[derive(PartialEq, Eq)]
enum Next {
    Sync,
    Pause(Duration),
    Idle,
    End,
}

/// The thread's own state.
pub(super) struct SyncThread {
    pub(super) shared: Arc<Shared>,
    pub(super) current: Entered,
    pub(super) call: SyncCall,
    pub(super) interval: Duration,
    pub(super) facts_min: u64,
    /// Sent to when the thread ends, whether all was synced or not.
    pub(super) ended: Sender<()>,
}

impl SyncThread {
    /// Syncs until told to stop and nothing is left to sync, or until a sync fails.
    pub(super) fn run(mut self) {
        let mut due = Instant::now();
        let mut facts = 0;
        while self.wait(due, facts) {
            due = Instant::now() + self.interval;
            // The facts before the position: so none is counted as synced that may not be.
            facts = self.shared.facts.load(SeqCst);
            let target = self.shared.written.load(SeqCst);
            if let Err(error) = self.sync() {
                self.shared.fail(error);
                break;
            }
            self.shared.durable.store(target, SeqCst);
            self.shared.waker.wake();
        }
        // Nobody waits for the end when the journal was dropped instead of closed.
        let _ = self.ended.send(());
    }

    /// Syncs what was written before this was called. A file taken from the queue means that the writer is
    /// done with the one before, so the sync of that one after the taking is its last.
    fn sync(&mut self) -> Result<(), JournalError> {
        while let Some(next) = self.shared.entered.pop() {
            self.sync_current()?;
            self.current = next;
        }
        self.sync_current()
    }

    fn sync_current(&mut self) -> Result<(), JournalError> {
        (self.call)(&self.current.file).map_err(io_error("sync", &self.current.path))
    }

    /// Parks until there is something to sync and the time for it has come; false when the thread is to end.
    fn wait(&self, due: Instant, facts_synced: u64) -> bool {
        loop {
            let wake_at = match self.next(due, facts_synced) {
                Next::Sync => return true,
                Next::End => return false,
                // Nobody waits: whoever begins to wait wakes the thread, and facts do not.
                Next::Pause(_) if !self.shared.awaited.load(SeqCst) => u64::MAX,
                Next::Pause(_) => facts_synced + self.facts_min,
                Next::Idle => 0,
            };
            self.shared.wake_at.store(wake_at, SeqCst);
            match self.next(due, facts_synced) {
                Next::Idle if wake_at == 0 => thread::park(),
                Next::Pause(pause) if wake_at > 0 => thread::park_timeout(pause),
                _ => {}
            }
            self.shared.wake_at.store(u64::MAX, SeqCst);
        }
    }

    fn next(&self, due: Instant, facts_synced: u64) -> Next {
        let stop = self.shared.stop.load(SeqCst);
        if self.shared.written.load(SeqCst) == self.shared.durable.load(SeqCst) {
            return if stop { Next::End } else { Next::Idle };
        }
        let awaited = self.shared.awaited.load(SeqCst);
        let due = if awaited { due } else { due + UNAWAITED };
        let waiting = self.shared.facts.load(SeqCst) - facts_synced;
        let pause = due.saturating_duration_since(Instant::now());
        let enough = awaited && waiting >= self.facts_min;
        if stop || enough || pause.is_zero() { Next::Sync } else { Next::Pause(pause) }
    }
}
