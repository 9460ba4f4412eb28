//! The thread that writes runs, beside the keeper, so that repeats do not wait for a million entries to be sorted.
//!
//! Owns: the gate's wishes for runs. Invariants: every `Write` is answered once; a run is removed only after the gate has forgotten it.
//! Deliberately absent: when entries leave memory (the gate's).

use super::RunFolder;
use crate::keeper::own_waker;
use crate::ring::Ring;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use switchyard_core::index::run::RunWriter;
use switchyard_core::index::{Run, Spill};

/// How long the thread sleeps when nobody wakes it.
const PARK_MS: u64 = 1_000;

/// What the gate wants.
#[derive(Debug)]
pub enum RunWish {
    /// A run of these entries.
    Write(Spill),
    /// The run of that number is not needed any more.
    Remove(u32),
}

/// What the thread works on.
#[derive(Debug)]
pub struct RunWork {
    /// Where runs lie.
    pub folder: Arc<RunFolder>,
    /// Wishes of the gate.
    pub wishes: Arc<Ring<RunWish>>,
    /// Back to the gate: a run that is durable, or none where it could not be written.
    pub written: Arc<Ring<Option<Run>>>,
}

/// Does what is wished until `stop`.
pub fn write_runs(work: &RunWork, stop: &AtomicBool) {
    let waker = own_waker();
    let mut writer = RunWriter::default();
    while !stop.load(Ordering::Acquire) {
        work.wishes.register(&waker);
        match work.wishes.pop() {
            Some(wish) => grant(work, wish, &mut writer),
            None => std::thread::park_timeout(Duration::from_millis(PARK_MS)),
        }
    }
}

fn grant(work: &RunWork, wish: RunWish, writer: &mut RunWriter) {
    let spill = match wish {
        RunWish::Remove(number) => return work.folder.remove(number),
        RunWish::Write(spill) => spill,
    };
    let written = match work.folder.write(&spill, writer) {
        Ok(run) => Some(run),
        Err(error) => {
            tracing::error!(%error, "a run of duplicates cannot be written; it is tried again, and sales get 96 when memory is full");
            None
        }
    };
    // The chunks go back before the gate hears of it, so that it need not copy what it changes then.
    drop(spill);
    // The gate has one wish for a run open at a time, so there is room.
    let _ = work.written.push(written);
    work.written.wake();
}
