//! Checkpoints: when one is due, and the thread that writes it.
//!
//! Owns: `Checkpointer`, the gate's end, and the thread, which also retires segments.
//! Invariants: the gate never waits for a checkpoint, it hands over a snapshot or goes on without; at most one is under way; a file becomes a checkpoint only after the log is
//! durable beyond its position; a checkpoint that fails is told and tried again, and concerns no transaction.
//! Deliberately absent: the files (`journal`), and what is in an image (`state` of the core).

use crate::board::{Board, CheckpointRow, show};
use crate::journal::{CheckpointFiles, JournalError, Needs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime};
use switchyard_core::log::Lsn;
use switchyard_core::state::Snapshot;
use tokio::sync::oneshot;

/// How far the thread steps back, 1 to 19.
const NICENESS: i32 = 10;

/// When checkpoints are made, and how long the log is kept.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointOptions {
    /// One is due after so many facts.
    pub facts_max: u64,
    /// Segments are kept for at least so long after they were written.
    pub keep: Duration,
}

/// A snapshot on its way to the disk.
struct Order {
    snapshot: Snapshot,
    /// Told when the log is durable beyond the snapshot's position; dropped when it never will be.
    durable: oneshot::Receiver<()>,
}

/// The gate's end.
#[derive(Debug)]
pub struct Checkpointer {
    orders: SyncSender<Order>,
    /// Whether the thread is at one.
    busy: Arc<AtomicBool>,
    facts_max: u64,
    /// Facts at the last snapshot.
    facts_before: u64,
    /// Position of the last one.
    last: Lsn,
}

/// The thread's handle: waits for its end.
#[derive(Debug)]
pub struct CheckpointThread {
    /// In a mutex only so that the handle may be shared.
    ended: Mutex<Receiver<()>>,
}

impl Checkpointer {
    /// Starts the thread. The state came from the checkpoint at `last` and `replayed` facts after it, which count for the first one to be due.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        files: CheckpointFiles,
        options: CheckpointOptions,
        last: Lsn,
        replayed: u64,
        board: &Arc<Board>,
    ) -> std::io::Result<(Self, CheckpointThread)> {
        let (orders, ordered) = sync_channel(1);
        let (end, ended) = mpsc::channel();
        let busy = Arc::new(AtomicBool::new(false));
        let (at_work, board) = (Arc::clone(&busy), Arc::clone(board));
        std::thread::Builder::new().name("checkpoint".into()).spawn(move || {
            step_back();
            serve(&files, options.keep, &ordered, &at_work, &board.checkpoints);
            // The journal's lock goes with the files, before anybody hears of the end.
            drop(files);
            let _ = end.send(());
        })?;
        // Wraps where more was replayed than may be: one is due at once then.
        let facts_before = 0u64.wrapping_sub(replayed);
        let facts_max = options.facts_max;
        Ok((
            Self { orders, busy, facts_max, facts_before, last },
            CheckpointThread { ended: Mutex::new(ended) },
        ))
    }

    /// Whether a snapshot is wanted, `facts` having been written since the start.
    pub fn is_due(&self, facts: u64) -> bool {
        facts.wrapping_sub(self.facts_before) >= self.facts_max && !self.is_busy()
    }

    /// Whether a checkpoint is under way.
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// Hands a snapshot over. Whoever holds the answer tells it when the log is durable beyond the snapshot's position.
    pub fn give(&mut self, facts: u64, snapshot: Snapshot) -> Option<oneshot::Sender<()>> {
        if snapshot.last() == self.last {
            return None;
        }
        let last = snapshot.last();
        let (tell, durable) = oneshot::channel();
        self.busy.store(true, Ordering::Release);
        // There is room for one beside the one that is under way; without room, it is tried again with the next batch.
        self.orders.try_send(Order { snapshot, durable }).ok()?;
        (self.facts_before, self.last) = (facts, last);
        Some(tell)
    }
}

impl CheckpointThread {
    /// Waits until the thread has ended, which it does after the gate's end was dropped; false when that took longer than it may.
    pub fn wait(self, at_most: Duration) -> bool {
        self.ended.into_inner().is_ok_and(|ended| ended.recv_timeout(at_most).is_ok())
    }
}

/// On few cores, what nobody waits for leaves them to what somebody does. Where the system refuses, it goes on as it is.
fn step_back() {
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

fn serve(
    files: &CheckpointFiles,
    keep: Duration,
    ordered: &Receiver<Order>,
    busy: &AtomicBool,
    row: &CheckpointRow,
) {
    while let Ok(order) = ordered.recv() {
        let at = order.snapshot.last();
        let made = make(files, keep, order);
        if matches!(made, Ok(true)) {
            show(&row.at_ms, files.made_at(at).unwrap_or_default());
            row.made.fetch_add(1, Ordering::Relaxed);
        }
        if let Err(error) = made {
            files.discard(at);
            row.failed.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%error, "no checkpoint could be made: the next start takes longer; it is tried again");
        }
        busy.store(false, Ordering::Release);
    }
}

/// Whether it was made; not where the journal has failed, so that nothing is durable any more.
fn make(files: &CheckpointFiles, keep: Duration, order: Order) -> Result<bool, JournalError> {
    let Order { snapshot, durable } = order;
    let began = Instant::now();
    let (at, needs) = (snapshot.last(), Needs::of(&snapshot));
    files.write(snapshot)?;
    if durable.blocking_recv().is_err() {
        // The journal failed before that fact was durable; the process is about to end.
        files.discard(at);
        return Ok(false);
    }
    files.adopt(at)?;
    let retired = files.retire(needs, keep, SystemTime::now())?;
    let took_ms = began.elapsed().as_millis() as u64;
    tracing::info!(position = at.0, took_ms, retired, "checkpoint made");
    Ok(true)
}
