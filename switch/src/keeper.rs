//! The keeper: slow reading, beside the yard.
//!
//! Owns: a thread that reads stored answers, looks into runs and fills trays, one that writes runs, and one that prepares segments.
//! Invariants: nothing here decides or writes facts; a ticket that comes in goes out again, whatever happens.
//! Deliberately absent: checkpoints and projections (later), and anything that a transaction of the usual kind waits for.

use crate::gate::{TrayFilled, TrayWish};
use crate::journal::{JournalReader, SegmentMaker};
use crate::keys::Kek;
use crate::ring::Ring;
use crate::runs::{RunFiles, RunFolder, RunWork, write_runs};
use crate::stock::{StockError, StockReader};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Wake, Waker};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;
use switchyard_core::fact::Fact;
use switchyard_core::pack::Pack;
use switchyard_core::reversal::Recalled;
use switchyard_core::seal::Keyring;
use switchyard_core::stock::StockBatch;
use switchyard_core::ticket::{Errand, Ticket};

/// How long a thread sleeps when nobody wakes it; a failed preparation is tried again after it.
const PARK_MS: u64 = 1_000;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A waker that unparks the calling thread.
pub fn own_waker() -> Waker {
    Waker::from(Arc::new(Unpark(std::thread::current())))
}

/// What the keeper is asked for, beside stored answers.
#[derive(Debug)]
pub enum KeeperWish {
    /// Vouchers for a tray.
    Tray(TrayWish),
    /// A new batch: its file is opened and its key put on the ring; who asked is told.
    Open(StockBatch, mpsc::Sender<Result<(), StockError>>),
}

/// What the keeper works on.
pub struct KeeperWork {
    /// Unwraps the keys of new batches.
    pub kek: Arc<Kek>,
    /// Where they go.
    pub keyring: Arc<Keyring>,
    /// Reads facts.
    pub reader: JournalReader,
    /// Where runs lie.
    pub runs: Arc<RunFolder>,
    /// Reads batch files.
    pub stock: StockReader,
    /// Tickets whose stored answer is wanted.
    pub recalls: Arc<Ring<Box<Ticket>>>,
    /// Where they go back to the gate, which looks at them once more: a reversal may have come meanwhile (S-4).
    pub originals: Arc<Ring<Box<Ticket>>>,
    /// Trays wanted, batches to be opened.
    pub wishes: Arc<Ring<KeeperWish>>,
    /// Trays filled.
    pub trays: Arc<Ring<TrayFilled>>,
    /// The index among the configured dialects of each dialect that the journal knows.
    pub dialects: Vec<Option<u16>>,
}

/// The keeper's threads.
#[derive(Debug)]
pub struct Keeper {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Keeper {
    /// Starts its threads.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(work: KeeperWork, runs: RunWork, maker: SegmentMaker) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        let stopping = Arc::clone(&stop);
        threads.push(std::thread::Builder::new().name("keeper".into()).spawn(move || keep(work, &stopping))?);
        let stopping = Arc::clone(&stop);
        threads.push(
            std::thread::Builder::new().name("runs".into()).spawn(move || write_runs(&runs, &stopping))?,
        );
        let stopping = Arc::clone(&stop);
        threads.push(
            std::thread::Builder::new().name("segments".into()).spawn(move || prepare(maker, &stopping))?,
        );
        Ok(Self { stop, threads })
    }

    /// Ends its threads, after what they are at.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn keep(mut work: KeeperWork, stop: &AtomicBool) {
    let waker = own_waker();
    let mut fact = Vec::new();
    let mut files = RunFiles::default();
    while !stop.load(Ordering::Acquire) {
        work.recalls.register(&waker);
        work.wishes.register(&waker);
        let mut worked = false;
        while let Some(ticket) = work.recalls.pop() {
            match ticket.errand {
                Errand::Seek => seek(&work, ticket, &mut files),
                _ => recall(&work, ticket, &mut fact),
            }
            worked = true;
        }
        while let Some(wish) = work.wishes.pop() {
            grant(&mut work, wish);
            worked = true;
        }
        if !worked {
            std::thread::park_timeout(Duration::from_millis(PARK_MS));
        }
    }
}

fn grant(work: &mut KeeperWork, wish: KeeperWish) {
    match wish {
        KeeperWish::Tray(wish) => {
            let filled = fill(&mut work.stock, wish);
            // The gate has at most one wish a product open, so there is room; what is lost is asked for again.
            let _ = work.trays.push(filled);
            work.trays.wake();
        }
        KeeperWish::Open(batch, told) => {
            let _ = told.send(work.stock.open(&batch, &work.kek, &work.keyring));
        }
    }
}

/// Does what the errand of a ticket says, and sends it back to the gate.
fn recall(work: &KeeperWork, mut ticket: Box<Ticket>, fact: &mut Vec<u8>) {
    match ticket.errand {
        Errand::Original | Errand::Cancelled => recall_original(work, &mut ticket, fact),
        _ => recall_answer(work, &mut ticket, fact),
    }
    hand_back(work, ticket);
}

