//! Who writes runs and looks into them, in memory; and the checkpoints that rely on them. A start without a checkpoint knows no run: everything is in memory again.

use crate::support::disk::{Disk, image, restore};
use std::sync::Arc;
use switchyard_core::code::Code;
use switchyard_core::fact::Fact;
use switchyard_core::ids::FlightNo;
use switchyard_core::index::run::{BLOCK_BYTES, Block, RunWriter};
use switchyard_core::index::{ENTRY_MEMORY_BYTES, Hour, Run, RunHead, Spill};
use switchyard_core::keyhash::KeyHash;
use switchyard_core::log::{Log, Lsn};
use switchyard_core::outcome::{Outcome, Verdict};
use switchyard_core::pack::Pack;
use switchyard_core::reversal::{Reversal, Undone};
use switchyard_core::seek::Seek;
use switchyard_core::state::{Piece, State};

/// What the index may take where it spills: half of it is a chunk, which the requests before a run have nearly filled.
pub(crate) const TIGHT_BYTES: usize = 2_048 * ENTRY_MEMORY_BYTES;
/// The epoch of the requests before a run.
const FILLING_EPOCH: u32 = 1;

/// The keeper.
#[derive(Default)]
pub(crate) struct Keeper {
    writer: RunWriter,
    runs: Vec<(Run, Arc<Vec<Block>>)>,
    /// What is to become a run.
    pub(crate) writing: Option<Spill>,
    checkpoint: Option<Checkpoint>,
}

/// A checkpoint, and the runs that it relies on.
struct Checkpoint {
    last: Lsn,
    pieces: Vec<(Piece, Vec<u8>)>,
    runs: Vec<(Run, Arc<Vec<Block>>)>,
}

impl Keeper {
    /// Writes a run.
    pub(crate) fn write(&mut self, spill: &Spill) -> Run {
        let mut blocks = Vec::new();
        let written = self.writer.write(spill, |number, block| {
            let at = number as usize;
            blocks.resize(blocks.len().max(at + 1), [0; BLOCK_BYTES]);
            blocks[at] = *block;
            Ok(())
        });
        let (head, filter) = written.expect("memory takes it");
        let run = Run { head: Arc::new(head), filter: Some(Arc::new(filter)) };
        self.runs.push((run.clone(), Arc::new(blocks)));
        run
    }

    /// Looks into every run.
    pub(crate) fn look(&self, seek: &mut Seek) {
        let heads: Vec<_> = self.runs.iter().map(|(run, _)| Arc::clone(&run.head)).collect();
        let read = |head: &RunHead, number: u32, block: &mut Block| {
            let of = |(run, _): &&(Run, _)| run.head.mark.number == head.mark.number;
            let (_, blocks) = self.runs.iter().find(of).expect("the run is there");
            *block = blocks[number as usize];
            Ok(())
        };
        seek.look(&heads, read).expect("memory is whole");
    }

    /// Takes a checkpoint.
    pub(crate) fn checkpoint(&mut self, state: &State) {
        let (last, pieces, runs) = (state.last, image(state), self.runs.clone());
        self.checkpoint = Some(Checkpoint { last, pieces, runs });
    }

    /// The state that the next life begins with, and its keeper: from the checkpoint, where what it stands for is still on disk. It equals the fold of the log.
    pub(crate) fn restart(self, disk: &Disk) -> (State, Self) {
        let whole = disk.fold();
        let Some(Checkpoint { last, pieces, runs }) =
            self.checkpoint.filter(|kept| kept.last < disk.written())
        else {
            return (whole, Self::default());
        };
        let mut state = restore(&pieces).expect("a checkpoint reads back");
        let marks: Vec<_> = runs.iter().map(|(run, _)| run.head.mark).collect();
        assert_eq!(state.index.relied(), marks, "a checkpoint relies on other runs");
        state.index.attach(runs.iter().map(|(run, _)| run.clone()).collect());
        for (at, bytes) in disk.facts().filter(|(at, _)| *at > last) {
            state.apply(*at, &Fact::unpack(bytes).expect("a fact reads back")).expect("it fits");
        }
        assert!(state == whole, "fold: a checkpoint with runs and the rest of the log make another state");
        (state, Self { runs, ..Self::default() })
    }
}

/// Puts so many requests of long before into the log: reversals of nothing. The first position after them.
pub(crate) fn fill(disk: &mut Disk, count: u64, at_ms: u64) -> Lsn {
    let hash = KeyHash::new([9; 16]);
    let hour = Hour::of_local(b"0900001121");
    let mut log = Log::new(disk.start(FILLING_EPOCH));
    for number in 1..=count {
        let key = |kind| hour.put_in(hash.digest(kind, &[&number.to_le_bytes()]));
        let number = FlightNo(number);
        let reversal = Reversal { number, key: key(2), named: key(3), ..Reversal::default() };
        let (verdict, code) = (Verdict::Approved, Code::APPROVED);
        let outcome = Outcome { flight: number, verdict, code, ..Outcome::default() };
        let fact = Fact::Undo { at_ms, reversal, dialect: 0, frame: &[], outcome, undone: Undone::Again };
        log.append(|out| fact.pack(out));
        if log.is_full() || number.0 == count {
            let batch = log.take(disk.durable()).expect("something was appended");
            disk.write(&batch, FILLING_EPOCH);
        }
    }
    disk.sync(usize::MAX >> 1);
    disk.written()
}
