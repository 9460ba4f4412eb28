//! What must never happen to a journal, one test each.

mod checkpoints;
mod reading;
mod recovery;
mod syncing;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use switchyard_core::log::{Log, Lsn, SEGMENT_BYTES_MIN};
use switchyard_core::seal::Keyring;
use tempfile::TempDir;

use super::*;
use crate::keys::Kek;

/// Longer than any sync may take, so that a test that hangs fails instead.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const OPTIONS: JournalOptions = JournalOptions {
    segment_bytes: SEGMENT_BYTES_MIN,
    prepared_min: 2,
    sync_interval_us: 0,
    sync_facts_min: 1,
};

/// A fact as it was read or written.
type Fact = (Lsn, Vec<u8>);

/// A folder with its key.
struct Place {
    folder: TempDir,
    kek: Arc<Kek>,
}

/// A started journal with everything that belongs to it.
struct Started {
    journal: Journal,
    log: Log,
    reader: JournalReader,
    maker: SegmentMaker,
    keyring: Keyring,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let kek = Kek::create_file(&folder.path().join("kek")).expect("a key file");
        Place { folder, kek: Arc::new(kek) }
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    fn opening(&self) -> Result<Opening, JournalError> {
        Opening::new(&self.dir(), OPTIONS, Arc::clone(&self.kek))
    }

    fn start(&self) -> Started {
        let keyring = Keyring::new();
        let (journal, log, reader, maker) = self.opening().expect("opens").start(&keyring).expect("starts");
        Started { journal, log, reader, maker, keyring }
    }

    /// Everything that a start would find, without starting.
    fn replay(&self) -> Result<(Vec<Fact>, Replayed), JournalError> {
        let mut facts = Vec::new();
        let replayed = self.opening()?.replay(&Keyring::new(), |lsn, fact| {
            facts.push((lsn, fact.to_vec()));
            Ok(())
        })?;
        Ok((facts, replayed))
    }

    fn segment(&self, number: u64) -> PathBuf {
        self.dir().join(format!("{number:014}.segment"))
    }

    /// Takes the zeros off the end of a segment, and removes the prepared ones, so that reading is quick.
    fn trim(&self, number: u64, end: Lsn) {
        edit(&self.segment(number)).set_len(end.0 % OPTIONS.segment_bytes).expect("own file");
        for prepared in number + 1..number + 10 {
            let _ = std::fs::remove_file(self.segment(prepared));
        }
    }
}

impl Started {
    /// Appends and writes facts as one batch that claims to follow a sync up to a position.
    fn write_claiming(&mut self, facts: &[&[u8]], durable_upto: Lsn) -> Vec<Fact> {
        let written = facts
            .iter()
            .map(|fact| (self.log.append(|out| out.extend_from_slice(fact)), fact.to_vec()))
            .collect();
        self.journal.write(self.log.take(durable_upto).expect("facts")).expect("written");
        written
    }

    fn write(&mut self, facts: &[&[u8]]) -> Vec<Fact> {
        self.write_claiming(facts, self.journal.durable())
    }

    fn await_durable(&self, upto: Lsn) {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let end = Instant::now() + PATIENCE;
        loop {
            self.journal.register(&waker);
            assert!(self.journal.failure().is_none(), "{:?}", self.journal.failure());
            if self.journal.durable() >= upto {
                return;
            }
            assert!(Instant::now() < end, "not synced in time");
            // A wake-up that came before this returns at once: what counts is the bound above.
            std::thread::park_timeout(PATIENCE);
        }
    }

    fn close(mut self) {
        self.journal.close(&mut self.log, PATIENCE).expect("closes");
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn edit(path: &Path) -> File {
    File::options().read(true).write(true).open(path).expect("own file")
}

fn flip(path: &Path, offset: u64, bit: u8) {
    let file = edit(path);
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("own file");
    file.write_all_at(&[byte[0] ^ 1 << bit], offset).expect("own file");
}