fn recall_answer(work: &KeeperWork, ticket: &mut Ticket, fact: &mut Vec<u8>) {
    let status = ticket.errand == Errand::Status;
    ticket.errand = Errand::Answer;
    let read = if status { read_status(work, ticket, fact) } else { read_stored(work, ticket, fact) };
    if let Err(reason) = read {
        ticket.outcome.clear();
        tracing::error!(at = ticket.intent_at.0, reason, "a stored answer cannot be read");
    }
}

/// Gives a ticket back to the gate, which looks at it once more.
fn hand_back(work: &KeeperWork, ticket: Box<Ticket>) {
    if work.originals.push(ticket).is_err() {
        tracing::error!("the ring of originals is full");
    }
    work.originals.wake();
}

/// Looks into the runs; the gate decides what follows.
fn seek(work: &KeeperWork, mut ticket: Box<Ticket>, files: &mut RunFiles) {
    work.runs.seek(&mut ticket.seek, files);
    hand_back(work, ticket);
}

/// Reads the sale that a reversal names, or that a repeat is of; the gate decides what becomes of it.
fn recall_original(work: &KeeperWork, ticket: &mut Ticket, fact: &mut Vec<u8>) {
    ticket.recalled = match read_original(work, ticket, fact) {
        Ok(recalled) => Some(Box::new(recalled)),
        Err(reason) => {
            tracing::error!(at = ticket.intent_at.0, reason, "a sale that is reversed cannot be read");
            None
        }
    };
}

fn read_original(work: &KeeperWork, ticket: &Ticket, bytes: &mut Vec<u8>) -> Result<Recalled, String> {
    let mut outcome = Vec::new();
    work.reader.fact(ticket.intent_at, bytes).map_err(|error| error.to_string())?;
    work.reader.fact(ticket.outcome_at, &mut outcome).map_err(|error| error.to_string())?;
    let facts = (Fact::unpack(bytes), Fact::unpack(&outcome));
    let (Ok(intent), Ok(outcome)) = facts else { return Err("a record cannot be read".into()) };
    Recalled::of(&intent, &outcome).ok_or_else(|| "no sale lies there".into())
}

/// How a stored request stands, for an inquiry: its outcome without its secrets. An unknown that is no longer open has been reversed.
fn read_status(work: &KeeperWork, ticket: &mut Ticket, fact: &mut Vec<u8>) -> Result<(), String> {
    work.reader.fact(ticket.outcome_at, fact).map_err(|error| error.to_string())?;
    let outcome = Fact::unpack(fact).ok().and_then(|fact| fact.outcome()).ok_or("no outcome lies there")?;
    ticket.outcome.clear();
    outcome.status().pack(&mut ticket.outcome);
    Ok(())
}

/// Reads the stored request and outcome into a ticket. A ticket whose records cannot be read has no outcome: the conduit counts it, and does not answer something wrong.
fn read_stored(work: &KeeperWork, ticket: &mut Ticket, fact: &mut Vec<u8>) -> Result<(), String> {
    work.reader.fact(ticket.intent_at, fact).map_err(|error| error.to_string())?;
    match Fact::unpack(fact) {
        Ok(
            Fact::Intent { dialect, frame, .. }
            | Fact::Sale { dialect, frame, .. }
            | Fact::Undo { dialect, frame, .. },
        ) => {
            let dialect = work.dialects.get(usize::from(dialect)).copied().flatten();
            ticket.original_dialect = dialect.ok_or("its dialect is no longer configured")?;
            ticket.original.clear();
            ticket.original.extend_from_slice(frame);
        }
        _ => return Err("no request lies there".into()),
    }
    work.reader.fact(ticket.outcome_at, fact).map_err(|error| error.to_string())?;
    let outcome = Fact::unpack(fact).ok().and_then(|fact| fact.outcome()).ok_or("no outcome lies there")?;
    ticket.outcome.clear();
    outcome.pack(&mut ticket.outcome);
    Ok(())
}

fn fill(stock: &mut StockReader, wish: TrayWish) -> TrayFilled {
    let mut vouchers = Vec::with_capacity(wish.count as usize);
    let filled = stock.fill(wish.from, wish.count, |voucher| vouchers.push(voucher));
    let reached = match filled {
        Ok(filled) => {
            for index in &filled.damaged {
                tracing::error!(
                    batch = wish.from.batch,
                    index,
                    "a voucher is damaged and is left out; restore the batch file from a copy"
                );
            }
            Some(filled.reached)
        }
        Err(error) => {
            tracing::error!(%error, "a tray cannot be filled");
            None
        }
    };
    TrayFilled { product: wish.product, vouchers, reached }
}

fn prepare(mut maker: SegmentMaker, stop: &AtomicBool) {
    let waker = own_waker();
    let mut failing = false;
    while !stop.load(Ordering::Acquire) {
        maker.register(&waker);
        match maker.prepare() {
            Ok(made) => {
                if std::mem::take(&mut failing) {
                    tracing::info!("segments of the journal can be prepared again");
                }
                if made {
                    continue;
                }
            }
            // It is tried again every second, and told once.
            Err(error) if !failing => {
                failing = true;
                tracing::error!(%error, "no segment of the journal can be prepared; sales get 96 when fewer than two are left");
            }
            Err(_) => {}
        }
        std::thread::park_timeout(Duration::from_millis(PARK_MS));
    }
}
